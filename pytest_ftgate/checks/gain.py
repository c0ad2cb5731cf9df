"""The rules for the gain over each baseline: the margin, and the evidence for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pytest_ftgate.checks.advice import loss_advice
from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.checks.drop import exact_gain, gain_reaches, is_shown, shown_gain
from pytest_ftgate.checks.match import max_drop_check
from pytest_ftgate.checks.shown import hides, shown_flips
from pytest_ftgate.data import expected_text
from pytest_ftgate.result import Action, Check, Gain, opponent
from pytest_ftgate.runs.measure import flips
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import printable, settled_by, show_amount, show_difference, show_percent

_BROKEN_KEPT = 10
_LABEL_CHARACTERS = 40


def check(gate: Context) -> Found:
    """Find the gain over the best baseline in full and over each in short, and check each."""
    config, decided = gate.config, gate.comparisons[gate.best]
    baseline, candidate = gate.scored[gate.best], gate.scored["candidate"]
    only_shown = shown_flips(gate, _BROKEN_KEPT) if hides(gate) else {}
    facts = {
        **decided.facts(),
        "margin": None if config.matches else config.standard_of(gate.best).gain,
        "margin_proven": decided.reaches_margin if not config.matches else None,
        "p_value": decided.p_margin if config.evidence == "proven" else decided.p_zero,
        "gains": {
            role: Gain(one.gain, one.lower, one.upper, config.standard_of(role).gain)
            for role, one in gate.comparisons.items()
        },
        **flips(baseline, candidate, gate.deciding.name, _BROKEN_KEPT),
        **only_shown,
    }
    best_first = {gate.best: decided, **gate.comparisons}.items()
    return Found(facts, [one for role, comparison in best_first for one in gain_checks(gate, role, comparison)])


def gain_checks(gate: Context, role: str, comparison: Comparison) -> list[Check]:
    """Check one gain against the margin and the evidence; where the baseline has ``max_drop`` against that.

    The evidence is only checked where the margin is reached.
    """
    if gate.config.standard_of(role).drops:
        return [max_drop_check(gate, role, comparison)]
    margin = _margin_check(gate, role, comparison)
    if margin.status == "fail":
        return [margin]
    return [margin, _evidence_check(gate, role, comparison), *_rare_group_loss(gate, role, comparison)]


def _rare_group_loss(gate: Context, role: str, comparison: Comparison) -> Iterator[Check]:
    """Check that the evidence would hold if one more group of examples were lost whole.

    A candidate that loses few groups whole passes often, because a test set of few groups shows none of them.
    """
    lost = comparison.with_one_lost
    if lost is None or lost.lower is None or not is_shown(gate, comparison) or is_shown(gate, lost):
        return
    bound = f"{show_percent(gate.config.confidence)} lower bound {show_difference(lost.lower, share=gate.share)}"
    yield Check(
        "rare_group_loss",
        "inconclusive",
        f"the gain over {opponent(role)} would not be proven if the candidate lost one more group of examples entirely "
        f"({bound})",
        observed=lost.lower,
        source=gate.source("test_set"),
        advice="Add test examples of new groups. If no whole group can be lost, accept this with "
        "checks: {rare_group_loss: warn}.",
    )


def _margin_check(gate: Context, role: str, comparison: Comparison) -> Check:
    (path, margin), share = gate.config.standard_of(role), gate.share
    reached = gain_reaches(exact_gain(comparison), margin)
    least = f"+{show_amount(margin, share=share)}" if margin else "more than 0"
    return Check(
        "margin",
        "pass" if reached else "fail",
        f"{shown_gain(gate, role, comparison)} ({least} required)",
        observed=comparison.gain,
        **gate.requirement(path),
        advice=None if reached else loss_advice(gate, comparison, margin, _advice_below(gate, comparison, margin)),
    )


def _advice_below(gate: Context, comparison: Comparison, margin: float) -> str:
    """Return the advice for a measured gain below the margin where the real gain may still reach it."""
    look = "the broken examples" if comparison.losses else "what it still gets wrong"
    advice = f"Look at {look} and correct the training data before another attempt, with the same margin."
    if comparison.upper is None or comparison.upper < margin:
        return advice
    seen = "No gain was seen" if comparison.gain <= 0 else "The gain is too small"
    upper, confidence = show_difference(comparison.upper, share=gate.share), show_percent(gate.config.confidence)
    return f"{seen}, but a real gain of up to {upper} is still possible ({confidence} upper bound). {advice}"


def _evidence_check(gate: Context, role: str, comparison: Comparison) -> Check:
    holds = is_shown(gate, comparison)
    target = {"observed": None, "significant": 0.0, "proven": gate.config.standard_of(role).gain}[gate.config.evidence]
    needed = comparison.examples_needed
    action: Action | None = None
    advice = "More test examples only help if the candidate is better than measured here."
    if needed is not None:
        advice, action = settled_by("gain", needed, comparison.n, "test example"), "add_examples"
    if gate.deciding.averages_labels:
        advice += _rarest_labels(gate)
    return Check(
        "evidence",
        "pass" if holds else "inconclusive",
        _evidence(gate, role, comparison),
        observed=comparison.lower,
        **gate.requirement("evidence", required=target),
        advice=None if holds else advice,
        action=action,
    )


def _rarest_labels(gate: Context) -> str:
    """Return the advice to add examples of the rarest labels, on which an average over labels depends most."""
    counts = Counter(expected_text(value).strip() for value in gate.expected).most_common()
    rarest = [f"{printable(label, _LABEL_CHARACTERS)!r} ({count:,})" for label, count in counts[:-4:-1]]
    if counts[0][1] == counts[-1][1]:
        return ""
    return f" Add examples of the rarest labels first, as {gate.deciding.name} counts all alike: {', '.join(rarest)}."


def _evidence(gate: Context, role: str, comparison: Comparison) -> str:
    """Return the lower bound in words, and what it leaves open: no gain at all, or a gain below the margin."""
    config, share, margin = gate.config, gate.share, gate.config.standard_of(role).gain
    if comparison.lower is None:
        return f"the gain over {opponent(role)} has no lower bound: {comparison.note or 'the method gives none'}"
    bound = f"{show_percent(config.confidence)} lower bound {show_difference(comparison.lower, share=share)}"
    if not margin or comparison.reaches_margin:
        return bound if role == "baseline" else f"{bound} over {opponent(role)}"
    measured = f"{shown_gain(gate, role, comparison)}, {bound}"
    if config.evidence == "significant" and not comparison.above_zero:
        return f"{measured}: the real gain may be zero or negative"
    return f"{measured}: the margin of {show_amount(margin, share=share)} is not proven"
