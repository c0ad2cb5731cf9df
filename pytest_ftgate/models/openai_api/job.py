"""Fine-tuning jobs and their checkpoints, read without trust from what an endpoint answered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.endpoint import Endpoint
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


@dataclass(frozen=True)
class TuningJob:
    """A fine-tuning job that has succeeded. ``None`` where the endpoint does not say.

    Attributes:
        id: the endpoint's.
        model: the name of the model that it made.
        base_model: what that was made from.
        trained_tokens: how many were paid for.
        hyperparameters: as the endpoint names them.
        training_file, validation_file: ids of files at the endpoint.
    """

    id: str
    model: str
    base_model: str | None = None
    trained_tokens: int | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    training_file: str | None = None
    validation_file: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """The model as it was after a step of the training.

    Attributes:
        step: the number of the step.
        model: the checkpoint's name at the endpoint.
        losses: on the job's validation file, by the endpoint's names; finite ones alone.
    """

    step: int
    model: str
    losses: Mapping[str, float] = field(default_factory=dict)


def read_job(body: object, id_: str, endpoint: Endpoint) -> TuningJob:
    """Return the job, which must have succeeded.

    Args:
        body: the endpoint's answer, as JSON data.
        id_: the job that was asked for.
        endpoint: who answered, for messages.

    Raises:
        ModelError: fatal; the job has not succeeded (says its state, and why), or this is no job.
    """
    job = body if isinstance(body, Mapping) else {}
    status = job.get("status")
    if not isinstance(status, str) or job.get("id", id_) != id_:
        what = "it has no status" if isinstance(body, Mapping) else f"it is {kind_of(body)}, not an object"
        if isinstance(status, str):
            what = "it has another id"
        raise _fatal(f"the endpoint's answer is not the fine-tuning job {id_}: {what}", endpoint)
    if status != "succeeded":
        raise _not_succeeded(job, id_, status, endpoint)
    model = _text(job.get("fine_tuned_model"))
    if model is None:
        raise _fatal(
            f"the fine-tuning job {id_} has succeeded, but names no fine_tuned_model",
            endpoint,
            cure="name the model itself: model in place of job",
        )
    return TuningJob(
        id=id_,
        model=model,
        base_model=_text(job.get("model")),
        trained_tokens=_count(job.get("trained_tokens")),
        hyperparameters=_hyperparameters(job),
        training_file=_text(job.get("training_file")),
        validation_file=_text(job.get("validation_file")),
    )


def read_checkpoints(rows: Sequence[object], id_: str, endpoint: Endpoint) -> tuple[Checkpoint, ...]:
    """Return the checkpoints of a job, by their steps.

    Raises:
        ModelError: fatal; a row is no checkpoint, or two of them have one step.
    """
    found = {}
    for row in rows:
        parts = row if isinstance(row, Mapping) else {}
        step, model = _count(parts.get("step_number")), _text(parts.get("fine_tuned_model_checkpoint"))
        if step is None or model is None or step in found:
            what = "holds one without a step or a name" if step is None or model is None else f"holds step {step} twice"
            raise _fatal(f"the endpoint's list of checkpoints of the fine-tuning job {id_} {what}", endpoint)
        found[step] = Checkpoint(step, model, _losses(parts.get("metrics")))
    return tuple(found[step] for step in sorted(found))


def choose_checkpoint(
    checkpoints: Sequence[Checkpoint], wanted: str | int, job: TuningJob, endpoint: Endpoint
) -> tuple[Checkpoint, str]:
    """One checkpoint, and in words by what it was chosen.

    Args:
        checkpoints: the job's, by their steps.
        wanted: ``last``, a step, or ``best``: the lowest loss on the job's own validation file; of equals the first.
        job: whose they are.
        endpoint: where, for messages.

    Raises:
        ModelError: fatal; there is no such checkpoint, or nothing to choose the best by.
    """
    if not checkpoints:
        raise _fatal(
            f"the endpoint lists no checkpoint of the fine-tuning job {job.id}",
            endpoint,
            cure="leave checkpoint out: the job's fine_tuned_model is then judged",
        )
    if wanted == "last":
        return checkpoints[-1], "the last"
    if wanted != "best":
        return _at_step(checkpoints, int(wanted), job, endpoint), "by its step"
    loss = next((name for name in _LOSSES if all(name in one.losses for one in checkpoints)), None)
    if loss is None or job.validation_file is None:
        raise _no_loss(job, endpoint)
    best = min(checkpoints, key=lambda one: one.losses[loss])
    seen = f"the lowest {loss} of the job's validation file, {best.losses[loss]:.6g}, of {len(checkpoints)}"
    return best, f"best: {seen}"


def _at_step(checkpoints: Sequence[Checkpoint], step: int, job: TuningJob, endpoint: Endpoint) -> Checkpoint:
    found = next((one for one in checkpoints if one.step == step), None)
    if found is None:
        steps = ", ".join(str(one.step) for one in checkpoints[:_STEPS_SHOWN])
        more = f" and {len(checkpoints) - _STEPS_SHOWN} more" if len(checkpoints) > _STEPS_SHOWN else ""
        raise _fatal(
            f"the fine-tuning job {job.id} has no checkpoint at step {step}",
            endpoint,
            evidence=f"its checkpoints are at {steps}{more}",
        )
    return found


def _no_loss(job: TuningJob, endpoint: Endpoint) -> ModelError:
    """Losses on a file that nobody names count for nothing: it may be the test set."""
    why = f"the endpoint gives no {' or '.join(_LOSSES)} for every checkpoint"
    if job.validation_file is None:
        why = "the job had no validation file"
    return _fatal(
        f"the best checkpoint of the fine-tuning job {job.id} is not known: {why}",
        endpoint,
        cure="give the gate a validation_set, on which the checkpoints are compared",
    )


def _not_succeeded(job: Mapping[Any, Any], id_: str, status: str, endpoint: Endpoint) -> ModelError:
    error = job.get("error")
    message = _text(error.get("message")) if isinstance(error, Mapping) else None
    return _fatal(
        f"the fine-tuning job {id_} has not succeeded: its state is {endpoint.quoted(status, 40)}",
        endpoint,
        evidence=f"it says: {endpoint.quoted(message)}" if message else None,
        cure=_CURES.get(status, "a candidate is made by a job whose state is succeeded"),
    )


def _hyperparameters(job: Mapping[Any, Any]) -> dict[str, Any]:
    """Of the job, or of its method, where newer jobs have them; plain values alone."""
    method = job.get("method")
    methods = method if isinstance(method, Mapping) else {}
    chosen = methods.get(methods.get("type")) if isinstance(methods.get("type"), str) else None
    below = chosen.get("hyperparameters") if isinstance(chosen, Mapping) else None
    found = job.get("hyperparameters") or below
    values = found if isinstance(found, Mapping) else {}
    return {str(name): value for name, value in values.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _losses(metrics: object) -> dict[str, float]:
    values = metrics if isinstance(metrics, Mapping) else {}
    return {name: float(values[name]) for name in _LOSSES if _is_number(values.get(name))}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _fatal(what: str, endpoint: Endpoint, *, evidence: str | None = None, cure: str | None = None) -> ModelError:
    return ModelError(what, where=endpoint.where, fatal=True, evidence=evidence, cure=cure)
