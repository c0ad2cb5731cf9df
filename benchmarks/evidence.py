"""How fast and how honest the methods of ``pytest_ftgate.inference`` are, measured in one run.

    python benchmarks/evidence.py                 speed, side by side with the usual ways (about 20 seconds)
    python benchmarks/evidence.py --enumerate     worst false-pass rate of right/wrong metrics, every n from 20 to 200
    python benchmarks/evidence.py --graded        false-pass rate of graded metrics
    python benchmarks/evidence.py --sets          false-pass rate of macro-F1, and with groups
    python benchmarks/evidence.py --plain         how often the plain comparison of two numbers is wrong
    python benchmarks/evidence.py --power         chance to show a gain that is there

What is enumerated has no random error; what is simulated names its repetitions. ``docs/evidence.md`` quotes the tables.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator
from statistics import NormalDist

import numpy as np
from scipy.special import gammaln, stdtrit

from pytest_ftgate.inference import LabelCounts, bca_set, compare_right_wrong, compare_set
from pytest_ftgate.inference.exact import exact_p_value
from pytest_ftgate.inference.graded import Sample, graded_p_value
from pytest_ftgate.inference.score import tango_score

Z95 = NormalDist().inv_cdf(0.95)
MARGINS = [round(step / 50, 2) for step in range(-5, 6)]
RATES = 201  # disagreement rates between the margin and 1


# --- complete enumeration of wins and losses -----------------------------------------------------------------


def outcomes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """All numbers of wins and losses among n pairs."""
    wins, losses = (grid.ravel() for grid in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"))
    possible = wins + losses <= n
    return wins[possible], losses[possible]


def probabilities(wins: np.ndarray, losses: np.ndarray, n: int, winning: np.ndarray, losing: np.ndarray) -> np.ndarray:
    """Trinomial probabilities, a row for each outcome, a column for each pair of rates."""
    ties = n - wins - losses
    ways = gammaln(n + 1) - gammaln(wins + 1) - gammaln(losses + 1) - gammaln(ties + 1)
    rates = (winning, losing, np.maximum(1 - winning - losing, 0))
    logs = [np.log(np.maximum(rate, 1e-300)) for rate in rates]
    return np.exp(ways[:, None] + sum(np.outer(count, log) for count, log in zip((wins, losses, ties), logs, strict=True)))


def at_margin(margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Rates of wins and losses whose difference is exactly the margin, over all disagreement rates."""
    rates = abs(margin) + np.linspace(0, math.sqrt(1 - abs(margin)), RATES) ** 2
    return (rates + margin) / 2, (rates - margin) / 2


def exact_region(n: int, margin: float, alpha: float = 0.05) -> np.ndarray:
    """The fewest wins that the exact test accepts, for each number of losses; more wins are accepted too."""
    fewest = np.full(n + 1, n + 1)
    wins = 0
    for losses in range(n + 1):
        while wins <= n - losses and exact_p_value(wins, losses, n, margin) > alpha:
            wins += 1
        while wins > 0 and exact_p_value(min(wins, n - losses + 1) - 1, losses, n, margin) <= alpha:
            wins -= 1
        if wins > n - losses:
            break
        fewest[losses] = wins
    return fewest


def accepted(n: int, margin: float, wins: np.ndarray, losses: np.ndarray) -> dict[str, np.ndarray]:
    """Which outcomes each method accepts as a gain above the margin, at 95 %."""
    gain, spread = (wins - losses) / n, (wins + losses) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        tango = np.nan_to_num(tango_score(wins, losses, n, margin), nan=-1.0) >= Z95
        error = np.sqrt(np.maximum(spread - gain**2, 0) / (n - 1))
        student = gain - stdtrit(n - 1, 0.95) * error >= margin if margin else gain - stdtrit(n - 1, 0.95) * error > 0
    return {"exact": wins >= exact_region(n, margin)[losses], "Tango": tango, "paired t": student}


def enumerate_false_passes(sizes: Iterable[int]) -> None:
    """Print the worst false-pass rate of three methods for each margin, over sizes and disagreement rates."""
    sizes = list(sizes)
    print(f"worst false-pass rate at nominal 5 %, n = {sizes[0]}..{sizes[-1]} ({len(sizes)} sizes), "
          f"{RATES} disagreement rates up to 100 %")
    print("| margin | exact | at n | Tango | at n | paired t | at n |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for margin in MARGINS:
        worst: dict[str, tuple[float, int]] = {}
        for n in sizes:
            wins, losses = outcomes(n)
            chances = probabilities(wins, losses, n, *at_margin(margin))
            for name, region in accepted(n, margin, wins, losses).items():
                rate = float((region @ chances).max())
                worst[name] = max(worst.get(name, (0.0, 0)), (rate, n))
        print(f"| {margin:+.2f} | " + " | ".join(f"{rate:.4f} | {n}" for rate, n in worst.values()) + " |", flush=True)
