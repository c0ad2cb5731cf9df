"""The gain over a baseline against the margin, and how sure we can be of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pytest_ftgate.result import Check, Gain, opponent
from pytest_ftgate.text import is_share, settled_by, show_amount, show_difference, sure_of_drop

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.statistics import Comparison

_BROKEN_KEPT = 10


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


def check(gate: Context) -> list[Check]:
    """Check the candidate's gain over each baseline."""
    return [one for role, comparison in gate.comparisons.items() for one in gain_checks(gate, role, comparison)]


def facts(gate: Context) -> dict[str, Any]:
    """Return the gain over the best baseline in full, and in short that over each."""
    from pytest_ftgate.runs.measure import flips

    if not gate.accepts:
        return {}
    config, decided = gate.config, gate.comparisons[gate.best]
    baseline, candidate = gate.scored[gate.best], gate.scored["candidate"]
    wins, losses, broken = flips(baseline, candidate, gate.deciding.name, _BROKEN_KEPT)
    return {
        **decided.facts(),
        "margin_proven": decided.reaches_margin if config.objective == "beat" else None,
        "p_value": decided.p_margin if config.evidence == "proven" else decided.p_zero,
        "gains": {role: Gain(one.gain, one.lower, one.upper) for role, one in gate.comparisons.items()},
        "wins": wins,
        "losses": losses,
        "broken": broken,
    }


def gain_checks(gate: Context, role: str, comparison: Comparison) -> list[Check]:
    """Check one gain against the margin, or with ``match`` against the drop allowed, and how sure it is.

    Args:
        gate: what is asked for.
        role: of the baseline.
        comparison: of the candidate with it.
    """
    from pytest_ftgate.checks.advice import before_dropping

    config = gate.config
    judgement = Judgement(
        gate.deciding,
        config.asked_gain,
        config.evidence,
        config.confidence,
        gate.source(config.asked_by),
        gate.source("evidence"),
        before_dropping(gate),
    )
    rule = drop_checks if config.objective == "match" else margin_checks
    return rule(judgement, comparison, opponent(role))


def margin_checks(judgement: Judgement, comparison: Comparison, against: str) -> list[Check]:
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


# --- objective: match ----------------------------------------------------------------------------------------


def drop_checks(judgement: Judgement, comparison: Comparison, against: str) -> list[Check]:
    """The measured drop against the one that is allowed, and how sure we can be of it. One check: ``max_drop``.

    Args:
        judgement: its margin is ``-max_drop``.
        comparison: held to the same margin.
        against: the baseline, as messages call it.
    """
    share, allowed = judgement.share, -judgement.margin
    gain = comparison.gain if comparison.gain_exact is None else comparison.gain_exact
    reached = gain_reaches(gain, judgement.margin)
    held = reached and comparison.reaches_margin
    told = [f"measured {show_difference(comparison.gain, share=share)} against {against}"]
    told.append(f"may be worse by at most {show_amount(allowed, share=share)}")
    told += [_sure(comparison, judgement)] if reached else []
    return [
        Check(
            "max_drop",
            "pass" if held else "inconclusive" if reached else "fail",
            "; ".join(told),
            observed=comparison.lower if reached else comparison.gain,
            required=judgement.margin,
            source=judgement.margin_source,
            advice=None
            if held
            else _advice_thin_drop(comparison)
            if reached
            else judgement.before_dropping or _ADVICE_WORSE,
        )
    ]


_ADVICE_WORSE = (
    "Keep the larger model, or look at the broken examples and mend the training data before another attempt."
)


def _sure(comparison: Comparison, judgement: Judgement) -> str:
    if comparison.lower is None:
        return f"how much worse it really is cannot be told: {comparison.note or 'no bound exists'}"
    sure = sure_of_drop(comparison.lower, judgement.confidence, share=judgement.share)
    return sure if comparison.reaches_margin else f"{sure}, which is not enough"


def _advice_thin_drop(comparison: Comparison) -> str:
    if comparison.lower is None:
        return "Decide by a metric that scores each answer, as accuracy, and hold the other to a bound under require."
    if comparison.examples_needed is None:
        return "More examples help only if the candidate is better than it looks here."
    return settled_by("difference", comparison.examples_needed, comparison.n, "test example")
