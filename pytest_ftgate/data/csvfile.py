"""CSV with a header; tab-separated under the suffix .tsv."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_ftgate.data.columns import Columns, check_columns
from pytest_ftgate.data.lines import Lines
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import excerpt, listed

DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LARGEST_CELL = 2**31 - 1  # characters; the most that every platform takes

_SEPARATORS = {";": "semicolons", "\t": "tabs (those take the suffix .tsv)", "|": "bars"}
# What Python's reader says, and what that means.
_KNOWN_FAULTS = (
    ("unexpected end of data", "a quoted cell is never closed", 'close it with "; within a cell write ""'),
    ("new-line character", "a carriage return stands alone", "end lines with line feeds, or put the cell in quotes"),
)


def delimiter_of(path: Path) -> str | None:
    """Return what separates cells, by the file's suffix; None where that is not one of CSV."""
    return DELIMITERS.get(path.suffix.lower())


def read_cells(
    lines: Lines, *, delimiter: str = ",", check_header: Callable[[list[str]], None] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Give each row's line and its cells, all of them text, by the names in the header."""
    header: list[str] | None = None
    for line, cells in _rows(lines, delimiter):
        try:
            if header is not None:
                yield line, _row(header, cells)
                continue
            header = _distinct(cells)
            if check_header is not None:
                check_header(header)
        except DataError as error:
            raise located(error, Where(path=lines.path, line=line)) from None


def csv_header(lines: Lines, *, delimiter: str = ",") -> list[str]:
    """Return the names in the header; none in a file without rows."""
    return next((cells for _, cells in _rows(lines, delimiter)), [])


def _rows(lines: Lines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Give each row's first line and its cells, and nothing for a blank line."""
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    while True:
        line = lines.number + 1
        before = csv.field_size_limit(_LARGEST_CELL)  # it holds for the whole process: lifted for one row at a time
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _broken(lines, line, error) from None
        finally:
            csv.field_size_limit(before)
        if cells is None:
            return
        if cells and not (len(cells) == 1 and lines.text.isspace()):
            yield line, cells


def _broken(lines: Lines, line: int, error: csv.Error) -> DataError:
    what, cure = f"is not CSV: {error}", 'a quote within a quoted cell is written ""'
    for sign, known_what, known_cure in _KNOWN_FAULTS:
        if sign in str(error):
            what, cure = known_what, known_cure
    # Of a row on many lines only the last is at hand, and that is not where it went wrong.
    evidence = f"found: {excerpt(lines.text)}" if lines.number == line else None
    return DataError(what, where=Where(path=lines.path, line=line), evidence=evidence, cure=cure)


def _distinct(names: list[str]) -> list[str]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            f'the header has the column "{excerpt(twice)}" {names.count(twice)} times',
            evidence=f"found: {listed(names)}",
            cure="give each column a name of its own",
        )
    return names


def check_header(names: list[str], columns: Columns) -> None:
    """Refuse a header that lacks a column."""
    try:
        check_columns(names, columns)
    except DataError as error:
        between = next((words for sign, words in _SEPARATORS.items() if len(names) == 1 and sign in names[0]), None)
        cure = f"the columns seem to be separated by {between}: separate them with commas" if between else error.cure
        raise DataError(f"{error.what} in the header", evidence=error.evidence, cure=cure) from None


def _row(header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        too_many = "put cells that hold the separator in quotes"
        too_few = "write all cells, those without content too"
        raise DataError(
            f"the row has {len(cells)} {'cell' if len(cells) == 1 else 'cells'}, the header {len(header)}",
            evidence=f"found: {excerpt(' | '.join(cells))}",
            cure=too_many if len(cells) > len(header) else too_few,
        )
    return dict(zip(header, cells, strict=True))
