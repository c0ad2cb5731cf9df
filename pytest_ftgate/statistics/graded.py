"""Gaffke's test of the mean of bounded differences: honest where large losses are rare and none was seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_ftgate.statistics.arrays import Floats
from pytest_ftgate.statistics.evidence import bound

METHOD = "Gaffke's bound of a bounded mean (Gaffke 2005; Learned-Miller & Thomas 2019)"
_NODES = 16  # of the integral at a time, at least
_ENTRIES = 20_000  # of a matrix at a time, for few distinct values
_SPACING = 0.1
_NEGLIGIBLE = 1e-14
_TINY = 1e-300
_ROUNDING = 1e-12  # a difference from the margin that small is none
_NEAREST_POLE = 0.5  # in standard deviations
_NEWTON_STEPS = 100


@dataclass(frozen=True)
class Sample:
    """Differences: distinct values, how often each was seen (need not be whole), both of shape ``(k,)``; and what one
    more could be at worst, which counts once, though it was not seen.
    """

    values: Floats
    counts: Floats
    worst: float

    @classmethod
    def of(cls, differences: Floats, worst: float) -> Sample:
        values, counts = np.unique(differences, return_counts=True)
        return cls(values, counts.astype(np.float64), worst)

    @property
    def mean(self) -> float:
        """Of the values that were seen."""
        return float(self.counts @ self.values / self.counts.sum())

    @property
    def spread(self) -> float:
        """Standard deviation of the values, as of a sample."""
        n = float(self.counts.sum())
        squares = float(self.counts @ (self.values - self.mean) ** 2)
        return math.sqrt(squares / (n - 1)) if n > 1 else 0.0

    def grown(self, n: float) -> Sample:
        """Return what ``n`` examples like these would be."""
        return Sample(self.values, self.counts * (n / float(self.counts.sum())), self.worst)


def graded_p_value(sample: Sample, margin: float) -> float:
    """Return the one-sided p-value of "the real mean is at most ``margin``".

    The p-value is the probability that a randomly weighted mean is at most the margin, where the weights are uniform
    on the simplex (Dirichlet) and the worst possible difference takes part as if it had been seen once. For two
    possible values it is the binomial test; no violation of its level is known for others, which is a conjecture
    with much support and no proof.

    Sources: N. Gaffke, Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
    variable, Mathematical Methods of Statistics 14 (2005) 451-467; E. Learned-Miller & P. S. Thomas,
    arXiv:1905.06208 (2019).
    """
    shifts = np.append(sample.values, sample.worst) - margin
    shifts[np.abs(shifts) < _ROUNDING * np.abs(shifts).max()] = 0.0
    return _probability_negative(shifts, np.append(sample.counts, 1.0))


def graded_lower(sample: Sample, alpha: float) -> float:
    """Return the one-sided lower bound of the real mean at level ``alpha``."""
    n = float(sample.counts.sum())
    error = max(sample.spread / math.sqrt(n), (sample.mean - sample.worst) / n, 1e-9)
    highest = float(sample.values.max())
    return bound(
        lambda margin: graded_p_value(sample, margin),
        alpha=alpha,
        guess=sample.mean - 2 * error,
        step=error / 4,
        lowest=sample.worst,
        highest=max(highest, sample.worst),
    )


def _probability_negative(weights: Floats, shapes: Floats) -> float:
    """Return P(sum of weights * G <= 0) for independent Gamma(shapes) variables G, by numerical inversion.

    The integral of the moment generating function runs along a vertical line through its saddle point, where it falls
    off like a normal density; the trapezoidal rule is then exact to about 12 digits.
    """
    if not np.isfinite(weights).all():
        raise ValueError("the mean of numbers that are not finite cannot be tested")
    if weights.max() <= 0 or weights.min() >= 0:
        return 1.0 if weights.max() <= 0 else 0.0
    if float(shapes @ weights) < 0:  # the line must lie on the side of 0 on which the saddle point is
        return 1 - _probability_negative(-weights, shapes)
    line = _saddle_point(weights, shapes)
    tilted = weights / (1 + line * weights)
    parts = shapes * tilted**2
    scale = 1 / math.sqrt(float(parts.sum()))
    peak = math.exp(-float(shapes @ np.log1p(line * weights)))
    # Even steps at first, widening later for the slow tails of few examples. Where one part outweighs all others the
    # integrand swings long before it falls off: the steps then stay even for longer.
    others = math.sqrt(max(float(parts.sum() - parts.max()), _TINY)) * scale
    even = 1 + 2 * min(1 / others, math.sqrt(float(shapes.sum())))
    block = max(_NODES, _ENTRIES // len(weights))
    total, start = 0.0, 0
    while True:
        steps = np.arange(start, start + block) * _SPACING
        heights = scale * even * np.sinh(steps / even)
        turned = heights[:, None] * tilted
        size = peak * np.exp(-0.5 * np.log1p(turned**2) @ shapes)
        values = size * np.exp(1j * (np.arctan(turned) @ shapes)) / (1j * heights - line) * np.cosh(steps / even)
        total += float(values.real.sum()) - (0.5 * float(values[0].real) if start == 0 else 0.0)
        start += block
        if abs(values[-1]) * scale < _NEGLIGIBLE:
            return min(max(0.0, -total * scale * _SPACING / math.pi), 1.0)


def _saddle_point(weights: Floats, shapes: Floats) -> float:
    """Return the root in t > 0 of ``sum(shapes * weights / (1 + t * weights))``, kept away from the pole at 0.

    The same equation gives the multiplier of empirical likelihood.
    """
    low, high = 0.0, -1 / float(weights.min())
    point = high / 2
    for _ in range(_NEWTON_STEPS):
        tilted = weights / (1 + point * weights)
        slope = float(shapes @ tilted)
        low, high = (point, high) if slope > 0 else (low, point)
        step = slope / float(shapes @ tilted**2)
        if abs(step) < 1e-10 * point:
            break
        point = point + step if low < point + step < high else (low + high) / 2
    nearest = _NEAREST_POLE / math.sqrt(float(shapes @ weights**2))
    return max(point, min(nearest, -0.5 / float(weights.min())))
