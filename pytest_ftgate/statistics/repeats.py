"""Several answers per example: how much of the noise more repeats can remove, and how much only more examples can."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_ftgate.statistics.arrays import Floats
from pytest_ftgate.statistics.planning import normal_sum


@dataclass(frozen=True)
class Spread:
    """Where the noise of a measured gain comes from.

    Attributes:
        repeats: answers per example.
        between: variance between examples of the real difference.
        within: variance of one answer's difference around its example's real difference, averaged over examples.
    """

    examples: int
    repeats: int
    between: float
    within: float

    def standard_error(self, examples: int | None = None, repeats: int | None = None) -> float:
        """Return that of the mean gain, with these numbers or with others."""
        variance = self.between + self.within / (repeats or self.repeats)
        return math.sqrt(variance / (examples or self.examples))


@dataclass(frozen=True)
class Remedy:
    """What would settle a gain: further answers per example, on the same examples, or further examples, with as many
    repeats as now; None where it would not.
    """

    more_repeats: int | None
    more_examples: int | None


def spread_of(baseline: Floats, candidate: Floats) -> Spread:
    """Split the variance of the differences of scores ``(repeats, n)``, two of each or more, by the method of moments.

    The answers of the two models are independent given the example, so their variances within examples add up.

    Source: E. Miller, Adding Error Bars to Evals, arXiv:2411.00640 (2024).
    """
    if baseline.shape != candidate.shape or baseline.ndim != 2 or min(baseline.shape) < 2:
        raise ValueError(
            "scores of two models must have one shape (repeats, examples) of at least (2, 2), "
            f"got {baseline.shape} and {candidate.shape}"
        )
    repeats, examples = baseline.shape
    within = float((baseline.var(axis=0, ddof=1) + candidate.var(axis=0, ddof=1)).mean())
    observed = float((candidate - baseline).mean(axis=0).var(ddof=1))
    return Spread(examples, repeats, max(0.0, observed - within / repeats), within)


def remedy(spread: Spread, *, gain: float, target: float, confidence: float) -> Remedy:
    """Say what would show, 4 times out of 5, that the real gain is above ``target`` (0, or the margin), if it is what
    was measured; ``confidence`` is one-sided.
    """
    if gain <= target:
        return Remedy(None, None)
    error = (gain - target) / normal_sum(confidence)
    examples = math.ceil((spread.between + spread.within / spread.repeats) / error**2)
    room = error**2 * spread.examples - spread.between
    repeats = math.ceil(spread.within / room) if room > 0 else None
    return Remedy(None if repeats is None else max(0, repeats - spread.repeats), max(0, examples - spread.examples))
