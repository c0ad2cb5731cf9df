"""Reject thresholds that are always or never met: 3 for a margin of three points."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING

from pytest_ftgate.checks import bounds, hypothesis
from pytest_ftgate.errors import ConfigError, Where

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.metrics import Metric


def check_possible(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Raise :class:`ConfigError` for an impossible margin, bound or hypothesis, or a meaningless ``errors``."""
    _check_margin(config, metrics[config.metric.name])
    _check_bounds(config, metrics)
    hypothesis.check_prediction(config, metrics)
    _check_errors(config)


def _check_margin(config: GateKeys, metric: Metric) -> None:
    """Refuse a margin that no model can reach, such as 3 for 3 points."""
    widest = metric.high - metric.low
    key, asked = config.asked_by, abs(config.asked_gain)
    if asked < widest:
        return
    percent = asked / 100
    raise ConfigError(
        f"{key} {asked:g} ({config.sources[key]}) is impossible: "
        f"{metric.name} is between {metric.low:g} and {metric.high:g}",
        where=Where(config.sources[key].place or None),
        cure=f"Did you mean {percent:g}?" if percent < widest else f"Write {key} in the metric's unit.",
    )


def _check_bounds(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Refuse a bound outside of a metric's range, which always or never holds, such as 5 for an error rate of 5 %."""
    for bound in config.require:
        name = bound.metric.name
        low, high = bounds.RUN_METRICS.get(name) or (metrics[name].low, metrics[name].high)
        lies = f"is between {low:g} and {high:g}" if high < inf else f"is never below {low:g}"
        for key, value in (("min", bound.min), ("max", bound.max)):
            if value is not None and not low <= value <= high:
                raise ConfigError(
                    f"{key} {value:g} ({bound.source}) is impossible: {name} {lies}",
                    where=Where(bound.source.place or None),
                    cure=f"Did you mean {value / 100:g}?" if high == 1 < value <= 100 else None,
                )


def _check_errors(config: GateKeys) -> None:
    """Refuse ``errors: score_zero`` with precision, which rises when answers are missing."""
    if config.errors != "score_zero":
        return
    asked = [config.metric, *(bound.metric for bound in config.require if bound.of == "candidate")]
    asked += [guard.metric for guard in config.guards.values()]
    for spec in asked:
        if spec.name.partition("_")[0] == "precision":
            raise ConfigError(
                f"errors: score_zero cannot be used with {spec.name}, which ignores missing answers",
                where=config.sources["errors"].where("errors"),
                cure="Use f1 or recall, or errors: error.",
            )
