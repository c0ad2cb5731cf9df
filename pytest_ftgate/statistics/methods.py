"""Choose and apply the method of a comparison, by the kind of metric, its range and the groups of examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from pytest_ftgate.statistics import exact, graded, jackknife, planning, set_level
from pytest_ftgate.statistics.arrays import Codes, Floats
from pytest_ftgate.statistics.comparison import Question, SetCounts
from pytest_ftgate.statistics.graded import Sample
from pytest_ftgate.statistics.groups import group_sizes, too_few
from pytest_ftgate.statistics.jackknife import Jackknife

NO_BOUNDS = "the metric has no bounds, so rare large losses cannot be ruled out"

Found: TypeAlias = "tuple[Finding | None, str | None]"
"""The result of a method, None if none applies; and a remark for the reader."""


@dataclass(frozen=True)
class Units:
    """The units of a jackknife: examples, or groups of them.

    Attributes:
        gain: of all examples, in the metric's unit.
        left_out: the gain without each unit, shape ``(units,)``.
        before: the fall of the baseline's score from all right to all wrong in each unit, shape ``(units,)``.
        after: the same of the candidate's score.
        examples: number of examples in all units.
        name: "example" or "group".
    """

    gain: float
    left_out: Floats
    before: Floats
    after: Floats
    examples: int
    name: str

    @classmethod
    def of_mean(cls, differences: Floats, codes: Codes, scale: float) -> Units:
        """Return the groups of differences ``(n,)``, each of which is at most ``scale`` in size, as units."""
        n = len(differences)
        weights = group_sizes(codes) / n * scale
        left_out = jackknife.means_without_a_group(differences, codes)
        return cls(float(differences.mean()), left_out, weights, weights, n, "group")

    @classmethod
    def of_set(cls, baseline: SetCounts, candidate: SetCounts, gain: float, codes: Codes | None) -> Units:
        """Return the examples of a metric of the whole set as units; with ``codes``, ``(n,)``, the groups."""
        if codes is None:
            without = [set_level.values_without_one(arm) for arm in (baseline, candidate)]
        else:
            without = [set_level.values_without_unit(arm, codes) for arm in (baseline, candidate)]
        before, after = (set_level.weights(arm, codes) for arm in (baseline, candidate))
        return cls(gain, without[1] - without[0], before, after, len(baseline), "example" if codes is None else "group")

    @property
    def weights(self) -> Floats:
        """Return the weights of the units, ``(units,)``: not negative, and equal if all are 0."""
        found: Floats = np.maximum(self.before, 0) + np.maximum(self.after, 0)
        return found if found.any() else found + 1

    @property
    def undefined(self) -> str | None:
        """Return why the metric is undefined without one unit or with one unit wrong; None if it is defined."""
        if not math.isfinite(self.left_out.sum()):
            return f"the metric is undefined with one {self.name} left out"
        defined = math.isfinite(self.before.sum() + self.after.sum())
        return None if defined else "the metric is undefined with one more wrong answer"


def of_right_wrong(wins: int, losses: int, differences: Floats, codes: Codes | None, question: Question) -> Found:
    """Apply the exact test; with groups, codes ``(n,)``, also the jackknife."""
    finding = by_exact_test(wins, losses, len(differences), question)
    return (finding, None) if codes is None else _of_grouped_mean(differences, codes, finding, 1.0, question)


def of_graded(differences: Floats, unit: float, codes: Codes | None, question: Question) -> Found:
    """Apply Gaffke's bound, with groups also the jackknife; if the range, ``unit``, is infinite, only the jackknife."""
    finding, note = _of_mean(differences, unit, question)
    return (finding, note) if codes is None else _of_grouped_mean(differences, codes, finding, unit, question)


def of_set(baseline: SetCounts, candidate: SetCounts, gain: float, codes: Codes | None, question: Question) -> Found:
    """Apply the jackknife and, where rare losses matter, Gaffke's bound to its pseudo-values.

    A test set that happens to show few losses makes the standard error too small. So Gaffke's bound is added for
    negative margins, and for means over labels or fields, some of which may be rare. If leaving out examples changes
    nothing, as with equal answers, no gain is shown, and Gaffke's bound alone can rule out a drop.
    """
    examples = Units.of_set(baseline, candidate, gain, None)
    if examples.undefined is not None:
        return None, examples.undefined
    guarded = question.margin < 0 or baseline.of_parts
    alone = _with_one_lost(examples, 1.0, question) if guarded else None
    if codes is not None:
        return _of_groups(Units.of_set(baseline, candidate, gain, codes), alone, 1.0, question)
    few = None if guarded else too_few(examples.weights, "example")
    return (None, few) if few is not None else _jackknifed(examples, alone, question)


def _of_mean(differences: Floats, unit: float, question: Question) -> Found:
    if math.isfinite(unit):
        sample, opposite = Sample.of(differences / unit, -1.0), Sample.of(-differences / unit, -1.0)
        return by_gaffke(sample, opposite, unit, question), None
    n = len(differences)
    left_out, weights = (differences.sum() - differences) / max(n - 1, 1), differences * 0 + 1
    examples = Units(float(differences.mean()), left_out, weights, weights, n, "example")
    finding, note = _by_left_out(examples, question)
    return finding, note or NO_BOUNDS


def _of_grouped_mean(
    differences: Floats, codes: Codes, ungrouped: Finding | None, unit: float, question: Question
) -> Found:
    groups = Units.of_mean(differences, codes, unit if math.isfinite(unit) else 1.0)
    found, note = _of_groups(groups, ungrouped, unit, question)
    return found and within(found, -unit, unit), note


def _of_groups(groups: Units, ungrouped: Finding | None, unit: float, question: Question) -> Found:
    """Apply the jackknife to groups, beside the method without groups or, for negative margins, a lost group."""
    unknown = groups.undefined or too_few(groups.weights)
    if unknown is not None:
        return None, unknown
    if question.margin < 0 and math.isfinite(unit):
        ungrouped = _with_one_lost(groups, unit, question)
    found, note = _jackknifed(groups, ungrouped, question)
    return found, note or f"{len(groups.left_out)} groups"


def _jackknifed(units: Units, other: Finding | None, question: Question) -> Found:
    """Combine the jackknife with another finding, which counts alone if leaving out units changes nothing."""
    finding, note = _by_left_out(units, question)
    if finding is None:
        return (None, note) if question.margin >= 0 or other is None else (other, None)
    return finding if other is None else more_cautious(finding, other), None


def _by_left_out(units: Units, question: Question) -> Found:
    found = jackknife.jackknife(units.gain, units.left_out, units.weights)
    if found.standard_error == 0:
        return None, f"no bound: leaving out any {units.name} does not change the gain"
    method = jackknife.METHOD if units.name == "example" else jackknife.GROUP_METHOD
    return by_jackknife(method, found, units.examples, question), None


def _with_one_lost(units: Units, unit: float, question: Question) -> Finding:
    """Apply Gaffke's bound to Tukey's pseudo-values, with the loss of the unit of most weight as the worst value.

    That unit is an example of a rare label in macro averages, or the largest group. A lighter one would not be enough,
    since all losses that were not seen may be of its kind. ``unit`` is the size of a difference of 1 in the metric's
    unit.

    Source: J. W. Tukey, Annals of Mathematical Statistics 29 (1958) 614, for the pseudo-values; their combination with
    Gaffke's bound is our own.
    """
    pieces = len(units.left_out)
    values = (pieces * units.gain - (pieces - 1) * units.left_out) / unit

    def sample(values: Floats, weights: Floats) -> Sample:
        return Sample.of(values, min(-pieces * float(weights.max()) / unit, float(values.min())))

    size = units.examples / pieces
    return by_gaffke(sample(values, units.after), sample(-values, units.before), unit, question, size=size)


@dataclass(frozen=True)
class Finding:
    """The result of a method.

    Attributes:
        method: name and source.
        p_value: returns the one-sided p-value of "the real gain is at most this".
        lower, upper: one-sided bounds at the confidence of the question, in the metric's unit.
        needed: returns the number of examples that would show a gain above a target; None if no number would.
    """

    method: str
    p_value: Callable[[float], float]
    lower: float
    upper: float
    needed: Callable[[float], int | None]


@lru_cache(maxsize=100)  # a gate is often judged twice: as written, and ignoring case and punctuation
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
        opposite: the differences with the opposite sign, for the upper bound.
        unit: size of a difference of 1 in the metric's unit.
        question: the requirement.
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
    """Apply Student's t to a jackknife of ``n`` examples, whose standard error must not be 0."""
    width = found.half_width(question.alpha)
    return Finding(
        method,
        found.p_value,
        found.estimate - width,
        found.estimate + width,
        lambda target: planning.needed_by_error(n, found.estimate, found.standard_error, target, question.confidence),
    )


def more_cautious(first: Finding, second: Finding) -> Finding:
    """Return the combination of two findings: the larger p-value and the wider bounds."""

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
    """Return the finding with its bounds limited to the possible gains."""
    return replace(finding, lower=max(finding.lower, lowest), upper=min(finding.upper, highest))
