"""Call the models and judges of one gate."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.checks.context import Context, RunName, jobs
from pytest_ftgate.gate.state import Services
from pytest_ftgate.result import Check
from pytest_ftgate.runs.jobs import Run, TimeLimit
from pytest_ftgate.runs.judging import Judging, ask_judges, calibrate
from pytest_ftgate.runs.runner import run_models


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
        ends_at = clock.monotonic() + config.timeout_s
        options["limit"] = TimeLimit(config.timeout_s, gate.source("timeout_s"), ends_at)
    try:
        yield options
    finally:
        if services.progress is not None:
            services.progress.wipe()


def calibrate_judges(gate: Context, options: dict[str, Any]) -> Context:
    """Calibrate the judges on items with human labels."""
    return gate if gate.judging is None else _with_judgements(gate, *calibrate(gate.judging, options))


def run_all(gate: Context, options: dict[str, Any]) -> Context:
    """Take the latency samples one after the other, while nothing else runs, then run all other jobs."""
    runs: dict[RunName, Run] = {}
    wanted = jobs(gate)
    for name, job in wanted.items():
        if name.purpose == "latency":
            (runs[name],) = run_models([job], **options)
    others = {name: job for name, job in wanted.items() if name not in runs}
    runs |= zip(others, run_models(list(others.values()), **options), strict=True)
    return replace(gate, runs=runs)


def run_judges(gate: Context, options: dict[str, Any]) -> Context:
    """Ask the judges about the answers; none is called where a missing answer makes the gate an error."""
    if gate.judging is None:
        return gate
    needed = [run for role, run in gate.runs_of("test").items() if role not in gate.forgiven]
    if any(run.unanswered for run in needed):
        return gate
    gate = _with_judgements(gate, *ask_judges(gate.judging, gate.test, gate.runs_of("test"), options))
    # The candidate's judged metrics represent those of all models.
    judged = gate.judging.metrics if gate.judging is not None else {}
    shown = judged.get("candidate") or next(iter(judged.values()), {})
    return replace(gate, metrics={**gate.metrics, **shown})


def _with_judgements(gate: Context, judging: Judging, checks: Sequence[Check]) -> Context:
    gate = replace(gate, judging=judging).with_facts(judges=tuple(judging.results.values()))
    return gate.with_checks(checks)
