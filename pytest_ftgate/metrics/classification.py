"""Scikit-learn's classification metrics, with scikit-learn's names; and those of several labels for one example.

``accuracy`` scores each example; all others have a value only for a whole test set: a function of
tallies of labels, which is used for the confidence bound too. The tests compare each with
scikit-learn, whose import takes longer than a gate.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
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
from pytest_ftgate.statistics import arrays, set_level
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
        """Return whether an answer is one of the labels of the test or training set, or of ``labels``."""
        return self.label_set.reading.label(answer) in self.label_set.accepted

    def bare(self) -> Metric:
        return replace(self, label_set=self.label_set.bare())

    def right_answer(self, expected: Any) -> str:
        return self.label_set.label_of(expected)

    def answers_read(self, answers: Iterable[str | None]) -> list[str | None]:
        """Return the label in each answer as it is compared, known or not; None if there is none."""
        read = cache(self.label_set.reading.label)
        return [None if answer is None else read(answer) for answer in answers]


@dataclass(frozen=True)
class Accuracy(_OfLabels):
    """The share of answers that equal the expected label."""

    name = "accuracy"
    kind = "right_wrong"

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        check_shape(self.name, expected, answers)
        predicted = self.label_set.predicted(answers)
        return right_wrong(self, predicted == self.label_set.gold(self.name, expected))


@dataclass(frozen=True)
class LabelMetric(_OfLabels):
    """A metric of all answers together. Repeats are pooled, which averages the confusion matrix.

    ``counted`` are the codes of the labels that it averages over, such as the positive one.
    """

    name: str
    statistic: Callable[[arrays.Floats], arrays.Floats]
    low: float = field()
    counted: Sequence[int] = ()
    kind = "set"

    def constants(self, expected: Sequence[Any]) -> list[str]:
        """Return the most frequent label that counts, and the most frequent one that does not."""
        by_count = np.argsort(
            -np.bincount(self.label_set.gold(self.name, expected)), kind="stable"
        ).tolist()
        counting = [code for code in by_count if code in self.counted]
        others = [code for code in by_count if code not in self.counted]
        return [self.label_set.texts[code] for code in (*counting[:1], *others[:1])]

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        check_shape(self.name, expected, answers)
        gold = self.label_set.gold(self.name, expected)
        predicted = self.label_set.predicted(answers)
        counts = set_level.LabelCounts(gold, predicted, len(self.label_set.texts), self.statistic)
        if not math.isfinite(counts.value):
            names = (*self.label_set.texts, "no label of the test set")
            found = [
                listed(names[code] for code in np.unique(codes)) for codes in (gold, predicted)
            ]
            evidence = f"Expected labels: {found[0]}. Answers: {found[1]}."
            cure = "Use a test set with several labels, or another metric such as accuracy."
            raise MetricError(
                f"{self.name} is undefined for these answers", evidence=evidence, cure=cure
            )
        return Scored(self, counts.value, statistic=counts)


def build(options: Options) -> Metric:
    """Build the metric of this family that the options name."""
    name = options.metric
    if name not in ONE_LABEL:
        return _several(options)
    options.allow(*READING_OPTIONS, "labels", *(("pos_label",) if name in _BINARY else ()))
    read = label_set(options)
    over = selected_codes(options, read)
    if name not in _AVERAGED and len(over) < len(read.texts):
        cure = f"List all labels of the test set ({listed(read.texts)}), or remove the option."
        raise options.error(
            f"{name} is about all labels, and labels leaves some out", key="labels", cure=cure
        )
    if name == "accuracy":
        return Accuracy(read)
    if len(read.texts) > MOST_LABELS:
        what = f"{name} supports up to {MOST_LABELS:,} labels, and the test set has {len(read.texts):,}"
        raise options.error(what, cure="Use accuracy or exact_match.")
    if name in _BINARY:
        over = (positive_code(options, read),)
    low = -1.0 if name in _CHANCE_CORRECTED else 0.0
    return LabelMetric(read, name, _statistic(options, read, over), low, over)


def _statistic(
    options: Options, labels: LabelSet, over: Sequence[int]
) -> Callable[[arrays.Floats], arrays.Floats]:
    name = options.metric
    if name == "balanced_accuracy":
        return balanced_accuracy
    if name in _CHANCE_CORRECTED:
        if len(labels.texts) < 2:
            what = f"{name} needs at least two labels, and every test example expects {listed(labels.texts)}"
            raise options.error(what, cure="Add examples with other labels, or use accuracy.")
        return cohen_kappa if name == "cohen_kappa" else matthews_corrcoef
    score, _, average = name.partition("_")
    return partial(averaged, of=score, average=average or "macro", over=list(over))


# --- tallies
# ----------------------------------------------------------------------------------------------------------
# Every function takes tallies of shape ``(m, 3, K + 1)``, the diagonal and the margins of confusion
# matrices, and returns ``(m,)`` values. The rows are, for each label, how often it is a right
# answer, expected, and answered; the last column is for answers that are no label of the test set.
# A ratio with denominator 0 is 0, as with scikit-learn's ``zero_division=0``.

# Each score is right / (share * expected + (1 - share) * answered).
_SHARE_OF_EXPECTED = {"f1": 0.5, "precision": 0.0, "recall": 1.0}


def averaged(
    tallies: arrays.Floats, *, of: str, average: str, over: Sequence[int]
) -> arrays.Floats:
    """Return F1, precision or recall, averaged over the labels with the codes ``over``.

    "macro": the unweighted mean; "weighted": weighted by expected frequency; "micro": counts are
    summed first.
    """
    right, gold, answered = tallies[:, :, over].swapaxes(0, 1)
    if average == "micro":
        right, gold, answered = (
            counts.sum(axis=1, keepdims=True) for counts in (right, gold, answered)
        )
    share = _SHARE_OF_EXPECTED[of]
    scores = _ratio(right, share * gold + (1 - share) * answered)
    if average == "weighted":
        return _ratio((scores * gold).sum(axis=1), gold.sum(axis=1))
    mean: arrays.Floats = scores.mean(axis=1)
    return mean


def balanced_accuracy(tallies: arrays.Floats) -> arrays.Floats:
    """Return the mean recall of the labels that are expected at least once."""
    right, gold, _ = tallies.swapaxes(0, 1)
    return _ratio(_ratio(right, gold).sum(axis=1), (gold > 0).sum(axis=1))


def matthews_corrcoef(tallies: arrays.Floats) -> arrays.Floats:
    """Return R_K, the correlation of expected and answered labels; 0 if either is constant.

    Source: J. Gorodkin, Computational Biology and Chemistry 28 (2004) 367-374.
    """
    right, gold, answered, n = _margins(tallies)
    spread_gold, spread_answered = (n**2 - (counts**2).sum(axis=1) for counts in (gold, answered))
    return _ratio(n * right - (gold * answered).sum(axis=1), np.sqrt(spread_gold * spread_answered))


def cohen_kappa(tallies: arrays.Floats) -> arrays.Floats:
    """Return agreement beyond chance; NaN if all expected and answered labels are the same one.

    Source: J. Cohen, Educational and Psychological Measurement 20 (1960) 37-46.
    """
    right, gold, answered, n = _margins(tallies)
    by_chance = (gold * answered).sum(axis=1)
    room = n**2 - by_chance
    return np.where(room > 0, _ratio(n * right - by_chance, room), np.nan)


def _margins(
    tallies: arrays.Floats,
) -> tuple[arrays.Floats, arrays.Floats, arrays.Floats, arrays.Floats]:
    right, gold, answered = tallies.swapaxes(0, 1)
    return right.sum(axis=1), gold, answered, gold.sum(axis=1)


def _ratio(numerator: Any, denominator: Any) -> arrays.Floats:
    quotient: arrays.Floats = np.zeros(np.shape(numerator))
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


# --- several labels for one example
# -----------------------------------------------------------------------------------

SEPARATOR = ","


@dataclass(frozen=True)
class SeveralLabels(Metric):
    """``labels_f1``, the F1 of the labels of each example, averaged over examples; ``labels_exact``: all are right.

    A list of labels is JSON (``["a", "b"]``), or text with a label in each part. No label at all is
    written ``[]``. ``known`` are the labels of the test and training set.
    """

    name: str
    kind: Kind
    separator: str = SEPARATOR
    normalization: Normalization = field(default=FULL)
    known: frozenset[str] = frozenset()
    form = "the labels alone"

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        return by_example(
            self, [self._wanted(one, i) for i, one in enumerate(expected)], answers, self._score
        )

    def answers_read(self, answers: Iterable[str | None]) -> list[str | None]:
        """Return the labels of each answer, sorted, as a JSON list; None if there is no list in it."""
        read = (None if answer is None else self.labels(answer) for answer in answers)
        return [
            None if one is None else json.dumps(sorted(one), ensure_ascii=False) for one in read
        ]

    def has_form(self, answer: str) -> bool:
        """Return whether an answer is a list of known labels."""
        labels = self.labels(answer)
        return labels is not None and labels <= self.known

    def labels(self, value: Any) -> frozenset[str] | None:
        """Return the labels in an answer or expected output; None if it is blank or no list of labels."""
        if isinstance(value, str):
            text = without_fence(value)
            if not text:
                return None
            value = strict_json.json_or(text) if text.startswith(("[", "{")) else None
            value = text.split(self.separator) if value is None else value
        if not isinstance(value, list) or any(
            isinstance(one, dict | list) or one is None for one in value
        ):
            return None
        return frozenset(
            filter(None, (self.normalization(expected_text(one).strip()) for one in value))
        )

    def _wanted(self, value: Any, index: int) -> frozenset[str]:
        found = self.labels(value)
        if found is None:
            what = f"{self.name} compares lists of labels, and this example expects {excerpt(str(value))}"
            raise MetricError(what, example=index, unsuited=True)
        return found

    def _score(self, wanted: frozenset[str], answer: str | None) -> float:
        found = None if answer is None else self.labels(answer)
        if found is None:
            return 0.0
        if self.kind == "right_wrong" or not wanted | found:
            return float(found == wanted)
        return 2 * len(wanted & found) / (len(wanted) + len(found))


def _several(options: Options) -> SeveralLabels:
    options.allow("separator", "normalize")
    name, normalization = options.metric, options.normalization(FULL.steps)
    kind: Kind = "graded" if name == "labels_f1" else "right_wrong"
    metric = SeveralLabels(name, kind, options.text("separator") or SEPARATOR, normalization)
    for text in options.expected:
        if metric.labels(text) is None:
            what = f"{name} compares lists of labels, and the test set expects {excerpt(text)!r}"
            cure = 'Write a list such as ["billing", "refund"] as the expected output; no label at all is [].'
            raise options.error(what, cure=cure)

    known = frozenset[str]()
    for text in (*options.expected, *options.known):
        known |= metric.labels(text) or frozenset()
    return replace(metric, known=known)
