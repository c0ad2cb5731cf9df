"""Find outputs that look cut off, which teach the model to stop too early.

Each rule compares an output with the others, so that labels, short answers and notes without a full stop are not
reported.
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
    """Return the rows whose output is empty or looks cut off, with the reason, in order.

    Outputs are stripped texts; JSON values other than text are compact JSON.
    """
    found = {row: "empty" for row, output in enumerate(outputs) if not output}
    for rule in (_single_characters, _broken_json, _open_fences, _open_sentences):
        found |= {row: kind for row, kind in rule(outputs) if row not in found}
    return dict(sorted(found.items()))


def _single_characters(outputs: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Find single characters among sentences; digits, grades and choices are not reported."""
    rows = [row for row, output in enumerate(outputs) if len(output) == 1 and not output.isdigit()]
    lengths = [len(output) for output in outputs if output]
    if rows and len(rows) <= _MOST_OF_ONE_CHARACTER * len(lengths) and median(lengths) >= _USUAL_CHARACTERS:
        yield from ((row, "one character") for row in rows)


def _broken_json(outputs: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Find incomplete JSON, if most outputs that begin like JSON are JSON."""
    begun = [row for row, output in enumerate(outputs) if output[:1] in ("{", "[")]
    broken = [row for row in begun if not _ends(outputs[row])]
    if broken and 2 * len(broken) <= len(begun):
        yield from ((row, "incomplete JSON") for row in broken)


def _ends(text: str) -> bool:
    """Return whether the text is complete JSON, even if only some readers accept it."""
    try:
        parse_json(text)
    except JsonError:
        return True
    except ValueError:
        return False
    return True


def _open_fences(outputs: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Find unclosed code blocks, if most code blocks are closed."""
    fenced = [row for row, output in enumerate(outputs) if _FENCE in output]
    left_open = [row for row in fenced if outputs[row].count(_FENCE) % 2]
    if left_open and 2 * len(left_open) <= len(fenced):
        yield from ((row, "unclosed code block") for row in left_open)


def _open_sentences(outputs: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Find incomplete sentences, if nearly all others are complete. Repeated outputs are labels, not sentences."""
    times = Counter(outputs)
    sentences = [
        row
        for row, output in enumerate(outputs)
        if times[output] == 1 and output[:1] not in ("{", "[") and _FENCE not in output
        if len(output.split(maxsplit=_SENTENCE_WORDS)) >= _SENTENCE_WORDS
    ]
    left_open = [row for row in sentences if not outputs[row].endswith(_CLOSED) and outputs[row][-1].isalnum()]
    if len(sentences) >= _FEWEST_SENTENCES and len(left_open) <= (1 - _HABIT) * len(sentences):
        yield from ((row, "incomplete sentence") for row in left_open)
