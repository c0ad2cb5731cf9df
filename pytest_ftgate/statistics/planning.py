"""Plan sample sizes: how many examples a gate needs, and what a number of examples can show."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from pytest_ftgate.statistics import graded, set_level
from pytest_ftgate.statistics.arrays import Bools, Codes, Floats, Places
from pytest_ftgate.statistics.evidence import is_sure, level
from pytest_ftgate.statistics.exact import (
    chance_of_enough_wins,
    exact_p,
    losses_that_matter,
    null_variance,
)

POWER = 0.8
MOST_EXAMPLES = 1_000_000
"""Upper limit of the search for the number of examples."""

_NORMAL = NormalDist()
_POWER_QUANTILE = _NORMAL.inv_cdf(POWER)  # standard errors that a test set in five falls short by
_GROWTH = 1.05
_KNOTS = 200  # numbers of losses for which the fewest wins are calculated
_FEWEST_DRAWN = 20
_MOST_DRAWN = 200
_EXAMPLES_DRAWN = 100_000
_LARGE = 100_000  # examples from which the large-sample formula needs no check
_GOLDEN = (math.sqrt(5) - 1) / 2
_ROUNDING = 1e-12


def corrected_confidence(confidence: float, comparisons: int) -> float:
    """Return the confidence of each of several comparisons, corrected for their number.

    This is Bonferroni's correction: judging each at ``1 - (1 - confidence) / comparisons`` keeps
    the probability that any of them is wrong at ``1 - confidence`` or less.

    Source: O. J. Dunn, JASA 56 (1961) 52-64.
    """
    return 1 - level(confidence) / comparisons


def fewest(
    enough: Callable[[int], bool], most: int, *, first: int = 1, precision: float = 0.0
) -> int | None:
    """Return the smallest number up to ``most`` that is enough, by doubling and bisection.

    None if ``most`` is not enough. The search begins at ``first``, and may end above the smallest
    number by a share of it, ``precision``.
    """
    short = first // 2
    long = min(first, most)
    while not enough(long):
        if long == most:
            return None
        short = long
        long = min(2 * long, most)

    while long - short > max(1.0, long * precision):
        middle = (short + long) // 2
        if enough(middle):
            long = middle
        else:
            short = middle
    return long


def needed_by_error(
    n: int, gain: float, error: float, target: float, confidence: float = 0.5
) -> int | None:
    """Return the number of examples that show the gain with the probability ``POWER``.

    ``error`` is the standard error of ``gain`` on ``n`` examples, taken to shrink with the square
    root of their number. At a confidence of 0.5 the measured gain only has to reach the target.
    None if the gain is not above the target: a gain of exactly the target reaches it half of the
    time with any number of examples.
    """
    if gain <= target:
        return None
    deviations = _NORMAL.inv_cdf(confidence) + _POWER_QUANTILE
    return math.ceil(n * (deviations * error / (gain - target)) ** 2 - _ROUNDING)


def needed_right_wrong(
    wins: int, losses: int, n: int, target: float, confidence: float
) -> int | None:
    """Return the number of examples that the exact test needs at the same rates of wins and losses.

    The result of the large-sample formula is raised until the expected wins and losses pass the
    exact test. None if no number of examples shows a gain above ``target``.

    Source: J. Nam, Biometrics 53 (1997) 1422-1430, for the form of the formula.
    """
    gain = (wins - losses) / n
    if gain <= target or target <= -1:
        return None
    alternative = max((wins + losses) / n - gain * gain, 0.0)
    null = float(null_variance(wins / n, losses / n, target))
    quantile = _NORMAL.inv_cdf(confidence)
    deviations = quantile * math.sqrt(null) + _POWER_QUANTILE * math.sqrt(alternative)
    needed = math.ceil((deviations / (gain - target)) ** 2)

    # The formula holds for large samples: smaller ones must pass with the expected outcome.
    while needed <= _LARGE:
        expected_wins = round(wins * needed / n)
        expected_losses = round(losses * needed / n)
        if _passes(expected_wins, expected_losses, needed, target, confidence):
            break
        needed = math.ceil(needed * _GROWTH)
    return needed


def _passes(wins: int, losses: int, n: int, target: float, confidence: float) -> bool:
    p = exact_p(wins, losses, max(n, wins + losses), margin=target, confidence=confidence)
    return is_sure(p, level(confidence))


def needed_graded(sample: graded.Sample, target: float, confidence: float) -> int | None:
    """Return the number of examples that Gaffke's test needs at 80 % power.

    None if no number is enough. The mean is taken as low as it is in one of five test sets,
    approximated by the normal distribution.
    """
    if sample.mean <= target:
        return None

    def passes(n: int) -> bool:
        low_mean = _POWER_QUANTILE * sample.spread / math.sqrt(n)
        p = graded.graded_p_value(sample.grown(n), target + low_mean)
        return is_sure(p, level(confidence))

    return fewest(passes, MOST_EXAMPLES, first=8, precision=0.001)


@lru_cache(maxsize=10_000)
def fewest_wins(
    n: int, *, margin: float, confidence: float, evidence: str, losses: int = 0
) -> int | None:
    """Return the fewest wins that pass a gate on right and wrong answers with so many losses.

    None if no number does. The measured gain must always reach the margin (be above it if that is
    0). The true gain must also be above 0 under "significant", and reach the margin under "proven".
    """
    if evidence == "observed":
        targets = []
    elif evidence == "significant":
        targets = [0.0]
    else:
        targets = [min(margin, 0.0), margin]

    least = max(0, losses + _least_gain(n, margin))
    most = n - losses
    if n < 1 or least > most:
        return None

    def enough(number: int) -> bool:
        wins = least - 1 + number
        return all(_passes(wins, losses, n, target, confidence) for target in targets)

    # The search begins at the least number, near which the answer is if the margin decides. Every
    # further win makes the p-value smaller.
    number = fewest(enough, most - least + 1)
    if number is None:
        return None
    return least - 1 + number


def _least_gain(n: int, margin: float) -> int:
    """Return the fewest wins more than losses with which the measured gain reaches the margin."""
    if margin:
        return math.ceil(Fraction(repr(float(margin))) * n)
    return 1


class Chances(NamedTuple):
    """The probabilities of the three verdicts; they add up to 1.

    Attributes:
        passed: the gain reaches the margin and the evidence is there.
        failed: the measured gain is below the margin.
        inconclusive: the measured gain reaches the margin, but the evidence is missing.
    """

    passed: float
    failed: float
    inconclusive: float


def chances(
    n: int, *, gain: float, disagreement: float, margin: float, confidence: float, evidence: str
) -> Chances:
    """Return how likely each verdict of a gate on right and wrong answers is at a true gain.

    All outcomes are added up with their probabilities. The fewest wins that pass are calculated for
    at most about 200 numbers of losses, and interpolated between these.
    """
    rates = np.array([disagreement])
    losing = (disagreement - gain) / 2
    losses = losses_that_matter(n, losing, losing)

    def chance(needed: Codes) -> float:
        possible = np.minimum(needed, n - losses + 1)
        return float(chance_of_enough_wins(rates, gain, n, losses, possible)[0])

    step = max(1, n // _KNOTS)
    knots = np.arange(losses[0] // step * step, losses[-1] + step, step)
    boundary = []
    for knot in knots:
        wins = fewest_wins(
            n, margin=margin, confidence=confidence, evidence=evidence, losses=int(knot)
        )
        boundary.append(n + 1 if wins is None else wins)

    needed = np.ceil(np.interp(losses, knots, boundary) - _ROUNDING).astype(np.int64)
    passed = chance(needed)
    reached = max(passed, chance(np.maximum(losses + _least_gain(n, margin), 0)))
    return Chances(passed, 1 - reached, reached - passed)


def fewest_examples(max_drop: float, *, confidence: float, proven: bool, exact: bool) -> int | None:
    """Return the fewest examples, or groups, that can decide about a drop of ``max_drop``.

    If the drop must be proven to be smaller, this number rules it out if the two models never
    differ; fewer examples would require a gain. Otherwise it shows a loss if all examples are lost;
    fewer could never fail.

    Args:
        max_drop: share of the metric's range; above 0 with ``proven``.
        confidence: one-sided.
        proven: whether the drop must be proven to be smaller.
        exact: whether the exact test of right and wrong answers applies; otherwise Gaffke's.

    Returns:
        None if more than ``MOST_EXAMPLES`` are needed.
    """
    target = -max_drop if proven else 0.0

    def enough(n: int) -> bool:
        if exact:
            return _passes(0 if proven else n, 0, n, target, confidence)
        difference = 0.0 if proven else 1.0
        alike = graded.Sample(np.array([difference]), np.array([float(n)]), -1.0)
        return is_sure(graded.graded_p_value(alike, target), level(confidence))

    return fewest(enough, MOST_EXAMPLES)


def redrawn(n: int, codes: Codes | None) -> Iterator[tuple[Places, Codes | None]]:
    """Yield test sets drawn with replacement from one of ``n`` examples, or from its groups.

    Each is the rows and their groups. There are at most 200, fewer of more than 500 examples, and
    the same ones at each call.
    """
    rng = np.random.default_rng(0)
    draws = max(_FEWEST_DRAWN, min(_MOST_DRAWN, _EXAMPLES_DRAWN // n))
    if codes is None:
        for _ in range(draws):
            yield rng.integers(n, size=n), None
        return

    by_group = np.argsort(codes, kind="stable")
    members = np.split(by_group, np.cumsum(np.bincount(codes))[:-1])
    for _ in range(draws):
        groups = [members[code] for code in rng.integers(len(members), size=len(members))]
        sizes = [len(rows) for rows in groups]
        yield np.concatenate(groups), np.repeat(np.arange(len(groups)), sizes)


def hypothetical_scores(
    scores: Floats, gain: float, *, best: float, worst: float, **changes: Any
) -> Floats | None:
    """Return scores ``(n,)`` of a candidate as :func:`hypothetical_set` does.

    All scores are between ``best`` and ``worst``.
    """
    sign = 1 if best > worst else -1
    column = scores[:, None]
    counts = set_level.PooledCounts(
        counts=column,
        perfect=np.full_like(column, best),
        lost=np.full_like(column, worst),
        scores=(np.abs(scores - best) <= _ROUNDING).astype(float),
        statistic=lambda sums: sign * sums[:, 0],
    )
    changed = hypothetical_set(counts, gain * len(scores), **changes)
    if isinstance(changed, set_level.PooledCounts):
        return changed.counts[:, 0]
    return None


def hypothetical_set(
    counts: set_level.SetCounts,
    gain: float,
    *,
    broken: float = 0.0,
    rng: np.random.Generator | None = None,
) -> set_level.SetCounts | None:
    """Return counts of a candidate that gains at least ``gain`` and breaks some examples.

    The broken ones, which were right, become wrong, and as few of the others as possible become
    right. Both are spread evenly over the test set, or at random. None if even right answers to all
    gain less.

    Args:
        counts: of the baseline.
        gain: of the metric.
        broken: share of the examples, in [0, 1].
        rng: chooses the examples at random; None: evenly.
    """
    is_flawed = counts.scores < 1
    right = _spread(~is_flawed, rng)
    start = counts.with_wrong_answers(right[: round(broken * len(counts))])
    order = _spread(is_flawed, rng)
    least = counts.value + gain - _ROUNDING * len(counts)

    def enough(fixed: int) -> bool:
        return start.with_right_answers(order[:fixed]).value >= least

    fixed = 0 if enough(0) else fewest(enough, len(order))
    if fixed is None:
        return None
    return start.with_right_answers(order[:fixed])


def _spread(is_chosen: Bools, rng: np.random.Generator | None) -> Places:
    """Return the places of the chosen examples: in random order, or evenly over the set."""
    places = np.flatnonzero(is_chosen)
    if rng is not None:
        return rng.permutation(places)
    numbers = np.arange(1, len(places) + 1)
    return places[np.argsort((numbers * _GOLDEN) % 1.0, kind="stable")]
