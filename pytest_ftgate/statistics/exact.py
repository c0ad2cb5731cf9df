"""The exact unconditional test of a gain in right answers, for any margin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_ftgate.statistics.binomial import chance_of, chance_of_at_least, rate_of_at_least, reach
from pytest_ftgate.statistics.evidence import bound
from pytest_ftgate.statistics.score import half_count_lower, half_count_score, wins_to_reach

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METHOD = "exact unconditional score test (Hsueh, Liu & Chen 2001; Berger & Boos 1994)"
GAMMA = 1e-4
_GRID = 101
_FINE_GRID = 21
_WINDOW_SD = 7.0


def exact_p_value(wins: int, losses: int, n: int, margin: float, *, gamma: float = GAMMA) -> float:
    """Return the one-sided p-value of "the real gain is at most ``margin``".

    Outcomes are ordered by Tango's score with half counts. How often the models disagree is not known: the p-value
    is the worst over the Clopper-Pearson set of that rate at level ``1 - gamma``, plus ``gamma``. The worst case
    lies where the gain is exactly the margin. The false-pass rate is at most the level by theorem.

    Sources: H.-M. Hsueh, J.-P. Liu & J. J. Chen, Biometrics 57 (2001) 478-483; R. L. Berger & D. D. Boos, JASA 89
    (1994) 1012-1016.

    Args:
        wins: pairs that only the candidate has right.
        losses: pairs that only the baseline has right.
        n: all pairs.
        margin: negative for "at most so much worse".
        gamma: share of the level that is spent on the disagreement rate.
    """
    import numpy as np

    if abs(margin) >= 1:  # no gain is above 1, every one is at least -1
        return 1.0 if margin > 0 else 0.0
    least = abs(margin)  # models that disagree less cannot differ by the margin
    low, high = (max(least, rate) for rate in disagreement_interval(wins + losses, n, gamma))
    losing = _losses_that_matter(n, (low - margin) / 2, (high - margin) / 2)
    needed = wins_to_reach(float(half_count_score(wins, losses, n, margin)), losing, n, margin)

    def worst(roots: NDArray[np.float64]) -> tuple[int, float]:
        tails = _tail(np.minimum(least + roots**2, 1.0), margin, n, losing, needed)
        top = int(tails.argmax())
        return top, float(tails[top])

    # Even steps of the root: the counts of the rarer kind then move by even fractions of their spread.
    roots = np.linspace(math.sqrt(low - least), math.sqrt(high - least), _GRID)
    top, coarse = worst(roots)
    _, fine = worst(np.linspace(roots[max(top - 1, 0)], roots[min(top + 1, _GRID - 1)], _FINE_GRID))
    return min(1.0, gamma + max(coarse, fine))


def spent_on_rate(alpha: float) -> float:
    """Return the share of a level that the disagreement rate takes: 0.0001, at most a hundredth of the level."""
    return min(GAMMA, alpha / 100)


def exact_lower(wins: int, losses: int, n: int, alpha: float, *, gamma: float = GAMMA) -> float:
    """Return the lower bound of the real gain: the exact test inverted, to a five-hundredth of a standard error."""
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
    """Return the Clopper-Pearson interval at level ``1 - gamma`` of the rate at which two models disagree."""
    low = 0.0 if disagreements == 0 else rate_of_at_least(disagreements, n, gamma / 2)
    high = 1.0 if disagreements == n else 1 - rate_of_at_least(n - disagreements, n, gamma / 2)
    return low, high


def _losses_that_matter(n: int, lowest_rate: float, highest_rate: float) -> NDArray[np.int64]:
    """Return the numbers of losses that can occur; what lies outside is later counted as if it passed."""
    import numpy as np

    first = max(0, math.floor(n * lowest_rate - reach(n, lowest_rate, _WINDOW_SD)))
    last = min(n, math.ceil(n * highest_rate + reach(n, highest_rate, _WINDOW_SD)))
    return np.arange(first, last + 1)


def _tail(
    rates: NDArray[np.float64],
    margin: float,
    n: int,
    losses: NDArray[np.int64],
    needed: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the chance of at least ``needed`` wins, for each disagreement rate, where the gain is the margin.

    Losses are Binomial(n, p_l); given them, wins are Binomial(n - losses, p_w / (1 - p_l)).
    """
    import numpy as np

    losing, winning = (rates - margin) / 2, (rates + margin) / 2
    chance = chance_of(losses, np.full_like(losses, n), losing, 1 - losing)
    given = np.minimum(winning / (1 - losing), 1.0)
    enough = _enough_wins(n - losses, needed, given, (1 - rates) / (1 - losing))
    passing: NDArray[np.float64] = (chance * enough).sum(axis=1) + np.maximum(1 - chance.sum(axis=1), 0)
    return passing


def _enough_wins(
    trials: NDArray[np.int64],
    needed: NDArray[np.int64],
    winning: NDArray[np.float64],
    other: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return P(Binomial(trials, winning) >= needed), a row for each rate, a column for each entry of ``trials``.

    The first column is computed; each further one has a trial less and follows from its neighbour:
    ``P(Bin(N - 1) >= k) = P(Bin(N) >= k) - winning * P(Bin(N - 1) = k - 1)``, and a larger ``k`` loses a few terms.
    """
    import numpy as np

    start = chance_of_at_least(int(needed[0]), int(trials[0]), winning, other)
    fewer, before, after = trials[1:], needed[:-1], needed[1:]
    lost = winning[:, None] * chance_of(before - 1, fewer, winning, other)
    for step in range(int((after - before).max(initial=0))):
        lost += np.where(before + step < after, chance_of(before + step, fewer, winning, other), 0.0)
    falling: NDArray[np.float64] = np.cumsum(np.concatenate([start[:, None], -lost], axis=1), axis=1)
    return np.clip(falling, 0.0, 1.0)
