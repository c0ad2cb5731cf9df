"""Judge one gate: read its inputs, run the free checks, call its models, score them, and reach the verdict."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, get_args

from pytest_ftgate import clock, errors, result, text
from pytest_ftgate.checks import advice, attempts, context, freshness, rules
from pytest_ftgate.config import GateKeys
from pytest_ftgate.gate import inputs, state
from pytest_ftgate.runs import jobs, measure, runner
from pytest_ftgate.runs.judging import Judging, ask_judges, calibrate

_HOOK = "the hook pytest_ftgate_checks"
_MOST_ROUNDS = 10


def judge_gate(
    config: GateKeys, services: state.Services, *, nodeid: str, reviewed: tuple[result.Check, ...] = ()
) -> state.Judged:
    """Judge one gate, whose keys are merged and checked. Any failure of ours or of a model is the verdict ``error``.

    No model is called where a free check fails. ``reviewed`` are the checks of the comparison with the base branch,
    which come first.
    """
    gate = read_gate(config, services, nodeid=nodeid, reviewed=reviewed)
    if isinstance(gate, state.Judged):
        return gate
    if gate.holds:
        return judge_answers(gate, services, reviewed=reviewed)
    gate = _with_known_answers(gate, services)
    known = "; the scores are those of stored or recorded answers" if gate.scored else ""
    note = result.Check("models", "note", f"no model was called, because a data check failed{known}")
    return _close(gate.with_checks([note]), services)


def _with_known_answers(gate: context.Context, services: state.Services) -> context.Context:
    """Return a gate that only its data fail with what its answers show, if all of them are recorded or stored.

    No call is made, and the verdict stays red. Where anything is missing or in error, the gate is returned as it is;
    so is an attempt that the ledger does not have, since ``max_attempts`` limits looks at the gain.
    """
    if gate.verdict != "fail" or any(one.kind != "data" for one in gate.checks if one.status in result.RED):
        return gate
    options: dict[str, Any] = {"stores": services.stores, "ask": False}
    try:
        found = _answered(_run(gate, options))
        if found.may_show is not None and not (found.attempt and found.attempt.is_known):
            return gate
        found = _judged(_calibrated(found, options), options)
        if any(run.unanswered for _, run in found.all_runs()):
            return gate
        found = check_answers(found, None)
        unfinished = freshness.until_judged(found, services.stores.started)
        found = found.with_checks(one for one in unfinished if one.status == "warning")
        found = _kept(found, services)
    except (errors.FtgateError, attempts.MovedError):
        return gate
    return found if found.scored and found.verdict != "error" else gate


@state.uncollected()
def read_gate(
    config: GateKeys,
    services: state.Services,
    *,
    nodeid: str,
    reviewed: tuple[result.Check, ...] = (),
    answers: frozenset[str] = frozenset(),
) -> context.Context | state.Judged:
    """Read the inputs and run the free checks, also where one fails; return a judged gate if inputs are unusable.

    ``answers`` are the hashes of the candidate's, if they are known.
    """
    try:
        gate = rules.check(inputs.read_inputs(config, services, nodeid, answers).with_checks(reviewed), "free")
        last = freshness.last_green(gate, services.committed, services.stores.notes)
        return gate.with_checks(freshness.base_changed(gate, last))
    except errors.FtgateError as error:
        return state.Judged(
            context.result_of(config, {"nodeid": nodeid}, (*reviewed, *map(result.error_check, error.problems)))
        )


def judge_answers(
    gate: context.Context, services: state.Services, *, reviewed: tuple[result.Check, ...] = ()
) -> state.Judged:
    """Call the models of a gate whose free checks hold, and judge their answers.

    Where the answers are another attempt than expected, or another process takes the attempt meanwhile, the gate is
    judged once more, from the answers that it has: 10 times at most, and then it is an error.
    """
    try:
        for _ in range(_MOST_ROUNDS):
            found = _judge_answers(gate, services)
            if isinstance(found, state.Judged):
                return found
            attempt = found.attempt
            assert attempt is not None
            asked = {"nodeid": found.facts["nodeid"], "reviewed": reviewed, "answers": attempt.answers}
            again = read_gate(attempt.asked, services, **asked)
            if isinstance(again, state.Judged):
                return again
            gate = again.with_facts(models_called=True)
        what = f"this gate was judged {_MOST_ROUNDS} times, and each time another process took its attempt"
        raise errors.ConfigError(what, cure="Judge the candidates of one test set one after the other.")
    except errors.FtgateError as error:
        return _close(gate.with_checks(map(result.error_check, error.problems)), services)


def _judge_answers(gate: context.Context, services: state.Services) -> state.Judged | context.Context:
    """Return a judged gate, or an unjudged one whose answers are another attempt than expected."""
    gate = gate.with_facts(models_called=True)
    with services.calling(gate) as options:
        try:
            before, gate = gate.verdict, _calibrated(gate, options)
            if gate.verdict != before:
                return _close(gate, services)
            gate = _answered(_run(gate, options))
            gate = _judged(gate, options) if gate.holds else gate
        except errors.FtgateError as error:
            return _close(gate.with_checks(map(result.error_check, error.problems)), services)
    gate = check_answers(gate, services.hook)
    try:
        gate = _kept(gate, services)
    except attempts.MovedError:
        return gate
    except errors.FtgateError as error:
        gate = gate.with_checks([result.error_check(error, "attempts")])
    return _close(gate.with_checks(freshness.until_judged(gate, services.stores.started)), services)


def _calibrated(gate: context.Context, options: dict[str, Any]) -> context.Context:
    """Calibrate the judges on items with human labels."""
    return gate if gate.judging is None else _with_judgements(gate, *calibrate(gate.judging, options))


def _with_judgements(gate: context.Context, judging: Judging, checks: Iterable[result.Check]) -> context.Context:
    return replace(gate, judging=judging).with_facts(judges=tuple(judging.results.values())).with_checks(checks)


def _run(gate: context.Context, options: dict[str, Any]) -> context.Context:
    """Take the latency samples one after the other, while nothing else runs, then run all other jobs."""
    wanted = context.jobs(gate)
    runs = {name: runner.run_models([job], **options)[0] for name, job in wanted.items() if name.purpose == "latency"}
    others = {name: job for name, job in wanted.items() if name not in runs}
    found = runner.run_models(list(others.values()), **options)
    return replace(gate, runs=runs | dict(zip(others, found, strict=True)))


def _judged(gate: context.Context, options: dict[str, Any]) -> context.Context:
    """Ask the judges about the answers; none is called where a missing answer makes the gate an error."""
    runs = gate.runs_of("test")
    if gate.judging is None or any(run.unanswered for role, run in runs.items() if role not in gate.forgiven):
        return gate
    judging, checks = ask_judges(gate.judging, gate.test, runs, options)
    # The candidate's judged metrics represent those of all models.
    shown = judging.metrics.get("candidate") or next(iter(judging.metrics.values()), {})
    return replace(_with_judgements(gate, judging, checks), metrics={**gate.metrics, **shown})


def _answered(gate: context.Context) -> context.Context:
    """Return the gate with the candidate's answers known to its attempt, and its runs over the examples that count."""
    if gate.attempt is None:
        return gate
    whole = gate.runs_of("test")
    counted = {context.RunName("test", role): run.over(gate.test) for role, run in whole.items()}
    return replace(gate, runs={**gate.runs, **counted}, attempt=gate.attempt.answered(whole))


def _kept(gate: context.Context, services: state.Services) -> context.Context:
    """Return the gate with what the ledger of attempts says of its verdict, once it has one."""
    attempt, gain = gate.attempt, gate.facts.get("gain")
    if attempt is None or gain is None or gate.verdict == "error":
        return gate
    at, tell = text.timestamp(gate.now), services.tell if services.ci else None
    return gate.with_checks(attempt.keep(gain, gate.verdict, at, services.stores.notes, tell))


@state.uncollected()
def check_answers(gate: context.Context, hook: Any | None) -> context.Context:
    """Score the answers of a gate, and check all rules; ``hook`` may add checks."""
    gate = _scored(replace(gate, now=clock.wall()))
    stages: tuple[rules.Stage, ...] = ("answered", "scored") if gate.scored else ("answered",)
    gate = rules.check(gate, *stages)
    return gate.with_checks(_checks_of_others(gate, hook))


def _close(gate: context.Context, services: state.Services) -> state.Judged:
    """Add the advice, and store a green verdict for later sessions."""
    gate = gate.with_facts(advice=advice.advise(gate))
    runs: Mapping[str, jobs.Run] = {}
    if "models_called" in gate.facts:  # those over the test set with all of its examples
        whole = gate.attempt.runs if gate.attempt is not None else {}
        named = {**gate.runs, **{context.RunName("test", role): run for role, run in whole.items()}}
        runs = {**{name.recorded_as: run for name, run in named.items()}, **gate.judge_runs}
    return state.Judged(gate.result, gate, runs, freshness.keep_green(gate, services.committed, services.stores.notes))


def _checks_of_others(gate: context.Context, hook: Any | None) -> list[result.Check]:
    """Return the checks of the hook ``pytest_ftgate_checks``. They can only make the verdict worse."""
    if hook is None or not gate.scored:
        return []
    try:
        given = errors.guarded(_HOOK, lambda: [list(checks) for checks in hook.pytest_ftgate_checks(gate=gate)])
        found = [one for checks in given for one in checks]
        for one in found:
            if not isinstance(one, result.Check) or one.status not in get_args(result.Status):
                raise errors.ConfigError(f"{_HOOK} must return checks", evidence=f"it returned {type(one).__name__}")
            what = f"the check {one.name} of {_HOOK} holds a value that JSON cannot represent, and"
            errors.guarded(what, json.dumps, asdict(one))
    except errors.FtgateError as error:
        return [result.error_check(error)]
    return found


def _scored(gate: context.Context) -> context.Context:
    """Measure all runs, and score them if no answer and no judgement is missing."""
    specs, samples = gate.config.asked, gate.runs_of("latency")
    measured = {
        role: measure.measure_run(specs[role].name, run, samples.get(role), forgiven=role in gate.forgiven)
        for role, run in gate.runs_of("test").items()
    }
    gate = replace(gate, measured=measured)
    decisive = [one for role, one in measured.items() if role not in gate.forgiven]
    judged = gate.holds or (gate.verdict == "fail" and "models_called" not in gate.facts)
    if not judged or any(one.facts.n_errors for one in decisive):
        return gate
    of_judges, asked = gate.judging.metrics if gate.judging else {}, (gate.deciding.name, gate.expected)
    metrics = {role: {**gate.metrics, **of_judges.get(role, {})} for role in measured}
    try:
        scored = {role: measure.score_run(one, metrics[role], *asked) for role, one in measured.items()}
    except errors.FtgateError as error:
        return gate.with_checks([result.error_check(error)])
    gate = replace(gate, measured=scored)
    reported = {"baseline": gate.best, "candidate": "candidate"}
    models = {name: gate.scored[role] for name, role in reported.items() if role in gate.scored}
    return gate.with_facts(breakdowns=measure.breakdown_results(models))
