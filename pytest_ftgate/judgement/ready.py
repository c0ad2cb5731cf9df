"""The stage ready, before training: whether any candidate could pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks import readiness
from pytest_ftgate.diagnosis.breakdown import breakdown_results
from pytest_ftgate.judgement.gain import compare_scores
from pytest_ftgate.judgement.models import (
    answer_remarks,
    best_baseline,
    bound_check,
    constant_answer_checks,
    diagnosis_of,
    hypothesis_checks,
    with_models,
)
from pytest_ftgate.result import Check, GateResult, closed

if TYPE_CHECKING:
    from pytest_ftgate.measure import Measured
    from pytest_ftgate.preparation import Prepared


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
    found += [bound_check(prepared, bound, result) for bound in config.bounds]
    found += answer_remarks(scored)
    result = replace(result, breakdowns=breakdown_results({"baseline": scored[best]}))
    return closed(replace(result, diagnosis=diagnosis_of(prepared, scored, best)), tuple(found))
