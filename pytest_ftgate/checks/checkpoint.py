"""The best of a job's checkpoints, found on a validation set that shares no input with the test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys


def check(gate: Context) -> list[Check]:
    """Check that the checkpoint was not chosen on the test set, and say which it is."""
    if not gate.accepts:
        return []
    found = [shared_check(gate.shared, len(gate.test))] if gate.shared is not None else []
    if gate.config.validation_set is not None and gate.checkpoints is None:
        found.append(unused_check(gate.config))
    return [*found, *chosen(gate)]


def chosen(gate: Context) -> list[Check]:
    """Say which checkpoint is judged; nothing where the job's own model is, or the checkpoint is not chosen yet."""
    tuned = gate.tuned.get("candidate")
    if tuned is None or tuned.checkpoint is None:
        return []
    step, source = tuned.checkpoint.step, str(gate.config.candidate.source)
    message = f"the candidate is the checkpoint at step {step} ({tuned.chosen_by})"
    return [Check("checkpoint", "note", message, observed=step, source=source)]


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


def shared_check(shared: Shared, tests: int) -> Check:
    """A checkpoint that was chosen on the test set has seen it."""
    if not shared.leaked:
        message = f"no test example stands in {shared.name}, on which the checkpoint is chosen"
        return Check("validation_set", "pass", message, observed=0, required=0, source=shared.source)
    stand = "stands" if shared.leaked == 1 else "stand"
    places = f": {shared.places}" if shared.places else ""
    return Check(
        "validation_set",
        "fail",
        f"{shared.leaked:,} of {plural(tests, 'test example')} {stand} in {shared.name}, on which the checkpoint is "
        f"chosen{places}",
        observed=shared.leaked,
        required=0,
        source=shared.source,
        advice="Choose on other examples: the test set tells nothing any more about a model that was chosen on it.",
    )


def unused_check(config: GateKeys) -> Check:
    """A validation set is named, and no checkpoint is chosen on it."""
    return Check(
        "validation_set",
        "note",
        "the validation set is not used: it is for a candidate with checkpoint: best",
        source=str(config.sources["validation_set"]),
    )
