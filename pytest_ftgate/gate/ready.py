"""The stage ready, before training: whether any candidate could pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks import advantage, readiness
from pytest_ftgate.gate.gain import compare_scores
from pytest_ftgate.gate.models import (
    answer_remarks,
    best_baseline,
    bound_check,
    constant_answer_checks,
    diagnosis_of,
    hypothesis_checks,
    with_models,
)
from pytest_ftgate.result import Check, GateResult, closed
from pytest_ftgate.runs.measure import breakdown_results

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Prepared
    from pytest_ftgate.result import Economics
    from pytest_ftgate.runs.measure import Measured


def judge_baselines(
    result: GateResult, prepared: Prepared, checks: tuple[Check, ...], scored: Mapping[str, Measured]
) -> GateResult:
    """Before training: whether the baselines are what they are said to be, and whether any candidate could pass."""
    config, metric = prepared.config, prepared.deciding
    result = with_models(result, {role: one.facts for role, one in scored.items()}, metric)
    best = best_baseline(result.baselines, metric)
    found = [*checks, *constant_answer_checks(prepared, scored), *hypothesis_checks(prepared, scored, best)]
    found += readiness.readiness_checks(
        config,
        scored[best].scores[metric.name],
        best,
        examples=len(prepared.test),
        compare=lambda baseline, candidate: compare_scores(config, baseline, candidate, prepared.groups),
    )
    found += advantage.cheaper_room_checks(config, best, result.baseline)
    found += [bound_check(prepared, bound, result) for bound in config.bounds]
    economics, limits = _economics(prepared, best, result)
    found += limits
    found += answer_remarks(scored)
    result = replace(result, economics=economics, breakdowns=breakdown_results({"baseline": scored[best]}))
    return closed(replace(result, diagnosis=diagnosis_of(prepared, scored, best)), tuple(found))


def _economics(prepared: Prepared, best: str, result: GateResult) -> tuple[Economics | None, list[Check]]:
    """As far as they are known, and whether any candidate could hold their limits."""
    from pytest_ftgate.checks.costs import economics_before_training
    from pytest_ftgate.checks.headroom import known_costs, money_room_checks

    spec = prepared.config.economics
    if spec is None:
        return None, []
    costs = known_costs(spec, best, result.baseline)
    return economics_before_training(costs), money_room_checks(spec, costs)
