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
    header = [what, "n", "baseline", "candidate", "change", "at least", "at most", ""]
    table = [header, *([printable(cell, _NAME_WIDTH) for cell in cells(row)] for row in rows)]
    told = [column for column in range(len(header)) if column < 2 or any(row[column] for row in table[1:])]
    widths = {column: max(len(row[column]) for row in table) for column in told}
    for row in table:
        texts = (_padded(row[column], widths[column], column, len(header)) for column in told)
        yield ("  " + "  ".join(texts)).rstrip()


def _padded(cell: str, width: int, column: int, columns: int) -> str:
    return cell.ljust(width) if column in (0, columns - 1) else cell.rjust(width)
