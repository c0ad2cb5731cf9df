"""The one kind of table that every report shows, and how it looks as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Kind = Literal["text", "number", "status"]

_UNTOLD = {"", "-", "unknown"}


class Column(NamedTuple):
    """What stands above a column, and whether it holds text, which begins, or numbers, which end, below each other.

    A ``status`` is text that may be a verdict; such a column needs no heading.
    """

    heading: str
    kind: Kind = "number"


def columns(texts: Iterable[str], numbers: Iterable[str] = ()) -> tuple[Column, ...]:
    """Return columns of text, and after them columns of numbers."""
    return (*(Column(text, "text") for text in texts), *map(Column, numbers))


class Bars(NamedTuple):
    """The two values of a row, to be drawn from ``low`` to ``high``."""

    baseline: float | None
    candidate: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Table:
    """Cells of one line each, which whoever shows them makes harmless. Without rows there is nothing to show.

    A row of one cell stands alone on its line; ``bars`` are a picture a row, or none.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    bars: tuple[Bars, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows)

    def told(self) -> Table:
        """Return it without the columns that say nothing, but for the first two."""
        return self.only(
            column
            for column in range(len(self.columns))
            if column < 2 or any(row[column] not in _UNTOLD for row in self.rows)
        )

    def only(self, columns: Iterable[int]) -> Table:
        """Return it with these columns alone."""
        kept = list(columns)
        rows = tuple(tuple(row[column] for column in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[column] for column in kept), rows=rows)

    def lines(self, indent: str = "") -> list[str]:
        """Return a line of headings and one a row, the columns below each other; nothing without rows."""
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
