"""SVG as text: whatever is put into it is escaped, so that no name and no answer becomes an element."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from pytest_ftgate.text import plural, readable, show_difference


class Drawn(str):
    """Markup that was made here; a template takes it as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def element(name: str, /, *children: str, **attributes: str | float | None) -> Drawn:
    """``<name ...>children</name>``.

    Args:
        name: of the element.
        children: elements, or text.
        attributes: ``class_`` for ``class``, ``_`` for ``-``; one that is ``None`` is left out.
    """
    written = "".join(f' {_key(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    content = "".join(child if isinstance(child, Drawn) else escape(readable(child)) for child in children)
    return Drawn(f"<{name}{written}>{content}</{name}>")


def figure(width: float, height: float, title: str, description: str, *children: Drawn, kind: str) -> Drawn:
    """A picture that says in words what it shows. It scales with the space that it is given.

    Args:
        width, height: in its own units.
        title: what it is.
        description: what it shows, in words.
        children: its elements.
        kind: its class.
    """
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *children,
        class_=f"plot {kind}",
        role="img",
        viewBox=f"0 0 {width:g} {height:g}",
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Drawn:
    """A straight line of a class."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def text(x: float, y: float, said: str, *, kind: str = "tick", anchor: str = "middle") -> Drawn:
    """Words at a place; ``anchor`` is ``start``, ``middle`` or ``end``."""
    return element("text", said, x=x, y=y, class_=kind, text_anchor=anchor)


def _key(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return escape(readable(value)) if isinstance(value, str) else f"{round(value, 2):g}"


_LOG_FROM = 20.0

_MOST_TICKS = 6


@dataclass(frozen=True)
class Scale:
    """An axis from ``low`` to ``high`` (below it), drawn from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value is drawn; one that lies outside is drawn at the end it is beyond."""
        low, high, value = (self._measure(x) for x in (self.low, self.high, min(max(value, self.low), self.high)))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def edges(self, bins: int) -> list[float]:
        """The ``bins + 1`` bounds of bins that are drawn equally wide."""
        low, high = self._measure(self.low), self._measure(self.high)
        steps = [low + (high - low) * number / bins for number in range(bins + 1)]
        return [math.exp(step) for step in steps] if self.log else steps

    def ticks(self, *, whole: bool = False) -> list[float]:
        """Round values on it, at most six; ``whole`` numbers alone, where it counts things."""
        found = _log_ticks(self.low, self.high) if self.log else _ticks(self.low, self.high)
        return [tick for tick in found if not whole or round(tick, 9).is_integer()]

    def _measure(self, value: float) -> float:
        return math.log(value) if self.log else value


def scale_of(values: Sequence[float], start: float, end: float) -> Scale:
    """An axis that holds all values (at least one), logarithmic where they lie far apart.

    Args:
        values: at least one, none below 0.
        start, end: where it is drawn.
    """
    low, high = min(values), max(values)
    if low > 0 and high / low >= _LOG_FROM:
        return Scale(low, high, start, end, log=True)
    if high == low:
        return Scale(low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1), start, end)
    return Scale(low, high, start, end)


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / (_MOST_TICKS - 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [factor * 10.0**decade for decade in decades for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) <= _MOST_TICKS:
            return found
    return found[:: math.ceil(len(found) / _MOST_TICKS)]


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


_WIDTH_HISTOGRAM = 320.0

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
    axis = scale_of(values, _SIDE, _WIDTH_HISTOGRAM - _SIDE)
    height = _HEAD + _PANEL
    panels = [part for row, one in enumerate(series) for part in _panel(one, height * row, axis, show)]
    bottom = height * len(series)
    counted = all(float(value).is_integer() for value in values)
    ticks = list(_ticks_histogram(axis, bottom + 15, show, whole=counted))
    said = "; ".join(in_words(one, show) for one in series)
    scaled = " (logarithmic axis)" if axis.log else ""
    return figure(_WIDTH_HISTOGRAM, bottom + _AXIS, f"{title}{scaled}", said, *panels, *ticks, kind="histogram")


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


def _ticks_histogram(axis: Scale, y: float, show: Callable[[float], str], *, whole: bool) -> Iterator[Drawn]:
    """Words under the axis, as many as do not run into each other."""
    taken = -_WIDTH_HISTOGRAM
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
    return "end" if x > _WIDTH_HISTOGRAM - _SIDE - 20 else "middle"


_WIDTH_INTERVAL = 320.0

_SIDE_INTERVAL = 24.0

_TOP = 30.0

_ROW = 46.0

_AXIS_INTERVAL = 24.0

_AIR = 0.12


@dataclass(frozen=True)
class Interval:
    """A gain and its one-sided bounds; a bound that is ``None`` is not known."""

    name: str
    gain: float
    low: float | None
    high: float | None


def interval_plot(intervals: Sequence[Interval], asked: float, asked_words: str, *, share: bool) -> Drawn:
    """One row a comparison. ``asked`` is the margin, or below zero the drop that is allowed."""
    axis = _axis(intervals, asked)
    bottom = _TOP + _ROW * len(intervals)
    rows = [part for row, one in enumerate(intervals) for part in _row(one, _TOP + _ROW * row, axis, share=share)]
    ticks = [
        part
        for tick in axis.ticks()
        for part in (
            line(axis.at(tick), _TOP, axis.at(tick), bottom, "grid"),
            text(axis.at(tick), bottom + 15, _round(tick, share=share)),
        )
    ]
    marks = [
        line(axis.at(0.0), _TOP - 4, axis.at(0.0), bottom, "zero"),
        line(axis.at(asked), _TOP - 4, axis.at(asked), bottom, "asked"),
        *_captions(axis, asked, asked_words),
    ]
    said = "; ".join(f"{one.name}: {in_words_interval(one, share=share)}" for one in intervals)
    title, parts = "Gain with its interval", (*ticks, *marks, *rows)
    return figure(_WIDTH_INTERVAL, bottom + _AXIS_INTERVAL, title, f"{said}; {asked_words}", *parts, kind="interval")


def in_words_interval(one: Interval, *, share: bool) -> str:
    """``+23.6 points, at least +16.4, at most +30.8``."""
    bounds = [
        f"{words} {_short(bound, share=share)}"
        for words, bound in (("at least", one.low), ("at most", one.high))
        if bound is not None
    ]
    return ", ".join([show_difference(one.gain, share=share), *bounds])


def _axis(intervals: Sequence[Interval], asked: float) -> Scale:
    known = [0.0, asked, *(x for one in intervals for x in (one.gain, one.low, one.high) if x is not None)]
    low, high = min(known), max(known)
    air = _AIR * ((high - low) or 1.0)
    return Scale(low - air, high + air, _SIDE_INTERVAL, _WIDTH_INTERVAL - _SIDE_INTERVAL)


def _captions(axis: Scale, asked: float, words: str) -> list[Drawn]:
    """Above the two lines, each on the side that is away from the other."""
    zero, wanted = axis.at(0.0), axis.at(asked)
    right = wanted >= zero
    middle = (_SIDE_INTERVAL + _WIDTH_INTERVAL - _SIDE_INTERVAL) / 2
    found = [text(wanted, 12, words, kind="mark", anchor="start" if wanted < middle else "end")]
    if asked:
        anchor = "end" if right else "start"
        anchor = "start" if anchor == "end" and zero < 60 else anchor
        found.append(text(zero, 24, "no gain", kind="tick", anchor=anchor))
    return found


def _row(one: Interval, top: float, axis: Scale, *, share: bool) -> list[Drawn]:
    middle = top + 30
    low = axis.at(one.gain if one.low is None else one.low)
    high = axis.at(one.gain if one.high is None else one.high)
    caps = [line(x, middle - 6, x, middle + 6, "whisker")
            for x, bound in ((low, one.low), (high, one.high)) if bound is not None]  # fmt: skip
    return [
        text(axis.at(one.gain), top + 17, _short(one.gain, share=share), kind="value"),
        line(low, middle, high, middle, "whisker"),
        *caps,
        element("circle", cx=axis.at(one.gain), cy=middle, r=5, class_="dot"),
        *([] if not one.name else [text(_SIDE_INTERVAL, top + 44, one.name, anchor="start")]),
    ]


def _round(tick: float, *, share: bool) -> str:
    """A label of the axis, which is a round value: ``+10``, ``0``."""
    value = round(100 * tick if share else tick, 9) or 0.0
    return f"{value:+g}" if value else "0"


def _short(value: float, *, share: bool) -> str:
    return show_difference(value, share=share).removesuffix(" points")
