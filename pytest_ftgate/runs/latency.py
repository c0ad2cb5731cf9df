"""Latencies from a sample of answers taken by itself: many calls at once would wait for each other, here or there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_ftgate.result import Check, ModelResult, called
from pytest_ftgate.runs.runner import Job, Run, Stores, run_models
from pytest_ftgate.text import one_line, show_seconds

if TYPE_CHECKING:
    from pytest_ftgate.config import Bound
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.models import Completion, LatencySample, Model

BOUNDS = ("latency_p50_s", "latency_p95_s")


class Sampled:
    """A model as its sample is taken: the same calls, fewer at a time, kept under keys of their own.

    So an answer that is stored is asked for once more: how long it took says nothing, for nobody knows what else ran.
    """

    verified: bool | None = None

    def __init__(self, model: Model, sample: LatencySample) -> None:
        self._model = model
        self.name = f"{model.name}, latency"
        self.spelling = model.spelling
        self.concurrency = sample.concurrency
        self.timeout_s = model.timeout_s
        self.retries = model.retries
        self.persistent = model.persistent
        self.price = model.price

    def __getattr__(self, name: str) -> Any:
        """What is optional is as the model has it, but no answers of many questions at once."""
        if name in ("batch_size", "complete_many"):
            raise AttributeError(name)
        return getattr(self._model, name)

    def key(self, example: Example, repeat: int = 0) -> str:
        key = f"latency {self.concurrency} {self._model.key(example, repeat)}"
        return sha256(key.encode()).hexdigest()

    async def complete(self, example: Example, repeat: int = 0) -> Completion:
        return await self._model.complete(example, repeat)

    async def aclose(self) -> None:
        await self._model.aclose()


def take_samples(
    models: Mapping[str, Model], test: DataSet, *, stores: Stores, offline: bool, **options: Any
) -> dict[str, Run]:
    """The sample of each model that asks for one, by role; one after the other, while nothing else runs.

    Args:
        models: by role.
        test: the first examples of which are asked.
        stores: where the answers are kept.
        offline: endpoints may not be asked.
        options: see :func:`~pytest_ftgate.runs.runner.run_models`.
    """
    samples = {}
    for role, model in models.items():
        sample: LatencySample | None = getattr(model, "latency", None)
        if sample is not None:
            first = replace(test, examples=test.examples[: sample.examples])
            sampled = Sampled(model, sample)
            (samples[role],) = run_models([Job(sampled, first)], stores=stores, offline=offline, **options)
    return samples


def sample_check(role: str, facts: ModelResult, run: Run) -> Check:
    """What the sample found; one with a gap is an error."""
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
            if bound.metric.name in BOUNDS and getattr(models[role], "latency", None) is None:
                found[role] = _unsampled(bound, role, models[role])
    return list(found.values())


def _unsampled(bound: Bound, role: str, model: Model) -> Check:
    if getattr(model, "mode", None) == "batch":
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
