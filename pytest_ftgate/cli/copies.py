"""Copies of data files with some of their rows, beside the originals and with their suffix."""

import csv
import gzip
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pytest_ftgate.data import DataSet, cells, first_row, load, load_examples
from pytest_ftgate.data.faults import without_faults
from pytest_ftgate.data.rows import RowReader, paths_of
from pytest_ftgate.errors import ConfigError, DataError, Where, shown_path
from pytest_ftgate.files import write_whole

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_GZIP = ".gz"


@dataclass(frozen=True)
class Source:
    """A loaded data file; ``fields`` are the columns that the user names."""

    path: Path
    data: DataSet
    fields: Mapping[str, str]


def read_sources(
    paths: Sequence[Path], columns: Mapping[str, str], *, repeats: bool = False
) -> list[Source]:
    """Read data files.

    Args:
        paths: the files.
        columns: the columns of ``input``, ``expected`` or ``group`` that the user names; a file
            without one of them is read as if it was not named.
        repeats: a row may repeat, with its id.

    Raises:
        DataError: a file cannot be read, or no file has such a column.
    """
    sources = []
    names_of_all: list[str] = []
    for path in paths:
        row = first_row(path)
        names = list(dict.fromkeys((*row, *dict(paths_of(row)))))
        names_of_all += names
        fields = {key: column for key, column in columns.items() if column in names}
        try:
            RowReader(fields).recognized(row)
        except DataError as error:
            fix = "Name the columns: --input COLUMN --expected COLUMN"
            where = Where(shown_path(path))
            raise DataError(error.what, where=where, evidence=error.evidence, cure=fix) from None
        sources.append(Source(path, load_examples(path, fields=fields, repeats=repeats), fields))

    for key, column in columns.items():
        if column not in names_of_all:
            message = f"no column {column!r} in the data files"
            evidence = f"Columns: {', '.join(names_of_all)}"
            raise DataError(message, where=Where(key=f"--{key}"), evidence=evidence)
    return sources


@dataclass(frozen=True)
class Copy:
    """A copy of a data file.

    Attributes:
        path: where it is written.
        original: the data file.
        kept: the examples that the copy has.
        has_others: whether it has the rows, too, that are no example, without an output to learn.
    """

    path: Path
    original: Source
    kept: Set[int]
    has_others: bool = False

    def content(self) -> bytes:
        """Return the content of the copy, which is written as the original is."""
        path = self.path
        is_packed = path.suffix == _GZIP
        if is_packed:
            path = path.with_suffix("")

        rows = list(_rows_of(self))
        if path.suffix == ".parquet":
            content = _parquet(self.original.path, [number for number, _ in rows])
        else:
            text = _text([row for _, row in rows], path.suffix)
            # a lone surrogate, which UTF-8 cannot hold, is escaped as in JSON
            content = text.encode(errors="backslashreplace")
        return gzip.compress(content, mtime=0) if is_packed else content


def path_of(original: Path, word: str) -> Path:
    """Return the path of a copy: ``data/all.csv.gz`` and ``train`` give ``data/all.train.csv.gz``.

    Raises:
        ConfigError: the file exists.
    """
    suffix = original.suffix
    if suffix == _GZIP:
        suffix = original.with_suffix("").suffix + suffix
    path = original.with_name(f"{original.name.removesuffix(suffix)}.{word}{suffix}")
    if os.path.lexists(path):
        message = "the file exists, and nothing was written"
        raise ConfigError(message, where=Where(shown_path(path)), cure="Move or delete it.")
    return path


def write_copies(copies: Iterable[Copy]) -> None:
    """Write copies.

    Raises:
        ConfigError: one cannot be written.
    """
    contents = {copy.path: copy.content() for copy in copies}
    try:
        for path, content in contents.items():
            write_whole(path, [content])
    except OSError as error:
        raise ConfigError(f"cannot write the files: {error}") from None


def _rows_of(copy: Copy) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the rows of a copy, each with its number in the file, from 0."""
    reader = RowReader(copy.original.fields)
    n_examples = 0
    with load.opened(copy.original.path) as file:
        for number, (_, raw) in enumerate(without_faults(file.rows)):
            row = raw
            if file.table is not None:
                # JSON has no dates or decimals: they are read as text
                good, _ = cells.json_row(raw, file.table)
                row = {**raw, **good}

            is_kept = copy.has_others
            if reader.example(row, Where(copy.original.data.path)) is not None:
                is_kept = n_examples in copy.kept
                n_examples += 1
            if is_kept:
                yield number, raw


def _text(rows: Sequence[Mapping[str, Any]], suffix: str) -> str:
    if suffix in _SEPARATORS:
        text = io.StringIO()
        separator = _SEPARATORS[suffix]
        writer = csv.DictWriter(text, list(rows[0]), delimiter=separator, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    if suffix == ".json":
        return "[\n" + ",\n".join(lines) + "\n]\n"
    return "".join(f"{line}\n" for line in lines)


def _parquet(path: Path, numbers: Sequence[int]) -> bytes:
    """Return a table with some rows of another one, with its types."""
    pyarrow = import_module("pyarrow")
    parquet = import_module("pyarrow.parquet")
    content = path.read_bytes()
    if path.suffix == _GZIP:
        content = gzip.decompress(content)
    table = parquet.read_table(pyarrow.BufferReader(content))
    buffer = io.BytesIO()
    parquet.write_table(table.take(numbers), buffer)
    return buffer.getvalue()
