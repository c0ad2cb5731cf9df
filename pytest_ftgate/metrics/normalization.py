"""Differences between two texts that do not count, where a gate says so."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

# Signs that carry meaning where they stand at the edge of a text: "C#", "5%", "-1", "@ana".
_MEANT = frozenset("#%‰&@/\\-")


def _unicode(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _whitespace(text: str) -> str:
    return " ".join(text.split())


def _is_edge(character: str) -> bool:
    if character in _MEANT:
        return False
    return character.isspace() or character == "`" or unicodedata.category(character).startswith("P")


def _punctuation(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _is_edge(text[start]):
        start += 1
    while end > start and _is_edge(text[end - 1]):
        end -= 1
    return text[start:end] or text


_STEPS: Mapping[str, Callable[[str], str]] = {
    "unicode": _unicode,
    "case": str.casefold,
    "whitespace": _whitespace,
    "punctuation": _punctuation,
}

STEPS = tuple(_STEPS)
"""The names of all steps, in the order in which they are taken."""


@dataclass(frozen=True)
class Normalization:
    """Steps that make texts equal which differ only in something that does not count.

    - ``unicode``: compatibility forms (NFKC), so that a full-width letter is its plain one;
    - ``case``: Unicode case folding;
    - ``whitespace``: each run of white space is one space;
    - ``punctuation``: punctuation, quotation marks, brackets and back-quotes around the text are removed. Inside it
      they stay, and so do the signs ``# % & @ / \\ -`` wherever they stand, and a text of nothing but punctuation.
    """

    steps: frozenset[str] = frozenset()

    def __call__(self, text: str) -> str:
        for name, step in _STEPS.items():
            if name in self.steps:
                text = step(text)
        return text

    @property
    def full(self) -> bool:
        return self.steps.issuperset(STEPS)


AS_WRITTEN = Normalization()

FULL = Normalization(frozenset(STEPS))

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_YEAR_FIRST = re.compile(r"([0-9]{4})[-/. ]([0-9]{1,2})[-/. ]([0-9]{1,2})|([0-9]{4})([0-9]{2})([0-9]{2})")

_MIDNIGHT = re.compile(r"[Tt ]00:00(:00(\.0+)?)?(Z|[+-]00:?00)?$")

_DAY_AND_NAME = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th|\.)?\s+([A-Za-z]{3,9})\.?,?\s+([0-9]{4})")

_NAME_AND_DAY = re.compile(r"([A-Za-z]{3,9})\.?\s+([0-9]{1,2})(?:st|nd|rd|th)?,?\s+([0-9]{4})")

_YEAR_LAST = re.compile(r"([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})")

_LONGEST = 40


def iso_date(text: str, *, day_first: bool | None = None) -> str:
    """Return the date that the text is, as ISO 8601 has it; the text itself where it is none.

    Read are ``2026-03-05``, ``2026/3/5``, ``20260305`` (each with a midnight after it), ``5 March 2026``,
    ``March 5th, 2026`` and their like with English months. ``3/5/2026`` is read only where ``day_first`` says which
    of the two is the day.
    """
    short = text.strip()
    if len(short) > _LONGEST:
        return text
    short = _MIDNIGHT.sub("", short)
    if found := _YEAR_FIRST.fullmatch(short):
        year, month, day = (part for part in found.groups() if part is not None)
    elif found := _DAY_AND_NAME.fullmatch(short):
        day, month, year = found[1], _month(found[2]), found[3]
    elif found := _NAME_AND_DAY.fullmatch(short):
        month, day, year = _month(found[1]), found[2], found[3]
    elif day_first is not None and (found := _YEAR_LAST.fullmatch(short)):
        day, month = (found[1], found[2]) if day_first else (found[2], found[1])
        year = found[3]
    else:
        return text
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return text


def _month(name: str) -> str:
    """Return the number of an English month, in full or by its first three letters; 0 of anything else."""
    full = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
            "november", "december")  # fmt: skip
    lower = name.lower()
    known = full.index(lower) if lower in full else _MONTHS.index(lower) if lower in _MONTHS else -1
    return str(known + 1)
