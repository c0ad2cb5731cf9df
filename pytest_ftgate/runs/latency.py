"""Latencies from a sample of answers taken by itself: many calls at once would wait for each other, here or there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_ftgate.runs.runner import Job, Run, Stores, run_models

if TYPE_CHECKING:
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.models import Completion, LatencySample, Model


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
