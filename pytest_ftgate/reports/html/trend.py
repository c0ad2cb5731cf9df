"""The page of ``compare``: how gates moved over many reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.reports.html.assets import asset, policy, templates
from pytest_ftgate.reports.html.plots import Dot, Drawn, Interval, trend_plot
from pytest_ftgate.reports.trend import MISSING, Point, Trend
from pytest_ftgate.text import is_share, plural


def trend_page(trends: Sequence[Trend], labels: Sequence[str]) -> Iterator[str]:
    """Yield the page piece by piece: one file that loads nothing and has no script."""
    style = asset("style.css")
    red = sum(trend.verdict != "pass" for trend in trends)
    pieces: Iterator[str] = (
        templates()
        .get_template("trend.html")
        .generate(
            policy=policy(style, ""),
            style=Drawn(style),
            title=f"Trend of {plural(len(trends), 'gate')}, {red:,} not green" if red else "Trend: all gates green",
            count=plural(len(labels), "report"),
            first=labels[0],
            last=labels[-1],
            gates=[
                {"trend": one, "drawn": _drawn(one), "table": one.table(), "remarks": list(remarks_of(one))}
                for one in trends
            ],
        )
    )
    return pieces


def remarks_of(trend: Trend) -> Iterator[tuple[str, str]]:
    """Yield what got worse and what made values incomparable, with the report in which it did."""
    for point in trend.points:
        for text in point.remarks:
            yield point.when, text


def _drawn(trend: Trend) -> Drawn:
    return trend_plot([_dot(point) for point in trend.points], share=is_share(trend.known[-1].metric_range))


def _dot(point: Point) -> Dot:
    result = point.result
    if result is None:
        return Dot(point.when, None, None, MISSING, joined=False)
    gain = None if result.gain is None else Interval("", result.gain, result.lower_bound, result.upper_bound)
    asked = result.margin if result.max_drop is None else -result.max_drop
    return Dot(point.when, gain, asked, result.verdict, point.comparable)
