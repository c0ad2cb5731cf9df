"""How a measure is distributed over the answers of one or two models, one above the other on the same axis."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pytest_ftgate.numbers import plural
from pytest_ftgate.render.html.drawn import Drawn, element, figure, line, text
from pytest_ftgate.render.html.scale import Scale, scale_of

_WIDTH = 320.0
_SIDE = 12.0
_HEAD = 46.0
_PANEL = 54.0
_AXIS = 22.0
_BINS = 38
_CHARACTER = 6.5
"""How wide one is drawn, at the most; words are measured by the browser, which is not here."""


@dataclass(frozen=True)
class Series:
    """The values of one model, and some of them with their names (``p50``)."""

    name: str
    values: Sequence[float]
    marks: Sequence[tuple[str, float]] = field(default=())
    kind: str = "base"


def histogram(title: str, series: Sequence[Series], show: Callable[[float], str]) -> Drawn | None:
    """``None`` where the values are all the same, or there are none: then words say more."""
    values = [value for one in series for value in one.values]
    if len(set(values)) < 2:
        return None
    axis = scale_of(values, _SIDE, _WIDTH - _SIDE)
    height = _HEAD + _PANEL
    panels = [part for row, one in enumerate(series) for part in _panel(one, height * row, axis, show)]
    bottom = height * len(series)
    counted = all(float(value).is_integer() for value in values)
    ticks = list(_ticks(axis, bottom + 15, show, whole=counted))
    said = "; ".join(in_words(one, show) for one in series)
    scaled = " (logarithmic axis)" if axis.log else ""
    return figure(_WIDTH, bottom + _AXIS, f"{title}{scaled}", said, *panels, *ticks, kind="histogram")


def in_words(one: Series, show: Callable[[float], str]) -> str:
    """``candidate: 226 answers, p50 23 ms, p95 252 ms, from 11 ms to 1.2 s``."""
    if not one.values:
        return f"{one.name}: not known"
    low, high = show(min(one.values)), show(max(one.values))
    counted = f"{one.name}: {plural(len(one.values), 'answer')}"
    if min(one.values) == max(one.values):
        return f"{counted}, all {low}"
    marks = "".join(f", {name} {show(value)}" for name, value in one.marks)
    return f"{counted}{marks}, from {low} to {high}"


def _panel(one: Series, top: float, axis: Scale, show: Callable[[float], str]) -> list[Drawn]:
    floor = top + _HEAD + _PANEL
    counts = _counts(one.values, axis)
    most = max(counts) or 1
    width = (axis.end - axis.start) / _BINS
    bars = [
        element(
            "rect",
            element("title", f"{one.name}: {plural(count, 'answer')}"),
            x=axis.start + width * number + 0.5, y=floor - (_PANEL - 8) * count / most,
            width=width - 1, height=(_PANEL - 8) * count / most, class_=f"bar {one.kind}",
        )
        for number, count in enumerate(counts) if count
    ]  # fmt: skip
    return [
        text(axis.start, top + 15, f"{one.name} ({plural(len(one.values), 'answer')})", kind="value", anchor="start"),
        line(axis.start, floor, axis.end, floor, "axis"),
        *bars,
        *_marks(one, top, floor, axis, show),
    ]


def _marks(one: Series, top: float, floor: float, axis: Scale, show: Callable[[float], str]) -> Iterator[Drawn]:
    """Lines with their words, each a little lower than the one before, so that they do not meet."""
    for number, (name, value) in enumerate(one.marks):
        x, y = axis.at(value), top + 29 + 12 * number
        right = x < (axis.start + axis.end) / 2
        yield line(x, y - 9, x, floor, f"quantile q{number}")
        yield text(x + (4 if right else -4), y, f"{name} {show(value)}", anchor="start" if right else "end")


def _ticks(axis: Scale, y: float, show: Callable[[float], str], *, whole: bool) -> Iterator[Drawn]:
    """Words under the axis, as many as do not run into each other."""
    taken = -_WIDTH
    for tick in axis.ticks(whole=whole):
        x, said = axis.at(tick), show(tick)
        anchor, width = _anchor(x), _CHARACTER * len(said)
        start = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        if start > taken + _CHARACTER:
            taken = start + width
            yield text(x, y, said, anchor=anchor)


def _counts(values: Sequence[float], axis: Scale) -> list[int]:
    edges = axis.edges(_BINS)
    counts = [0] * _BINS
    for value in values:
        counts[min(max(bisect_right(edges, value) - 1, 0), _BINS - 1)] += 1
    return counts


def _anchor(x: float) -> str:
    """Words at either end of the axis stay inside of the picture."""
    if x < _SIDE + 20:
        return "start"
    return "end" if x > _WIDTH - _SIDE - 20 else "middle"
