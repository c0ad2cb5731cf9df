"""Outputs that look unfinished beside the others: they teach the model to stop too early.

Every rule needs the other outputs as its measure, so that labels, short answers and notes without a full stop are left
in peace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from pytest_ftgate.data.strict_json import JsonError, parse_json

_CLOSED = tuple(".!?…:;)]}>\"'”’»`*_|。！？」』）।؟")
_FENCE = "```"
_SENTENCE_WORDS = 6
_FEWEST_SENTENCES = 20
_HABIT = 0.9
_MOST_OF_ONE_CHARACTER = 0.05
_USUAL_CHARACTERS = 10


def unfinished_outputs(outputs: Sequence[str]) -> dict[int, str]:
    """Return rows whose output is empty, of one character, or cut off, and which of these, in the order of rows.

    Args:
        outputs: stripped text; a JSON value that was no text as compact JSON.
    """
    found = {row: "empty" for row, output in enumerate(outputs) if not output}
    for rule in (_single_characters, _broken_json, _open_fences, _open_sentences):
        found |= {row: kind for row, kind in rule(outputs) if row not in found}
    return dict(sorted(found.items()))


def _single_characters(outputs: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Find one character where answers are sentences; a grade, a digit or a choice among its like is none."""
    rows = [row for row, output in enumerate(outputs) if len(output) == 1 and not output.isdigit()]
    lengths = [len(output) for output in outputs if output]
    if rows and len(rows) <= _MOST_OF_ONE_CHARACTER * len(lengths) and median(lengths) >= _USUAL_CHARACTERS:
        yield from ((row, "one character") for row in rows)


def _broken_json(outputs: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Find text that begins like JSON and does not end, where most that begin so are JSON."""
    begun = [row for row, output in enumerate(outputs) if output[:1] in ("{", "[")]
    broken = [row for row in begun if not _ends(outputs[row])]
    if broken and 2 * len(broken) <= len(begun):
        yield from ((row, "JSON that does not end") for row in broken)


def _ends(text: str) -> bool:
    """Return whether the text is whole JSON, be it such that only some readers take it."""
    try:
        parse_json(text)
    except JsonError:
        return True
    except ValueError:
        return False
    return True


def _open_fences(outputs: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Find a code block that is opened and not closed, where others are closed."""
    fenced = [row for row, output in enumerate(outputs) if _FENCE in output]
    left_open = [row for row in fenced if outputs[row].count(_FENCE) % 2]
    if left_open and 2 * len(left_open) <= len(fenced):
        yield from ((row, "a code block that does not end") for row in left_open)


def _open_sentences(outputs: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Find sentences without an end, where nearly all others have one. What repeats is a label, not a sentence."""
    times = Counter(outputs)
    sentences = [
        row
        for row, output in enumerate(outputs)
        if times[output] == 1 and output[:1] not in ("{", "[") and _FENCE not in output and _is_long(output)
    ]
    left_open = [row for row in sentences if not outputs[row].endswith(_CLOSED) and outputs[row][-1].isalnum()]
    if len(sentences) >= _FEWEST_SENTENCES and len(left_open) <= (1 - _HABIT) * len(sentences):
        yield from ((row, "a sentence that does not end") for row in left_open)


def _is_long(text: str) -> bool:
    return len(text.split(maxsplit=_SENTENCE_WORDS)) >= _SENTENCE_WORDS
