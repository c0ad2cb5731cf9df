"""Estimate standard errors by the delete-one and delete-a-group jackknife, with Student's t."""

import math
from dataclasses import dataclass

import numpy as np

from pytest_ftgate.statistics.arrays import Codes, Floats

METHOD = "paired delete-one jackknife, Student's t (Tukey 1958; Efron & Tibshirani 1993)"
GROUP_METHOD = "paired delete-a-group jackknife, Student's t (Tukey 1958; Bell & McCaffrey 2002; Hall 1992)"
GROUP_METHOD += ", sign flips of groups (Fisher 1935)"
_ROUNDING, _SLACK = 1e-12, 1e-9


@dataclass(frozen=True)
class Jackknife:
    """An estimate with its standard error, distributed like Student's t.

    Attributes:
        estimate: from the whole sample.
        standard_error: in the unit of the estimate; 0 if leaving out any unit changes nothing, which shows nothing.
        degrees: degrees of freedom.
        skewness: of the estimate; negative if few units lose much.
    """

    estimate: float
    standard_error: float
    degrees: int
    skewness: float = 0.0

    def p_value(self, target: float, *, corrected: bool = False) -> float:
        """Return the one-sided p-value of "the real value is at most ``target``".

        If ``corrected``, negative skewness makes it larger, because large losses that few units have are often missing
        from a sample. Positive skewness never makes it smaller.

        Source of the correction: P. Hall, Journal of the Royal Statistical Society B 54 (1992) 221-228.
        """
        from scipy.special import stdtr

        errors = (self.estimate - target) / self.standard_error
        skewness = min(self.skewness, 0.0) if corrected else 0.0
        errors += skewness * errors**2 / 3 + skewness**2 * errors**3 / 27 + skewness / 6
        return float(stdtr(self.degrees, -errors))

    def half_width(self, alpha: float) -> float:
        """Return the distance of a one-sided bound at significance level ``alpha`` from the estimate."""
        from scipy.special import stdtrit

        return float(stdtrit(self.degrees, 1 - alpha)) * self.standard_error


def jackknife(estimate: float, left_out: Floats, weights: Floats | None = None) -> Jackknife:
    """Return the jackknife of a smooth statistic. For the mean of single examples this is the usual standard error.

    Args:
        estimate: from the whole sample.
        left_out: the estimates without one unit, shape ``(units,)``.
        weights: of the units, shape ``(units,)``, for :func:`degrees_of_freedom`; None: equal weights.

    Source: B. Efron & R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 11.
    """
    units = len(left_out)
    degrees = units - 1 if weights is None or units < 2 else degrees_of_freedom(weights)
    deviations = left_out - left_out.mean()
    if units < 2 or float(np.abs(deviations).max(initial=0.0)) <= _ROUNDING * max(1.0, abs(estimate)):
        return Jackknife(estimate, 0.0, degrees)
    squares = float(deviations @ deviations)
    skewness = -float((deviations**3).sum()) / squares**1.5
    return Jackknife(estimate, math.sqrt((units - 1) / units * squares), degrees, skewness)


def degrees_of_freedom(weights: Floats) -> int:
    """Return Satterthwaite's degrees of freedom of the jackknife's standard error, rounded down.

    The standard error of unequal units depends on the few that weigh most. As in Bell & McCaffrey the degrees are those
    of the chi-square distribution with the mean and variance of the squared error under a model. In this model all
    units have the same variance, whatever their weight, like groups of dependent examples. For equal weights the result
    is the number of units minus 1.

    Args:
        weights: of the units, shape ``(units,)``; not negative, at least one above 0.

    Sources: R. M. Bell & D. F. McCaffrey, Survey Methodology 28 (2002) 169-181; G. W. Imbens & M. Kolesar, Review of
    Economics and Statistics 98 (2016) 701-712.
    """
    share = weights / weights.sum()
    if 1 - float(share.max()) < _SLACK:
        return 1  # one unit has all the weight
    # With the means m of the units, the estimate is share @ m, and its squared error sums pull_g * (m_g - estimate)^2.
    # The differences m_g - estimate have the covariances (g = h) - share_g - share_h + squares.
    squares = float(share @ share)
    pull = (share / (1 - share)) ** 2
    own = 1 - 2 * share + squares
    whole, first, second = float(pull.sum()), float(pull @ share), float(pull @ share**2)
    shared = squares**2 * whole**2 + 2 * whole * second - 4 * squares * whole * first + 2 * first**2
    shared -= float(pull**2 @ (squares - 2 * share) ** 2)
    found = float(pull @ own) ** 2 / (float(pull**2 @ own**2) + shared)
    return max(1, math.floor(found * (1 + _SLACK)))


def means_without_a_group(values: Floats, groups: Codes) -> Floats:
    """Return the mean of the values ``(n,)`` without each group, shape ``(G,)``; ``groups`` are codes ``(n,)``.

    It is NaN where the group has all values.
    """
    sums, others = np.bincount(groups, weights=values), len(values) - np.bincount(groups)
    left: Floats = np.divide(values.sum() - sums, others, out=np.full(len(sums), np.nan), where=others > 0)
    return left
