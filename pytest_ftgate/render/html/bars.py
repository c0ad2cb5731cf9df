"""Two thin bars for a cell of a table whose other cells say the numbers."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_ftgate.render.html.drawn import Drawn, element

_WIDTH = 160.0
_HEIGHT = 20.0
_LEAST = 1.5


def pair_bars(baseline: float | None, candidate: float | None, span: tuple[float, float]) -> Drawn:
    """The baseline above the candidate, both from the low end of ``span``."""
    bars = [
        element("rect", x=0, y=y, width=_length(value, span), height=8, class_=f"bar {kind}")
        for value, y, kind in ((baseline, 1, "base"), (candidate, 11, "cand"))
        if value is not None
    ]
    rail = element("line", x1=0.5, y1=0, x2=0.5, y2=_HEIGHT, class_="axis")
    return element("svg", *bars, rail, class_="bars", viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}", aria_hidden="true")


def span_of(values: Sequence[float | None], metric_range: tuple[float, float] | None) -> tuple[float, float]:
    """The metric's own range where it has one, else as far as the values go from 0."""
    if metric_range is not None and all(abs(end) < float("inf") for end in metric_range):
        return metric_range
    known = [value for value in values if value is not None] or [1.0]
    low, high = min(0.0, *known), max(0.0, *known)
    return (low, high) if high > low else (0.0, 1.0)


def _length(value: float, span: tuple[float, float]) -> float:
    low, high = span
    return max(_LEAST, _WIDTH * min(max((value - low) / (high - low), 0.0), 1.0))
