"""The models that are asked today, and what is beneath their names, as far as it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.checks.freshness.last_green import KeptModel

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, ModelSpec


def check_name(rule: str, role: str) -> str:
    """Return ``drift_candidate``, ``drift_baseline``, or ``drift_baseline.few_shot`` of several."""
    return f"{rule}_{role}" if role in ("baseline", "candidate") else f"{rule}_baseline.{role}"


def base_in_name(model: str) -> str | None:
    """``gpt-4.1-mini-2025-04-14`` of ``ft:gpt-4.1-mini-2025-04-14:acme::abc123``; None where the name holds no base."""
    parts = model.split(":")
    return parts[1] if len(parts) > 2 and parts[0] == "ft" and parts[1].strip() else None


def today_models(gate: Context) -> dict[str, KeptModel]:
    """Return the models that are asked, by role, as far as what is beneath them is known."""
    return {role: _today(gate, role) for role in gate.models}


def _today(gate: Context, role: str) -> KeptModel:
    spec = gate.asked(role)
    model, revision, tuned = served_as(spec), spec.options.get("revision"), gate.tuned.get(role)
    base = tuned.job.base_model if tuned is not None else None
    if model is None:
        return KeptModel(spec.spelling, base_model=base)
    served = f"{model} (revision {revision})" if revision else model
    return KeptModel(spec.spelling, served, base or base_in_name(model))


def served_as(spec: ModelSpec) -> str | None:
    """The model's name at an endpoint; None where it has none, or which checkpoint it is is not known yet."""
    return spec.options.get("model") if spec.provider == "openai" else None


def kept_role(config: GateKeys, role: str) -> str:
    """Under what a model is kept: of several candidates each under its own name."""
    if role != "candidate" or not config.candidates:
        return role
    return next((f"candidate {name}" for name, spec in config.candidates.items() if spec is config.candidate), role)


def beneath(role: str, model: KeptModel | None) -> str | None:
    """What must stay the same: a candidate is trained anew, on the same base; a baseline is the same model."""
    if model is None:
        return None
    return model.base_model if role == "candidate" else model.served_as


def asked_anew(gate: Context, role: str) -> bool:
    """Return whether some answer of the model was asked for in this run; to read a recording is not to ask."""
    runs = [run for name, run in gate.all_runs() if name == role and run.model.verified is None]
    answers = (one for run in runs for repeat in run.predictions for one in repeat)
    return any(one.completion is not None and not one.stored for one in answers)
