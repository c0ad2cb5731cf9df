"""Two models on the same examples: the method follows from the kind of metric and from the groups.

What all functions take, besides baseline and candidate on the same examples:

- ``margin``: the gain asked for, in the metric's unit; for right and wrong answers in (-1, 1);
- ``confidence``: one-sided, in (0.5, 1);
- ``evidence``: "observed", "significant" or "proven"; it decides only what ``examples_needed`` is about;
- ``groups``: a name per example for examples that belong together, None for one on its own.

They raise :class:`ValueError` where the arguments do not fit together, a score is not a number or outside of its range,
or a metric is undefined for all answers together.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from pytest_ftgate.statistics import methods
from pytest_ftgate.statistics.arrays import Bools, Floats
from pytest_ftgate.statistics.comparison import Comparison, Question, SetCounts
from pytest_ftgate.statistics.evidence import Evidence, weigh
from pytest_ftgate.statistics.groups import group_codes
from pytest_ftgate.statistics.methods import Finding, Found
from pytest_ftgate.statistics.set_level import same_examples, set_value, share_right

Groups = Iterable[Hashable] | None
_ROUNDING = 1e-9


def compare_right_wrong(
    baseline: Bools, candidate: Bools, *, margin: float, confidence: float, evidence: str, groups: Groups = None
) -> Comparison:
    """Compare two models by answers that are right or wrong.

    By the exact unconditional test of the gain, for any margin. With groups by the delete-a-group jackknife and the
    exact test, whichever is more cautious: the jackknife alone is sure too soon where few answers differ.
    """
    question = Question(float(margin), confidence, evidence)
    before, after = _same_shape(baseline.astype(float), candidate.astype(float))
    differences, n = after - before, len(after)
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    found = methods.of_right_wrong(wins, losses, differences, group_codes(groups, n), question)
    return _comparison(question, differences, found, gain=Fraction(wins - losses, n))


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
    """Compare two models by a score for each answer; repeated answers are averaged within their example first.

    By Gaffke's bound, which holds where large losses are rare. With groups by the delete-a-group jackknife and
    Gaffke's bound, whichever is more cautious. For a metric without finite bounds by the delete-one jackknife.
    """
    question = Question(float(margin), confidence, evidence)
    before, after = _same_shape(baseline, candidate)
    _check_scores(before, low, high)
    _check_scores(after, low, high)
    differences, unit = after - before, high - low
    n = len(differences)
    found = methods.of_graded(differences, unit, group_codes(groups, n), question)
    return _comparison(question, differences, found, gain=math.fsum(differences) / n)


def compare_set(
    baseline: SetCounts, candidate: SetCounts, *, margin: float, confidence: float, evidence: str, groups: Groups = None
) -> Comparison:
    """Compare two models by a metric of all answers together, such as macro-F1.

    By the delete-one jackknife with Student's t, or delete-a-group with groups. Losses that did not happen to be seen
    matter where a drop is to be ruled out (a negative margin), and in means over labels or fields, of which some may be
    rare: then also by Gaffke's bound on the jackknife's pseudo-values, whichever is more cautious. Ratios of counts
    whose examples are of so different sizes that they count as fewer than ten show no gain.
    """
    question = Question(float(margin), confidence, evidence)
    before, after = _same_shape(share_right(baseline), share_right(candidate))
    if not same_examples(baseline, candidate):
        raise ValueError("two models are compared on the same examples, but their expected labels differ")
    gain = set_value(candidate) - set_value(baseline)
    if not math.isfinite(gain):
        raise ValueError(f"the metric is undefined for these answers: the gain is {gain!r}")
    found = methods.of_set(baseline, candidate, gain, group_codes(groups, len(after)), question)
    return _comparison(question, after - before, found, gain=gain)


def _comparison(question: Question, differences: Floats, found: Found, *, gain: float | Fraction) -> Comparison:
    finding, note = found
    n, evidence, needed = len(differences), Evidence(), None
    wins, losses = int((differences > _ROUNDING).sum()), int((differences < -_ROUNDING).sum())
    if finding is not None:
        bounds = {"lower": finding.lower, "upper": finding.upper}
        evidence = weigh(finding.p_value, **bounds, margin=question.margin, alpha=question.alpha)
        needed = _examples_needed(finding, evidence, question, n)
    return Comparison(
        **vars(evidence),
        n=n,
        gain=float(gain),
        gain_exact=gain if isinstance(gain, Fraction) else None,
        wins=wins,
        losses=losses,
        ties=n - wins - losses,
        method=finding.method if finding else "none",
        examples_needed=needed,
        note=note,
    )


def _examples_needed(finding: Finding, evidence: Evidence, question: Question, n: int) -> int | None:
    """Return how many examples would do; never a number that has just proved too small."""
    if question.target is None:
        return None
    needed = finding.needed(question.target)
    sure = evidence.above_zero if question.evidence == "significant" else evidence.reaches_margin
    return needed if needed is None or sure else max(needed, n + 1)


def _same_shape(baseline: Floats, candidate: Floats) -> tuple[Floats, Floats]:
    if baseline.ndim != 1 or baseline.shape != candidate.shape or not len(baseline):
        raise ValueError(
            f"two models are compared on the same examples, but their scores have the shapes "
            f"{baseline.shape} and {candidate.shape}"
        )
    return baseline, candidate


def _check_scores(scores: Floats, low: float, high: float) -> None:
    outside = scores[~((scores >= low - _ROUNDING) & (scores <= high + _ROUNDING))]
    if len(outside):
        raise ValueError(f"{len(outside)} scores are not in [{low:g}, {high:g}], first {outside[0]!r}")


def compare_preferences(
    preferred: Floats, *, margin: float, confidence: float, evidence: str, groups: Groups = None, means: bool = False
) -> Comparison:
    """Compare two models by whether the candidate is preferred more often than not: its win rate less a half.

    A win and a loss are the discordant pairs of McNemar's test, and a tie is a concordant one: the win rate (wins and
    half of the ties, of all) less a half is half the difference of the shares of wins and losses. That difference is
    tested, at twice the margin, by the exact unconditional test, and its bounds are halved. So ties are neither dropped
    nor split at random: they count as pairs in which nothing was won, which for the margin 0 asks for about as
    much as the sign test without them (Dixon & Mood 1946), and has a meaning for every other margin. Where preferences
    may be means (of repeats or raters) the same difference, which lies in [-1, 1], is held to Gaffke's bound.

    ``preferred`` is 1 where the candidate is, 0 where the baseline is, 0.5 for a tie, or a mean of those, ``(n,)``; the
    margin is of the win rate above a half, in (-0.5, 0.5).
    """
    asked = {"margin": 2 * margin, "confidence": confidence, "evidence": evidence, "groups": groups}
    if means:
        return _halved(compare_graded(1 - preferred, preferred, low=0.0, high=1.0, **asked))  # type: ignore[arg-type]
    if not np.isin(preferred, (0.0, 0.5, 1.0)).all():
        raise ValueError("a preference is 1, 0, or 0.5 for a tie, unless it is a mean")
    return _halved(compare_right_wrong(preferred == 0, preferred == 1, **asked))  # type: ignore[arg-type]


def _halved(found: Comparison) -> Comparison:
    """Turn the difference of wins and losses into the win rate less a half; p-values and counts are the same."""
    halves: dict[str, Any] = {
        name: None if (value := getattr(found, name)) is None else value / 2
        for name in ("gain", "gain_exact", "lower", "upper")
    }
    return replace(found, **halves)
