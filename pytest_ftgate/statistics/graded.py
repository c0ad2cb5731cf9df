"""Test the mean of bounded differences by Gaffke's method.

It stays valid if rare large losses were not seen.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from pytest_ftgate.statistics import evidence
from pytest_ftgate.statistics.arrays import Floats

METHOD = "Gaffke's bound of a bounded mean (Gaffke 2005; Learned-Miller & Thomas 2019)"
_NODES = 16  # smallest number of nodes of the integral in one step
_ENTRIES = 20_000  # largest matrix in one step
_SPACING = 0.1
_NEGLIGIBLE = 1e-14
_TINY = 1e-300
_ROUNDING = 1e-12  # differences from the margin that count as 0, relative to the largest
_NEAREST_POLE = 0.5  # in standard deviations
_NEWTON_STEPS = 100
# distinct values in a sample: more make no visible difference and take seconds
_MOST_VALUES = 5_000


@dataclass(frozen=True)
class Sample:
    """A sample of differences.

    Attributes:
        values: distinct values, shape ``(k,)``.
        counts: how often each value occurs, shape ``(k,)``; need not be whole numbers.
        worst: the smallest possible value, which counts as if it had been seen once.
    """

    values: Floats
    counts: Floats
    worst: float

    @classmethod
    def of(cls, differences: Floats, worst: float) -> "Sample":
        """Return the sample of differences of shape ``(n,)``.

        Of very many distinct values, each is split between its two neighbours on an even grid, in
        proportion to its distances from them. This keeps the mean and adds a little variance, which
        is on the safe side.
        """
        values, counts = np.unique(differences, return_counts=True)
        if len(values) <= _MOST_VALUES or not np.isfinite(values).all():
            return cls(values, counts.astype(np.float64), worst)

        # 2.25 is the place of a value a quarter of the way from point 2 of the grid to point 3
        last = _MOST_VALUES - 1
        grid: Floats = np.linspace(values[0], values[-1], _MOST_VALUES)
        places = (values - values[0]) / (values[-1] - values[0]) * last
        lower = np.minimum(places.astype(np.int64), last - 1)
        to_upper = places - lower

        split: Floats = np.zeros(_MOST_VALUES)
        np.add.at(split, lower, (1 - to_upper) * counts)
        np.add.at(split, lower + 1, to_upper * counts)
        is_filled = split > 0
        return cls(grid[is_filled], split[is_filled], worst)

    @property
    def mean(self) -> float:
        """Return the mean of the observed values, without ``worst``."""
        return float(self.counts @ self.values / self.counts.sum())

    @property
    def spread(self) -> float:
        """Return the sample standard deviation of the values, 0 for one value."""
        n = float(self.counts.sum())
        if n <= 1:
            return 0.0
        squares = float(self.counts @ (self.values - self.mean) ** 2)
        return math.sqrt(squares / (n - 1))

    def grown(self, n: float) -> "Sample":
        """Return a sample of ``n`` examples with the same distribution."""
        return Sample(self.values, self.counts * (n / float(self.counts.sum())), self.worst)


def graded_p_value(sample: Sample, margin: float) -> float:
    """Return the one-sided p-value of "the true mean is at most ``margin``".

    The p-value is the probability that a randomly weighted mean is at most the margin. The weights
    are uniform on the simplex (Dirichlet), and the worst possible difference counts as if it had
    been seen once. For two possible values this is the binomial test. For more values it is a
    conjecture that the level holds: there is much evidence for it, and no proof.

    Sources: N. Gaffke, Three test statistics for a nonparametric one-sided hypothesis on the mean
    of a nonnegative variable, Mathematical Methods of Statistics 14 (2005) 451-467; E.
    Learned-Miller & P. S. Thomas, arXiv:1905.06208 (2019).
    """
    shifts = np.append(sample.values, sample.worst) - margin
    shifts[np.abs(shifts) < _ROUNDING * np.abs(shifts).max()] = 0.0
    return _probability_negative(shifts, np.append(sample.counts, 1.0))


def graded_lower(sample: Sample, alpha: float) -> float:
    """Return the one-sided lower bound of the true mean at significance level ``alpha``."""
    n = float(sample.counts.sum())
    error = max(sample.spread / math.sqrt(n), (sample.mean - sample.worst) / n, 1e-9)
    return evidence.bound(
        partial(graded_p_value, sample),
        alpha=alpha,
        guess=sample.mean - 2 * error,
        step=error / 4,
        lowest=sample.worst,
        highest=max(float(sample.values.max()), sample.worst),
    )


def _probability_negative(weights: Floats, shapes: Floats) -> float:
    """Return P(sum of weights * G <= 0) for independent Gamma(shapes) variables G.

    Both arguments have the shape ``(k,)``. The moment generating function is inverted numerically,
    along a vertical line through its saddle point. There it decays like a normal density, and the
    trapezoidal rule is accurate to about 12 digits.
    """
    if not np.isfinite(weights).all():
        raise ValueError("the differences must be finite numbers")
    if weights.max() <= 0:
        return 1.0
    if weights.min() >= 0:
        return 0.0
    if float(shapes @ weights) < 0:  # the line must be on the same side of 0 as the saddle point
        return 1 - _probability_negative(-weights, shapes)

    line = _saddle_point(weights, shapes)
    tilted = weights / (1 + line * weights)
    variances = shapes * tilted**2
    variance = float(variances.sum())
    scale = 1 / math.sqrt(variance)
    peak = math.exp(-float(shapes @ np.log1p(line * weights)))

    # The steps are even at first and widen later, for the slow tails of few examples. If one weight
    # outweighs all others, the integrand oscillates before it decays, so the steps stay even for
    # longer.
    without_largest = max(float(variance - variances.max()), _TINY)
    even = 1 + 2 * min(1 / (math.sqrt(without_largest) * scale), math.sqrt(float(shapes.sum())))

    block = max(_NODES, _ENTRIES // len(weights))
    start = 0
    total = 0.0
    while True:
        steps = np.arange(start, start + block) * _SPACING
        heights = scale * even * np.sinh(steps / even)
        turned = heights[:, None] * tilted
        sizes = peak * np.exp(-0.5 * np.log1p(turned**2) @ shapes)
        phases = np.exp(1j * (np.arctan(turned) @ shapes))
        values = sizes * phases / (1j * heights - line) * np.cosh(steps / even)
        total += float(values.real.sum())
        if start == 0:  # the trapezoidal rule counts half of the first value
            total -= 0.5 * float(values[0].real)
        start += block
        if abs(values[-1]) * scale < _NEGLIGIBLE:
            return min(max(0.0, -total * scale * _SPACING / math.pi), 1.0)


def _saddle_point(weights: Floats, shapes: Floats) -> float:
    """Return the root in t > 0 of ``sum(shapes * weights / (1 + t * weights))``.

    It is kept away from the pole at 0. The multiplier of empirical likelihood solves the same
    equation.
    """
    pole = -1 / float(weights.min())
    low = 0.0
    high = pole
    point = pole / 2
    for _ in range(_NEWTON_STEPS):
        tilted = weights / (1 + point * weights)
        slope = float(shapes @ tilted)
        if slope > 0:
            low = point
        else:
            high = point
        step = slope / float(shapes @ tilted**2)
        if abs(step) < 1e-10 * point:
            break
        point += step
        if not low < point < high:
            point = (low + high) / 2

    nearest = _NEAREST_POLE / math.sqrt(float(shapes @ weights**2))
    return max(point, min(nearest, pole / 2))
