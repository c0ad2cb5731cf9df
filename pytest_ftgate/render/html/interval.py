"""A gain with its interval, against no gain and against what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ftgate.numbers import show_difference
from pytest_ftgate.render.html.drawn import Drawn, element, figure, line, text
from pytest_ftgate.render.html.scale import Scale

_WIDTH = 320.0
_SIDE = 24.0
_TOP = 30.0
_ROW = 46.0
_AXIS = 24.0
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
    said = "; ".join(f"{one.name}: {in_words(one, share=share)}" for one in intervals)
    return figure(_WIDTH, bottom + _AXIS, "Gain with its interval", f"{said}; {asked_words}", *ticks, *marks, *rows,
                  kind="interval")  # fmt: skip


def in_words(one: Interval, *, share: bool) -> str:
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
    return Scale(low - air, high + air, _SIDE, _WIDTH - _SIDE)


def _captions(axis: Scale, asked: float, words: str) -> list[Drawn]:
    """Above the two lines, each on the side that is away from the other."""
    zero, wanted = axis.at(0.0), axis.at(asked)
    right = wanted >= zero
    middle = (_SIDE + _WIDTH - _SIDE) / 2
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
        *([] if not one.name else [text(_SIDE, top + 44, one.name, anchor="start")]),
    ]


def _round(tick: float, *, share: bool) -> str:
    """A label of the axis, which is a round value: ``+10``, ``0``."""
    value = round(100 * tick if share else tick, 9) or 0.0
    return f"{value:+g}" if value else "0"


def _short(value: float, *, share: bool) -> str:
    return show_difference(value, share=share).removesuffix(" points")
