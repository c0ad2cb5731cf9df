"""Metrics that are a formula of counts summed over examples, as micro-F1 or BLEU: with examples left out or lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pytest_ftgate.statistics.arrays import Codes, Floats, Places

_BLOCK = 2_000_000  # counts at a time, 16 MB


@dataclass(frozen=True)
class PooledCounts:
    """Everything that such a metric needs, for one model. K is the number of counts.

    Attributes:
        counts: what each example adds, its repeats summed, ``(n, K)``; ``perfect``: what it would add if all of its
            answers were right, and ``lost``: if all were altogether wrong.
        scores: how right the answers of each example are, in [0, 1], shape ``(n,)``.
        statistic: the metric as a function of summed counts, ``(m, K) -> (m,)``.
        of_parts: it is a mean over parts such as fields, of which some may be rare and weigh as much as all others.
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
    """Return the two, which must be of this kind. Raises :class:`ValueError` where they are of two kinds of metrics."""
    if isinstance(first, PooledCounts) and isinstance(second, PooledCounts):
        return first, second
    raise ValueError("two models are compared by one metric, but their counts are of two kinds")


def value(pooled: PooledCounts) -> float:
    """Return the metric of all answers."""
    return float(pooled.statistic(pooled.counts.sum(axis=0)[None])[0])


def values_without_unit(pooled: PooledCounts, units: Codes) -> Floats:
    """Return the metric without one unit, for each unit, shape ``(units,)``; ``units`` is the unit of each example."""
    return _changed(pooled, -_summed(pooled.counts, units))


def values_without_one(pooled: PooledCounts) -> Floats:
    """Return the metric without one example, for each example, shape ``(n,)``."""
    return _changed(pooled, -pooled.counts)


def weights(pooled: PooledCounts, units: Codes | None) -> Floats:
    """Return how far the metric falls from each unit altogether right to the same altogether wrong."""
    own, right, lost = (_summed(counts, units) for counts in (pooled.counts, pooled.perfect, pooled.lost))
    return _changed(pooled, right - own) - _changed(pooled, lost - own)


def with_right_answers(pooled: PooledCounts, fixed: Places) -> PooledCounts:
    """Return the same with all answers to the examples ``fixed`` made right."""
    counts, scores = pooled.counts.copy(), pooled.scores.copy()
    counts[fixed], scores[fixed] = pooled.perfect[fixed], 1.0
    return replace(pooled, counts=counts, scores=scores)


def _summed(counts: Floats, units: Codes | None) -> Floats:
    """Return the counts of each unit; of each example where there are no units."""
    if units is None:
        return counts
    sums = np.zeros((int(units.max()) + 1, counts.shape[1]))
    np.add.at(sums, units, counts)
    return sums


def _changed(pooled: PooledCounts, changes: Floats) -> Floats:
    """Return the metric with each row of ``changes`` added to the sums, in blocks that fit into memory."""
    total, block = pooled.counts.sum(axis=0), max(1, _BLOCK // pooled.counts.shape[1])
    found = [pooled.statistic(total + changes[start : start + block]) for start in range(0, len(changes), block)]
    return np.concatenate(found)
