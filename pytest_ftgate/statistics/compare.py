"""Compare two models on the same examples; the kind of metric and the groups choose the method.

All functions take the scores of baseline and candidate on the same examples (repeats are averaged
before), and ``asked``, the fields of :class:`~pytest_ftgate.statistics.evidence.Question`. They
raise :class:`ValueError` if the arguments do not fit together, a score is NaN or outside its range,
or the metric is undefined for all answers together.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from pytest_ftgate.statistics import exact, graded, jackknife, planning
from pytest_ftgate.statistics.arrays import Bools, Codes, Floats
from pytest_ftgate.statistics.evidence import Comparison, Question, bound, reaches, weigh
from pytest_ftgate.statistics.graded import Sample
from pytest_ftgate.statistics.groups import (
    chance_of_none_lost,
    group_codes,
    group_sizes,
    sign_flip_p_value,
    too_few,
)
from pytest_ftgate.statistics.set_level import PooledCounts, SetCounts, same_examples

Groups: TypeAlias = Iterable[Hashable] | None

_ROUNDING = 1e-9
# Standard errors between a gain and its bound: few groups reach no p-value at a high confidence.
_FARTHEST = 1_000.0


class Test(ABC):
    """Test a gain; all values are in the metric's unit."""

    @property
    @abstractmethod
    def method(self) -> str:
        """Return the name and the source of the test."""

    @property
    @abstractmethod
    def error(self) -> float:
        """Return the standard error of the gain."""

    @property
    @abstractmethod
    def opposite(self) -> "Test":
        """Return the test of the gain of the baseline over the candidate."""

    @abstractmethod
    def p_value(self, target: float) -> float:
        """Return the one-sided p-value of "the true gain is at most ``target``"."""

    @abstractmethod
    def lower(self) -> float:
        """Return the one-sided lower bound of the gain at the confidence of the question."""

    @abstractmethod
    def needed(self, target: float) -> int | None:
        """Return how many examples would show a gain above ``target``; None if no number would."""

    def bounds(self) -> tuple[float, float]:
        """Return the one-sided bounds of the gain at the confidence of the question."""
        return self.lower(), -self.opposite.lower()


# --- single examples ------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExactTest(Test):
    """The exact test of right and wrong answers."""

    wins: int
    losses: int
    n: int
    question: Question

    @property
    def method(self) -> str:
        return exact.METHOD

    @property
    def error(self) -> float:
        gain = (self.wins - self.losses) / self.n
        variance = (self.wins + self.losses) / self.n - gain**2
        return math.sqrt(max(variance, 0.0) / self.n)

    @property
    def opposite(self) -> "ExactTest":
        return replace(self, wins=self.losses, losses=self.wins)

    def p_value(self, target: float) -> float:
        confidence = self.question.confidence
        return exact.exact_p(self.wins, self.losses, self.n, margin=target, confidence=confidence)

    def lower(self) -> float:
        return exact.exact_lower(self.wins, self.losses, self.n, self.question.alpha)

    def needed(self, target: float) -> int | None:
        confidence = self.question.confidence
        return planning.needed_right_wrong(self.wins, self.losses, self.n, target, confidence)


@dataclass(frozen=True)
class GaffkeTest(Test):
    """Gaffke's test of bounded differences.

    Attributes:
        sample: the differences, in multiples of ``unit``.
        negated: the differences with the opposite sign.
        unit: the size of a difference of 1 in the metric's unit.
    """

    sample: Sample
    negated: Sample
    unit: float
    question: Question

    @property
    def method(self) -> str:
        return graded.METHOD

    @property
    def error(self) -> float:
        return self.sample.spread * self.unit / math.sqrt(float(self.sample.counts.sum()))

    @property
    def opposite(self) -> "GaffkeTest":
        return replace(self, sample=self.negated, negated=self.sample)

    def p_value(self, target: float) -> float:
        return graded.graded_p_value(self.sample, target / self.unit)

    def lower(self) -> float:
        return graded.graded_lower(self.sample, self.question.alpha) * self.unit

    def needed(self, target: float) -> int | None:
        confidence = self.question.confidence
        return planning.needed_graded(self.sample, target / self.unit, confidence)


# --- units of a jackknife -------------------------------------------------------------------------


@dataclass(frozen=True)
class Units:
    """The units of a jackknife: examples, or groups of them.

    Attributes:
        gain: of all examples, in the metric's unit.
        left_out: the gain without each unit, shape ``(units,)``.
        baseline_falls: the fall of the baseline's score from all right to all wrong in each unit,
            shape ``(units,)``.
        candidate_falls: the same of the candidate's score.
        examples: number of examples in all units.
        name: "example" or "group".
        contributions: what the answers of the baseline, and those of the candidate, contribute in
            each unit, ``(units,)``; None if the loss of a whole unit is to be ruled out.
    """

    gain: float
    left_out: Floats
    baseline_falls: Floats
    candidate_falls: Floats
    examples: int
    name: str
    contributions: tuple[Floats, Floats] | None = None

    @classmethod
    def of_mean(cls, differences: Floats, codes: Codes, unit: float) -> "Units":
        """Return the groups of differences ``(n,)`` as units.

        A difference is at most ``unit`` in size.
        """
        n = len(differences)
        falls = group_sizes(codes) / n * unit
        left_out = jackknife.means_without_a_group(differences, codes)
        return cls(float(differences.mean()), left_out, falls, falls, n, "group")

    @classmethod
    def of_set(cls, baseline: SetCounts, candidate: SetCounts, codes: Codes | None) -> "Units":
        """Return the examples of a metric of the whole set as units.

        With ``codes``, ``(n,)``, the units are the groups.
        """
        return cls(
            gain=candidate.value - baseline.value,
            left_out=candidate.values_without(codes) - baseline.values_without(codes),
            baseline_falls=baseline.weights(codes),
            candidate_falls=candidate.weights(codes),
            examples=len(baseline),
            name="example" if codes is None else "group",
        )

    @property
    def weights(self) -> Floats:
        """Return the weights of the units, ``(units,)``: not negative, and equal if all are 0."""
        weights = np.maximum(self.baseline_falls, 0) + np.maximum(self.candidate_falls, 0)
        if weights.any():
            return weights
        return np.ones_like(weights)

    @property
    def opposite(self) -> "Units":
        """Return the units with both models swapped, for upper bounds."""
        return replace(
            self,
            gain=-self.gain,
            left_out=-self.left_out,
            baseline_falls=self.candidate_falls,
            candidate_falls=self.baseline_falls,
            contributions=self.contributions and self.contributions[::-1],
        )

    @property
    def estimate(self) -> jackknife.Estimate:
        """Return the gain with its standard error."""
        return jackknife.jackknife(self.gain, self.left_out, self.weights)

    @property
    def pseudo_values(self) -> Floats:
        """Return Tukey's pseudo-values, ``(units,)``, whose mean is about the gain.

        Source: J. W. Tukey, Annals of Mathematical Statistics 29 (1958) 614.
        """
        n = len(self.left_out)
        values: Floats = n * self.gain - (n - 1) * self.left_out
        return values

    @property
    def undefined(self) -> str | None:
        """Return why the metric is undefined without one unit or with one unit wrong, or None."""
        if not math.isfinite(self.left_out.sum()):
            return f"the metric is undefined with one {self.name} left out"
        if not math.isfinite(self.baseline_falls.sum() + self.candidate_falls.sum()):
            return "the metric is undefined with one more wrong answer"
        return None

    def totals(self, target: float) -> Floats:
        """Return by how much each unit exceeds ``target``, summed over its examples, ``(units,)``.

        For other metrics than means this is the linear part of the gain.
        """
        share = self.weights / self.weights.sum()
        excess = (self.gain - self.left_out) * (1 - share) + (self.gain - target) * share
        totals: Floats = self.examples * excess
        return totals

    def heaviest_loss(self) -> float:
        """Return the fall of the gain if one more unit, the heaviest one, were lost whole.

        It is heavy such as an example of a rare label in macro averages, since all losses that were
        not seen may be of its kind. In ratios of pooled counts only the share of it that the
        baseline has right can be lost: its share in the unit to which a random one of its right
        counts belongs.
        """
        if self.contributions is None or not self.contributions[0].any():
            return float(self.candidate_falls.max())

        right = self.contributions[0]
        falls = self.baseline_falls
        share = np.divide(right, falls, out=np.zeros_like(right), where=falls > 0)
        return float(falls.max() * (right @ share) / right.sum())

    def with_one_lost(self, loss: float, unit: float) -> Sample:
        """Return the pseudo-values in multiples of ``unit``, with a lost unit as the worst value.

        Their combination with Gaffke's bound is our own.
        """
        values = self.pseudo_values / unit
        return Sample.of(values, min(-len(values) * loss / unit, float(values.min())))


@dataclass(frozen=True)
class JackknifeTest(Test):
    """Student's t with the jackknife's standard error."""

    units: Units
    question: Question

    @property
    def method(self) -> str:
        return jackknife.METHOD

    @cached_property
    def estimate(self) -> jackknife.Estimate:
        return self.units.estimate

    @property
    def error(self) -> float:
        return self.estimate.standard_error

    @property
    def opposite(self) -> "JackknifeTest":
        return replace(self, units=self.units.opposite)

    def p_value(self, target: float) -> float:
        return self.estimate.p_value(target)

    def lower(self) -> float:
        return self.units.gain - self.estimate.half_width(self.question.alpha)

    def needed(self, target: float) -> int | None:
        n = self.units.examples
        confidence = self.question.confidence
        return planning.needed_by_error(n, self.units.gain, self.error, target, confidence)


@dataclass(frozen=True)
class GroupTest(JackknifeTest):
    """Student's t of groups, and the sign flips of their totals: the larger p-value.

    For a gain Student's t is corrected for skewness; for a drop the test with a lost group takes
    care of it.

    Attributes:
        unit: the size of a difference of 1 in the metric's unit.
    """

    unit: float

    @property
    def method(self) -> str:
        return jackknife.GROUP_METHOD

    def p_value(self, target: float) -> float:
        by_student = self.estimate.p_value(target)
        if self.question.margin >= 0:
            by_student = self.estimate.corrected_p_value(target)
        return max(by_student, sign_flip_p_value(self.units.totals(target)))

    def lower(self) -> float:
        gain = self.units.gain
        alpha = self.question.alpha
        step = self.error / 4 or self.unit / 1_000  # groups that gain alike have no error
        return bound(
            self.p_value,
            alpha=alpha,
            guess=gain - self.estimate.half_width(alpha),
            step=step,
            lowest=gain - max(_FARTHEST * self.error, 2 * self.unit),
            highest=gain + self.error,
        )


@dataclass(frozen=True)
class LostGroupTest(Test):
    """Gaffke's test of groups for a drop, with a lost group counted as if it had been seen.

    That group is as heavy as makes the test agree with the largest chance that none of the groups
    that are there is lost, where losses cost the drop on average.

    Attributes:
        unit: the size of a difference of 1 in the metric's unit.
    """

    units: Units
    unit: float
    question: Question

    @property
    def method(self) -> str:
        return graded.METHOD

    @property
    def error(self) -> float:
        sample = self._sample(self.units.gain)
        return sample.spread * self.unit / math.sqrt(float(sample.counts.sum()))

    @property
    def opposite(self) -> "LostGroupTest":
        return replace(self, units=self.units.opposite)

    def p_value(self, target: float) -> float:
        return graded.graded_p_value(self._sample(target), target / self.unit)

    def needed(self, target: float) -> int | None:
        confidence = self.question.confidence
        number = planning.needed_graded(self._sample(target), target / self.unit, confidence)
        size = self.units.examples / len(self.units.left_out)
        if number is None:
            return None
        return math.ceil(number * size)

    def _sample(self, target: float) -> Sample:
        """Return the sample of groups, with the lost one, that is tested against ``target``."""
        falls = self.units.candidate_falls
        loss = float(falls.max())
        drop = self.units.gain - target
        if drop > 0 and loss > 0:
            # The loss with which none of n groups is lost with that chance, at this mean drop.
            n = len(falls)
            chance = chance_of_none_lost(falls, drop)
            loss = drop / n / (1 - chance ** (1 / n))
        return self.units.with_one_lost(loss, self.unit)

    def lower(self) -> float:
        heaviest = self._sample(self.units.gain)
        alpha = self.question.alpha
        return bound(
            self.p_value,
            alpha=alpha,
            guess=graded.graded_lower(heaviest, alpha) * self.unit,
            step=max(self.error, self.unit / 1_000) / 4,
            lowest=heaviest.worst * self.unit,
            highest=max(float(heaviest.values.max()), heaviest.worst) * self.unit,
        )


@dataclass(frozen=True)
class CautiousTest(Test):
    """The combination of two tests: the larger p-value and the wider bounds."""

    first: Test
    second: Test

    @property
    def method(self) -> str:
        return f"{self.first.method}, and {self.second.method}; the more cautious counts"

    @property
    def error(self) -> float:
        return max(self.first.error, self.second.error)

    @property
    def opposite(self) -> "CautiousTest":
        return CautiousTest(self.first.opposite, self.second.opposite)

    def p_value(self, target: float) -> float:
        return max(self.first.p_value(target), self.second.p_value(target))

    def lower(self) -> float:
        return min(self.first.lower(), self.second.lower())

    def needed(self, target: float) -> int | None:
        first = self.first.needed(target)
        second = self.second.needed(target)
        if first is None or second is None:
            return None
        return max(first, second)


# --- the comparisons ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pairs:
    """The scores of both models that are compared.

    Attributes:
        question: the requirement on the gain.
        differences: candidate minus baseline, of each example, ``(n,)``.
        gain: the measured gain, a fraction where it is one of counts.
        width: the largest possible gain.
        groups: the group of each example.
    """

    question: Question
    differences: Floats
    gain: float | Fraction
    width: float
    groups: Groups = None

    @cached_property
    def codes(self) -> Codes | None:
        """Return the groups as codes, ``(n,)``; None where no two examples share a group."""
        return group_codes(self.groups, len(self.differences))

    def by_mean(self, ungrouped: Test) -> Comparison:
        """Compare by a mean of differences; ``ungrouped`` is the test for independent examples."""
        if self.codes is None:
            return self.by_test(ungrouped)
        units = Units.of_mean(self.differences, self.codes, self.width)
        return self.by_groups(units, ungrouped, self.width)

    def by_groups(self, units: Units, ungrouped: Test, unit: float) -> Comparison:
        """Compare by groups.

        The tests of groups stand beside that for independent examples, ``ungrouped``, or for a drop
        beside one with a lost group.
        """
        n_groups = len(units.left_out)
        test: Test | None = None

        note = too_few(units.weights) or units.undefined
        if note is None:
            question = self.question
            beside = LostGroupTest(units, unit, question) if question.margin < 0 else ungrouped
            test = CautiousTest(GroupTest(units, question, unit), beside)
            note = f"{n_groups} groups"

        return replace(self.by_test(test, note), n_groups=n_groups)

    def by_test(self, test: Test | None, note: str | None = None) -> Comparison:
        """Return the comparison by a test; None if none applies."""
        question = self.question
        weighed = Comparison(shown=question.evidence == "observed")
        needed = None
        if test is not None:
            bounds = None
            if question.bounds:
                lower, upper = test.bounds()
                bounds = max(lower, -self.width), min(upper, self.width)
            weighed = weigh(test.p_value, question, bounds)
            needed = self._examples_needed(test, weighed)

        return replace(
            weighed,
            gain=float(self.gain),
            required=question.margin,
            reached=reaches(self.gain, question.margin),
            n=len(self.differences),
            fixed=int((self.differences > _ROUNDING).sum()),
            broken=int((self.differences < -_ROUNDING).sum()),
            method="none" if test is None else test.method,
            examples_needed=needed,
            note=note,
        )

    def _examples_needed(self, test: Test, weighed: Comparison) -> int | None:
        """Return how many examples show the gain, and make it reach the margin again.

        They are more than ``n`` if ``n`` were not enough.
        """
        question = self.question
        if question.target is None or not question.bounds:
            return None

        n = len(self.differences)
        to_reach = planning.needed_by_error(n, float(self.gain), test.error, question.margin)
        needed = test.needed(question.target)
        if needed is None or to_reach is None:
            return None
        # The formula may give fewer examples than have just proved to be too few.
        return max(needed, to_reach, 0 if weighed.shown else n + 1)


def compare_right_wrong(
    baseline: Bools | Floats, candidate: Bools | Floats, *, groups: Groups = None, **asked: Any
) -> Comparison:
    """Compare two models by right and wrong answers, or by shares of right answers, ``(n,)`` each.

    The method is the exact unconditional test, for any margin, if each difference is -1, 0 or 1:
    see :mod:`~pytest_ftgate.statistics.exact`. Other shares are graded scores. With groups it is
    the more cautious of the exact test and the tests of groups, because these alone pass too often
    if few answers differ.
    """
    question = Question(**asked)
    differences = _differences(baseline.astype(float), candidate.astype(float), 0.0, 1.0)
    whole = np.rint(differences)
    if not np.allclose(differences, whole, rtol=0, atol=_ROUNDING):
        return _compare_graded(question, differences, 1.0, groups)

    n = len(differences)
    wins = int((whole > 0).sum())
    losses = int((whole < 0).sum())
    pairs = _Pairs(question, whole, Fraction(wins - losses, n), 1.0, groups)
    return pairs.by_mean(ExactTest(wins, losses=losses, n=n, question=question))


def compare_graded(
    baseline: Floats,
    candidate: Floats,
    *,
    low: float,
    high: float,
    groups: Groups = None,
    **asked: Any,
) -> Comparison:
    """Compare two models by the score of each example, ``(n,)`` each, in [low, high].

    The method is Gaffke's bound, which also holds if large losses are rare: see
    :mod:`~pytest_ftgate.statistics.graded`. With groups it is the more cautious of Gaffke's bound
    and the tests of groups.
    """
    if not math.isfinite(high - low):
        raise ValueError(f"scores without bounds cannot be compared, got [{low:g}, {high:g}]")
    differences = _differences(baseline, candidate, low, high)
    return _compare_graded(Question(**asked), differences, high - low, groups)


def _compare_graded(
    question: Question, differences: Floats, width: float, groups: Groups
) -> Comparison:
    """Compare by differences of scores, which are between minus ``width`` and ``width``."""
    sample = Sample.of(differences / width, -1.0)
    negated = Sample.of(-differences / width, -1.0)
    gain = math.fsum(differences) / len(differences)
    pairs = _Pairs(question, differences, gain, width, groups)
    return pairs.by_mean(GaffkeTest(sample, negated=negated, unit=width, question=question))


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

    The method is the more cautious of two. One is the delete-one jackknife with Student's t, or the
    tests of groups (see :mod:`~pytest_ftgate.statistics.jackknife`). The other is Gaffke's bound of
    the jackknife's pseudo-values, for losses that no example shows: a test set that happens to show
    few makes the standard error too small.

    To show a gain in ratios of counts, examples of unequal size must count as at least as many as
    the groups that a bound needs.
    """
    question = Question(**asked)
    differences = _differences(baseline.scores, candidate.scores, 0.0, 1.0)
    if not same_examples(baseline, candidate):
        raise ValueError(
            "both models must answer the same examples, but their expected labels differ"
        )
    gain = candidate.value - baseline.value
    if not math.isfinite(gain):
        raise ValueError(f"the metric is undefined for these answers: the gain is {gain!r}")

    pairs = _Pairs(question, differences, gain, high - low, groups)
    examples = Units.of_set(baseline, candidate, None)
    # Why there is no bound, if there is none.
    unknown = examples.undefined
    pooled = [counts for counts in (baseline, candidate) if isinstance(counts, PooledCounts)]
    if unknown is None and pooled and question.margin >= 0:
        first, second = pooled  # both are of one kind
        contributions = first.contributions(), second.contributions()
        examples = replace(examples, contributions=contributions)
        if pairs.codes is None:
            unknown = too_few(examples.weights, "example")

    if unknown is not None:
        return pairs.by_test(None, unknown)

    opposite = examples.opposite
    sample = examples.with_one_lost(examples.heaviest_loss(), 1.0)
    negated = opposite.with_one_lost(opposite.heaviest_loss(), 1.0)
    ungrouped = GaffkeTest(sample, negated=negated, unit=1.0, question=question)
    if pairs.codes is None:
        return pairs.by_test(CautiousTest(JackknifeTest(examples, question), ungrouped))
    return pairs.by_groups(Units.of_set(baseline, candidate, pairs.codes), ungrouped, 1.0)


def _differences(baseline: Floats, candidate: Floats, low: float, high: float) -> Floats:
    """Return candidate minus baseline; all scores must lie in [low, high]."""
    if baseline.ndim != 1 or baseline.shape != candidate.shape or not len(baseline):
        shapes = f"{baseline.shape} and {candidate.shape}"
        raise ValueError(
            f"both models must answer the same examples, but their scores have the shapes {shapes}"
        )
    for scores in (baseline, candidate):
        is_inside = (scores >= low - _ROUNDING) & (scores <= high + _ROUNDING)
        outside = scores[~(is_inside & np.isfinite(scores))]
        if len(outside):
            raise ValueError(
                f"{len(outside)} scores are outside [{low:g}, {high:g}], "
                f"the first is {outside[0]:g}"
            )
    return candidate - baseline


def compare_preferences(
    preferred: Floats, *, means: bool = False, margin: float, **asked: Any
) -> Comparison:
    """Compare two models by preferences; the gain is the candidate's win rate minus 0.5.

    Wins and losses are the discordant pairs of McNemar's test, and ties are concordant pairs. The
    win rate (wins plus half of the ties, divided by n) minus 0.5 is half the difference of the
    shares of wins and losses. That difference is tested at twice the margin by the exact
    unconditional test, and its bounds are halved. Ties are neither dropped nor split at random. At
    margin 0 this is about as strict as the sign test without ties (Dixon & Mood, JASA 41 (1946)
    557-566), and it is defined for other margins, too. Preferences that are means use Gaffke's
    bound instead.

    Args:
        preferred: shape ``(n,)``; 1 for the candidate, 0 for the baseline, 0.5 for a tie.
        means: whether preferences may be means of repeats or raters, in [0, 1].
        margin: of the win rate minus 0.5, in (-0.5, 0.5).
        asked: as in :func:`compare_right_wrong`.
    """
    if not means and not np.isin(preferred, (0.0, 0.5, 1.0)).all():
        raise ValueError("a preference must be 1, 0, or 0.5 for a tie, unless it is a mean")
    doubled = compare_right_wrong(1 - preferred, preferred, margin=2 * margin, **asked)
    halves: dict[str, Any] = {}
    for name in ("gain", "required", "lower_bound", "upper_bound"):
        value = getattr(doubled, name)
        halves[name] = None if value is None else value / 2
    return replace(doubled, **halves)
