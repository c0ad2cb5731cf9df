"""One gate from its configuration to its result: what is free, the calls of models, the judgement."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.freshness.clock import free_clock_checks, known_clock
from pytest_ftgate.checks.freshness.evidence import Evidence
from pytest_ftgate.checks.guards import judge_guards
from pytest_ftgate.checks.rules import free_checks
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.calls import Calls, calling, find_best, hear_judges, run_all, run_alone, run_options
from pytest_ftgate.gate.clock import by_the_clock, last_green
from pytest_ftgate.gate.facts import described, with_advice, with_data
from pytest_ftgate.gate.inputs import prepare
from pytest_ftgate.gate.prompt_ablation import with_bare
from pytest_ftgate.gate.state import Judged, Ready, Services
from pytest_ftgate.gate.verdict import judge
from pytest_ftgate.judges import JudgeRun, calibrate
from pytest_ftgate.result import Check, GateResult, closed, failed_result, verdict_of

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig


def run_gate(config: GateConfig, services: Services, *, nodeid: str, reviewed: tuple[Check, ...] = ()) -> Judged:
    """Judge one gate. Everything that goes wrong in our or the models' hands becomes the verdict ``error``.

    Args:
        config: the gate's keys, merged and checked.
        services: what the session lends.
        nodeid: the test that asks, for the report.
        reviewed: what a look at the gate's own history has found; the first of the free checks.
    """
    ready = ready_gate(config, services, nodeid=nodeid, reviewed=reviewed)
    return ready if isinstance(ready, Judged) else show_bare(judge_ready(ready, services), services)


def ready_gate(
    config: GateConfig, services: Services, *, nodeid: str, reviewed: tuple[Check, ...] = ()
) -> Ready | Judged:
    """All that costs nothing; judged already where that does not hold. See :func:`run_gate`."""
    result = replace(described(config, nodeid), checks=reviewed)
    notes = services.notes()
    try:
        prepared = prepare(
            config,
            services.load,
            services.hook,
            notes=notes,
            offline=services.offline,
            newer_than=services.stores.newer_than,
            audit=services.audit,
        )
        result = with_data(result, prepared)
        last = last_green(config, nodeid, services)
        result = replace(result, clock=known_clock(prepared, last, time.time()))
        free = (*reviewed, *free_checks(prepared), *free_clock_checks(prepared, last))
    except FtgateError as error:
        return Judged(failed_result(result, error))
    if verdict_of(free) != "pass":
        unpaid = Check("models", "note", "no model was called: the free checks come first")
        return Judged(with_advice(closed(result, (*free, unpaid)), prepared))
    return Ready(result, prepared, free, notes, last)


def judge_ready(ready: Ready, services: Services) -> Judged:
    """Call the models, and judge what they answered."""
    ready = replace(ready, result=replace(ready.result, models_called=True))
    prepared, calls = ready.prepared, Calls()
    checkpoints = prepared.contest.models if prepared.contest else ()
    with calling([*prepared.models.values(), *checkpoints, *prepared.judging.models], services):
        try:
            options = run_options(prepared, services)
            ready, calls = _calibrate(ready, calls, options)
            if ready.holds:
                ready, calls = _choose_checkpoint(ready, calls, options)
            if not ready.holds:
                return _ended(ready, calls, with_advice(closed(ready.result, ready.free), ready.prepared))
            calls = run_all(ready.prepared, options, calls)
            ready, calls = _hear_judges(ready, calls, options)
        except FtgateError as error:
            return _ended(ready, calls, failed_result(replace(ready.result, checks=ready.free), error))
    return _judge_answers(ready, calls, services)


def _ended(ready: Ready, calls: Calls, result: GateResult) -> Judged:
    """Before there was anything to judge; what was paid for is kept for recordings."""
    return Judged(result, contest=calls.contest, jobs=ready.notes.used, judging=calls.opinion.runs)


def _calibrate(ready: Ready, calls: Calls, options: dict[str, Any]) -> tuple[Ready, Calls]:
    """The judges over what people have judged."""
    opinion = calibrate(ready.prepared.judging, options)
    return _with_opinion(ready, opinion), replace(calls, opinion=opinion)


def _choose_checkpoint(ready: Ready, calls: Calls, options: dict[str, Any]) -> tuple[Ready, Calls]:
    """Where a validation set is to find the candidate's best checkpoint, that is the candidate from here on."""
    if ready.prepared.contest is None:
        return ready, calls
    prepared, runs, chosen = find_best(ready.prepared, ready.prepared.contest, options)
    result = with_data(ready.result, prepared)
    return replace(ready, result=result, prepared=prepared, free=(*ready.free, *chosen)), replace(calls, contest=runs)


def _hear_judges(ready: Ready, calls: Calls, options: dict[str, Any]) -> tuple[Ready, Calls]:
    """With judged metrics in the place of those that nobody was asked for; the candidate's stand for all."""
    opinion = hear_judges(ready.prepared, calls.runs, calls.opinion, options)
    judged = opinion.metrics
    shown = judged.get("candidate") or next(iter(judged.values()), {})
    prepared = replace(ready.prepared, metrics={**ready.prepared.metrics, **shown}, judged=judged)
    return replace(_with_opinion(ready, opinion), prepared=prepared), replace(calls, opinion=opinion)


def _with_opinion(ready: Ready, opinion: JudgeRun) -> Ready:
    result = replace(ready.result, judges=tuple(opinion.results.values()))
    return replace(ready, result=result, free=(*ready.free, *opinion.checks))


def _judge_answers(ready: Ready, calls: Calls, services: Services) -> Judged:
    prepared = ready.prepared
    result, scored = judge(ready.result, prepared, ready.free, calls.runs, calls.samples)
    guards, held = judge_guards(prepared.guards, calls.guards, prepared.config)
    result = closed(replace(result, guards=guards), (*result.checks, *held))
    evidence = Evidence(calls.runs, calls.samples, calls.guards, scored, calls.opinion.runs)
    result, green = by_the_clock(result, prepared, evidence, ready.last_green, services)
    return Judged(
        with_advice(result, prepared),
        runs=calls.runs,
        samples=calls.samples,
        contest=calls.contest,
        jobs={**ready.notes.used, **green},
        prepared=prepared,
        guards=calls.guards,
        judging=calls.opinion.runs,
        scored=scored,
    )


def show_bare(judged: Judged, services: Services) -> Judged:
    """The candidate once more without its own prompt and examples, where it has any; the verdict stays as it is."""
    from pytest_ftgate.models import Surroundings

    prepared, stores = judged.prepared, services.stores
    if prepared is None or "candidate" not in prepared.models:
        return judged
    if any(prepared.judged.values()):  # the bare answers would have to be judged, too, to decide nothing
        return judged
    surroundings = Surroundings(prepared.training, stores.notes, services.offline, stores.newer_than, prepared.test)
    result, bare = with_bare(judged.result, prepared, surroundings, lambda job: run_alone(job, prepared, services))
    return replace(judged, result=result, runs={**judged.runs, **({"candidate_bare": bare} if bare else {})})
