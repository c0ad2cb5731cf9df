"""Plan sample sizes: the number of examples that a gate needs, and what a number of examples can show."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import Any, TypeVar

import numpy as np

from pytest_ftgate.statistics.arrays import Bools, Codes, Floats, Places
from pytest_ftgate.statistics.evidence import is_sure, level
from pytest_ftgate.statistics.exact import (
    chance_of_enough_wins,
    exact_p_value,
    losses_that_matter,
    null_variance,
    spent_on_rate,
)
from pytest_ftgate.statistics.graded import Sample, graded_p_value
from pytest_ftgate.statistics.set_level import SetCounts

POWER = 0.8
_GROWTH = 1.05
_KNOTS = 200  # numbers of losses for which the fewest wins are calculated
_FEWEST_DRAWN, _MOST_DRAWN, _EXAMPLES_DRAWN = 20, 200, 100_000
_LARGE = 100_000  # examples from which the large-sample formula needs no check
MOST_EXAMPLES = 10**9
"""Upper limit of the search for the number of examples."""


def corrected_confidence(confidence: float, comparisons: int) -> float:
    """Return the confidence of each of several comparisons, corrected for their number (Bonferroni).

    Judging each at ``1 - (1 - confidence) / comparisons`` keeps the probability that any of them is wrong at
    ``1 - confidence`` or less.

    Source: O. J. Dunn, JASA 56 (1961) 52-64.
    """
    return 1 - level(confidence) / comparisons


def fewest(enough: Callable[[int], bool], most: int, *, first: int = 1, precision: float = 0.0) -> int | None:
    """Return the smallest number up to ``most`` that is enough, by doubling and bisection; None if ``most`` is not.

    The search begins at ``first``, and may end above the smallest number by a share of it, ``precision``.
    """
    short, long = first // 2, min(first, most)
    while not enough(long):
        if long == most:
            return None
        short, long = long, min(2 * long, most)
    while long - short > max(1.0, long * precision):
        middle = (short + long) // 2
        short, long = (short, middle) if enough(middle) else (middle, long)
    return long


def needed_by_error(n: int, gain: float, error: float, target: float, confidence: float) -> int | None:
    """Return the number of examples that show the gain with the probability ``POWER``.

    ``error`` is the standard error of ``gain`` on ``n`` examples, taken to shrink with the square root of their number.
    None if no number shows a gain above ``target``.
    """
    if gain <= target:
        return None
    errors = NormalDist().inv_cdf(confidence) + NormalDist().inv_cdf(POWER)  # from the target to the gain
    return math.ceil(n * (errors * error / (gain - target)) ** 2)


def needed_to_reach(n: int, gain: float, error: float, margin: float) -> int | None:
    """Return the number of examples with which the measured gain reaches the margin with the probability ``POWER``.

    ``error`` is the standard error of ``gain`` on ``n`` examples. None if the gain is not above the margin: a gain of
    exactly the margin reaches it half of the time with any number of examples.
    """
    if gain <= margin:
        return None
    return math.ceil(n * (NormalDist().inv_cdf(POWER) * error / (gain - margin)) ** 2 - _ROUNDING)


def needed_right_wrong(wins: int, losses: int, n: int, target: float, confidence: float) -> int | None:
    """Return the number of examples that the exact test needs, if the rates of wins and losses stay the same.

    The result of the large-sample formula is raised until the expected wins and losses pass the exact test. None if no
    number of examples shows a gain above ``target``.

    Source: J. Nam, Biometrics 53 (1997) 1422-1430, for the form of the formula.
    """
    gain = (wins - losses) / n
    if gain <= target or target <= -1:
        return None
    alternative = max((wins + losses) / n - gain * gain, 0.0)
    null = float(null_variance(wins / n, losses / n, target))
    normal = NormalDist()
    deviations = normal.inv_cdf(confidence) * math.sqrt(null) + normal.inv_cdf(POWER) * math.sqrt(alternative)
    needed = math.ceil((deviations / (gain - target)) ** 2)
    while needed <= _LARGE and not _passes(
        round(wins * needed / n), round(losses * needed / n), needed, target, confidence
    ):
        needed = math.ceil(needed * _GROWTH)  # the formula holds for large samples: check the expected outcome
    return needed


def exact_p(wins: int, losses: int, n: int, *, margin: float, confidence: float) -> float:
    """Return the exact one-sided p-value of "the real gain is at most ``margin``" at a one-sided confidence.

    See :func:`~pytest_ftgate.statistics.exact.exact_p_value`; the confidence only sets the part of the level that is
    spent on the rate of disagreement.
    """
    return exact_p_value(wins, losses, n, margin, gamma=spent_on_rate(level(confidence)))


def _passes(wins: int, losses: int, n: int, target: float, confidence: float) -> bool:
    p = exact_p(wins, losses, max(n, wins + losses), margin=target, confidence=confidence)
    return is_sure(p, level(confidence))


def needed_graded(sample: Sample, target: float, confidence: float) -> int | None:
    """Return the number of examples that Gaffke's test needs at 80 % power; None if no number is enough.

    The mean is taken as low as it is in one of five test sets, approximated by the normal distribution.
    """
    if sample.mean <= target:
        return None
    alpha, unlucky = level(confidence), NormalDist().inv_cdf(POWER) * sample.spread

    def passes(n: int) -> bool:
        return is_sure(graded_p_value(sample.grown(n), target + unlucky / math.sqrt(n)), alpha)

    return fewest(passes, MOST_EXAMPLES, first=8, precision=0.001)


@lru_cache(maxsize=10_000)
def fewest_wins(n: int, *, margin: float, confidence: float, evidence: str, losses: int = 0) -> int | None:
    """Return the fewest wins that pass a gate on right and wrong answers with so many losses; None if none do.

    The measured gain must always reach the margin (be above it if that is 0). The real gain must also be above 0 under
    "significant", and reach the margin under "proven".
    """
    targets = {"observed": [], "significant": [0.0], "proven": [min(margin, 0.0), margin]}[evidence]

    def enough(wins: int) -> bool:
        return all(_passes(wins, losses, n, target, confidence) for target in targets)

    least, most = max(0, losses + _least_gain(n, margin)), n - losses
    if n < 1 or least > most:
        return None
    # The answer is near the start if the margin decides. Every further win makes the p-value smaller.
    more = fewest(lambda more: enough(least - 1 + more), most - least + 1)
    return None if more is None else least - 1 + more


def _least_gain(n: int, margin: float) -> int:
    """Return the fewest wins more than losses with which the measured gain reaches the margin."""
    return math.ceil(Fraction(repr(float(margin))) * n) if margin else 1


@dataclass(frozen=True)
class Chances:
    """The probabilities of the three verdicts; they add up to 1.

    Attributes:
        passed: the gain reaches the margin and the evidence is there.
        failed: the measured gain is below the margin.
        inconclusive: the measured gain reaches the margin, but the evidence is missing.
    """

    passed: float
    failed: float
    inconclusive: float


def chances(n: int, *, gain: float, disagreement: float, margin: float, confidence: float, evidence: str) -> Chances:
    """Return how likely each verdict of a gate on right and wrong answers is, if the real gain were this one.

    All outcomes are added up with their probabilities. The fewest wins that pass are calculated for at most about 200
    numbers of losses, and interpolated between these.
    """
    rates, losing = np.array([disagreement]), (disagreement - gain) / 2
    losses = losses_that_matter(n, losing, losing)

    def chance(needed: Codes) -> float:
        possible = np.minimum(needed, n - losses + 1)
        return float(chance_of_enough_wins(rates, gain, n, losses, possible)[0])

    step = max(1, n // _KNOTS)
    knots = np.arange(losses[0] // step * step, losses[-1] + step, step)
    asked: dict[str, Any] = {"margin": margin, "confidence": confidence, "evidence": evidence}
    wins = [fewest_wins(n, losses=int(knot), **asked) for knot in knots]
    boundary = [n + 1 if fewest is None else fewest for fewest in wins]
    passed = chance(np.ceil(np.interp(losses, knots, boundary) - _ROUNDING).astype(np.int64))
    reached = max(passed, chance(np.maximum(losses + _least_gain(n, margin), 0)))
    return Chances(passed, 1 - reached, reached - passed)


def fewest_examples(
    max_drop: float, *, confidence: float, proven: bool, exact: bool, most: int = MOST_EXAMPLES
) -> int | None:
    """Return the fewest examples, or groups, that can decide whether a model got worse by more than ``max_drop``.

    If the drop must be proven to be smaller, this number rules it out if the two models never differ; fewer examples
    would require a gain. Otherwise it shows a loss if all examples are lost; fewer could never fail.

    Args:
        max_drop: share of the metric's range; above 0 with ``proven``.
        exact: whether the exact test of right and wrong answers applies; otherwise Gaffke's.
        most: the result is None if more are needed.
    """
    alpha = level(confidence)

    def enough(n: int) -> bool:
        if exact:
            lost, target = (0, -max_drop) if proven else (n, 0.0)
            return _passes(lost, 0, n, target, confidence)
        difference, target = (0.0, -max_drop) if proven else (1.0, 0.0)
        alike = Sample(np.array([difference]), np.array([float(n)]), -1.0)
        return is_sure(graded_p_value(alike, target), alpha)

    return fewest(enough, most)


@lru_cache(maxsize=100)
def detectable_gain(n: int, *, broken: float, margin: float, confidence: float, evidence: str) -> float | None:
    """Return the least real gain with which a gate on right and wrong answers passes with the probability ``POWER``.

    It is a multiple of 0.001, for a candidate that breaks this share of the examples; None if no gain is enough.
    """

    def enough(thousandths: int) -> bool:
        gain = thousandths / 1000
        asked: dict[str, Any] = {"margin": margin, "confidence": confidence, "evidence": evidence}
        return chances(n, gain=gain, disagreement=gain + 2 * broken, **asked).passed >= POWER

    found = fewest(enough, math.floor(1000 * (1 - 2 * broken)))
    return None if found is None else found / 1000


def redrawn(n: int, codes: Codes | None) -> Iterator[tuple[Places, Codes | None]]:
    """Yield test sets drawn with replacement from one of ``n`` examples, or from its groups: the rows and their groups.

    There are at most 200, fewer of more than 500 examples, and the same ones at each call.
    """
    rng, members = np.random.default_rng(0), None
    if codes is not None:
        members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    for _ in range(max(_FEWEST_DRAWN, min(_MOST_DRAWN, _EXAMPLES_DRAWN // n))):
        if members is None:
            yield rng.integers(n, size=n), None
            continue
        drawn = [members[code] for code in rng.integers(len(members), size=len(members))]
        yield np.concatenate(drawn), np.repeat(np.arange(len(drawn)), [len(rows) for rows in drawn])


_ArmT = TypeVar("_ArmT")
_GOLDEN = (math.sqrt(5) - 1) / 2
_EXTREME = 1e-15
_ROUNDING = 1e-12


def hypothetical_scores(
    scores: Floats, gain: float, *, best: float, worst: float, broken: float = 0.0, codes: Codes | None = None
) -> Floats | None:
    """Return scores ``(n,)`` of a candidate that breaks this share of the examples and gains at least ``gain``.

    The broken ones, which had the score ``best``, get ``worst``, and as few of the others as possible get ``best``.
    Both are spread over the test set, or over its groups, which change whole. ``best`` is finite.

    Args:
        codes: the group of each example, shape ``(n,)``; None: no groups.

    Returns None if even the best scores everywhere gain less.
    """

    def with_score(scores: Floats, places: Places, score: float) -> Floats:
        changed: Floats = scores.copy()
        changed[places] = score
        return changed

    sign, flawed = (1 if best > worst else -1), np.abs(scores - best) > _ROUNDING
    start = with_score(scores, _spread(~flawed, codes)[: round(broken * len(scores))], worst)
    return _smallest(
        lambda fixed: with_score(start, fixed, best),
        _spread(flawed, codes),
        lambda changed: sign * float((changed - scores).mean()) >= gain - _ROUNDING,
    )


def hypothetical_set(
    counts: SetCounts, gain: float, *, broken: float = 0.0, codes: Codes | None = None
) -> SetCounts | None:
    """Return counts of a candidate as :func:`hypothetical_scores` does, for a metric of the whole set."""
    before, flawed = counts.value, counts.scores < 1
    start = counts.with_wrong_answers(_spread(~flawed, codes)[: round(broken * len(counts))])
    correct: Callable[[Places], SetCounts] = start.with_right_answers
    return _smallest(correct, _spread(flawed, codes), lambda changed: changed.value - before >= gain - _ROUNDING)


def _spread(chosen: Bools, codes: Codes | None) -> Places:
    """Return the places of the chosen examples in an order that is even over the test set, or over its groups."""
    places = np.flatnonzero(chosen)
    numbers = np.arange(len(places)) if codes is None else codes[places]
    return places[np.argsort(((numbers + 1) * _GOLDEN) % 1.0, kind="stable")]


def _smallest(correct: Callable[[Places], _ArmT], order: Places, enough: Callable[[_ArmT], bool]) -> _ArmT | None:
    """Return the result of correcting as few as possible, the first of ``order``; None if all are not enough."""
    found = 0 if enough(correct(order[:0])) else fewest(lambda n: enough(correct(order[:n])), len(order))
    return None if found is None else correct(order[:found])


def chance_of_proof(p_value: float, confidence: float) -> float:
    """Return the approximate power of a test whose expected outcome has this p-value; 0.5 if that equals the level.

    The outcome is taken as normally distributed.
    """
    normal = NormalDist()
    seen = normal.inv_cdf(1 - min(max(p_value, _EXTREME), 1 - _EXTREME))
    return normal.cdf(seen - normal.inv_cdf(confidence))
