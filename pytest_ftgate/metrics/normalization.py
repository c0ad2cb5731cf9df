"""Normalization of texts before they are compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial

# Characters that have a meaning at the edge of a text: "C#", "5%", "-1", "@ana".
_MEANT = frozenset("#%‰&@/\\-")


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
    "unicode": partial(unicodedata.normalize, "NFKC"),
    "case": str.casefold,
    "whitespace": lambda text: " ".join(text.split()),
    "punctuation": _punctuation,
}
STEPS = tuple(_STEPS)
"""The names of all steps, in the order in which they run."""


@dataclass(frozen=True)
class Normalization:
    """Steps that remove differences which do not count.

    - ``unicode``: apply NFKC, so that a full-width letter equals the plain one;
    - ``case``: apply Unicode case folding;
    - ``whitespace``: replace each run of white space by one space;
    - ``punctuation``: strip punctuation, quotation marks, brackets and backticks around the text. Those inside it stay,
      and so do ``# % & @ / \\ -`` everywhere, and a text of nothing but punctuation.
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

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_LONGEST = 40
_MIDNIGHT = re.compile(r"[Tt ]00:00(:00(\.0+)?)?(Z|[+-]00:?00)?$")
_DATES = (
    re.compile(r"(?P<y>[0-9]{4})[-/. ](?P<m>[0-9]{1,2})[-/. ](?P<d>[0-9]{1,2})"),
    re.compile(r"(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})"),
    re.compile(r"(?P<d>[0-9]{1,2})(?:st|nd|rd|th|\.)?\s+(?P<m>[A-Za-z]{3,9})\.?,?\s+(?P<y>[0-9]{4})"),
    re.compile(r"(?P<m>[A-Za-z]{3,9})\.?\s+(?P<d>[0-9]{1,2})(?:st|nd|rd|th)?,?\s+(?P<y>[0-9]{4})"),
)
_YEAR_LAST = {
    True: re.compile(r"(?P<d>[0-9]{1,2})[-/. ](?P<m>[0-9]{1,2})[-/. ](?P<y>[0-9]{4})"),
    False: re.compile(r"(?P<m>[0-9]{1,2})[-/. ](?P<d>[0-9]{1,2})[-/. ](?P<y>[0-9]{4})"),
}


def iso_date(text: str, *, day_first: bool | None = None) -> str:
    """Return a date in ISO 8601 format; text that is not a date is returned unchanged.

    Accepted are ``2026-03-05``, ``2026/3/5``, ``20260305`` (each may be followed by midnight), ``5 March 2026``,
    ``March 5th, 2026`` and similar forms with English months. ``3/5/2026`` is read only if ``day_first`` is set.
    """
    short = text.strip()
    if len(short) > _LONGEST:
        return text
    short = _MIDNIGHT.sub("", short)
    forms = _DATES if day_first is None else (*_DATES, _YEAR_LAST[day_first])
    found = next((match for form in forms if (match := form.fullmatch(short))), None)
    try:
        return text if found is None else date(int(found["y"]), _month(found["m"]), int(found["d"])).isoformat()
    except ValueError:
        return text


def _month(written: str) -> int:
    """Return the number of a month given as a number or an English name (or its first three letters); otherwise 0."""
    if written.isdigit():
        return int(written)
    return next((n for n, name in enumerate(_MONTHS, 1) if written.lower() in (name, name[:3])), 0)
