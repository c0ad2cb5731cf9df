"""Binomial probabilities in numpy, since importing scipy.special takes longer than judging a gate on recordings."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from pytest_ftgate.statistics.arrays import Codes, Floats

_DEVIATIONS = 8.0
_TABLE = 256
_TINY = 1e-300  # in place of a probability of 0 in a logarithm
_STEPS = 100
_ROUNDING = 1e-12
_LOG_FACTORIALS: Floats = np.array([math.lgamma(n + 1) for n in range(_TABLE)])


def chance_of(counts: Codes, trials: Codes, rates: Floats, others: Floats) -> Floats:
    """Return P(Binomial(trials, rate) = count), shape ``(m, k)``, of counts and trials ``(k,)`` and rates ``(m,)``.

    A count outside 0..trials has the probability 0. ``others`` is ``1 - rates``, computed by the caller without
    rounding errors.
    """
    possible = (counts >= 0) & (counts <= trials)
    k = np.where(possible, counts, 0)
    ways = _log_factorial(trials) - _log_factorial(k) - _log_factorial(trials - k)
    log_rate, log_other = (np.log(np.maximum(part, _TINY))[:, None] for part in (rates, others))
    chance: Floats = np.exp(ways + k * log_rate + (trials - k) * log_other)
    return np.where(possible, chance, 0.0)


def chance_of_at_least(count: int, trials: int, rates: Floats, others: Floats) -> Floats:
    """Return P(Binomial(trials, rate) >= count) for each rate, shape ``(m,)``; ``others`` is ``1 - rates``.

    The sum runs over the rarer side, counts from ``count`` or counts below it, up to eight standard deviations away.
    This keeps the precision of probabilities near 0 and near 1.
    """
    if not 0 < count <= trials:
        return np.full_like(rates, 1.0 if count <= 0 else 0.0)
    near = reach(trials, count / trials, _DEVIATIONS)
    first, last = max(0, math.floor(count - near)), min(trials, math.ceil(count + near))
    counts = np.arange(first, last + 1)
    chances = chance_of(counts, np.full_like(counts, trials), rates, others)
    below, above = (part.sum(axis=1) for part in np.split(chances, [count - first], axis=1))
    reached: Floats = np.where(trials * rates > count, 1 - below, above)
    return reached


@lru_cache(maxsize=1_000)
def rate_of_at_least(count: int, trials: int, chance: float) -> float:
    """Return the rate at which P(Binomial(trials, rate) >= count) equals ``chance``.

    The method is Newton's on the logarithm, kept inside a bracket. ``count`` is from 1 to ``trials``.
    """
    low, high, rate = 0.0, 1.0, count / (trials + 1)
    for _ in range(_STEPS):
        rates, others = np.array([rate]), np.array([1 - rate])
        tail = float(chance_of_at_least(count, trials, rates, others)[0])
        slope = trials * float(chance_of(np.array([count - 1]), np.array([trials - 1]), rates, others)[0, 0])
        low, high = (rate, high) if tail < chance else (low, rate)
        after = rate + tail * math.log(chance / tail) / slope if tail and slope else -1
        if not low <= after <= high:
            after = (low + high) / 2
        before, rate = rate, after
        if abs(rate - before) <= _ROUNDING * rate:
            break
    return rate


def reach(trials: int, rate: float, deviations: float) -> float:
    """Return the distance from the expected count, in counts, beyond which probabilities are negligible."""
    return deviations * math.sqrt(trials * rate * (1 - rate)) + 2 * deviations


def _log_factorial(n: Codes) -> Floats:
    """Return the logarithms of factorials, from a table or, for large numbers, Stirling's series."""
    small = _LOG_FACTORIALS[np.minimum(n, _TABLE - 1)]
    if n.max(initial=0) < _TABLE:
        return small
    large = np.maximum(n, _TABLE).astype(np.float64)
    rest = (1 / 12 - (1 / 360 - 1 / 1260 / large**2) / large**2) / large
    series: Floats = large * np.log(large) - large + np.log(2 * math.pi * large) / 2 + rest
    return np.where(n < _TABLE, small, series)
