"""Read data files into data sets."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pytest_ftgate.data.arrow import is_saved, read_arrow, read_parquet, read_saved
from pytest_ftgate.data.cells import Table
from pytest_ftgate.data.columns import Forms
from pytest_ftgate.data.csvfile import check_header, csv_header, delimiter_of, read_cells
from pytest_ftgate.data.example import DataSet, Example, check_ids
from pytest_ftgate.data.faults import without_faults
from pytest_ftgate.data.formats import FORMATS as ROW_FORMATS
from pytest_ftgate.data.formats import Format, LeftOut
from pytest_ftgate.data.jsonl import read_array, read_objects
from pytest_ftgate.data.lines import GZIP, Lines, UnopenedError, open_lines, suffix_of
from pytest_ftgate.data.row import examples_of, told_left_out, without_left_out
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.text import kind_of, listed, nearest

_FILES = {
    "jsonl": (".jsonl", ".ndjson", ".jsonlines", ".json-lines"),
    "json": (".json",),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "parquet": (".parquet",),
    "arrow": (".arrow",),
}
FORMATS = (*_FILES, *ROW_FORMATS)
"""What ``format:`` may be: how a file is written, or what its rows hold."""

_PLAIN_SUFFIXES = tuple(suffix for suffixes in _FILES.values() for suffix in suffixes)
SUFFIXES = (*_PLAIN_SUFFIXES, *(suffix + GZIP for suffix in _PLAIN_SUFFIXES))
"""Suffixes that tell how a file is written."""


TABLES = {"parquet": read_parquet, "arrow": read_arrow}
_FOLDER = "folder"
_TITLES = {"jsonl": "JSONL", "json": "JSON", "csv": "CSV", "tsv": "TSV", "parquet": "Parquet", "arrow": "Arrow"}
_TITLES[_FOLDER] = "folder of save_to_disk"


class _How(NamedTuple):
    """How a file is written, and what its rows hold; None: they tell it by their keys."""

    file: str
    form: Format | None


def load_examples(
    path: Path,
    *,
    format: str | None = None,  # noqa: A002
    fields: Mapping[str, str] | None = None,
    limit: int | None = None,
    labeled: bool = True,
) -> DataSet:
    """Return all examples of a file, or the first ``limit``; no row is skipped but those that hold no output to learn.

    Args:
        path: a file, or a folder that ``datasets.save_to_disk`` wrote.
        format: one of ``FORMATS``; None: the suffix tells how the file is written, and the first row what rows hold.
        fields: what the file calls ``input``, ``expected``, ``id``, ``group``, other keys of its format or a further
            field.
        limit: at least 1; the hash is always that of the whole file.
        labeled: every row must have an expected output; otherwise a missing one is the empty text.

    Raise :class:`DataError` if the file cannot be read, or rows are not examples; names file and lines.
    """
    shown, names, left_out = shown_path(path), fields or {}, Counter[str]()
    check_limit(limit, shown)
    how = _how(path, format)
    _check_fields(how, names, shown)
    forms = Forms(names, how.form, labeled=labeled)
    if how.file == _FOLDER:
        table, sha256 = read_saved(path)
        examples, is_empty = _kept(_of_table(table, shown, forms), limit, left_out), False
    else:
        with open_lines(path) as lines:
            examples = _kept(examples_in(lines, forms, how.file, delimiter_of(path)), limit, left_out)
            sha256, is_empty = lines.sha256(), not lines.number and how.file not in TABLES
    if not examples and left_out:
        raise DataError("no row holds an output to learn", where=Where(path=shown), evidence=told_left_out(left_out))
    if not examples:
        raise DataError("the file is empty" if is_empty else "the file has no rows", where=Where(path=shown))
    data = DataSet(examples, shown, sha256, shown, forms.described(_TITLES[how.file]), left_out)
    check_ids(data)
    return data


def examples_in(
    lines: Lines, forms: Forms, file: str = "jsonl", delimiter: str | None = None
) -> Iterator[Example | LeftOut | DataError]:
    """Yield the example, or the error, of each row of a file, or why it is left out; ``delimiter``: of cells."""
    if file in TABLES:
        return _of_table(TABLES[file](lines), lines.path, forms)
    return examples_of(rows_in(lines, file, delimiter, forms), partial(Where, lines.path), forms)


def rows_in(
    lines: Lines, file: str, delimiter: str | None = None, forms: Forms | None = None
) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield number and values of each row of a text file, or why it cannot be read; ``forms`` check a header."""
    if file in ("csv", "tsv"):
        check = None if forms is None else partial(check_header, forms=forms)
        return read_cells(lines, delimiter="\t" if file == "tsv" else delimiter or ",", check_header=check)
    return read_array(lines) if file == "json" else read_objects(lines)


def _of_table(table: Table, shown: str, forms: Forms) -> Iterator[Example | LeftOut | DataError]:
    return examples_of(enumerate(table.rows, 1), lambda number: Where(path=f"{shown}, row {number}"), forms, table)


def _kept(
    rows: Iterable[Example | LeftOut | DataError], limit: int | None, left_out: Counter[str]
) -> tuple[Example, ...]:
    """Return the examples, after counting why others are left out. Raise the errors together."""
    return tuple(without_faults(islice(without_left_out(rows, left_out), limit)))


def _check_fields(how: _How, fields: Mapping[str, str], shown: str) -> None:
    clash = [name for name in ("input", "expected") if name in fields and how.form and name not in how.form.keys]
    if how.form is not None and clash:
        raise DataError(
            f"fields names {listed(clash)}, but in the format {how.form.name} they come from {listed(how.form.keys)}",
            where=Where(path=shown, key="fields"),
            cure="remove format; fields alone says which columns are used, for example fields: {input: messages}",
        )


def column_names(path: Path) -> list[str]:
    """Return the column names of a file: the header of CSV, or the keys of the first row of other files."""
    file = _how(path, None).file
    if file == _FOLDER:
        return next((list(row) for row in read_saved(path)[0].rows), [])
    with open_lines(path) as lines:
        if file in ("csv", "tsv"):
            return csv_header(lines, delimiter=delimiter_of(path) or ",")
        if file in TABLES:
            return next((list(row) for row in TABLES[file](lines).rows), [])
        return next((list(row) for _, row in without_faults(rows_in(lines, file))), [])


def check_limit(limit: Any, path: str) -> None:
    """Raise :class:`DataError` unless the limit is None or a whole number of at least 1."""
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1):
        return
    found = limit if isinstance(limit, int | float) and not isinstance(limit, bool) else kind_of(limit)
    raise DataError(f"must be a whole number of at least 1, got {found}", where=Where(path=path, key="limit"))


def _how(path: Path, written: str | None) -> _How:
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
    if is_saved(path):
        return _How(_FOLDER, form)
    if written in _FILES:
        return _How(written, None)
    if os.path.isdir(path):  # which is said when it is opened
        return _How("jsonl", form)
    file = next((name for name, suffixes in _FILES.items() if suffix in suffixes), None)
    if file is None and form is None:
        raise UnopenedError(
            f'unknown suffix "{path.suffix}"' if suffix else "the format is unknown, because the file has no suffix",
            where=Where(path=shown_path(path)),
            evidence=f"known: {', '.join(_PLAIN_SUFFIXES)}, each also with .gz",
            cure=f"say how it is written: format: {', '.join([*_FILES][:-1])} or {[*_FILES][-1]}",
        )
    return _How(file or "jsonl", form)
