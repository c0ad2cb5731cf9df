"""The rules for ``max_drop``: the candidate is proven to be at most ``max_drop`` worse than the baseline.

:mod:`pytest_ftgate.checks.advantage` checks that it is cheaper or faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.advice import loss_advice
from pytest_ftgate.checks.drop import drop_limit, examples_advice, shown_gain, status_of
from pytest_ftgate.result import Action, Check
from pytest_ftgate.text import plural, show_amount, show_difference, show_percent

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.statistics import Comparison

_WORSE = (
    "Keep the baseline, or look at the examples that it broke and correct the training data before another attempt."
)
_UNBOUNDED = "Use a metric that scores each answer, such as accuracy, and move the other to thresholds."

_MOST_EXAMPLES = 100_000
"""The largest number of examples that is calculated exactly."""


def max_drop_check(gate: Context, role: str, comparison: Comparison) -> Check:
    """Check that the candidate is proven to be at most ``max_drop`` worse than a baseline."""
    most, share = gate.config.max_drop, gate.share
    status = status_of(comparison, most)
    measured = shown_gain(gate, role, comparison)
    limit, bound = drop_limit(most, share=share), f"{show_percent(gate.config.confidence)} lower bound"
    message, observed = f"{measured} ({limit})", comparison.lower
    advice: str | None = None
    if status == "fail":
        advice, observed = loss_advice(gate, comparison, -most, _WORSE), comparison.gain
    elif comparison.lower is None:
        message = f"{measured}, no {bound} ({limit}): {comparison.note or 'the method gives none'}"
        advice = _UNBOUNDED
    else:
        message = f"{measured}, {bound} {show_difference(comparison.lower, share=share)} ({limit})"
        advice = examples_advice(comparison, "is better", "test example") if status != "pass" else None
    required = gate.requirement("max_drop", required=-most)
    action: Action | None = "add_examples" if status == "inconclusive" and comparison.examples_needed else None
    return Check("max_drop", status, message, observed=observed, **required, advice=advice, action=action)


def check_reach(gate: Context) -> list[Check]:
    """Check before any call that the test set can prove ``max_drop`` for a candidate that is equal to the baseline.

    Not for a test set with groups, where the number needed cannot be calculated in advance.
    """
    config, metric, n = gate.config, gate.deciding, len(gate.test)
    if gate.grouped or not n:
        return []
    if metric.kind == "set" or metric.high - metric.low == float("inf"):
        return []
    needed = examples_without_difference(metric, config.max_drop, config.confidence)
    if needed is None and n > _MOST_EXAMPLES:
        return []
    counted = f"more than {_MOST_EXAMPLES:,} examples" if needed is None else plural(needed, "example")
    message = (
        f"{counted} required to prove at {show_percent(config.confidence)} confidence that an equal candidate is "
        f"at most {show_amount(config.max_drop, share=gate.share)} worse (max_drop)"
    )
    numbers: dict[str, Any] = {"observed": n, "required": needed, "source": gate.source("max_drop")}
    if needed is not None and n >= needed:
        return [Check("min_wins", "note", message, **numbers)]
    more = plural(needed - n, "more test example") if needed is not None else "more test examples"
    advice = f"Label {more}. If the candidate should be better than the baseline, write margin in place of max_drop."
    message = f"{plural(n, 'test example')}, {message}"
    return [Check("min_wins", "inconclusive", message, **numbers, advice=advice, action="add_examples")]


def examples_without_difference(metric: Metric, max_drop: float, confidence: float) -> int | None:
    """Return the fewest examples that prove two models equal which differ nowhere; None where above 100,000."""
    from pytest_ftgate.statistics import fewest_examples

    exact = metric.kind == "right_wrong"
    share = max_drop / (metric.high - metric.low)
    return fewest_examples(share, confidence=confidence, proven=True, exact=exact, most=_MOST_EXAMPLES)
