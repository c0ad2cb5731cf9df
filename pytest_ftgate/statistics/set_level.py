"""Evaluate metrics of the whole set, such as macro-F1, with examples left out or wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from pytest_ftgate.statistics.arrays import Codes, Floats, Places

_BLOCK = 200_000  # counts in one step: few enough for the processor's cache


@dataclass(frozen=True)
class LabelCounts:
    """The labels that a metric of the whole set needs, for one model.

    Attributes:
        gold: expected labels as codes 0..K-1, shape ``(n,)``.
        predicted: answered labels as codes 0..K, shape ``(repeats, n)``; K stands for an unknown
            label.
        n_labels: K.
        statistic: the metric as a function of tallies, ``(m, 3, K + 1) -> (m,)``. These are, for
            each label, how often it is a right answer, expected, and answered; the unknown label
            comes last. Repeats are pooled.
    """

    gold: Codes
    predicted: Codes
    n_labels: int
    statistic: Callable[[Floats], Floats]

    def __len__(self) -> int:
        return len(self.gold)

    @property
    def scores(self) -> Floats:
        """Return the share of right answers to each example, shape ``(n,)``."""
        share: Floats = (self.predicted == self.gold).mean(axis=0)
        return share

    @property
    def value(self) -> float:
        """Return the metric of all answers, with repeats pooled."""
        return float(self.statistic(self._total[None])[0])

    def values_without(self, units: Codes | None = None) -> Floats:
        """Return the metric without each unit, shape ``(units,)``.

        An example is left out with all its repeats. ``units`` has the unit of each example as a
        code 0..U-1, shape ``(n,)``; None: each example is a unit, and equal examples share one
        evaluation.
        """
        kinds = self._kinds(units)
        total = self._total
        values = []
        for codes, size in self._blocks(kinds.codes):
            values.append(self.statistic(total - kinds.counts.tallies(codes, size)))
        return np.concatenate(values)[kinds.of_unit]

    def weights(self, units: Codes | None = None) -> Floats:
        """Return the fall of the metric from all right to all wrong in each unit, ``(units,)``.

        For the share of right answers this is the unit's share of the examples; in macro averages
        an example of a rare label weighs more. A wrong answer is the rarest other label or an
        unknown one, whichever is worse. ``units`` are those of :meth:`values_without`.
        """
        kinds = self._kinds(units)
        counts = kinds.counts
        rarest, next_rarest = self._rarest_labels()
        mistake = np.where(counts.gold == rarest, next_rarest, rarest)
        right = counts._answering(counts.gold)
        mistaken = counts._answering(mistake)
        unknown = counts._answering(np.full_like(mistake, self.n_labels))

        total = self._total
        falls = []
        for codes, size in self._blocks(kinds.codes):
            outside = total - counts.tallies(codes, size)
            values = [
                self.statistic(outside + answers.tallies(codes, size))
                for answers in (right, mistaken, unknown)
            ]
            falls.append(values[0] - np.minimum(values[1], values[2]))
        return np.concatenate(falls)[kinds.of_unit]

    def _rarest_labels(self) -> tuple[int, int]:
        """Return the two rarest labels that are expected; unknown ones come after all others."""
        gold = np.bincount(self.gold, minlength=self.n_labels)
        expected = [int(label) for label in np.argsort(gold, kind="stable") if gold[label] > 0]
        return expected[0], [*expected, self.n_labels][1]

    def _answering(self, labels: Codes) -> "LabelCounts":
        """Return the counts with these answers in all repeats, a label for each example."""
        return replace(self, predicted=np.broadcast_to(labels, self.predicted.shape))

    def with_right_answers(self, fixed: Places) -> "LabelCounts":
        """Return the counts with all answers to the examples ``fixed`` made right."""
        predicted = self.predicted.copy()
        predicted[:, fixed] = self.gold[fixed]
        return replace(self, predicted=predicted)

    def with_wrong_answers(self, broken: Places) -> "LabelCounts":
        """Return the counts with all answers to the examples ``broken`` made another label.

        Where there is one label only, they become unknown.
        """
        predicted = self.predicted.copy()
        if self.n_labels > 1:
            shifts = 1 + np.arange(len(broken)) % (self.n_labels - 1)
            predicted[:, broken] = (self.gold[broken] + shifts) % self.n_labels
        else:
            predicted[:, broken] = self.n_labels
        return replace(self, predicted=predicted)

    def drawn(self, rows: Places) -> "LabelCounts":
        """Return the counts of these examples, any of which may be drawn several times."""
        return replace(self, gold=self.gold[rows], predicted=self.predicted[:, rows])

    def tallies(self, units: Codes, n_units: int) -> Floats:
        """Return the tallies of units 0..n_units-1, shape ``(n_units, 3, K + 1)``.

        Those of other units are left out.
        """
        is_inside = (units >= 0) & (units < n_units)
        codes = units[is_inside]
        gold = self.gold[is_inside]
        tallies: Floats = np.zeros((n_units, 3, self.n_labels + 1))
        for answers in self.predicted[:, is_inside]:
            np.add.at(tallies[:, 0], (codes, gold), answers == gold)
            np.add.at(tallies[:, 1], (codes, gold), 1)
            np.add.at(tallies[:, 2], (codes, answers), 1)
        return tallies

    @property
    def _total(self) -> Floats:
        total: Floats = self.tallies(self.gold * 0, 1)[0]
        return total

    def _kinds(self, units: Codes | None) -> "_Kinds":
        """Return what is to be evaluated for units: see :meth:`values_without`.

        Without units it is one example for each combination of label and answers.
        """
        if units is not None:
            return _Kinds(self, units, np.arange(int(units.max()) + 1))

        combination = self.gold
        for answers in self.predicted:
            pairs = combination * (self.n_labels + 1) + answers
            combination = np.unique(pairs, return_inverse=True)[1].ravel()
        _, first, of_example = np.unique(combination, return_index=True, return_inverse=True)
        distinct = self.drawn(first)
        return _Kinds(distinct, np.arange(len(distinct)), of_example.ravel())

    def _blocks(self, units: Codes) -> Iterator[tuple[Codes, int]]:
        """Yield blocks of units: codes that count from the start of the block, and its size."""
        n_units = int(units.max()) + 1
        size = max(1, _BLOCK // (3 * (self.n_labels + 1)))
        for start in range(0, n_units, size):
            yield units - start, min(size, n_units - start)


class _Kinds(NamedTuple):
    """Units to evaluate, of which equal ones are evaluated once.

    Attributes:
        counts: the examples to evaluate.
        codes: the evaluated unit of each of these examples.
        of_unit: the evaluated unit of each unit.
    """

    counts: LabelCounts
    codes: Codes
    of_unit: Places


@dataclass(frozen=True)
class PooledCounts:
    """The counts of one model for a metric of summed counts, such as the micro-F1 of fields.

    Attributes:
        counts: of each example, summed over its repeats, shape ``(n, K)``.
        perfect: the counts if all answers to the example were right, shape ``(n, K)``.
        lost: the counts if all answers to the example were completely wrong, shape ``(n, K)``.
        scores: the score of the answers to each example, in [0, 1], shape ``(n,)``.
        statistic: the metric as a function of summed counts, ``(m, K) -> (m,)``.
    """

    counts: Floats
    perfect: Floats
    lost: Floats
    scores: Floats
    statistic: Callable[[Floats], Floats]

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def value(self) -> float:
        """Return the metric of all answers."""
        return float(self.statistic(self.counts.sum(axis=0)[None])[0])

    def values_without(self, units: Codes | None = None) -> Floats:
        """Return the metric without each unit: see :meth:`LabelCounts.values_without`."""
        return self._changed(-_summed(self.counts, units))

    def weights(self, units: Codes | None = None) -> Floats:
        """Return the fall of the metric from all right to all wrong in each unit, ``(units,)``."""
        sums = _summed(self.counts, units)
        right = self._changed(_summed(self.perfect, units) - sums)
        return right - self._changed(_summed(self.lost, units) - sums)

    def contributions(self) -> Floats:
        """Return the fall of the metric if all answers to an example became wrong, ``(n,)``."""
        return np.maximum(self.value - self._changed(self.lost - self.counts), 0.0)

    def with_right_answers(self, fixed: Places) -> "PooledCounts":
        """Return the counts with all answers to the examples ``fixed`` made right."""
        return self._answering(fixed, self.perfect, 1.0)

    def with_wrong_answers(self, broken: Places) -> "PooledCounts":
        """Return the counts with all answers to the examples ``broken`` made completely wrong."""
        return self._answering(broken, self.lost, 0.0)

    def _answering(self, rows: Places, answers: Floats, score: float) -> "PooledCounts":
        """Return the counts with these ``answers`` to some rows, which get this score."""
        counts = self.counts.copy()
        scores = self.scores.copy()
        counts[rows] = answers[rows]
        scores[rows] = score
        return replace(self, counts=counts, scores=scores)

    def drawn(self, rows: Places) -> "PooledCounts":
        """Return the counts of these examples, any of which may be drawn several times."""
        return replace(
            self,
            counts=self.counts[rows],
            perfect=self.perfect[rows],
            lost=self.lost[rows],
            scores=self.scores[rows],
        )

    def _changed(self, changes: Floats) -> Floats:
        """Return the metric, ``(m,)``, with each row of ``changes``, ``(m, K)``, added to sums."""
        total = self.counts.sum(axis=0)
        size = max(1, _BLOCK // self.counts.shape[1])
        blocks = np.split(total + changes, range(size, len(changes), size))
        return np.concatenate([self.statistic(block) for block in blocks])


SetCounts: TypeAlias = LabelCounts | PooledCounts
"""The counts of a metric of the whole set."""


def same_examples(first: SetCounts, second: SetCounts) -> bool:
    """Return whether both have the same expected outputs, that is, answer the same examples."""
    if isinstance(first, LabelCounts) and isinstance(second, LabelCounts):
        return np.array_equal(first.gold, second.gold)
    if isinstance(first, PooledCounts) and isinstance(second, PooledCounts):
        return np.array_equal(first.perfect, second.perfect)
    raise ValueError(
        "both models must be scored by the same metric, but their counts are of different kinds"
    )


def _summed(counts: Floats, units: Codes | None) -> Floats:
    """Return the counts of each unit, ``(units, K)``; without units those of each example."""
    if units is None:
        return counts
    sums = np.zeros((int(units.max()) + 1, counts.shape[1]))
    np.add.at(sums, units, counts)
    return sums
