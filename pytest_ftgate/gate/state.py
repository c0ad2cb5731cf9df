"""What a gate is lent by whoever asks for it, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ftgate.models.openai_api.tuning import JobNotes
from pytest_ftgate.result import GateResult

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.checks.training_set import TrainingAudit
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.runs.budget import Budget
    from pytest_ftgate.runs.run_state import Progress
    from pytest_ftgate.runs.runner import Run, Stores


@dataclass(frozen=True)
class Judged:
    """A gate that was judged.

    Attributes:
        result: the facts.
        gate: what they rest on; None where the inputs could not be used.
        runs: all answers, by the names under which recordings keep them; empty where no model was called.
        notes: what is known of fine-tuning jobs and of the last green verdict, for recordings.
    """

    result: GateResult
    gate: Context | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


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
