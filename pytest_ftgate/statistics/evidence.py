"""Turn p-values into decisions and into bounds that never contradict them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import NormalDist
from typing import Literal

from pytest_ftgate.plain import INNER

_DECIMALS = 12
_EXTREME = 1e-15
_CERTAIN = 9.0
_FINE = 0.002  # precision of a bound, in standard errors
PValue = Callable[[float], float]  # returns the p-value of "the true gain is at most this"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The candidate's gain over a baseline, in the metric's unit; null where it is unknown."""

    # the candidate's gain; the sign is inverted for metrics where lower is better
    gain: float | None = None
    # one-sided bounds of the gain at the confidence
    lower_bound: float | None = None
    upper_bound: float | None = None
    # the margin, or minus max_drop
    required: float | None = None
    method: str | None = None
    n: int | None = None
    # examples that the candidate answers better
    fixed: int | None = None
    # examples that the candidate answers worse
    broken: int | None = None
    # the basis of the bounds, such as the number of groups; for a slice why it was not judged
    note: str | None = None
    # The number of examples that would show the required evidence with 80 % power if the true gain
    # is the measured one, and with which the measured gain would reach the margin; None if no
    # number would, or nothing has to be shown.
    examples_needed: int | None = field(default=None, metadata=INNER)
    # One-sided p-values of "the true gain is at most 0" and "at most the margin", and whether the
    # second one is rejected.
    p_zero: float | None = field(default=None, metadata=INNER)
    p_margin: float | None = field(default=None, metadata=INNER)
    reaches_margin: bool = field(default=False, metadata=INNER)
    # Whether the measured gain reaches the margin exactly, and whether it is shown as surely as it
    # must be.
    reached: bool = field(default=False, metadata=INNER)
    shown: bool = field(default=False, metadata=INNER)
    # The number of groups; None without groups.
    n_groups: int | None = field(default=None, metadata=INNER)

    @property
    def status(self) -> Literal["pass", "fail", "inconclusive"]:
        """Return what becomes of the gain: it must reach the margin, and be shown to."""
        if not self.reached:
            return "fail"
        if self.shown:
            return "pass"
        return "inconclusive"


def reaches(gain: float | Fraction, least: float) -> bool:
    """Return whether a gain reaches a margin, or minus a ``max_drop``, exactly.

    Margin 0 asks for more than 0.

    Counts are compared as fractions, other values after rounding to 12 decimals.
    """
    measured = gain if isinstance(gain, Fraction) else Fraction(repr(round(gain, _DECIMALS)))
    required = Fraction(repr(least))
    if required == 0:
        return measured > 0
    return measured >= required


def level(confidence: float) -> float:
    """Return the significance level of a one-sided confidence: 0.05 for 0.95."""
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence must lie between 0.5 and 1, got {confidence!r}")
    return 1 - confidence


def is_sure(p: float, alpha: float) -> bool:
    """Return whether ``p <= alpha``, both rounded to 12 decimals, so that 1 - 0.95 equals 0.05."""
    return round(p, _DECIMALS) <= round(alpha, _DECIMALS)


@dataclass(frozen=True)
class Question:
    """The requirement on a gain; with a negative margin the candidate may be worse by this much.

    Without ``bounds`` only the decision is asked for, which takes a fraction of the time: the
    bounds and the number of examples that are needed stay unknown.
    """

    margin: float
    confidence: float
    evidence: str
    bounds: bool = True

    def __post_init__(self) -> None:
        level(self.confidence)
        if self.evidence not in ("observed", "significant", "proven"):
            raise ValueError(
                f"evidence must be observed, significant or proven, got {self.evidence!r}"
            )

    @property
    def alpha(self) -> float:
        """Return the significance level: the highest rate of false passes."""
        return level(self.confidence)

    @property
    def target(self) -> float | None:
        """Return the gain that the lower bound must reach; None for "observed"."""
        if self.evidence == "observed":
            return None
        if self.evidence == "proven":
            return self.margin
        return 0.0


def weigh(
    p_value: PValue, question: Question, bounds: tuple[float, float] | None = None
) -> Comparison:
    """Return decisions by p-values, with bounds that agree with them.

    The p-value of the larger target is set to at least that of the smaller one, so that a larger
    gain is never easier to show; the exact p-value alone is not strictly monotone in its margin.

    Args:
        p_value: returns the one-sided p-value of "the true gain is at most this".
        question: what is asked of the gain.
        bounds: one-sided bounds from inverting ``p_value`` by a search, moved to the side that was
            decided.
    """
    margin = question.margin
    p_zero = p_value(0.0)
    p_margin = p_value(margin)
    if margin >= 0:
        p_margin = max(p_zero, p_margin)
    else:
        p_zero = max(p_zero, p_margin)
    is_above_zero = is_sure(p_zero, question.alpha)
    reaches_margin = is_sure(p_margin, question.alpha)

    lower = upper = None
    if bounds is not None:
        lower, upper = bounds
        # What was rejected comes first: of two contradictory moves the cautious one is the last.
        decisions = [(is_above_zero, 0.0), (reaches_margin, margin)]
        for is_shown, target in sorted(decisions, key=lambda decision: not decision[0]):
            lower = max(lower, target) if is_shown else min(lower, target)
        upper = max(lower, upper)

    shown = {"observed": True, "significant": is_above_zero, "proven": reaches_margin}
    return Comparison(
        lower_bound=lower,
        upper_bound=upper,
        p_zero=p_zero,
        p_margin=p_margin,
        reaches_margin=reaches_margin,
        shown=shown[question.evidence],
    )


def bound(
    p_value: PValue, *, alpha: float, guess: float, step: float, lowest: float, highest: float
) -> float:
    """Return the one-sided lower bound: the largest target whose p-value is at most ``alpha``.

    The root is bracketed by steps of doubling size, and found by regula falsi with the Illinois
    rule.

    Args:
        p_value: returns the p-value of "the true gain is at most this", which grows with its
            argument.
        alpha: the significance level.
        guess: where the search begins.
        step: width of the first bracket, about a standard error.
        lowest: the smallest possible gain; the bound is at least this.
        highest: the largest possible gain; the bound is less than this.

    Source: M. Dowell & P. Jarratt, BIT 11 (1971) 168-174.
    """
    normal = NormalDist()
    critical = normal.inv_cdf(alpha)

    def excess(target: float) -> float:
        """Return by how much a p-value is too large, on the normal scale: nearly linear there."""
        if target >= highest:
            return _CERTAIN
        if target <= lowest:
            return -_CERTAIN
        p = min(max(p_value(target), _EXTREME), 1 - _EXTREME)
        return normal.inv_cdf(p) - critical

    # The root is between ``low`` and ``high``.
    low = high = min(max(guess, lowest), highest)
    below = above = excess(low)
    width = step * _FINE
    while below > 0:
        high, above = low, below
        low -= step
        below = excess(low)
        step *= 2
    while above <= 0:
        low, below = high, above
        high += step
        above = excess(high)
        step *= 2

    # An end that stays twice counts half (the Illinois rule), so that the other one moves, too. An
    # excess between -_FINE and 0 is near enough, so the search aims at the middle of these.
    low_weight = high_weight = 1.0
    while high - low > width and below < -_FINE:
        weighted_below = below * low_weight + _FINE / 2
        weighted_above = above * high_weight + _FINE / 2
        root = low - weighted_below * (high - low) / (weighted_above - weighted_below)
        target = min(max(root, low + width / 2), high - width / 2)
        distance = excess(target)
        if distance <= 0:
            low, below = target, distance
            low_weight = 1.0
            high_weight /= 2
        else:
            high, above = target, distance
            high_weight = 1.0
            low_weight /= 2
    return max(low, lowest)
