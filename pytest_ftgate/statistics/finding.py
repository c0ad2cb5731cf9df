"""What one method finds out about the real gain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_ftgate.statistics import exact, graded, planning

if TYPE_CHECKING:
    from pytest_ftgate.statistics.comparison import Question
    from pytest_ftgate.statistics.graded import Sample
    from pytest_ftgate.statistics.jackknife import Jackknife


@dataclass(frozen=True)
class Finding:
    """A method, applied.

    Attributes:
        method: by name, with its source.
        p_value: one-sided p-value of "the real gain is at most this".
        lower: one-sided bound of the real gain at the level asked for.
        upper: likewise.
        needed: how many examples would show that the real gain is above this; None where no number would.
    """

    method: str
    p_value: Callable[[float], float]
    lower: float
    upper: float
    needed: Callable[[float], int | None]


@lru_cache(maxsize=100)  # a gate is often asked twice: as it is, and with case and punctuation ignored
def by_exact_test(wins: int, losses: int, n: int, question: Question) -> Finding:
    """Apply the exact test to right and wrong answers."""
    alpha, gamma = question.alpha, exact.spent_on_rate(question.alpha)
    return Finding(
        exact.METHOD,
        lambda target: exact.exact_p_value(wins, losses, n, target, gamma=gamma),
        exact.exact_lower(wins, losses, n, alpha, gamma=gamma),
        -exact.exact_lower(losses, wins, n, alpha, gamma=gamma),
        lambda target: planning.needed_right_wrong(wins, losses, n, target, question.confidence),
    )


def by_gaffke(sample: Sample, opposite: Sample, unit: float, question: Question, *, size: float = 1.0) -> Finding:
    """Apply Gaffke's test to bounded differences.

    Args:
        sample: the differences.
        opposite: the same with the sign turned, for the upper bound.
        unit: what a difference of 1 is in the metric's unit.
        question: for its confidence.
        size: examples per difference.
    """

    def needed(target: float) -> int | None:
        differences = planning.needed_graded(sample, target / unit, question.confidence)
        return None if differences is None else math.ceil(differences * size)

    return Finding(
        graded.METHOD,
        lambda target: graded.graded_p_value(sample, target / unit),
        graded.graded_lower(sample, question.alpha) * unit,
        -graded.graded_lower(opposite, question.alpha) * unit,
        needed,
    )


def by_jackknife(method: str, found: Jackknife, n: int, question: Question) -> Finding:
    """Apply Student's t to the jackknife of any smooth statistic; the standard error must not be 0."""
    width = found.half_width(question.alpha)
    return Finding(
        method,
        found.p_value,
        found.estimate - width,
        found.estimate + width,
        lambda target: planning.needed_by_error(n, found.estimate, found.standard_error, target, question.confidence),
    )


def more_cautious(first: Finding, second: Finding) -> Finding:
    """Return what both find."""

    def needed(target: float) -> int | None:
        numbers = first.needed(target), second.needed(target)
        return None if None in numbers else max(number for number in numbers if number is not None)

    return Finding(
        f"{first.method}, and {second.method}; the more cautious counts",
        lambda target: max(first.p_value(target), second.p_value(target)),
        min(first.lower, second.lower),
        max(first.upper, second.upper),
        needed,
    )


def within(finding: Finding, lowest: float, highest: float) -> Finding:
    """Return the bounds cut to what a gain can be at all."""
    return replace(finding, lower=max(finding.lower, lowest), upper=min(finding.upper, highest))
