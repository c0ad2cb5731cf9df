"""The gain over a baseline against the margin, and how sure we can be of it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.advice import before_dropping
from pytest_ftgate.checks.drop import as_fraction, exact_gain, max_drop_check
from pytest_ftgate.result import Check, Gain, opponent
from pytest_ftgate.text import settled_by, show_amount, show_difference

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.statistics import Comparison

_BROKEN_KEPT = 10


def gain_reaches(gain: float | Fraction, margin: float) -> bool:
    """Return whether it does, exactly: see :func:`as_fraction`. Margin 0 asks for more than 0."""
    seen, least = as_fraction(gain), Fraction(repr(margin))
    return seen > 0 if least == 0 else seen >= least


def check(gate: Context) -> list[Check]:
    """Check the candidate's gain over each baseline."""
    return [one for role, comparison in gate.comparisons.items() for one in gain_checks(gate, role, comparison)]


def facts(gate: Context) -> dict[str, Any]:
    """Return the gain over the best baseline in full, and in short that over each."""
    from pytest_ftgate.runs.measure import flips, wrong_answers

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
        "wrong": wrong_answers(baseline, candidate, gate.deciding.name, _BROKEN_KEPT),
    }


def gain_checks(gate: Context, role: str, comparison: Comparison) -> list[Check]:
    """Check one gain against the margin, or with ``match`` against the drop that is allowed, and how sure it is.

    Where the margin is not reached, nobody asks how sure that is.
    """
    if gate.config.objective == "match":
        return [max_drop_check(gate, comparison, opponent(role))]
    margin = _margin_check(gate, comparison, opponent(role))
    return [margin] if margin.status == "fail" else [margin, _evidence_check(gate, comparison, opponent(role))]


def _margin_check(gate: Context, comparison: Comparison, against: str) -> Check:
    margin, share = gate.config.margin, gate.share
    reached = gain_reaches(exact_gain(comparison), margin)
    least = f"+{show_amount(margin, share=share)}" if margin else "more than 0"
    return Check(
        "margin",
        "pass" if reached else "fail",
        f"gain over {against} {show_difference(comparison.gain, share=share)}, asked for {least}",
        observed=comparison.gain,
        **gate.requirement("margin"),
        advice=None if reached else before_dropping(gate) or _advice_below(comparison),
    )


def _advice_below(comparison: Comparison) -> str:
    breaks_none = comparison.losses == 0
    if comparison.gain <= 0:
        dropped = "Drop it: the prompted baseline is as good or better."
        return dropped if breaks_none else f"{dropped} Look at the broken examples before another attempt."
    look = "what it still gets wrong" if breaks_none else "the broken examples"
    return (
        f"Drop it, or look at {look} and mend the training data: two or three attempts are normal, "
        "each with better data, on the same margin."
    )


def _evidence_check(gate: Context, comparison: Comparison, against: str) -> Check:
    holds, target = {
        "observed": (True, None),
        "significant": (comparison.above_zero, 0.0),
        "proven": (comparison.reaches_margin, gate.config.margin),
    }[gate.config.evidence]
    needed = comparison.examples_needed
    advice = "More examples help only if the candidate is better than it looks here."
    if needed is not None:
        advice = settled_by("gain", needed, comparison.n, "test example")
    return Check(
        "evidence",
        "pass" if holds else "inconclusive",
        _sureness(gate, comparison, against),
        observed=comparison.lower,
        **gate.requirement("evidence", required=target),
        advice=None if holds else advice,
    )


def _sureness(gate: Context, comparison: Comparison, against: str) -> str:
    """Return the bound in plain words, and what it leaves open: that there is no gain, or one below the margin."""
    config, share = gate.config, gate.share
    if comparison.lower is None:
        return f"how large the real gain over {against} is cannot be told: {comparison.note or 'no bound exists'}"
    sure = f"{100 * config.confidence:g} % sure of at least {show_difference(comparison.lower, share=share)}"
    if not config.margin or comparison.reaches_margin:
        return sure
    measured = f"measured {show_difference(comparison.gain, share=share)}; {sure}"
    if config.evidence == "significant" and not comparison.above_zero:
        return f"{measured}: the real gain may be zero or a loss"
    return f"{measured}; the margin of {show_amount(config.margin, share=share)} itself is not proven"
