"""Divide the noise of repeated answers into what more repeats, and what only more examples, can reduce."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from pytest_ftgate.statistics.arrays import Floats
from pytest_ftgate.statistics.planning import POWER, normal_sum


@dataclass(frozen=True)
class Spread:
    """The variance components of a measured gain, in the square of the metric's unit.

    Attributes:
        examples: number of examples.
        repeats: answers per example.
        between: variance of the real difference between examples.
        within: variance of a single difference around the real one of its example, averaged over examples.
    """

    examples: int
    repeats: int
    between: float
    within: float

    def standard_error(self, examples: int | None = None, repeats: int | None = None) -> float:
        """Return the standard error of the mean gain, with these numbers of examples and repeats or with others."""
        variance = self.between + self.within / (repeats or self.repeats)
        return math.sqrt(variance / (examples or self.examples))


@dataclass(frozen=True)
class Remedy:
    """What would show a gain; None if it would not.

    Attributes:
        more_repeats: further answers per example, on the same examples.
        more_examples: further examples, with the same repeats.
    """

    more_repeats: int | None
    more_examples: int | None


def spread_of(baseline: Floats, candidate: Floats) -> Spread:
    """Return the variance components of the differences of scores ``(repeats, n)``, by the method of moments.

    Given the example, the answers of the two models are independent, so their variances within examples add up.

    Source: E. Miller, Adding Error Bars to Evals, arXiv:2411.00640 (2024).
    """
    if baseline.shape != candidate.shape or baseline.ndim != 2 or min(baseline.shape) < 2:
        raise ValueError(
            "scores of both models must have the same shape (repeats, examples), at least (2, 2), "
            f"got {baseline.shape} and {candidate.shape}"
        )
    repeats, examples = baseline.shape
    within = float((baseline.var(axis=0, ddof=1) + candidate.var(axis=0, ddof=1)).mean())
    observed = float((candidate - baseline).mean(axis=0).var(ddof=1))
    return Spread(examples, repeats, max(0.0, observed - within / repeats), within)


def remedy(spread: Spread, *, gain: float, target: float, margin: float, confidence: float) -> Remedy:
    """Return what would show with 80 % power that the real gain is above a target, if it is the measured one.

    The measured gain must reach the margin with 80 % power, too.
    """
    if gain <= max(target, margin):
        return Remedy(None, None)
    error = min((gain - target) / normal_sum(confidence), (gain - margin) / NormalDist().inv_cdf(POWER))
    examples = math.ceil((spread.between + spread.within / spread.repeats) / error**2)
    room = error**2 * spread.examples - spread.between
    repeats = math.ceil(spread.within / room) if room > 0 else None
    return Remedy(None if repeats is None else max(0, repeats - spread.repeats), max(0, examples - spread.examples))
