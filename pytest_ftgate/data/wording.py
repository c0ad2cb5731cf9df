"""How messages about data name what they found."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_ftgate.errors import DataError, Where


def located(error: DataError, place: Where) -> DataError:
    """The same error at a place: the file and line that the code which found it does not know."""
    key = error.where.key if error.where is not None else None
    where = dataclasses.replace(place, key=key)
    return DataError(error.what, where=where, evidence=error.evidence, cure=error.cure)


def excerpt(text: str, at: int = 0, width: int = 60) -> str:
    """At most ``width`` characters of the text around position ``at``, on one printable line."""
    start = max(0, min(at - width // 2, len(text) - width))
    piece = "".join(c if c.isprintable() else " " for c in text[start : start + width]).strip()
    rest = text[start + width :].strip()
    return ("..." if start else "") + piece + ("..." if rest else "")


def listed(names: Iterable[Any], at_most: int = 12) -> str:
    """Names with commas between them; those that could be misread stand in quotes."""
    all_names = [str(name) for name in names]
    shown = [name if name.isidentifier() else excerpt(json.dumps(name)) for name in all_names[:at_most]]
    more = len(all_names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") if shown else "none"


def kind_of(value: Any) -> str:
    """What a value is, in JSON's words; in Python's where JSON has none."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    for kind, words in (
        (str, "text"),
        (int | float, "a number"),
        (list | tuple, "a list"),
        (Mapping, "an object"),
    ):
        if isinstance(value, kind):
            return words
    return f"of type {type(value).__name__}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of the names that was most likely meant, if any is near."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1)), None)
