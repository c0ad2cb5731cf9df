"""Which method a comparison gets: from the kind of metric, its bounds, and the groups of examples."""

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
"""What was found, None where no bound can be told; and what a reader should know of it."""


@dataclass(frozen=True)
class Units:
    """A measured gain with its parts that are left out as one: examples, or groups of them (``name`` is that of one).

    Attributes:
        left_out: the gain without one unit, for each.
        before: how far the baseline's score falls from a unit that it has right to one that is lost, for each.
        after: the candidate's score, likewise.
        examples: in all.
    """

    gain: float
    left_out: Floats
    before: Floats
    after: Floats
    examples: int
    name: str

    @classmethod
    def of_mean(cls, differences: Floats, codes: Codes, scale: float) -> Units:
        """Make units of groups of differences, of which each may be as large as ``scale``."""
        n = len(differences)
        weights = group_sizes(codes) / n * scale
        left_out = jackknife.means_without_a_group(differences, codes)
        return cls(float(differences.mean()), left_out, weights, weights, n, "group")

    @classmethod
    def of_set(cls, baseline: SetCounts, candidate: SetCounts, gain: float, codes: Codes | None) -> Units:
        """Make units of a metric of the whole set: examples, or groups where codes are given."""
        if codes is None:
            without = [set_level.values_without_one(arm) for arm in (baseline, candidate)]
        else:
            without = [set_level.values_without_unit(arm, codes) for arm in (baseline, candidate)]
        before, after = (set_level.weights(arm, codes) for arm in (baseline, candidate))
        return cls(gain, without[1] - without[0], before, after, len(baseline), "example" if codes is None else "group")

    @property
    def weights(self) -> Floats:
        """Of both models: never negative, and all alike where nothing weighs anything."""
        found: Floats = np.maximum(self.before, 0) + np.maximum(self.after, 0)
        return found if found.any() else found + 1

    @property
    def undefined(self) -> str | None:
        """In words, where the metric has no value without one of them, or with one lost."""
        if not math.isfinite(self.left_out.sum()):
            return f"the metric is undefined with one {self.name} left out"
        lost = math.isfinite(self.before.sum() + self.after.sum())
        return None if lost else "the metric is undefined with one more wrong answer"


def of_right_wrong(wins: int, losses: int, differences: Floats, codes: Codes | None, question: Question) -> Found:
    """Apply the exact test; with groups (codes per example) the jackknife too."""
    finding = by_exact_test(wins, losses, len(differences), question)
    return (finding, None) if codes is None else _of_grouped_mean(differences, codes, finding, 1.0, question)


def of_graded(differences: Floats, unit: float, codes: Codes | None, question: Question) -> Found:
    """Apply Gaffke's bound, with groups the jackknife too; that alone where ``unit``, the range, is infinite."""
    finding, note = _of_mean(differences, unit, question)
    return (finding, note) if codes is None else _of_grouped_mean(differences, codes, finding, unit, question)


def of_set(baseline: SetCounts, candidate: SetCounts, gain: float, codes: Codes | None, question: Question) -> Found:
    """Apply the jackknife; and Gaffke's bound to its pseudo-values, since a set that met few of the losses looks calm.

    The bound has a part wherever a drop is to be ruled out, and in means over labels or fields, of which some may be
    rare. Where nothing moves, as with equal answers, the jackknife says nothing: no gain is sure, and what rules out a
    drop is Gaffke's bound alone.
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
    """Apply the jackknife beside what is found without groups; to rule out a drop, a lost group in place of that."""
    unknown = groups.undefined or too_few(groups.weights)
    if unknown is not None:
        return None, unknown
    if question.margin < 0 and math.isfinite(unit):
        ungrouped = _with_one_lost(groups, unit, question)
    found, note = _jackknifed(groups, ungrouped, question)
    return found, note or f"{len(groups.left_out)} groups"


def _jackknifed(units: Units, other: Finding | None, question: Question) -> Found:
    """Apply the jackknife beside another finding, which alone rules out a drop where leaving out changes nothing."""
    finding, note = _by_left_out(units, question)
    if finding is None:
        return (None, note) if question.margin >= 0 or other is None else (other, None)
    return finding if other is None else more_cautious(finding, other), None


def _by_left_out(units: Units, question: Question) -> Found:
    found = jackknife.jackknife(units.gain, units.left_out, units.weights)
    if found.standard_error == 0:
        return None, f"leaving out any {units.name} changes nothing: there is no telling how sure the gain is"
    method = jackknife.METHOD if units.name == "example" else jackknife.GROUP_METHOD
    return by_jackknife(method, found, units.examples, question), None


def _with_one_lost(units: Units, unit: float, question: Question) -> Finding:
    """Apply Gaffke's bound to Tukey's pseudo-values: what each unit adds, and the one that weighs most, lost.

    It is lost although none was seen to be: that of a rare label in macro averages, or the largest group. No lighter
    one would do, since the losses that nobody met may all be of its kind.
    ``unit`` is what a difference of 1 is in the metric's.
    """
    pieces = len(units.left_out)
    values = (pieces * units.gain - (pieces - 1) * units.left_out) / unit

    def sample(values: Floats, weights: Floats) -> Sample:
        return Sample.of(values, min(-pieces * float(weights.max()) / unit, float(values.min())))

    size = units.examples / pieces
    return by_gaffke(sample(values, units.after), sample(-values, units.before), unit, question, size=size)


@dataclass(frozen=True)
class Finding:
    """A method, applied: its name with its source, the one-sided p-value of "the real gain is at most this", one-sided
    bounds at the level asked for, and how many examples would show that the real gain is above a target.
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
    """Apply Gaffke's test to bounded differences, and to ``opposite``, the same with the sign turned, for the upper
    bound. ``unit`` is what a difference of 1 is in the metric's unit, and ``size`` the examples per difference.
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
