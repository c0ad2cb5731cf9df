"""Turn p-values into decisions and into bounds that never contradict them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import NormalDist
from typing import Annotated, Literal

from pytest_ftgate.plain import INNER, about

_DECIMALS = 12
_EXTREME = 1e-15
_CERTAIN = 9.0
_FINE = 0.002  # precision of a bound, in standard errors
PValue = Callable[[float], float]  # returns the p-value of "the real gain is at most this"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The candidate's gain over a baseline on the same examples, in the metric's unit; null where it is unknown."""

    gain: Annotated[
        float | None,
        about("the candidate's gain; the sign is inverted for metrics where lower is better"),
    ] = None
    lower_bound: Annotated[float | None, about("one-sided bound of the gain at the confidence")] = (
        None
    )
    upper_bound: Annotated[float | None, about("one-sided bound of the gain at the confidence")] = (
        None
    )
    required: Annotated[float | None, about("the margin, or minus max_drop")] = None
    method: str | None = None
    n: int | None = None
    wins: Annotated[int | None, about("examples that the candidate answers better")] = None
    losses: Annotated[int | None, about("examples that the candidate answers worse")] = None
    note: Annotated[
        str | None,
        about(
            "the basis of the bounds, such as the number of groups; for a slice why it was not judged"
        ),
    ] = None
    # The number of examples that would show the required evidence with 80 % power if the real gain
    # is the measured one, and with which the measured gain would reach the margin; None if no
    # number would, or nothing has to be shown.
    examples_needed: int | None = field(default=None, metadata=INNER)
    # One-sided p-values of "the real gain is at most 0" and "at most the margin", and whether each
    # is rejected.
    p_zero: float | None = field(default=None, metadata=INNER)
    p_margin: float | None = field(default=None, metadata=INNER)
    above_zero: bool = field(default=False, metadata=INNER)
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
        return "fail" if not self.reached else "pass" if self.shown else "inconclusive"


def reaches(gain: float | Fraction, least: float) -> bool:
    """Return whether a gain reaches a margin, or minus a ``max_drop``, exactly.

    Margin 0 asks for more than 0.

    Counts are compared as fractions, other values after rounding to 12 decimals.
    """
    measured = gain if isinstance(gain, Fraction) else Fraction(repr(round(gain, _DECIMALS)))
    asked = Fraction(repr(least))
    return measured > 0 if asked == 0 else measured >= asked


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
    """The requirement on a gain; with a negative margin the candidate may be worse by at most this much.

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
        return {"observed": None, "significant": 0.0, "proven": self.margin}[self.evidence]


def weigh(
    p_value: PValue, question: Question, bounds: tuple[float, float] | None = None
) -> Comparison:
    """Return decisions by p-values, with bounds that agree with them.

    The p-value of the larger target is set to at least that of the smaller one, so that a larger
    gain is never easier to show; the exact p-value alone is not strictly monotone in its margin.

    Args:
        p_value: returns the one-sided p-value of "the real gain is at most this".
        question: what is asked of the gain.
        bounds: one-sided bounds from inverting ``p_value`` by a search, moved to the side that was
            decided.
    """
    margin = question.margin
    p_zero, p_margin = p_value(0.0), p_value(margin)
    worse = max(p_zero, p_margin)
    p_zero, p_margin = (p_zero, worse) if margin >= 0 else (worse, p_margin)
    above_zero, reaches_margin = is_sure(p_zero, question.alpha), is_sure(p_margin, question.alpha)
    lower = upper = None
    if bounds is not None:
        lower, upper = bounds
        for sure, target in sorted(
            [(above_zero, 0.0), (reaches_margin, margin)], key=lambda pair: not pair[0]
        ):
            lower = max(lower, target) if sure else min(lower, target)
        upper = max(lower, upper)
    return Comparison(
        lower_bound=lower,
        upper_bound=upper,
        p_zero=p_zero,
        p_margin=p_margin,
        above_zero=above_zero,
        reaches_margin=reaches_margin,
        shown={"observed": True, "significant": above_zero, "proven": reaches_margin}[
            question.evidence
        ],
    )


def bound(
    p_value: PValue, *, alpha: float, guess: float, step: float, lowest: float, highest: float
) -> float:
    """Return the one-sided lower bound: the largest target whose p-value is at most ``alpha``.

    The root is bracketed by steps of doubling size, and found by regula falsi with the Illinois
    rule.

    Args:
        p_value: returns the p-value of "the real gain is at most this", which grows with its
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

    def point(target: float) -> tuple[float, float]:
        """Return a target and the excess of its p-value on the normal scale, where it is nearly linear."""
        if not lowest < target < highest:
            return target, _CERTAIN if target >= highest else -_CERTAIN
        return target, normal.inv_cdf(min(max(p_value(target), _EXTREME), 1 - _EXTREME)) - critical

    width, weights = step * _FINE, [1.0, 1.0]
    low = high = point(min(max(guess, lowest), highest))
    while low[1] > 0:
        low, high, step = point(low[0] - step), low, 2 * step
    while high[1] <= 0:
        low, high, step = high, point(high[0] + step), 2 * step
    while high[0] - low[0] > width and low[1] < -_FINE:
        below, above = low[1] * weights[0] + _FINE / 2, high[1] * weights[1] + _FINE / 2
        at = low[0] - below * (high[0] - low[0]) / (above - below)
        found = point(min(max(at, low[0] + width / 2), high[0] - width / 2))
        if found[1] <= 0:
            low, weights = found, [1.0, weights[1] / 2]
        else:
            high, weights = found, [weights[0] / 2, 1.0]
    return max(low[0], lowest)
