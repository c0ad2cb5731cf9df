"""Test the mean of bounded differences by Gaffke's method, which stays valid if rare large losses were not seen."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from pytest_ftgate.statistics import arrays, evidence

METHOD = "Gaffke's bound of a bounded mean (Gaffke 2005; Learned-Miller & Thomas 2019)"
_NODES = 16  # smallest number of nodes of the integral in one step
_ENTRIES = 20_000  # largest matrix in one step
_SPACING = 0.1
_NEGLIGIBLE, _TINY = 1e-14, 1e-300
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

    values: arrays.Floats
    counts: arrays.Floats
    worst: float

    @classmethod
    def of(cls, differences: arrays.Floats, worst: float) -> "Sample":
        """Return the sample of differences of shape ``(n,)``.

        Of very many distinct values, each is split between its two neighbours on an even grid, in
        proportion to its distances from them. This keeps the mean and adds a little variance, which
        is on the safe side.
        """
        values, counts = np.unique(differences, return_counts=True)
        if len(values) <= _MOST_VALUES or not np.isfinite(values).all():
            return cls(values, counts.astype(np.float64), worst)
        grid: arrays.Floats = np.linspace(values[0], values[-1], _MOST_VALUES)
        place = (values - grid[0]) / (grid[-1] - grid[0]) * (_MOST_VALUES - 1)
        lower = np.minimum(place.astype(np.int64), _MOST_VALUES - 2)
        shares = np.concatenate([lower + 1 - place, place - lower]) * np.tile(counts, 2)
        split: arrays.Floats = np.zeros(_MOST_VALUES)
        np.add.at(split, np.concatenate([lower, lower + 1]), shares)
        return cls(grid[split > 0], split[split > 0], worst)

    @property
    def mean(self) -> float:
        """Return the mean of the observed values, without ``worst``."""
        return float(self.counts @ self.values / self.counts.sum())

    @property
    def spread(self) -> float:
        """Return the sample standard deviation of the values, 0 for one value."""
        n = float(self.counts.sum())
        return (
            math.sqrt(float(self.counts @ (self.values - self.mean) ** 2) / (n - 1))
            if n > 1
            else 0.0
        )

    def grown(self, n: float) -> "Sample":
        """Return a sample of ``n`` examples with the same distribution."""
        return Sample(self.values, self.counts * (n / float(self.counts.sum())), self.worst)


def graded_p_value(sample: Sample, margin: float) -> float:
    """Return the one-sided p-value of "the real mean is at most ``margin``".

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
    """Return the one-sided lower bound of the real mean at significance level ``alpha``."""
    n = float(sample.counts.sum())
    error = max(sample.spread / math.sqrt(n), (sample.mean - sample.worst) / n, 1e-9)
    p_value, highest = (
        partial(graded_p_value, sample),
        max(float(sample.values.max()), sample.worst),
    )
    guess, step = sample.mean - 2 * error, error / 4
    return evidence.bound(
        p_value, alpha=alpha, guess=guess, step=step, lowest=sample.worst, highest=highest
    )


def _probability_negative(weights: arrays.Floats, shapes: arrays.Floats) -> float:
    """Return P(sum of weights * G <= 0) for independent Gamma(shapes) variables G; both arguments have shape ``(k,)``.

    The moment generating function is inverted numerically, along a vertical line through its saddle
    point. There it decays like a normal density, and the trapezoidal rule is accurate to about 12
    digits.
    """
    if not np.isfinite(weights).all():
        raise ValueError("the differences must be finite numbers")
    if weights.max() <= 0 or weights.min() >= 0:
        return 1.0 if weights.max() <= 0 else 0.0
    if float(shapes @ weights) < 0:  # the line must be on the same side of 0 as the saddle point
        return 1 - _probability_negative(-weights, shapes)
    line = _saddle_point(weights, shapes)
    tilted = weights / (1 + line * weights)
    parts = shapes * tilted**2
    scale = 1 / math.sqrt(float(parts.sum()))
    peak = math.exp(-float(shapes @ np.log1p(line * weights)))
    # The steps are even at first and widen later, for the slow tails of few examples. If one part
    # outweighs all others, the integrand oscillates before it decays, so the steps stay even for
    # longer.
    others = math.sqrt(max(float(parts.sum() - parts.max()), _TINY)) * scale
    even = 1 + 2 * min(1 / others, math.sqrt(float(shapes.sum())))
    block = max(_NODES, _ENTRIES // len(weights))
    total, start = 0.0, 0
    while True:
        steps = np.arange(start, start + block) * _SPACING
        heights = scale * even * np.sinh(steps / even)
        turned = heights[:, None] * tilted
        size = peak * np.exp(-0.5 * np.log1p(turned**2) @ shapes)
        values = (
            size
            * np.exp(1j * (np.arctan(turned) @ shapes))
            / (1j * heights - line)
            * np.cosh(steps / even)
        )
        total += float(values.real.sum()) - (0.5 * float(values[0].real) if start == 0 else 0.0)
        start += block
        if abs(values[-1]) * scale < _NEGLIGIBLE:
            return min(max(0.0, -total * scale * _SPACING / math.pi), 1.0)


def _saddle_point(weights: arrays.Floats, shapes: arrays.Floats) -> float:
    """Return the root in t > 0 of ``sum(shapes * weights / (1 + t * weights))``, kept away from the pole at 0.

    The multiplier of empirical likelihood solves the same equation.
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
