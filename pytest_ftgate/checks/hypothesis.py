"""A hypothesis in numbers, held against what was measured: where the baseline stands, and what was reached."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.checks.bounds import RUN_METRICS
from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.result import Check, opponent
from pytest_ftgate.text import is_share, show_amount, show_value

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, HypothesisKeys
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.statistics import Interval

_SMALLER = "Correct the hypothesis, and ask whether what is left to gain is worth training for."
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
    """To stay equal, or nearly, is what such a gate hopes for. Of another metric it says nothing."""
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
    """How sure a latency or a cost is cannot be told from one run.

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
    """``to`` less ``from``, the sign turned where lower is better; rounded to 12 decimals."""
    change = prediction.goal - prediction.start
    return round(change if metric.greater_is_better else -change, 12)


def check_required(gate: Context) -> list[Check]:
    """Check ``require_hypothesis``: training without an expectation can only be judged with hindsight."""
    config = gate.config
    if not config.require_hypothesis:
        return []
    held = config.hypothesis is not None
    return [
        Check(
            "require_hypothesis",
            "pass" if held else "fail",
            "the gate has a hypothesis" if held else "the gate has no hypothesis, and require_hypothesis asks for one",
            source=str(config.sources["require_hypothesis"]),
            advice=None
            if held
            else "Say what training is expected to change, and why: hypothesis: {from: 0.82, to: 0.87, because: ...}.",
        )
    ]


def check(gate: Context) -> list[Check]:
    """Hold the hypothesis in numbers against the best baseline, and against the candidate where there is one."""
    config, prediction, scored = gate.config, gate.config.prediction, gate.scored
    if prediction is None:
        return []
    name, best = prediction.metric.name, gate.best
    metric, before = gate.metrics[name], scored[best].scores[name]
    interval = interval_of(before, confidence=config.confidence, repeats=config.repeats, groups=gate.groups)
    match = config.objective == "match"
    found = [from_check(prediction, metric, before.value, interval, opponent(best), match=match)]
    if "candidate" in scored:
        found.append(to_check(prediction, metric, scored["candidate"].scores[name].value))
    return found


def interval_of(scored: Scored, *, confidence: float, repeats: int, groups: Sequence[Hashable]) -> Interval:
    """Where the real value of one model lies, two-sided: the method follows from the metric, as with gains."""
    from pytest_ftgate import statistics as inference

    metric = scored.metric
    if scored.statistic is not None:
        return inference.interval_set(
            scored.statistic, low=metric.low, high=metric.high, confidence=confidence, groups=groups
        )
    assert scored.per_example is not None  # one of the two is always there
    if metric.kind == "right_wrong" and repeats == 1:
        return inference.interval_right_wrong(scored.per_example > 0.5, confidence=confidence, groups=groups)
    return inference.interval_graded(
        scored.per_example, low=metric.low, high=metric.high, confidence=confidence, groups=groups
    )


def from_check(
    prediction: HypothesisKeys, metric: Metric, value: float, interval: Interval, baseline: str, *, match: bool = False
) -> Check:
    """The measured baseline agrees with ``from`` within its uncertainty; with ``match`` it is to be equalled."""
    share = is_share((metric.low, metric.high))
    said, seen = show_value(prediction.start, share=share), show_value(value, share=share)
    claim = f"the hypothesis says that {metric.name} of {baseline} is {said}, measured {seen}"
    holds = interval.holds(prediction.start)
    if holds is None:
        same = round(value, 12) == round(prediction.start, 12)
        return Check(
            "hypothesis_from",
            "pass" if same else "inconclusive",
            f"{claim}; how sure that is cannot be told: {interval.method}",
            value,
            prediction.start,
            str(prediction.source),
            None if same else "Add test examples.",
        )
    ends = f"{show_value(interval.low, share=share)} to {show_value(interval.high, share=share)}"
    if holds:
        return Check("hypothesis_from", "pass", f"{claim} ({ends})", value, prediction.start, str(prediction.source))
    better = (value > prediction.start) == metric.greater_is_better
    stronger = "there is more to match than thought" if match else "the room for improvement is smaller than thought"
    outcome = stronger if better else "the baseline is weaker than thought"
    return Check(
        "hypothesis_from",
        "fail",
        f"{claim} ({ends}): {outcome}",
        value,
        prediction.start,
        str(prediction.source),
        (_HARDER if match else _SMALLER) if better else _WEAKER,
    )


def to_check(prediction: HypothesisKeys, metric: Metric, value: float) -> Check:
    """Whether the candidate reached ``to``: reported, and never decisive."""
    share = is_share((metric.low, metric.high))
    seen, asked = round(value, 12), round(prediction.goal, 12)
    reached = seen >= asked if metric.greater_is_better else seen <= asked
    return Check(
        "hypothesis_to",
        "pass" if reached else "note",
        f"the hypothesis expects {metric.name} of the candidate to reach {show_value(prediction.goal, share=share)}, "
        f"measured {show_value(value, share=share)}: {'reached' if reached else 'not reached'}",
        value,
        prediction.goal,
        str(prediction.source),
    )
