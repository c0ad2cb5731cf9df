"""How far a gate has come: ready for its models, or judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ftgate.checks.context import Prepared
from pytest_ftgate.checks.freshness.last_green import LastGreen
from pytest_ftgate.models.openai_api.tuning import JobNotes
from pytest_ftgate.result import Check, GateResult, verdict_of

if TYPE_CHECKING:
    from pytest_ftgate.checks.training_set import TrainingAudit
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.runs.budget import Budget
    from pytest_ftgate.runs.measure import Measured
    from pytest_ftgate.runs.run_state import Progress
    from pytest_ftgate.runs.runner import Run, Stores


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

    @property
    def holds(self) -> bool:
        """Nothing stands against calling more models."""
        return verdict_of(self.free) == "pass"


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

    def recordings(self) -> dict[str, Run]:
        """All runs, by the names under which recordings keep them."""
        samples = {f"{role}_latency": run for role, run in self.samples.items()}
        guards = {f"{role} guard {guard}": run for (guard, role), run in self.guards.items()}
        return {**self.runs, **samples, **self.contest, **guards, **self.judging}


class Display(Protocol):
    """Shows how far the models are, until it is wiped."""

    def __call__(self, progress: Progress) -> None: ...

    def wipe(self) -> None: ...


@dataclass(frozen=True)
class Services:
    """What a session lends to its gates.

    Attributes:
        stores: where predictions are kept.
        load: a data source and its origin to a data set; the session's copy where it was read before. With
            ``labeled=False`` its examples need not say what output is expected.
        hook: pluggy's hook callers, ``None`` outside pytest.
        offline: no endpoint may be called.
        progress: told how far the models are.
        jobs: what committed recordings know of fine-tuning jobs, and of the last green verdicts.
        tell: says something at the session's end that is no fact of a gate.
        budget: what may be spent in this session; ``None``: no limit.
        audit: the audit of a training set for a test set; the session's copy where it was made before.
    """

    stores: Stores
    load: Callable[..., DataSet]
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
