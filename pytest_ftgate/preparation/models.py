"""The models that a gate asks, built; those that are named by the job that made them, by what the job made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig, ModelSpec
    from pytest_ftgate.jobs.checkpoints import Contest
    from pytest_ftgate.jobs.tuning import Tuned
    from pytest_ftgate.models import Model, Surroundings


@dataclass(frozen=True)
class BuiltModels:
    """By role: the baselines' names, then "candidate", which the stage ready leaves out.

    Attributes:
        models: to be called.
        specs: as they are asked; none of a candidate that is yet to be found.
        tuned: those that are named by their job.
    """

    models: Mapping[str, Model]
    specs: Mapping[str, ModelSpec]
    tuned: Mapping[str, Tuned]


def build_models(
    config: GateConfig, contest: Contest | None, surroundings: Surroundings, hook: Any | None
) -> BuiltModels:
    """Build each; in a contest of checkpoints, its last stands for the candidate."""
    from pytest_ftgate.jobs.tuning import Tuned, has_job, settle
    from pytest_ftgate.models import build_model

    settled = config.baselines if contest else config.asked
    tuned = {role: settle(spec, surroundings) for role, spec in settled.items() if has_job(spec)}
    specs = {**settled, **{role: one.spec for role, one in tuned.items()}}
    models = {role: build_model(spec, surroundings, hook) for role, spec in specs.items()}
    if contest:
        models["candidate"] = contest.models[-1]
        tuned["candidate"] = Tuned(config.candidate, contest.tuned[-1].job)
    return BuiltModels(models, specs, tuned)


def judged_models(
    config: GateConfig, built: BuiltModels, contest: Contest | None
) -> dict[str, list[tuple[ModelSpec, Model | None]]]:
    """By role the models that may be judged, of which none may judge: also what else may become the candidate."""
    found: dict[str, list[tuple[ModelSpec, Model | None]]] = {
        role: [(built.specs.get(role, config.candidate), model)] for role, model in built.models.items()
    }
    checkpoints = zip(contest.tuned, contest.models, strict=True) if contest else ()
    others = [*((spec, None) for spec in (config.candidate, *config.candidates.values()) if spec.provider)]
    found["candidate"] = [*found.get("candidate", ()), *others, *((one.spec, model) for one, model in checkpoints)]
    return found
