"""Label by label: what the candidate gained and lost. Shown, never decisive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.result import LabelResult

if TYPE_CHECKING:
    from pytest_ftgate.measure import Measured
    from pytest_ftgate.metrics import Metric

MOST_LABELS = 200
"""Labels kept for reports, the worst first."""


def label_results(baseline: Measured, candidate: Measured, metric: Metric) -> tuple[LabelResult, ...]:
    """How many answers are right for each expected label, the worst change first; empty where answers are no labels."""
    import numpy as np

    from pytest_ftgate.metrics.classification import Accuracy, LabelMetric

    if not isinstance(metric, Accuracy | LabelMetric):
        return ()
    expected = [example.expected for example in candidate.run.test_set.examples]
    gold = metric.labels.gold(metric.name, expected)
    right = [(metric.labels.predicted(one.answers)[0] == gold).mean(axis=0) for one in (baseline, candidate)]
    found = []
    for code, text in enumerate(metric.labels.texts):
        rows = np.flatnonzero(gold == code)
        before, after = (float(one[rows].mean()) for one in right)
        found.append(LabelResult(text, len(rows), before, after, round(after - before, 12)))
    found.sort(key=lambda one: one.change)
    return tuple(found[:MOST_LABELS])
