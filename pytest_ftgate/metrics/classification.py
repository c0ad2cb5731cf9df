"""Scikit-learn's classification metrics, with scikit-learn's names.

``accuracy`` scores each example; all others have a value only for a whole test set. The value is scikit-learn's; the
same metric as a function of tallies is used for the confidence bound.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, TypeAlias

from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics.labels import READING_OPTIONS, LabelSet, label_set, positive_code, selected_codes
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Codes, Floats, Metric, Scored, check_shape, right_wrong
from pytest_ftgate.text import listed

_AVERAGES = ("macro", "micro", "weighted")
_AVERAGED = tuple(f"{score}_{average}" for score in ("f1", "precision", "recall") for average in _AVERAGES)
_BINARY = ("f1", "precision", "recall")
_CHANCE_CORRECTED = ("matthews_corrcoef", "cohen_kappa")
NAMES = ("accuracy", "balanced_accuracy", *_BINARY, *_AVERAGED, *_CHANCE_CORRECTED)

MOST_LABELS = 2000
"""Maximum number of labels: larger confusion matrices would not fit into ordinary memory."""


@dataclass(frozen=True)
class _OfLabels(Metric):
    label_set: LabelSet = field()
    uses_labels = True

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
        predicted, n_unknown = self.label_set.predicted(answers)
        return right_wrong(self, predicted == self.label_set.gold(self.name, expected), n_unknown=n_unknown)


@dataclass(frozen=True)
class LabelMetric(_OfLabels):
    """A metric of all answers together. Repeats are pooled, which averages the confusion matrix.

    It has two forms: ``sklearn`` on label codes, and ours, ``statistic``, on tallies of labels.
    """

    name: str
    sklearn: Callable[[Codes, Codes], float]
    statistic: Callable[[Floats], Floats]
    low: float = field()
    kind = "set"

    @property
    def averages_labels(self) -> bool:
        return self.name == "balanced_accuracy" or self.name.endswith("_macro")

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        from pytest_ftgate.statistics.set_level import LabelCounts

        check_shape(self.name, expected, answers)
        gold = self.label_set.gold(self.name, expected)
        predicted, n_unknown = self.label_set.predicted(answers)
        counts = LabelCounts(gold, predicted, len(self.label_set.texts), self.statistic)
        value = self._value(gold, predicted)
        if not abs(counts.value - value) <= 1e-9:  # bounds are computed from the counts
            raise MetricError(
                f"{self.name} is {value!r} by scikit-learn and {counts.value!r} by its confusion matrix",
                cure="This is a defect of pytest-ftgate or of the installed scikit-learn: please report it.",
            )
        return Scored(self, value, statistic=counts, n_unknown=n_unknown)

    def _value(self, gold: Codes, predicted: Codes) -> float:
        import numpy as np

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of cases that are intended (zero_division=0) or an error below
            value = float(self.sklearn(np.tile(gold, len(predicted)), predicted.ravel()))
        if not math.isfinite(value):
            names = (*self.label_set.texts, "no label of the test set")
            found = [listed(names[code] for code in np.unique(codes)) for codes in (gold, predicted)]
            raise MetricError(
                f"{self.name} is undefined for these answers",
                evidence=f"Expected labels: {found[0]}. Answers: {found[1]}.",
                cure="Use a test set with several labels, or another metric such as accuracy.",
            )
        return value


def build(options: Options) -> Accuracy | LabelMetric:
    """Build the metric of this family that the options name."""
    name = options.metric
    options.allow(*READING_OPTIONS, "labels", *(["pos_label"] if name in _BINARY else []))
    read = label_set(options)
    over = selected_codes(options, read)
    if name not in _AVERAGED and len(over) < len(read.texts):
        cure = f"List all labels of the test set ({listed(read.texts)}), or remove the option."
        what = f"{name} is not an average over labels, so labels must contain all of them"
        raise options.error(what, key="labels", cure=cure)
    if name == "accuracy":
        return Accuracy(read)
    if len(read.texts) > MOST_LABELS:
        what = f"{name} supports up to {MOST_LABELS:,} labels, and the test set has {len(read.texts):,}"
        raise options.error(what, cure="Use accuracy or exact_match.")
    low = -1.0 if name in _CHANCE_CORRECTED else 0.0
    return LabelMetric(read, name, *_formula(options, read, over), low)


_Formula: TypeAlias = tuple[Callable[[Codes, Codes], float], Callable[[Floats], Floats]]


def _formula(options: Options, labels: LabelSet, over: Sequence[int]) -> _Formula:
    name = options.metric
    if name == "balanced_accuracy":
        return partial(_sklearn, "balanced_accuracy_score"), balanced_accuracy
    if name in _CHANCE_CORRECTED:
        return _chance_corrected(options, labels)
    score, _, average = name.partition("_")
    function = f"{score}_score"
    if not average:
        positive = positive_code(options, labels)  # the mean over this label alone
        over, average = [positive], "macro"
    value = partial(_sklearn, function, labels=list(over), average=average, zero_division=0)
    return value, partial(averaged, of=score, average=average, over=list(over))


def _chance_corrected(options: Options, labels: LabelSet) -> _Formula:
    if len(labels.texts) < 2:
        what = f"{options.metric} needs at least two labels, and every test example expects {listed(labels.texts)}"
        raise options.error(what, cure="Add examples with other labels, or use accuracy.")
    if options.metric == "cohen_kappa":
        codes = list(range(len(labels.texts) + 1))
        return partial(_sklearn, "cohen_kappa_score", labels=codes), cohen_kappa
    return partial(_sklearn, "matthews_corrcoef"), matthews_corrcoef


def _sklearn(function: str, gold: Any, predicted: Any, **options: Any) -> float:
    import sklearn.metrics

    return float(getattr(sklearn.metrics, function)(gold, predicted, **options))


#
# Resampling needs the value for many slightly different samples; calling scikit-learn for each would take minutes.
# Every function takes tallies of shape ``(m, 3, K + 1)``, the diagonal and the margins of confusion matrices, and
# returns ``(m,)`` values. The rows are, for each label, how often it is a right answer, expected, and answered; the
# last column is for answers that are no label of the test set. A ratio with denominator 0 is 0, as with scikit-learn's
# ``zero_division=0``.

_ROUNDING = 1e-12  # relative; the smallest nonzero denominator is 2 / n of its scale


# Each score is right / (share * expected + (1 - share) * answered).
_SHARE_OF_EXPECTED = {"f1": 0.5, "precision": 0.0, "recall": 1.0}


def averaged(tallies: Floats, *, of: str, average: str, over: Sequence[int]) -> Floats:
    """Return F1, precision or recall, averaged over the labels with the codes ``over``.

    "macro": the unweighted mean; "weighted": weighted by expected frequency; "micro": counts are summed first.
    """
    right, gold, answered = tallies[:, :, over].swapaxes(0, 1)
    if average == "micro":
        right, gold, answered = (counts.sum(axis=1, keepdims=True) for counts in (right, gold, answered))
    share = _SHARE_OF_EXPECTED[of]
    scores = _ratio(right, share * gold + (1 - share) * answered)
    if average == "weighted":
        return _ratio((scores * gold).sum(axis=1), gold.sum(axis=1))
    mean: Floats = scores.mean(axis=1)
    return mean


def balanced_accuracy(tallies: Floats) -> Floats:
    """Return the mean recall of the labels that are expected at least once."""
    right, gold, _ = tallies.swapaxes(0, 1)
    recalls = _ratio(right, gold)
    return _ratio(recalls.sum(axis=1), (gold > 0).sum(axis=1))


def matthews_corrcoef(tallies: Floats) -> Floats:
    """Return R_K, the correlation of expected and answered labels; 0 if either is constant.

    Source: J. Gorodkin, Computational Biology and Chemistry 28 (2004) 367-374.
    """
    import numpy as np

    right, gold, answered, n = _margins(tallies)
    spread_gold = _no_noise(n**2 - (gold**2).sum(axis=1), n**2)
    spread_answered = _no_noise(n**2 - (answered**2).sum(axis=1), n**2)
    return _ratio(n * right - (gold * answered).sum(axis=1), np.sqrt(spread_gold * spread_answered))


def cohen_kappa(tallies: Floats) -> Floats:
    """Return agreement beyond chance; NaN if all expected and answered labels are the same one.

    Source: J. Cohen, Educational and Psychological Measurement 20 (1960) 37-46.
    """
    import numpy as np

    right, gold, answered, n = _margins(tallies)
    by_chance = (gold * answered).sum(axis=1)
    room = _no_noise(n**2 - by_chance, n**2)
    return np.where(room > 0, _ratio(n * right - by_chance, room), np.nan)


def _margins(tallies: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    right, gold, answered = tallies.swapaxes(0, 1)
    return right.sum(axis=1), gold, answered, gold.sum(axis=1)


def _ratio(numerator: Any, denominator: Any) -> Floats:
    import numpy as np

    quotient: Floats = np.zeros(np.shape(numerator))
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def _no_noise(difference: Floats, scale: Floats) -> Floats:
    """Return a difference of sums of weights, with rounding errors set to 0."""
    import numpy as np

    return np.where(difference > _ROUNDING * scale, difference, 0.0)
