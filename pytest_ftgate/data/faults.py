"""The errors of all rows of a file, raised as one error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from pytest_ftgate.errors import DataError

_NAMED = 3
"""Errors that are named besides the first; further ones are only counted."""

_T = TypeVar("_T")


def without_faults(rows: Iterable[_T | DataError]) -> Iterator[_T]:
    """Yield the rows up to the first error; then read the rest and raise one error for all of them."""
    rows = iter(rows)
    for row in rows:
        if isinstance(row, DataError):
            raise_together(_errors_from(row, rows))
        else:
            yield row


def _errors_from(first: DataError, rows: Iterator[_T | DataError]) -> Iterator[DataError]:
    yield first
    try:
        yield from (row for row in rows if isinstance(row, DataError))
    except DataError as error:  # the rest of the file cannot be read
        yield error


def raise_together(errors: Iterable[DataError]) -> None:
    """Raise the first error, if there is one; its evidence names the next few and counts the others."""
    first: DataError | None = None
    others: list[str] = []
    count = 0
    for error in errors:
        count += 1
        if first is None:
            first = error
        elif len(others) < _NAMED:
            others.append(f"{error.where}" + (f" ({error.what})" if error.what != first.what else ""))
    if first is None:
        return
    rest = count - 1 - len(others)
    also = f"also wrong: {', '.join(others)}{f' and {rest:,} more' if rest else ''}" if others else None
    raise DataError(first.what, **first.parts(evidence="\n".join(filter(None, (first.evidence, also))) or None))
