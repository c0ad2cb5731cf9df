"""Read tables with any columns from CSV or JSONL."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_ftgate.data.csvfile import DELIMITERS, read_cells
from pytest_ftgate.data.jsonl import read_objects
from pytest_ftgate.data.lines import open_lines, suffix_of
from pytest_ftgate.errors import DataError, Where, raise_together, without_faults
from pytest_ftgate.text import excerpt, kind_of, listed, nearest


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
    with open_lines(path) as lines:
        found = without_faults(read_cells(lines) if cells else read_objects(lines))
        rows = [Row(one, Where(path=lines.path, line=line)) for line, one in found if not cells or any(one.values())]
        if not rows:
            raise DataError("the file has no rows", where=Where(path=lines.path))
    raise_together(_incomplete(rows, required))
    return rows


def _incomplete(rows: Iterable[Row], required: Collection[str]) -> Iterator[DataError]:
    for row in rows:
        name = next((name for name in required if row.values.get(name) is None), None)
        if name is not None:
            near = nearest(name, row.values)
            cure = f'rename "{near}"' if near else f"each row needs {listed(required)}"
            yield DataError(f'no field "{name}"', where=row.where, evidence=f"found: {listed(row.values)}", cure=cure)
