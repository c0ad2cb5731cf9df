"""The judges of a gate: models like all others, named in the options of a metric."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_ftgate.config.gate_config import GateConfig, MetricSpec, ModelSpec
from pytest_ftgate.config.judge_keys import JUDGED, CalibrationKeys
from pytest_ftgate.config.source import Source
from pytest_ftgate.config.specs import model_spec

_PATHS = ("path", "rubric_file")


@dataclass(frozen=True)
class CalibrationSpec:
    """Judged items (``path`` is absolute), and the kappa that the judge must reach on them."""

    path: Path
    min_kappa: float


def with_judges(config: GateConfig, models: Mapping[str, ModelSpec]) -> GateConfig:
    """The gate with the judges of its metrics as models, and their paths absolute.

    Args:
        config: the gate, whose judged metrics hold what was read.
        models: the models of the gate file, by name.
    """

    def settled(spec: MetricSpec) -> MetricSpec:
        if spec.name not in JUDGED:
            return spec
        return replace(
            spec, options={key: _option(key, value, spec.source, models) for key, value in spec.options.items()}
        )

    prediction = config.prediction
    return replace(
        config,
        metric=settled(config.metric),
        require=tuple(replace(bound, metric=settled(bound.metric)) for bound in config.require),
        show=tuple(map(settled, config.show)),
        guards={name: replace(guard, metric=settled(guard.metric)) for name, guard in config.guards.items()},
        hypothesis=replace(prediction, metric=settled(prediction.metric)) if prediction else config.hypothesis,
    )


def judged_metrics(config: GateConfig) -> dict[str, MetricSpec]:
    """The metrics of a gate that a model or people judge, by name; the deciding one first."""
    asked = [config.metric, *(bound.metric for bound in config.require), *config.show]
    found: dict[str, MetricSpec] = {}
    for spec in asked:
        if spec.name in JUDGED and spec.options:
            found.setdefault(spec.name, spec)
    return found


def judges(config: GateConfig) -> tuple[ModelSpec, ...]:
    """The models that judge."""
    return tuple(spec.options["judge"] for spec in judged_metrics(config).values() if "judge" in spec.options)


def _option(key: str, value: Any, source: Source, models: Mapping[str, ModelSpec]) -> Any:
    if key == "judge":
        return model_spec(value, source, models)
    if key in _PATHS:
        return _absolute(value, source)
    if isinstance(value, CalibrationKeys):
        return CalibrationSpec(_absolute(value.path, source), value.min_kappa)
    return tuple(value) if key == "scale" else value


def _absolute(path: str, source: Source) -> Path:
    return Path(os.path.abspath(source.base_dir / path))
