"""How much worse the candidate may be: two scores on the same examples, held to one of three standards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import ConfigError
from pytest_ftgate.result import Status
from pytest_ftgate.text import (
    is_share,
    plural,
    settled_by,
    show_amount,
    show_difference,
    show_distance,
    show_value,
)

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.statistics import Comparison

_NO_MARGIN = -1e-12
"""Stands for a drop of 0 where nothing has to be proven: what rules out a drop needs a margin below 0."""


@dataclass(frozen=True)
class Tolerance:
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
        """Return whether there are as many as are needed."""
        return self.have >= self.needed

    def __str__(self) -> str:
        if self.there is None or self.there == self.have:
            return plural(self.have, self.unit)
        return f"{plural(self.there, self.unit)} of such different sizes that they count as {self.have:,}"


def check_max_drop(metric: Metric, max_drop: float, source: str) -> None:
    """Refuse a drop that no model could exceed, a slip of the pen: 3 for three points. Raise :class:`ConfigError`."""
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


def size_of(metric: Metric, groups: Sequence[str | None], tolerance: Tolerance) -> Size:
    """Count the examples with these groups, and how many could be judged at all; see
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
    if tolerance.evidence == "observed":
        return Size(have, 1, unit, there)
    exact = metric.kind == "right_wrong" and tolerance.repeats == 1 and codes is None
    width = metric.high - metric.low if metric.kind != "set" and isfinite(metric.high - metric.low) else 1.0
    share, confidence = tolerance.max_drop / width, tolerance.confidence
    fewest = fewest_examples(share, confidence=confidence, evidence=tolerance.evidence, exact=exact)
    needed = MOST_EXAMPLES if fewest is None else fewest  # so many at least
    return Size(have, needed if codes is None else max(needed, MIN_GROUPS), unit, there)


# --- the comparison ------------------------------------------------------------------------------------------


def as_fraction(gain: float | Fraction) -> Fraction:
    """Return a gain as it is compared, exactly: counts as fractions, other values after rounding to 12 decimals."""
    return gain if isinstance(gain, Fraction) else Fraction(repr(round(gain, 12)))


def exact_gain(comparison: Comparison) -> Fraction:
    """Return a measured gain as it is compared."""
    return as_fraction(comparison.gain if comparison.gain_exact is None else comparison.gain_exact)


def judge_drop(baseline: Scored, candidate: Scored, tolerance: Tolerance, groups: Sequence[str | None]) -> Drop:
    """Hold the candidate's score against the baseline's on the same examples."""
    from pytest_ftgate.runs.measure import compare_scored

    compared = compare_scored(
        baseline,
        candidate,
        repeats=tolerance.repeats,
        margin=-tolerance.max_drop or _NO_MARGIN,
        confidence=tolerance.confidence,
        evidence="proven" if tolerance.evidence == "proven" else "observed",
        groups=groups,
    )
    return Drop(status_of(compared, tolerance.max_drop, tolerance.evidence), compared)


def is_within(gain: float | Fraction, max_drop: float) -> bool:
    """Return whether no more was lost than that, exactly: see :func:`as_fraction`. Equal is within."""
    return as_fraction(gain) >= -Fraction(repr(max_drop))


def gain_reaches(gain: float | Fraction, margin: float) -> bool:
    """Return whether a gain reaches a margin, exactly: see :func:`as_fraction`. Margin 0 asks for more than 0."""
    seen, least = as_fraction(gain), Fraction(repr(margin))
    return seen > 0 if least == 0 else seen >= least


def is_shown(gate: Context, comparison: Comparison) -> bool:
    """Return whether a gain is shown as surely as the gate's ``evidence`` asks for."""
    shown = {"observed": True, "significant": comparison.above_zero, "proven": comparison.reaches_margin}
    return bool(shown[gate.config.evidence])


def gain_status(gate: Context, comparison: Comparison) -> Status:
    """Return what becomes of the candidate's gain over one baseline."""
    if gate.config.objective == "match":
        return status_of(comparison, gate.config.max_drop, "proven")
    if not gain_reaches(exact_gain(comparison), gate.config.margin):
        return "fail"
    return "pass" if is_shown(gate, comparison) else "inconclusive"


def status_of(compared: Comparison, max_drop: float, evidence: str) -> Status:
    """Return what becomes of a comparison whose margin is ``-max_drop``."""
    within = is_within(exact_gain(compared), max_drop)
    if evidence == "significant":
        worse = compared.upper is not None and compared.upper < 0
        return "pass" if within else "fail" if worse else "warning"
    if not within:
        return "fail"
    return "pass" if evidence == "observed" or compared.reaches_margin else "inconclusive"


# --- in words ------------------------------------------------------------------------------------------------


def drop_fields(gate: Context, path: str, drop: Drop | None = None) -> dict[str, Any]:
    """Return the fields of a check of a drop below the key ``path``: what was lost, and what may be."""
    field = gate.requirement(f"{path}.max_drop")
    observed = {} if drop is None else {"observed": drop.compared.gain}
    return {**field, **observed, "required": -field["required"] or 0.0}


def describe(drop: Drop, metric: Metric, tolerance: Tolerance, values: tuple[float, float]) -> str:
    """Say what was measured and what is allowed, then what is known of it.

    Args:
        drop: as judged.
        metric: by which.
        tolerance: to what it was held.
        values: of the baseline and of the candidate.
    """
    share = is_share((metric.low, metric.high))
    before, after = (show_value(value, share=share) for value in values)
    change = show_difference(drop.compared.gain, share=share)
    allowed = f"a drop of {show_amount(tolerance.max_drop, share=share)} is allowed"
    return f"{metric.name} {before} to {after} ({change}), {allowed}{_sureness(drop, tolerance, share)}"


def _sureness(drop: Drop, tolerance: Tolerance, share: bool) -> str:
    compared, sure = drop.compared, f"{100 * tolerance.confidence:.4g} % sure"
    if tolerance.evidence == "observed":
        return ""
    if compared.lower is None or compared.upper is None:
        return f"; how sure that is cannot be told: {compared.note or 'no bound exists'}"
    if tolerance.evidence == "proven":
        if compared.lower > 0:
            return f"; {sure} of at least {show_difference(compared.lower, share=share)}"
        return f"; {sure} of no more than {show_distance(compared.lower, share=share)} lost"
    if drop.status == "warning":
        return f"; not {sure} that anything was lost"
    return f"; {sure} of at least {show_distance(compared.upper, share=share)} lost" if drop.status == "fail" else ""


def examples_advice(compared: Comparison, hope: str = "lost less", noun: str = "example") -> str:
    """Say what would settle a drop that is not too large, and not proven to be so.

    Args:
        compared: the candidate with the baseline.
        hope: what the candidate would have to have done for more examples to help.
        noun: what is counted.
    """
    if compared.examples_needed is None:
        return f"More examples help only if the candidate {hope} than it looks here."
    return settled_by("difference", compared.examples_needed, compared.n, noun)
