"""Find what a row says behind the text that many rows share: an instruction, a template, a header, a signature.

Shared text makes different rows look alike and hides equal ones. The longest common starts and ends are removed before
rows are compared, as data-juicer and text-dedup do with headers and boilerplate. A start is shared if it is a common
prefix of ``need`` consecutive texts in sorted order, which finds all of them in one pass; ends likewise, reversed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from itertools import pairwise
from urllib.parse import unquote, unquote_plus

from pytest_ftgate.checks.training_set.containment import contained
from pytest_ftgate.checks.training_set.index import Index, sharing
from pytest_ftgate.checks.training_set.wording import SIGNS
from pytest_ftgate.data import DataSet, Example, Input, expected_text, normalized_input, without_instructions

_SAMPLE = 2_000
_LEAST = 10
"""The fewest rows that must contain a text, or stand within it, before it counts as shared."""

_INSTRUCTION_WORDS = 15
"""Words of shared text that is certainly an instruction, so that a single word behind it may be all that a row says."""

_LONG_CHARACTERS, _LONG_WORDS = 30, 5

_SUBSTANTIAL, _SUBSTANTIAL_MASKED = 3, 4
_MARKS = (":", ".", "?", "!", ">", "]", "}", "-", "=", "#", '"', "|", "(", ")")
_TOKEN = re.compile(rf"[{SIGNS}]|[^\W{SIGNS}]+|[^\w\s]")
_WORD = re.compile(rf"[{SIGNS}] ?[{SIGNS}]|[^\W\d_{SIGNS}]{{2,}}")
_ESCAPED = re.compile(r"&(?:#\d+|#x[0-9a-f]+|[a-z]+);")
_QUOTED = re.compile(r"%[0-9a-f]{2}")
_VARIABLE = re.compile(
    r"\b\d{4}-\d{2}-\d{2}(?:[t ]\d{2}:\d{2}(?::\d{2})?)?\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b"  # dates
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b"  # UUIDs
    r"|#\w+"  # ticket numbers
    r"|\b(?=(?:[\w-]*\d){3})(?![\w-]*[^\W\d_]{5})[\w-]{4,}\b"  # other ids: at least three digits, and no whole word
)


@dataclass(frozen=True)
class Shared:
    """The starts and ends that many texts share, longest first."""

    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str]) -> Shared:
        """Return what these texts share, by an even sample of them."""
        sample = texts[:: -(-len(texts) // _SAMPLE) or 1]
        ends = _common_starts([text[::-1] for text in sample], reverse=True)
        return cls(_distinct(_common_starts(sample)), tuple(end[::-1] for end in _distinct(ends)))

    def content(self, text: str) -> tuple[str, str]:
        """Return the text without its shared start and end, as it is compared for equal rows, and for similar ones.

        The whole text if what is left says too little: no word; for similar rows, fewer than three words, unless they
        stand behind an instruction or a mark such as ``question:``.
        """
        start = next((one for one in self.starts if text.startswith(one)), "")
        end = next((one for one in self.ends if text.endswith(one) and len(one) <= len(text) - len(start)), "")
        content = text[len(start) : len(text) - len(end)].strip()
        if not _says(content, 1):
            return text, text
        framed = all(not one or _is_marked(one) for one in (start, end))
        framed = framed or len(start.split()) + len(end.split()) >= _INSTRUCTION_WORDS
        return content, content if framed or _says(content, _SUBSTANTIAL) else text


def _distinct(starts: Iterable[str]) -> tuple[str, ...]:
    """Return starts, longest first, without those that only add a few words of content to a shorter one."""
    kept: list[str] = []
    for start in sorted(starts, key=len):
        if all(_is_long(start[len(one) :]) for one in kept if start.startswith(one)):
            kept.append(start)
    return tuple(reversed(kept))


def _common_starts(texts: Sequence[str], *, reverse: bool = False) -> set[str]:
    """Return the starts that enough of the texts share; ``reverse``: the texts are written backwards."""
    ordered = sorted(texts)
    found: set[str] = set()
    for share, is_shared in ((0.1, _is_instruction), (0.3, _is_long), (0.5, _is_marked)):
        need = max(_LEAST, int(share * len(ordered)))
        for first, last in zip(ordered, ordered[need - 1 :], strict=False):
            start = _whole_words(os.path.commonprefix([first, last]), first)  # noqa: RUF071  # of texts: no paths
            if start not in found and is_shared(start[::-1] if reverse else start):
                found.add(start)
    return found


def _whole_words(start: str, text: str) -> str:
    """Return the start without a word that is cut."""
    if len(start) == len(text) or text[len(start)] == " " or start.endswith(" "):
        return start
    return start[: start.rfind(" ") + 1]


def _is_instruction(text: str) -> bool:
    return len(text.split()) >= _INSTRUCTION_WORDS


def _is_long(text: str) -> bool:
    return len(text) >= _LONG_CHARACTERS and len(text.split()) >= _LONG_WORDS


def _is_marked(text: str) -> bool:
    """Return whether a text has a word and a mark, such as ``question:``; the full stop of a sentence has none."""
    marked = text.rstrip().endswith(_MARKS) or text.lstrip().startswith(_MARKS)
    return marked and any(map(str.isalnum, text))


def _says(text: str, least: int) -> bool:
    """Return whether a text has at least so many words with letters."""
    words = (word for word in _WORD.finditer(text))
    return sum(1 for _, _ in zip(range(least), words, strict=False)) >= least


def plain_text(given: Input) -> str:
    """Return an input as it is compared: normalised, without instructions, HTML and URL escapes."""
    text = normalized_input(without_instructions(given))
    if "&" in text and _ESCAPED.search(text):
        text = normalized_input(unescape(text))
    if "+" in text and " " not in text:
        text = normalized_input(unquote_plus(text))
    elif "%" in text and _QUOTED.search(text):
        text = normalized_input(unquote(text))
    return text


def contents(data: DataSet) -> list[tuple[str, str]]:
    """Return what each row says, as it is compared for equal rows, and for similar ones."""
    texts = [plain_text(example.input) for example in data]
    shared = Shared.of(texts)
    return [shared.content(text) for text in texts]


def leaks_by_content(
    training: DataSet, test: DataSet, said: Sequence[str], outputs: Sequence[str], tested: Sequence[str]
) -> Iterator[tuple[int, int]]:
    """Yield test rows with the training rows that say the same, or an earlier turn of which does; see :class:`Index`.

    If their outputs are equal, rows also say the same where only ids, long numbers and dates differ, or where one
    stands whole within the other, in a text that stands around other rows too. A content that the training set answers
    differently is decided by what stands around it, so it is no leak.

    ``said`` and ``tested`` are the contents of both sets, ``outputs`` the stripped outputs of the training set.
    """
    answers = [expected_text(example.expected).strip() for example in test]
    forms, tested_forms = ([_VARIABLE.sub("#", content) for content in some] for some in (said, tested))
    exact, turns = Index(tested), Index(tested)
    masked = Index(map(_masked, tested, tested_forms))
    for row, (content, form, output) in enumerate(zip(said, forms, outputs, strict=True)):
        exact.add(content, row, output)
        masked.add(_masked(content, form), row, output)
    for row, example in enumerate(training):
        for asked, answered in _earlier_turns(example):
            turns.add(asked, row, answered)
    for row, (content, form, output) in enumerate(zip(tested, tested_forms, answers, strict=True)):
        answer = None if _says(content, _SUBSTANTIAL) or not output else normalized_input(output)
        for first in (
            *exact.find(content, answer),
            *turns.find(content, answer),
            *masked.find(_masked(content, form), output),
        ):
            yield row, first
    forms, tested_forms = ([" ".join(_TOKEN.findall(form)) for form in some] for some in (forms, tested_forms))
    known = outputs if any(answers) else [""] * len(outputs)  # the outputs of a test set that judges score are blank
    yield from _framed(tested_forms, answers, forms, known)
    yield from ((row, first) for first, row in _framed(forms, known, tested_forms, answers))


def copies_but_for_ids(said: Sequence[str], outputs: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield rows that say the same as an earlier one with an equal output, but for ids, long numbers and dates."""
    first_with: dict[tuple[str, str], int] = {}
    for row, (content, output) in enumerate(zip(said, outputs, strict=True)):
        form = _masked(content, _VARIABLE.sub("#", content))
        if form and output and row != (first := first_with.setdefault((form, output), row)):
            yield row, first


def _framed(
    parts: Sequence[str], answers: Sequence[str], wholes: Sequence[str], outputs: Sequence[str]
) -> Iterator[tuple[int, int]]:
    """Yield rows that stand whole within a row with the same output, if the text around them is around others too."""
    around: dict[tuple[str, str], set[str]] = {}
    for part, whole, before, after in contained(parts, wholes):
        if answers[part] == outputs[whole] and _says(parts[part], _SUBSTANTIAL):
            around.setdefault((before, after), set()).add(parts[part])
    frames = [frame for frame, texts in around.items() if len(texts) >= _LEAST and _is_frame(*frame)]
    wanted = [
        f"{answer}\n{part}" if "#" not in part or (answer and _says(part, _SUBSTANTIAL_MASKED)) else ""
        for part, answer in zip(parts, answers, strict=True)
    ]
    yield from sharing(_within(frames, wholes, outputs), wanted if frames else [])


def _is_frame(before: str, after: str) -> bool:
    """Return whether text around others is long, or has a word, and a mark such as ``question:`` on each side."""
    sides = [side.strip("# ") for side in (before, after)]
    marked = all(not side or side.startswith(_MARKS) or side.endswith(_MARKS) for side in sides)
    return _is_long(f"{before} {after}") or (marked and any(map(str.isalnum, before + after)))


def _within(
    frames: Sequence[tuple[str, str]], wholes: Sequence[str], outputs: Sequence[str]
) -> Iterator[tuple[int, str]]:
    """Yield each row with its output and what stands within a frame."""
    for before, after in frames:
        start, end = f"{before} ".lstrip(), f" {after}".rstrip()
        for row, (text, output) in enumerate(zip(wholes, outputs, strict=True)):
            if text.startswith(start) and text.endswith(end):
                yield row, f"{output}\n{text[len(start) : len(text) - len(end)]}"


def _masked(content: str, form: str) -> str:
    """Return the form without ids, long numbers and dates; empty if it has none, or says too little without them."""
    return form if form != content and _says(form, _SUBSTANTIAL_MASKED) else ""


def _earlier_turns(example: Example) -> Iterable[tuple[str, str]]:
    """Yield what the user asked before the last turn of a conversation, with the assistant's answer."""
    if isinstance(example.input, str):
        return
    for asked, answered in pairwise(example.input):
        if asked["role"] == "user" and answered["role"] == "assistant":
            yield plain_text((asked,)), normalized_input(({**answered, "role": "user"},))
