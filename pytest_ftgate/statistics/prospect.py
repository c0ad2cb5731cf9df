"""What a test set could prove of a candidate that is not there yet: the baseline's own answers, some of them mended."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist
from typing import TypeVar

import numpy as np

from pytest_ftgate.statistics import pooled
from pytest_ftgate.statistics.arrays import Floats, Places
from pytest_ftgate.statistics.comparison import SetCounts
from pytest_ftgate.statistics.planning import fewest
from pytest_ftgate.statistics.pooled import PooledCounts
from pytest_ftgate.statistics.set_level import set_value, share_right

_MendedT = TypeVar("_MendedT")
_GOLDEN = (math.sqrt(5) - 1) / 2
_EXTREME = 1e-15
_ROUNDING = 1e-12


def hypothetical_scores(scores: Floats, gain: float, *, best: float) -> Floats | None:
    """Raise as many scores to the best, which is finite, as it takes, so that their mean gains at least ``gain``, above
    0 in the direction of ``best``; None where even the best scores everywhere gain less.
    """

    def mended(fixed: Places) -> Floats:
        changed: Floats = scores.copy()
        changed[fixed] = best
        return changed

    flawed = np.flatnonzero(np.abs(scores - best) > _ROUNDING)
    return _smallest(mended, flawed, lambda changed: abs(float((changed - scores).mean())) >= gain - _ROUNDING)


def hypothetical_set(counts: SetCounts, gain: float) -> SetCounts | None:
    """Make as many answers right as it takes to gain ``gain`` in a metric of all answers together."""
    before = set_value(counts)

    def mended(fixed: Places) -> SetCounts:
        if isinstance(counts, PooledCounts):
            return pooled.with_right_answers(counts, fixed)
        predicted = counts.predicted.copy()
        predicted[:, fixed] = counts.gold[fixed]
        return replace(counts, predicted=predicted)

    flawed = np.flatnonzero(share_right(counts) < 1)
    return _smallest(mended, flawed, lambda changed: set_value(changed) - before >= gain - _ROUNDING)


def _smallest(
    mend: Callable[[Places], _MendedT], flawed: Places, enough: Callable[[_MendedT], bool]
) -> _MendedT | None:
    """Return the result of mending the fewest of ``flawed``, spread evenly over the test set, that is enough."""
    order = flawed[np.argsort((np.arange(1, len(flawed) + 1) * _GOLDEN) % 1.0, kind="stable")]
    if not enough(mend(order)):
        return None
    return mend(order[: fewest(lambda n: enough(mend(order[:n])), 0, len(order))])


def chance_of_proof(p_value: float, confidence: float) -> float:
    """Return how often a gain is proven whose expected outcome, which scatters normally, has this p-value.

    A half where the expected outcome meets the level exactly.
    """
    normal = NormalDist()
    seen = normal.inv_cdf(1 - min(max(p_value, _EXTREME), 1 - _EXTREME))
    return normal.cdf(seen - normal.inv_cdf(confidence))
