"""Read data files into data sets."""

import csv
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from pytest_ftgate.data import example, formats, strict_json
from pytest_ftgate.data.cells import Table, json_row, read_parquet
from pytest_ftgate.data.formats import FORMATS as ROW_FORMATS
from pytest_ftgate.data.lines import (
    GZIP,
    Lines,
    UnopenedError,
    missing,
    open_lines,
    sha256_of,
    suffix_of,
)
from pytest_ftgate.data.rows import RowReader, collected
from pytest_ftgate.errors import (
    DataError,
    Where,
    located,
    raise_together,
    shown_path,
    without_faults,
)
from pytest_ftgate.text import excerpt, kind_of, listed, nearest, plural

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

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_LARGEST_CELL = 2**31 - 1  # characters; the largest limit that works on every platform


class Opened(NamedTuple):
    """A file that is being read: the number and the values of each row, or why it cannot be read, and its place.

    ``table`` is what holds the rows where their values are not JSON values yet.
    """

    rows: Iterable[tuple[int, Mapping[str, Any]] | DataError]
    place: Callable[[int], Where]
    table: Table | None = None


@contextmanager
def opened(path: Path, file: str | None = None) -> Iterator[Opened]:
    """Open a file that is written as ``file`` says, else its suffix."""
    shown, file = shown_path(path), file or _how(path, None)[0]
    with open_lines(path) as lines:
        if file == "parquet":
            table = read_parquet(lines)
            yield Opened(
                enumerate(table.rows, 1), lambda row: Where(path=f"{shown}, row {row}"), table
            )
        else:
            cells = _DELIMITERS.get(file)
            yield Opened(
                read_cells(lines, cells) if cells else strict_json.read_objects(lines),
                partial(Where, shown),
            )


def load_examples(
    path: Path,
    *,
    format: str | None = None,  # noqa: A002
    fields: Mapping[str, str] | None = None,
    limit: int | None = None,
    labeled: bool = True,
    repeats: bool = False,
) -> example.DataSet:
    """Return all examples of a file, or the first ``limit``; no row is skipped but those that hold no output to learn.

    Args:
        format: one of ``FORMATS``; None: the suffix tells how the file is written, and the first
            row what rows hold.
        fields: what the file calls ``input``, ``expected``, ``id``, ``group``, keys of its format
            or further fields.
        limit: at least 1; the hash is always that of the whole file.
        labeled: every row must have an expected output; otherwise a missing one is the empty text.
        repeats: rows may repeat with all their values, the id too.
    """
    shown, names = shown_path(path), fields or {}
    file, form = _how(path, format)
    if form and (
        clash := [name for name in ("input", "expected") if name in names and name not in form.keys]
    ):
        what = f"fields names {listed(clash)}, but in the format {form.name} they come from {listed(form.keys)}"
        cure = "remove format; fields alone says which columns are used, for example fields: {input: messages}"
        raise DataError(what, where=Where(path=shown, key="fields"), cure=cure)
    reader = RowReader(names, form, labeled=labeled)
    with opened(path, file) as found:
        examples, left_out = collected(_examples(found, reader), limit)
    recognised = reader.described("Parquet" if file == "parquet" else file.upper())
    data = example.DataSet(examples, shown, sha256_of(path), shown, recognised, left_out)
    return example.checked(data, repeats=repeats)


def _examples(found: Opened, reader: RowReader) -> Iterator[example.Example | DataError | None]:
    for row in found.rows:
        if isinstance(row, DataError):
            yield row
            continue
        place = found.place(row[0])
        try:
            yield reader.example(row[1], place, found.table)
        except DataError as error:
            yield located(error, place)


def first_row(path: Path) -> dict[str, Any]:
    """Return the first row of a file; an empty one if it has none."""
    with opened(path) as found:
        return json_row(next((row for _, row in without_faults(found.rows)), {}), found.table)[0]


def _how(path: Path, written: str | None) -> tuple[str, formats.Format | None]:
    """Return how a file is written, by ``format`` or its suffix, and what ``format`` says of its rows."""
    if written is not None and written not in FORMATS:
        near, known = (
            nearest(str(written), FORMATS),
            f"known: {listed(FORMATS, at_most=len(FORMATS))}",
        )
        place, cure = (
            Where(path=shown_path(path), key="format"),
            f'did you mean "{near}"?' if near else None,
        )
        raise DataError(f'unknown format "{written}"', where=place, evidence=known, cure=cure)
    if written in _FILES:
        return written, None
    suffix, form = suffix_of(path), ROW_FORMATS.get(written or "")
    file = next((name for name, suffixes in _FILES.items() if suffix in suffixes), None)
    # of a folder it is said when it is opened
    if file is None and form is None and not os.path.isdir(path):
        if not suffix and not os.path.lexists(path):
            raise missing(path)
        what = (
            f'unknown suffix "{path.suffix}"'
            if suffix
            else "the format is unknown, because the file has no suffix"
        )
        known = f"known: {', '.join(_PLAIN_SUFFIXES)}, each also with .gz"
        cure = f"say how it is written: format: {', '.join([*_FILES][:-1])} or {[*_FILES][-1]}"
        raise UnopenedError(what, where=Where(path=shown_path(path)), evidence=known, cure=cure)
    return file or "jsonl", form


def read_cells(lines: Lines, usual: str) -> Iterator[tuple[int, dict[str, str]] | DataError]:
    """Yield the line number and the cells of each row of CSV, by the names in the header, or why it could not be read.

    Raise :class:`DataError` if a column has two cells, or the rest of the file cannot be divided
    into cells. ``usual`` separates the cells, unless another sign divides the header into more of
    them.
    """
    first = next((text for text in lines if not text.isspace()), "")
    sign = max((usual, ",", ";", "\t", "|"), key=first.count)
    header, line = list[str](), lines.number
    before = csv.field_size_limit(_LARGEST_CELL)  # a global of the process
    try:
        for cells in csv.reader(chain([first], lines), strict=True, delimiter=sign):
            place = Where(path=lines.path, line=line)
            if not header:
                header = cells
                if twice := next((name for name in header if header.count(name) > 1), None):
                    what, cure = (
                        f'the header has the column "{excerpt(twice)}" twice',
                        "give each column its own name",
                    )
                    raise DataError(
                        what, where=place, evidence=f"found: {listed(header)}", cure=cure
                    )
            elif len(cells) == len(header):
                yield line, dict(zip(header, cells, strict=True))
            elif cells and (len(cells) > 1 or not cells[0].isspace()):
                what = f"the row has {plural(len(cells), 'cell')}, and the header {len(header)}"
                cure = "write every cell, including empty ones, and quote cells that contain the separator"
                yield DataError(
                    what, where=place, evidence=f"found: {excerpt(' | '.join(cells))}", cure=cure
                )
            line = lines.number + 1
    except csv.Error as error:
        cure = 'quote cells that contain line breaks or quotes; a quote within a quoted cell is written ""'
        raise DataError(
            f"invalid CSV: {error}", where=Where(path=lines.path, line=line), cure=cure
        ) from None
    finally:
        csv.field_size_limit(before)


# --- tables with any columns
# ------------------------------------------------------------------------------------------


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

    def wrong(self, column: str, wanted: str) -> DataError:
        """Return the error of a cell."""
        value = self.values.get(column)
        shown = isinstance(value, str | int | float) and not isinstance(value, bool)
        found = excerpt(json.dumps(value, ensure_ascii=False)) if shown else kind_of(value)
        return DataError(f"must be {wanted}, got {found}", where=self.at(column))


def read_table(path: Path, required: Collection[str]) -> list[Row]:
    """Return all rows of a file: ``.csv`` is CSV, ``.tsv`` is tab-separated, everything else is JSONL.

    Rows of empty cells, which spreadsheets leave behind, are no rows. Raise :class:`DataError` if
    it cannot be read or has no rows, or rows lack a ``required`` column.
    """
    file = suffix_of(path)[1:]
    with opened(path, file if file in _DELIMITERS else "jsonl") as found:
        filled = (
            one
            for one in without_faults(found.rows)
            if file not in _DELIMITERS or any(one[1].values())
        )
        rows = [Row(one, found.place(line)) for line, one in filled]
    if not rows:
        raise DataError("the file has no rows", where=Where(path=shown_path(path)))
    raise_together(_incomplete(rows, required))
    return rows


def _incomplete(rows: Iterable[Row], required: Collection[str]) -> Iterator[DataError]:
    for row in rows:
        if (
            name := next((name for name in required if row.values.get(name) is None), None)
        ) is not None:
            evidence, cure = f"found: {listed(row.values)}", f"each row needs {listed(required)}"
            yield DataError(f'no field "{name}"', where=row.where, evidence=evidence, cure=cure)
