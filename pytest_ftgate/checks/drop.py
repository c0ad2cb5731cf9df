"""How much worse the candidate may be: two scores on the same examples, held to one of three standards. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING

from pytest_ftgate.errors import ConfigError
from pytest_ftgate.result import Status
from pytest_ftgate.text import is_share, plural, settled_by, show_amount, show_difference, show_value

if TYPE_CHECKING:
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.statistics import Comparison

_NO_MARGIN = -1e-12
"""Stands for a drop of 0 where nothing has to be proven: what rules out a drop needs a margin below 0."""


@dataclass(frozen=True)
class Allowance:
    """What a drop is held to.

    Attributes:
        max_drop: how much worse than the baseline the candidate may be, in the metric's unit.
        evidence: "observed": the measured drop is at most that. "proven": and we are ``confidence`` sure that the real
            one is. "significant": too large a drop counts only where we are ``confidence`` sure of any drop at all.
        confidence: one-sided, and corrected where several drops are judged at once.
        repeats: answers per example.
    """

    max_drop: float
    evidence: str
    confidence: float
    repeats: int = 1


@dataclass(frozen=True)
class Drop:
    """What was measured, and what became of it: one of the verdicts, or "warning"."""

    status: Status
    compared: Comparison


@dataclass(frozen=True)
class Size:
    """How many examples there are and are needed at least; or groups of one size, where some belong together.

    Attributes:
        have: so many; groups of different sizes count as fewer than there are.
        needed: at least.
        unit: "example" or "group".
        there: where sizes do not count; as many as ``have`` where it is not said.
    """

    have: int
    needed: int
    unit: str
    there: int | None = None

    @property
    def enough(self) -> bool:
        return self.have >= self.needed

    def __str__(self) -> str:
        if self.there is None or self.there == self.have:
            return plural(self.have, self.unit)
        return f"{plural(self.there, self.unit)} of such different sizes that they count as {self.have:,}"


def check_max_drop(metric: Metric, max_drop: float, source: str) -> None:
    """A drop that no model could exceed is a slip of the pen: 3 for three points. Raises :class:`ConfigError`."""
    if max_drop < metric.high - metric.low:
        return
    percent = max_drop / 100
    raise ConfigError(
        f"max_drop {max_drop:g} ({source}) is impossible: {metric.name} lies between {metric.low:g} and "
        f"{metric.high:g}, so that no drop could be too large",
        cure=f"Did you mean {percent:g}?"
        if percent < metric.high - metric.low
        else "Give max_drop in the metric's unit.",
    )


def size_of(metric: Metric, groups: Sequence[str | None], allowance: Allowance) -> Size:
    """The examples with these groups, and how many could be judged at all; see
    :func:`~pytest_ftgate.statistics.fewest_examples`."""
    from pytest_ftgate.statistics import (
        MIN_GROUPS,
        MOST_EXAMPLES,
        effective_groups,
        fewest_examples,
        group_codes,
        group_sizes,
    )

    codes = group_codes(groups, len(groups))
    have = there = len(groups)
    if codes is not None:
        sizes = group_sizes(codes)
        have, there = effective_groups(sizes), len(sizes)
    unit = "example" if codes is None else "group"
    if allowance.evidence == "observed":
        return Size(have, 1, unit, there)
    exact = metric.kind == "right_wrong" and allowance.repeats == 1 and codes is None
    width = metric.high - metric.low if metric.kind != "set" and isfinite(metric.high - metric.low) else 1.0
    share, confidence = allowance.max_drop / width, allowance.confidence
    found = fewest_examples(share, confidence=confidence, evidence=allowance.evidence, exact=exact)
    needed = MOST_EXAMPLES if found is None else found  # so many at least
    return Size(have, needed if codes is None else max(needed, MIN_GROUPS), unit, there)


def judge_drop(baseline: Scored, candidate: Scored, allowance: Allowance, groups: Sequence[str | None]) -> Drop:
    """Hold the candidate's score against the baseline's on the same examples."""
    compared = _compare(baseline, candidate, allowance, groups)
    gain = compared.gain if compared.gain_exact is None else compared.gain_exact
    return Drop(_status(compared, is_within(gain, allowance.max_drop), allowance.evidence), compared)


def is_within(gain: float | Fraction, max_drop: float) -> bool:
    """Exact: counts as fractions, other values after rounding to 12 decimals. Equal is within."""
    seen = gain if isinstance(gain, Fraction) else Fraction(repr(round(gain, 12)))
    return seen >= -Fraction(repr(max_drop))


def _status(compared: Comparison, within: bool, evidence: str) -> Status:
    if evidence == "significant":
        worse = compared.upper is not None and compared.upper < 0
        return "pass" if within else "fail" if worse else "warning"
    if not within:
        return "fail"
    return "pass" if evidence == "observed" or compared.reaches_margin else "inconclusive"


def _compare(baseline: Scored, candidate: Scored, allowance: Allowance, groups: Sequence[str | None]) -> Comparison:
    from pytest_ftgate.runs.measure import compare_scored

    return compare_scored(
        baseline,
        candidate,
        repeats=allowance.repeats,
        margin=-allowance.max_drop or _NO_MARGIN,
        confidence=allowance.confidence,
        evidence="proven" if allowance.evidence == "proven" else "observed",
        groups=groups,
    )


# --- in words ------------------------------------------------------------------------------------------------


def told(drop: Drop, metric: Metric, allowance: Allowance, values: tuple[float, float]) -> str:
    """What was measured and what is allowed, then what can be said of it.

    Args:
        drop: as judged.
        metric: by which.
        allowance: to what it was held.
        values: of the baseline and of the candidate.
    """
    share = is_share((metric.low, metric.high))
    before, after = (show_value(value, share=share) for value in values)
    change = show_difference(drop.compared.gain, share=share)
    asked = f"a drop of {show_amount(allowance.max_drop, share=share)} is allowed"
    return f"{metric.name} {before} to {after} ({change}), {asked}{_sureness(drop, allowance, share)}"


def _sureness(drop: Drop, allowance: Allowance, share: bool) -> str:
    compared, sure = drop.compared, f"{100 * allowance.confidence:.4g} % sure"
    if allowance.evidence == "observed":
        return ""
    if compared.lower is None or compared.upper is None:
        return f"; how sure that is cannot be told: {compared.note or 'no bound exists'}"
    if allowance.evidence == "proven":
        least = show_difference(compared.lower, share=share)
        return (
            f"; {sure} of at least {least}" if compared.lower > 0 else f"; {sure} of no more than {_lost(least)} lost"
        )
    if drop.status == "warning":
        return f"; not {sure} that anything was lost"
    most = show_difference(compared.upper, share=share)
    return f"; {sure} of at least {_lost(most)} lost" if drop.status == "fail" else ""


def _lost(difference: str) -> str:
    return difference.lstrip("+-")


def examples_advice(drop: Drop) -> str:
    """What would settle a drop that is not too large, and not proven to be so."""
    needed = drop.compared.examples_needed
    if needed is None:
        return "More examples help only if the candidate lost less than it looks here."
    return settled_by("difference", needed, drop.compared.n, "example")
