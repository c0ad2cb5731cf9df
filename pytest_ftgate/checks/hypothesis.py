"""The hypothesis: refused where the gate would fail even if it came true; else reported as reached or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.checks.drop import gain_reaches, is_within
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.result import Check, opponent
from pytest_ftgate.text import show_difference, show_value

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, HypothesisKeys
    from pytest_ftgate.metrics import Metric


def check_prediction(config: GateKeys, metric: Metric) -> None:
    """Raise :class:`ConfigError` for a hypothesis outside of the metric's range, or with which the gate would fail."""
    prediction = config.prediction
    if prediction is None:
        return
    for key, value in (("from", prediction.start), ("to", prediction.goal)):
        if not metric.low <= value <= metric.high:
            raise ConfigError(
                f"hypothesis.{key} {value:g} ({prediction.source}) is impossible: "
                f"{metric.name} lies between {metric.low:g} and {metric.high:g}",
                cure=f"Did you mean {value / 100:g}?" if metric.high == 1 < value <= 100 else None,
            )
    gain = expected_gain(prediction, metric)
    if is_within(gain, config.max_drop) if config.matches else gain_reaches(gain, config.margin):
        return
    cure = "Correct the hypothesis, or do not train: the gate would fail even if it came true."
    if gain < 0:
        cure = f"Are from and to swapped? {'Higher' if metric.greater_is_better else 'Lower'} {metric.name} is better."
    raise ConfigError(
        f"hypothesis: from {prediction.start:g} to {prediction.goal:g} ({prediction.source}) is a gain of "
        f"{show_difference(gain, share=metric.share)}, which does not meet {config.quoted(config.asked_by)}",
        cure=cure,
    )


def expected_gain(prediction: HypothesisKeys, metric: Metric) -> float:
    """Return ``to`` minus ``from``, rounded to 12 decimals; the sign is reversed where lower is better."""
    change = prediction.goal - prediction.start
    return round(change if metric.greater_is_better else -change, 12)


def check(gate: Context) -> list[Check]:
    """Report whether the candidate reached the hypothesis, and before training where the baseline is."""
    prediction, metric = gate.config.prediction, gate.deciding
    if prediction is None:
        return []
    share, measured = metric.share, gate.scored[gate.best].scores[metric.name].value
    expected, source = show_value(prediction.start, share=share), str(prediction.source)
    message = f"{metric.name} of {opponent(gate.best)} is {show_value(measured, share=share)} ({expected} expected)"
    if "candidate" not in gate.scored:
        return [Check("hypothesis", "note", message, measured, prediction.start, source)]
    value, goal = gate.scored["candidate"].scores[metric.name].value, prediction.goal
    reached = round(metric.sign * value, 12) >= round(metric.sign * goal, 12)
    message += f", of the candidate {show_value(value, share=share)} ({show_value(goal, share=share)} expected): "
    message += "reached" if reached else "not reached"
    return [Check("hypothesis", "pass" if reached else "warning", message, value, goal, source)]
