"""The calls of one gate: the best checkpoint is found, all models run over their test sets, judges are heard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.answers import forgiven_roles
from pytest_ftgate.checks.context import Prepared
from pytest_ftgate.checks.guards import guard_jobs
from pytest_ftgate.gate.contest import with_winner
from pytest_ftgate.gate.state import Services
from pytest_ftgate.judges import JudgeRun, run_judges
from pytest_ftgate.result import Check

if TYPE_CHECKING:
    from pytest_ftgate.gate.checkpoints import Contest
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model
    from pytest_ftgate.runs.runner import Job, Run


@dataclass(frozen=True)
class Calls:
    """What models and judges have answered so far.

    Attributes:
        runs: of the models over the test set, by role.
        samples: from which latencies are taken, by role, where a model asks for one.
        guards: of the models over the guards' test sets, by guard and role.
        contest: of a job's checkpoints over the validation set, by ``validation_step_100``.
        opinion: of the judges.
    """

    runs: Mapping[str, Run] = field(default_factory=dict)
    samples: Mapping[str, Run] = field(default_factory=dict)
    guards: Mapping[tuple[str, str], Run] = field(default_factory=dict)
    contest: Mapping[str, Run] = field(default_factory=dict)
    opinion: JudgeRun = field(default_factory=JudgeRun)


@contextmanager
def calling(models: Iterable[Model], services: Services) -> Iterator[None]:
    """Around calls: whatever ends them, the progress is wiped, and it is said what goes on at an endpoint."""
    try:
        yield
    finally:
        if services.progress is not None:
            services.progress.wipe()
        _tell_unfinished(models, services)


def run_options(prepared: Prepared, services: Services) -> dict[str, Any]:
    """How models are run in this gate. Its time limit begins now."""
    from pytest_ftgate.runs.runner import TimeLimit

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


def find_best(
    prepared: Prepared, contest: Contest, options: dict[str, Any]
) -> tuple[Prepared, dict[str, Run], list[Check]]:
    """The best checkpoint becomes the candidate."""
    best, runs, chosen_by = contest.hold(prepared.config.repeats, **options)
    names = [f"validation_step_{one.checkpoint.step}" for one in contest.tuned if one.checkpoint]
    chosen, checks = with_winner(prepared, best, chosen_by)
    return chosen, dict(zip(names, runs, strict=True)), checks


def run_all(prepared: Prepared, options: dict[str, Any], calls: Calls) -> Calls:
    """The samples of latencies, then the models over the test set and over those of the guards."""
    from pytest_ftgate.runs.latency import take_samples
    from pytest_ftgate.runs.runner import Job, run_models

    repeats = prepared.config.repeats
    guards = guard_jobs(prepared.guards, prepared.models, repeats)
    jobs = [Job(model, prepared.test, repeats) for model in prepared.models.values()]
    samples = take_samples(prepared.models, prepared.test, **options)
    # Only now: the time that loading takes would be taken for the models'.
    _warm_up([*prepared.metrics.values(), *(guard.metric for guard in prepared.guards.values())])
    runs = run_models([*jobs, *guards.values()], **options)
    return replace(
        calls,
        runs=dict(zip(prepared.models, runs[: len(jobs)], strict=True)),
        samples=samples,
        guards=dict(zip(guards, runs[len(jobs) :], strict=True)),
    )


def hear_judges(prepared: Prepared, runs: Mapping[str, Run], calibrated: JudgeRun, options: dict[str, Any]) -> JudgeRun:
    """What the judges say of complete runs, with the calibration; its checks have been told already.

    Where an answer is missing that makes the gate an error, no judge is paid.
    """
    forgiven = forgiven_roles(prepared.config.errors, runs.values())
    answered = [
        one.completion for role, run in runs.items() if role not in forgiven for r in run.predictions for one in r
    ]
    if any(completion is None for completion in answered):
        return replace(calibrated, checks=())
    said = run_judges(prepared.judging, prepared.test, runs, options, calibrated.results)
    return replace(said, runs={**calibrated.runs, **said.runs})


def run_alone(job: Job, prepared: Prepared, services: Services) -> Run:
    """One more model, after all others."""
    from pytest_ftgate.runs.runner import run_models

    with calling([job.model], services):
        (run,) = run_models([job], **run_options(prepared, services))
    return run


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
