"""What the values of metrics are made of, for reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.result import BreakdownResult

if TYPE_CHECKING:
    from pytest_ftgate.measure import Measured

MOST_ROWS = 200


def breakdown_results(scored: Mapping[str, Measured]) -> tuple[BreakdownResult, ...]:
    """The tables of all metrics that have one, metric by metric, at most 200 rows each.

    Args:
        scored: the models that are reported, by role: "baseline", and "candidate" where there is one.
    """
    return tuple(_results(scored))


def _results(scored: Mapping[str, Measured]) -> Iterator[BreakdownResult]:
    for metric in next(iter(scored.values())).scores:
        for role, one in scored.items():
            table = one.scores[metric].breakdown
            if table is not None:
                rows = table.rows[:MOST_ROWS]
                yield BreakdownResult(metric, role, table.title, table.columns, rows, table.shares)
