"""The gain over a baseline against the margin, and how sure we can be of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import is_share, plural, settled_by, show_amount, show_difference

if TYPE_CHECKING:
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.statistics import Comparison, Remedy, Spread


@dataclass(frozen=True)
class Judgement:
    """What the gain is held to; ``before_dropping``: what has to be mended before it tells anything."""

    metric: Metric
    margin: float
    evidence: str
    confidence: float
    margin_source: str
    evidence_source: str
    before_dropping: str | None = None

    @property
    def share(self) -> bool:
        """The metric lies on [0, 1] and is spoken of in points."""
        return is_share((self.metric.low, self.metric.high))


def gain_reaches(gain: float | Fraction, margin: float) -> bool:
    """Exact: counts as fractions, other values after rounding to 12 decimals. Margin 0 asks for more than 0."""
    asked = Fraction(repr(margin))
    seen = gain if isinstance(gain, Fraction) else Fraction(repr(round(gain, 12)))
    return seen > 0 if asked == 0 else seen >= asked


def gain_checks(judgement: Judgement, comparison: Comparison, against: str) -> list[Check]:
    """The measured gain against the margin, then how sure we can be of it."""
    gain = comparison.gain if comparison.gain_exact is None else comparison.gain_exact
    reached = gain_reaches(gain, judgement.margin)
    measured = show_difference(comparison.gain, share=judgement.share)
    asked = f"+{show_amount(judgement.margin, share=judgement.share)}" if judgement.margin else "more than 0"
    margin = Check(
        "margin",
        "pass" if reached else "fail",
        f"gain over {against} {measured}, asked for {asked}",
        observed=comparison.gain,
        required=judgement.margin,
        source=judgement.margin_source,
        advice=None if reached else judgement.before_dropping or _advice_below(comparison),
    )
    return [margin, _evidence_check(judgement, comparison, against)] if reached else [margin]


def _advice_below(comparison: Comparison) -> str:
    if comparison.gain <= 0:
        dropped = "Drop it: the prompted baseline is as good or better."
        return dropped if _breaks_none(comparison) else f"{dropped} Look at the broken examples before another attempt."
    look = "what it still gets wrong" if _breaks_none(comparison) else "the broken examples"
    return (
        f"Drop it, or look at {look} and mend the training data: two or three attempts are normal, "
        "each with better data, on the same margin."
    )


def _breaks_none(comparison: Comparison) -> bool:
    return comparison.losses == 0


def _evidence_check(judgement: Judgement, comparison: Comparison, against: str) -> Check:
    held, target = {
        "observed": (True, None),
        "significant": (comparison.above_zero, 0.0),
        "proven": (comparison.reaches_margin, judgement.margin),
    }[judgement.evidence]
    return Check(
        "evidence",
        "pass" if held else "inconclusive",
        _sure_sentence(judgement, comparison, against),
        observed=comparison.lower,
        required=target,
        source=judgement.evidence_source,
        advice=None if held else _advice_thin(comparison),
    )


def _sure_sentence(judgement: Judgement, comparison: Comparison, against: str) -> str:
    """The bound in plain words, and what it leaves open: that there is no gain, or one below the margin."""
    share = judgement.share
    if comparison.lower is None:
        return f"how large the real gain over {against} is cannot be told: {comparison.note or 'no bound exists'}"
    sure = f"{100 * judgement.confidence:g} % sure of at least {show_difference(comparison.lower, share=share)}"
    if judgement.margin and not comparison.reaches_margin:
        measured = show_difference(comparison.gain, share=share)
        if judgement.evidence == "significant" and not comparison.above_zero:
            return f"measured {measured}; {sure}: the real gain may be zero or a loss"
        margin = show_amount(judgement.margin, share=share)
        return f"measured {measured}; {sure}; the margin of {margin} itself is not proven"
    return sure


def _advice_thin(comparison: Comparison) -> str:
    if comparison.examples_needed is None:
        return "More examples help only if the candidate is better than it looks here."
    return settled_by("gain", comparison.examples_needed, comparison.n, "test example")


def repeats_check(spread: Spread, cure: Remedy, *, settled: bool) -> Check:
    """How much of the noise lies between examples and how much within them; what would settle the gain."""
    more = []
    if cure.more_repeats:
        more.append(f"{plural(cure.more_repeats, 'more repeat')} of each example")
    if cure.more_examples:
        more.append(plural(cure.more_examples, "more example"))
    return Check(
        "repeats",
        "note",
        f"{spread.repeats} answers an example: standard deviation of the difference {spread.between**0.5:.2f} between "
        f"examples, {spread.within**0.5:.2f} within one",
        observed=spread.repeats,
        advice=None if settled or not more else f"{' or '.join(more)} would settle it, 4 times out of 5.",
    )
