"""From p-values to what can be said with confidence: decisions, and bounds that never contradict them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

_DECIMALS = 12
_EXTREME = 1e-15
_CERTAIN = 9.0
_FINE = 0.002  # of a standard error: what a bound is computed to


@dataclass(frozen=True)
class Evidence:
    """What the data show about the real gain, at one one-sided confidence; None where it cannot be told.

    Attributes:
        p_zero, p_margin: one-sided p-values of "the real gain is at most 0", and "at most the margin".
        above_zero, reaches_margin: sure that the real gain is above 0, and reaches the margin.
        lower, upper: one-sided bounds of the real gain.
    """

    p_zero: float | None = None
    p_margin: float | None = None
    above_zero: bool = False
    reaches_margin: bool = False
    lower: float | None = None
    upper: float | None = None


def level(confidence: float) -> float:
    """Return the false-pass rate that a one-sided confidence leaves: 0.05 for 0.95."""
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence must lie between 0.5 and 1, got {confidence!r}")
    return 1 - confidence


def is_sure(p: float, alpha: float) -> bool:
    """Return whether a p-value meets the level. Equal is enough; both are rounded, so that 1 - 0.95 is 0.05."""
    return round(p, _DECIMALS) <= round(alpha, _DECIMALS)


def weigh(p_value: Callable[[float], float], *, lower: float, upper: float, margin: float, alpha: float) -> Evidence:
    """Decide by p-values, and show bounds that agree with the decisions.

    A larger gain is never easier to prove than a smaller one: the p-value of the larger target is at least that of
    the smaller. (The exact p-value alone is not perfectly monotone in its margin.)

    ``p_value`` is that of "the real gain is at most this"; the bounds come from inverting it, to a search's precision.
    """
    p_zero, p_margin = p_value(0.0), p_value(margin)
    worse = max(p_zero, p_margin)
    p_zero, p_margin = (p_zero, worse) if margin >= 0 else (worse, p_margin)
    above_zero, reaches_margin = is_sure(p_zero, alpha), is_sure(p_margin, alpha)
    for sure, target in sorted([(above_zero, 0.0), (reaches_margin, margin)], key=lambda pair: not pair[0]):
        lower = max(lower, target) if sure else min(lower, target)
    return Evidence(p_zero, p_margin, above_zero, reaches_margin, lower, max(lower, upper))


def bound(
    p_value: Callable[[float], float], *, alpha: float, guess: float, step: float, lowest: float, highest: float
) -> float:
    """Return the largest target, found by search, whose p-value still meets the level: a one-sided lower bound.

    ``p_value``, of "the real gain is at most this", grows with its argument, and is asked between ``lowest``, the
    smallest possible gain, which needs no proof, and ``highest``, which nothing proves. The search begins at ``guess``,
    and its first bracket is ``step`` wide, of the order of a standard error.
    """
    normal = NormalDist()
    critical = normal.inv_cdf(alpha)

    def excess(target: float) -> float:  # on the normal scale p-values are nearly linear in the target
        if not lowest < target < highest:
            return _CERTAIN if target >= highest else -_CERTAIN
        return normal.inv_cdf(min(max(p_value(target), _EXTREME), 1 - _EXTREME)) - critical

    low, high = _bracket(excess, min(max(guess, lowest), highest), step)
    return max(_narrow(excess, low, high, width=step * _FINE), lowest)


_Point = tuple[float, float]  # a target and the excess of its p-value over the level


def _bracket(excess: Callable[[float], float], guess: float, step: float) -> tuple[_Point, _Point]:
    """Return two targets around the bound: steps that double, up or down from the guess."""
    point = (guess, excess(guess))
    direction = 1 if point[1] <= 0 else -1
    while True:
        at = point[0] + direction * step
        further = (at, excess(at))
        if (further[1] > 0) == (direction > 0):
            return (point, further) if direction > 0 else (further, point)
        point, step = further, 2 * step


def _narrow(excess: Callable[[float], float], low: _Point, high: _Point, *, width: float) -> float:
    """Narrow the bracket by regula falsi (the Illinois rule): an end that stays twice counts half."""
    weights = [1.0, 1.0]
    while high[0] - low[0] > width and low[1] < -_FINE:
        below, above = low[1] * weights[0] + _FINE / 2, high[1] * weights[1] + _FINE / 2
        at = low[0] - below * (high[0] - low[0]) / (above - below)
        at = min(max(at, low[0] + width / 2), high[0] - width / 2)
        point = (at, excess(at))
        if point[1] <= 0:
            low, weights = point, [1.0, weights[1] / 2]
        else:
            high, weights = point, [weights[0] / 2, 1.0]
    return low[0]
