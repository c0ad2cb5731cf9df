"""Compute Tango's score statistic for the difference of two paired proportions."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from pytest_ftgate.statistics.arrays import Codes

_HALVINGS = 60


def tango_score(wins: Any, losses: Any, n: float, margin: float) -> Any:
    """Return the score of "the gain is ``margin``", standard normal if that is true; larger for larger gains.

    Args:
        wins, losses: examples that only one model answers correctly; numbers, or arrays of the same shape.
        n: number of examples.
        margin: in (-1, 1).

    Source: T. Tango, Statistics in Medicine 17 (1998) 891-908.
    """
    return (wins - losses - n * margin) / np.sqrt(n * null_variance(wins / n, losses / n, margin))


def null_variance(win_rate: Any, loss_rate: Any, margin: float) -> Any:
    """Return the variance of the difference of one pair, at the most likely rates with the gain ``margin``."""
    b = (2 - win_rate + loss_rate) * margin - win_rate - loss_rate
    root = np.sqrt(np.maximum(b * b + 8 * loss_rate * margin * (1 - margin), 0))
    return (root - b) / 2 + margin * (1 - margin)  # twice the restricted loss rate, plus the term of the margin


def half_count_score(wins: Any, losses: Any, n: int, margin: float) -> Any:
    """Return Tango's score with half a win and half a loss added, so that it is defined without disagreements.

    It only orders the outcomes of the exact test. Adding halves is our own choice, not a published method.
    """
    return tango_score(wins + 0.5, losses + 0.5, n + 1, margin)


def half_count_lower(wins: int, losses: int, n: int, alpha: float) -> float:
    """Return the lower bound by the half-count score at level ``alpha``: a fast approximation of the exact bound."""
    return score_lower(wins + 0.5, losses + 0.5, n + 1, NormalDist().inv_cdf(1 - alpha))


def score_lower(wins: float, losses: float, n: float, critical: float) -> float:
    """Return the lower end of Tango's interval: the largest margin whose score is at least ``critical``."""
    if losses == n:
        return -1.0
    low, high = -1.0, (wins - losses) / n  # the score falls from above `critical` to 0 between these
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        beyond = float(tango_score(wins, losses, n, middle)) >= critical
        low, high = (middle, high) if beyond else (low, middle)
    return low


def wins_to_reach(score: float, losses: Codes, n: int, margin: float) -> Codes:
    """Return the fewest wins whose half-count score is at least ``score``, for each number of losses, shape ``(k,)``.

    The score grows with each win, so bisection finds them. The result is ``n - losses + 1`` if no number is enough.
    """
    slack = 1e-9 * max(1.0, abs(score))  # equal scores of other counts are included, whatever their last bits are
    low, high = np.zeros_like(losses), n - losses + 1
    for _ in range(math.ceil(math.log2(n + 2))):
        middle = (low + high) // 2
        enough = half_count_score(np.minimum(middle, n - losses), losses, n, margin) >= score - slack
        low, high = np.where(enough, low, np.minimum(middle + 1, high)), np.where(enough, middle, high)
    return high
