"""Early stopping: the looks together pass no more often than one test, by enumeration of all paths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import fftconvolve
from scipy.stats import binom, norm

from pytest_ftgate.statistics.evidence import is_sure, level
from pytest_ftgate.statistics.planning import exact_p
from pytest_ftgate.statistics.sequential import Look, boundaries, expected, is_futile, keeps_margin, looks

RATES = (0.01, 0.02, 0.04, 0.06, 0.09, 0.12, 0.16, 0.2, 0.25, 0.3)


def fewest_wins_to_show(look: Look, target: float, most_losses: int) -> list[int]:
    """The fewest wins that show a gain above the target at a look, for each number of losses: the gate's exact test."""
    found: list[int] = []
    wins = max(0, math.floor(look.n * target))
    for losses in range(most_losses + 1):
        while wins + losses <= look.n and not is_sure(
            exact_p(wins, losses, look.n, margin=target, confidence=look.confidence), level(look.confidence)
        ):
            wins += 1
        found.append(wins)
    return found


def trinomial(n: int, winning: float, losing: float, most: tuple[int, int]) -> np.ndarray:
    """P(wins, losses) of n examples, up to these numbers."""
    losses = np.arange(min(n, most[1]) + 1)
    wins = np.arange(min(n, most[0]) + 1)
    given = binom.pmf(wins[:, None], n - losses[None, :], winning / (1 - losing))
    return given * binom.pmf(losses, n, losing)


def false_passes(total: int, target: float, confidence: float, rates=RATES) -> dict[float, float]:
    """The probability that some look shows a gain above the target if the real gain is the target, by disagreement.

    The margin, the condition that it is kept, and futility, which all make passing rarer, are left out.
    """
    rates = [rate for rate in rates if rate > abs(target)]
    ways = [((rate + target) / 2, (rate - target) / 2) for rate in rates]
    high = [tuple(int(total * rate + 7 * math.sqrt(total * rate) + 10) for rate in way) for way in ways]
    steps = looks(total, confidence)
    needed = [
        np.array(fewest_wins_to_show(one, target, min(one.n, max(losses for _, losses in high)))) for one in steps
    ]
    found = {}
    for rate, (winning, losing), most in zip(rates, ways, high, strict=True):
        going, passed, before = np.ones((1, 1)), 0.0, 0
        for look, fewest in zip(steps, needed, strict=True):
            going = fftconvolve(going, trinomial(look.n - before, winning, losing, most))[: most[0] + 1, : most[1] + 1]
            shown = np.arange(going.shape[0])[:, None] >= fewest[: going.shape[1]]
            passed += float(going[shown].sum())
            going, before = np.where(shown, 0.0, going), look.n
        found[rate] = passed + max(0.0, 1 - passed - float(going.sum()))  # what was cut off counts as passed
    return found


# --- the guarantee: the looks together pass at most as often as the level allows -----------------------------


SIZES = [*((total, target) for total in (37, 50, 100, 200) for target in (-0.03, 0.0, 0.05)), (500, 0.0)]


@pytest.mark.parametrize(("total", "target"), SIZES)
def test_worst_false_pass_is_at_most_five_percent(total, target):
    worst = max(false_passes(total, target, 0.95).values())
    assert 0.04 < worst <= 0.05  # honest, and not by never passing anything


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("total", "target"),
    [*((total, target) for total in (10, 37, 150, 500) for target in (-0.1, -0.03, 0.0, 0.05)), (1000, 0.0)],
)
def test_worst_false_pass_of_larger_sets(total, target):
    assert max(false_passes(total, target, 0.95, (*RATES, 0.4, 0.5, 0.7, 1.0)).values()) <= 0.05


@pytest.mark.parametrize("confidence", [0.9, 0.975, 0.9875, 0.99])
def test_other_confidences_hold_too(confidence):
    assert max(false_passes(60, 0.0, confidence, (*RATES, 0.5)).values()) <= 1 - confidence


def test_the_enumeration_can_tell_dishonest_looks():
    """Five looks at 95 % each pass far more often: 14 % in the limit."""
    steps, going, passed, before = looks(100, 0.95), np.ones((1, 1)), 0.0, 0
    for look in steps:
        plain = Look(look.number, look.n, look.total, 0.95)
        fewest = np.array(fewest_wins_to_show(plain, 0.0, min(look.n, 40)))
        going = fftconvolve(going, trinomial(look.n - before, 0.1, 0.1, (40, 40)))[:41, :41]
        shown = np.arange(going.shape[0])[:, None] >= fewest[: going.shape[1]]
        passed, going, before = passed + float(going[shown].sum()), np.where(shown, 0.0, going), look.n
    assert passed > 0.1


# --- the boundaries ------------------------------------------------------------------------------------------


def test_the_critical_values_are_the_published_ones():
    """As ``gsDesign(k = 5, test.type = 1, alpha = 0.05, sfu = sfLDOF)`` has them."""
    assert boundaries(0.95) == pytest.approx([4.22920, 2.88814, 2.29809, 1.96182, 1.73970], abs=5e-6)


@pytest.mark.parametrize("confidence", [0.6, 0.9, 0.95, 0.9875, 0.999])
def test_the_level_is_spent_by_the_last_look(confidence):
    """Monte Carlo of Brownian motion, independent of the numerical integral."""
    critical, random = np.array(boundaries(confidence)), np.random.default_rng(1)
    paths = random.standard_normal((400_000, 5)).cumsum(axis=1) / np.sqrt(np.arange(1, 6))
    crossed = float((paths >= critical).any(axis=1).mean())
    alpha = 1 - confidence
    assert crossed == pytest.approx(alpha, abs=5 * math.sqrt(alpha / 400_000))
    assert critical[0] == pytest.approx(norm.isf(2 * norm.sf(norm.isf(alpha / 2) * math.sqrt(5))), abs=1e-6)


@pytest.mark.parametrize("total", [1, 4, 5, 7, 37, 500])
def test_the_last_look_is_at_all_examples(total):
    steps = looks(total, 0.95)
    assert [one.number for one in steps] == [1, 2, 3, 4, 5]
    assert [one.n for one in steps] == [math.ceil(total * k / 5) for k in range(1, 6)]
    assert steps[-1].is_last
    assert all(0.5 < one.confidence < 1 for one in steps)


# --- the margin, futility, and what is expected --------------------------------------------------------------


def test_a_gain_near_the_margin_waits():
    look = Look(1, 400, 2000, 0.95)
    assert not keeps_margin(60, 36, look, 0.05)  # +6 points
    assert keeps_margin(90, 30, look, 0.05)  # +15 points
    assert keeps_margin(100, 0, Look(5, 2000, 2000, 0.95), 0.05)  # all examples: nothing can change


def test_futility_is_the_conditional_power_at_the_upper_bound():
    look = Look(2, 200, 500, 0.95)
    asked = {"margin": 0.05, "target": 0.0, "confidence": 0.95}
    wins, losses = 15, 15
    variance = (wins + losses + 1) / 200
    hoped = 1.6448536 * math.sqrt(variance / 200)
    needed = max(0.05, boundaries(0.95)[-1] * math.sqrt(variance / 500))
    power = norm.sf((needed * 500 - 300 * hoped) / math.sqrt(300 * variance))
    assert is_futile(wins, losses, look, **asked) is bool(power < 0.2)
    assert is_futile(10, 30, look, **asked)
    assert not is_futile(40, 10, look, **asked)
    assert not is_futile(10, 30, Look(5, 500, 500, 0.95), **asked)  # nothing is left to save


@pytest.mark.parametrize(("total", "gain", "share", "passed"), [
    (200, 0.0, 0.57, 0.04), (200, 0.05, 0.79, 0.49), (200, 0.1, 0.65, 0.96),
    (500, 0.0, 0.43, 0.00), (500, 0.05, 0.77, 0.51), (500, 0.1, 0.48, 1.00),
    (2000, 0.0, 0.24, 0.00), (2000, 0.05, 0.75, 0.51), (2000, 0.1, 0.24, 1.00),
])  # fmt: skip
def test_calls_and_passes_are_those_of_an_independent_simulation(total, gain, share, passed):
    """Of the second audit of the statistics: margin 5 points, the models disagree on 16 % of the examples."""
    found = expected(total, gain=gain, disagreement=0.16, margin=0.05, target=0.0, confidence=0.95)
    assert (found.share, found.passed) == (pytest.approx(share, abs=0.02), pytest.approx(passed, abs=0.03))
    assert found.passed + found.failed + found.inconclusive == pytest.approx(1)


def calls_and_passes(total, gain, rate, margin):
    """The expected share of examples and the probability to pass, by enumeration with the gate's exact test."""
    asked = {"margin": margin, "target": 0.0, "confidence": 0.95}
    winning, losing = (rate + gain) / 2, (rate - gain) / 2
    most = tuple(int(total * one + 7 * math.sqrt(total * one) + 10) for one in (winning, losing))
    going, passed, needed, before = np.ones((1, 1)), 0.0, 0.0, 0
    for look in looks(total, 0.95):
        going = fftconvolve(going, trinomial(look.n - before, winning, losing, most))[: most[0] + 1, : most[1] + 1]
        fewest = fewest_wins_to_show(look, 0.0, min(look.n, most[1]))
        holds, ends = np.zeros(going.shape, bool), np.full(going.shape, look.is_last)
        for wins, losses in zip(*np.nonzero(going > 1e-12), strict=True):
            shown = wins >= fewest[losses] and (wins - losses) / look.n >= margin - 1e-12
            holds[wins, losses] = shown and keeps_margin(wins, losses, look, margin)
            ends[wins, losses] |= holds[wins, losses] or (not shown and is_futile(wins, losses, look, **asked))
        passed, needed = passed + going[holds].sum(), needed + look.n * going[ends].sum()
        going, before = np.where(ends, 0.0, going), look.n
    return needed / total, passed


@pytest.mark.simulation
@pytest.mark.parametrize(("total", "gain", "share", "passed"), [
    (100, 0.0, 0.58, 0.04), (100, 0.05, 0.76, 0.31), (100, 0.1, 0.77, 0.80),
    (200, 0.0, 0.57, 0.04), (200, 0.05, 0.79, 0.49), (200, 0.1, 0.65, 0.96),
    (500, 0.0, 0.43, 0.00), (500, 0.05, 0.77, 0.51), (500, 0.1, 0.48, 1.00),
])  # fmt: skip
def test_the_table_of_the_docs_is_enumerated(total, gain, share, passed):
    assert calls_and_passes(total, gain, 0.16, 0.05) == (
        pytest.approx(share, abs=0.0056),
        pytest.approx(passed, abs=0.0056),
    )
