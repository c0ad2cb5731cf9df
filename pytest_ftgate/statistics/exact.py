"""Test a gain in right answers exactly and unconditionally, for any margin."""

import math
from functools import lru_cache, partial
from statistics import NormalDist
from typing import Any

import numpy as np

from pytest_ftgate.statistics import evidence
from pytest_ftgate.statistics.arrays import Codes, Floats

METHOD = "exact unconditional score test (Hsueh, Liu & Chen 2001; Berger & Boos 1994)"
GAMMA = 1e-4
_GRID = 101
_FINE_GRID = 21
_WINDOW_SD = 7.0
_DEVIATIONS = 8.0
_TABLE = 256
_TINY = 1e-300  # in place of a probability of 0 in a logarithm
_STEPS = 100  # of Newton's method
_EXACT = 1e-12


@lru_cache(maxsize=1_000)
def exact_p_value(wins: int, losses: int, n: int, margin: float, *, gamma: float = GAMMA) -> float:
    """Return the one-sided p-value of "the true gain is at most ``margin``".

    Outcomes are ordered by Tango's score with half counts. The rate at which the models disagree is
    unknown: the p-value is the largest one over the Clopper-Pearson interval of that rate at
    confidence ``1 - gamma``, plus ``gamma``. The worst case has a gain of exactly the margin. By
    theorem the rate of false passes is at most the level. ``gamma`` is the part of the level that
    is spent on the rate of disagreement.

    Sources: H.-M. Hsueh, J.-P. Liu & J. J. Chen, Biometrics 57 (2001) 478-483; R. L. Berger & D. D.
    Boos, JASA 89 (1994) 1012-1016.
    """
    if abs(margin) >= 1:  # every gain is in [-1, 1]
        if margin > 0:
            return 1.0
        return 0.0

    least = abs(margin)  # with less disagreement the gain cannot be the margin
    low, high = (max(least, rate) for rate in disagreement_interval(wins + losses, n, gamma))
    score = float(half_count_score(wins, losses, n, margin))
    losing = losses_that_matter(n, (low - margin) / 2, (high - margin) / 2)
    needed = wins_to_reach(score, losing, n, margin)

    def tails(roots: Floats) -> Floats:
        rates = np.minimum(least + roots**2, 1.0)
        return chance_of_enough_wins(rates, margin, n, losing, needed)

    # Even steps of the square root: the rarer counts then change by equal fractions of their
    # standard deviation.
    roots = np.linspace(math.sqrt(low - least), math.sqrt(high - least), _GRID)
    coarse = tails(roots)
    top = int(coarse.argmax())
    first = roots[max(top - 1, 0)]
    last = roots[min(top + 1, _GRID - 1)]
    fine = tails(np.linspace(first, last, _FINE_GRID))
    return min(1.0, gamma + max(float(coarse[top]), float(fine.max())))


def spent_on_rate(alpha: float) -> float:
    """Return the ``gamma`` of a level: 0.0001, but at most a hundredth of the level."""
    return min(GAMMA, alpha / 100)


def exact_p(wins: int, losses: int, n: int, *, margin: float, confidence: float) -> float:
    """Return the exact one-sided p-value of "the true gain is at most ``margin``".

    See :func:`exact_p_value`; the one-sided confidence only sets the part of the level that is
    spent on the rate of disagreement.
    """
    return exact_p_value(wins, losses, n, margin, gamma=spent_on_rate(evidence.level(confidence)))


# A gate is often judged twice: as answered, and with malformed answers tied.
@lru_cache(maxsize=200)
def exact_lower(wins: int, losses: int, n: int, alpha: float) -> float:
    """Return the lower bound of the true gain, a share, by inverting the exact test.

    It is exact to 0.002 standard errors. The search begins at the bound of the half-count score,
    found in the same way.
    """
    normal = NormalDist()
    gamma = spent_on_rate(alpha)
    gain = (wins - losses) / n
    error = math.sqrt(max((wins + losses + 1) / n - gain * gain, 1 / n) / n)
    search = partial(evidence.bound, alpha=alpha, step=error / 10, lowest=-1.0, highest=1.0)

    def p_by_score(margin: float) -> float:
        return normal.cdf(-float(half_count_score(wins, losses, n, margin)))

    def p_exactly(margin: float) -> float:
        return exact_p_value(wins, losses, n, margin, gamma=gamma)

    guess = search(p_by_score, guess=gain - normal.inv_cdf(1 - alpha) * error)
    return search(p_exactly, guess=guess)


def disagreement_interval(disagreements: int, n: int, gamma: float) -> tuple[float, float]:
    """Return the two-sided interval of a rate of disagreement at confidence ``1 - gamma``.

    Source: C. J. Clopper & E. S. Pearson, Biometrika 26 (1934) 404-413.
    """
    agreements = n - disagreements
    low = 0.0
    high = 1.0
    if disagreements > 0:
        low = rate_of_at_least(disagreements, n, gamma / 2)
    if agreements > 0:
        high = 1 - rate_of_at_least(agreements, n, gamma / 2)
    return low, high


def share_p_value(count: int, n: int, share: float) -> float:
    """Return the exact one-sided p-value of "the true share is at most ``share``".

    ``count`` of ``n`` were counted. With a share of 0.5 this is the sign test (Dixon & Mood, JASA
    41 (1946) 557-566). With 0.95, and the values within a limit counted, it rejects that the 95 %
    quantile is above the limit as its order statistic does (W. J. Conover, Practical Nonparametric
    Statistics (1999), section 3.2).
    """
    return float(chance_of_at_least(count, n, np.array([share]), np.array([1 - share]))[0])


def losses_that_matter(n: int, lowest_rate: float, highest_rate: float) -> Codes:
    """Return the numbers of losses with a notable probability.

    All others count as passing, to be on the safe side.
    """
    first = max(0, math.floor(n * lowest_rate - reach(n, lowest_rate, _WINDOW_SD)))
    last = min(n, math.ceil(n * highest_rate + reach(n, highest_rate, _WINDOW_SD)))
    return np.arange(first, last + 1)


def chance_of_enough_wins(
    rates: Floats, margin: float, n: int, losses: Codes, needed: Codes
) -> Floats:
    """Return the probability of at least ``needed`` wins, if the gain is the margin.

    Losses are Binomial(n, p_l); given the losses, wins are Binomial(n - losses, p_w / (1 - p_l)).

    Args:
        rates: the disagreement rates, ``(m,)``, for each of which there is a probability.
        margin: the gain.
        n: the number of examples.
        losses: numbers of losses, ``(k,)``.
        needed: the wins needed for each number of losses, ``(k,)``.
    """
    losing = (rates - margin) / 2
    winning = (rates + margin) / 2
    chances = chance_of(losses, np.full_like(losses, n), losing, 1 - losing)
    not_lost = np.minimum(winning / (1 - losing), 1.0)
    enough = _enough_wins(n - losses, needed, not_lost, (1 - rates) / (1 - losing))
    unlikely = np.maximum(1 - chances.sum(axis=1), 0)
    passing: Floats = (chances * enough).sum(axis=1) + unlikely
    return passing


def _enough_wins(trials: Codes, needed: Codes, winning: Floats, losing: Floats) -> Floats:
    """Return P(Binomial(trials, winning) >= needed), shape ``(m, k)``.

    The rates ``winning`` and ``losing = 1 - winning`` have the shape ``(m,)``, the trials ``(k,)``.
    The first column is computed directly. Each further one has one trial less and follows from the
    one before: ``P(Bin(N - 1) >= k) = P(Bin(N) >= k) - winning * P(Bin(N - 1) = k - 1)``; a larger
    ``k`` has a few terms less.
    """
    first = chance_of_at_least(int(needed[0]), int(trials[0]), winning, losing)
    fewer = trials[1:]
    needed_before = needed[:-1]

    # the fall of each further column below the one before: by one trial less
    falls = winning[:, None] * chance_of(needed_before - 1, fewer, winning, losing)
    # and by each number of wins that is no longer enough
    for step in range(int(np.diff(needed).max(initial=0))):
        wins = needed_before + step
        falls += np.where(wins < needed[1:], chance_of(wins, fewer, winning, losing), 0.0)

    changes = np.concatenate([first[:, None], -falls], axis=1)
    columns: Floats = np.cumsum(changes, axis=1)
    return np.clip(columns, 0.0, 1.0)


def tango_score(wins: Any, losses: Any, n: float, margin: float) -> Any:
    """Return the score of "the gain is ``margin``", standard normal if that is true.

    It is larger for larger gains. ``wins`` and ``losses`` are numbers, or arrays of the same shape.

    Source: T. Tango, Statistics in Medicine 17 (1998) 891-908.
    """
    return (wins - losses - n * margin) / np.sqrt(n * null_variance(wins / n, losses / n, margin))


def null_variance(win_rate: Any, loss_rate: Any, margin: float) -> Any:
    """Return the variance of one pair's difference, at the likeliest rates with this gain."""
    b = (2 - win_rate + loss_rate) * margin - win_rate - loss_rate
    root = np.sqrt(np.maximum(b * b + 8 * loss_rate * margin * (1 - margin), 0))
    # twice the restricted loss rate, plus the term of the margin
    return (root - b) / 2 + margin * (1 - margin)


def half_count_score(wins: Any, losses: Any, n: int, margin: float) -> Any:
    """Return Tango's score with half a win and half a loss added.

    It is defined without disagreements, and only orders the outcomes of the exact test. Adding
    halves is our own choice, not a published method.
    """
    return tango_score(wins + 0.5, losses + 0.5, n + 1, margin)


def wins_to_reach(score: float, losses: Codes, n: int, margin: float) -> Codes:
    """Return the fewest wins whose half-count score is at least ``score``, shape ``(k,)``.

    There is one for each number of losses, ``(k,)``. The score grows with each win, so bisection
    finds them. The result is ``n - losses + 1`` if no number is enough.
    """
    # equal scores of other counts are included, whatever their last bits are
    slack = 1e-9 * max(1.0, abs(score))
    least = score - slack
    low = np.zeros_like(losses)
    high = n - losses + 1
    for _ in range(math.ceil(math.log2(n + 2))):
        middle = (low + high) // 2
        wins = np.minimum(middle, n - losses)
        enough = half_count_score(wins, losses, n, margin) >= least
        low = np.where(enough, low, np.minimum(middle + 1, high))
        high = np.where(enough, middle, high)
    return high


def chance_of(counts: Codes, trials: Codes, rates: Floats, complements: Floats) -> Floats:
    """Return P(Binomial(trials, rate) = count), shape ``(m, k)``.

    Counts and trials have the shape ``(k,)``, rates ``(m,)``; ``complements`` is ``1 - rates``,
    computed by the caller without rounding errors. A count outside 0..trials has the probability 0.
    """
    is_possible = (counts >= 0) & (counts <= trials)
    k = np.where(is_possible, counts, 0)
    log_ways = _log_factorial(trials) - _log_factorial(k) - _log_factorial(trials - k)
    log_rates = np.log(np.maximum(rates, _TINY))[:, None]
    log_complements = np.log(np.maximum(complements, _TINY))[:, None]
    chances = np.exp(log_ways + k * log_rates + (trials - k) * log_complements)
    return np.where(is_possible, chances, 0.0)


def chance_of_at_least(count: int, trials: int, rates: Floats, complements: Floats) -> Floats:
    """Return P(Binomial(trials, rate) >= count), shape ``(m,)``.

    ``complements`` is ``1 - rates``. The sum runs over the rarer side, counts from ``count`` or
    counts below it, up to eight standard deviations away. This keeps the precision of probabilities
    near 0 and near 1.
    """
    if count <= 0:
        return np.ones_like(rates)
    if count > trials:
        return np.zeros_like(rates)

    distance = reach(trials, count / trials, _DEVIATIONS)
    first = max(0, math.floor(count - distance))
    last = min(trials, math.ceil(count + distance))
    counts = np.arange(first, last + 1)
    chances = chance_of(counts, np.full_like(counts, trials), rates, complements)

    below = chances[:, : count - first].sum(axis=1)
    above = chances[:, count - first :].sum(axis=1)
    reached: Floats = np.where(trials * rates > count, 1 - below, above)
    return reached


@lru_cache(maxsize=1_000)
def rate_of_at_least(count: int, trials: int, chance: float) -> float:
    """Return the rate at which P(Binomial(trials, rate) >= count) equals ``chance``.

    The method is Newton's on the logarithm, kept inside a bracket. ``count`` is from 1 to
    ``trials``.
    """
    low = 0.0
    high = 1.0
    rate = count / (trials + 1)
    for _ in range(_STEPS):
        rates = np.array([rate])
        complements = np.array([1 - rate])
        tail = float(chance_of_at_least(count, trials, rates, complements)[0])
        last = chance_of(np.array([count - 1]), np.array([trials - 1]), rates, complements)
        slope = trials * float(last[0, 0])
        if tail < chance:
            low = rate
        else:
            high = rate

        middle = (low + high) / 2
        guess = rate + tail * math.log(chance / tail) / slope if tail and slope else middle
        if not low <= guess <= high:
            guess = middle
        step = abs(guess - rate)
        rate = guess
        if step <= _EXACT * rate:
            break
    return rate


def reach(trials: int, rate: float, deviations: float) -> float:
    """Return the distance from the expected count beyond which probabilities are negligible."""
    return deviations * math.sqrt(trials * rate * (1 - rate)) + 2 * deviations


def _log_factorial(n: Codes) -> Floats:
    """Return the logarithms of factorials, from a table whose size is a power of two."""
    size = 1 << int(n.max(initial=0)).bit_length()
    return _log_factorials(max(_TABLE, size))[n]


@lru_cache(maxsize=4)
def _log_factorials(size: int) -> Floats:
    """Return the logarithms of the factorials below ``size``: from 256 on by Stirling's series."""
    large = np.arange(_TABLE, size, dtype=np.float64)
    correction = (1 / 12 - (1 / 360 - 1 / 1260 / large**2) / large**2) / large
    series: Floats = large * np.log(large) - large + np.log(2 * math.pi * large) / 2 + correction
    exact = [math.lgamma(n + 1) for n in range(_TABLE)]
    return np.concatenate([exact, series])
