"""Early stopping: the looks together pass no more often than one test, by enumeration of all paths."""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import fftconvolve
from scipy.stats import binom

from pytest_ftgate.statistics.evidence import is_sure, level
from pytest_ftgate.statistics.planning import exact_p
from pytest_ftgate.statistics.sequential import Look, looks

RATES = (0.01, 0.02, 0.04, 0.06, 0.09, 0.12, 0.16, 0.2, 0.25, 0.3)


def fewest_wins_to_show(look: Look, target: float, most_losses: int) -> list[int]:
    """The fewest wins that show a gain above the target at a look, for each number of losses: the gate's exact test."""
    found: list[int] = []
    wins = max(0, math.floor(look.n * target))
    for losses in range(most_losses + 1):
        while wins + losses <= look.n and not is_sure(
            exact_p(wins, losses, look.n, margin=target, confidence=look.confidence), level(look.confidence)
        ):
            wins += 1
        found.append(wins)
    return found


def trinomial(n: int, winning: float, losing: float, most: tuple[int, int]) -> np.ndarray:
    """P(wins, losses) of n examples, up to these numbers."""
    losses = np.arange(min(n, most[1]) + 1)
    wins = np.arange(min(n, most[0]) + 1)
    given = binom.pmf(wins[:, None], n - losses[None, :], winning / (1 - losing))
    return given * binom.pmf(losses, n, losing)


def false_passes(total: int, target: float, confidence: float, rates=RATES) -> dict[float, float]:
    """The probability that some look shows a gain above the target if the real gain is the target, by disagreement.

    The margin, the condition that it is kept, and futility, which all make passing rarer, are left out.
    """
    rates = [rate for rate in rates if rate > abs(target)]
    ways = [((rate + target) / 2, (rate - target) / 2) for rate in rates]
    high = [tuple(int(total * rate + 7 * math.sqrt(total * rate) + 10) for rate in way) for way in ways]
    steps = looks(total, confidence)
    needed = [
        np.array(fewest_wins_to_show(one, target, min(one.n, max(losses for _, losses in high)))) for one in steps
    ]
    found = {}
    for rate, (winning, losing), most in zip(rates, ways, high, strict=True):
        going, passed, before = np.ones((1, 1)), 0.0, 0
        for look, fewest in zip(steps, needed, strict=True):
            going = fftconvolve(going, trinomial(look.n - before, winning, losing, most))[: most[0] + 1, : most[1] + 1]
            shown = np.arange(going.shape[0])[:, None] >= fewest[: going.shape[1]]
            passed += float(going[shown].sum())
            going, before = np.where(shown, 0.0, going), look.n
        found[rate] = passed + max(0.0, 1 - passed - float(going.sum()))  # what was cut off counts as passed
    return found
