"""Latencies from a sample of answers taken by itself: many calls at once would wait for each other, here or there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from pytest_ftgate.models.protocol import Delegate
from pytest_ftgate.result import Check, ModelResult, called
from pytest_ftgate.runs.runner import Job, Run, Stores, run_models
from pytest_ftgate.text import one_line, show_seconds

if TYPE_CHECKING:
    from pytest_ftgate.config import Bound
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.models import LatencySample, Model

BOUNDS = ("latency_p50_s", "latency_p95_s")


class Sampled(Delegate):
    """A model as its sample is taken: one question a call, fewer calls at a time, kept under keys of their own.

    So an answer that is stored is asked for once more: how long it took says nothing, for nobody knows what else ran.
    """

    verified = None
    batch_size = 1

    def __init__(self, model: Model, sample: LatencySample) -> None:
        super().__init__(model)
        self.name = f"{model.name}, latency"
        self.concurrency = sample.concurrency
        self._key = model.key

    def key(self, example: Example, repeat: int = 0) -> str:
        return sha256(f"latency {self.concurrency} {self._key(example, repeat)}".encode()).hexdigest()


def take_samples(
    models: Mapping[str, Model], test: DataSet, *, stores: Stores, offline: bool, **options: Any
) -> dict[str, Run]:
    """Return the sample of each model that asks for one, by role; one after the other, while nothing else runs.

    Args:
        models: by role.
        test: the first examples of which are asked.
        stores: where the answers are kept.
        offline: endpoints may not be asked.
        options: see :func:`~pytest_ftgate.runs.runner.run_models`.
    """
    samples = {}
    for role, model in models.items():
        if model.latency is not None:
            first = replace(test, examples=test.examples[: model.latency.examples])
            job = Job(cast("Model", Sampled(model, model.latency)), first)
            (samples[role],) = run_models([job], stores=stores, offline=offline, **options)
    return samples


def sample_check(role: str, facts: ModelResult, run: Run) -> Check:
    """Return what the sample found; one with a gap is an error."""
    name = f"{role}_latency"
    predictions = run.predictions[0]
    missing = [one for one in predictions if one.completion is None]
    if missing:
        reason = str(run.fatal) if run.fatal else missing[0].error or ""
        head, *rest = reason.splitlines() or [""]
        counted = f"{len(missing):,} of {len(predictions):,} answers of the latency sample are missing"
        advice = one_line("\n".join(rest)) or None
        return Check(name, "error", f"{called(role, facts.name)}: {counted}: {head}", advice=advice)
    n, at_once = len(predictions), run.model.concurrency
    seen = f"half of {n:,} answers within {show_seconds(facts.latency_p50_s)}, 95 % within "
    seen += f"{show_seconds(facts.latency_p95_s)}, {at_once:,} call{'s' * (at_once > 1)} at a time"
    return Check(name, "note", f"{called(role, facts.name)}: {seen}")


def unsampled_checks(bounds: Sequence[Bound], models: Mapping[str, Model]) -> list[Check]:
    """A bound on the latency of a model that asks for no sample holds to what else ran at that time, if to anything."""
    found = {}
    for bound in bounds:
        roles = ["candidate"] if bound.of == "candidate" else [role for role in models if role != "candidate"]
        for role in roles:
            if bound.metric.name in BOUNDS and models[role].latency is None:
                found[role] = _unsampled(bound, role, models[role])
    return list(found.values())


def _unsampled(bound: Bound, role: str, model: Model) -> Check:
    if model.mode == "batch":
        return Check(
            "latency_sample",
            "error",
            f"{bound.metric.name} of {called(role, model.name)} cannot be known: mode: batch tells no latency",
            source=str(bound.source),
            advice="Give the model latency: {concurrency: 1, examples: 50}: a sample is then asked live.",
        )
    if model.verified is not None:
        seen = "is what the recording says, and nobody knows what else ran"
        advice = None
    else:
        seen = f"is measured with up to {model.concurrency:,} calls at a time, beside the other model"
        advice = "Give the model latency: {concurrency: 1, examples: 50}: a sample is then taken by itself."
    message = f"{bound.metric.name} of {called(role, model.name)} {seen}"
    return Check("latency_sample", "warning", message, source=str(bound.source), advice=advice)
