"""A hypothesis in numbers, held against what was measured: where the baseline stands, and what was reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.bounds import RUN_METRICS
from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.result import Check, Status, opponent
from pytest_ftgate.text import is_share, show_amount, show_value

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, HypothesisKeys
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.statistics import Interval

_SMALLER = "Correct the hypothesis, and ask whether what is left to gain is worth training for."
_LESS_ROOM = "the room for improvement is smaller than thought"
_HARDER = "Correct the hypothesis, and ask whether a smaller model can be expected to do that well."
_WEAKER = (
    "Look whether the baseline is asked as it was when the hypothesis was written (prompt, parameters, model); "
    "then correct the hypothesis."
)


def check_prediction(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Refuse what no model could do, and what the gate could not be green for.

    Raises:
        ConfigError: ``from`` or ``to`` is outside of the metric's range; ``to`` is no improvement, or with ``match`` a
            greater drop than the gate allows.
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
    if config.objective == "match":
        _check_drop(config, prediction, metric)
    else:
        _check_improvement(prediction, metric)


def _check_drop(config: GateKeys, prediction: HypothesisKeys, metric: Metric) -> None:
    """Refuse a greater drop than the gate allows: to stay equal, or nearly, is what it hopes for."""
    drop = -expected_gain(prediction, metric)
    if metric.name != config.metric.name or round(drop, 12) <= round(-config.asked_gain, 12):
        return
    share = is_share((metric.low, metric.high))
    raise ConfigError(
        f"hypothesis: from {prediction.start:g} to {prediction.goal:g} ({prediction.source}) contradicts "
        f"{config.quoted('max_drop')}: it expects {metric.name} to be worse by {show_amount(drop, share=share)}, "
        f"and the gate allows {show_amount(-config.asked_gain, share=share)}",
        cure="Expect no more of a drop than the gate allows, or do not train.",
    )


def _check_improvement(prediction: HypothesisKeys, metric: Metric) -> None:
    if prediction.start == prediction.goal:
        raise ConfigError(
            f"hypothesis: from and to are both {prediction.goal:g} ({prediction.source}): nothing is expected to change"
        )
    if expected_gain(prediction, metric) <= 0:
        better = "higher" if metric.greater_is_better else "lower"
        raise ConfigError(
            f"hypothesis: from {prediction.start:g} to {prediction.goal:g} ({prediction.source}) is no improvement: "
            f"of {metric.name} {better} is better",
            cure="Are from and to swapped?",
        )


def refuse_run_metric(prediction: HypothesisKeys) -> None:
    """Return how sure a latency or a cost is cannot be told from one run.

    Raises:
        ConfigError: the hypothesis is about such a value.
    """
    name = prediction.metric.name
    if name in RUN_METRICS:
        raise ConfigError(
            f"a hypothesis is about a metric of quality, and {name} is none ({prediction.source})",
            where=Where(key="hypothesis"),
            cure=f"Write it as a sentence, and bound the value: require: [{{metric: {name}, max: ...}}].",
        )


def expected_gain(prediction: HypothesisKeys, metric: Metric) -> float:
    """Return ``to`` less ``from``, the sign turned where lower is better; rounded to 12 decimals."""
    change = prediction.goal - prediction.start
    return round(change if metric.greater_is_better else -change, 12)


def check_required(gate: Context) -> list[Check]:
    """Check ``require_hypothesis``: training without an expectation can only be judged with hindsight."""
    if not gate.config.require_hypothesis:
        return []
    source = gate.source("require_hypothesis")
    if gate.config.hypothesis is not None:
        return [Check("require_hypothesis", "pass", "the gate has a hypothesis", source=source)]
    message = "the gate has no hypothesis, and require_hypothesis asks for one"
    advice = "Say what training is expected to change, and why: hypothesis: {from: 0.82, to: 0.87, because: ...}."
    return [Check("require_hypothesis", "fail", message, source=source, advice=advice)]


def check(gate: Context) -> list[Check]:
    """Hold the hypothesis in numbers against the best baseline, and against the candidate where there is one."""
    prediction = gate.config.prediction
    if prediction is None:
        return []
    return [_from_check(gate, prediction), *([_to_check(gate, prediction)] if "candidate" in gate.scored else [])]


def _interval(gate: Context, scored: Scored) -> Interval:
    """Return where the real value of one model lies, two-sided: the method follows from the metric, as with gains."""
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
    """Check that the baseline agrees with ``from`` within its uncertainty; with ``match`` it is to be equalled."""
    metric = gate.metrics[prediction.metric.name]
    scored = gate.scored[gate.best].scores[metric.name]
    share, start, value = is_share((metric.low, metric.high)), prediction.start, scored.value
    match = gate.config.objective == "match"
    interval = _interval(gate, scored)
    message = f"the hypothesis says that {metric.name} of {opponent(gate.best)} is {show_value(start, share=share)}, "
    message += f"measured {show_value(value, share=share)}"
    holds, advice = interval.holds(start), None
    status: Status = "pass"
    if holds is None:
        message += f"; how sure that is cannot be told: {interval.method}"
        if round(value, 12) != round(start, 12):
            status, advice = "inconclusive", "Add test examples."
    else:
        message += f" ({show_value(interval.low, share=share)} to {show_value(interval.high, share=share)})"
    if holds is False:
        status, advice = "fail", _WEAKER
        outcome = "the baseline is weaker than thought"
        if (value > start) == metric.greater_is_better:
            advice = _HARDER if match else _SMALLER
            outcome = "there is more to match than thought" if match else _LESS_ROOM
        message += f": {outcome}"
    return Check("hypothesis_from", status, message, value, start, str(prediction.source), advice)


def _to_check(gate: Context, prediction: HypothesisKeys) -> Check:
    """Say whether the candidate reached ``to``, which is never decisive."""
    metric, goal = gate.metrics[prediction.metric.name], prediction.goal
    share, value = is_share((metric.low, metric.high)), gate.scored["candidate"].scores[metric.name].value
    seen, least = round(value, 12), round(goal, 12)
    reached = seen >= least if metric.greater_is_better else seen <= least
    message = f"the hypothesis expects {metric.name} of the candidate to reach {show_value(goal, share=share)}, "
    message += f"measured {show_value(value, share=share)}: {'reached' if reached else 'not reached'}"
    return Check("hypothesis_to", "pass" if reached else "note", message, value, goal, str(prediction.source))
