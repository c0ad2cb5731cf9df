"""The errors of all rows of a file, raised as one error."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

from pytest_ftgate.errors import DataError

_T = TypeVar("_T")

_NAMED = 3
"""Errors that are named besides the first; further ones are only counted."""


def without_faults(rows: Iterable[_T | DataError]) -> Iterator[_T]:
    """Yield the rows up to the first error.

    Then read the rest and raise one error for all of them.
    """
    rows = iter(rows)
    for row in rows:
        if isinstance(row, DataError):
            raise_together(chain([row], _errors_in(rows)))
        else:
            yield row


def _errors_in(rows: Iterator[_T | DataError]) -> Iterator[DataError]:
    try:
        yield from (row for row in rows if isinstance(row, DataError))
    except DataError as error:  # the rest of the file cannot be read
        yield error


def raise_together(errors: Iterable[DataError]) -> None:
    """Raise the first error, if there is one.

    Its evidence names the next few and counts the others.
    """
    errors = iter(errors)
    first = next(errors, None)
    if first is None:
        return

    # Many rows are often wrong for one reason, which is said once.
    named = []
    for error in islice(errors, _NAMED):
        place = str(error.where)
        if error.what != first.what:
            place += f" ({error.what})"
        named.append(place)

    lines = [first.evidence] if first.evidence else []
    if named:
        also = f"also wrong: {', '.join(named)}"
        n_more = sum(1 for _ in errors)
        lines.append(f"{also} and {n_more:,} more" if n_more else also)
    raise DataError(first.what, **first.parts(evidence="\n".join(lines) or None))
