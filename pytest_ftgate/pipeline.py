"""The one use case: a configured gate in, a judged result out. Free checks first, then models, then judgement."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ftgate.bare import with_bare
from pytest_ftgate.data import expected_text
from pytest_ftgate.diagnosis.advice import Facts, advise
from pytest_ftgate.errors import FtgateError, StoreError
from pytest_ftgate.jobs.notes import JobNotes
from pytest_ftgate.judgement import judge
from pytest_ftgate.judging import Opinion, calibrate, judge_answers
from pytest_ftgate.noninferiority.guards import described, guard_jobs, judge_guards
from pytest_ftgate.preparation import Prepared, decided, free_checks, prepare
from pytest_ftgate.result import (
    Check,
    GateResult,
    ModelResult,
    TestSetResult,
    TrainingResult,
    closed,
    failed_result,
    verdict_of,
)
from pytest_ftgate.retraining.clock import free_clock_checks, green_verdict, judge_clock, known_clock
from pytest_ftgate.retraining.evidence import Evidence
from pytest_ftgate.retraining.last_green import LastGreen, keep, note_name, read_last

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.jobs.checkpoints import Contest
    from pytest_ftgate.measure import Measured
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model
    from pytest_ftgate.running.budget import Budget
    from pytest_ftgate.running.runner import Job, Progress, Run, Stores
    from pytest_ftgate.training import TrainingAudit

_DAY_S = 86_400.0


class Display(Protocol):
    """Shows how far the models are, until it is wiped."""

    def __call__(self, progress: Progress) -> None: ...

    def wipe(self) -> None: ...


@dataclass(frozen=True)
class Services:
    """What a session lends to its gates.

    Attributes:
        stores: where predictions are kept.
        load: a data source and its origin to a data set; the session's copy where it was read before.
        hook: pluggy's hook callers, ``None`` outside pytest.
        offline: no endpoint may be called.
        progress: told how far the models are.
        jobs: what committed recordings know of fine-tuning jobs, and of the last green verdicts.
        tell: says something at the session's end that is no fact of a gate.
        budget: what may be spent in this session; ``None``: no limit.
        audit: the audit of a training set for a test set; the session's copy where it was made before.
    """

    stores: Stores
    load: Callable[[Any, str], DataSet]
    hook: Any | None = None
    offline: bool = False
    progress: Display | None = None
    jobs: Mapping[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] | None = None
    budget: Budget | None = None
    audit: Callable[..., TrainingAudit] | None = None

    def notes(self) -> JobNotes:
        """What is known besides predictions."""
        return JobNotes(self.jobs, self.stores.notes)


@dataclass(frozen=True)
class Judged:
    """A result, and what it rests on by role (empty where no model was called).

    Attributes:
        result: the facts.
        runs: of the models over the test set.
        samples: from which latencies are taken, where a model asks for one.
        contest: of a job's checkpoints over the validation set, by ``validation_step_100``.
        jobs: what is known of the fine-tuning jobs and of the last green verdict, for recordings.
        prepared: what the models were called with; ``None`` where none was scored.
        guards: of the models over the guards' test sets, by guard and role.
        judging: of the judges, by ``judge_rubric`` and ``judge_rubric_calibration``.
        scored: the runs that the verdict rests on, with their scores; empty where they could not be scored.
    """

    result: GateResult
    runs: Mapping[str, Run] = field(default_factory=dict)
    samples: Mapping[str, Run] = field(default_factory=dict)
    contest: Mapping[str, Run] = field(default_factory=dict)
    jobs: Mapping[str, str] = field(default_factory=dict)
    prepared: Prepared | None = None
    guards: Mapping[tuple[str, str], Run] = field(default_factory=dict)
    judging: Mapping[str, Run] = field(default_factory=dict)
    scored: Mapping[str, Measured] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Ready:
    """A gate whose free checks hold: nothing stands against calling its models.

    Attributes:
        result: the facts so far.
        prepared: what the models are called with.
        free: the free checks.
        notes: what is known of fine-tuning jobs.
        last_green: the gate's last green verdict, where one is known.
    """

    result: GateResult
    prepared: Prepared
    free: tuple[Check, ...]
    notes: JobNotes
    last_green: LastGreen | None = None


def ready_gate(
    config: GateConfig, services: Services, *, nodeid: str, reviewed: tuple[Check, ...] = ()
) -> Ready | Judged:
    """All that costs nothing; judged already where that does not hold. See :func:`run_gate`."""
    result = replace(_described(config, nodeid), checks=reviewed)
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
        result = _with_data(result, prepared)
        last = _last_green(config, nodeid, services)
        result = replace(result, clock=known_clock(prepared, last, time.time()))
        free = (*reviewed, *free_checks(prepared), *free_clock_checks(prepared, last))
    except FtgateError as error:
        return Judged(failed_result(result, error))
    if verdict_of(free) != "pass":
        unpaid = Check("models", "note", "no model was called: the free checks come first")
        return Judged(_advised(closed(result, (*free, unpaid)), prepared))
    return Ready(result, prepared, free, notes, last)


def _last_green(config: GateConfig, nodeid: str, services: Services) -> LastGreen | None:
    """What is kept; a store that cannot be read is an error only where the verdict hangs on it."""
    try:
        stores = services.stores
        tomorrow = time.time() + _DAY_S  # a verdict of a wrong clock or an edited file would be the newest for ever
        until = tomorrow if stores.newer_than is None else stores.newer_than
        return read_last(note_name(config, nodeid), services.jobs, stores.notes, older_than=until)
    except StoreError:
        if config.clock.base_changed == "fail":
            raise
        return None


def judge_ready(ready: Ready, services: Services) -> Judged:
    """Call the models, and judge what they answered."""
    prepared, free, notes = ready.prepared, ready.free, ready.notes
    result = replace(ready.result, models_called=True)
    asked = [*prepared.models.values(), *(prepared.contest.models if prepared.contest else ())]
    asked += prepared.judging.models
    contest: dict[str, Run] = {}
    opinion = Opinion()
    try:
        options = _options(prepared, services)
        opinion = calibrate(prepared.judging, options)
        free, result = (*free, *opinion.checks), replace(result, judges=tuple(opinion.results.values()))
        if verdict_of(free) != "pass":
            return Judged(_advised(closed(result, free), prepared), jobs=notes.used, judging=opinion.runs)
        if prepared.contest is not None:
            prepared, contest, chosen = _find_best(prepared, prepared.contest, options)
            result, free = _with_data(result, prepared), (*free, *chosen)
            if verdict_of(free) != "pass":
                failed = _advised(closed(result, free), prepared)
                return Judged(failed, contest=contest, jobs=notes.used, judging=opinion.runs)
        runs, samples, guarded = _run(prepared, options)
        opinion = _hear_judges(prepared, runs, opinion, options)
        free, result = (*free, *opinion.checks), replace(result, judges=tuple(opinion.results.values()))
        prepared = _with_opinion(prepared, opinion)
    except FtgateError as error:
        failed = failed_result(replace(result, checks=free), error)
        return Judged(failed, contest=contest, jobs=notes.used, judging=opinion.runs)
    finally:
        if services.progress is not None:
            services.progress.wipe()
        _tell_unfinished(asked, services)
    result, scored = judge(result, prepared, free, runs, samples)
    guards, held = judge_guards(prepared.guards, guarded, prepared.config)
    result = closed(replace(result, guards=guards), (*result.checks, *held))
    evidence = Evidence(runs, samples, guarded, scored, opinion.runs)
    result, green = _by_the_clock(result, prepared, evidence, ready.last_green, services)
    return Judged(
        _advised(result, prepared),
        runs=runs,
        samples=samples,
        contest=contest,
        jobs={**notes.used, **green},
        prepared=prepared,
        guards=guarded,
        judging=opinion.runs,
        scored=scored,
    )


def _hear_judges(prepared: Prepared, runs: Mapping[str, Run], calibrated: Opinion, options: dict[str, Any]) -> Opinion:
    """What the judges say of complete runs, with the calibration; its checks have been told already.

    Where an answer is missing that makes the gate an error, no judge is paid.
    """
    forgiven = ("candidate",) if prepared.config.errors == "score_zero" else ()
    answered = [
        one.completion for role, run in runs.items() if role not in forgiven for r in run.predictions for one in r
    ]
    if any(completion is None for completion in answered):
        return replace(calibrated, checks=())
    said = judge_answers(prepared.judging, prepared.test, runs, options, calibrated.results)
    return replace(said, runs={**calibrated.runs, **said.runs})


def _with_opinion(prepared: Prepared, opinion: Opinion) -> Prepared:
    """With judged metrics in the place of those that nobody was asked for; the candidate's stand for all."""
    judged = opinion.metrics
    shown = judged.get("candidate") or next(iter(judged.values()), {})
    return replace(prepared, metrics={**prepared.metrics, **shown}, judged=judged)


def _by_the_clock(
    result: GateResult, prepared: Prepared, evidence: Evidence, last: LastGreen | None, services: Services
) -> tuple[GateResult, dict[str, str]]:
    """The result with what the clock says, and the note on the last green verdict, which a red one never replaces."""
    from pytest_ftgate.retraining.listings import Listings

    stores, now = services.stores, time.time()
    result = judge_clock(
        result,
        prepared,
        evidence,
        last,
        Listings(stores.notes, now),
        offline=services.offline,
        refreshed=stores.newer_than is not None,
        now=now,
    )
    name = note_name(prepared.config, result.nodeid)
    if result.passed:
        before, last = last, green_verdict(result, prepared, evidence, now)
        keep(name, last, stores.notes, before=None if stores.newer_than is None else before)
    return result, {} if last is None else {name: last.to_text()}


def _advised(result: GateResult, prepared: Prepared) -> GateResult:
    if result.passed:  # there is nothing to advise, and a long training set need not be counted for that
        return result
    labels = Counter(expected_text(example.expected).strip() for example in prepared.training)
    return replace(result, advice=advise(Facts(result, labels)))


def show_bare(judged: Judged, services: Services) -> Judged:
    """The candidate once more without its own prompt and examples, where it has any; the verdict stays as it is."""
    from pytest_ftgate.models import Surroundings

    prepared, stores = judged.prepared, services.stores
    if prepared is None or "candidate" not in prepared.models:
        return judged
    if any(prepared.judged.values()):  # the bare answers would have to be judged, too, to decide nothing
        return judged
    surroundings = Surroundings(prepared.training, stores.notes, services.offline, stores.newer_than, prepared.test)
    result, bare = with_bare(judged.result, prepared, surroundings, lambda job: _run_alone(job, prepared, services))
    return replace(judged, result=result, runs={**judged.runs, **({"candidate_bare": bare} if bare else {})})


def _run_alone(job: Job, prepared: Prepared, services: Services) -> Run:
    from pytest_ftgate.running.runner import run_models

    try:
        (run,) = run_models([job], **_options(prepared, services))
    finally:
        if services.progress is not None:
            services.progress.wipe()
        _tell_unfinished([job.model], services)
    return run


def _described(config: GateConfig, nodeid: str) -> GateResult:
    baselines = {role: ModelResult(spec.name, spec.spelling) for role, spec in config.baselines.items()}
    return GateResult(
        name=config.name,
        nodeid=nodeid,
        verdict="error",
        metric=config.metric.name,
        margin=config.margin,
        objective=config.objective,
        max_drop=config.max_drop,
        evidence=config.evidence,
        confidence=config.confidence,
        baseline=next(iter(baselines.values())),
        baselines=baselines,
        candidate=ModelResult(config.candidate.name, config.candidate.spelling if config.has_candidate else None),
        hypothesis=None if config.hypothesis is None else str(config.hypothesis),
        gate=config.gate,
        stage=config.stage,
    )


def _with_data(result: GateResult, prepared: Prepared) -> GateResult:
    audit, test, metric = prepared.audit, prepared.test, prepared.deciding
    return replace(
        result,
        training=TrainingResult(
            audit.path,
            audit.sha256,
            audit.rows,
            audit.usable,
            audit.duplicates,
            audit.conflicts,
            audit.leaked,
            near_duplicates=len(audit.near_rows),
            leaked_near=len(audit.leaked_near_rows),
            truncated=len(audit.unfinished),
            chat_errors=len(audit.chat_errors),
            too_long=len(audit.long_rows),
            imbalance=audit.labels.imbalance,
            suspicious=len(audit.doubts.rows),
        ),
        test_set=TestSetResult(test.path, test.sha256, len(test)),
        metric_range=(metric.low, metric.high),
        guards=tuple(map(described, prepared.guards.values())),
        **_with_jobs(result, prepared),
    )


def _with_jobs(result: GateResult, prepared: Prepared) -> dict[str, Any]:
    baselines = {role: prepared.described(role, facts) for role, facts in result.baselines.items()}
    candidate = prepared.described("candidate", result.candidate)
    return {"baselines": baselines, "baseline": next(iter(baselines.values())), "candidate": candidate}


def _options(prepared: Prepared, services: Services) -> dict[str, Any]:
    """How models are run in this gate. Its time limit begins now."""
    from pytest_ftgate.running.runner import TimeLimit

    config = prepared.config
    options: dict[str, Any] = {
        "stores": services.stores,
        "offline": services.offline,
        "progress": services.progress,
        "budget": services.budget,
    }
    if config.timeout_s is not None:
        options["limit"] = TimeLimit.from_now(config.timeout_s, str(config.sources["timeout_s"]))
    return options


def _find_best(
    prepared: Prepared, contest: Contest, options: dict[str, Any]
) -> tuple[Prepared, dict[str, Run], list[Check]]:
    """The best checkpoint becomes the candidate."""
    best, runs, chosen_by = contest.hold(prepared.config.repeats, **options)
    names = [f"validation_step_{one.checkpoint.step}" for one in contest.tuned if one.checkpoint]
    chosen, checks = decided(prepared, best, chosen_by)
    return chosen, dict(zip(names, runs, strict=True)), checks


def _run(
    prepared: Prepared, options: dict[str, Any]
) -> tuple[dict[str, Run], dict[str, Run], dict[tuple[str, str], Run]]:
    """The models over the test set, before that the samples of latencies, and the models over the guards, by role."""
    from pytest_ftgate.running.latency import take_samples
    from pytest_ftgate.running.runner import Job, run_models

    repeats = prepared.config.repeats
    guards = guard_jobs(prepared.guards, prepared.models, repeats)
    jobs = [Job(model, prepared.test, repeats) for model in prepared.models.values()]
    samples = take_samples(prepared.models, prepared.test, **options)
    # Only now: the time that loading takes would be taken for the models'.
    _warm_up([*prepared.metrics.values(), *(guard.metric for guard in prepared.guards.values())])
    runs = run_models([*jobs, *guards.values()], **options)
    guarded = dict(zip(guards, runs[len(jobs) :], strict=True))
    return dict(zip(prepared.models, runs[: len(jobs)], strict=True)), samples, guarded


def _tell_unfinished(models: Iterable[Model], services: Services) -> None:
    """Say what goes on at an endpoint although the run has ended: by Ctrl-C, a fatal error, or out of patience."""
    unfinished = [getattr(model, "unfinished", None) for model in models]
    for text in unfinished:
        if services.tell is not None and isinstance(text, str):
            services.tell(text)


def _warm_up(metrics: Iterable[Metric]) -> None:
    """Load what scoring needs, which takes a second, while the network is being waited for."""
    modules = ["scipy.special", *(["sklearn.metrics"] if any(metric.kind == "set" for metric in metrics) else [])]
    Thread(target=lambda: [import_module(module) for module in modules], daemon=True).start()
