"""The delete-one and delete-a-group jackknife, with Student's t."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METHOD = "paired delete-one jackknife, Student's t (Tukey 1958; Efron & Tibshirani 1993)"
GROUP_METHOD = "paired delete-a-group jackknife, Student's t (Tukey 1958; Efron & Tibshirani 1993)"
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Jackknife:
    """An estimate with its standard error, taken as Student's t.

    Attributes:
        estimate: from the whole sample.
        standard_error: 0 where leaving out any unit changes nothing, which proves nothing.
        degrees: units less one.
    """

    estimate: float
    standard_error: float
    degrees: int

    def p_value(self, target: float) -> float:
        """One-sided p-value of "the real value is at most ``target``"."""
        from scipy.special import stdtr

        return float(stdtr(self.degrees, (target - self.estimate) / self.standard_error))

    def half_width(self, alpha: float) -> float:
        """How far a one-sided bound at level ``alpha`` lies from the estimate."""
        from scipy.special import stdtrit

        return float(stdtrit(self.degrees, 1 - alpha)) * self.standard_error


def jackknife(estimate: float, left_out: NDArray[np.float64]) -> Jackknife:
    """Standard error from the estimates with one unit left out, for a smooth statistic.

    For a mean and single examples it is the usual standard error.

    Source: B. Efron & R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 11.

    Args:
        estimate: from the whole sample.
        left_out: one estimate per unit, without that unit, shape ``(units,)``.
    """
    import numpy as np

    units = len(left_out)
    deviations = left_out - left_out.mean()
    spread = float(np.abs(deviations).max(initial=0.0))
    if units < 2 or spread <= _ROUNDING * max(1.0, abs(estimate)):
        return Jackknife(estimate, 0.0, units - 1)
    return Jackknife(estimate, math.sqrt((units - 1) / units * float(deviations @ deviations)), units - 1)


def means_without_a_group(values: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of all values but one group's, for each group."""
    import numpy as np

    sums, sizes = np.bincount(groups, weights=values), np.bincount(groups)
    left: NDArray[np.float64] = (values.sum() - sums) / (len(values) - sizes)
    return left
