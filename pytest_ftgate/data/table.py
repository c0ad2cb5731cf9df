"""A table of any columns, as CSV or JSONL: rows with the lines on which they start."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pytest_ftgate.data.csvfile import read_cells
from pytest_ftgate.data.jsonl import read_objects
from pytest_ftgate.data.lines import open_lines
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import listed, nearest_wording


def read_table(path: Path, required: Collection[str]) -> list[tuple[int, dict[str, Any]]]:
    """Return all rows of a file: tab-separated under the suffix ``.tsv``, CSV under ``.csv``, else JSONL.

    Args:
        path: a UTF-8 file.
        required: the columns that every row must have.

    Raises:
        DataError: the file cannot be read, has no rows, or a row lacks a column; names the line.
    """
    with open_lines(path) as lines:
        separator = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower())
        rows = list(read_objects(lines) if separator is None else read_cells(lines, delimiter=separator))
        if not rows:
            raise DataError("has no rows", where=Where(path=lines.path))
    for line, row in rows:
        _check(row, required, Where(path=lines.path, line=line))
    return rows


def _check(row: dict[str, Any], required: Collection[str], where: Where) -> None:
    for name in required:
        if row.get(name) is None:
            near = nearest_wording(name, row)
            raise DataError(
                f'no field "{name}"',
                where=where,
                evidence=f"found: {listed(row)}",
                cure=f'rename "{near}"' if near else f"each row has {listed(required)}",
            )
