"""Metrics that look at the form of an answer, not at what is expected: what that means for a gate, before any call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import BoundKeys
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric

_SHOWN = 150


def check(gate: Context) -> list[Check]:
    """Check metrics that look at the form of an answer and not at what is expected."""
    asked = asked_of_candidate(gate.config.require, gate.metrics)
    return [*format_checks(gate.metrics, gate.test), *form_alone_checks(gate.deciding, asked)]


def format_checks(metrics: Mapping[str, Metric], test: DataSet) -> list[Check]:
    """A warning where expected outputs break the rules of the metric ``format``: nobody can be right by both."""
    from pytest_ftgate.data import expected_text

    metric = metrics.get("format")
    if metric is None or not len(test):
        return []
    found = [metric.broken_form(expected_text(example.expected)) for example in test.examples]
    broken = [(row, one) for row, one in enumerate(found) if one is not None]
    if not broken:
        return []
    row, says = broken[0]
    return [
        Check(
            "expected_format",
            "warning",
            f"{len(broken):,} of {plural(len(test), 'expected output')} {'breaks' if len(broken) == 1 else 'break'} "
            f"the format that is asked for, first {test.where(row)}: {printable(says, _SHOWN)}",
            observed=len(broken),
            advice="Correct the test set, or the rules of the metric format.",
        )
    ]


def asked_of_candidate(bounds: Iterable[BoundKeys], metrics: Mapping[str, Metric]) -> list[Metric]:
    """The metrics on which the candidate must reach more than the worst value, which any answers reach."""
    found = []
    for bound in bounds:
        metric = metrics.get(bound.metric.name)
        if metric is None or bound.of != "candidate":
            continue
        least, most = bound.min, bound.max
        asks = (
            least is not None and least > metric.low
            if metric.greater_is_better
            else most is not None and most < metric.high
        )
        found += [metric] if asks else []
    return found


def form_alone_checks(deciding: Metric, bounds: Iterable[Metric]) -> list[Check]:
    """A warning where nothing in the gate looks at whether answers are right.

    Args:
        deciding: the metric that decides.
        bounds: those of the bounds on the candidate.
    """
    if any(metric.compares for metric in (deciding, *bounds)):
        return []
    return [
        Check(
            "form_alone",
            "warning",
            f"{deciding.name} looks at the form of an answer: nothing in this gate looks at whether answers are right",
            advice="Ask for that too: require: [{metric: exact_match, min: ...}], or another metric that compares with "
            "the expected output.",
        )
    ]
