"""A gate in several reports: a row for each, for people's formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ftgate.reports.table import Bars, Column, Table, columns
from pytest_ftgate.reports.tables import span
from pytest_ftgate.result import GateResult
from pytest_ftgate.text import is_share, show_change, show_value

MISSING = "missing"


@dataclass(frozen=True)
class Point:
    """A gate in one report, which may lack it.

    ``when`` is the time of the report, or its file; ``commit`` has the first digits of the commit. ``remarks`` say what
    got worse since the report before, and why values are not ``comparable`` with those before.
    """

    when: str
    commit: str
    result: GateResult | None
    remarks: tuple[str, ...] = ()
    comparable: bool = True


@dataclass(frozen=True)
class Trend:
    """A gate over time."""

    name: str
    points: tuple[Point, ...]

    @property
    def known(self) -> Sequence[GateResult]:
        """Return the results of the reports that have the gate; there is at least one."""
        return [point.result for point in self.points if point.result is not None]

    @property
    def verdict(self) -> str:
        """Return the verdict in the last report."""
        last = self.points[-1].result
        return MISSING if last is None else last.verdict

    @property
    def title(self) -> str:
        """Return the metric, and the unit of gains."""
        last = self.known[-1]
        return f"{last.metric or 'gain'}{' (gain in points)' if is_share(last.metric_range) else ''}"

    def table(self) -> Table:
        """Return a row per report: value of both models, gain, lower bound, verdict."""
        headings = columns(("report", "commit"), ("baseline", "candidate", "gain", "lower bound"))
        rows, bars = tuple(zip(*map(_row, self.points), strict=True))
        return Table(self.title, (*headings, Column("verdict", "status")), rows, bars)


def _row(point: Point) -> tuple[tuple[str, ...], Bars]:
    result = point.result
    if result is None:
        return (point.when, point.commit, "-", "-", "-", "-", MISSING), Bars(None, None, 0.0, 1.0)
    share = is_share(result.metric_range)
    values = result.baseline.value, result.candidate.value
    shown = (show_value(value, share=share) for value in values)
    changes = (show_change(one, share=share) for one in (result.gain, result.lower_bound))
    bars = Bars(*values, *span(values, result.metric_range))
    return (point.when, point.commit, *shown, *changes, result.verdict), bars
