"""The base class of metrics, and the result of measuring one model's answers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np

from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics import labels, options
from pytest_ftgate.statistics import set_level
from pytest_ftgate.statistics.arrays import Bools, Floats, Places
from pytest_ftgate.text import is_share, printable

Kind: TypeAlias = Literal["right_wrong", "graded", "set"]
Answers: TypeAlias = Sequence[Sequence[str | None]]
"""``[repeat][example]``; None: a missing answer, which gets the worst score."""

_LONGEST_NOTE = 200  # characters


class Metric(ABC):
    """A measure of answers against the expected outputs. The defaults suit most metrics.

    Attributes:
        kind: "right_wrong": each answer is right or wrong; "graded": each gets a number; "set":
            only all answers together have a value, as for averages over labels.
        low, high: the range of the value, and of the score of one example.
        uses_labels: the expected outputs are labels from a small set.
        of_numbers: outputs are compared as numbers, and are no labels.
        calls_tools: answers are compared as tool calls, and the text of an answer without any is
            not compared.
        compares: answers are compared with the expected outputs; otherwise any answer may have the
            best score.
        of_form: only the form of answers is measured.
        free_text: outputs are texts without a form of their own.
        form: the form of the task, as the end of "Tell the model to answer with ...".
        pairwise: the answers of two models are compared, so one model alone has no score.
        judged: a model or people judge the answers.
        means: for pairwise metrics: preferences may be means over repeats or over several people.
        label_set: the labels that answers are compared with.
        separator: what separates several labels of one output; None where an output is one label.
    """

    name: str
    kind: Kind
    low: float = 0.0
    high: float = 1.0
    greater_is_better: bool = True
    uses_labels: bool = False
    of_numbers: bool = False
    calls_tools: bool = False
    compares: bool = True
    of_form: bool = False
    free_text: bool = False
    form: str = "the output alone"
    pairwise: bool = False
    judged: bool = False
    means: bool = False
    label_set: labels.LabelSet | None = None
    separator: str | None = None

    @abstractmethod
    def score(self, expected: Sequence[Any], answers: Answers) -> "Scored":
        """Measure the answers; ``expected`` holds one text or JSON value per example.

        Raise :class:`MetricError` if the value is undefined, :class:`ConfigError` if the outputs do
        not suit it.
        """

    def malformed(self, answer: str | None) -> bool:
        """Return whether an answer is not in the form of the task, such as an empty one.

        Reasoning before an answer, which models take off, is no part of its form, and neither is
        one Markdown fence around all of it.
        """
        return answer is None or not answer.strip() or not self.has_form(answer)

    def has_form(self, answer: str) -> bool:  # noqa: ARG002
        """Return whether an answer that is not empty has the form that the metric compares."""
        return True

    def adds_words(self, expected: Any, answer: str) -> bool:  # noqa: ARG002
        """Return whether free text contains the whole expected output and more."""
        return False

    def bare(self) -> "Metric":
        """Return the metric for answers with nothing around the expected output."""
        return self

    def constants(self, expected: Sequence[Any]) -> list[str]:  # noqa: ARG002
        """Return constant answers that may beat the most frequent output, such as a median."""
        return []

    def right_answer(self, expected: Any) -> str:
        """Return the text that :meth:`bare` compares with answers."""
        return expected_text(expected).strip()

    @property
    def share(self) -> bool:
        """Return whether the value lies in [0, 1], so that differences are shown in points."""
        return is_share((self.low, self.high))

    @property
    def sign(self) -> int:
        """Return 1 where greater values are better, else -1."""
        return 1 if self.greater_is_better else -1

    @property
    def best(self) -> float:
        """Return the end of the range that no answer exceeds."""
        return self.high if self.greater_is_better else self.low

    @property
    def worst(self) -> float:
        """Return the other end, which a missing answer gets."""
        return self.low if self.greater_is_better else self.high

    def answers_read(self, answers: Iterable[str | None]) -> list[str | None]:
        """Return the part of each answer that is compared; None if there is none."""
        read = cache(self.read)
        return [None if answer is None else read(answer) for answer in answers]

    def read(self, answer: str) -> str | None:
        """Return the part of an answer that is compared; None if there is none."""
        return answer.strip()


@dataclass(frozen=True)
class TextMetric(Metric):
    """A metric of texts that are compared after normalization."""

    normalization: options.Normalization = field(default=options.AS_WRITTEN, kw_only=True)

    def clean(self, text: str) -> str:
        """Return a text as it is compared: without a fence around all of it, and normalized."""
        return self.normalization(options.without_fence(text))

    def read(self, answer: str) -> str:
        return self.clean(answer)


@dataclass(frozen=True, eq=False)
class Scored:
    """One model's answers, measured.

    Attributes:
        value: the metric, never NaN; ``exact``: of right/wrong metrics, right answers by all
            answers.
        per_example: scores, shape ``(examples,)``, averaged over repeats; None for set-level
            metrics.
        statistic: of set-level metrics, what a resampling method needs to compute the value again.
        notes: why the answer to each example of the first repeat is not right, harmless to print;
            None where it is.
    """

    metric: Metric
    value: float
    exact: Fraction | None = None
    per_example: Floats | None = None
    statistic: set_level.SetCounts | None = None
    notes: Sequence[str | None] = ()

    def drawn(self, rows: Places) -> "Scored":
        """Return the scores of these examples, which may repeat; the value stays that of all."""
        per_example = None if self.per_example is None else self.per_example[rows]
        statistic = None if self.statistic is None else self.statistic.drawn(rows)
        return replace(self, per_example=per_example, statistic=statistic)


def short_note(note: str | None) -> str | None:
    """Return a note on one answer as a short line that is safe to print."""
    return None if note is None else printable(note, _LONGEST_NOTE)


def check_shape(name: str, expected: Sequence[Any], answers: Answers) -> None:
    """Refuse to measure nothing."""
    if not expected or not answers:
        raise MetricError(f"{name} has nothing to measure: there are no examples")


def by_example(
    metric: Metric, expected: Sequence[Any], answers: Answers, score: Callable[[Any, Any], float]
) -> Scored:
    """Measure by the score of each answer, which of right/wrong metrics is 1 or 0.

    An error names the example.
    """
    check_shape(metric.name, expected, answers)
    scores = np.empty((len(answers), len(expected)))
    for repeat, texts in enumerate(answers):
        for row, text in enumerate(texts):
            try:
                scores[repeat, row] = score(expected[row], text)
            except MetricError as error:
                error.example = row
                raise

    if metric.kind == "right_wrong":
        return right_wrong(metric, scores == 1)
    return graded(metric, scores)


def graded(metric: Metric, scores: Floats) -> Scored:
    """Return the mean score; ``scores`` has the shape ``(repeats, examples)``."""
    per_example = scores.mean(axis=0)
    return Scored(metric, float(per_example.mean()), per_example=per_example)


def right_wrong(metric: Metric, right: Bools) -> Scored:
    """Return the share of right answers; ``right`` has the shape ``(repeats, examples)``."""
    exact = Fraction(int(right.sum()), right.size)
    return Scored(metric, value=float(exact), exact=exact, per_example=right.mean(axis=0))
