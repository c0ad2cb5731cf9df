"""The rules for the gain over each baseline: margin and evidence, or the limit of a drop."""

from collections.abc import Iterator, Mapping
from functools import partial
from math import ceil
from typing import Any

from pytest_ftgate.checks.attempts import Shown
from pytest_ftgate.checks.causes import cure_of_a_loss
from pytest_ftgate.checks.context import Context, Finding, Found, Unadvised
from pytest_ftgate.checks.unlabeled import as_inputs
from pytest_ftgate.result import Check, opponent
from pytest_ftgate.runs.measure import Measured, flips, scored_alone
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.statistics.groups import (
    MIN_GROUPS,
    group_counts,
    groups_to_exclude,
    share_that_may_be_lost,
)
from pytest_ftgate.text import (
    plural,
    settled_by,
    show_amount,
    show_difference,
    show_needed,
    show_percent,
)

_UNBOUNDED = (
    "Use a metric that scores each answer, such as accuracy, and move the other to thresholds."
)


def check(gate: Context) -> Found:
    """Find the gain over each baseline, the best one with its examples, and check each."""
    if not gate.comparisons:  # the gate asks for agreement alone
        return Found({})

    decided = gate.comparisons[gate.best]
    facts = {
        **vars(decided),
        "margin": decided.required,
        "margin_proven": decided.reaches_margin,
        "gains": gate.comparisons,
        **_flips(gate),
    }
    if gate.config.matches:  # a gate with max_drop alone has no margin
        facts.update(margin=None, margin_proven=None)
    checks: list[Finding] = []
    # Of several checks of one name the first is what people read first.
    best_first = {gate.best: decided, **gate.comparisons}
    for role, comparison in best_first.items():
        checks += _checks(gate, role, comparison)
    return Found(facts, checks)


def _flips(gate: Context) -> dict[str, Any]:
    """Return what the candidate fixed and broke; name only examples that may be shown."""
    name = gate.deciding.name
    facts = flips(gate.gain_runs[gate.best], gate.gain_runs["candidate"], name)
    if gate.shown is None:
        return facts

    # Where attempts are limited, examples that count are not named.
    answers = shown_answers(gate, gate.shown)
    if not answers:
        return {**facts, "broken_examples": (), "wrong": ()}
    of_shown = flips(answers[gate.best], answers["candidate"], name)
    examples = {key: of_shown[key] for key in ("broken_examples", "wrong")}
    return {**facts, **examples}


def shown_answers(gate: Context, shown: Shown) -> Mapping[str, Measured]:
    """Return the scored models on the examples that may be shown, by role: see `scored_alone`."""
    return scored_alone(gate.runs_of("shown"), shown.metric, shown.test.expected)


def _checks(gate: Context, role: str, comparison: Comparison) -> Iterator[Finding]:
    """Check one gain against the margin and for evidence, or against the limit of a drop."""
    if gate.config.standard_of(role).drops:
        yield max_drop_check(gate, role, comparison)
        return

    yield _margin_check(gate, role, comparison)
    if comparison.reached:
        yield _evidence_check(gate, role, comparison)
        yield from _rare_group_loss(gate, comparison)


def _over(role: str) -> str:
    """Return `` over baseline few_shot`` for one of several baselines."""
    return "" if role == "baseline" else f" over {opponent(role)}"


def _gained(gate: Context, role: str, comparison: Comparison) -> str:
    """Return a measured gain in words: ``gain over baseline few_shot +2.0 points``."""
    return f"gain{_over(role)} {show_difference(comparison.gain, share=gate.share)}"


def _margin_check(gate: Context, role: str, comparison: Comparison) -> Finding:
    standard = gate.config.standard_of(role)
    needed = show_needed(standard.gain, share=gate.share)
    message = f"{_gained(gate, role, comparison)} {gate.deciding.name}, needs {needed}"
    required = gate.requirement(standard.path)
    if comparison.reached:
        return Check("margin", "pass", message, observed=comparison.gain, **required)

    check = Check("margin", "fail", message, observed=comparison.gain, **required)
    return Unadvised(check, partial(cure_of_a_loss, role=role))


def _target(gate: Context, margin: float) -> float | None:
    """Return the gain that the evidence must show; None where the measured gain is enough."""
    return {"observed": None, "significant": 0.0, "proven": margin}[gate.config.evidence]


def _evidence_check(gate: Context, role: str, comparison: Comparison) -> Check:
    """Check the lower bound, and say what it leaves open: no gain, or one below the margin."""
    margin = gate.config.standard_of(role).gain
    required = gate.requirement("evidence", required=_target(gate, margin))
    bound = bound_in_words(comparison, gate.config.confidence, share=gate.share)
    gain = f"{_gained(gate, role, comparison)} {gate.deciding.name}"
    basis = f"({plural(comparison.n or 0, 'example')}): {bound}"
    if not margin or comparison.reaches_margin:
        message = f"{bound}{_over(role)}"
    elif gate.config.evidence == "significant" and not comparison.shown:
        message = f"{gain} could be chance {basis}"
    else:
        unproven = f"the margin of {show_amount(margin, share=gate.share)} is not proven"
        message = f"{gain}: {unproven} {basis}"

    observed = comparison.lower_bound
    if comparison.shown:
        return Check("evidence", "pass", message, observed=observed, **required)
    cure = examples_cure(comparison, "is better", "test example", what="gain")
    cure += as_inputs(gate, comparison)
    return Check("evidence", "inconclusive", message, observed=observed, **required, cure=cure)


def _rare_group_loss(gate: Context, comparison: Comparison) -> Iterator[Check]:
    """Warn where a share of the groups that may be lost unseen would undo the gain."""
    counts = group_counts(gate.gain_set.groups, len(gate.gain_set))
    target = _target(gate, comparison.required or 0.0)
    if counts is None or target is None or comparison.status != "pass":
        return

    n, counted = counts
    confidence = gate.config.confidence
    gain = comparison.gain or 0.0
    share = share_that_may_be_lost(counted, confidence)
    # The candidate may lose the whole range on each example of a lost group.
    harmless = (gain - target) / (gain + gate.deciding.high - gate.deciding.low)
    if share <= harmless:
        return

    groups = plural(n, "group")
    if counted != n:
        groups += f", which count as {counted:,},"
    message = f"{groups} cannot exclude that one in {1 / share:.0f} is lost entirely"
    needed = None
    if harmless > 0:
        needed = groups_to_exclude(harmless, confidence)
        message += f"; {needed:,} exclude one in {1 / harmless:.0f}"

    cure = f"Add test examples of new groups: losing one in {1 / share:.0f} would undo the gain."
    source = gate.source("test_set")
    yield Check(
        "rare_group_loss",
        "warning",
        message,
        observed=counted,
        required=needed,
        source=source,
        cure=cure,
    )


# --- a drop ---------------------------------------------------------------------------------------


def max_drop_check(gate: Context, role: str, comparison: Comparison) -> Finding:
    """Check that the candidate is proven to be at most ``max_drop`` worse than a baseline."""
    standard = gate.config.standard_of(role)
    required = gate.requirement(standard.path, required=standard.gain)
    measured = _gained(gate, role, comparison)
    limit = drop_limit(-standard.gain, share=gate.share)
    if not comparison.reached:
        message = f"{measured} ({limit})"
        check = Check("max_drop", "fail", message, observed=comparison.gain, **required)
        return Unadvised(check, partial(cure_of_a_loss, role=role))

    bound = bound_in_words(comparison, gate.config.confidence, share=gate.share)
    cure = None
    if comparison.lower_bound is None:
        cure = _UNBOUNDED
    elif not comparison.shown:
        cure = examples_cure(comparison, "is better", "test example")
        cure += as_inputs(gate, comparison)
    message = f"{measured}, {bound} ({limit})"
    observed = comparison.lower_bound
    return Check("max_drop", comparison.status, message, observed=observed, **required, cure=cure)


def bound_in_words(compared: Comparison, confidence: float, *, share: bool) -> str:
    """Return the lower bound of a gain in words: ``95 % lower bound +13.6 points``."""
    bound = f"{show_percent(confidence)} lower bound"
    if compared.lower_bound is None:
        return f"no {bound}: {compared.note or 'the method gives none'}"
    return f"{bound} {show_difference(compared.lower_bound, share=share)}"


def drop_limit(max_drop: float, *, share: bool) -> str:
    """Return a limit on the gain in words: ``limit -2 points``."""
    return f"limit {'-' if max_drop else ''}{show_amount(max_drop, share=share)}"


def examples_cure(
    compared: Comparison, hope: str, noun: str = "example", *, what: str = "difference"
) -> str:
    """Return how many examples, or groups, would settle a comparison.

    ``hope`` is what must be true of the candidate for more examples to help.
    """
    needed = compared.examples_needed
    have = compared.n or 0
    if needed is None:
        return f"More {noun}s only help if the candidate {hope} than measured here."
    if compared.n_groups is None:
        return settled_by(what, needed, have, noun)
    # Groups are added whole, and fewer than the least number decide nothing.
    groups_needed = max(MIN_GROUPS, ceil(needed / have * compared.n_groups))
    return settled_by(what, groups_needed, compared.n_groups, "group")
