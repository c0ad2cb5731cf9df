"""Test a gain in right answers exactly and unconditionally, for any margin."""

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from pytest_ftgate.statistics import arrays, evidence

METHOD = "exact unconditional score test (Hsueh, Liu & Chen 2001; Berger & Boos 1994)"
GAMMA = 1e-4
_GRID, _FINE_GRID = 101, 21
_WINDOW_SD, _DEVIATIONS = 7.0, 8.0
_TABLE = 256
_TINY = 1e-300  # in place of a probability of 0 in a logarithm
_STEPS = 100  # of Newton's method
_EXACT = 1e-12


@lru_cache(maxsize=1_000)
def exact_p_value(wins: int, losses: int, n: int, margin: float, *, gamma: float = GAMMA) -> float:
    """Return the one-sided p-value of "the real gain is at most ``margin``".

    Outcomes are ordered by Tango's score with half counts. The rate at which the models disagree is
    unknown: the p-value is the largest one over the Clopper-Pearson interval of that rate at
    confidence ``1 - gamma``, plus ``gamma``. The worst case has a gain of exactly the margin. By
    theorem the rate of false passes is at most the level. ``gamma`` is the part of the level that
    is spent on the rate of disagreement.

    Sources: H.-M. Hsueh, J.-P. Liu & J. J. Chen, Biometrics 57 (2001) 478-483; R. L. Berger & D. D.
    Boos, JASA 89 (1994) 1012-1016.
    """
    if abs(margin) >= 1:  # every gain is in [-1, 1]
        return 1.0 if margin > 0 else 0.0
    least = abs(margin)  # with less disagreement the gain cannot be the margin
    low, high = (max(least, rate) for rate in disagreement_interval(wins + losses, n, gamma))
    losing = losses_that_matter(n, (low - margin) / 2, (high - margin) / 2)
    needed = wins_to_reach(float(half_count_score(wins, losses, n, margin)), losing, n, margin)

    def worst(roots: arrays.Floats) -> tuple[int, float]:
        tails = chance_of_enough_wins(np.minimum(least + roots**2, 1.0), margin, n, losing, needed)
        top = int(tails.argmax())
        return top, float(tails[top])

    # Even steps of the square root: the rarer counts then change by equal fractions of their
    # standard deviation.
    roots = np.linspace(math.sqrt(low - least), math.sqrt(high - least), _GRID)
    top, coarse = worst(roots)
    _, fine = worst(np.linspace(roots[max(top - 1, 0)], roots[min(top + 1, _GRID - 1)], _FINE_GRID))
    return min(1.0, gamma + max(coarse, fine))


def spent_on_rate(alpha: float) -> float:
    """Return the ``gamma`` of a level: 0.0001, but at most a hundredth of the level."""
    return min(GAMMA, alpha / 100)


def exact_p(wins: int, losses: int, n: int, *, margin: float, confidence: float) -> float:
    """Return the exact one-sided p-value of "the real gain is at most ``margin``" at a one-sided confidence.

    See :func:`exact_p_value`; the confidence only sets the part of the level that is spent on the
    rate of disagreement.
    """
    return exact_p_value(wins, losses, n, margin, gamma=spent_on_rate(evidence.level(confidence)))


@lru_cache(maxsize=200)  # a gate is often judged twice: as written, and as read leniently
def exact_lower(wins: int, losses: int, n: int, alpha: float) -> float:
    """Return the lower bound of the real gain, a share, by inverting the exact test to 0.002 standard errors.

    The search begins at the bound of the half-count score, found in the same way.
    """
    gain, normal, gamma = (wins - losses) / n, NormalDist(), spent_on_rate(alpha)
    error = math.sqrt(max((wins + losses + 1) / n - gain * gain, 1 / n) / n)
    ends: dict[str, Any] = {"alpha": alpha, "lowest": -1.0, "highest": 1.0, "step": error / 10}

    def by_score(margin: float) -> float:
        return normal.cdf(-float(half_count_score(wins, losses, n, margin)))

    guess = evidence.bound(by_score, guess=gain - normal.inv_cdf(1 - alpha) * error, **ends)
    return evidence.bound(
        lambda margin: exact_p_value(wins, losses, n, margin, gamma=gamma), guess=guess, **ends
    )


def disagreement_interval(disagreements: int, n: int, gamma: float) -> tuple[float, float]:
    """Return the two-sided interval of a rate, such as that of disagreement, at confidence ``1 - gamma``.

    Source: C. J. Clopper & E. S. Pearson, Biometrika 26 (1934) 404-413.
    """
    low = 0.0 if disagreements == 0 else rate_of_at_least(disagreements, n, gamma / 2)
    high = 1.0 if disagreements == n else 1 - rate_of_at_least(n - disagreements, n, gamma / 2)
    return low, high


def share_p_value(count: int, n: int, share: float) -> float:
    """Return the exact one-sided p-value of "the real share is at most ``share``" where ``count`` of ``n`` were seen.

    With a share of 0.5 this is the sign test (Dixon & Mood, JASA 41 (1946) 557-566). With 0.95, and
    the values within a limit counted, it rejects that the 95 % quantile is above the limit as its
    order statistic does (W. J. Conover, Practical Nonparametric Statistics (1999), section 3.2).
    """
    return float(chance_of_at_least(count, n, np.array([share]), np.array([1 - share]))[0])


def losses_that_matter(n: int, lowest_rate: float, highest_rate: float) -> arrays.Codes:
    """Return the numbers of losses with a notable probability; all others count as passing, to be on the safe side."""
    first = max(0, math.floor(n * lowest_rate - reach(n, lowest_rate, _WINDOW_SD)))
    last = min(n, math.ceil(n * highest_rate + reach(n, highest_rate, _WINDOW_SD)))
    return np.arange(first, last + 1)


def chance_of_enough_wins(
    rates: arrays.Floats, margin: float, n: int, losses: arrays.Codes, needed: arrays.Codes
) -> arrays.Floats:
    """Return the probability of at least ``needed`` wins at each disagreement rate ``(m,)``, if the gain is the margin.

    Losses are Binomial(n, p_l); given the losses, wins are Binomial(n - losses, p_w / (1 - p_l)).
    ``losses`` and ``needed`` have the shape ``(k,)``.
    """
    losing, winning = (rates - margin) / 2, (rates + margin) / 2
    chance = chance_of(losses, np.full_like(losses, n), losing, 1 - losing)
    given = np.minimum(winning / (1 - losing), 1.0)
    enough = _enough_wins(n - losses, needed, given, (1 - rates) / (1 - losing))
    passing: arrays.Floats = (chance * enough).sum(axis=1) + np.maximum(1 - chance.sum(axis=1), 0)
    return passing


def _enough_wins(
    trials: arrays.Codes, needed: arrays.Codes, winning: arrays.Floats, other: arrays.Floats
) -> arrays.Floats:
    """Return P(Binomial(trials, winning) >= needed), shape ``(m, k)`` for rates ``(m,)`` and trials ``(k,)``.

    The first column is computed directly. Each further one has one trial less and follows from the
    one before: ``P(Bin(N - 1) >= k) = P(Bin(N) >= k) - winning * P(Bin(N - 1) = k - 1)``; a larger
    ``k`` has a few terms less.
    """
    start = chance_of_at_least(int(needed[0]), int(trials[0]), winning, other)
    fewer, before, after = trials[1:], needed[:-1], needed[1:]
    lost = winning[:, None] * chance_of(before - 1, fewer, winning, other)
    for step in range(int((after - before).max(initial=0))):
        lost += np.where(
            before + step < after, chance_of(before + step, fewer, winning, other), 0.0
        )
    falling: arrays.Floats = np.cumsum(np.concatenate([start[:, None], -lost], axis=1), axis=1)
    return np.clip(falling, 0.0, 1.0)


def tango_score(wins: Any, losses: Any, n: float, margin: float) -> Any:
    """Return the score of "the gain is ``margin``", standard normal if that is true; larger for larger gains.

    ``wins`` and ``losses`` are numbers, or arrays of the same shape.

    Source: T. Tango, Statistics in Medicine 17 (1998) 891-908.
    """
    return (wins - losses - n * margin) / np.sqrt(n * null_variance(wins / n, losses / n, margin))


def null_variance(win_rate: Any, loss_rate: Any, margin: float) -> Any:
    """Return the variance of the difference of one pair, at the most likely rates with the gain ``margin``."""
    b = (2 - win_rate + loss_rate) * margin - win_rate - loss_rate
    root = np.sqrt(np.maximum(b * b + 8 * loss_rate * margin * (1 - margin), 0))
    # twice the restricted loss rate, plus the term of the margin
    return (root - b) / 2 + margin * (1 - margin)


def half_count_score(wins: Any, losses: Any, n: int, margin: float) -> Any:
    """Return Tango's score with half a win and half a loss added, so that it is defined without disagreements.

    It only orders the outcomes of the exact test. Adding halves is our own choice, not a published
    method.
    """
    return tango_score(wins + 0.5, losses + 0.5, n + 1, margin)


def wins_to_reach(score: float, losses: arrays.Codes, n: int, margin: float) -> arrays.Codes:
    """Return the fewest wins whose half-count score is at least ``score``, for each number of losses, shape ``(k,)``.

    The score grows with each win, so bisection finds them. The result is ``n - losses + 1`` if no
    number is enough.
    """
    # equal scores of other counts are included, whatever their last bits are
    slack = 1e-9 * max(1.0, abs(score))
    low, high = np.zeros_like(losses), n - losses + 1
    for _ in range(math.ceil(math.log2(n + 2))):
        middle = (low + high) // 2
        enough = (
            half_count_score(np.minimum(middle, n - losses), losses, n, margin) >= score - slack
        )
        low, high = (
            np.where(enough, low, np.minimum(middle + 1, high)),
            np.where(enough, middle, high),
        )
    return high


def chance_of(
    counts: arrays.Codes, trials: arrays.Codes, rates: arrays.Floats, others: arrays.Floats
) -> arrays.Floats:
    """Return P(Binomial(trials, rate) = count), shape ``(m, k)``, of counts and trials ``(k,)`` and rates ``(m,)``.

    A count outside 0..trials has the probability 0. ``others`` is ``1 - rates``, computed by the
    caller without rounding errors.
    """
    possible = (counts >= 0) & (counts <= trials)
    k = np.where(possible, counts, 0)
    ways = _log_factorial(trials) - _log_factorial(k) - _log_factorial(trials - k)
    log_rate, log_other = (np.log(np.maximum(part, _TINY))[:, None] for part in (rates, others))
    return np.where(possible, np.exp(ways + k * log_rate + (trials - k) * log_other), 0.0)


def chance_of_at_least(
    count: int, trials: int, rates: arrays.Floats, others: arrays.Floats
) -> arrays.Floats:
    """Return P(Binomial(trials, rate) >= count) for each rate, shape ``(m,)``; ``others`` is ``1 - rates``.

    The sum runs over the rarer side, counts from ``count`` or counts below it, up to eight standard
    deviations away. This keeps the precision of probabilities near 0 and near 1.
    """
    if not 0 < count <= trials:
        return np.full_like(rates, 1.0 if count <= 0 else 0.0)
    near = reach(trials, count / trials, _DEVIATIONS)
    first, last = max(0, math.floor(count - near)), min(trials, math.ceil(count + near))
    counts = np.arange(first, last + 1)
    chances = chance_of(counts, np.full_like(counts, trials), rates, others)
    below, above = (part.sum(axis=1) for part in np.split(chances, [count - first], axis=1))
    reached: arrays.Floats = np.where(trials * rates > count, 1 - below, above)
    return reached


@lru_cache(maxsize=1_000)
def rate_of_at_least(count: int, trials: int, chance: float) -> float:
    """Return the rate at which P(Binomial(trials, rate) >= count) equals ``chance``.

    The method is Newton's on the logarithm, kept inside a bracket. ``count`` is from 1 to
    ``trials``.
    """
    low, high, rate = 0.0, 1.0, count / (trials + 1)
    for _ in range(_STEPS):
        rates, others = np.array([rate]), np.array([1 - rate])
        tail = float(chance_of_at_least(count, trials, rates, others)[0])
        slope = trials * float(
            chance_of(np.array([count - 1]), np.array([trials - 1]), rates, others)[0, 0]
        )
        low, high = (rate, high) if tail < chance else (low, rate)
        after = rate + tail * math.log(chance / tail) / slope if tail and slope else -1
        if not low <= after <= high:
            after = (low + high) / 2
        before, rate = rate, after
        if abs(rate - before) <= _EXACT * rate:
            break
    return rate


def reach(trials: int, rate: float, deviations: float) -> float:
    """Return the distance from the expected count, in counts, beyond which probabilities are negligible."""
    return deviations * math.sqrt(trials * rate * (1 - rate)) + 2 * deviations


def _log_factorial(n: arrays.Codes) -> arrays.Floats:
    """Return the logarithms of factorials, from a table whose size is a power of two."""
    return _log_factorials(max(_TABLE, 1 << int(n.max(initial=0)).bit_length()))[n]


@lru_cache(maxsize=4)
def _log_factorials(size: int) -> arrays.Floats:
    """Return the logarithms of the factorials of all numbers below ``size``: from 256 on by Stirling's series."""
    large = np.arange(_TABLE, size, dtype=np.float64)
    rest = (1 / 12 - (1 / 360 - 1 / 1260 / large**2) / large**2) / large
    series: arrays.Floats = large * np.log(large) - large + np.log(2 * math.pi * large) / 2 + rest
    return np.concatenate([[math.lgamma(n + 1) for n in range(_TABLE)], series])
