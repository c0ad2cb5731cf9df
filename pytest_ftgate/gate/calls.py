"""Call the models and judges of one gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.attempts import shown_jobs
from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.guards import guard_jobs
from pytest_ftgate.checks.planned_calls import jobs_over_test_set, planned_calls, sentence
from pytest_ftgate.checks.training_set import check_test_set
from pytest_ftgate.errors import ConfigError, ModelError
from pytest_ftgate.gate.inputs import build_models
from pytest_ftgate.gate.state import Services
from pytest_ftgate.judges import JudgeRun
from pytest_ftgate.models import Surroundings
from pytest_ftgate.result import called
from pytest_ftgate.runs.runner import Job, TimeLimit, run_models, take_samples
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.data import DataSet


def announce(gate: Context, services: Services) -> None:
    """Say which calls the stage ready makes, before it makes them."""
    if services.progress is not None and not gate.accepts and any(one.calls for one in planned_calls(gate)):
        services.progress.say(f"ftgate {gate.result.name}: stage ready makes {sentence(gate)}")


@contextmanager
def calling(gate: Context, services: Services) -> Iterator[dict[str, Any]]:
    """Yield the options of all runs of a gate; at the end wipe the progress.

    The gate's time limit starts here.
    """
    config = gate.config
    options: dict[str, Any] = {
        "stores": services.stores,
        "offline": services.offline,
        "progress": services.progress,
        "budget": services.budget,
    }
    if config.timeout_s is not None:
        options["limit"] = TimeLimit.from_now(config.timeout_s, gate.source("timeout_s"))
    try:
        yield options
    finally:
        if services.progress is not None:
            services.progress.wipe()


def calibrate_judges(gate: Context, options: dict[str, Any]) -> Context:
    """Calibrate the judges on items with human labels."""
    if not gate.judging:
        return gate
    from pytest_ftgate.judges.ask import calibrate

    return _with_judge_run(gate, calibrate(gate.judging, options))


def run_all(gate: Context, options: dict[str, Any]) -> Context:
    """Take the latency samples, then run the models over the test set and over the guards."""
    jobs = jobs_over_test_set(gate)
    guards = guard_jobs(gate)
    samples = take_samples(gate.models, gate.test, **options)
    metrics = [*gate.metrics.values(), *(guard.metric for guard in gate.guards.values())]
    if any(metric.kind == "set" for metric in metrics):
        # Import scikit-learn, which takes a second, while the models are called: after the samples, whose latencies
        # it would add to.
        Thread(target=import_module, args=["sklearn.metrics"], daemon=True).start()
    shown = shown_jobs(gate)
    runs = iter(run_models([*jobs.values(), *guards.values(), *shown.values()], **options))
    return replace(
        gate,
        runs={role: next(runs) for role in jobs},
        samples=samples,
        guard_runs={place: next(runs) for place in guards},
        shown_runs={role: next(runs) for role in shown},
    )


def run_judges(gate: Context, options: dict[str, Any]) -> Context:
    """Ask the judges about the answers; none is called where a missing answer makes the gate an error."""
    if not gate.judging:
        return gate
    from pytest_ftgate.judges import ask

    calibrated = gate.judge_run
    needed = [run for role, run in gate.runs.items() if role not in gate.forgiven]
    if any(run.unanswered for run in needed):
        return gate
    judge_run = ask.run_judges(gate.judging, gate.test, gate.runs, options, calibrated.results)
    judge_run = replace(judge_run, runs={**calibrated.runs, **judge_run.runs})
    # The candidate's judged metrics represent those of all models.
    shown = judge_run.metrics.get("candidate") or next(iter(judge_run.metrics.values()), {})
    return replace(_with_judge_run(gate, judge_run), metrics={**gate.metrics, **shown})


def _with_judge_run(gate: Context, judge_run: JudgeRun) -> Context:
    gate = replace(gate, judge_run=judge_run).with_facts(judges=tuple(judge_run.results.values()))
    return gate.with_checks(judge_run.checks)


def answers_to_rate(config: GateKeys, services: Services) -> tuple[DataSet, Mapping[str, list[str]]]:
    """Return the test set, and the first answer of baseline and candidate to each example, by role.

    Offline, no endpoint is called for answers that are neither stored nor recorded.

    Raises:
        FtgateError: the gate has no single baseline and candidate, an input cannot be read, or an answer is missing.
    """
    several = len(config.baselines) > 1
    if several or not config.has_candidate:
        key = "baselines" if several else "candidate"
        what = f"two models are compared, and the gate has {'several baselines' if several else 'no candidate'}"
        raise ConfigError(what, where=config.sources[key].where(key), cure="Name one baseline and one candidate.")
    test = services.load(config.test_set, config.sources["test_set"].at, labeled=False)
    training = services.load(config.training_set, config.sources["training_set"].at)
    check_test_set(test)
    models = build_models(config, Surroundings(training, services.offline, test), services.hook)
    found: dict[str, list[str]] = {}
    runs = run_models([Job(model, test) for model in models.values()], stores=services.stores, offline=services.offline)
    for role, run in zip(models, runs, strict=True):
        if run.unanswered:
            reason = f": {run.failure.cause}" if run.failure else ""
            raise ModelError(
                f"{called(role)}: {len(run.unanswered):,} of {plural(len(test), 'answer')} missing{reason}",
                cure="Call the models with --ask, or name the folder of their answers: --state, --recordings.",
            )
        role = "candidate" if role == "candidate" else "baseline"
        found[role] = [one.completion.text for one in run.predictions[0] if one.completion is not None]
    return test, found
