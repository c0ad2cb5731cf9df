"""What a model scores that knows nothing of its input: one constant answer to every example. Pure, and free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import MetricError

if TYPE_CHECKING:
    from pytest_ftgate.metrics import Answers, Metric

_TRIED = 20


@dataclass(frozen=True, slots=True)
class Trivial:
    """The constant answer that a model must beat to be one.

    Attributes:
        answer: the text that every example gets.
        value: what it scores.
        perfect: nothing scores better.
        n_expected: how many different outputs the test set expects.
    """

    answer: str
    value: float
    perfect: bool
    n_expected: int


def trivial_baseline(metric: Metric, expected: Sequence[Any]) -> Trivial:
    """The best constant answer: the most frequent expected output, which is what a model without a clue would say.

    Of metrics over all labels together another label may score better (F1 of a rare positive label), so the 20 most
    frequent ones are tried. One that is perfect (recall of the positive label) is left out where another is there:
    a standard that nothing can beat says nothing about a model.

    Args:
        metric: the one that decides.
        expected: the expected output of each example, at least one.

    Raises:
        MetricError: the metric cannot score an output that its own test set expects elsewhere.
    """
    counted = Counter(expected_text(value).strip() for value in expected).most_common()
    over_labels = metric.kind == "set" and metric.uses_labels
    tried = [answer for answer, _ in (counted[:_TRIED] if over_labels else counted[:1])]
    bare = _bare(metric)
    found = [Trivial(answer, *_scored(bare, expected, answer), len(counted)) for answer in tried]
    beatable = [one for one in found if not one.perfect] or found
    return max(beatable, key=lambda one: one.value if metric.greater_is_better else -one.value)


def _scored(metric: Metric, expected: Sequence[Any], answer: str) -> tuple[float, bool]:
    """The value of a constant answer, and whether it is the best there is."""
    try:
        value = metric.score(expected, [[answer] * len(expected)]).value
    except MetricError as error:
        evidence = f"it was scoring the constant answer {answer[:60]!r}, which the test set expects elsewhere"
        raise MetricError(error.what, where=error.where, evidence=evidence, cure=error.cure) from error
    best = metric.high if metric.greater_is_better else metric.low
    return value, not beats(metric, best, value)


def beats(metric: Metric, value: float, other: float) -> bool:
    """Strictly better in the metric's direction, after rounding to 12 decimals: 2/3 is not below 40 of 60."""
    seen, asked = round(value, 12), round(other, 12)
    return seen > asked if metric.greater_is_better else seen < asked


def constant_answer(metric: Metric, answers: Answers) -> str | None:
    """The one answer that a model gave wherever it gave any; None where its answers differ, or are none.

    Labels are compared as the metric reads them, other answers as text without the white space around it.
    """
    given = {answer for repeat in answers for answer in _read(metric, repeat) if answer is not None}
    return next(iter(given)) if len(given) == 1 else None


def _read(metric: Metric, answers: Iterable[str | None]) -> Iterable[str | None]:
    from pytest_ftgate.metrics.classification import Accuracy, LabelMetric

    if isinstance(metric, Accuracy | LabelMetric):
        return metric.labels_of(answers)
    return [None if answer is None else answer.strip() for answer in answers]


def _bare(metric: Metric) -> Metric:
    """The constant answer is a label as it is expected: no pattern or JSON field is needed to find it there."""
    from pytest_ftgate.metrics.classification import Accuracy, LabelMetric

    return metric.bare() if isinstance(metric, Accuracy | LabelMetric) else metric
