"""The bias-corrected and accelerated bootstrap: a second opinion on metrics of the whole set, never the verdict."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

from pytest_ftgate.statistics.evidence import level
from pytest_ftgate.statistics.set_level import confusions_by_unit, kinds, set_value, values_without_one

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_ftgate.statistics.comparison import LabelCounts

RESAMPLES = 10_000
_BLOCK = 4_000_000  # entries of stacked matrices at a time, 32 MB


def bca_set(
    baseline: LabelCounts,
    candidate: LabelCounts,
    *,
    confidence: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float] | None:
    """One-sided lower and upper bound of candidate minus baseline; None where every resample gives the same value.

    A resample of the examples is a multinomial draw of how often each kind of example occurs.

    Args:
        baseline: the model to beat.
        candidate: on the same examples.
        confidence: of each bound on its own.
        resamples: how many.
        seed: the same seed gives the same bounds.
    """
    import numpy as np

    first, kind = kinds(baseline, candidate)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(kind), np.bincount(kind) / len(kind), size=resamples).astype(np.float64)
    resampled = _resampled(candidate, draws, first) - _resampled(baseline, draws, first)
    return bca_interval(
        set_value(candidate) - set_value(baseline),
        resampled,
        values_without_one(candidate) - values_without_one(baseline),
        confidence,
    )


def _resampled(counts: LabelCounts, draws: NDArray[np.float64], first: NDArray[np.intp]) -> NDArray[np.float64]:
    """The metric of each resample."""
    from dataclasses import replace

    import numpy as np

    size = counts.n_labels + 1
    one_each = replace(counts, gold=counts.gold[first], predicted=counts.predicted[:, first])
    of_kind = confusions_by_unit(one_each, np.arange(len(first)), len(first)).reshape(len(first), -1)
    block = max(1, _BLOCK // size**2)
    found = [
        counts.statistic((draws[start : start + block] @ of_kind).reshape(-1, size, size))
        for start in range(0, len(draws), block)
    ]
    return np.concatenate(found)


def bca_interval(
    estimate: float, resampled: NDArray[np.float64], left_out: NDArray[np.float64], confidence: float
) -> tuple[float, float] | None:
    """One-sided lower and upper BCa bound from bootstrap values; None where they are all the same.

    Source: B. Efron, Journal of the American Statistical Association 82 (1987) 171-185.

    Args:
        estimate: of the sample.
        resampled: of the resamples.
        left_out: with one example left out, for each.
        confidence: of each bound on its own.
    """
    import numpy as np

    if resampled.min() == resampled.max():
        return None
    normal, alpha, draws = NormalDist(), level(confidence), len(resampled)
    below = float((resampled < estimate).sum() + (resampled == estimate).sum() / 2)
    bias = normal.inv_cdf(min(max(below, 0.5), draws - 0.5) / draws)
    speed = acceleration(left_out)

    def at(share: float) -> float:
        shifted = bias + normal.inv_cdf(share)
        return float(np.quantile(resampled, normal.cdf(bias + shifted / (1 - speed * shifted))))

    return at(alpha), at(1 - alpha)


def acceleration(left_out: NDArray[np.float64]) -> float:
    """How fast the standard error changes with the value: the jackknife's skewness over six, 0 where nothing varies.

    Source: B. Efron & R. J. Tibshirani, An Introduction to the Bootstrap (1993), equation 14.15.
    """
    deviations = left_out.mean() - left_out
    squares = float((deviations**2).sum())
    return float((deviations**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
