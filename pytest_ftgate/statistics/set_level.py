"""Evaluate metrics of the whole set, such as macro-F1, with examples left out or wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

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
        """Return the metric without each unit, shape ``(units,)``; an example is left out with all its repeats.

        ``units`` has the unit of each example as a code 0..U-1, shape ``(n,)``; None: each example
        is a unit, and equal examples share one evaluation.
        """
        some, units, unit = self._units(units)
        total = self._total
        found = [
            self.statistic(total - some.tallies(*of_block)) for of_block in self._blocks(units)
        ]
        return np.concatenate(found)[unit]

    def weights(self, units: Codes | None = None) -> Floats:
        """Return the fall of the metric from all right to all wrong in each unit, shape ``(units,)``.

        For the share of right answers this is the unit's share of the examples; in macro averages
        an example of a rare label weighs more. A wrong answer is the rarest other label or an
        unknown one, whichever is worse. ``units`` are those of :meth:`values_without`.
        """
        some, units, unit = self._units(units)
        gold = np.bincount(self.gold, minlength=self.n_labels)
        by_size = [*np.argsort(gold, kind="stable")[np.count_nonzero(gold == 0) :], self.n_labels]
        # the rarest other label that is expected
        other = np.where(some.gold == by_size[0], by_size[1], by_size[0])
        answers = (some.gold, other, np.full_like(other, self.n_labels))
        changed = [
            replace(some, predicted=np.broadcast_to(answer, some.predicted.shape))
            for answer in answers
        ]
        total, found = self._total, []
        for of_block in self._blocks(units):
            rest = total - some.tallies(*of_block)
            right, *lost = (self.statistic(rest + arm.tallies(*of_block)) for arm in changed)
            found.append(right - np.minimum(*lost))
        return np.concatenate(found)[unit]

    def with_right_answers(self, fixed: Places) -> "LabelCounts":
        """Return the counts with all answers to the examples ``fixed`` made right."""
        predicted = self.predicted.copy()
        predicted[:, fixed] = self.gold[fixed]
        return replace(self, predicted=predicted)

    def with_wrong_answers(self, broken: Places) -> "LabelCounts":
        """Return the counts with all answers to the examples ``broken`` made another label; a single label: unknown."""
        predicted, other = (
            self.predicted.copy(),
            1 + np.arange(len(broken)) % max(self.n_labels - 1, 1),
        )
        predicted[:, broken] = (
            (self.gold[broken] + other) % self.n_labels if self.n_labels > 1 else self.n_labels
        )
        return replace(self, predicted=predicted)

    def drawn(self, rows: Places) -> "LabelCounts":
        """Return the counts of these examples, any of which may be drawn several times."""
        return replace(self, gold=self.gold[rows], predicted=self.predicted[:, rows])

    def tallies(self, units: Codes, n_units: int) -> Floats:
        """Return the tallies of units 0..n_units-1, shape ``(n_units, 3, K + 1)``, without those of other units."""
        inside = (units >= 0) & (units < n_units)
        gold, predicted = self.gold[inside], self.predicted[:, inside]
        found: Floats = np.zeros((n_units, 3, self.n_labels + 1))
        for answers in predicted:
            for row, labels, counted in ((0, gold, answers == gold), (1, gold, 1), (2, answers, 1)):
                np.add.at(found[:, row], (units[inside], labels), counted)
        return found

    @property
    def _total(self) -> Floats:
        total: Floats = self.tallies(self.gold * 0, 1)[0]
        return total

    def _units(self, units: Codes | None) -> "tuple[LabelCounts, Codes, Places]":
        """Return the examples to evaluate, their units, and the evaluated unit of each unit.

        Without units it is one example for each combination of label and answers.
        """
        if units is not None:
            return self, units, np.arange(int(units.max()) + 1)
        kind = self.gold
        for answers in self.predicted:
            kind = np.unique(kind * (self.n_labels + 1) + answers, return_inverse=True)[1].ravel()
        _, first, of_example = np.unique(kind, return_index=True, return_inverse=True)
        some = replace(self, gold=self.gold[first], predicted=self.predicted[:, first])
        return some, np.arange(len(some)), of_example.ravel()

    def _blocks(self, units: Codes) -> Iterator[tuple[Codes, int]]:
        """Yield blocks of units: the units, numbered from the start of the block, and the size of the block."""
        n_units, block = int(units.max()) + 1, max(1, _BLOCK // (3 * (self.n_labels + 1)))
        for start in range(0, n_units, block):
            yield units - start, min(block, n_units - start)


@dataclass(frozen=True)
class PooledCounts:
    """The counts that a metric of counts summed over examples needs, such as the micro-F1 of fields, for one model.

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
        """Return the metric without each unit, shape ``(units,)``: see :meth:`LabelCounts.values_without`."""
        return self._changed(-_summed(self.counts, units))

    def weights(self, units: Codes | None = None) -> Floats:
        """Return the fall of the metric from all right to all wrong in each unit, shape ``(units,)``."""
        own, right, lost = (
            _summed(counts, units) for counts in (self.counts, self.perfect, self.lost)
        )
        return self._changed(right - own) - self._changed(lost - own)

    def contributions(self) -> Floats:
        """Return the fall of the metric if all answers to an example became wrong, of each example, shape ``(n,)``."""
        return np.maximum(self.value - self._changed(self.lost - self.counts), 0.0)

    def with_right_answers(self, fixed: Places) -> "PooledCounts":
        """Return the counts with all answers to the examples ``fixed`` made right."""
        counts, scores = self.counts.copy(), self.scores.copy()
        counts[fixed], scores[fixed] = self.perfect[fixed], 1.0
        return replace(self, counts=counts, scores=scores)

    def with_wrong_answers(self, broken: Places) -> "PooledCounts":
        """Return the counts with all answers to the examples ``broken`` made completely wrong."""
        counts, scores = self.counts.copy(), self.scores.copy()
        counts[broken], scores[broken] = self.lost[broken], 0.0
        return replace(self, counts=counts, scores=scores)

    def drawn(self, rows: Places) -> "PooledCounts":
        """Return the counts of these examples, any of which may be drawn several times."""
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in ("counts", "perfect", "lost", "scores")},
        )

    def _changed(self, changes: Floats) -> Floats:
        """Return the metric with each row of ``changes``, ``(m, K)``, added to the sums, shape ``(m,)``."""
        total, block = self.counts.sum(axis=0), max(1, _BLOCK // self.counts.shape[1])
        found = [
            self.statistic(total + changes[start : start + block])
            for start in range(0, len(changes), block)
        ]
        return np.concatenate(found)


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
