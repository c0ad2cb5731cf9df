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

from pytest_ftgate.data import documents, example, formats, strict_json
from pytest_ftgate.data.cells import Table, json_row, read_parquet
from pytest_ftgate.data.faults import raise_together, without_faults
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
from pytest_ftgate.data.rows import ColumnsError, RowReader, collected, part_of
from pytest_ftgate.data.yaml_nodes import parse_yaml
from pytest_ftgate.errors import DataError, Where, located, shown_path
from pytest_ftgate.text import excerpt, kind_of, listed, nearest, plural

_FILES = {
    "jsonl": (".jsonl", ".ndjson", ".jsonlines", ".json-lines"),
    "json": (".json",),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "parquet": (".parquet",),
    "yaml": (".yaml", ".yml"),
}
FORMATS = (*_FILES, *ROW_FORMATS)
"""What ``format:`` may be: how a file is written, or what its rows hold."""

_PLAIN_SUFFIXES = tuple(suffix for suffixes in _FILES.values() for suffix in suffixes)
SUFFIXES = (*_PLAIN_SUFFIXES, *(suffix + GZIP for suffix in _PLAIN_SUFFIXES))
"""Suffixes that tell how a file is written."""

_WORKBOOKS = (b"PK\3\4", b"\xd0\xcf\x11\xe0")
_WORKBOOK = "this is an Excel workbook or another archive, and not a table of text"
_AS_CSV = "save the sheet as CSV, or let a fixture return pandas.read_excel(PATH)"
"""The first bytes of workbooks, whatever their names, and what is said of them."""

CELLS = {"csv": ",", "tsv": "\t"}
"""Files whose cells are text, and what usually separates them."""

_LARGEST_CELL = 2**31 - 1  # characters; the largest limit that works on every platform


class Opened(NamedTuple):
    """A file that is being read: the number and the values of each row, or its error.

    ``table`` is what holds the rows where their values are not JSON values yet.
    """

    rows: Iterable[tuple[int, Mapping[str, Any]] | DataError]
    place: Callable[[int], Where]
    table: Table | None = None


@contextmanager
def opened(
    path: Path,
    file: str | None = None,
    form_of: documents.FormOf = formats.format_of,
) -> Iterator[Opened]:
    """Open a file that is written as ``file`` says, else its suffix.

    ``form_of`` tells the rows of a JSON object from its other lists.
    """
    name = shown_path(path)
    if file is None:
        file, _ = _how(path, None)

    with open_lines(path) as lines:
        file_object: Any = lines.file
        if file_object.peek(8).startswith(_WORKBOOKS):
            raise DataError(_WORKBOOK, where=Where(path=name), cure=_AS_CSV)
        if file == "parquet":
            table = read_parquet(lines)
            rows = enumerate(table.rows, 1)
            yield Opened(rows, lambda row: Where(path=f"{name}, row {row}"), table)
        elif file in CELLS:
            yield Opened(read_cells(lines, CELLS[file]), partial(Where, name))
        elif file == "yaml":
            yield _placed(_rows_of_yaml(lines, form_of), name)
        elif file == "json" and (placed := _rows_of_document(lines, form_of)) is not None:
            yield _placed(placed, name)
        else:
            lines.rewind()
            yield Opened(strict_json.read_objects(lines), partial(Where, name))


def _rows_of_document(lines: Lines, form_of: documents.FormOf) -> list[documents.PlacedRow] | None:
    """Return the rows of a file that is one JSON object; None for a file of rows."""
    document = strict_json.read_document(lines)
    try:
        if document is None or form_of(document) is not None:
            return None
        return documents.rows_in(document, form_of)
    except DataError as error:
        raise located(error, Where(path=lines.path)) from None


def _rows_of_yaml(lines: Lines, form_of: documents.FormOf) -> list[documents.PlacedRow]:
    """Return the rows of a file that is one YAML mapping, or a list of rows."""
    root = parse_yaml("".join(lines), lines.path)
    value = None if root is None else root.value
    document = {"rows": value} if isinstance(value, list) else value
    try:
        rows = documents.rows_in(document, form_of) if isinstance(document, dict) else None
    except DataError as error:
        raise located(error, Where(path=lines.path)) from None
    if rows is None:
        cure = "write a list of rows, such as - {input: ..., expected: ...}"
        raise DataError("holds no rows", where=Where(path=lines.path), cure=cure)
    return rows


def _placed(rows: list[documents.PlacedRow], name: str) -> Opened:
    return Opened(
        ((number, row.values) for number, row in enumerate(rows)),
        lambda number: Where(path=f"{name}, {rows[number].place}"),
    )


def load_examples(
    path: Path,
    *,
    format: str | None = None,  # noqa: A002
    fields: Mapping[str, str] | None = None,
    limit: int | None = None,
    labeled: bool = True,
    repeats: bool = False,
    by_turn: bool = False,
) -> example.DataSet:
    """Return all examples of a file, or the first ``limit``.

    No row is skipped but those that hold no output to learn.

    Args:
        format: one of ``FORMATS``; None: the suffix tells how the file is written, and the first
            row what rows hold.
        fields: what the file calls ``input``, ``expected``, ``id``, ``group``, keys of its format
            or further fields.
        limit: at least 1; the hash is always that of the whole file.
        labeled: every row must have an expected output; otherwise a missing one is the empty text.
        repeats: rows may repeat with all their values, the id too.
        by_turn: rows are conversations, of which each turn of the assistant is an example.
    """
    name = shown_path(path)
    fields = fields or {}
    file, form = _how(path, format)
    if form is not None:
        _check_fields(fields, form, name)

    reader = RowReader(fields, form, labeled=labeled, by_turn=by_turn)
    with opened(path, file) as source:
        rows = _examples(source, reader, file)
        examples, left_out = collected(rows, limit, by_turn=by_turn)

    recognized = reader.described("Parquet" if file == "parquet" else file.upper())
    data = example.DataSet(
        examples,
        path=name,
        sha256=sha256_of(path),
        origin=name,
        recognized=recognized,
        left_out=left_out,
        by_turn=by_turn,
    )
    return example.checked(data, repeats=repeats)


def _check_fields(fields: Mapping[str, str], form: formats.Format, name: str) -> None:
    """Raise :class:`DataError` if fields name a part that the format reads from its own keys."""
    clash = [key for key in ("input", "expected") if key in fields and key not in form.keys]
    if clash:
        message = (
            f"fields names {listed(clash)}, but in the format {form.name} they come from "
            f"{listed(form.keys)}"
        )
        cure = (
            "remove format; fields alone says which columns are used, for example "
            "fields: {input: messages}"
        )
        raise DataError(message, where=Where(path=name, key="fields"), cure=cure)


def _examples(
    source: Opened, reader: RowReader, file: str
) -> Iterator[example.Example | DataError | None]:
    for row in source.rows:
        if isinstance(row, DataError):
            yield row
            continue

        number, values = row
        place = source.place(number)
        try:
            yield reader.example(values, place, source.table)
        except ColumnsError as error:
            if file not in (*CELLS, "parquet"):
                yield located(error, place)
                continue
            # All rows of a table have the same columns: one error is enough.
            cure = error.cure
            if file != "parquet" and not any(map(part_of, values)):
                header = "if the first line is a row, write a header above it (input,expected)"
                cure = f"{header}; else {cure}"
            raise DataError(error.what, **error.parts(where=place, cure=cure)) from None
        except DataError as error:
            yield located(error, place)


def first_row(path: Path) -> dict[str, Any]:
    """Return the first row of a file; an empty one if it has none."""
    with opened(path) as source:
        for _, row in without_faults(source.rows):
            values, _ = json_row(row, source.table)
            return values
    return {}


def file_of(path: Path, otherwise: str) -> str:
    """Return how a file is written, by its suffix."""
    suffix = suffix_of(path)
    for file, suffixes in _FILES.items():
        if suffix in suffixes:
            return file
    return otherwise


def _how(path: Path, written: str | None) -> tuple[str, formats.Format | None]:
    """Return how a file is written, by ``format`` or suffix, and the format of its rows."""
    if written in _FILES:
        return written, None
    form = ROW_FORMATS.get(written or "")
    if written is not None and form is None:
        near = nearest(str(written), FORMATS)
        raise DataError(
            f'unknown format "{written}"',
            where=Where(path=shown_path(path), key="format"),
            evidence=f"known: {listed(FORMATS, at_most=len(FORMATS))}",
            cure=f'did you mean "{near}"?' if near else None,
        )

    # Rows of a format may be in a file of any kind.
    file = file_of(path, "")
    if file:
        return file, form
    # A folder is refused when it is opened.
    if form is None and not os.path.isdir(path):
        raise _unknown_suffix(path, suffix_of(path))
    return "jsonl", form


def _unknown_suffix(path: Path, suffix: str) -> DataError:
    """Return the error that the suffix of a file does not tell how it is written."""
    if not suffix and not os.path.lexists(path):
        return missing(path)

    message = "the format is unknown, because the file has no suffix"
    evidence = f"known: {', '.join(_PLAIN_SUFFIXES)}, each also with .gz"
    *names, last_name = _FILES
    cure = (
        f"say how it is written (format: {', '.join(names)} or {last_name}), or let a fixture "
        "such as ftgate_test_set read it and return a pandas.DataFrame"
    )
    if suffix:
        message = f'unknown suffix "{path.suffix}"'
    if suffix in (".xlsx", ".xls", ".ods"):
        message, evidence, cure = _WORKBOOK, "", _AS_CSV
    return UnopenedError(message, where=Where(path=shown_path(path)), evidence=evidence, cure=cure)


def read_cells(lines: Lines, usual: str) -> Iterator[tuple[int, dict[str, str]] | DataError]:
    """Yield the line and the cells by column of each row of CSV, or why it could not be read.

    Raise :class:`DataError` if a column has two cells, or the rest of the file cannot be divided
    into cells. ``usual`` separates the cells, unless another sign divides the header into more of
    them.
    """
    # Spreadsheets write semicolons where a comma is the decimal sign.
    first = next((text for text in lines if not text.isspace()), "")
    sign = max((usual, ",", ";", "\t"), key=first.count)
    header: list[str] = []
    line = lines.number

    usual_limit = csv.field_size_limit(_LARGEST_CELL)  # a global of the process
    try:
        for cells in csv.reader(chain([first], lines), strict=True, delimiter=sign):
            place = Where(path=lines.path, line=line)
            if not header:
                _check_header(cells, place)
                header = cells
            elif len(cells) == len(header):
                yield line, dict(zip(header, cells, strict=True))
            elif cells and (len(cells) > 1 or not cells[0].isspace()):
                yield _uneven(cells, header, place)
            line = lines.number + 1
    except csv.Error as error:
        cure = (
            "quote cells that contain line breaks or quotes; a quote within a quoted cell is "
            'written ""'
        )
        where = Where(path=lines.path, line=line)
        raise DataError(f"invalid CSV: {error}", where=where, cure=cure) from None
    finally:
        csv.field_size_limit(usual_limit)


def _check_header(header: list[str], place: Where) -> None:
    for name in header:
        if header.count(name) > 1:
            raise DataError(
                f'the header has the column "{excerpt(name)}" twice',
                where=place,
                evidence=f"found: {listed(header)}",
                cure="give each column its own name",
            )


def _uneven(cells: list[str], header: list[str], place: Where) -> DataError:
    return DataError(
        f"the row has {plural(len(cells), 'cell')}, and the header {len(header)}",
        where=place,
        evidence=f"found: {excerpt(' | '.join(cells))}",
        cure="write every cell, including empty ones, and quote cells that contain the separator",
    )


# --- tables with any columns ----------------------------------------------------------------------


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

    def wrong(self, column: str, required: str) -> DataError:
        """Return the error of a cell."""
        value = self.values.get(column)
        text = kind_of(value)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            text = excerpt(json.dumps(value, ensure_ascii=False))
        return DataError(f"must be {required}, got {text}", where=self.at(column))


def read_table(path: Path, required: Collection[str]) -> list[Row]:
    """Return all rows of a file, which is JSONL unless its suffix is ``.csv`` or ``.tsv``.

    Rows of empty cells, which spreadsheets leave behind, are no rows. Raise :class:`DataError` if
    it cannot be read or has no rows, or rows lack a ``required`` column.
    """
    file = suffix_of(path)[1:]
    has_cells = file in CELLS
    rows = []

    with opened(path, file if has_cells else "jsonl") as source:
        for line, values in without_faults(source.rows):
            if not has_cells or any(values.values()):
                rows.append(Row(values, source.place(line)))
    if not rows:
        raise DataError("the file has no rows", where=Where(path=shown_path(path)))
    raise_together(_incomplete(rows, required))
    return rows


def _incomplete(rows: Iterable[Row], required: Collection[str]) -> Iterator[DataError]:
    for row in rows:
        for name in required:
            if row.values.get(name) is None:
                evidence = f"found: {listed(row.values)}"
                cure = f"each row needs {listed(required)}"
                yield DataError(f'no field "{name}"', where=row.where, evidence=evidence, cure=cure)
                break
