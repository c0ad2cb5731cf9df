"""Answers of a model that is never asked, scored by a metric."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pytest_ftgate.config import MetricSpec, Source
from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.metrics import build_metric
from pytest_ftgate.models import Completion, Prediction, protocol
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.runs.jobs import Run
from pytest_ftgate.runs.measure import Measured, measure_run, score_run

Answer: TypeAlias = str | Completion | None


@dataclass
class Silent(protocol.Model):
    """A model of which only the facts are asked."""

    name: str = "m"
    spelling: str = "m"
    verified: bool | None = True
    price: Price = Price(unknown="no price")  # noqa: RUF009


def made(expected: Sequence[Any], name: str = "accuracy", *, custom: Any = None, **options: Any) -> Any:
    """Return a metric for these expected outputs."""
    spec = MetricSpec(name, options, Source("marker", "marker", Path()))
    texts = [one if isinstance(one, str) else json.dumps(one) for one in expected]
    return build_metric(spec, labels=sorted(set(texts)), custom=custom or {})


def asked(expected: Sequence[Any], *repeats: Sequence[Answer]) -> Run:
    """Return a run with these answers; each took the time that its completion tells."""
    examples = tuple(Example(f"t{i}", f"question {i}", one) for i, one in enumerate(expected))
    rows = []
    for answers in repeats:
        found = [Completion(one) if isinstance(one, str) else one for one in answers]
        rows.append(tuple(Prediction("k", one, one and one.latency_s, id=f"t{i}") for i, one in enumerate(found)))
    return Run(Silent(), DataSet(examples, None, "", "test"), tuple(rows), None)


def scored(metric: Any, expected: Sequence[Any], *repeats: Sequence[Answer]) -> Measured:
    """Return what the metric makes of these answers."""
    run = measure_run("m", asked(expected, *repeats))
    return score_run(run, {metric.name: metric}, metric.name, list(expected))
