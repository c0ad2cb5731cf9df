"""Compare two models on the same examples; the kind of metric and the groups choose the method.

All functions take the scores of baseline and candidate on the same examples (repeats are averaged before).
``evidence`` only affects ``examples_needed``. They raise :class:`ValueError` if the arguments do not fit together, a
score is NaN or outside its range, or the metric is undefined for all answers together.
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
from pytest_ftgate.statistics.groups import group_codes
from pytest_ftgate.statistics.methods import Finding, Found
from pytest_ftgate.statistics.planning import needed_to_reach
from pytest_ftgate.statistics.set_level import SetCounts, same_examples

Groups = Iterable[Hashable] | None
_ROUNDING = 1e-9


def compare_right_wrong(
    baseline: Bools | Floats,
    candidate: Bools | Floats,
    *,
    margin: float,
    confidence: float,
    evidence: str,
    groups: Groups = None,
) -> Comparison:
    """Compare two models by right and wrong answers, or by the share of right answers of each example, ``(n,)`` each.

    The method is the exact unconditional test, for any margin, if each difference is -1, 0 or 1: see
    :mod:`~pytest_ftgate.statistics.exact`. Other shares are graded scores. With groups it is the more cautious of the
    exact test and the tests of groups, because these alone pass too often if few answers differ.
    """
    before, after = _same_shape(baseline.astype(float), candidate.astype(float))
    asked: dict[str, Any] = {"margin": margin, "confidence": confidence, "evidence": evidence}
    differences, n = after - before, len(after)
    whole = np.rint(differences)
    if not np.allclose(differences, whole, rtol=0, atol=_ROUNDING):
        return compare_graded(before, after, low=0.0, high=1.0, groups=groups, **asked)
    _check_scores(before, 0.0, 1.0)
    _check_scores(after, 0.0, 1.0)
    question, wins, losses = Question(**asked), int((whole > 0).sum()), int((whole < 0).sum())
    found = methods.of_right_wrong(wins, losses, whole, group_codes(groups, n), question)
    return _comparison(question, whole, found, gain=Fraction(wins - losses, n), width=1.0)


def compare_graded(
    baseline: Floats,
    candidate: Floats,
    *,
    low: float,
    high: float,
    margin: float,
    confidence: float,
    evidence: str,
    groups: Groups = None,
) -> Comparison:
    """Compare two models by the score of each example, ``(n,)`` each, in [low, high].

    The method is Gaffke's bound, which also holds if large losses are rare: see
    :mod:`~pytest_ftgate.statistics.graded`. With groups it is the more cautious of Gaffke's bound and the tests of
    groups. Metrics without finite bounds use the delete-one jackknife.
    """
    question = Question(margin, confidence, evidence)
    before, after = _same_shape(baseline, candidate)
    _check_scores(before, low, high)
    _check_scores(after, low, high)
    differences, unit = after - before, high - low
    n = len(differences)
    found = methods.of_graded(differences, unit, group_codes(groups, n), question)
    return _comparison(question, differences, found, gain=math.fsum(differences) / n, width=unit)


def compare_set(
    baseline: SetCounts,
    candidate: SetCounts,
    *,
    low: float = 0.0,
    high: float = 1.0,
    margin: float,
    confidence: float,
    evidence: str,
    groups: Groups = None,
) -> Comparison:
    """Compare two models by a metric of all answers together in [low, high], such as macro-F1.

    The method is the more cautious of the delete-one jackknife with Student's t, or delete-a-group with groups (see
    :mod:`~pytest_ftgate.statistics.jackknife`), and of Gaffke's bound of its pseudo-values, for losses that no example
    shows. Ratios of counts need examples equivalent to at least ten of equal size to show a gain.
    """
    question = Question(margin, confidence, evidence)
    before, after = _same_shape(baseline.scores, candidate.scores)
    if not same_examples(baseline, candidate):
        raise ValueError("both models must answer the same examples, but their expected labels differ")
    gain = candidate.value - baseline.value
    if not math.isfinite(gain):
        raise ValueError(f"the metric is undefined for these answers: the gain is {gain!r}")
    found = methods.of_set(baseline, candidate, gain, group_codes(groups, len(after)), question)
    return _comparison(question, after - before, found, gain=gain, width=high - low)


def _comparison(
    question: Question, differences: Floats, found: Found, *, gain: float | Fraction, width: float
) -> Comparison:
    """Return the comparison; ``width`` is the largest possible gain, and limits the bounds."""
    finding, note = found
    n, weighed = len(differences), Comparison(shown=question.evidence == "observed")
    needed, if_lost = None, None
    if finding is not None:
        weighed = _weighed(finding, question, width)
        needed = _examples_needed(finding, float(gain), weighed, question, n)
        lost = finding.with_one_lost
        if_lost = None if lost is None else _weighed(lost, question, width)
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
        lower_if_lost=None if if_lost is None else if_lost.lower_bound,
        shown_if_lost=if_lost is None or if_lost.shown,
    )


def _weighed(finding: Finding, question: Question, width: float) -> Comparison:
    bounds = {"lower": max(finding.lower, -width), "upper": min(finding.upper, width)}
    return weigh(finding.p_value, question, **bounds)


def _examples_needed(finding: Finding, gain: float, weighed: Comparison, question: Question, n: int) -> int | None:
    """Return the number of examples needed for the evidence, and for a measured gain that reaches the margin again.

    More than ``n`` if ``n`` were not enough.
    """
    if question.target is None:
        return None
    again = needed_to_reach(n, gain, finding.error, question.margin)
    needed = finding.needed(question.target)
    if needed is None or again is None:
        return None
    sure = weighed.above_zero if question.evidence == "significant" else weighed.reaches_margin
    return max(needed, again, 0 if sure else n + 1)


def _same_shape(baseline: Floats, candidate: Floats) -> tuple[Floats, Floats]:
    if baseline.ndim != 1 or baseline.shape != candidate.shape or not len(baseline):
        raise ValueError(
            f"both models must answer the same examples, but their scores have the shapes {baseline.shape} and "
            f"{candidate.shape}"
        )
    return baseline, candidate


def _check_scores(scores: Floats, low: float, high: float) -> None:
    outside = scores[~((scores >= low - _ROUNDING) & (scores <= high + _ROUNDING) & np.isfinite(scores))]
    if len(outside):
        raise ValueError(f"{len(outside)} scores are outside [{low:g}, {high:g}], the first is {outside[0]:g}")


def compare_preferences(
    preferred: Floats, *, margin: float, confidence: float, evidence: str, groups: Groups = None, means: bool = False
) -> Comparison:
    """Compare two models by preferences; the gain is the candidate's win rate minus 0.5.

    Wins and losses are the discordant pairs of McNemar's test, and ties are concordant pairs. The win rate (wins plus
    half of the ties, divided by n) minus 0.5 is half the difference of the shares of wins and losses. That difference
    is tested at twice the margin by the exact unconditional test, and its bounds are halved. Ties are neither dropped
    nor split at random. At margin 0 this is about as strict as the sign test without ties (Dixon & Mood, JASA 41 (1946)
    557-566), and it is defined for other margins, too. Preferences that are means use Gaffke's bound instead.

    Args:
        preferred: shape ``(n,)``; 1 for the candidate, 0 for the baseline, 0.5 for a tie.
        margin: of the win rate minus 0.5, in (-0.5, 0.5).
        confidence, evidence, groups: see the module.
        means: whether preferences may be means of repeats or raters, in [0, 1].
    """
    if not means and not np.isin(preferred, (0.0, 0.5, 1.0)).all():
        raise ValueError("a preference must be 1, 0, or 0.5 for a tie, unless it is a mean")
    asked: dict[str, Any] = {"margin": 2 * margin, "confidence": confidence, "evidence": evidence, "groups": groups}
    doubled = compare_right_wrong(1 - preferred, preferred, **asked)
    names = ("gain", "required", "lower_bound", "upper_bound", "lower_if_lost")
    halves: dict[str, Any] = {name: None if (value := getattr(doubled, name)) is None else value / 2 for name in names}
    return replace(doubled, **halves)
