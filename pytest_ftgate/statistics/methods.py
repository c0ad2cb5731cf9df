"""Which method a comparison gets: from the kind of metric, its bounds, and the groups of examples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_ftgate.statistics import jackknife, set_level
from pytest_ftgate.statistics.arrays import Codes, Floats
from pytest_ftgate.statistics.comparison import Question, SetCounts
from pytest_ftgate.statistics.finding import Finding, by_exact_test, by_gaffke, by_jackknife, more_cautious, within
from pytest_ftgate.statistics.graded import Sample
from pytest_ftgate.statistics.groups import group_sizes, too_few

NO_BOUNDS = "the metric has no bounds, so rare large losses cannot be ruled out"

Found = tuple[Finding | None, str | None]
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
