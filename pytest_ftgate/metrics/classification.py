"""Scikit-learn's classification metrics, with its names, and metrics of several labels an example.

``accuracy`` scores each example; all others have a value only for a whole test set: a function of
tallies of labels, which is used for the confidence bound too. The tests compare each with
scikit-learn, whose import takes longer than a gate.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from pytest_ftgate.data import expected_text, strict_json
from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics.labels import (
    READING_OPTIONS,
    LabelSet,
    label_set,
    positive_code,
    selected_codes,
)
from pytest_ftgate.metrics.options import FULL, Normalization, Options, without_fence
from pytest_ftgate.metrics.protocol import (
    Answers,
    Kind,
    Metric,
    Scored,
    by_example,
    check_shape,
    right_wrong,
)
from pytest_ftgate.statistics import set_level
from pytest_ftgate.statistics.arrays import Codes, Floats
from pytest_ftgate.text import excerpt, listed

_AVERAGES = ("macro", "micro", "weighted")
_AVERAGED = tuple(
    f"{score}_{average}" for score in ("f1", "precision", "recall") for average in _AVERAGES
)
_BINARY = ("f1", "precision", "recall")
_CHANCE_CORRECTED = ("matthews_corrcoef", "cohen_kappa")
ONE_LABEL = ("accuracy", "balanced_accuracy", *_BINARY, *_AVERAGED, *_CHANCE_CORRECTED)
"""The metrics of outputs that are one label."""

NAMES = (*ONE_LABEL, "labels_f1", "labels_exact")

MOST_LABELS = 2000
"""Maximum number of labels: larger confusion matrices would not fit into ordinary memory."""


@dataclass(frozen=True)
class _OfLabels(Metric):
    label_set: LabelSet = field()
    uses_labels = True
    form = "a label alone"

    def has_form(self, answer: str) -> bool:
        """Return whether an answer is a label of the test or training set, or of ``labels``."""
        return self.label_set.reading.label(answer) in self.label_set.accepted

    def bare(self) -> Metric:
        return replace(self, label_set=self.label_set.bare())

    def right_answer(self, expected: Any) -> str:
        return self.label_set.label_of(expected)

    def read(self, answer: str) -> str | None:
        """Return the label in an answer as it is compared; None if there is none."""
        return self.label_set.reading.label(answer)


@dataclass(frozen=True)
class Accuracy(_OfLabels):
    """The share of answers that equal the expected label."""

    name = "accuracy"
    kind = "right_wrong"

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        check_shape(self.name, expected, answers)
        predicted = self.label_set.predicted(answers)
        return right_wrong(self, predicted == self.label_set.gold(expected))


@dataclass(frozen=True)
class LabelMetric(_OfLabels):
    """A metric of all answers together. Repeats are pooled, which averages the confusion matrix.

    ``counted`` are the codes of the labels that it averages over, such as the positive one.
    """

    name: str
    statistic: Callable[[Floats], Floats]
    low: float = field()
    counted: Sequence[int] = ()
    kind = "set"

    def constants(self, expected: Sequence[Any]) -> list[str]:
        """Return the most frequent label that counts, and the most frequent one that does not."""
        counts = np.bincount(self.label_set.gold(expected))
        # An average may leave the most frequent label out: always answering it is then worthless.
        most_frequent: dict[bool, str] = {}
        for code in np.argsort(-counts, kind="stable").tolist():
            most_frequent.setdefault(code in self.counted, self.label_set.texts[code])
        return [most_frequent[counts] for counts in (True, False) if counts in most_frequent]

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        check_shape(self.name, expected, answers)
        gold = self.label_set.gold(expected)
        predicted = self.label_set.predicted(answers)
        counts = set_level.LabelCounts(
            gold, predicted=predicted, n_labels=len(self.label_set.texts), statistic=self.statistic
        )
        if not math.isfinite(counts.value):
            raise MetricError(
                f"{self.name} is undefined for these answers",
                evidence=(
                    f"Expected labels: {self._listed(gold)}. Answers: {self._listed(predicted)}."
                ),
                cure="Use a test set with several labels, or another metric such as accuracy.",
            )

        return Scored(self, counts.value, statistic=counts)

    def _listed(self, codes: Codes) -> str:
        names = (*self.label_set.texts, "no label of the test set")
        return listed(names[code] for code in np.unique(codes))


def build(options: Options) -> Metric:
    """Build the metric of this family that the options name."""
    name = options.metric
    if name not in ONE_LABEL:
        return _several(options)

    keys = [*READING_OPTIONS, "labels"]
    if name in _BINARY:
        keys.append("pos_label")
    options.allow(*keys)
    labels = label_set(options)
    codes = selected_codes(options, labels)
    if name not in _AVERAGED and len(codes) < len(labels.texts):
        raise options.error(
            f"{name} is about all labels, and labels leaves some out",
            key="labels",
            cure=f"List all labels of the test set ({listed(labels.texts)}), or remove the option.",
        )
    if name == "accuracy":
        return Accuracy(labels)

    if len(labels.texts) > MOST_LABELS:
        problem = (
            f"{name} supports up to {MOST_LABELS:,} labels, "
            f"and the test set has {len(labels.texts):,}"
        )
        raise options.error(problem, cure="Use accuracy or exact_match.")

    if name in _BINARY:
        codes = (positive_code(options, labels),)
    low = -1.0 if name in _CHANCE_CORRECTED else 0.0
    return LabelMetric(labels, name=name, statistic=_statistic(name, codes), low=low, counted=codes)


def _statistic(name: str, codes: Sequence[int]) -> Callable[[Floats], Floats]:
    if name == "balanced_accuracy":
        return balanced_accuracy
    if name == "cohen_kappa":
        return cohen_kappa
    if name == "matthews_corrcoef":
        return matthews_corrcoef

    score, _, average = name.partition("_")
    return partial(averaged, score=score, average=average or "macro", codes=list(codes))


# --- tallies --------------------------------------------------------------------------------------
# Every function takes tallies of shape ``(m, 3, K + 1)``, the diagonal and the margins of confusion
# matrices, and returns ``(m,)`` values. The rows are, for each label, how often it is a right
# answer, expected, and answered; the last column is for answers that are no label of the test set.
# A ratio with denominator 0 is 0, as with scikit-learn's ``zero_division=0``.

# Each score is right / (share * expected + (1 - share) * answered).
_SHARE_OF_EXPECTED = {"f1": 0.5, "precision": 0.0, "recall": 1.0}


def averaged(tallies: Floats, *, score: str, average: str, codes: Sequence[int]) -> Floats:
    """Return F1, precision or recall, averaged over the labels with these codes.

    "macro": the unweighted mean; "weighted": weighted by expected frequency; "micro": counts are
    summed first.
    """
    counts = tallies[:, :, codes].swapaxes(0, 1)
    if average == "micro":
        counts = counts.sum(axis=2, keepdims=True)
    right, gold, answered = counts
    share = _SHARE_OF_EXPECTED[score]
    scores = _ratio(right, share * gold + (1 - share) * answered)

    if average == "weighted":
        return _ratio((scores * gold).sum(axis=1), gold.sum(axis=1))

    mean: Floats = scores.mean(axis=1)
    return mean


def balanced_accuracy(tallies: Floats) -> Floats:
    """Return the mean recall of the labels that are expected at least once."""
    right, gold, _ = tallies.swapaxes(0, 1)
    return _ratio(_ratio(right, gold).sum(axis=1), (gold > 0).sum(axis=1))


def matthews_corrcoef(tallies: Floats) -> Floats:
    """Return R_K, the correlation of expected and answered labels; 0 if either is constant.

    Source: J. Gorodkin, Computational Biology and Chemistry 28 (2004) 367-374.
    """
    right, gold, answered, n = _margins(tallies)
    spread_of_gold = n**2 - (gold**2).sum(axis=1)
    spread_of_answers = n**2 - (answered**2).sum(axis=1)
    spread = np.sqrt(spread_of_gold * spread_of_answers)
    return _ratio(n * right - (gold * answered).sum(axis=1), spread)


def cohen_kappa(tallies: Floats) -> Floats:
    """Return agreement beyond chance; NaN if all expected and answered labels are the same one.

    Source: J. Cohen, Educational and Psychological Measurement 20 (1960) 37-46.
    """
    right, gold, answered, n = _margins(tallies)
    by_chance = (gold * answered).sum(axis=1)
    room = n**2 - by_chance
    return np.where(room > 0, _ratio(n * right - by_chance, room), np.nan)


def _margins(
    tallies: Floats,
) -> tuple[Floats, Floats, Floats, Floats]:
    right, gold, answered = tallies.swapaxes(0, 1)
    return right.sum(axis=1), gold, answered, gold.sum(axis=1)


def _ratio(numerator: Any, denominator: Any) -> Floats:
    quotient: Floats = np.zeros(np.shape(numerator))
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


# --- several labels for one example ---------------------------------------------------------------

SEPARATOR = ","


@dataclass(frozen=True)
class SeveralLabels(Metric):
    """``labels_f1``, the mean F1 of the labels of each example; ``labels_exact``: all are right.

    A list of labels is JSON (``["a", "b"]``), or text with a ``separator`` between labels. No label
    at all is written ``[]``. ``accepted`` are the labels of the test and training set.
    """

    name: str
    kind: Kind
    separator: str = SEPARATOR
    normalization: Normalization = field(default=FULL)
    accepted: frozenset[str] = frozenset()
    form = "the labels alone"

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        labels = [self.labels(expected_text(value)) for value in expected]
        return by_example(self, labels, answers, self._score)

    def read(self, answer: str) -> str | None:
        """Return the labels of an answer, sorted, as a JSON list; None if it is no list."""
        labels = self.labels(answer)
        return None if labels is None else json.dumps(sorted(labels), ensure_ascii=False)

    def has_form(self, answer: str) -> bool:
        """Return whether an answer is a list of labels of the test or training set."""
        labels = self.labels(answer)
        return labels is not None and labels <= self.accepted

    def labels(self, text: str | None) -> frozenset[str] | None:
        """Return the labels in an answer or expected output; None if it is no list of labels."""
        text = without_fence(text or "")
        if not text:
            return None
        value: Any = text.split(self.separator)
        if text.startswith(("[", "{")):
            value = strict_json.json_or(text, value)
        if not isinstance(value, list):
            return None

        labels = set[str]()
        for item in value:
            if isinstance(item, dict | list) or item is None:
                return None
            labels.add(self.normalization(expected_text(item).strip()))
        return frozenset(labels - {""})

    def _score(self, expected: frozenset[str], answer: str | None) -> float:
        labels = self.labels(answer)
        if labels is None:
            return 0.0
        if self.kind == "right_wrong" or not expected | labels:
            return float(labels == expected)
        return 2 * len(expected & labels) / (len(expected) + len(labels))


def _several(options: Options) -> SeveralLabels:
    options.allow("separator", "normalize")
    name = options.metric
    kind: Kind = "graded" if name == "labels_f1" else "right_wrong"
    normalization = options.normalization(FULL.steps)
    metric = SeveralLabels(
        name,
        kind=kind,
        separator=options.text("separator") or SEPARATOR,
        normalization=normalization,
    )
    for text in options.expected:
        if metric.labels(text) is None:
            cure = (
                'Write a list such as ["billing", "refund"] as the expected output; '
                "no label at all is []."
            )
            raise options.error(
                f"{name} compares lists of labels, and the test set expects {excerpt(text)!r}",
                cure=cure,
            )

    accepted = set[str]()
    for text in (*options.expected, *options.known):
        accepted |= metric.labels(text) or set()
    return replace(metric, accepted=frozenset(accepted))
