"""Read CSV files with a header, separated by commas, semicolons or tabs."""

import csv
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from pytest_ftgate.data.lines import Lines, suffix_of
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import excerpt, listed

DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LARGEST_CELL = 2**31 - 1  # characters; the largest limit that works on every platform

# Part of the message of Python's reader, what it means, and the cure.
_KNOWN_FAULTS = (
    ("unexpected end of data", "a quoted cell is not closed", 'close it with "; a quote within a cell is written ""'),
    ("new-line character", "a carriage return without a line feed", "end lines with line feeds, or quote the cell"),
)


def read_cells(
    lines: Lines, usual: str | None = None, *, check_header: Callable[[list[str]], None] | None = None
) -> Iterator[tuple[int, dict[str, str]] | DataError]:
    """Yield the line number and the cells of each row, by the names in the header, or why it could not be read.

    Raise :class:`DataError` if the header is wrong or ``check_header`` refuses it, or the rest of the file cannot be
    divided into cells. ``usual`` separates the cells, unless another sign divides the header into more of them.
    """
    header: list[str] | None = None
    for line, cells in _rows(lines, usual):
        try:
            if header is not None:
                yield line, _row(header, cells)
                continue
            header = cells
            _check_header(header, check_header)
        except DataError as error:
            placed = located(error, Where(path=lines.path, line=line))
            if cells is header:
                raise placed from None
            yield placed


def csv_header(lines: Lines) -> list[str]:
    """Return the names in the header; an empty list for a file without rows."""
    return next(_rows(lines), (0, []))[1]


def _rows(lines: Lines, usual: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line and the cells of each row; blank lines are not rows."""
    header = next((text for text in lines if not text.isspace()), "")
    usual = usual or DELIMITERS.get(suffix_of(Path(lines.path)), ",")
    reader = csv.reader(chain([header], lines), strict=True, delimiter=_delimiter(header, usual))
    line = lines.number
    while True:
        before = csv.field_size_limit(_LARGEST_CELL)  # a global of the process, so it is raised for one row at a time
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
        line = lines.number + 1


def _delimiter(header: str, usual: str) -> str:
    """Return the sign that divides the header into the most cells."""
    line = header.splitlines()[:1]
    return max((usual, ",", ";", "\t"), key=lambda sign: len(next(csv.reader(line, delimiter=sign), ())))


def _broken(lines: Lines, line: int, error: csv.Error) -> DataError:
    what, cure = f"invalid CSV: {error}", 'a quote within a quoted cell is written ""'
    for sign, known_what, known_cure in _KNOWN_FAULTS:
        if sign in str(error):
            what, cure = known_what, known_cure
    # Of a row on several lines only the last line is known here, which is not where the error is.
    evidence = f"found: {excerpt(lines.text)}" if lines.number == line else None
    return DataError(what, where=Where(path=lines.path, line=line), evidence=evidence, cure=cure)


def _check_header(names: list[str], check: Callable[[list[str]], None] | None) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            f'the header has the column "{excerpt(twice)}" {names.count(twice)} times',
            evidence=f"found: {listed(names)}",
            cure="give each column its own name",
        )
    try:
        if check is not None:
            check(names)
    except DataError as error:
        raise DataError(f"{error.what} in the header", **error.parts()) from None


def _row(header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        too_many = "quote cells that contain the separator"
        too_few = "write every cell, including empty ones"
        raise DataError(
            f"the row has {len(cells)} {'cell' if len(cells) == 1 else 'cells'}, the header {len(header)}",
            evidence=f"found: {excerpt(' | '.join(cells))}",
            cure=too_many if len(cells) > len(header) else too_few,
        )
    return dict(zip(header, cells, strict=True))
