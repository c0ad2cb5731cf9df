"""Estimate standard errors by leaving out examples or groups, with Student's t."""

import math
from dataclasses import dataclass

import numpy as np

from pytest_ftgate.statistics.arrays import Codes, Floats

METHOD = "paired delete-one jackknife, Student's t (Tukey 1958; Efron & Tibshirani 1993)"
GROUP_METHOD = (
    "clustered standard error CR2, Student's t (Bell & McCaffrey 2002; Hall 1992), "
    "sign flips of groups (Fisher 1935)"
)
_ROUNDING = 1e-12
_SLACK = 1e-9


@dataclass(frozen=True)
class Estimate:
    """An estimate with its standard error, distributed like Student's t.

    Attributes:
        value: the estimate from the whole sample.
        standard_error: in the unit of the estimate; 0 if leaving out any unit changes nothing.
        degrees: degrees of freedom.
        skewness: of the estimate; negative if few units lose much.
    """

    value: float
    standard_error: float
    degrees: float
    skewness: float

    def p_value(self, target: float) -> float:
        """Return the one-sided p-value of "the true value is at most ``target``".

        Without any standard error nothing is left to chance: it is 0 above the target, else 1.
        """
        return self._p_value(target, 0.0)

    def corrected_p_value(self, target: float) -> float:
        """Return the p-value corrected for negative skewness, which makes it larger.

        Large losses that few units have are often missing from a sample. Positive skewness never
        makes the p-value smaller.

        Source: P. Hall, Journal of the Royal Statistical Society B 54 (1992) 221-228.
        """
        return self._p_value(target, min(self.skewness, 0.0))

    def _p_value(self, target: float, skewness: float) -> float:
        from scipy.special import stdtr

        if self.standard_error == 0:
            if self.value > target:
                return 0.0
            return 1.0
        errors = (self.value - target) / self.standard_error
        errors += skewness * errors**2 / 3 + skewness**2 * errors**3 / 27 + skewness / 6
        return float(stdtr(self.degrees, -errors))

    def half_width(self, alpha: float) -> float:
        """Return the distance of a one-sided bound at level ``alpha`` from the estimate."""
        from scipy.special import stdtrit

        return float(stdtrit(self.degrees, 1 - alpha)) * self.standard_error


def jackknife(estimate: float, left_out: Floats, weights: Floats | None = None) -> Estimate:
    """Return the standard error of a smooth statistic from its values without each unit.

    For equal weights it is the jackknife's, for the mean of groups of different sizes the clustered
    standard error CR2.

    Args:
        estimate: from the whole sample.
        left_out: the estimates without one unit, shape ``(units,)``.
        weights: of the units, shape ``(units,)``; None: equal weights.

    Sources: B. Efron & R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 11; for
    CR2 R. M. Bell & D. F. McCaffrey, Survey Methodology 28 (2002) 169-181. Leaving out a group of
    the share h moves a mean by h / (1 - h) times the group's distance from it, and CR2 has
    h^2 / (1 - h) times the square of that distance.
    """
    units = len(left_out)
    weights = np.ones(units) if weights is None else weights
    share = weights / weights.sum()
    degrees = degrees_of_freedom(weights)
    deviations = estimate - left_out
    largest = float(np.abs(deviations).max(initial=0.0))
    if units < 2 or largest <= _ROUNDING * max(1.0, abs(estimate)):
        return Estimate(estimate, standard_error=0.0, degrees=degrees, skewness=0.0)

    variance = float((1 - share) @ deviations**2)
    centred = deviations - deviations.mean()
    spread = float(centred @ centred)
    skewness = float((centred**3).sum()) / spread**1.5 if spread > 0 else 0.0
    return Estimate(
        estimate, standard_error=math.sqrt(variance), degrees=degrees, skewness=skewness
    )


def degrees_of_freedom(weights: Floats) -> float:
    """Return Satterthwaite's degrees of freedom of the standard error CR2, at least 1.

    They are those of the chi-square distribution with the mean and variance of the squared error
    under a model. In this model all units have the same variance, whatever their weight, like
    groups of dependent examples. For equal weights the result is the number of units minus 1.

    Args:
        weights: of the units, shape ``(units,)``; not negative, at least one above 0.

    Sources: R. M. Bell & D. F. McCaffrey, Survey Methodology 28 (2002) 169-181; G. W. Imbens &
    M. Kolesar, Review of Economics and Statistics 98 (2016) 701-712.
    """
    share = weights / weights.sum()
    if 1 - float(share.max()) < _SLACK:
        return 1.0  # one unit has all the weight

    # With the means m of the units, the estimate is share @ m, and its squared error sums
    # pull_g * (m_g - estimate)^2. The differences m_g - estimate have the covariances
    # (g = h) - share_g - share_h + squares.
    squares = float(share @ share)
    pull = share**2 / (1 - share)
    variances = 1 - 2 * share + squares
    whole = float(pull.sum())
    first = float(pull @ share)
    second = float(pull @ share**2)
    covariances = squares**2 * whole**2 + 2 * whole * second - 4 * squares * whole * first
    covariances += 2 * first**2 - float(pull**2 @ (squares - 2 * share) ** 2)
    degrees = float(pull @ variances) ** 2 / (float(pull**2 @ variances**2) + covariances)
    return max(1.0, degrees)


def means_without_a_group(values: Floats, groups: Codes) -> Floats:
    """Return the mean of the values ``(n,)`` without each group, shape ``(G,)``.

    ``groups`` are codes ``(n,)``. The mean is NaN where the group has all values.
    """
    sums = np.bincount(groups, weights=values)
    others = len(values) - np.bincount(groups)
    means: Floats = np.full(len(sums), np.nan)
    np.divide(values.sum() - sums, others, out=means, where=others > 0)
    return means
