"""The lower bound of a share, such as of the examples to which two models give the same answer.

Source: C. J. Clopper & E. S. Pearson, The use of confidence or fiducial limits illustrated in the
case of the binomial, Biometrika 26 (1934) 404-413. The bound holds for every sample size and every
share.
"""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from pytest_ftgate.statistics import evidence, planning
from pytest_ftgate.statistics.arrays import Floats
from pytest_ftgate.statistics.compare import compare_right_wrong
from pytest_ftgate.statistics.groups import group_codes

METHOD = "exact binomial bound (Clopper & Pearson 1934)"


@dataclass(frozen=True)
class Share:
    """Hold a measured share and its one-sided lower bound, both in [0, 1].

    Attributes:
        needed: the examples with which the bound reaches the required share with 80 % power if the
            true share is the measured one; None if no number would do.
        note: what the bound rests on, such as the number of groups; None for single examples.
    """

    share: float
    lower_bound: float | None
    n: int
    needed: int | None
    method: str
    note: str | None = None


def measure_share(
    values: Floats,
    required: float,
    confidence: float,
    groups: Iterable[Hashable] | None = None,
) -> Share:
    """Return the mean of values in [0, 1], shape ``(examples,)``, with its lower bound.

    Values that are all 0 or 1 get the exact binomial bound. Shares of repeats, and examples in
    groups, are a drop from 1: see :func:`~pytest_ftgate.statistics.compare.compare_right_wrong`.
    """
    n = len(values)
    share = math.fsum(values) / n
    is_counted = bool(np.isin(values, (0.0, 1.0)).all())

    if is_counted and group_codes(groups, n) is None:
        successes = int(values.sum())
        bound = exact_lower_bound(successes, n, confidence)
        needed = examples_needed(share, required, confidence)
        return Share(share, lower_bound=bound, n=n, needed=needed, method=METHOD)

    compared = compare_right_wrong(
        np.ones(n),
        values,
        groups=groups,
        margin=required - 1,
        confidence=confidence,
        evidence="proven",
    )
    return Share(
        share,
        lower_bound=None if compared.lower_bound is None else 1 + compared.lower_bound,
        n=n,
        needed=compared.examples_needed,
        method=compared.method or "none",
        note=compared.note,
    )


def exact_lower_bound(successes: int, n: int, confidence: float) -> float:
    """Return the one-sided lower bound of a share, of ``n`` independent examples."""
    from scipy.special import betaincinv

    if successes == 0:
        return 0.0
    alpha = evidence.level(confidence)
    return float(betaincinv(successes, n - successes + 1, alpha))


def examples_needed(share: float, required: float, confidence: float) -> int | None:
    """Return how many examples prove a required share with 80 % power.

    None if the true share is not above the required one.
    """
    if share <= required:
        return None
    if required <= 0:
        return 1

    def is_powerful(n: int) -> bool:
        return _power(n, share, required, confidence) >= planning.POWER

    # With fewer examples not even one that all agree reaches the required share.
    fewest = math.log(evidence.level(confidence)) / math.log(required)
    return planning.fewest(is_powerful, planning.MOST_EXAMPLES, first=math.ceil(fewest - 1e-9))


def _power(n: int, share: float, required: float, confidence: float) -> float:
    """Return the probability that ``n`` examples prove the required share, with this true share."""
    from scipy.special import bdtr

    def is_proven(successes: int) -> bool:
        return exact_lower_bound(successes, n, confidence) >= required

    successes = planning.fewest(is_proven, n)
    if successes is None:
        return 0.0
    return 1 - float(bdtr(successes - 1, n, share))
