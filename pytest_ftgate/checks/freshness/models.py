"""The models of a gate and what their names stand for, as far as it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.checks.freshness.last_green import KeptModel

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, ModelSpec


def check_name(rule: str, role: str) -> str:
    """Return the name of a check: ``drift_candidate``, ``drift_baseline``, or ``drift_baseline.few_shot``."""
    return f"{rule}_{role}" if role in ("baseline", "candidate") else f"{rule}_baseline.{role}"


def base_in_name(model: str) -> str | None:
    """Return ``gpt-4.1-mini`` for ``ft:gpt-4.1-mini:acme::abc123``; None if the name has no base model."""
    parts = model.split(":")
    return parts[1] if len(parts) > 2 and parts[0] == "ft" and parts[1].strip() else None


def today_models(gate: Context) -> dict[str, KeptModel]:
    """Return the models of the gate by role, with their served names and base models as far as known."""
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
    """Return the model's name at an endpoint; None if it has none, or if its checkpoint is not chosen yet."""
    return spec.options.get("model") if spec.provider == "openai" else None


def kept_role(config: GateKeys, role: str) -> str:
    """Return the role under which a model is stored; several candidates have a role each."""
    if role != "candidate" or not config.candidates:
        return role
    return next((f"candidate {name}" for name, spec in config.candidates.items() if spec is config.candidate), role)


def beneath(role: str, model: KeptModel | None) -> str | None:
    """Return the name that must not change: the base model of a candidate, the served model of a baseline."""
    if model is None:
        return None
    return model.base_model if role == "candidate" else model.served_as


def asked_anew(gate: Context, role: str) -> bool:
    """Return whether at least one answer of the model was requested in this run, not stored or recorded."""
    runs = [run for name, run in gate.all_runs() if name == role and run.model.verified is None]
    answers = (one for run in runs for repeat in run.predictions for one in repeat)
    return any(one.completion is not None and not one.stored for one in answers)
