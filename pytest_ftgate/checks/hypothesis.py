"""The rules for the hypothesis: the baseline agrees with ``from``, and whether the candidate reached ``to``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.thresholds import RUN_METRICS
from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.result import Check, Status, opponent
from pytest_ftgate.text import show_amount, show_percent, show_value

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, HypothesisKeys
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.statistics import Interval

_SMALLER = "Correct the hypothesis, and reconsider whether the remaining gain is worth training for."
_LESS_ROOM = "there is less room for improvement than expected"
_HARDER = "Correct the hypothesis, and reconsider whether a smaller model can do that well."
_WEAKER = (
    "Check whether the baseline's prompt, parameters or model have changed since the hypothesis was written; "
    "then correct the hypothesis."
)


def check_prediction(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Refuse a hypothesis that no model could meet, or with which the gate could not pass.

    Raise :class:`ConfigError` if ``from`` or ``to`` is outside of the metric's range; if ``to`` is no improvement, or
    with ``match`` a greater drop than the gate allows.
    """
    prediction = config.prediction
    if prediction is None:
        return
    metric = metrics[prediction.metric.name]
    for key, value in (("from", prediction.start), ("to", prediction.goal)):
        if not metric.low <= value <= metric.high:
            raise ConfigError(
                f"hypothesis.{key} {value:g} ({prediction.source}) is impossible: "
                f"{metric.name} lies between {metric.low:g} and {metric.high:g}",
                cure=f"Did you mean {value / 100:g}?" if metric.high == 1 < value <= 100 else None,
            )
    gain, allowed = expected_gain(prediction, metric), config.asked_gain
    change = f"hypothesis: from {prediction.start:g} to {prediction.goal:g} ({prediction.source})"
    if config.matches:
        if metric.name == config.decided_by.name and round(gain, 12) < round(allowed, 12):
            drop, most = (show_amount(-amount, share=metric.share) for amount in (gain, allowed))
            raise ConfigError(
                f"{change} contradicts {config.quoted('max_drop')}: it expects {metric.name} to drop by {drop}, but "
                f"the gate allows {most}",
                cure="Correct to, or do not train: the gate would fail.",
            )
    elif prediction.start == prediction.goal:
        both = f"from and to are both {prediction.goal:g} ({prediction.source})"
        raise ConfigError(f"hypothesis: {both}, so no change is expected")
    elif gain <= 0:
        better = "higher" if metric.greater_is_better else "lower"
        raise ConfigError(
            f"{change} is not an improvement: {better} {metric.name} is better", cure="Are from and to swapped?"
        )


def refuse_run_metric(prediction: HypothesisKeys) -> None:
    """Raise :class:`ConfigError` for a hypothesis about a latency or a cost, of which one run gives no bound."""
    name = prediction.metric.name
    if name in RUN_METRICS:
        raise ConfigError(
            f"a hypothesis needs a metric of quality, and {name} is a metric of the run ({prediction.source})",
            where=Where(key="hypothesis"),
            cure=f"Write it as a sentence, and limit the value: thresholds: {{{name}: {{max: ...}}}}.",
        )


def expected_gain(prediction: HypothesisKeys, metric: Metric) -> float:
    """Return ``to`` minus ``from``, rounded to 12 decimals; the sign is reversed where lower is better."""
    change = prediction.goal - prediction.start
    return round(change if metric.greater_is_better else -change, 12)


def check_required(gate: Context) -> list[Check]:
    """Check that there is a hypothesis where ``require_hypothesis`` asks for one."""
    if not gate.config.require_hypothesis:
        return []
    source = gate.source("require_hypothesis")
    if gate.config.hypothesis is not None:
        return [Check("require_hypothesis", "pass", "the gate has a hypothesis", source=source)]
    message = "the gate has no hypothesis, but require_hypothesis is set"
    advice = "State what training is expected to change, and why: hypothesis: {from: 0.82, to: 0.87, because: '...'}."
    return [Check("require_hypothesis", "fail", message, source=source, advice=advice)]


def check(gate: Context) -> list[Check]:
    """Check the hypothesis against the best baseline, and against the candidate if there is one."""
    prediction = gate.config.prediction
    if prediction is None:
        return []
    return [_from_check(gate, prediction), *([_to_check(gate, prediction)] if "candidate" in gate.scored else [])]


def _interval(gate: Context, scored: Scored) -> Interval:
    """Return the two-sided confidence interval of one model's value; the metric determines the method."""
    from pytest_ftgate import statistics

    metric = scored.metric
    ends: dict[str, Any] = {"low": metric.low, "high": metric.high}
    how: dict[str, Any] = {"confidence": gate.config.confidence, "groups": gate.groups}
    if scored.statistic is not None:
        return statistics.interval_set(scored.statistic, **ends, **how)
    assert scored.per_example is not None  # one of the two is always there
    if metric.kind == "right_wrong" and gate.config.repeats == 1:
        return statistics.interval_right_wrong(scored.per_example > 0.5, **how)
    return statistics.interval_graded(scored.per_example, **ends, **how)


def _from_check(gate: Context, prediction: HypothesisKeys) -> Check:
    """Check that the baseline's confidence interval contains ``from``."""
    metric = gate.metrics[prediction.metric.name]
    scored = gate.scored[gate.best].scores[metric.name]
    share, start, value = metric.share, prediction.start, scored.value
    match = gate.config.matches
    interval = _interval(gate, scored)
    message = f"{metric.name} of {opponent(gate.best)} is {show_value(value, share=share)}"
    holds, advice = interval.holds(start), None
    status: Status = "pass"
    if holds is None:
        message += f" (no interval: {interval.method}); the hypothesis says {show_value(start, share=share)}"
        if round(value, 12) != round(start, 12):
            status, advice = "inconclusive", "Add test examples."
    else:
        low, high = (show_value(end, share=share) for end in (interval.low, interval.high))
        message += f" ({show_percent(gate.config.confidence)} interval {low} to {high}); "
        message += f"the hypothesis says {show_value(start, share=share)}"
    if holds is False:
        status, advice = "fail", _WEAKER
        outcome = "the baseline is weaker than expected"
        if (value > start) == metric.greater_is_better:
            advice = _HARDER if match else _SMALLER
            outcome = "the baseline is harder to match than expected" if match else _LESS_ROOM
        message += f": {outcome}"
    return Check("hypothesis_from", status, message, value, start, str(prediction.source), advice)


def _to_check(gate: Context, prediction: HypothesisKeys) -> Check:
    """Note whether the candidate reached ``to``, which does not affect the verdict."""
    metric, goal = gate.metrics[prediction.metric.name], prediction.goal
    share, value = metric.share, gate.scored["candidate"].scores[metric.name].value
    measured, least = round(value, 12), round(goal, 12)
    reached = measured >= least if metric.greater_is_better else measured <= least
    message = f"{metric.name} of the candidate is {show_value(value, share=share)}; "
    message += f"the hypothesis expects {show_value(goal, share=share)}: {'reached' if reached else 'not reached'}"
    return Check("hypothesis_to", "pass" if reached else "note", message, value, goal, str(prediction.source))
