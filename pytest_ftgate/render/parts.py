"""Guards, slices and labels as tables, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from pytest_ftgate.numbers import is_share, show_difference, show_value
from pytest_ftgate.result import GateResult, GuardResult, LabelResult, SliceResult, Status
from pytest_ftgate.safe import printable

_NAME_WIDTH = 40
_MOST = 5
_RED: tuple[Status | None, ...] = ("fail", "error", "inconclusive", "warning")

RowT = TypeVar("RowT", GuardResult, SliceResult, LabelResult)


def part_lines(result: GateResult, *, full: bool) -> Iterator[str]:
    """A table each of guards, slices and labels; unless ``full`` only the slices that do not hold, at most five."""
    if full:
        yield from _table("guard", result.guards, lambda one: _guard(one))
    share = is_share(result.metric_range)
    shown = result.slices if full else [one for one in result.slices if one.verdict in _RED][:_MOST]
    yield from _table("slice", shown, lambda one: _slice(one, share))
    if full:
        yield from _table("label", result.labels, _label)


def part_cells(result: GateResult) -> dict[str, list[list[str]]]:
    """The same tables in full, as cells below a row of headings, by ``guard``, ``slice`` and ``label``."""
    share = is_share(result.metric_range)
    cells = {
        "guard": _cells("guard", result.guards, _guard),
        "slice": _cells("slice", result.slices, lambda one: _slice(one, share)),
        "label": _cells("label", result.labels, _label),
    }
    return {what: table for what, table in cells.items() if len(table) > 1}


def _guard(one: GuardResult) -> list[str]:
    share = is_share(one.metric_range)
    values = [show_value(value, share=share) for value in (one.baseline, one.candidate)]
    change, lower, upper = (_difference(x, share) for x in (one.gain, one.lower_bound, one.upper_bound))
    return [f"{one.name} ({one.metric})", _count(one.n), *values, change, lower, upper, one.verdict or "not measured"]


def _slice(one: SliceResult, share: bool) -> list[str]:
    values = [show_value(value, share=share) for value in (one.baseline, one.candidate)]
    change, lower, upper = (_difference(x, share) for x in (one.gain, one.lower_bound, one.upper_bound))
    return [f"{one.field}={one.value}", _count(one.n), *values, change, lower, upper, one.verdict or one.note or ""]


def _label(one: LabelResult) -> list[str]:
    values = [show_value(value, share=True) for value in (one.baseline, one.candidate)]
    return [one.label, _count(one.n), *values, _difference(one.change, share=True), "", "", ""]


def _difference(value: float | None, share: bool) -> str:
    return "-" if value is None else show_difference(value, share=share).removesuffix(" points")


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _table(what: str, rows: Sequence[RowT], cells: Callable[[RowT], list[str]]) -> Iterator[str]:
    if not rows:
        return
    table = _cells(what, rows, cells)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    words = {column for column, heading in enumerate(table[0]) if column == 0 or not heading}
    for row in table:
        texts = (cell.ljust(widths[i]) if i in words else cell.rjust(widths[i]) for i, cell in enumerate(row))
        yield ("  " + "  ".join(texts)).rstrip()


def _cells(what: str, rows: Sequence[RowT], cells: Callable[[RowT], list[str]]) -> list[list[str]]:
    """Without the columns that say nothing."""
    header = [what, "n", "baseline", "candidate", "change", "at least", "at most", ""]
    table = [header, *([printable(cell, _NAME_WIDTH) for cell in cells(row)] for row in rows)]
    told = [column for column in range(len(header)) if column < 2 or any(row[column] for row in table[1:])]
    return [[row[column] for column in told] for row in table]
