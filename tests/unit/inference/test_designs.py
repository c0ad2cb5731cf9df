"""How often gates pass by luck where what is measured is no plain gain, by simulation of the tests that they use."""

import numpy as np
import pytest

from pytest_ftgate.checks import prospects
from pytest_ftgate.checks.losses import judge_drop
from pytest_ftgate.checks.parts import Tolerance
from pytest_ftgate.errors import Where
from pytest_ftgate.metrics import Scored
from pytest_ftgate.metrics.judged import Rating, Ratings
from pytest_ftgate.metrics.text import ExactMatch
from pytest_ftgate.result import PartResult
from pytest_ftgate.statistics.compare import ExactTest, compare_right_wrong
from pytest_ftgate.statistics.evidence import Question
from pytest_ftgate.statistics.exact import share_p_value
from pytest_ftgate.statistics.planning import corrected_confidence

ALPHA = 0.05
RUNS = 4_000


def rate(draw, runs=RUNS):
    """Return how often something happens, and print it with its standard error."""
    rng = np.random.default_rng(1)
    found = sum(draw(rng) for _ in range(runs)) / runs
    print(f"{100 * found:.1f} % ({100 * (found * (1 - found) / runs) ** 0.5:.1f})")
    return found


def exceeds(found, limit, runs=RUNS):
    """Return whether a rate exceeds its limit by more than three standard errors."""
    return found > limit + 3 * (limit * (1 - limit) / runs) ** 0.5


def faster(rng, n, factor, real, sd):
    """Return whether ``faster_by`` passes: the ratio of both p50 reaches the factor, and the sign test says so."""
    each = np.exp(rng.normal(0, sd, n))  # a long input takes both models longer
    old, new = (each * np.exp(rng.normal(0, sd, n)) for _ in range(2))
    old *= real
    reached = int((old >= factor * new).sum())
    return (
        bool(np.median(old) >= factor * np.median(new)) and share_p_value(reached, n, 0.5) <= ALPHA
    )


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("groups", "size", "gain"), [(20, 10, 0.1), (20, 10, 0.05), (40, 5, 0.1), (12, 20, 0.1)]
)
def test_a_plan_promises_what_the_gate_gives(groups, size, gain):
    """The chance of a pass is that of test sets whose answers change independently of their group."""
    runs, n = 300, groups * size
    codes = np.repeat(np.arange(groups), size)
    asked = {"margin": 0.05, "confidence": 0.95, "evidence": "significant"}
    right = (np.arange(n) % 10 < 7).astype(float)
    baseline = Scored(ExactMatch(), 0.7, per_example=right)
    promised = prospects._simulated(baseline, gain, codes, asked, broken=0.03).passed

    def passes(rng):
        change = rng.random(n)
        fixed = (right == 0) & (change < (gain + 0.03) / 0.3)
        lost = (right == 1) & (change < 0.03 / 0.7)
        after = np.where(fixed, 1.0, np.where(lost, 0.0, right))
        return (
            compare_right_wrong(right, after, groups=codes, bounds=False, **asked).status == "pass"
        )

    assert promised == pytest.approx(rate(passes, runs), abs=0.12)


@pytest.mark.simulation
@pytest.mark.parametrize(("n", "sd"), [(50, 0.6), (50, 0.2), (200, 0.6)])
def test_a_model_that_is_just_not_fast_enough_seldom_passes(n, sd):
    assert not exceeds(rate(lambda rng: faster(rng, n, 2.0, 2.0, sd)), ALPHA)
    assert rate(lambda rng: faster(rng, n, 2.0, 1.8, sd)) <= ALPHA
    # and one that is twice as fast as needed passes
    assert rate(lambda rng: faster(rng, n, 2.0, 4.0, sd)) >= 0.5


@pytest.mark.simulation
@pytest.mark.parametrize(("n", "most"), [(58, 0.0), (59, ALPHA), (100, ALPHA), (300, ALPHA)])
def test_a_p95_at_its_limit_seldom_passes(n, most):
    limit = float(np.exp(0.6 * 1.6448536))

    def within(rng, slower):
        seconds = slower * np.exp(rng.normal(0, 0.6, n))
        return share_p_value(int((seconds <= limit).sum()), n, 0.95) <= ALPHA

    assert not exceeds(rate(lambda rng: within(rng, 1.0)), most)
    assert rate(lambda rng: within(rng, 1.1)) <= most


@pytest.mark.simulation
@pytest.mark.parametrize("raters", [5, 8, 15, 30])
@pytest.mark.parametrize("spread", [0.10, 0.15])
def test_raters_with_a_taste_of_their_own_seldom_pass_an_equal_candidate(raters, spread):
    """Each of 200 pairs has one rating; what a rater prefers on average differs by this standard deviation."""
    where = Where("prefs.csv")
    of_pair = np.arange(200) % raters

    def is_significant(rng):
        taste = np.clip(0.5 + spread * rng.standard_normal(raters), 0, 1)
        preferred = (rng.random(200) < taste[of_pair]).astype(float)
        pairs = zip(of_pair, preferred, strict=True)
        ratings = tuple((Rating(where, str(rater), value),) for rater, value in pairs)
        return Ratings("prefs.csv", "", ratings).rater_p_value(0.0) <= ALPHA

    assert not exceeds(rate(is_significant, 1_000), ALPHA, 1_000)


@pytest.mark.simulation
def test_slices_of_a_candidate_that_lost_nowhere_seldom_fail():
    """Five slices of 30, in each of which both models are equally good and differ on 16 %."""
    tolerance = Tolerance(0.03, corrected_confidence(0.95, 5), proven=False)
    part, seen = PartResult("part", "accuracy", 0.03), {}

    def status(rng):
        won, lost, _ = rng.multinomial(30, [0.08, 0.08, 0.84])
        if (won, lost) not in seen:
            rows = np.arange(30)
            before, after = (
                right.astype(float) for right in (rows >= won, (rows < won) | (rows >= won + lost))
            )
            scored = [
                Scored(ExactMatch(), float(one.mean()), per_example=one) for one in (before, after)
            ]
            seen[won, lost] = judge_drop(
                part, {"baseline": scored[0]}, scored[1], tolerance, [None] * 30
            ).verdict
        return seen[won, lost]

    assert not exceeds(rate(lambda rng: "fail" in [status(rng) for _ in range(5)]), ALPHA)


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("over_prompt", "over_champion"),
    [(0.0, 0.0), (0.0, -0.03), (0.10, -0.03)],
    ids=["prompt", "both", "champion"],
)
def test_two_standards_need_no_correction(over_prompt, over_champion):
    """A candidate that only just misses a standard passes both in at most 5 %: margin 0, and max_drop 3 points."""
    n = 200

    def outcome(rng, gain):
        won, lost, _ = rng.multinomial(n, [0.08 + gain / 2, 0.08 - gain / 2, 0.84])
        return int(won), int(lost)

    def passes(rng):
        beaten, kept = outcome(rng, over_prompt), outcome(rng, over_champion)
        if beaten[0] <= beaten[1] or kept[0] - kept[1] < -0.03 * n:
            return False
        proofs = (
            (beaten, Question(0.0, 0.95, "significant"), 0.0),
            (kept, Question(-0.03, 0.95, "proven"), -0.03),
        )
        return all(
            ExactTest(*counts, n, asked).p_value(target) <= ALPHA
            for counts, asked, target in proofs
        )

    assert not exceeds(rate(passes, 2_000), ALPHA, 2_000)
