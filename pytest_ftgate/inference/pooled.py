"""Metrics that are a formula of counts summed over examples, as micro-F1 or BLEU: with examples left out or lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK = 2_000_000  # counts at a time, 16 MB


@dataclass(frozen=True)
class PooledCounts:
    """Everything that such a metric needs, for one model. K is the number of counts.

    Attributes:
        counts: what each example adds, its repeats summed, shape ``(n, K)``.
        perfect: what each would add if all of its answers were right, shape ``(n, K)``.
        lost: what each would add if all of its answers were altogether wrong, shape ``(n, K)``.
        scores: how right the answers of each example are, in [0, 1], shape ``(n,)``.
        statistic: the metric as a function of summed counts, ``(m, K) -> (m,)``.
    """

    counts: NDArray[np.float64]
    perfect: NDArray[np.float64]
    lost: NDArray[np.float64]
    scores: NDArray[np.float64]
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.counts)


def both(first: object, second: object) -> tuple[PooledCounts, PooledCounts]:
    """The two, which must be of this kind. Raises :class:`ValueError` where they are of two kinds of metrics."""
    if isinstance(first, PooledCounts) and isinstance(second, PooledCounts):
        return first, second
    raise ValueError("two models are compared by one metric, but their counts are of two kinds")


def value(pooled: PooledCounts) -> float:
    """The metric of all answers."""
    return float(pooled.statistic(pooled.counts.sum(axis=0)[None])[0])


def values_without_unit(pooled: PooledCounts, units: NDArray[np.int64]) -> NDArray[np.float64]:
    """The metric without one unit, for each unit, shape ``(units,)``; ``units`` is the unit of each example."""
    import numpy as np

    sums = np.zeros((int(units.max()) + 1, pooled.counts.shape[1]))
    np.add.at(sums, units, pooled.counts)
    return _changed(pooled, -sums)


def values_without_one(pooled: PooledCounts) -> NDArray[np.float64]:
    """The metric without one example, for each example, shape ``(n,)``."""
    return _changed(pooled, -pooled.counts)


def lost_example(baseline: PooledCounts, candidate: PooledCounts) -> float:
    """What one more example would weigh that the baseline has right and the candidate loses: its pseudo-value.

    The mean over the examples of the test set, each taken once more.
    """
    n, gain = len(baseline.counts), value(candidate) - value(baseline)
    gains = _changed(candidate, candidate.lost) - _changed(baseline, baseline.perfect)
    return (n + 1) * float(gains.mean()) - n * gain


def heaviest_lost_example(baseline: PooledCounts, candidate: PooledCounts) -> float:
    """What the example weighs that lowers the gain most when the candidate loses it, in the set as it is."""
    gain, before = value(candidate) - value(baseline), value(candidate)
    lowest = float(_changed(candidate, candidate.lost - candidate.counts).min()) - before
    return gain + len(candidate.counts) * lowest if lowest < 0 else lost_example(baseline, candidate)


def mended(pooled: PooledCounts, fixed: NDArray[np.intp]) -> PooledCounts:
    """The same with all answers to the examples ``fixed`` made right."""
    counts, scores = pooled.counts.copy(), pooled.scores.copy()
    counts[fixed], scores[fixed] = pooled.perfect[fixed], 1.0
    return replace(pooled, counts=counts, scores=scores)


def _changed(pooled: PooledCounts, changes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The metric with each row of ``changes`` added to the sums, in blocks that fit into memory."""
    import numpy as np

    total, block = pooled.counts.sum(axis=0), max(1, _BLOCK // pooled.counts.shape[1])
    found = [pooled.statistic(total + changes[start : start + block]) for start in range(0, len(changes), block)]
    return np.concatenate(found)
