"""The rules for ``stage: ready``, that there is room for the gain and the test set can prove it, and the hypothesis.

A hypothesis is refused where the gate would fail even if it came true; else it is reported as reached or not.
"""

from dataclasses import replace
from fractions import Fraction
from math import isfinite
from typing import Any

from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.config import GateKeys, HypothesisKeys
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.metrics import Metric, Scored
from pytest_ftgate.result import Check, called, opponent
from pytest_ftgate.statistics import evidence, planning
from pytest_ftgate.text import plural, show_amount, show_difference, show_percent, show_value

FEWEST_CHANCES = 0.5
"""The least power: below it a good candidate would more often than not stay unproven."""


def check(gate: Context) -> list[Check]:
    """Check before training that a candidate can pass, and that the test set can show it."""
    best = gate.scored[gate.best].scores[gate.deciding.name]
    headroom = _headroom(gate, best)
    if gate.config.evidence == "observed" or any(check.status == "fail" for check in headroom):
        return headroom
    return [*headroom, _power(gate, best)]


def _headroom(gate: Context, best: Scored) -> list[Check]:
    """Check that the baseline leaves room for the margin; nothing where the metric has no best value."""
    metric, standard, share = gate.deciding, gate.config.standard_of(gate.best), gate.share
    if not isfinite(metric.best):
        return []
    left: float | Fraction = abs(metric.best - best.value)
    if best.exact is not None:
        left = 1 - best.exact if metric.greater_is_better else best.exact
    message = f"{called(gate.best)} is at {show_value(best.value, share=share)}, so a candidate can gain at most "
    message += f"{show_difference(float(left), share=share)} ({show_amount(standard.gain, share=share)} required)"
    fields = gate.requirement(standard.path)
    if evidence.reaches(left, standard.gain):
        return [Check("headroom", "pass", message, float(left), **fields)]
    advice = "Do not train for this margin: it is larger than what is left to gain on this test set. Keep the "
    advice += "baseline; or, if it is worse in practice, add examples that it gets wrong to the test set."
    return [Check("headroom", "fail", message, float(left), **fields, advice=advice, action="stop")]


def _power(gate: Context, best: Scored) -> Check:
    """Check the power: how often the expected gain would be proven if the candidate breaks nothing.

    The expected gain is that of the hypothesis, or else the margin. The margin is not expected but the least gain, so
    low power for it is a warning.
    """
    config, metric, prediction, n = gate.config, gate.deciding, gate.config.prediction, len(gate.test)
    standard = config.standard_of(gate.best)
    gain, source, basis = standard.gain, gate.source(standard.path), "the margin"
    if prediction is not None:
        gain, source, basis = expected_gain(prediction, metric), str(prediction.source), "the hypothesis"
    state = "State the expected gain: hypothesis: {from: ..., to: ...}." if prediction is None else ""
    expected = f"a gain of {show_amount(gain, share=gate.share)} ({basis})"
    # No gain of just the margin is proven to reach it.
    nothing = prediction is None and (gain == 0 or config.evidence == "proven")
    candidate = None if nothing else improved(best, gain)
    if candidate is None:
        why = "no expected gain is stated" if nothing else f"{expected} is more than this baseline leaves room for"
        return Check("power", "note", f"the power is unknown: {why}", source=source, advice=state or None)
    comparison, significant = gate.compare(best, candidate, gate.best), config.evidence == "significant"
    p, target = (comparison.p_zero, "above 0") if significant else (comparison.p_margin, "at the margin or above")
    if p is None:
        message = f"the power for {expected} is unknown: {comparison.note}"
        return Check("power", "note", message, source=source, advice=state or None)
    chance, needed = planning.chance_of_proof(p, config.confidence), comparison.examples_needed
    message = f"with {plural(n, 'test example')}, {expected} that breaks nothing is proven with {100 * chance:.0f} % "
    message += f"power ({show_percent(config.confidence)} lower bound {target})"
    numbers = round(chance, 4), FEWEST_CHANCES, source
    if chance >= FEWEST_CHANCES:
        return Check("power", "note", message, *numbers)
    more = "A candidate that gains just this passes half of the time at most, with any number of test examples."
    if needed is not None:
        more = f"Label {plural(max(needed - n, 1), 'more test example')}: about {needed:,} in all give 80 % power."
    if prediction is None:
        return Check("power", "warning", message, *numbers, f"{more} {state}")
    return Check("power", "inconclusive", message, *numbers, more, "add_examples")


def improved(best: Scored, gain: float, **changes: Any) -> Scored | None:
    """Return the score of a candidate that gains at least so much; None if that is more than there is to gain.

    ``changes`` are further arguments of :func:`~pytest_ftgate.statistics.planning.hypothetical_scores`.
    """
    metric = best.metric
    if best.statistic is not None:
        counts = planning.hypothetical_set(best.statistic, gain, **changes)
        return None if counts is None else replace(best, statistic=counts)
    if not isfinite(metric.best) or best.per_example is None:
        return None
    scores = planning.hypothetical_scores(best.per_example, gain, best=metric.best, worst=metric.worst, **changes)
    return None if scores is None else replace(best, per_example=scores)


def check_prediction(config: GateKeys, metric: Metric) -> None:
    """Raise :class:`ConfigError` for a hypothesis outside of the metric's range, or with which the gate would fail."""
    prediction = config.prediction
    if prediction is None:
        return
    for key, value in (("from", prediction.start), ("to", prediction.goal)):
        if not metric.low <= value <= metric.high:
            what = f"hypothesis.{key} {value:g} ({prediction.source}) is impossible"
            raise ConfigError(f"{what}: {metric.name} lies between {metric.low:g} and {metric.high:g}")
    gain = expected_gain(prediction, metric)
    if evidence.reaches(gain, -config.max_drop if config.matches else config.margin):
        return
    what = f"hypothesis: from {prediction.start:g} to {prediction.goal:g} ({prediction.source}) is a gain of "
    what += f"{show_difference(gain, share=metric.share)}, which does not meet {config.quoted(config.asked_by)}"
    raise ConfigError(what, cure="Correct the hypothesis, or do not train: the gate would fail even if it came true.")


def expected_gain(prediction: HypothesisKeys, metric: Metric) -> float:
    """Return ``to`` minus ``from``, rounded to 12 decimals; the sign is reversed where lower is better."""
    change = prediction.goal - prediction.start
    return round(change if metric.greater_is_better else -change, 12)


def check_hypothesis(gate: Context) -> Found:
    """Report whether the candidate reached the hypothesis, and before training where the baseline is."""
    prediction, metric = gate.config.prediction, gate.deciding
    if prediction is None:
        return Found({}, [])
    share, measured = metric.share, gate.scored[gate.best].scores[metric.name].value
    expected, source = show_value(prediction.start, share=share), str(prediction.source)
    message = f"{metric.name} of {opponent(gate.best)} is {show_value(measured, share=share)} ({expected} expected)"
    if "candidate" not in gate.scored:
        return Found({}, [Check("hypothesis", "note", message, measured, prediction.start, source)])
    value, goal = gate.scored["candidate"].scores[metric.name].value, prediction.goal
    reached = round(metric.sign * value, 12) >= round(metric.sign * goal, 12)
    message += f", of the candidate {show_value(value, share=share)} ({show_value(goal, share=share)} expected): "
    message += "reached" if reached else "not reached"
    found = Check("hypothesis", "pass" if reached else "warning", message, value, goal, source)
    return Found({"hypothesis_reached": reached}, [found])
