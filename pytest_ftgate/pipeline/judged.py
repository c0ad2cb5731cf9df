"""How far a gate has come: ready for its models, or judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_ftgate.jobs.notes import JobNotes
from pytest_ftgate.preparation import Prepared
from pytest_ftgate.result import Check, GateResult, verdict_of
from pytest_ftgate.retraining.last_green import LastGreen

if TYPE_CHECKING:
    from pytest_ftgate.measure import Measured
    from pytest_ftgate.running.runner import Run


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
