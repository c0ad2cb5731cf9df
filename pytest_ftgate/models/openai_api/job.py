"""Read fine-tuning jobs and their checkpoints as untrusted data of an endpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_ftgate.models.openai_api.endpoint import Endpoint, count_or_none, fields, text_or_none
from pytest_ftgate.text import kind_of

_WAIT = "wait until it has succeeded, then run again"
_ANEW = "start a new job, and name that one"
_CURES = {
    "validating_files": _WAIT,
    "queued": _WAIT,
    "pending": _WAIT,
    "running": _WAIT,
    "paused": "resume it, and wait until it has succeeded",
    "failed": f"correct what made it fail, {_ANEW}",
    "cancelled": _ANEW,
    "canceled": _ANEW,
}
_LOSSES = ("full_valid_loss", "valid_loss")
_STEPS_SHOWN = 12
NEEDS_VALIDATION_SET = "give the gate a validation_set, on which the checkpoints are compared"


@dataclass(frozen=True)
class TuningJob:
    """Describe a fine-tuning job that has succeeded. ``None`` if the endpoint does not say."""

    id: str  # at the endpoint
    model: str  # the fine-tuned model
    base_model: str | None = None  # the model that was fine-tuned
    trained_tokens: int | None = None  # that were billed
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)  # as the endpoint names them
    training_file: str | None = None  # its id at the endpoint
    validation_file: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """Describe a checkpoint of the training."""

    step: int
    model: str  # its name at the endpoint
    losses: Mapping[str, float] = field(default_factory=dict)  # finite ones on the job's validation file


def read_job(body: object, id_: str, endpoint: Endpoint) -> TuningJob:
    """Return the job in the endpoint's answer. Raise a fatal :class:`ModelError` unless it has succeeded."""
    job = fields(body)
    status = job.get("status")
    if not isinstance(status, str) or job.get("id", id_) != id_:
        lack = "it has another id" if isinstance(status, str) else "it has no status"
        what = lack if isinstance(body, Mapping) else f"it is {kind_of(body)}, not an object"
        raise endpoint.error(f"the endpoint's answer is not the fine-tuning job {id_}: {what}", fatal=True)
    if status != "succeeded":
        message = text_or_none(fields(job.get("error")).get("message"))
        raise endpoint.error(
            f"the fine-tuning job {id_} has not succeeded: its state is {endpoint.quoted(status, 40)}",
            fatal=True,
            evidence=f"reason: {endpoint.quoted(message)}" if message else None,
            cure=_CURES.get(status, "name a job whose state is succeeded"),
        )
    model = text_or_none(job.get("fine_tuned_model"))
    if model is None:
        what = f"the fine-tuning job {id_} has succeeded, but names no fine_tuned_model"
        raise endpoint.error(what, fatal=True, cure="name the model itself: model in place of job")
    return TuningJob(
        id=id_,
        model=model,
        base_model=text_or_none(job.get("model")),
        trained_tokens=count_or_none(job.get("trained_tokens")),
        hyperparameters=_hyperparameters(job),
        training_file=text_or_none(job.get("training_file")),
        validation_file=text_or_none(job.get("validation_file")),
    )


def read_checkpoints(rows: Sequence[object], id_: str, endpoint: Endpoint) -> tuple[Checkpoint, ...]:
    """Return the checkpoints of a job by step. Raise a fatal :class:`ModelError` if a row is none, or two are equal."""
    found = {}
    for row in rows:
        parts = fields(row)
        step = count_or_none(parts.get("step_number"))
        model = text_or_none(parts.get("fine_tuned_model_checkpoint"))
        if step is None or model is None or step in found:
            what = "holds one without a step or a name" if step is None or model is None else f"holds step {step} twice"
            what = f"the endpoint's list of checkpoints of the fine-tuning job {id_} {what}"
            raise endpoint.error(what, fatal=True)
        losses = fields(parts.get("metrics"))
        losses = {name: float(losses[name]) for name in _LOSSES if _is_number(losses.get(name))}
        found[step] = Checkpoint(step, model, losses)
    return tuple(found[step] for step in sorted(found))


def choose_checkpoint(
    checkpoints: Sequence[Checkpoint], wanted: str | int, job: TuningJob, endpoint: Endpoint
) -> tuple[Checkpoint, str]:
    """Return one of a job's checkpoints, which are ordered by step, and a description of how it was chosen.

    ``wanted`` is ``last``, a step, or ``best``: the lowest loss on the job's own validation file, among equals the
    first. Raise a fatal :class:`ModelError` if there is no such checkpoint, or no loss to choose the best by.
    """
    if not checkpoints:
        what = f"the endpoint lists no checkpoint of the fine-tuning job {job.id}"
        cure = "leave checkpoint out: the job's fine_tuned_model is then judged"
        raise endpoint.error(what, fatal=True, cure=cure)
    if wanted == "last":
        return checkpoints[-1], "the last"
    if wanted != "best":
        found = next((one for one in checkpoints if one.step == int(wanted)), None)
        if found is None:
            steps = ", ".join(str(one.step) for one in checkpoints[:_STEPS_SHOWN])
            more = f" and {len(checkpoints) - _STEPS_SHOWN} more" if len(checkpoints) > _STEPS_SHOWN else ""
            what = f"the fine-tuning job {job.id} has no checkpoint at step {int(wanted)}"
            raise endpoint.error(what, fatal=True, evidence=f"its checkpoints are at {steps}{more}")
        return found, "by its step"
    loss = next((name for name in _LOSSES if all(name in one.losses for one in checkpoints)), None)
    if loss is None or job.validation_file is None:  # losses without such a file may be those of the test set
        why = f"the endpoint gives no {' or '.join(_LOSSES)} for every checkpoint"
        why = "the job had no validation file" if job.validation_file is None else why
        what = f"the best checkpoint of the fine-tuning job {job.id} is not known: {why}"
        raise endpoint.error(what, fatal=True, cure=NEEDS_VALIDATION_SET)
    best = min(checkpoints, key=lambda one: one.losses[loss])
    seen = f"the lowest {loss} of the job's validation file, {best.losses[loss]:.6g}, of {len(checkpoints)}"
    return best, f"best: {seen}"


def _hyperparameters(job: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the plain values of the job's hyperparameters, or of its method's, where newer jobs have them."""
    methods = fields(job.get("method"))
    below = fields(methods.get(str(methods.get("type")))).get("hyperparameters")
    values = fields(job.get("hyperparameters") or below)
    return {str(name): value for name, value in values.items() if isinstance(value, str | int) or _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
