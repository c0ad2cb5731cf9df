"""The best of a job's checkpoints, found on a validation set that shares no input with the test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context


@dataclass(frozen=True)
class Shared:
    """What a validation set shares with the test set.

    Attributes:
        name: what messages call the validation set.
        leaked: test examples whose input stands in it.
        places: the first of them, in words; "" where they are not known.
        source: where the validation set is named.
    """

    name: str
    leaked: int
    places: str
    source: str


def check(gate: Context) -> list[Check]:
    """Check that the checkpoint was not chosen on the test set, and say which it is."""
    if not gate.accepts:
        return []
    checks = [_shared(gate.shared, len(gate.test))] if gate.shared is not None else []
    if gate.config.validation_set is not None and gate.checkpoints is None:
        message = "the validation set is not used: it is for a candidate with checkpoint: best"
        checks.append(Check("validation_set", "note", message, source=gate.source("validation_set")))
    return [*checks, *chosen(gate)]


def chosen(gate: Context) -> list[Check]:
    """Say which checkpoint is judged; nothing where the job's own model is, or the checkpoint is not chosen yet."""
    tuned = gate.tuned.get("candidate")
    if tuned is None or tuned.checkpoint is None:
        return []
    step, source = tuned.checkpoint.step, str(gate.config.candidate.source)
    message = f"the candidate is the checkpoint at step {step} ({tuned.chosen_by})"
    return [Check("checkpoint", "note", message, observed=step, source=source)]


def _shared(shared: Shared, tests: int) -> Check:
    """A checkpoint that was chosen on the test set has seen it."""
    count = shared.leaked
    facts: dict[str, Any] = {"observed": shared.leaked, "required": 0, "source": shared.source}
    if not count:
        message = f"no test example stands in {shared.name}, on which the checkpoint is chosen"
        return Check("validation_set", "pass", message, **facts)
    stand, places = "stands" if count == 1 else "stand", f": {shared.places}" if shared.places else ""
    message = f"{count:,} of {plural(tests, 'test example')} {stand} in {shared.name}, on which the checkpoint is "
    advice = "Choose on other examples: the test set tells nothing any more about a model that was chosen on it."
    return Check("validation_set", "fail", f"{message}chosen{places}", **facts, advice=advice)
