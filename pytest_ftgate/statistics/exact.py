"""Test a gain in right answers exactly and unconditionally, for any margin."""

from __future__ import annotations

import math

import numpy as np

from pytest_ftgate.statistics.arrays import Codes, Floats
from pytest_ftgate.statistics.binomial import chance_of, chance_of_at_least, rate_of_at_least, reach
from pytest_ftgate.statistics.evidence import bound
from pytest_ftgate.statistics.score import half_count_lower, half_count_score, wins_to_reach

METHOD = "exact unconditional score test (Hsueh, Liu & Chen 2001; Berger & Boos 1994)"
GAMMA = 1e-4
_GRID = 101
_FINE_GRID = 21
_WINDOW_SD = 7.0


def exact_p_value(wins: int, losses: int, n: int, margin: float, *, gamma: float = GAMMA) -> float:
    """Return the one-sided p-value of "the real gain is at most ``margin``".

    Outcomes are ordered by Tango's score with half counts. The rate at which the models disagree is unknown: the
    p-value is the largest one over the Clopper-Pearson interval of that rate at confidence ``1 - gamma``, plus
    ``gamma``. The worst case has a gain of exactly the margin. By theorem the rate of false passes is at most the
    level.

    Args:
        wins, losses: examples that only the candidate, or only the baseline, answers correctly.
        n: number of examples.
        margin: share of the examples.
        gamma: the part of the level that is spent on the rate of disagreement.

    Sources: H.-M. Hsueh, J.-P. Liu & J. J. Chen, Biometrics 57 (2001) 478-483; R. L. Berger & D. D. Boos, JASA 89
    (1994) 1012-1016.
    """
    if abs(margin) >= 1:  # every gain is in [-1, 1]
        return 1.0 if margin > 0 else 0.0
    least = abs(margin)  # with less disagreement the gain cannot be the margin
    low, high = (max(least, rate) for rate in disagreement_interval(wins + losses, n, gamma))
    losing = losses_that_matter(n, (low - margin) / 2, (high - margin) / 2)
    needed = wins_to_reach(float(half_count_score(wins, losses, n, margin)), losing, n, margin)

    def worst(roots: Floats) -> tuple[int, float]:
        tails = chance_of_enough_wins(np.minimum(least + roots**2, 1.0), margin, n, losing, needed)
        top = int(tails.argmax())
        return top, float(tails[top])

    # Even steps of the square root: the rarer counts then change by equal fractions of their standard deviation.
    roots = np.linspace(math.sqrt(low - least), math.sqrt(high - least), _GRID)
    top, coarse = worst(roots)
    _, fine = worst(np.linspace(roots[max(top - 1, 0)], roots[min(top + 1, _GRID - 1)], _FINE_GRID))
    return min(1.0, gamma + max(coarse, fine))


def spent_on_rate(alpha: float) -> float:
    """Return the ``gamma`` of a level: 0.0001, but at most a hundredth of the level."""
    return min(GAMMA, alpha / 100)


def exact_lower(wins: int, losses: int, n: int, alpha: float, *, gamma: float = GAMMA) -> float:
    """Return the lower bound of the real gain, a share, by inverting the exact test to 0.002 standard errors."""
    gain = (wins - losses) / n
    error = math.sqrt(max((wins + losses + 1) / n - gain * gain, 1 / n) / n)
    return bound(
        lambda margin: exact_p_value(wins, losses, n, margin, gamma=gamma),
        alpha=alpha,
        guess=half_count_lower(wins, losses, n, alpha),
        step=error / 10,
        lowest=-1.0,
        highest=1.0,
    )


def disagreement_interval(disagreements: int, n: int, gamma: float) -> tuple[float, float]:
    """Return the two-sided interval of a rate, such as that of disagreement, at confidence ``1 - gamma``.

    Source: C. J. Clopper & E. S. Pearson, Biometrika 26 (1934) 404-413.
    """
    low = 0.0 if disagreements == 0 else rate_of_at_least(disagreements, n, gamma / 2)
    high = 1.0 if disagreements == n else 1 - rate_of_at_least(n - disagreements, n, gamma / 2)
    return low, high


def losses_that_matter(n: int, lowest_rate: float, highest_rate: float) -> Codes:
    """Return the numbers of losses with a notable probability; all others count as passing, to be on the safe side."""
    first = max(0, math.floor(n * lowest_rate - reach(n, lowest_rate, _WINDOW_SD)))
    last = min(n, math.ceil(n * highest_rate + reach(n, highest_rate, _WINDOW_SD)))
    return np.arange(first, last + 1)


def chance_of_enough_wins(rates: Floats, margin: float, n: int, losses: Codes, needed: Codes) -> Floats:
    """Return the probability of at least ``needed`` wins at each disagreement rate, if the gain is the margin.

    Losses are Binomial(n, p_l); given the losses, wins are Binomial(n - losses, p_w / (1 - p_l)).

    Args:
        rates: shape ``(m,)``.
        margin: share of the examples.
        n: number of examples.
        losses, needed: shape ``(k,)``.

    Returns:
        Probabilities, shape ``(m,)``.
    """
    losing, winning = (rates - margin) / 2, (rates + margin) / 2
    chance = chance_of(losses, np.full_like(losses, n), losing, 1 - losing)
    given = np.minimum(winning / (1 - losing), 1.0)
    enough = _enough_wins(n - losses, needed, given, (1 - rates) / (1 - losing))
    passing: Floats = (chance * enough).sum(axis=1) + np.maximum(1 - chance.sum(axis=1), 0)
    return passing


def _enough_wins(trials: Codes, needed: Codes, winning: Floats, other: Floats) -> Floats:
    """Return P(Binomial(trials, winning) >= needed), shape ``(m, k)`` for rates ``(m,)`` and trials ``(k,)``.

    The first column is computed directly. Each further one has one trial less and follows from the one before:
    ``P(Bin(N - 1) >= k) = P(Bin(N) >= k) - winning * P(Bin(N - 1) = k - 1)``; a larger ``k`` has a few terms less.
    """
    start = chance_of_at_least(int(needed[0]), int(trials[0]), winning, other)
    fewer, before, after = trials[1:], needed[:-1], needed[1:]
    lost = winning[:, None] * chance_of(before - 1, fewer, winning, other)
    for step in range(int((after - before).max(initial=0))):
        lost += np.where(before + step < after, chance_of(before + step, fewer, winning, other), 0.0)
    falling: Floats = np.cumsum(np.concatenate([start[:, None], -lost], axis=1), axis=1)
    return np.clip(falling, 0.0, 1.0)
