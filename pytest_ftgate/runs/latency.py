"""Measure latencies on a separate sample: with many calls at once they would wait for each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from pytest_ftgate.models.protocol import Delegate
from pytest_ftgate.runs.runner import Job, Run, Stores, run_models

if TYPE_CHECKING:
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.models import LatencySample, Model


class Sampled(Delegate):
    """Ask a model for its latency sample: one question per call, fewer calls at a time, and separate keys.

    Stored answers are asked for again, since it is unknown what else ran when they were timed.
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


def sample_job(model: Model, test: DataSet) -> Job | None:
    """Return the latency sample of a model over the first examples of the test set; None if it needs none."""
    if model.latency is None:
        return None
    first = replace(test, examples=test.examples[: model.latency.examples])
    return Job(cast("Model", Sampled(model, model.latency)), first)


def take_samples(
    models: Mapping[str, Model], test: DataSet, *, stores: Stores, offline: bool, **options: Any
) -> dict[str, Run]:
    """Return the sample of each model that needs one, by role; one after the other, while nothing else runs.

    See :func:`~pytest_ftgate.runs.runner.run_models`.
    """
    samples = {}
    for role, model in models.items():
        job = sample_job(model, test)
        if job is not None:
            (samples[role],) = run_models([job], stores=stores, offline=offline, **options)
    return samples
