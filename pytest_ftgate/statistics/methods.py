"""Choose and apply the method of a comparison, by the kind of metric, its range and the groups of examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TypeAlias

import numpy as np

from pytest_ftgate.statistics import exact, graded, jackknife, planning
from pytest_ftgate.statistics.arrays import Codes, Floats
from pytest_ftgate.statistics.evidence import Question, bound
from pytest_ftgate.statistics.graded import Sample
from pytest_ftgate.statistics.groups import group_sizes, sign_flip_p_value, too_few
from pytest_ftgate.statistics.jackknife import Jackknife
from pytest_ftgate.statistics.set_level import PooledCounts, SetCounts

NO_BOUNDS = "the metric has no bounds, so rare large losses cannot be ruled out"
_FARTHEST = 1_000.0  # standard errors between a gain and its bound: few groups reach no p-value at a high confidence

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
        owned: what the answers of the baseline, and those of the candidate, contribute in each unit, ``(units,)``; None
            if the loss of a whole unit is to be ruled out.
    """

    gain: float
    left_out: Floats
    before: Floats
    after: Floats
    examples: int
    name: str
    owned: tuple[Floats, Floats] | None = None

    @classmethod
    def of_mean(cls, differences: Floats, codes: Codes, scale: float) -> Units:
        """Return the groups of differences ``(n,)`` as units.

        Each difference is at most ``scale`` in size; an infinite scale counts as 1.
        """
        n = len(differences)
        weights = group_sizes(codes) / n * (scale if math.isfinite(scale) else 1.0)
        left_out = jackknife.means_without_a_group(differences, codes)
        return cls(float(differences.mean()), left_out, weights, weights, n, "group")

    @classmethod
    def of_set(cls, baseline: SetCounts, candidate: SetCounts, gain: float, codes: Codes | None) -> Units:
        """Return the examples of a metric of the whole set as units; with ``codes``, ``(n,)``, the groups."""
        without = [arm.values_without(codes) for arm in (baseline, candidate)]
        before, after = (arm.weights(codes) for arm in (baseline, candidate))
        return cls(gain, without[1] - without[0], before, after, len(baseline), "example" if codes is None else "group")

    @property
    def weights(self) -> Floats:
        """Return the weights of the units, ``(units,)``: not negative, and equal if all are 0."""
        found: Floats = np.maximum(self.before, 0) + np.maximum(self.after, 0)
        return found if found.any() else found + 1

    @property
    def opposite(self) -> Units:
        """Return the units with both models swapped, for upper bounds."""
        owned = self.owned and self.owned[::-1]
        swapped = replace(self, before=self.after, after=self.before, owned=owned)
        return replace(swapped, gain=-self.gain, left_out=-self.left_out)

    def totals(self, target: float) -> Floats:
        """Return by how much each unit exceeds ``target``, summed over its examples, shape ``(units,)``.

        For other metrics than means this is the linear part of the gain.
        """
        share = self.weights / self.weights.sum()
        found: Floats = self.examples * ((self.gain - self.left_out) * (1 - share) + (self.gain - target) * share)
        return found

    def pseudo_values(self) -> Floats:
        """Return Tukey's pseudo-values, ``(units,)``, the mean of which is about the gain.

        Source: J. W. Tukey, Annals of Mathematical Statistics 29 (1958) 614.
        """
        pieces = len(self.left_out)
        values: Floats = pieces * self.gain - (pieces - 1) * self.left_out
        return values

    @property
    def undefined(self) -> str | None:
        """Return why the metric is undefined without one unit or with one unit wrong; None if it is defined."""
        if not math.isfinite(self.left_out.sum()):
            return f"the metric is undefined with one {self.name} left out"
        defined = math.isfinite(self.before.sum() + self.after.sum())
        return None if defined else "the metric is undefined with one more wrong answer"


def of_right_wrong(wins: int, losses: int, differences: Floats, codes: Codes | None, question: Question) -> Found:
    """Apply the exact test; with groups, codes ``(n,)``, also the tests of groups."""
    finding = by_exact_test(wins, losses, len(differences), question)
    if codes is None:
        return finding, None
    return _of_groups(Units.of_mean(differences, codes, 1.0), finding, 1.0, question)


def of_graded(differences: Floats, unit: float, codes: Codes | None, question: Question) -> Found:
    """Apply Gaffke's bound, with groups also the tests of groups; if the range, ``unit``, is infinite, no Gaffke."""
    n = len(differences)
    if math.isfinite(unit):
        sample, opposite = Sample.of(differences / unit, -1.0), Sample.of(-differences / unit, -1.0)
        found: Found = by_gaffke(sample, opposite, unit, question), None
    else:
        left_out, weights = (differences.sum() - differences) / max(n - 1, 1), np.ones(n)
        examples = Units(float(differences.mean()), left_out, weights, weights, n, "example")
        finding, note = _by_left_out(examples, question)
        found = finding, note or NO_BOUNDS
    return found if codes is None else _of_groups(Units.of_mean(differences, codes, unit), found[0], unit, question)


def of_set(baseline: SetCounts, candidate: SetCounts, gain: float, codes: Codes | None, question: Question) -> Found:
    """Apply the jackknife and Gaffke's bound to its pseudo-values; with groups the jackknife to the groups.

    A test set that happens to show few losses makes the standard error too small, so the jackknife never decides alone.
    If leaving out examples changes nothing, as with equal answers, no gain is shown, and Gaffke's bound alone can rule
    out a drop.
    """
    examples = Units.of_set(baseline, candidate, gain, None)
    if examples.undefined is not None:
        return None, examples.undefined
    if isinstance(baseline, PooledCounts) and isinstance(candidate, PooledCounts) and question.margin >= 0:
        examples = replace(examples, owned=(baseline.contributions(), candidate.contributions()))
    alone = _with_one_lost(examples, 1.0, question)
    if codes is not None:
        return _of_groups(Units.of_set(baseline, candidate, gain, codes), alone, 1.0, question)
    few = None if examples.owned is None else too_few(examples.weights, "example")
    return (None, few) if few is not None else _jackknifed(examples, alone, question)


def _of_groups(groups: Units, ungrouped: Finding | None, unit: float, question: Question) -> Found:
    """Apply the tests of groups, beside the method without groups or, for negative margins, a lost group."""
    unknown = too_few(groups.weights) or groups.undefined
    if unknown is not None:
        return None, unknown
    lost = _with_one_lost(groups, unit, question) if math.isfinite(unit) else None
    other = lost if question.margin < 0 and lost is not None else ungrouped
    found, note = _jackknifed(groups, other, question)
    return found and replace(found, with_one_lost=lost), note or f"{len(groups.left_out)} groups"


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
    return (by_jackknife if units.name == "example" else by_groups)(found, units, question), None


def _with_one_lost(units: Units, unit: float, question: Question) -> Finding:
    """Apply Gaffke's bound to pseudo-values, with the loss of a whole unit as the worst value.

    That unit is the heaviest, such as an example of a rare label in macro averages or the largest group, since all
    losses that were not seen may be of its kind. In ratios of pooled counts only the share of it that the baseline has
    right can be lost: its share in the unit to which a random one of its right counts belongs. ``unit`` is the size of
    a difference of 1 in the metric's unit. The combination of pseudo-values with Gaffke's bound is our own.
    """

    def sample(units: Units) -> Sample:
        values, lost = units.pseudo_values() / unit, float(units.after.max())
        if units.owned is not None and (owned := units.owned[0]).any():
            right = np.divide(owned, units.before, out=np.zeros_like(owned), where=units.before > 0)
            lost = float(units.before.max() * (owned @ right) / owned.sum())
        return Sample.of(values, min(-len(values) * lost / unit, float(values.min())))

    size = units.examples / len(units.left_out)
    return by_gaffke(sample(units), sample(units.opposite), unit, question, size=size)


@dataclass(frozen=True)
class Finding:
    """The result of a method.

    Attributes:
        method: name and source.
        p_value: returns the one-sided p-value of "the real gain is at most this".
        lower, upper: one-sided bounds at the confidence of the question, in the metric's unit.
        needed: returns the number of examples that would show a gain above a target; None if no number would.
        error: the standard error of the gain, in the metric's unit.
        with_one_lost: the finding if one more group were lost whole; None without groups.
    """

    method: str
    p_value: Callable[[float], float]
    lower: float
    upper: float
    needed: Callable[[float], int | None]
    error: float
    with_one_lost: Finding | None = None


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
        math.sqrt(max((wins + losses) / n - ((wins - losses) / n) ** 2, 0.0) / n),
    )


def by_gaffke(sample: Sample, opposite: Sample, unit: float, question: Question, *, size: float = 1.0) -> Finding:
    """Apply Gaffke's test to bounded differences; ``opposite`` has them with the opposite sign, for the upper bound.

    ``unit`` is the size of a difference of 1 in the metric's unit, and ``size`` the number of examples per difference.
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
        sample.spread * unit / math.sqrt(float(sample.counts.sum())),
    )


def by_jackknife(found: Jackknife, units: Units, question: Question) -> Finding:
    """Apply Student's t to a jackknife, whose standard error must not be 0."""
    width, gain, error = found.half_width(question.alpha), found.estimate, found.standard_error
    return Finding(
        jackknife.METHOD,
        found.p_value,
        gain - width,
        gain + width,
        lambda target: planning.needed_by_error(units.examples, gain, error, target, question.confidence),
        error,
    )


def by_groups(found: Jackknife, units: Units, question: Question) -> Finding:
    """Apply Student's t and the sign-flip test to groups; the larger p-value counts.

    For a gain Student's t is corrected for skewness; for a drop Gaffke's bound with a lost group takes care of it.
    ``found`` is the jackknife of the groups, whose standard error must not be 0.
    """

    def p_value(found: Jackknife, units: Units, target: float) -> float:
        student = found.p_value(target, corrected=question.margin >= 0)
        return max(student, sign_flip_p_value(units.totals(target)))

    def lower(found: Jackknife, units: Units) -> float:
        width, error = found.half_width(question.alpha), found.standard_error
        return bound(
            partial(p_value, found, units),
            alpha=question.alpha,
            guess=found.estimate - width,
            step=error / 4,
            lowest=found.estimate - _FARTHEST * error,
            highest=found.estimate + error,
        )

    opposite = replace(found, estimate=-found.estimate, skewness=-found.skewness)
    plain = by_jackknife(found, units, question)
    return replace(
        plain,
        method=jackknife.GROUP_METHOD,
        p_value=partial(p_value, found, units),
        lower=lower(found, units),
        upper=-lower(opposite, units.opposite),
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
        max(first.error, second.error),
    )
