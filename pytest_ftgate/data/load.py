"""Read data files into data sets."""

import csv
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from pytest_ftgate.data.cells import Table, json_row, read_parquet
from pytest_ftgate.data.example import DataSet, Example, check_limit, checked
from pytest_ftgate.data.formats import FORMATS as ROW_FORMATS
from pytest_ftgate.data.formats import Format
from pytest_ftgate.data.lines import GZIP, Lines, UnopenedError, missing, open_lines, suffix_of
from pytest_ftgate.data.rows import RowReader
from pytest_ftgate.data.strict_json import read_objects
from pytest_ftgate.errors import DataError, Where, located, raise_together, shown_path, without_faults
from pytest_ftgate.text import excerpt, kind_of, listed, nearest

_FILES = {
    "jsonl": (".jsonl", ".ndjson", ".jsonlines", ".json-lines"),
    "json": (".json",),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "parquet": (".parquet",),
}
FORMATS = (*_FILES, *ROW_FORMATS)
"""What ``format:`` may be: how a file is written, or what its rows hold."""

_PLAIN_SUFFIXES = tuple(suffix for suffixes in _FILES.values() for suffix in suffixes)
SUFFIXES = (*_PLAIN_SUFFIXES, *(suffix + GZIP for suffix in _PLAIN_SUFFIXES))
"""Suffixes that tell how a file is written."""

_TITLES = {"jsonl": "JSONL", "json": "JSON", "csv": "CSV", "tsv": "TSV", "parquet": "Parquet"}


class Opened(NamedTuple):
    """A file that is being read: the number and the values of each row, or why it cannot be read.

    ``sha256`` is the hex digest of the whole file, once its rows were read; ``lines`` are those of a text file, and
    ``table`` is what holds the rows where their values are not JSON values yet.
    """

    rows: Iterable[tuple[int, Mapping[str, Any]] | DataError]
    place: Callable[[int], Where]
    sha256: Callable[[], str]
    table: Table | None = None
    lines: Lines | None = None


@contextmanager
def opened(path: Path, file: str | None = None, reader: RowReader | None = None) -> Iterator[Opened]:
    """Open a file that is written as ``file`` says, else its suffix; ``reader`` checks the header of CSV."""
    shown, file = shown_path(path), file or _how(path, None)[0]
    with open_lines(path) as lines:
        if file == "parquet":
            table = read_parquet(lines)
            rows_at = lambda row: Where(path=f"{shown}, row {row}")  # noqa: E731
            yield Opened(enumerate(table.rows, 1), rows_at, lines.sha256, table)
        elif file in ("csv", "tsv"):
            header = None if reader is None else reader.check_header
            rows = read_cells(lines, "\t" if file == "tsv" else None, check_header=header)
            yield Opened(rows, partial(Where, shown), lines.sha256, lines=lines)
        else:
            yield Opened(read_objects(lines), partial(Where, shown), lines.sha256, lines=lines)


def load_examples(
    path: Path,
    *,
    format: str | None = None,  # noqa: A002
    fields: Mapping[str, str] | None = None,
    limit: int | None = None,
    labeled: bool = True,
    repeats: bool = False,
) -> DataSet:
    """Return all examples of a file, or the first ``limit``; no row is skipped but those that hold no output to learn.

    Args:
        format: one of ``FORMATS``; None: the suffix tells how the file is written, and the first row what rows hold.
        fields: what the file calls ``input``, ``expected``, ``id``, ``group``, keys of its format or further fields.
        limit: at least 1; the hash is always that of the whole file.
        labeled: every row must have an expected output; otherwise a missing one is the empty text.
        repeats: rows may repeat with all their values, the id too.
    """
    shown, names = shown_path(path), fields or {}
    check_limit(limit, shown)
    file, form = _how(path, format)
    _check_fields(form, names, shown)
    reader = RowReader(names, form, labeled=labeled)
    with opened(path, file, reader) as found:
        examples, left_out = _kept(reader.examples(found.rows, found.place, found.table), limit)
        sha256, is_empty = found.sha256(), found.lines is not None and not found.lines.number
    absent = DataError("the file is empty" if is_empty else "the file has no rows", where=Where(path=shown))
    recognised = reader.described(_TITLES[file])
    return checked(DataSet(examples, shown, sha256, shown, recognised, left_out), "row", absent, repeats=repeats)


def _kept(rows: Iterable[Example | DataError | None], limit: int | None) -> tuple[tuple[Example, ...], int]:
    """Return the examples, and how many rows before the last of them are left out. Raise the errors together."""
    left_out = 0

    def examples() -> Iterator[Example | DataError]:
        nonlocal left_out
        for row in rows:
            if row is None:
                left_out += 1
            else:
                yield row

    return tuple(without_faults(islice(examples(), limit))), left_out


def _check_fields(form: Format | None, fields: Mapping[str, str], shown: str) -> None:
    clash = [name for name in ("input", "expected") if name in fields and form and name not in form.keys]
    if form and clash:
        raise DataError(
            f"fields names {listed(clash)}, but in the format {form.name} they come from {listed(form.keys)}",
            where=Where(path=shown, key="fields"),
            cure="remove format; fields alone says which columns are used, for example fields: {input: messages}",
        )


def first_row(path: Path) -> dict[str, Any]:
    """Return the first row of a file; an empty one if it has none."""
    with opened(path) as found:
        return json_row(next((row for _, row in without_faults(found.rows)), {}), found.table)[0]


def _how(path: Path, written: str | None) -> tuple[str, Format | None]:
    """Return how a file is written, by ``format`` or its suffix, and what ``format`` says of its rows."""
    suffix = suffix_of(path)
    if written is not None and written not in FORMATS:
        near = nearest(str(written), FORMATS)
        raise DataError(
            f'unknown format "{written}"',
            where=Where(path=shown_path(path), key="format"),
            evidence=f"known: {listed(FORMATS, at_most=len(FORMATS))}",
            cure=f'did you mean "{near}"?' if near else None,
        )
    form = ROW_FORMATS.get(written or "")
    if written in _FILES:
        return written, None
    if os.path.isdir(path):  # which is said when it is opened
        return "jsonl", form
    file = next((name for name, suffixes in _FILES.items() if suffix in suffixes), None)
    if file is None and form is None and not suffix and not os.path.lexists(path):
        raise missing(path)
    if file is None and form is None:
        raise UnopenedError(
            f'unknown suffix "{path.suffix}"' if suffix else "the format is unknown, because the file has no suffix",
            where=Where(path=shown_path(path)),
            evidence=f"known: {', '.join(_PLAIN_SUFFIXES)}, each also with .gz",
            cure=f"say how it is written: format: {', '.join([*_FILES][:-1])} or {[*_FILES][-1]}",
        )
    return file or "jsonl", form


# --- CSV with a header, separated by commas, semicolons, tabs or | ----------------------------------------------------

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


def _rows(lines: Lines, usual: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line and the cells of each row; blank lines are not rows."""
    filled = (text for text in lines if not text.isspace())
    header = next(filled, "")
    if declared := re.fullmatch(r"sep=(\t|[^\w\s\"])\s*", header):  # by a spreadsheet
        header = next(filled, "")
    usual = usual or DELIMITERS.get(suffix_of(Path(lines.path)), ",")
    sign = declared[1] if declared else _delimiter(header, usual)
    reader = csv.reader(chain([header], lines), strict=True, delimiter=sign)
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
    return max((usual, ",", ";", "\t", "|"), key=lambda sign: len(next(csv.reader(line, delimiter=sign), ())))


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
        parts = error.parts()
        if re.match(r"#\s*\w", names[0]) or (len(names) == 1 and not names[0].isidentifier()):
            parts["cure"] = "the first line must name the columns, separated by commas, semicolons, tabs or |"
        raise DataError(f"{error.what} in the header", **parts) from None


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


# --- tables with any columns ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table and its place."""

    values: Mapping[str, Any]
    where: Where

    def at(self, column: str) -> Where:
        """Return the place of a cell."""
        return replace(self.where, key=column)

    def text(self, column: str) -> str:
        """Return the text of a cell. Raise :class:`DataError` if it holds another value."""
        value = self.values[column]
        if not isinstance(value, str):
            raise self.wrong(column, "text")
        return value

    def wrong(self, column: str, wanted: str, *, value: Any = None, cure: str | None = None) -> DataError:
        """Return the error of a cell; ``value`` is shown instead of the cell's own value."""
        value = self.values.get(column) if value is None else value
        found = f'"{excerpt(value)}"' if isinstance(value, str) else kind_of(value)
        return DataError(f"must be {wanted}, got {found}", where=self.at(column), cure=cure)


def read_table(path: Path, required: Collection[str]) -> list[Row]:
    """Return all rows of a file: ``.csv`` is CSV, ``.tsv`` is tab-separated, everything else is JSONL.

    Rows of empty cells, which spreadsheets leave behind, are no rows.
    Raise :class:`DataError` if it cannot be read or has no rows, or rows lack a ``required`` column.
    """
    cells = suffix_of(path) in DELIMITERS
    with opened(path, suffix_of(path)[1:] if cells else "jsonl") as found:
        filled = (one for one in without_faults(found.rows) if not cells or any(one[1].values()))
        rows = [Row(one, found.place(line)) for line, one in filled]
    if not rows:
        raise DataError("the file has no rows", where=Where(path=shown_path(path)))
    raise_together(_incomplete(rows, required))
    return rows


def _incomplete(rows: Iterable[Row], required: Collection[str]) -> Iterator[DataError]:
    for row in rows:
        name = next((name for name in required if row.values.get(name) is None), None)
        if name is not None:
            near = nearest(name, row.values)
            cure = f'rename "{near}"' if near else f"each row needs {listed(required)}"
            yield DataError(f'no field "{name}"', where=row.where, evidence=f"found: {listed(row.values)}", cure=cure)
