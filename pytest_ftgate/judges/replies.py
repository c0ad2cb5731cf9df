"""A judge's answer, read strictly: the one JSON object that was asked for, or its bare value. Nothing is guessed."""

from __future__ import annotations

import re
from typing import Any, Literal

from pytest_ftgate.data.jsonl import parse_object
from pytest_ftgate.errors import DataError

Better = Literal["A", "B", "tie"]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_LETTERS: tuple[Better, ...] = ("A", "B", "tie")


def read_score(text: str, low: float, high: float) -> float | None:
    """Return the score in ``{"score": 4}`` or ``4``; None of anything else, and outside of the scale."""
    stripped = text.strip()
    value = float(stripped) if _NUMBER.fullmatch(stripped) else _only(stripped, "score")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if low <= value <= high else None


def read_better(text: str) -> Better | None:
    """Return the letter in ``{"better": "A"}`` or ``A``; None where the answer is anything else."""
    stripped = text.strip()
    value = stripped if stripped in _LETTERS else _only(stripped, "better")
    return next((letter for letter in _LETTERS if value == letter), None)


def _only(text: str, key: str) -> Any:
    """Return the value of an object's one key."""
    try:
        found = parse_object(text)
    except DataError:
        return None
    return found[key] if found.keys() == {key} else None
