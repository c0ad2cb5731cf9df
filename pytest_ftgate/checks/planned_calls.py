"""List the calls that a gate makes, before it makes any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ftgate.checks.attempts import shown_jobs
from pytest_ftgate.checks.guards import guard_jobs
from pytest_ftgate.result import Check, called
from pytest_ftgate.runs.runner import Job, sample_job
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context


@dataclass(frozen=True)
class Planned:
    """Hold calls to one model for one purpose; stored answers are not subtracted.

    Attributes:
        role: of the model; of a judge its name.
        calls: how many answers are asked for; 0 for recorded predictions.
        job: the questions; None for a judge, whose questions follow from the answers.
        most: ``calls`` is an upper limit: a judge is not asked the same question twice.
    """

    role: str
    name: str
    purpose: str
    calls: int
    job: Job | None = None
    most: bool = False


def planned_calls(gate: Context) -> list[Planned]:
    """Return all calls that the gate makes, in the order in which it makes them, without those that are free."""
    return [
        *_judges(gate, calibration=True),
        *_of_models(gate),
        *_judges(gate, calibration=False),
    ]


def jobs_over_test_set(gate: Context) -> dict[str, Job]:
    """Return the run of each model over the test set, by role."""
    return {role: Job(model, gate.test, gate.config.repeats) for role, model in gate.models.items()}


def sentence(gate: Context) -> str:
    """Return which calls the gate makes: ``60 calls: 60 to baseline base (60 test set)``."""
    planned = [one for one in planned_calls(gate) if one.calls]
    by_role = {one.role: [other for other in planned if other.role == one.role] for one in planned}
    models = [
        f"{_counted(several)} to {_named(several[0])} ({', '.join(f'{one.calls:,} {one.purpose}' for one in several)})"
        for several in by_role.values()
    ]
    if not models:
        return "no calls: all predictions are recorded"
    return f"{_counted(planned, 'call')}: {', '.join(models)}; stored answers are not asked for again"


def check_ready(gate: Context) -> Iterator[Check]:
    """Note which calls the stage ready makes."""
    if not gate.accepts:
        calls = sum(one.calls for one in planned_calls(gate))
        yield Check("calls", "note", f"stage ready makes {sentence(gate)}", calls, source=gate.source("stage"))


def _of_models(gate: Context) -> Iterator[Planned]:
    jobs = jobs_over_test_set(gate)
    samples = {role: sample_job(model, gate.test) for role, model in gate.models.items()}
    yield from (_planned(gate, role, "latency sample", job) for role, job in samples.items() if job is not None)
    yield from (_planned(gate, role, "test set", job) for role, job in jobs.items())
    yield from (_planned(gate, role, "examples that may be shown", job) for role, job in shown_jobs(gate).items())
    yield from (_planned(gate, role, f"guard {guard}", job) for (guard, role), job in guard_jobs(gate).items())


def _planned(gate: Context, role: str, purpose: str, job: Job) -> Planned:
    calls = len(job.test_set) * job.repeats if job.model.verified is None else 0
    return Planned(role, gate.models[role].name, purpose, calls, job)


def _judges(gate: Context, *, calibration: bool) -> Iterator[Planned]:
    """Yield the calls to judges: a pair of answers is judged in both orders."""
    for name, judge in gate.judging.judges.items() if gate.judging is not None else ():
        if judge.model.verified is not None:
            continue
        pairwise = judge.metric.pairwise
        answers = (
            len(gate.test) * gate.config.repeats * (2 * len(gate.config.baselines) if pairwise else len(gate.models))
        )
        items = len(judge.items) * (2 if pairwise else 1)
        count, purpose = (items, "calibration") if calibration else (answers, "answers to the test set")
        if count and (calibration or gate.accepts or not pairwise):
            yield Planned(f"judge {name}", judge.model.name, purpose, count, most=True)


def _counted(planned: Sequence[Planned], noun: str = "") -> str:
    count, most = sum(one.calls for one in planned), any(one.most for one in planned)
    return ("at most " if most else "") + (plural(count, noun) if noun else f"{count:,}")


def _named(first: Planned) -> str:
    return f"{first.role} {first.name}" if first.job is None else called(first.role, first.name)
