"""The stage accept: whether the candidate is worth it, against every baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks import advantage, answers, knowledge, match
from pytest_ftgate.checks.advice.rules import before_dropping
from pytest_ftgate.checks.alternatives import gap_checks
from pytest_ftgate.gate.gain import (
    compare_models,
    gain_checks,
    normalization_check,
    repeats_checks,
)
from pytest_ftgate.gate.models import (
    answer_remarks,
    best_baseline,
    bound_check,
    constant_answer_checks,
    diagnosis_of,
    hypothesis_checks,
    opponent,
    with_models,
)
from pytest_ftgate.result import Check, Gain, GateResult, closed
from pytest_ftgate.runs.measure import breakdown_results

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Prepared
    from pytest_ftgate.result import Economics
    from pytest_ftgate.runs.measure import Measured
    from pytest_ftgate.statistics import Comparison

_BROKEN_KEPT = 10


def judge_candidate(
    result: GateResult, prepared: Prepared, checks: tuple[Check, ...], scored: Mapping[str, Measured]
) -> GateResult:
    """The result with the candidate's gain, and all checks after those that were known before."""
    from pytest_ftgate.checks.slices import judge_slices, label_results

    config, metric, candidate = prepared.config, prepared.deciding, scored["candidate"]
    result = with_models(result, {role: one.facts for role, one in scored.items()}, metric)
    best = best_baseline(result.baselines, metric)
    comparisons = {role: compare_models(prepared, scored[role], candidate) for role in config.baselines}
    diagnosis = diagnosis_of(prepared, scored, best)
    first = before_dropping(result, checks, diagnosis)
    found = [*checks, *constant_answer_checks(prepared, scored), *hypothesis_checks(prepared, scored, best)]
    for role, comparison in comparisons.items():
        found += _against_baseline(prepared, role, scored, comparison, first)
    if config.objective == "match":
        found += advantage.advantage_checks(config, result.baseline, result.candidate)
        found += advantage.rival_checks(config, result.baselines, best, result.candidate, metric)
    found += [bound_check(prepared, bound, result) for bound in config.require]
    economics, limits = _economics(prepared, result)
    found += [*limits, *answer_remarks(scored)]
    lenient = (normalization_check(prepared, role, scored[role], candidate, one) for role, one in comparisons.items())
    found += [check for check in lenient if check is not None]
    found += knowledge.knowledge_checks(diagnosis) if diagnosis else []
    if config.objective == "beat":  # else no gain is weighed against the costs of a fine-tune
        found += gap_checks(config, {role: one.facts.value for role, one in scored.items()}, metric)
    slices, held = judge_slices(prepared.slices, scored[best], candidate, metric.name)
    result = _with_flips(_with_gain(result, prepared, comparisons, best), scored[best], candidate, metric.name)
    result = replace(
        result,
        diagnosis=diagnosis,
        economics=economics,
        slices=slices,
        labels=label_results(scored[best], candidate, metric),
        breakdowns=breakdown_results({"baseline": scored[best], "candidate": candidate}),
    )
    return closed(result, (*found, *held))


def _against_baseline(
    prepared: Prepared, role: str, scored: Mapping[str, Measured], comparison: Comparison, first: str | None
) -> list[Check]:
    """What is to be said of the candidate beside one baseline; ``first``: what is to be mended before it is dropped."""
    from pytest_ftgate.runs.measure import same_outputs

    baseline, candidate = scored[role], scored["candidate"]
    identical = same_outputs(baseline.run, candidate.run)
    return [
        *_alike(prepared, role, baseline, identical=identical),
        *gain_checks(prepared, comparison, opponent(role), first),
        *repeats_checks(prepared, baseline, candidate, comparison),
    ]


def _alike(prepared: Prepared, role: str, baseline: Measured, *, identical: bool) -> list[Check]:
    """What is to be said of a baseline whose answers are those of the candidate, or the labels themselves."""
    n, scored = len(prepared.test), baseline.scores[prepared.deciding.name]
    if prepared.config.objective == "beat":
        same = answers.identical_check(opponent(role), identical=identical, n=n)
        return [same] if same else []
    found = [match.identical_check(opponent(role), n=n, mistakes=match.mistakes_in(scored))] if identical else []
    labels = match.answers_are_labels(prepared.expected, baseline.answers, scored)
    circular = match.circular_check(role, baseline.facts, all_right=labels, n=n)
    return [*found, circular] if circular else found


def _with_gain(result: GateResult, prepared: Prepared, comparisons: Mapping[str, Comparison], best: str) -> GateResult:
    """The gain over the best baseline, in full, and in short that over each."""
    config, decided = prepared.config, comparisons[best]
    return replace(
        result,
        gain=decided.gain,
        lower_bound=decided.lower,
        upper_bound=decided.upper,
        margin_proven=decided.reaches_margin if config.objective == "beat" else None,
        method=decided.method,
        p_value=decided.p_margin if config.evidence == "proven" else decided.p_zero,
        n=decided.n,
        examples_needed=decided.examples_needed,
        note=decided.note,
        gains={role: Gain(one.gain, one.lower, one.upper) for role, one in comparisons.items()},
    )


def _with_flips(result: GateResult, baseline: Measured, candidate: Measured, metric: str) -> GateResult:
    """How many examples the candidate fixed and broke, and the first that it broke."""
    from pytest_ftgate.runs.measure import flips

    wins, losses, broken = flips(baseline, candidate, metric, _BROKEN_KEPT)
    return replace(result, wins=wins, losses=losses, broken=broken)


def _economics(prepared: Prepared, result: GateResult) -> tuple[Economics | None, list[Check]]:
    from pytest_ftgate.checks.costs import economics_of
    from pytest_ftgate.checks.economics import economics_checks, measured_costs

    spec = prepared.config.economics
    if spec is None:
        return None, []
    costs = measured_costs(spec, result.baseline, result.candidate, prepared.models)
    return economics_of(costs), economics_checks(spec, costs)
