"""Refuse values of keys that are impossible, or have no meaning, for the metrics of a gate."""

from collections.abc import Mapping
from math import inf

from pytest_ftgate.checks.ready import expected_gain
from pytest_ftgate.checks.thresholds import RUN_METRICS
from pytest_ftgate.config import GateKeys, Source
from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.metrics import Metric
from pytest_ftgate.statistics import evidence
from pytest_ftgate.text import show_difference


def check_keys(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Raise :class:`ConfigError` for a value that is impossible or has no meaning for a metric."""
    metric = metrics[config.decided_by.name]
    standards = map(config.standard_of, config.baselines)
    # If the largest requirement is possible, all are.
    largest = max(standards, key=lambda standard: abs(standard.gain))
    check_possible(metric, largest.path, abs(largest.gain), config.sources[largest.path])
    _check_thresholds(config, metrics)
    _check_prediction(config, metric)
    _check_missing_answers(config)


def check_possible(metric: Metric, key: str, value: float, source: Source) -> None:
    """Refuse a margin or ``max_drop`` that no gain or drop can reach, such as 3 for 3 points."""
    if value >= metric.high - metric.low:
        raise _impossible(key, value, source, metric.name, metric.low, metric.high)


def _check_thresholds(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Refuse a threshold outside of a metric's range: 5 for an error rate of 5 %."""
    for name, limits in config.thresholds.items():
        if name in RUN_METRICS:
            low, high = RUN_METRICS[name]
        else:
            low, high = metrics[name].low, metrics[name].high
        for key, value in limits.ends.items():
            if not low <= value <= high:
                raise _impossible(key, value, limits.source, name, low, high)


def _impossible(
    key: str, value: float, source: Source, name: str, low: float, high: float
) -> ConfigError:
    """Return the error of a value that the metric ``name`` cannot have."""
    span = f"is between {low:g} and {high:g}" if high < inf else f"is never below {low:g}"
    message = f"{key} {value:g} is impossible: {name} {span}"
    cure = f"Did you mean {value / 100:g}?" if high == 1 <= value <= 100 else None
    return ConfigError(message, where=Where(source.at), cure=cure)


def _check_prediction(config: GateKeys, metric: Metric) -> None:
    """Refuse a hypothesis outside of the metric's range, or with which the gate would fail."""
    prediction = config.prediction
    if prediction is None:
        return

    for end, value in (("from", prediction.start), ("to", prediction.goal)):
        if not metric.low <= value <= metric.high:
            key = f"hypothesis.{end}"
            raise _impossible(key, value, prediction.source, metric.name, metric.low, metric.high)
    if config.asked_by == "agreement":  # no gain is required
        return

    gain = expected_gain(prediction, metric)
    if evidence.reaches(gain, -config.max_drop if config.matches else config.margin):
        return
    change = f"from {prediction.start:g} to {prediction.goal:g}"
    message = f"{change} is a gain of {show_difference(gain, share=metric.share)}, "
    message += f"which does not meet {config.quoted(config.asked_by, beside='hypothesis')}"
    cure = "Correct the hypothesis, or do not train: the gate would fail even if it came true."
    raise ConfigError(message, where=Where(prediction.source.at, key="hypothesis"), cure=cure)


def _check_missing_answers(config: GateKeys) -> None:
    """Refuse to count missing answers as wrong for precision, which rises when they are missing."""
    if config.missing_answers != "wrong":
        return

    for spec in config.judged_by:
        if spec.name.partition("_")[0] == "precision":
            message = f"missing_answers: wrong cannot be used with {spec.name}, "
            message += "which ignores missing answers"
            where = config.sources["missing_answers"].where("missing_answers")
            cure = "Use f1 or recall, or missing_answers: error."
            raise ConfigError(message, where=where, cure=cure)
