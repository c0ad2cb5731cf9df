"""The best of a job's checkpoints, found on a validation set that shares no input with the test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.models.openai_api.tuning import Tuned


def chosen_check(tuned: Tuned, config: GateConfig) -> Check | None:
    """Which checkpoint is judged; nothing where the job's own model is."""
    if tuned.checkpoint is None:
        return None
    message = f"the candidate is the checkpoint at step {tuned.checkpoint.step} ({tuned.chosen_by})"
    return Check("checkpoint", "note", message, observed=tuned.checkpoint.step, source=str(config.candidate.source))


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


def unused_check(config: GateConfig) -> Check:
    """A validation set is named, and no checkpoint is chosen on it."""
    return Check(
        "validation_set",
        "note",
        "the validation set is not used: it is for a candidate with checkpoint: best",
        source=str(config.sources["validation_set"]),
    )
