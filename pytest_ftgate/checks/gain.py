"""The rules for the gain over each baseline: the margin, and the evidence for it."""

from collections import Counter
from collections.abc import Iterator

from pytest_ftgate.checks.advice import loss_advice
from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.checks.drop import gain_status, is_shown, shown_gain
from pytest_ftgate.checks.match import max_drop_check
from pytest_ftgate.checks.shown import hides, shown_flips
from pytest_ftgate.data import expected_text
from pytest_ftgate.result import Action, Check, Gain, Status, opponent
from pytest_ftgate.runs.measure import flips
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import plural, printable, settled_by, show_amount, show_difference, show_needed, show_percent

_BROKEN_KEPT = 10
_LABEL_CHARACTERS = 40


def check(gate: Context) -> Found:
    """Find the gain over the best baseline in full and over each in short, and check each."""
    config, decided = gate.config, gate.comparisons[gate.best]
    standards = {role: config.standard_of(role).gain for role in gate.comparisons}
    only_shown = shown_flips(gate, _BROKEN_KEPT) if hides(gate) else {}
    facts = {
        **decided.facts(),
        "margin": None if config.matches else standards[gate.best],
        "margin_proven": None if config.matches else decided.reaches_margin,
        "p_value": decided.p_margin if config.evidence == "proven" else decided.p_zero,
        "gains": {
            role: Gain(one.gain, one.lower, one.upper, standards[role]) for role, one in gate.comparisons.items()
        },
        **flips(gate.scored[gate.best], gate.scored["candidate"], gate.deciding.name, _BROKEN_KEPT),
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
    status = gain_status(gate, role, comparison)
    margin = _margin_check(gate, role, comparison, status)
    if status == "fail":
        return [margin]
    return [margin, _evidence_check(gate, role, comparison, status), *_rare_group_loss(gate, role, comparison, status)]


def _rare_group_loss(gate: Context, role: str, comparison: Comparison, status: Status) -> Iterator[Check]:
    """Check that the evidence would hold if one more group of examples were lost whole.

    A candidate that loses few groups whole passes often, because a test set of few groups shows none of them.
    """
    lost = comparison.with_one_lost
    if lost is None or lost.lower is None or status != "pass" or is_shown(lost, gate.config.evidence):
        return
    message = f"the gain over {opponent(role)} would not be proven if the candidate lost one more group of examples "
    message += f"entirely ({show_percent(gate.config.confidence)} lower bound "
    message += f"{show_difference(lost.lower, share=gate.share)})"
    advice = "Add test examples of new groups. If no whole group can be lost, accept this with "
    advice += "checks: {rare_group_loss: warn}."
    source = gate.source("test_set")
    yield Check("rare_group_loss", "inconclusive", message, lost.lower, source=source, advice=advice)


def _margin_check(gate: Context, role: str, comparison: Comparison, status: Status) -> Check:
    (path, margin), share = gate.config.standard_of(role), gate.share
    message = f"{shown_gain(gate, role, comparison)} {gate.deciding.name}, needs {show_needed(margin, share=share)}"
    required = gate.requirement(path)
    if status != "fail":
        return Check("margin", "pass", message, comparison.gain, **required)
    # The real gain may still reach the margin.
    look = "the broken examples" if comparison.losses else "what it still gets wrong"
    advice = f"Look at {look} and correct the training data before another attempt, with the same margin."
    if comparison.upper is not None and comparison.upper >= margin:
        seen = "No gain was seen" if comparison.gain <= 0 else "The gain is too small"
        upper, confidence = show_difference(comparison.upper, share=share), show_percent(gate.config.confidence)
        advice = f"{seen}, but a real gain of up to {upper} is still possible ({confidence} upper bound). {advice}"
    return Check(
        "margin", "fail", message, comparison.gain, **required, advice=loss_advice(gate, comparison, margin, advice)
    )


def _evidence_check(gate: Context, role: str, comparison: Comparison, status: Status) -> Check:
    """Check the lower bound, and say what it leaves open: no gain at all, or a gain below the margin."""
    config, share, margin = gate.config, gate.share, gate.config.standard_of(role).gain
    bound, over = show_percent(config.confidence), "" if role == "baseline" else f" over {opponent(role)}"
    if comparison.lower is None:
        note = comparison.note or "the method gives none"
        message = f"the gain over {opponent(role)} has no lower bound: {note}"
    else:
        bound += f" lower bound {show_difference(comparison.lower, share=share)}"
        message = f"{shown_gain(gate, role, comparison)} {gate.deciding.name}"
        counted = f"({plural(comparison.n, 'example')}): {bound}"
        if not margin or comparison.reaches_margin:
            message = f"{bound}{over}"
        elif config.evidence == "significant" and not comparison.above_zero:
            message += f" could be chance {counted}"
        else:
            message += f": the margin of {show_amount(margin, share=share)} is not proven {counted}"
    target = {"observed": None, "significant": 0.0, "proven": margin}[config.evidence]
    required = gate.requirement("evidence", required=target)
    if status == "pass":
        return Check("evidence", "pass", message, comparison.lower, **required)
    needed = comparison.examples_needed
    advice = "More test examples only help if the candidate is better than measured here."
    if needed is not None:
        advice = settled_by("gain", needed, comparison.n, "test example")
    advice += _rarest_labels(gate) if gate.deciding.averages_labels else ""
    action: Action | None = None if needed is None else "add_examples"
    return Check("evidence", "inconclusive", message, comparison.lower, **required, advice=advice, action=action)


def _rarest_labels(gate: Context) -> str:
    """Return the advice to add examples of the rarest labels, on which an average over labels depends most."""
    counts = Counter(expected_text(value).strip() for value in gate.expected).most_common()
    rarest = [f"{printable(label, _LABEL_CHARACTERS)!r} ({count:,})" for label, count in counts[:-4:-1]]
    if counts[0][1] == counts[-1][1]:
        return ""
    return f" Add examples of the rarest labels first, as {gate.deciding.name} counts all alike: {', '.join(rarest)}."
