"""Dates in texts, brought to one form: ``2026-03-05``."""

from __future__ import annotations

import re
from datetime import date

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR_FIRST = re.compile(r"([0-9]{4})[-/. ]([0-9]{1,2})[-/. ]([0-9]{1,2})|([0-9]{4})([0-9]{2})([0-9]{2})")
_MIDNIGHT = re.compile(r"[Tt ]00:00(:00(\.0+)?)?(Z|[+-]00:?00)?$")
_DAY_AND_NAME = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th|\.)?\s+([A-Za-z]{3,9})\.?,?\s+([0-9]{4})")
_NAME_AND_DAY = re.compile(r"([A-Za-z]{3,9})\.?\s+([0-9]{1,2})(?:st|nd|rd|th)?,?\s+([0-9]{4})")
_YEAR_LAST = re.compile(r"([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})")
_LONGEST = 40


def iso_date(text: str, *, day_first: bool | None = None) -> str:
    """The date that the text is, as ISO 8601 has it; the text itself where it is none.

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
    """The number of an English month, in full or by its first three letters; 0 of anything else."""
    full = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
            "november", "december")  # fmt: skip
    lower = name.lower()
    known = full.index(lower) if lower in full else _MONTHS.index(lower) if lower in _MONTHS else -1
    return str(known + 1)
