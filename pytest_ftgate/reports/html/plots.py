"""Charts as SVG text. All text is escaped, so that no name and no answer becomes an element.

Places across are percentages of the chart's width, so that it fills the page while its text keeps its size.
"""

from collections.abc import Callable, Mapping
from html import escape

from pytest_ftgate.reports.table import Bars
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import readable, show_change, show_difference


class Drawn(str):
    """Markup that a template takes as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def script_data(text: str) -> Drawn:
    """Return JSON for a ``<script>``, which none of its characters can end."""
    return Drawn(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def element(name: str, /, *children: str, **attributes: str | float) -> Drawn:
    """Return ``<name ...>children</name>``; attributes have ``class_`` for ``class``, and ``_`` for ``-``."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"' for key, value in attributes.items())
    content = "".join(child if isinstance(child, Drawn) else escape(readable(child)) for child in children)
    return Drawn(f"<{name}{written}>{content}</{name}>")


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Drawn:
    """Return a straight line of a class; ``x1`` and ``x2`` in percent."""
    return element("line", x1=percent(x1), y1=y1, x2=percent(x2), y2=y2, class_=kind)


def text(x: float, y: float, words: str, *, kind: str = "tick", anchor: str = "middle") -> Drawn:
    """Return words at a place, ``x`` in percent; ``anchor`` is ``start``, ``middle`` or ``end``."""
    return element("text", words, x=percent(x), y=y, class_=kind, text_anchor=anchor)


def percent(value: float) -> str:
    """Return a length across as SVG takes it: ``12.5%``."""
    return f"{round(value, 2):g}%"


def _value(value: str | float) -> str:
    return escape(readable(value)) if isinstance(value, str) else f"{round(value, 2):g}"


_BARS_HEIGHT = 20.0
_LEAST = 1.0


def pair_bars(pair: Bars) -> Drawn:
    """Return a bar of the baseline above one of the candidate, both from the low end."""
    bars = []
    for value, y, kind in ((pair.baseline, 1, "base"), (pair.candidate, 11, "cand")):
        if value is not None:
            share = (value - pair.low) / ((pair.high - pair.low) or 1.0)
            length = percent(max(_LEAST, 100 * min(max(share, 0.0), 1.0)))
            bars.append(element("rect", x=0, y=y, width=length, height=8, class_=f"bar {kind}"))
    rail = line(0, 0, 0, _BARS_HEIGHT, "axis")
    return element("svg", *bars, rail, class_="bars", height=_BARS_HEIGHT, aria_hidden="true")


_SIDE = 8.0
_TOP = 36.0
_ROW = 46.0
_AIR = 0.12


def interval_plot(compared: Mapping[str, Comparison], asked: float, asked_words: str, *, share: bool) -> Drawn:
    """Return a chart with a row per comparison, by name; ``asked`` is the margin, or below zero the allowed drop."""
    known = ((one.gain, one.lower_bound, one.upper_bound) for one in compared.values())
    values = [0.0, asked, *(x for row in known for x in row if x is not None)]
    least, width = min(values), (max(values) - min(values)) or 1.0

    def at(value: float) -> float:
        """Return where a value is drawn, in percent: with some room on both sides of all values."""
        return _SIDE + (100 - 2 * _SIDE) * ((value - least) / width + _AIR) / (1 + 2 * _AIR)

    bottom = _TOP + _ROW * len(compared)
    zero, wanted = at(0.0), at(asked)
    marks = [
        line(zero, _TOP - 4, zero, bottom, "zero"),
        line(wanted, _TOP - 4, wanted, bottom, "asked"),
        text(wanted, 12, asked_words, kind="mark", anchor="start" if wanted < 50 else "end"),
    ]
    if asked:  # each caption is on the side away from the other line
        marks.append(text(zero, 28, "no gain", anchor="end" if wanted >= zero >= 20 else "start"))
    rows = [
        part
        for row, (name, one) in enumerate(compared.items())
        for part in _row(name, one, _TOP + _ROW * row, at, share=share)
    ]
    described = "; ".join(f"{name} {interval_words(one, share=share)}".strip() for name, one in compared.items())
    words = (element("title", "Gain with its bounds"), element("desc", f"{described}; {asked_words}"))
    return element("svg", *words, *marks, *rows, class_="plot", role="img", height=bottom + 4)


def interval_words(one: Comparison, *, share: bool) -> str:
    """Return ``+23.6 points, lower bound +16.4, upper bound +30.8``."""
    bounds = (("lower bound", one.lower_bound), ("upper bound", one.upper_bound))
    known = [f"{words} {show_change(bound, share=share)}" for words, bound in bounds if bound is not None]
    return ", ".join([show_difference(one.gain, share=share), *known])


def _row(name: str, one: Comparison, top: float, at: Callable[[float], float], *, share: bool) -> list[Drawn]:
    middle, gain = top + 30, at(one.gain or 0.0)
    low, high = (None if end is None else at(end) for end in (one.lower_bound, one.upper_bound))
    ends = [end for end in (low, high) if end is not None]
    return [
        text(gain, top + 17, show_change(one.gain, share=share), kind="value"),
        line(gain if low is None else low, middle, gain if high is None else high, middle, "whisker"),
        *(line(x, middle - 6, x, middle + 6, "whisker") for x in ends),
        element("circle", cx=percent(gain), cy=middle, r=5, class_="dot"),
        *([] if not name else [text(0, top + 44, name, anchor="start")]),
    ]
