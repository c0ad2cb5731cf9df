"""Metrics of the whole set that are a function of counts summed over the examples, such as corpus BLEU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PooledCounts:
    """Everything such a metric needs, for one model.

    Attributes:
        counts: what each answer adds to the sums, shape ``(repeats, n, k)``.
        best: what the right answer to each example would add, shape ``(n, k)``.
        worst: what no answer to it adds, shape ``(n, k)``.
        grades: how right each example is, repeats averaged, in [0, 1], shape ``(n,)``; for wins and losses alone.
        value: the metric as a function of stacked sums, ``(m, k) -> (m,)``. Repeats are pooled.
    """

    counts: NDArray[np.float64]
    best: NDArray[np.float64]
    worst: NDArray[np.float64]
    grades: NDArray[np.float64]
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.best)

    @property
    def total(self) -> NDArray[np.float64]:
        """The sums over all answers, shape ``(k,)``."""
        sums: NDArray[np.float64] = self.counts.sum(axis=(0, 1))
        return sums


def both(first: object, second: object) -> tuple[PooledCounts, PooledCounts]:
    """The two, which must be of this kind."""
    if not (isinstance(first, PooledCounts) and isinstance(second, PooledCounts)):
        raise ValueError("two models are compared by one metric, but their counts are of two kinds")
    return first, second


def value_of_all(pooled: PooledCounts) -> float:
    """The metric of all answers."""
    return float(pooled.value(pooled.total[None])[0])


def without_unit(pooled: PooledCounts, units: NDArray[np.int64]) -> NDArray[np.float64]:
    """The metric without one unit, for each; ``units`` holds the unit of each example as a code 0..U-1."""
    import numpy as np

    sums = np.zeros((int(units.max()) + 1, pooled.counts.shape[2]))
    np.add.at(sums, units, pooled.counts.sum(axis=0))
    return pooled.value(pooled.total - sums)


def lost_example(baseline: PooledCounts, candidate: PooledCounts) -> float:
    """What one more example would weigh that the baseline has right and the candidate does not answer: its
    pseudo-value in candidate minus baseline, on average over the examples there are.
    """
    n, repeats = len(candidate), len(candidate.counts)
    gains = candidate.value(candidate.total + repeats * candidate.worst) - baseline.value(
        baseline.total + repeats * baseline.best
    )
    return (n + 1) * float(gains.mean()) - n * (value_of_all(candidate) - value_of_all(baseline))


def heaviest_lost_example(baseline: PooledCounts, candidate: PooledCounts) -> float:
    """What the example weighs that lowers the gain most when the candidate does not answer it."""
    value = value_of_all(candidate)
    without = candidate.total - candidate.counts.sum(axis=0)
    lowest = float(candidate.value(without + len(candidate.counts) * candidate.worst).min()) - value
    gain = value - value_of_all(baseline)
    return gain + len(candidate) * lowest if lowest < 0 else lost_example(baseline, candidate)


def mended(pooled: PooledCounts, fixed: NDArray[np.intp]) -> PooledCounts:
    """With these examples answered rightly."""
    counts, grades = pooled.counts.copy(), pooled.grades.copy()
    counts[:, fixed] = pooled.best[fixed]
    grades[fixed] = 1.0
    return replace(pooled, counts=counts, grades=grades)
