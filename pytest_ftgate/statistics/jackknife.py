"""The delete-one and delete-a-group jackknife, with Student's t."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_ftgate.statistics.arrays import Codes, Floats

METHOD = "paired delete-one jackknife, Student's t (Tukey 1958; Efron & Tibshirani 1993)"
GROUP_METHOD = "paired delete-a-group jackknife, Student's t (Tukey 1958; Bell & McCaffrey 2002)"
_ROUNDING = 1e-12
_SLACK = 1e-9


@dataclass(frozen=True)
class Jackknife:
    """An estimate from the whole sample with its standard error, taken as Student's t of so many degrees of freedom.

    The error is 0 where leaving out any unit changes nothing, which proves nothing.
    """

    estimate: float
    standard_error: float
    degrees: int

    def p_value(self, target: float) -> float:
        """Return the one-sided p-value of "the real value is at most ``target``"."""
        from scipy.special import stdtr

        return float(stdtr(self.degrees, (target - self.estimate) / self.standard_error))

    def half_width(self, alpha: float) -> float:
        """Return how far a one-sided bound at level ``alpha`` lies from the estimate."""
        from scipy.special import stdtrit

        return float(stdtrit(self.degrees, 1 - alpha)) * self.standard_error


def jackknife(estimate: float, left_out: Floats, weights: Floats | None = None) -> Jackknife:
    """Take the standard error from the estimates with one unit left out, ``(units,)``, for a smooth statistic.

    For a mean and single examples it is the usual standard error. Units that do not weigh the same have ``weights``:
    see :func:`degrees_of_freedom`.

    Source: B. Efron & R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 11.
    """
    units = len(left_out)
    degrees = units - 1 if weights is None or units < 2 else degrees_of_freedom(weights)
    deviations = left_out - left_out.mean()
    spread = float(np.abs(deviations).max(initial=0.0))
    if units < 2 or spread <= _ROUNDING * max(1.0, abs(estimate)):
        return Jackknife(estimate, 0.0, degrees)
    return Jackknife(estimate, math.sqrt((units - 1) / units * float(deviations @ deviations)), degrees)


def degrees_of_freedom(weights: Floats) -> int:
    """Return Satterthwaite's, rounded down: how well the squares of the jackknife tell its error.

    The error of unlike units hangs on the few that weigh most. As in Bell & McCaffrey the degrees are those of the
    chi-square with the mean and the variance that the squared error has in a model; here units scatter alike, whatever
    they weigh, as groups do whose examples go together. Units of one weight have one degree less than there are units.
    Weights are not negative, some above 0.

    Sources: R. M. Bell & D. F. McCaffrey, Survey Methodology 28 (2002) 169-181; G. W. Imbens & M. Kolesar, Review of
    Economics and Statistics 98 (2016) 701-712.
    """
    share = weights / weights.sum()
    if 1 - float(share.max()) < _SLACK:
        return 1  # one unit is all there is
    # With m the means of the units, the estimate is share @ m, and its squared error sums pull_g * (m_g - estimate)^2.
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
    """Return the mean of all values but one group's, for each group."""
    sums, sizes = np.bincount(groups, weights=values), np.bincount(groups)
    left: Floats = (values.sum() - sums) / (len(values) - sizes)
    return left
