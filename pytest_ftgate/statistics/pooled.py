"""Evaluate metrics of counts summed over examples, such as micro-F1 or BLEU, with examples left out or wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pytest_ftgate.statistics.arrays import Codes, Floats, Places

_BLOCK = 2_000_000  # counts in one step, 16 MB


@dataclass(frozen=True)
class PooledCounts:
    """The counts that such a metric needs, for one model. K is the number of counts.

    Attributes:
        counts: of each example, summed over its repeats, shape ``(n, K)``.
        perfect: the counts if all answers to the example were right, shape ``(n, K)``.
        lost: the counts if all answers to the example were completely wrong, shape ``(n, K)``.
        scores: the score of the answers to each example, in [0, 1], shape ``(n,)``.
        statistic: the metric as a function of summed counts, ``(m, K) -> (m,)``.
        of_parts: whether the metric is a mean over parts such as fields, some of which may be rare.
    """

    counts: Floats
    perfect: Floats
    lost: Floats
    scores: Floats
    statistic: Callable[[Floats], Floats]
    of_parts: bool = False

    def __len__(self) -> int:
        return len(self.counts)


def both(first: object, second: object) -> tuple[PooledCounts, PooledCounts]:
    """Return both arguments as pooled counts. Raise :class:`ValueError` if one is of another kind."""
    if isinstance(first, PooledCounts) and isinstance(second, PooledCounts):
        return first, second
    raise ValueError("both models must be scored by the same metric, but their counts are of different kinds")


def value(pooled: PooledCounts) -> float:
    """Return the metric of all answers."""
    return float(pooled.statistic(pooled.counts.sum(axis=0)[None])[0])


def values_without(pooled: PooledCounts, units: Codes | None) -> Floats:
    """Return the metric without each unit, shape ``(units,)``; without units without each example."""
    return _changed(pooled, -_summed(pooled.counts, units))


def weights(pooled: PooledCounts, units: Codes | None) -> Floats:
    """Return the fall of the metric from all right to all wrong in each unit, shape ``(units,)``."""
    own, right, lost = (_summed(counts, units) for counts in (pooled.counts, pooled.perfect, pooled.lost))
    return _changed(pooled, right - own) - _changed(pooled, lost - own)


def with_right_answers(pooled: PooledCounts, fixed: Places) -> PooledCounts:
    """Return the counts with all answers to the examples ``fixed`` made right."""
    counts, scores = pooled.counts.copy(), pooled.scores.copy()
    counts[fixed], scores[fixed] = pooled.perfect[fixed], 1.0
    return replace(pooled, counts=counts, scores=scores)


def _summed(counts: Floats, units: Codes | None) -> Floats:
    """Return the counts of each unit, ``(units, K)``; without units those of each example."""
    if units is None:
        return counts
    sums = np.zeros((int(units.max()) + 1, counts.shape[1]))
    np.add.at(sums, units, counts)
    return sums


def _changed(pooled: PooledCounts, changes: Floats) -> Floats:
    """Return the metric with each row of ``changes``, ``(m, K)``, added to the sums, shape ``(m,)``."""
    total, block = pooled.counts.sum(axis=0), max(1, _BLOCK // pooled.counts.shape[1])
    found = [pooled.statistic(total + changes[start : start + block]) for start in range(0, len(changes), block)]
    return np.concatenate(found)
