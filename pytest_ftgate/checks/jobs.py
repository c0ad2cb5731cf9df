"""Name each run of a gate, and list what the models of a gate are asked."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pytest_ftgate.checks.context import Context
from pytest_ftgate.runs.runner import Job, sample_job

Purpose = Literal["latency", "test", "shown", "guard"]


class RunName(NamedTuple):
    """Name a run: what it is for, the role of its model, and the name of the guard whose test set it is over.

    ``shown`` is a run over the examples that may be shown, where these do not count.
    """

    purpose: Purpose
    role: str
    part: str = ""

    @property
    def words(self) -> str:
        """Return what the run is for, as people read it."""
        names = {"latency": "latency sample", "test": "test set", "shown": "examples that may be shown"}
        return names.get(self.purpose, f"guard {self.part}")

    @property
    def recorded_as(self) -> str:
        """Return the name of the run in recordings, which hold the examples that may be shown with the others."""
        own = {"latency": f"{self.role}_latency", "guard": f"{self.role} guard {self.part}"}
        return own.get(self.purpose, self.role)


def jobs(gate: Context) -> dict[RunName, Job]:
    """Return all that the models of a gate are asked, in the order in which they are asked."""
    found: dict[RunName, Job] = {}
    repeats, attempt = gate.config.repeats, gate.attempt
    for role, model in gate.models.items():
        if (sample := sample_job(model, gate.test)) is not None:
            found[RunName("latency", role)] = sample
    found |= {RunName("test", role): Job(model, gate.test, repeats) for role, model in gate.models.items()}
    for guard in gate.guards.values():
        for role, model in gate.models.items():
            found[RunName("guard", role, guard.name)] = Job(model, guard.test, repeats)
    if attempt is not None and attempt.spares and len(attempt.shown):
        found |= {RunName("shown", role): Job(model, attempt.shown, repeats) for role, model in gate.models.items()}
    return found
