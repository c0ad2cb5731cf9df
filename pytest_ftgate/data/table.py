"""A table of any columns, as CSV or JSONL: rows with the lines on which they start."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_ftgate.data.csvfile import delimiter_of, read_cells
from pytest_ftgate.data.jsonl import read_objects
from pytest_ftgate.data.lines import open_lines
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import excerpt, kind_of, listed, nearest


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, and where it stands."""

    values: Mapping[str, Any]
    where: Where

    def at(self, column: str) -> Where:
        return replace(self.where, key=column)

    def text(self, column: str) -> str:
        value = self.values[column]
        if not isinstance(value, str):
            raise self.wrong(column, "text")
        return value

    def wrong(self, column: str, wanted: str, *, value: Any = None, cure: str | None = None) -> DataError:
        """Return the error of a cell that does not hold what is wanted; ``value``: in place of what it holds."""
        value = self.values.get(column) if value is None else value
        found = f'"{excerpt(value)}"' if isinstance(value, str) else kind_of(value)
        return DataError(f"must be {wanted}, is {found}", where=self.at(column), cure=cure)


def read_table(path: Path, required: Collection[str]) -> list[Row]:
    """Return all rows of a file, each with all columns that are ``required``: tab-separated under the suffix ``.tsv``,
    CSV under ``.csv``, else JSONL.
    """
    with open_lines(path) as lines:
        separator = delimiter_of(path)
        found = read_objects(lines) if separator is None else read_cells(lines, delimiter=separator)
        rows = [Row(values, Where(path=lines.path, line=line)) for line, values in found]
        if not rows:
            raise DataError("has no rows", where=Where(path=lines.path))
    for row in rows:
        name = next((name for name in required if row.values.get(name) is None), None)
        if name is not None:
            near = nearest(name, row.values)
            cure = f'rename "{near}"' if near else f"each row has {listed(required)}"
            raise DataError(f'no field "{name}"', where=row.where, evidence=f"found: {listed(row.values)}", cure=cure)
    return rows
