"""Compare two models on the same examples; the kind of metric and the groups choose the method.

All functions take the scores of baseline and candidate on the same examples (repeats are averaged before), and
``asked``, the fields of :class:`~pytest_ftgate.statistics.evidence.Question`. They raise :class:`ValueError` if the
arguments do not fit together, a score is NaN or outside its range, or the metric is undefined for all answers together.
"""

import math
from collections.abc import Hashable, Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from pytest_ftgate.statistics import methods
from pytest_ftgate.statistics.arrays import Bools, Floats
from pytest_ftgate.statistics.evidence import Comparison, Question, reaches, weigh
from pytest_ftgate.statistics.graded import Sample
from pytest_ftgate.statistics.groups import group_codes, too_few
from pytest_ftgate.statistics.planning import needed_by_error
from pytest_ftgate.statistics.set_level import PooledCounts, SetCounts, same_examples

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
    finding = methods.by_exact_test(wins, losses, n, question)
    found: methods.Found = finding, None
    if codes is not None:
        found = methods.of_groups(methods.Units.of_mean(whole, codes, 1.0), finding, 1.0, question)
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
        found: methods.Found = methods.by_gaffke(sample, opposite, unit, question), None
    else:
        left_out, weights = (differences.sum() - differences) / max(n - 1, 1), np.ones(n)
        finding, note = methods.by_left_out(
            methods.Units(float(differences.mean()), left_out, weights, weights, n, "example"), question
        )
        found = finding, note or NO_BOUNDS
    if codes is not None:
        found = methods.of_groups(methods.Units.of_mean(differences, codes, unit), found[0], unit, question)
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


def _of_set(
    baseline: SetCounts, candidate: SetCounts, gain: float, groups: Groups, question: Question
) -> methods.Found:
    examples, codes = methods.Units.of_set(baseline, candidate, gain, None), group_codes(groups, len(baseline))
    if examples.undefined is not None:
        return None, examples.undefined
    if isinstance(baseline, PooledCounts) and isinstance(candidate, PooledCounts) and question.margin >= 0:
        examples = replace(examples, owned=(baseline.contributions(), candidate.contributions()))
        few = too_few(examples.weights, "example")
        if few is not None and codes is None:
            return None, few
    alone = methods.with_one_lost(examples, 1.0, question)
    if codes is not None:
        return methods.of_groups(methods.Units.of_set(baseline, candidate, gain, codes), alone, 1.0, question)
    return methods.by_left_out(examples, question, beside=alone)


def _comparison(
    question: Question, differences: Floats, found: methods.Found, *, gain: float | Fraction, width: float
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


def _weighed(finding: methods.Finding, question: Question, width: float) -> Comparison:
    if not question.bounds:
        return weigh(finding.p_value, question)
    lower, upper = finding.bounds()
    return weigh(finding.p_value, question, (max(lower, -width), min(upper, width)))


def _examples_needed(
    finding: methods.Finding, gain: float, weighed: Comparison, question: Question, n: int
) -> int | None:
    """Return the number of examples needed for the evidence, and for a measured gain that reaches the margin again.

    More than ``n`` if ``n`` were not enough.
    """
    if question.target is None:
        return None
    again = needed_by_error(n, gain, finding.error, question.margin)
    needed = finding.needed(question.target)
    return None if needed is None or again is None else max(needed, again, 0 if weighed.shown else n + 1)


def _differences(baseline: Floats, candidate: Floats, low: float, high: float) -> Floats:
    """Return candidate minus baseline; all scores must lie in [low, high]."""
    if baseline.ndim != 1 or baseline.shape != candidate.shape or not len(baseline):
        raise ValueError(
            f"both models must answer the same examples, but their scores have the shapes {baseline.shape} and "
            f"{candidate.shape}"
        )
    for scores in (baseline, candidate):
        outside = scores[~((scores >= low - _ROUNDING) & (scores <= high + _ROUNDING) & np.isfinite(scores))]
        if len(outside):
            raise ValueError(f"{len(outside)} scores are outside [{low:g}, {high:g}], the first is {outside[0]:g}")
    differences: Floats = candidate - baseline
    return differences


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
