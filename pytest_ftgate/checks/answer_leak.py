"""A field that reveals the expected output: it holds that output, alone or within words that are always the same, or a
code of it.

A text that contains the answer somewhere, such as the document that a question is about, is not a leak.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.data import expected_text, normalized_input
from pytest_ftgate.text import whole_word

_ENOUGH = 0.9
_MOST_VALUES = 50
_FEWEST_OF_CODE = 3
"""The fewest examples with the same value and output that show a code."""

_CODES_PER_OUTPUT = 3
_LITTLE = 200
"""The most characters around an output."""


@dataclass(frozen=True)
class Telling:
    """Hold how a field reveals the expected outputs.

    Args:
        rows: the examples whose expected output it reveals, counted from 0.
        around: the text before and after the output.
        code: a value that stands for an output, with that output, if the field holds codes; else None.
    """

    rows: tuple[int, ...]
    around: tuple[str, str] = ("", "")
    code: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Frame:
    """Hold the place of a text within a field, and the text around it."""

    place: str
    before: str
    after: str


def telling(values: Sequence[Any], expected: Sequence[Any]) -> Telling | None:
    """Return how a field reveals at least 90 % of the expected outputs beyond chance; None where it does not.

    Chance is the same field with its values shuffled among the examples: a field with a single value reveals nothing.

    ``values`` are the field's in each example; None where it has none.
    """
    asked = [normalized_input(expected_text(one)) for one in expected]
    fields = [dict(_texts(value)) for value in values]
    return _spelled(fields, asked) or _coded(fields, asked)


def _spelled(fields: Sequence[Mapping[str, str]], asked: Sequence[str]) -> Telling | None:
    """Return where the fields hold the outputs within the same words."""
    frames = Counter(frame for texts, one in zip(fields, asked, strict=True) for frame in _frames(texts, one))
    if not frames:
        return None
    frame = frames.most_common(1)[0][0]
    rows = _revealed([_within(texts.get(frame.place, ""), frame) for texts in fields], asked)
    return Telling(rows, (frame.before, frame.after)) if rows else None


def _coded(fields: Sequence[Mapping[str, str]], asked: Sequence[str]) -> Telling | None:
    """Return where the fields hold codes of the outputs: few values, each nearly always with the same output.

    A value that occurs once or twice, such as an id, reveals nothing.
    """
    for place in sorted({place for texts in fields for place in texts}):
        values = [texts.get(place, "") for texts in fields]
        if len(set(values)) > _CODES_PER_OUTPUT * len(set(asked)):
            continue
        codes: dict[str, str] = {}
        for (value, output), count in Counter(zip(values, asked, strict=True)).most_common():
            if count >= _FEWEST_OF_CODE:
                codes.setdefault(value, output)
        if rows := _revealed([codes.get(value) for value in values], asked):
            return Telling(rows, code=(values[rows[0]], asked[rows[0]]))
    return None


def _revealed(revealed: Sequence[str | None], asked: Sequence[str]) -> tuple[int, ...]:
    """Return the examples whose output is revealed; none if that is less than 90 % of what chance leaves to reveal."""
    rows = tuple(row for row, (one, output) in enumerate(zip(revealed, asked, strict=True)) if one == output)
    outputs = Counter(asked)
    by_chance = sum(outputs[one] for one in revealed if one is not None) - len(rows)
    pairs = len(asked) * (len(asked) - 1)
    beyond = len(rows) / len(asked) - by_chance / pairs if pairs else 0
    return () if beyond <= 0 or beyond < _ENOUGH * (1 - by_chance / pairs) else rows


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts in a field, each with its place."""
    if value is None:
        return
    yield place, normalized_input(expected_text(value))
    members: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, Mapping):
        members = iter(list(value.items())[:_MOST_VALUES])
    elif isinstance(value, list | tuple):
        members = iter(list(enumerate(value))[:_MOST_VALUES])
    for key, member in members:
        yield from _texts(member, f"{place}/{key}")


def _frames(texts: Mapping[str, str], expected: str) -> Iterator[_Frame]:
    """Yield where the expected output stands in the texts as whole words, with little else around it."""
    if not expected:
        return
    pattern = re.compile(whole_word(expected))
    for place, text in texts.items():
        if len(text) <= len(expected) + _LITTLE:
            yield from (_Frame(place, text[: one.start()], text[one.end() :]) for one in pattern.finditer(text))


def _within(text: str, frame: _Frame) -> str | None:
    if len(text) <= len(frame.before) + len(frame.after):
        return None
    if not (text.startswith(frame.before) and text.endswith(frame.after)):
        return None
    return text[len(frame.before) : len(text) - len(frame.after)]
