"""Metrics that look at the form of an answer, not at what is expected: what that means for a gate, before any call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Metric

_SHOWN = 150


def check(gate: Context) -> list[Check]:
    """Check metrics that look at the form of an answer and not at what is expected."""
    return [*_expected_format(gate), *_form_alone(gate)]


def _expected_format(gate: Context) -> Iterator[Check]:
    """A warning where expected outputs break the rules of the metric ``format``: nobody can be right by both."""
    from pytest_ftgate.data import expected_text

    metric, test = gate.metrics.get("format"), gate.test
    if metric is None:
        return
    flaws = {row: metric.broken_form(expected_text(example.expected)) for row, example in enumerate(test.examples)}
    broken = {row: flaw for row, flaw in flaws.items() if flaw is not None}
    if broken:
        row, flaw = next(iter(broken.items()))
        yield Check(
            "expected_format",
            "warning",
            f"{len(broken):,} of {plural(len(test), 'expected output')} {'breaks' if len(broken) == 1 else 'break'} "
            f"the format that is asked for, first {test.where(row)}: {printable(flaw, _SHOWN)}",
            observed=len(broken),
            advice="Correct the test set, or the rules of the metric format.",
        )


def _form_alone(gate: Context) -> Iterator[Check]:
    """A warning where nothing in the gate looks at whether answers are right."""
    if not any(metric.compares for metric in (gate.deciding, *_asked_of_candidate(gate))):
        yield Check(
            "form_alone",
            "warning",
            f"{gate.deciding.name} looks at the form of an answer: nothing in this gate looks at whether answers are "
            "right",
            advice="Ask for that too: require: [{metric: exact_match, min: ...}], or another metric that compares with "
            "the expected output.",
        )


def _asked_of_candidate(gate: Context) -> Iterator[Metric]:
    """The metrics on which the candidate must reach more than the worst value, which any answers reach."""
    for bound in gate.config.require:
        metric = gate.metrics.get(bound.metric.name)
        if metric is None or bound.of != "candidate":
            continue
        least, most = bound.min, bound.max
        higher = least is not None and least > metric.low
        if higher if metric.greater_is_better else most is not None and most < metric.high:
            yield metric
