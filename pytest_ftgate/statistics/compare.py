"""Compare two models on the same examples; the kind of metric and the groups choose the method.

All functions take the scores of baseline and candidate on the same examples (repeats are averaged before), and
``asked``, the fields of :class:`~pytest_ftgate.statistics.evidence.Question`. They raise :class:`ValueError` if the
arguments do not fit together, a score is NaN or outside its range, or the metric is undefined for all answers together.
"""

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from pytest_ftgate.statistics import exact, graded, jackknife, planning
from pytest_ftgate.statistics.arrays import Bools, Codes, Floats
from pytest_ftgate.statistics.evidence import Comparison, Question, bound, reaches, weigh
from pytest_ftgate.statistics.graded import Sample
from pytest_ftgate.statistics.groups import group_codes, group_sizes, sign_flip_p_value, too_few
from pytest_ftgate.statistics.set_level import PooledCounts, SetCounts, same_examples

_FARTHEST = 1_000.0  # standard errors between a gain and its bound: few groups reach no p-value at a high confidence


@dataclass(frozen=True)
class Finding:
    """The result of a method.

    Attributes:
        method: name and source.
        p_value: returns the one-sided p-value of "the real gain is at most this".
        bounds: returns the one-sided bounds at the confidence of the question, in the metric's unit.
        needed: returns the number of examples that would show a gain above a target; None if no number would.
        error: the standard error of the gain, in the metric's unit.
        with_one_lost: the finding if one more group were lost whole; None without groups.
    """

    method: str
    p_value: Callable[[float], float]
    bounds: Callable[[], tuple[float, float]]
    needed: Callable[[float], int | None]
    error: float
    with_one_lost: "Finding | None" = None


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
    def of_mean(cls, differences: Floats, codes: Codes, scale: float) -> "Units":
        """Return the groups of differences ``(n,)`` as units.

        Each difference is at most ``scale`` in size; an infinite scale counts as 1.
        """
        n = len(differences)
        weights = group_sizes(codes) / n * (scale if math.isfinite(scale) else 1.0)
        left_out = jackknife.means_without_a_group(differences, codes)
        return cls(float(differences.mean()), left_out, weights, weights, n, "group")

    @classmethod
    def of_set(cls, baseline: SetCounts, candidate: SetCounts, gain: float, codes: Codes | None) -> "Units":
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
    def opposite(self) -> "Units":
        """Return the units with both models swapped, for upper bounds."""
        owned = self.owned and self.owned[::-1]
        return Units(-self.gain, -self.left_out, self.after, self.before, self.examples, self.name, owned)

    def totals(self, target: float) -> Floats:
        """Return by how much each unit exceeds ``target``, summed over its examples, shape ``(units,)``.

        For other metrics than means this is the linear part of the gain.
        """
        share = self.weights / self.weights.sum()
        found: Floats = self.examples * ((self.gain - self.left_out) * (1 - share) + (self.gain - target) * share)
        return found

    def with_one_lost(self, unit: float) -> Sample:
        """Return Tukey's pseudo-values, whose mean is about the gain, with the loss of a whole unit as the worst value.

        That unit is the heaviest, such as an example of a rare label in macro averages or the largest group, since all
        losses that were not seen may be of its kind. In ratios of pooled counts only the share of it that the baseline
        has right can be lost: its share in the unit to which a random one of its right counts belongs. ``unit`` is the
        size of a difference of 1 in the metric's unit.

        Source of the pseudo-values: J. W. Tukey, Annals of Mathematical Statistics 29 (1958) 614. Their combination
        with Gaffke's bound is our own.
        """
        pieces, lost = len(self.left_out), float(self.after.max())
        values = (pieces * self.gain - (pieces - 1) * self.left_out) / unit
        if self.owned is not None and (owned := self.owned[0]).any():
            right = np.divide(owned, self.before, out=np.zeros_like(owned), where=self.before > 0)
            lost = float(self.before.max() * (owned @ right) / owned.sum())
        return Sample.of(values, min(-pieces * lost / unit, float(values.min())))

    @property
    def undefined(self) -> str | None:
        """Return why the metric is undefined without one unit or with one unit wrong; None if it is defined."""
        if not math.isfinite(self.left_out.sum()):
            return f"the metric is undefined with one {self.name} left out"
        defined = math.isfinite(self.before.sum() + self.after.sum())
        return None if defined else "the metric is undefined with one more wrong answer"


def by_exact_test(wins: int, losses: int, n: int, question: Question) -> Finding:
    """Apply the exact test to right and wrong answers."""
    alpha, confidence = question.alpha, question.confidence
    return Finding(
        exact.METHOD,
        lambda target: exact.exact_p(wins, losses, n, margin=target, confidence=confidence),
        lambda: (exact.exact_lower(wins, losses, n, alpha), -exact.exact_lower(losses, wins, n, alpha)),
        lambda target: planning.needed_right_wrong(wins, losses, n, target, confidence),
        math.sqrt(max((wins + losses) / n - ((wins - losses) / n) ** 2, 0.0) / n),
    )


def by_gaffke(sample: Sample, opposite: Sample, unit: float, question: Question, *, size: float = 1.0) -> Finding:
    """Apply Gaffke's test to bounded differences; ``opposite`` has them with the opposite sign, for the upper bound.

    ``unit`` is the size of a difference of 1 in the metric's unit, and ``size`` the number of examples per difference.
    """

    def needed(target: float) -> int | None:
        differences = planning.needed_graded(sample, target / unit, question.confidence)
        return None if differences is None else math.ceil(differences * size)

    def bounds() -> tuple[float, float]:
        lower, upper = (graded.graded_lower(one, question.alpha) * unit for one in (sample, opposite))
        return lower, -upper

    error = sample.spread * unit / math.sqrt(float(sample.counts.sum()))
    return Finding(graded.METHOD, lambda target: graded.graded_p_value(sample, target / unit), bounds, needed, error)


def with_one_lost(units: Units, unit: float, question: Question) -> Finding:
    """Apply Gaffke's bound to pseudo-values, with the loss of a whole unit as the worst value."""
    size = units.examples / len(units.left_out)
    return by_gaffke(units.with_one_lost(unit), units.opposite.with_one_lost(unit), unit, question, size=size)


def by_left_out(units: Units, question: Question, *, beside: Finding | None = None) -> Found:
    """Apply the jackknife, for groups also the sign-flip test, and combine it with the finding ``beside``.

    If leaving out units changes nothing, no gain is shown, and the other finding alone can rule out a drop. For a gain
    of groups Student's t is corrected for skewness; for a drop Gaffke's bound with a lost group takes care of it.
    """
    found = jackknife.jackknife(units.gain, units.left_out, units.weights)
    error, grouped = found.standard_error, units.name == "group"
    if error == 0:
        note = f"no bound: leaving out any {units.name} does not change the gain"
        return (None, note) if question.margin >= 0 or beside is None else (beside, None)
    width = found.half_width(question.alpha)

    def p_value(found: jackknife.Jackknife, units: Units, target: float) -> float:
        student = found.p_value(target, corrected=grouped and question.margin >= 0)
        return max(student, sign_flip_p_value(units.totals(target))) if grouped else student

    def lower(found: jackknife.Jackknife, units: Units) -> float:
        if not grouped:
            return found.estimate - width
        lowest, highest = found.estimate - _FARTHEST * error, found.estimate + error
        ends = {"guess": found.estimate - width, "step": error / 4, "lowest": lowest, "highest": highest}
        return bound(partial(p_value, found, units), alpha=question.alpha, **ends)

    opposite = replace(found, estimate=-found.estimate, skewness=-found.skewness)
    own = Finding(
        jackknife.GROUP_METHOD if grouped else jackknife.METHOD,
        partial(p_value, found, units),
        lambda: (lower(found, units), -lower(opposite, units.opposite)),
        lambda target: planning.needed_by_error(units.examples, units.gain, error, target, question.confidence),
        error,
    )
    return own if beside is None else more_cautious(own, beside), None


def of_groups(groups: Units, ungrouped: Finding | None, unit: float, question: Question) -> Found:
    """Apply the tests of groups, beside the method without groups or, for negative margins, a lost group."""
    unknown = too_few(groups.weights) or groups.undefined
    if unknown is not None:
        return None, unknown
    lost = with_one_lost(groups, unit, question) if math.isfinite(unit) else None
    beside = lost if question.margin < 0 and lost is not None else ungrouped
    found, note = by_left_out(groups, question, beside=beside)
    return found and replace(found, with_one_lost=lost), note or f"{len(groups.left_out)} groups"


def more_cautious(first: Finding, second: Finding) -> Finding:
    """Return the combination of two findings: the larger p-value and the wider bounds."""

    def needed(target: float) -> int | None:
        one, other = first.needed(target), second.needed(target)
        return None if one is None or other is None else max(one, other)

    def bounds() -> tuple[float, float]:
        (low, high), (lower, higher) = first.bounds(), second.bounds()
        return min(low, lower), max(high, higher)

    return Finding(
        f"{first.method}, and {second.method}; the more cautious counts",
        lambda target: max(first.p_value(target), second.p_value(target)),
        bounds,
        needed,
        max(first.error, second.error),
    )


Groups = Iterable[Hashable] | None
NO_BOUNDS = "the metric has no bounds, so rare large losses cannot be ruled out"
_ROUNDING = 1e-9


def compare_right_wrong(
    baseline: Bools | Floats, candidate: Bools | Floats, *, groups: Groups = None, **asked: Any
) -> Comparison:
    """Compare two models by right and wrong answers, or by the share of right answers of each example, ``(n,)`` each.

    The method is the exact unconditional test, for any margin, if each difference is -1, 0 or 1: see
    :mod:`~pytest_ftgate.statistics.exact`. Other shares are graded scores. With groups it is the more cautious of the
    exact test and the tests of groups, because these alone pass too often if few answers differ.
    """
    question, differences = Question(**asked), _differences(baseline.astype(float), candidate.astype(float), 0.0, 1.0)
    whole, n = np.rint(differences), len(differences)
    if not np.allclose(differences, whole, rtol=0, atol=_ROUNDING):
        return _compare_graded(differences, 1.0, question, groups)
    wins, losses, codes = int((whole > 0).sum()), int((whole < 0).sum()), group_codes(groups, n)
    finding = by_exact_test(wins, losses, n, question)
    found: Found = finding, None
    if codes is not None:
        found = of_groups(Units.of_mean(whole, codes, 1.0), finding, 1.0, question)
    return _comparison(question, whole, found, gain=Fraction(wins - losses, n), width=1.0)


def compare_graded(
    baseline: Floats, candidate: Floats, *, low: float, high: float, groups: Groups = None, **asked: Any
) -> Comparison:
    """Compare two models by the score of each example, ``(n,)`` each, in [low, high].

    The method is Gaffke's bound, which also holds if large losses are rare: see
    :mod:`~pytest_ftgate.statistics.graded`. With groups it is the more cautious of Gaffke's bound and the tests of
    groups. Metrics without finite bounds use the delete-one jackknife.
    """
    return _compare_graded(_differences(baseline, candidate, low, high), high - low, Question(**asked), groups)


def _compare_graded(differences: Floats, unit: float, question: Question, groups: Groups) -> Comparison:
    codes, n = group_codes(groups, len(differences)), len(differences)
    if math.isfinite(unit):
        sample, opposite = (Sample.of(one / unit, -1.0) for one in (differences, -differences))
        found: Found = by_gaffke(sample, opposite, unit, question), None
    else:
        left_out, weights = (differences.sum() - differences) / max(n - 1, 1), np.ones(n)
        units = Units(float(differences.mean()), left_out, weights, weights, n, "example")
        finding, note = by_left_out(units, question)
        found = finding, note or NO_BOUNDS
    if codes is not None:
        found = of_groups(Units.of_mean(differences, codes, unit), found[0], unit, question)
    return _comparison(question, differences, found, gain=math.fsum(differences) / n, width=unit)


def compare_set(
    baseline: SetCounts,
    candidate: SetCounts,
    *,
    low: float = 0.0,
    high: float = 1.0,
    groups: Groups = None,
    **asked: Any,
) -> Comparison:
    """Compare two models by a metric of all answers together in [low, high], such as macro-F1.

    The method is the more cautious of the delete-one jackknife with Student's t, or delete-a-group with groups (see
    :mod:`~pytest_ftgate.statistics.jackknife`), and of Gaffke's bound of its pseudo-values, for losses that no example
    shows: a test set that happens to show few makes the standard error too small. If leaving out examples changes
    nothing, as with equal answers, no gain is shown, and Gaffke's bound alone can rule out a drop. Ratios of counts
    need examples equivalent to at least ten of equal size to show a gain.
    """
    question, differences = Question(**asked), _differences(baseline.scores, candidate.scores, 0.0, 1.0)
    if not same_examples(baseline, candidate):
        raise ValueError("both models must answer the same examples, but their expected labels differ")
    gain = candidate.value - baseline.value
    if not math.isfinite(gain):
        raise ValueError(f"the metric is undefined for these answers: the gain is {gain!r}")
    found = _of_set(baseline, candidate, gain, groups, question)
    return _comparison(question, differences, found, gain=gain, width=high - low)


def _of_set(baseline: SetCounts, candidate: SetCounts, gain: float, groups: Groups, question: Question) -> Found:
    examples, codes = Units.of_set(baseline, candidate, gain, None), group_codes(groups, len(baseline))
    if examples.undefined is not None:
        return None, examples.undefined
    if isinstance(baseline, PooledCounts) and isinstance(candidate, PooledCounts) and question.margin >= 0:
        examples = replace(examples, owned=(baseline.contributions(), candidate.contributions()))
        few = too_few(examples.weights, "example")
        if few is not None and codes is None:
            return None, few
    alone = with_one_lost(examples, 1.0, question)
    if codes is not None:
        return of_groups(Units.of_set(baseline, candidate, gain, codes), alone, 1.0, question)
    return by_left_out(examples, question, beside=alone)


def _comparison(
    question: Question, differences: Floats, found: Found, *, gain: float | Fraction, width: float
) -> Comparison:
    """Return the comparison; ``width`` is the largest possible gain, and limits the bounds."""
    finding, note = found
    n, weighed = len(differences), Comparison(shown=question.evidence == "observed")
    needed, if_lost = None, Comparison(shown=True)
    if finding is not None:
        weighed = _weighed(finding, question, width)
        needed = _examples_needed(finding, float(gain), weighed, question, n) if question.bounds else None
        if_lost = if_lost if finding.with_one_lost is None else _weighed(finding.with_one_lost, question, width)
    return replace(
        weighed,
        gain=float(gain),
        required=question.margin,
        reached=reaches(gain, question.margin),
        n=n,
        wins=int((differences > _ROUNDING).sum()),
        losses=int((differences < -_ROUNDING).sum()),
        method=finding.method if finding else "none",
        examples_needed=needed,
        note=note,
        lower_if_lost=if_lost.lower_bound,
        shown_if_lost=if_lost.shown,
    )


def _weighed(finding: Finding, question: Question, width: float) -> Comparison:
    if not question.bounds:
        return weigh(finding.p_value, question)
    lower, upper = finding.bounds()
    return weigh(finding.p_value, question, (max(lower, -width), min(upper, width)))


def _examples_needed(finding: Finding, gain: float, weighed: Comparison, question: Question, n: int) -> int | None:
    """Return the number of examples needed for the evidence, and for a measured gain that reaches the margin again.

    More than ``n`` if ``n`` were not enough.
    """
    if question.target is None:
        return None
    again = planning.needed_by_error(n, gain, finding.error, question.margin)
    needed = finding.needed(question.target)
    return None if needed is None or again is None else max(needed, again, 0 if weighed.shown else n + 1)


def _differences(baseline: Floats, candidate: Floats, low: float, high: float) -> Floats:
    """Return candidate minus baseline; all scores must lie in [low, high]."""
    if baseline.ndim != 1 or baseline.shape != candidate.shape or not len(baseline):
        shapes = f"{baseline.shape} and {candidate.shape}"
        raise ValueError(f"both models must answer the same examples, but their scores have the shapes {shapes}")
    for scores in (baseline, candidate):
        outside = scores[~((scores >= low - _ROUNDING) & (scores <= high + _ROUNDING) & np.isfinite(scores))]
        if len(outside):
            raise ValueError(f"{len(outside)} scores are outside [{low:g}, {high:g}], the first is {outside[0]:g}")
    return candidate - baseline


def compare_preferences(preferred: Floats, *, means: bool = False, margin: float, **asked: Any) -> Comparison:
    """Compare two models by preferences; the gain is the candidate's win rate minus 0.5.

    Wins and losses are the discordant pairs of McNemar's test, and ties are concordant pairs. The win rate (wins plus
    half of the ties, divided by n) minus 0.5 is half the difference of the shares of wins and losses. That difference
    is tested at twice the margin by the exact unconditional test, and its bounds are halved. Ties are neither dropped
    nor split at random. At margin 0 this is about as strict as the sign test without ties (Dixon & Mood, JASA 41 (1946)
    557-566), and it is defined for other margins, too. Preferences that are means use Gaffke's bound instead.

    Args:
        preferred: shape ``(n,)``; 1 for the candidate, 0 for the baseline, 0.5 for a tie.
        means: whether preferences may be means of repeats or raters, in [0, 1].
        margin: of the win rate minus 0.5, in (-0.5, 0.5).
        asked: as in :func:`compare_right_wrong`.
    """
    if not means and not np.isin(preferred, (0.0, 0.5, 1.0)).all():
        raise ValueError("a preference must be 1, 0, or 0.5 for a tie, unless it is a mean")
    doubled = compare_right_wrong(1 - preferred, preferred, margin=2 * margin, **asked)
    names = ("gain", "required", "lower_bound", "upper_bound", "lower_if_lost")
    halves: dict[str, Any] = {name: None if (value := getattr(doubled, name)) is None else value / 2 for name in names}
    return replace(doubled, **halves)
