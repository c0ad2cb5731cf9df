"""Stop early: test a gain at five looks, so that the looks together pass no more often than one test would."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from operator import mul
from statistics import NormalDist

import numpy as np

from pytest_ftgate.statistics.arrays import Floats
from pytest_ftgate.statistics.evidence import level
from pytest_ftgate.statistics.exact import half_count_score
from pytest_ftgate.statistics.planning import Chances

LOOKS = 5
LEAST_POWER = 0.2
"""Looks end where the chance to pass in the end is below this, even if the real gain is at its upper bound."""

_NORMAL = NormalDist()
_GRID = 401  # points of the numerical integral, which is then exact to six decimals
_FARTHEST = 8.0  # standard deviations
_HALVINGS = 50
_LEAST_LEVEL = 1e-9
_SURE = _NORMAL.inv_cdf(0.95)
_DRAWS, _SEED = 4_000, 20260101


@dataclass(frozen=True)
class Look:
    """Describe one look.

    Attributes:
        number: from 1 to ``LOOKS``.
        n: examples that are looked at.
        total: examples of the test set.
        confidence: one-sided, of the test at this look; its bounds hold at the confidence of all looks together
            (repeated confidence bounds, C. Jennison & B. W. Turnbull, JRSS B 51 (1989) 305-361).
    """

    number: int
    n: int
    total: int
    confidence: float

    @property
    def is_last(self) -> bool:
        """Return whether no example is left."""
        return self.n == self.total


def looks(total: int, confidence: float) -> tuple[Look, ...]:
    """Return the five looks at ``total`` examples, whose tests together hold a one-sided ``confidence``."""
    return tuple(
        Look(number, math.ceil(total * number / LOOKS), total, 1 - max(_tail(critical), _LEAST_LEVEL))
        for number, critical in enumerate(boundaries(confidence), start=1)
    )


@lru_cache(maxsize=100)
def boundaries(confidence: float) -> tuple[float, ...]:
    """Return the critical values of the five looks, on the normal scale.

    The level spent after a share ``t`` of the examples is ``2 - 2 Phi(z / sqrt(t))``, where ``z`` is the quantile of
    ``1 - level / 2`` (of the O'Brien-Fleming type). The critical values follow by integrating the density of the paths
    that have not been stopped. The exact p-value of each look is compared with ``Phi(-critical)``.

    Sources: K. K. G. Lan & D. L. DeMets, Biometrika 70 (1983) 659-663; P. Armitage, C. K. McPherson & B. C. Rowe,
    JRSS A 132 (1969) 235-244.
    """
    times = np.arange(1, LOOKS + 1) / LOOKS
    whole = _NORMAL.inv_cdf(1 - level(confidence) / 2)
    spent = [2 * _tail(whole / math.sqrt(time)) for time in times]
    critical = [-_NORMAL.inv_cdf(spent[0])]
    at, width = _grid(times[0], critical[0])
    mass = width * _density(at, math.sqrt(times[0]))
    for number in range(1, LOOKS):
        step, root = math.sqrt(times[number] - times[number - 1]), math.sqrt(times[number])
        low, high = 0.0, critical[-1]
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            crossing = sum(map(mul, mass, map(_tail, (middle * root - at) / step)))
            low, high = (middle, high) if crossing > spent[number] - spent[number - 1] else (low, middle)
        critical.append(high)
        after, width = _grid(times[number], critical[-1])
        mass = width * (_density(after[:, None] - at, step) * mass).sum(axis=1)
        at = after
    return tuple(critical)


def _grid(time: float, critical: float) -> tuple[Floats, Floats]:
    """Return points below a boundary, and their weights by Simpson's rule, shape ``(_GRID,)`` each."""
    points, distance = np.linspace(-_FARTHEST * math.sqrt(time), critical * math.sqrt(time), _GRID, retstep=True)
    weights = np.ones(_GRID)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    return points, weights * float(distance) / 3


def _density(distance: Floats, deviation: float) -> Floats:
    density: Floats = np.exp(-((distance / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
    return density


def _tail(standard: float) -> float:
    """Return ``1 - Phi(standard)``, precise where it is near 0."""
    return math.erfc(standard / math.sqrt(2)) / 2


def keeps_margin(wins: int, losses: int, look: Look, margin: float) -> bool:
    """Return whether the measured gain would still reach the margin after all examples, at 95 % confidence.

    Without this, a candidate whose real gain is below the margin would pass at an early look by luck.
    """
    gain, variance = _moments(wins, losses, look.n)
    if look.is_last:
        return True
    return bool(gain - margin >= _SURE * math.sqrt(variance * (1 / look.n - 1 / look.total)))


def is_futile(wins: int, losses: int, look: Look, *, margin: float, target: float, confidence: float) -> bool:
    """Return whether passing is unlikely in the end, even if the real gain is the 95 % upper bound of the measured one.

    This is the conditional power at the last look, in the normal approximation. It only ever ends looks, so the level
    does not depend on it. The confidence is that of all looks together.

    Source: J. M. Lachin, Statistics in Medicine 24 (2005) 2747-2764.
    """
    gain, variance = _moments(wins, losses, look.n)
    left = look.total - look.n
    hoped = gain + _SURE * math.sqrt(variance / look.n)
    expected = (look.n * gain + left * hoped) / look.total
    needed = max(margin, target + boundaries(confidence)[-1] * math.sqrt(variance / look.total))
    return bool(left and _NORMAL.cdf((expected - needed) * look.total / math.sqrt(left * variance)) < LEAST_POWER)


def _moments(wins: int, losses: int, n: int) -> tuple[float, float]:
    """Return the gain, and the variance of one difference with one more disagreement, which is at least ``1 / n``."""
    gain = (wins - losses) / n
    return gain, (wins + losses + 1) / n - gain * gain


@dataclass(frozen=True)
class Expected(Chances):
    """Hold the probabilities of the three verdicts, and the expected share of the examples that are looked at."""

    share: float


@lru_cache(maxsize=1_000)
def expected(
    total: int, *, gain: float, disagreement: float, margin: float, target: float, confidence: float
) -> Expected:
    """Return what early stopping leads to if the real gain were this one, from 4,000 simulated test sets.

    Here Tango's score with half counts stands for the exact p-value; the standard errors are at most 0.8 points. No
    verdict depends on this. ``total`` is the number of examples; the confidence is that of all looks together.
    """
    random = np.random.default_rng(_SEED)
    rates = [(disagreement + gain) / 2, (disagreement - gain) / 2, 1 - disagreement]
    counts, before = np.zeros((_DRAWS, 2), dtype=np.int64), 0
    going = np.ones(_DRAWS, dtype=bool)
    passed, failed, asked = 0, 0, 0
    for look, critical in zip(looks(total, confidence), boundaries(confidence), strict=True):
        counts[going] += random.multinomial(look.n - before, rates, size=int(going.sum()))[:, :2]
        before = look.n
        shown = half_count_score(counts[:, 0], counts[:, 1], look.n, target) >= critical
        for row in np.flatnonzero(going):
            wins, losses = int(counts[row, 0]), int(counts[row, 1])
            reached = (wins - losses) / look.n >= margin - 1e-12 and (margin != 0 or wins > losses)
            holds = bool(shown[row]) and reached and keeps_margin(wins, losses, look, margin)
            futile = is_futile(wins, losses, look, margin=margin, target=target, confidence=confidence)
            if holds or futile or look.is_last:
                going[row] = False
                passed, failed, asked = passed + holds, failed + (not reached), asked + look.n
    return Expected(passed / _DRAWS, failed / _DRAWS, 1 - (passed + failed) / _DRAWS, asked / _DRAWS / total)
