"""The rule that the best checkpoint of a job is not chosen on the test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context


@dataclass(frozen=True)
class Shared:
    """Hold what a validation set has in common with the test set.

    Attributes:
        leaked: the number of test examples whose input it contains.
        places: the first of them, as in ``test.jsonl:1 = valid.jsonl:7``; "" where they are not known.
    """

    name: str
    leaked: int
    places: str
    source: str


def check(gate: Context) -> list[Check]:
    """Check that the checkpoint was not chosen on the test set, and name it."""
    if not gate.accepts:
        return []
    checks = [_shared(gate.shared, len(gate.test))] if gate.shared is not None else []
    if gate.config.validation_set is not None and gate.checkpoints is None:
        message = "the validation set is not used: only a candidate with checkpoint: best needs it"
        checks.append(Check("validation_set", "note", message, source=gate.source("validation_set")))
    return [*checks, *chosen(gate)]


def chosen(gate: Context) -> list[Check]:
    """Note which checkpoint is judged; nothing for a job's final model, or before the checkpoint is chosen."""
    tuned = gate.tuned.get("candidate")
    if tuned is None or tuned.checkpoint is None:
        return []
    step, source = tuned.checkpoint.step, str(gate.config.candidate.source)
    message = f"the candidate is the checkpoint at step {step} ({tuned.chosen_by})"
    return [Check("checkpoint", "note", message, observed=step, source=source)]


def _shared(shared: Shared, tests: int) -> Check:
    """Check that the examples on which the checkpoint is chosen are not in the test set."""
    count = shared.leaked
    facts: dict[str, Any] = {"observed": shared.leaked, "required": 0, "source": shared.source}
    if not count:
        message = f"no test example is in {shared.name}, on which the checkpoint is chosen"
        return Check("validation_set", "pass", message, **facts)
    verb, places = "is" if count == 1 else "are", f": {shared.places}" if shared.places else ""
    message = f"{count:,} of {plural(tests, 'test example')} {verb} in {shared.name}, on which the checkpoint is "
    advice = "Choose the checkpoint on other examples: a model that was chosen on the test set looks too good on it."
    return Check("validation_set", "fail", f"{message}chosen{places}", **facts, advice=advice)
