"""Judge one gate: read its inputs, run the free checks, call its models, judge their answers."""

import json
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any, get_args

from pytest_ftgate import clock
from pytest_ftgate.check_names import Stage
from pytest_ftgate.checks import attempts, form, freshness, more_data, rules
from pytest_ftgate.checks.context import Context, Unlabeled, result_of
from pytest_ftgate.checks.unlabeled import rows_to_label
from pytest_ftgate.config import GateKeys
from pytest_ftgate.data import DataSet
from pytest_ftgate.errors import ConfigError, FtgateError
from pytest_ftgate.gate.half import ask_half
from pytest_ftgate.gate.inputs import read_inputs
from pytest_ftgate.gate.state import Judged, Services, uncollected
from pytest_ftgate.guarded import guarded
from pytest_ftgate.result import RED, Check, MoreData, Status, error_check
from pytest_ftgate.runs.jobs import Job, Run
from pytest_ftgate.runs.judging import ask_judges, calibrate
from pytest_ftgate.runs.measure import Measured, measure_run, score_run
from pytest_ftgate.runs.mistakes import diagnose
from pytest_ftgate.runs.names import HALF, Purpose, RunName
from pytest_ftgate.runs.runner import run_models, sample_job
from pytest_ftgate.text import timestamp

_HOOK = "the hook pytest_ftgate_checks"


def judge_gate(
    config: GateKeys,
    services: Services,
    *,
    nodeid: str,
    reviewed: tuple[Check, ...] = (),
) -> Judged:
    """Judge one gate, whose keys are merged and checked.

    Any failure of ours or of a model is the verdict ``error``.
    No model is called where a free check fails. ``reviewed`` are the checks of the comparison with
    the base branch, which come first.
    """
    try:
        gate = read_gate(config, services, nodeid=nodeid, reviewed=reviewed)
    except FtgateError as error:
        checks = (*reviewed, *map(error_check, error.problems))
        return Judged(result_of(config, {"nodeid": nodeid}, checks))

    if gate.holds:
        gate = _judge_models(gate, services)
    else:
        # A gate whose data are wrong still shows the gain where nothing has to be asked for it.
        gate = _judge_known_answers(gate, services)
        message = "no model was called, because a data check failed"
        if gate.scored:
            message += "; the scores are those of stored or recorded answers"
        gate = gate.with_checks([Check("models", "note", message)])

    return _close(gate, services)


@uncollected()
def read_gate(
    config: GateKeys,
    services: Services,
    *,
    nodeid: str,
    reviewed: tuple[Check, ...] = (),
) -> Context:
    """Read the inputs and run the free checks, also where one fails.

    Raises:
        FtgateError: an input cannot be read or used.
    """
    gate = read_inputs(config, services, nodeid)
    gate = rules.check(gate.with_checks(reviewed), "free")
    last = freshness.last_green(gate, services.committed, services.stores.notes)
    return gate.with_checks(freshness.base_changed(gate, last))


def _judge_models(gate: Context, services: Services) -> Context:
    """Call the models of a gate whose free checks hold, and judge their answers."""
    gate = gate.with_facts(models_called=True)
    with services.calling(gate) as options:
        try:
            gate = _add_calibration(gate, options)
            if not gate.holds:
                return gate
            gate = _add_answers(gate, options)
            gate = _add_judgements(gate, options)
            gate = _add_half(gate, options)
        except FtgateError as error:
            return gate.with_checks(map(error_check, error.problems))

    # The time limit is for answers alone.
    gate = _decide(gate, services, services.hook)
    return gate.with_checks(freshness.until_judged(gate, services.stores.started))


def _judge_known_answers(gate: Context, services: Services) -> Context:
    """Return a gate that only its data fail with what its stored or recorded answers show.

    No call is made, and the verdict stays red. Where anything is missing or in error, the gate is
    returned as it is; so is an attempt that the ledger does not have, since ``max_attempts`` limits
    looks at the gain.
    """
    causes = [check for check in gate.checks if check.status in RED]
    if gate.verdict != "fail" or any(check.kind != "data" for check in causes):
        return gate

    attempt = gate.attempt
    if attempt is not None and attempt.facts is not None and not attempt.is_known:
        return gate

    options: dict[str, Any] = {"stores": services.stores, "ask": False}
    try:
        answered = _add_answers(_add_calibration(gate, options), options)
        answered = _add_judgements(answered, options)
    except FtgateError:
        return gate
    if any(run.unanswered for _, run in answered.all_runs()):
        return gate

    decided = _decide(_add_half(answered, options), services, None)
    if not decided.scored or decided.verdict == "error":
        return gate

    return decided.with_checks(freshness.until_judged(decided, services.stores.started))


# --- the answers ----------------------------------------------------------------------------------


def _add_calibration(gate: Context, options: dict[str, Any]) -> Context:
    """Calibrate the judges on items with human labels."""
    if gate.judging is None:
        return gate
    judging, checks = calibrate(gate.judging, options)
    return replace(gate, judging=judging).with_checks(checks)


def jobs_of(gate: Context) -> dict[RunName, Job]:
    """Return all that the models of a gate are asked, in the order in which they are asked."""
    jobs: dict[RunName, Job] = {}
    # The latency samples come first, while nothing else runs.
    for role, model in gate.models.items():
        sample = sample_job(model, gate.test)
        if sample is not None:
            jobs[RunName("latency", role)] = replace(sample, of_candidate=role == "candidate")

    tests: list[tuple[Purpose, str, DataSet]] = [("test", "", gate.test)]
    # Without a candidate there is nothing to compare.
    if gate.unlabeled is not None and "candidate" in gate.models:
        tests.append(("unlabeled", "", gate.unlabeled.data))
    if gate.shown is not None:
        tests.append(("shown", "", gate.shown.test))
    for guard in gate.parts.guards:
        tests.append(("guard", guard.name, guard.test))
    for purpose, guard_name, test in tests:
        for role, model in gate.models.items():
            job = Job(model, test, gate.config.repeats, of_candidate=role == "candidate")
            jobs[RunName(purpose, role, guard_name)] = job
    return jobs


def _add_answers(gate: Context, options: dict[str, Any]) -> Context:
    """Take the latency samples one by one, while nothing else runs, then run all other jobs."""
    runs: dict[RunName, Run] = {}
    parallel: dict[RunName, Job] = {}
    for name, job in jobs_of(gate).items():
        if name.purpose == "latency":
            runs[name] = run_models([job], **options)[0]
        else:
            parallel[name] = job

    # All other answers may be waited for at the same time.
    runs |= zip(parallel, run_models(list(parallel.values()), **options), strict=True)
    return replace(gate, runs=runs)


def _add_judgements(gate: Context, options: dict[str, Any]) -> Context:
    """Ask the judges about the answers, unless a missing answer makes the gate an error."""
    if gate.judging is None or not gate.is_answered:
        return gate

    judging, checks = ask_judges(gate.judging, gate.test, gate.runs_of("test"), options)
    # The candidate's judged metrics represent those of all models.
    judged = judging.metrics.get("candidate") or next(iter(judging.metrics.values()), {})
    metrics = {**gate.metrics, **judged}
    return replace(gate, judging=judging, metrics=metrics).with_checks(checks)


def _add_half(gate: Context, options: dict[str, Any]) -> Context:
    """Add the answers of ``candidate_half`` where they are known, or where a gain is too small."""
    if gate.half is None or not gate.is_answered:
        return gate

    def is_missed() -> bool:
        comparisons = _add_scores(gate).comparisons.values()
        return not all(comparison.reached for comparison in comparisons)

    run = ask_half(gate, gate.half, is_missed, options)
    if run is None:
        return gate
    return replace(gate, runs={**gate.runs, HALF: run})


# --- the verdict ----------------------------------------------------------------------------------


def _decide(gate: Context, services: Services, hook: Any | None) -> Context:
    """Judge the answers at the level of their attempt, and keep the attempt.

    Other processes that judge attempts of the same ledger wait meanwhile, so that each has a place
    of its own.
    """
    if gate.attempt is None or not gate.is_answered:
        return check_answers(gate, hook)

    # A CI job prints the line of its attempt, and writes no ledger.
    is_kept = gate.attempt.facts is not None and not services.ci
    try:
        with attempts.locked(gate.config) if is_kept else nullcontext():
            gate = _add_attempt(gate, gate.attempt.answered(gate.answers_of_gain), services)
            gate = check_answers(gate, hook)
            return _keep_attempt(gate, services)
    except FtgateError as error:
        return gate.with_checks([error_check(error, "attempts")])


def _add_attempt(gate: Context, attempt: attempts.Attempt, services: Services) -> Context:
    """Return the gate with its attempt, at the confidence of it."""
    parts = gate.parts.at(attempt.levelled.confidence)
    gate = replace(gate, config=attempt.levelled, attempt=attempt, parts=parts)
    gate = gate.with_facts(attempt=attempt.facts)
    return gate.with_checks([*attempt.check(), *attempt.check_last(services.stores.notes)])


def _keep_attempt(gate: Context, services: Services) -> Context:
    """Return the gate with what the ledger of attempts says of its verdict, once it has one."""
    if gate.attempt is None or not gate.scored or gate.verdict == "error":
        return gate

    checks = gate.attempt.keep(
        gate.facts.get("gain"),
        gate.verdict,
        timestamp(gate.now),
        services.stores.notes,
        services.tell if services.ci else None,
    )
    return gate.with_checks(checks)


@uncollected()
def check_answers(gate: Context, hook: Any | None) -> Context:
    """Score the answers of a gate, and check all rules; ``hook`` may add checks."""
    # Ages count up to the judgement, and calls may have taken hours.
    gate = _add_scores(replace(gate, now=clock.wall()))
    stages: list[Stage] = ["answered"]
    if gate.scored:
        stages.append("scored")
        gate = _add_measures(gate)
    gate = rules.check(gate, *stages).advised()
    return gate.with_checks(_checks_of_others(gate, hook))


def _add_measures(gate: Context) -> Context:
    """Measure what rules rest on, beside the scores.

    What cannot be measured becomes an error.
    """
    try:
        if not gate.deciding.pairwise:  # of a pair no single answer is right
            diagnosis = diagnose(
                gate.deciding,
                gate.test.examples,
                gate.training.examples,
                gate.scored[gate.best],
                gate.scored.get("candidate"),
            )
            gate = gate.with_measures(diagnosis=diagnosis).with_facts(diagnosis=diagnosis)
        gate = gate.with_measures(
            excused=form.excused_gains(gate), more_data=more_data.last_doubling(gate)
        )
    except FtgateError as error:
        return gate.with_checks([error_check(error)])
    if isinstance(gate.more_data, MoreData):
        gate = gate.with_facts(more_data=gate.more_data)
    return gate


def _close(gate: Context, services: Services) -> Judged:
    """Store a green verdict for later sessions."""
    notes = freshness.keep_green(gate, services.committed, services.stores.notes)
    # Only what was asked in this run is recorded.
    runs: dict[str, Run] = {}
    if "models_called" in gate.facts:
        for name, run in gate.runs.items():
            # It decides nothing, so that its missing answers keep no other from being recorded.
            if name == HALF and run.unanswered:
                continue
            recorded = runs.get(name.recorded_as)
            runs[name.recorded_as] = run if recorded is None else recorded.with_more(run)
        runs |= gate.judge_runs

    return Judged(gate.result, gate=gate, runs=runs, notes=notes)


def _checks_of_others(gate: Context, hook: Any | None) -> list[Check]:
    """Return the checks of the hook ``pytest_ftgate_checks``.

    They can only make the verdict worse.
    """
    if hook is None or not gate.scored:
        return []

    checks: list[Check] = []
    try:
        answers = guarded(
            _HOOK, lambda: [list(checks) for checks in hook.pytest_ftgate_checks(gate=gate)]
        )
        for answer in answers:
            for check in answer:
                _refuse_unusable(check)
                checks.append(check)
    except FtgateError as error:
        return [error_check(error)]
    return checks


def _refuse_unusable(check: Any) -> None:
    """Raise :class:`FtgateError` for what is no check, or holds what a report cannot write."""
    if not isinstance(check, Check) or check.status not in get_args(Status):
        evidence = f"it returned {type(check).__name__}"
        raise ConfigError(f"{_HOOK} must return checks", evidence=evidence)
    subject = f"the check {check.name} of {_HOOK} holds a value that JSON cannot represent, and"
    guarded(subject, json.dumps, asdict(check))


def _add_scores(gate: Context) -> Context:
    """Measure all runs, and score them if no answer and no judgement is missing."""
    samples = gate.runs_of("latency")
    measured: dict[str, Measured] = {}
    for role, run in gate.runs_of("test").items():
        name = gate.asked(role).name
        is_forgiven = role in gate.forgiven
        measured[role] = measure_run(name, run, samples.get(role), forgiven=is_forgiven)

    gate = replace(gate, measured=measured)
    # Nothing was called for a gate that only its data fail, and it stays red.
    is_red_by_data = gate.verdict == "fail" and "models_called" not in gate.facts
    if not (gate.holds or is_red_by_data) or not gate.is_answered:
        return gate

    scored: dict[str, Measured] = {}
    try:
        for role, facts in measured.items():
            metrics = dict(gate.metrics)
            if gate.judging is not None:
                metrics |= gate.judging.metrics.get(role, {})
            scored[role] = score_run(facts, metrics, gate.deciding.name, gate.expected)
    except FtgateError as error:
        return gate.with_checks([error_check(error)])

    gate = replace(gate, measured=scored)
    if gate.unlabeled is None or "candidate" not in scored:
        return gate
    try:
        return _add_unlabeled(gate, gate.unlabeled)
    except FtgateError as error:
        return gate.with_checks([error_check(error)])


def _add_unlabeled(gate: Context, unlabeled: Unlabeled) -> Context:
    """Find the inputs that need a label; without any, score both sets together."""
    runs: dict[str, Measured] = {}
    for role, run in gate.answers_of_gain.items():
        runs[role] = measure_run(gate.asked(role).name, run)

    metric = gate.deciding
    expected = gate.gain_set.expected
    n_tested = len(gate.test)
    to_label = []
    for row in rows_to_label(metric, expected, runs):
        to_label.append(row - n_tested)
    scored: dict[str, Measured] = {}
    if not to_label:
        for role, measured in runs.items():
            scored[role] = score_run(measured, {metric.name: metric}, metric.name, expected)

    unlabeled = unlabeled._replace(to_label=tuple(to_label), runs=scored)
    return replace(gate, unlabeled=unlabeled).with_facts(unlabeled=unlabeled.facts)
