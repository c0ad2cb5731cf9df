"""Rules for metrics that check the form of an answer and do not compare it with the expected output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.data import expected_text
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Metric

_SHOWN = 150


def check(gate: Context) -> list[Check]:
    """Check before any call what the gate's metrics of form can show."""
    return [*_expected_format(gate), *_form_alone(gate)]


def _expected_format(gate: Context) -> Iterator[Check]:
    """Warn where expected outputs break the rules of the metric ``format``: no answer can then satisfy both."""
    metric, test = gate.metrics.get("format"), gate.test
    if metric is None:
        return
    flaws = {row: metric.broken_form(expected_text(example.expected)) for row, example in enumerate(test.examples)}
    broken = {row: flaw for row, flaw in flaws.items() if flaw is not None}
    if broken:
        row, flaw = next(iter(broken.items()))
        yield Check(
            "formatting_gain",
            "warning",
            f"{len(broken):,} of {plural(len(test), 'expected output')} {'breaks' if len(broken) == 1 else 'break'} "
            f"the required format, first {test.where(row)}: {printable(flaw, _SHOWN)}",
            observed=len(broken),
            advice="Correct these rows, or the rules of the metric format if they do not describe the task.",
        )


def _form_alone(gate: Context) -> Iterator[Check]:
    """Warn where no metric of the gate compares answers with the expected output."""
    if not any(metric.compares for metric in (gate.deciding, *_asked_of_candidate(gate))):
        yield Check(
            "formatting_gain",
            "warning",
            f"{gate.deciding.name} only checks the form of an answer: no metric of this gate checks whether answers "
            "are right",
            advice="Add a metric that compares with the expected output, such as thresholds: {exact_match: "
            "{min: ...}}.",
        )


def _asked_of_candidate(gate: Context) -> Iterator[Metric]:
    """Yield the metrics on which the candidate must exceed the worst value, which any answers reach."""
    for name, limits in gate.config.thresholds.items():
        metric = gate.metrics.get(name)
        if metric is None:
            continue
        least, most = limits.min, limits.max
        higher = least is not None and least > metric.low
        if higher if metric.greater_is_better else most is not None and most < metric.high:
            yield metric
