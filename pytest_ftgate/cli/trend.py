"""The command ``compare`` with many reports: how value, bound and verdict of each gate moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from pytest_ftgate.cli.compare import GateMoves, compare_reports, full_name, matched, outcome
from pytest_ftgate.cli.report_file import ForeignError, ReportFile, read_report
from pytest_ftgate.errors import ConfigError, DataError, Where, shown_path, write_whole
from pytest_ftgate.reports.html.page import remarks_of, trend_page
from pytest_ftgate.reports.trend import Point, Trend
from pytest_ftgate.result import GateResult
from pytest_ftgate.text import plural, printable, wrapped

_COMMIT = 7
_NAME_WIDTH = 60
_PATH_WIDTH = 24
_NAMED = 10
_INCOMPARABLE = ("test set", "metric")
"""Changes after which a gain cannot be compared with those before."""


def read_reports(paths: Sequence[Path]) -> list[ReportFile]:
    """Read two reports or more; a folder stands for all in it and below, by name, without its other JSON files."""
    found = [one for path in paths for one in (_of_folder(path) if path.is_dir() else [read_report(path)])]
    if len(found) < 2:
        cure = "Name two reports or more, or a folder of them."
        what = f"needs at least two reports, got {plural(len(found), 'report')}"
        raise DataError(what, where=Where(shown_path(paths[0])), cure=cure)
    return found


def _of_folder(folder: Path) -> Iterator[ReportFile]:
    for file in sorted(folder.rglob("*.json")):
        with suppress(ForeignError):
            yield read_report(file)


def in_order(reports: Sequence[ReportFile]) -> list[ReportFile]:
    """Return reports by their time; as they were given if one has no time."""
    times = [report.written for report in reports]
    return list(reports) if None in times else sorted(reports, key=lambda report: str(report.written))


def trends(reports: Sequence[ReportFile]) -> tuple[list[Trend], list[GateMoves]]:
    """Return the trend of each gate, those of the last report first, and what changed in the last report.

    Each result is compared with the one before it, also where reports without the gate lie between.
    """
    gates = matched(reports)
    steps: list[dict[str, GateMoves]] = []
    last = gates[0]  # as in the last report that has it, because a gate may be missing for a while
    for (before, after), (there, now) in zip(pairwise(reports), pairwise(gates), strict=True):
        old = {key: result for key, result in last.items() if key in there or key in now}
        steps.append({gate.name: gate for gate in compare_reports(before, after, (old, now))})
        last = {**last, **{key: _carried(last.get(key), result) for key, result in now.items()}}
    found = []
    for key in dict.fromkeys(key for of_report in reversed(gates) for key in of_report):
        points = []
        for number, (report, of_report) in enumerate(zip(reports, gates, strict=True)):
            step = steps[number - 1].get(full_name(key)) if number else None
            moves = step.moves if step is not None else ()
            apart = [move for move in moves if move.what in _INCOMPARABLE]
            told = [move for move in moves if move.mark in ("worse", "loosened") or move in apart]
            remarks = tuple(f"{f'{move.mark}: ' if move.mark else ''}{move.what} {move.text}" for move in told)
            commit = (report.commit or "")[:_COMMIT]
            points.append(Point(label(report), commit, of_report.get(key), remarks, comparable=not apart))
        found.append(Trend(full_name(key), tuple(points)))
    return found, list(steps[-1].values())


def _carried(old: GateResult | None, new: GateResult) -> GateResult:
    """Return the result that the next one is compared with; an error may know neither its metric nor its test set."""
    if old is None:
        return new
    test_set = new.test_set if new.test_set.sha256 else old.test_set
    return replace(new, metric=new.metric or old.metric, test_set=test_set)


def label(report: ReportFile) -> str:
    """Return the time of a report, to the minute; its path if it has none."""
    return report.written[:16].replace("T", " ") if report.written else printable(report.path[-_PATH_WIDTH:])


def trend_lines(reports: Sequence[ReportFile], found: Sequence[Trend], last: Sequence[GateMoves]) -> Iterator[str]:
    """Yield a table per gate, what got worse in it, and what got worse in the last report."""
    yield from wrapped(f"{plural(len(reports), 'report')}, {label(reports[0])} to {label(reports[-1])} (UTC)")
    untimed = [report.path for report in reports if report.written is None]
    if untimed:
        yield from wrapped(f"in the order given, because {untimed[0]} does not say when it was written")
    yield from wrapped(partial_reports(reports))
    for trend in found:
        yield ""
        yield from wrapped(f"{printable(trend.name, _NAME_WIDTH)}: {trend.title}")
        yield from trend.table().compact().lines()
        for when, text in remarks_of(trend):
            yield from wrapped(f"{when} {text}", "  ", "    ")
    yield from ("", *wrapped(f"last report: {outcome(last)}"))


def partial_reports(reports: Sequence[ReportFile]) -> str:
    """Return which reports are partial; empty if none is."""
    partial = [label(report) for report in reports if report.partial]
    more = f" and {len(partial) - _NAMED:,} more" if len(partial) > _NAMED else ""
    named = f"{', '.join(partial[:_NAMED])}{more}"
    return f"{plural(len(partial), 'partial report')} (ftgate_required was not enforced): {named}" if partial else ""


def write_page(path: Path, reports: Sequence[ReportFile], found: Sequence[Trend]) -> None:
    """Write the trend as a page, which needs Jinja2."""
    if find_spec("jinja2") is None:
        cure = "pip install 'pytest-ftgate[report]'"
        raise ConfigError("an HTML page needs Jinja2", where=Where("--html"), cure=cure)
    try:
        write_whole(path, trend_page(found, [label(report) for report in reports], partial_reports(reports)))
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=Where(shown_path(path))) from error
