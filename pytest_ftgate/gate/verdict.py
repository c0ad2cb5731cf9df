"""The verdict on complete runs: what cannot be scored is an error, the rest is judged as its stage asks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks import answers
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.accept import judge_candidate
from pytest_ftgate.gate.models import with_models
from pytest_ftgate.gate.ready import judge_baselines
from pytest_ftgate.result import Check, GateResult, closed, failed_result, verdict_of

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Prepared
    from pytest_ftgate.runs.measure import Measured
    from pytest_ftgate.runs.runner import Run


def judge(
    result: GateResult,
    prepared: Prepared,
    free: tuple[Check, ...],
    runs: Mapping[str, Run],
    samples: Mapping[str, Run],
) -> tuple[GateResult, Mapping[str, Measured]]:
    """The verdict on complete runs, and the scores; a missing answer or an undefined score is an error, without any.

    Args:
        result: what is known so far.
        prepared: what was known before the models were called.
        free: the checks that rest on it.
        runs: the models over the test set, by role.
        samples: from which latencies are taken, by role, where a model asks for one.
    """
    from pytest_ftgate.runs.latency import sample_check
    from pytest_ftgate.runs.measure import measure_run, score_run

    specs = prepared.config.asked
    forgiven = answers.forgiven_roles(prepared.config.errors, runs.values())
    measured = {
        role: measure_run(specs[role].name, run, samples.get(role), forgiven=role in forgiven)
        for role, run in runs.items()
    }
    measured = {role: replace(one, facts=prepared.described(role, one.facts)) for role, one in measured.items()}
    result = with_models(result, {role: one.facts for role, one in measured.items()}, prepared.deciding)
    sampled = (sample_check(role, measured[role].facts, sample) for role, sample in samples.items())
    checks = (*free, *_completeness(measured, forgiven), *sampled)
    if verdict_of(checks) == "error":
        return closed(result, checks), {}
    name, expected = prepared.deciding.name, prepared.expected
    try:
        scored = {role: score_run(one, prepared.metrics_of(role), name, expected) for role, one in measured.items()}
        judge_scored = judge_candidate if "candidate" in measured else judge_baselines
        return judge_scored(result, prepared, checks, scored), scored
    except FtgateError as error:
        return failed_result(replace(result, checks=checks), error), {}


def _completeness(measured: Mapping[str, Measured], forgiven: Collection[str]) -> list[Check]:
    checks = []
    for role, one in sorted(measured.items(), key=lambda item: item[1].run.fatal is None):  # the cause comes first
        missing = [p for repeat in one.run.predictions for p in repeat if p.completion is None]
        error = str(one.run.fatal) if one.run.fatal else missing[0].error if missing else None
        checks.append(
            answers.complete_check(
                role,
                one.facts,
                missing_ids=[p.id for p in missing],
                error=error,
                forgiven=role in forgiven,
                offline=any(p.offline for p in missing),
            )
        )
    return checks
