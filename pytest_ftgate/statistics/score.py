"""Tango's score statistic for the difference of two paired proportions."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from pytest_ftgate.statistics.arrays import Codes

_HALVINGS = 60


def tango_score(wins: Any, losses: Any, n: float, margin: float) -> Any:
    """Return the standard normal score of "the gain is ``margin``", in (-1, 1); large values speak for a larger gain.

    Wins and losses, pairs of ``n`` that one model alone has right, are numbers or arrays of one shape.

    Source: T. Tango, Statistics in Medicine 17 (1998) 891-908.
    """
    return (wins - losses - n * margin) / np.sqrt(n * null_variance(wins / n, losses / n, margin))


def null_variance(win_rate: Any, loss_rate: Any, margin: float) -> Any:
    """Return the variance of one pair's difference at the rates most likely where the gain is ``margin``."""
    b = (2 - win_rate + loss_rate) * margin - win_rate - loss_rate
    root = np.sqrt(np.maximum(b * b + 8 * loss_rate * margin * (1 - margin), 0))
    return (root - b) / 2 + margin * (1 - margin)  # twice the restricted loss rate, and what the margin adds


def half_count_score(wins: Any, losses: Any, n: int, margin: float) -> Any:
    """Add half a win and half a loss to Tango's score: defined, and not sure, where nothing disagrees.

    It only orders outcomes for the exact test; adding the halves is our own choice, not a published method.
    """
    return tango_score(wins + 0.5, losses + 0.5, n + 1, margin)


def half_count_lower(wins: int, losses: int, n: int, alpha: float) -> float:
    """Return where the half-count score meets the level ``alpha``: close to the exact bound, at no cost."""
    return score_lower(wins + 0.5, losses + 0.5, n + 1, NormalDist().inv_cdf(1 - alpha))


def score_lower(wins: float, losses: float, n: float, critical: float) -> float:
    """Return the largest margin below the gain whose score reaches ``critical``, the lower end of Tango's interval."""
    if losses == n:
        return -1.0
    low, high = -1.0, (wins - losses) / n  # the score falls from above `critical` to 0 between these
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        beyond = float(tango_score(wins, losses, n, middle)) >= critical
        low, high = (middle, high) if beyond else (low, middle)
    return low


def wins_to_reach(score: float, losses: Codes, n: int, margin: float) -> Codes:
    """Return the fewest wins whose half-count score is at least ``score``, for each number of losses.

    The score rises with every win, so bisection finds them; ``n - losses + 1`` where no number of wins does.
    """
    slack = 1e-9 * max(1.0, abs(score))  # equal scores of other counts belong in, whatever the last bits say
    low, high = np.zeros_like(losses), n - losses + 1
    for _ in range(math.ceil(math.log2(n + 2))):
        middle = (low + high) // 2
        enough = half_count_score(np.minimum(middle, n - losses), losses, n, margin) >= score - slack
        low, high = np.where(enough, low, np.minimum(middle + 1, high)), np.where(enough, middle, high)
    return high
