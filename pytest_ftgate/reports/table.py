"""The table that all reports share, and its layout as lines of text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Kind = Literal["text", "number", "status"]

_EMPTY = {"", "-", "unknown"}


class Column(NamedTuple):
    """The heading of a column and the kind of its cells: text is aligned left, numbers right.

    A ``status`` is text that may be a verdict; its heading may be empty.
    """

    heading: str
    kind: Kind = "number"


def columns(texts: Iterable[str], numbers: Iterable[str] = ()) -> tuple[Column, ...]:
    """Return columns of text followed by columns of numbers."""
    return (*(Column(text, "text") for text in texts), *map(Column, numbers))


class Bars(NamedTuple):
    """The two values of a row, drawn on an axis from ``low`` to ``high``."""

    baseline: float | None
    candidate: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Table:
    """Rows of one-line cells, which each report escapes itself. A table without rows is false and is not shown.

    A row with a single cell spans the table. ``bars`` and ``noise``, whether a row has too few examples, are empty or
    have one entry per row. A page may fold a table that ``folds``.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    bars: tuple[Bars, ...] = ()
    noise: tuple[bool, ...] = ()
    folds: bool = False

    def __bool__(self) -> bool:
        return bool(self.rows)

    def compact(self) -> "Table":
        """Return the table without empty columns; the first two columns stay."""
        return self.only(
            column
            for column in range(len(self.columns))
            if column < 2 or any(row[column] not in _EMPTY for row in self.rows)
        )

    def only(self, columns: Iterable[int]) -> "Table":
        """Return the table with only these columns."""
        kept = list(columns)
        rows = tuple(tuple(row[column] for column in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[column] for column in kept), rows=rows)

    def lines(self, indent: str = "") -> list[str]:
        """Return a line of headings and a line per row, with aligned columns; empty without rows."""
        if not self:
            return []
        cells: list[Sequence[str]] = [[column.heading for column in self.columns], *self.rows]
        widths = [max(len(row[i]) for row in cells if len(row) > 1) for i in range(len(self.columns))]
        sides = [">" if column.kind == "number" else "<" for column in self.columns]
        return [
            (
                indent
                + "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=False))
            ).rstrip()
            for row in cells
        ]
