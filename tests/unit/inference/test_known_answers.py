"""Every shipped method against published numbers, or numbers that follow by hand."""

import json
import math
from itertools import product
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binom
from set_examples import fields_arm

from pytest_ftgate.statistics.compare import compare_right_wrong, compare_set
from pytest_ftgate.statistics.exact import disagreement_interval, exact_p_value, tango_score
from pytest_ftgate.statistics.graded import Sample, graded_lower
from pytest_ftgate.statistics.groups import sign_flip_p_value
from pytest_ftgate.statistics.jackknife import jackknife, means_without_a_group
from pytest_ftgate.statistics.planning import chances, exact_p, fewest_wins

SECOND = json.loads(Path(__file__).with_name("known_answers_2.json").read_text(encoding="utf-8"))
KNOWN = json.loads(Path(__file__).with_name("known_answers.json").read_text(encoding="utf-8"))


def cases(name):
    return [pytest.param(case, id=case["source"]) for case in KNOWN[name]]


@pytest.mark.parametrize("case", cases("tango_interval"))
def test_tango_interval(case):
    wins, losses, n = case["wins"], case["losses"], case["n"]
    critical = NormalDist().inv_cdf(0.5 + case["confidence"] / 2)
    low, high = case["expected"]
    # the score falls with the margin
    for fixed, broken, end in ((wins, losses, low), (losses, wins, -high)):
        if end == -1:
            continue
        above, below = (
            tango_score(fixed, broken, n, end + sign * case["tolerance"]) for sign in (-1, 1)
        )
        assert above >= critical >= below


@pytest.mark.parametrize("case", cases("exact_p_value"))
def test_exact_p_value(case):
    p_value = exact_p_value(case["wins"], case["losses"], case["n"], case["margin"])
    assert p_value == pytest.approx(case["expected"], abs=case["tolerance"])


@pytest.mark.parametrize("case", cases("clopper_pearson"))
def test_interval_of_the_disagreement_rate(case):
    interval = disagreement_interval(case["successes"], case["n"], 1 - case["confidence"])
    assert interval == pytest.approx(case["expected"], abs=case["tolerance"])


@pytest.mark.parametrize("case", cases("clopper_pearson"))
def test_gaffke_of_two_values_is_clopper_pearson(case):
    values = np.repeat([1.0, 0.0], [case["successes"], case["n"] - case["successes"]])
    alpha = (1 - case["confidence"]) / 2
    bounds = (
        graded_lower(Sample.of(values, 0.0), alpha),
        -graded_lower(Sample.of(-values, -1.0), alpha),
    )
    # the search stops at a fraction of an error
    assert bounds == pytest.approx(case["expected"], abs=1.5e-4)


def test_jackknife_of_a_correlation():
    case = KNOWN["law_school"]
    x, y = np.array(case["lsat"]), np.array(case["gpa"])

    def correlation(keep):
        return float(np.corrcoef(x[keep], y[keep])[0, 1])

    everyone = np.arange(len(x))
    left_out = np.array([correlation(everyone != i) for i in everyone])
    estimate = jackknife(correlation(everyone), left_out)
    assert estimate.value == pytest.approx(case["correlation"], abs=case["tolerance"])
    assert estimate.standard_error == pytest.approx(case["standard_error"], abs=case["tolerance"])
    assert estimate.degrees == pytest.approx(14)


def test_delete_a_group_is_the_clustered_error():
    case = KNOWN["clustered_error"]
    values, groups = np.arange(case["n"], dtype=float), np.arange(case["n"]) % case["groups"]
    estimate = jackknife(float(values.mean()), means_without_a_group(values, groups))
    assert estimate.standard_error == pytest.approx(case["expected"], abs=case["tolerance"])


def of_second(start):
    return [case for case in SECOND if case["what"].startswith(start)]


@pytest.mark.parametrize("case", of_second("exact cluster sign-flip"))
def test_sign_flips_of_integer_group_totals(case):
    totals = np.array(case["inputs"]["totals"], dtype=float)
    assert sign_flip_p_value(totals) == pytest.approx(case["expected"], abs=case["tolerance"])
    for unit in (0.37, 1 / 3, math.pi):
        assert sign_flip_p_value(totals * unit) == pytest.approx(
            case["expected"], abs=case["tolerance"]
        )


@pytest.mark.parametrize(
    ("gained", "lost"), [(3, 1), (40, 25), (9_000, 8_700), (60_000, 40_000), (0, 5)]
)
def test_sign_flips_of_equal_totals_are_the_sign_test(gained, lost):
    totals = np.repeat([1.0, -1.0, 0.0], [gained, lost, 100])
    expected = binom.cdf(lost, gained + lost, 0.5)
    for unit in (1, 3, 0.37):
        assert sign_flip_p_value(unit * totals) == pytest.approx(expected, abs=1e-12)


TIED = [
    [111 / 89] * 5 + [66 / 97] * 3 + [-111 / 89] * 2 + [-66 / 97],
    [2 / 3] * 10 + [-2 / 3] * 4 + [1.0, 1.0, -1.0],
    [0.97] * 8 + [-0.06] * 3 + [1.88] * 2 + [-1.03] * 4,
    [math.sqrt(2)] * 6 + [-math.sqrt(2)] * 2 + [math.pi] * 4 + [-math.pi] * 2,
]


@pytest.mark.parametrize("totals", [np.array(totals) for totals in TIED])
def test_totals_that_tie_stay_tied(totals):
    sums = np.array(list(product([0, 1], repeat=len(totals)))) @ totals
    assert sign_flip_p_value(totals) == pytest.approx((sums <= 1e-9).mean(), abs=1e-12)


def test_many_roundings_do_not_add_up():
    wins, losses = 519, 481  # of totals of 111/89, and as many of 66/97
    totals = np.repeat([111 / 89, -111 / 89, 66 / 97, -66 / 97], [wins, losses, wins, losses])
    flips = np.arange(wins + losses + 1)
    largest = np.floor((losses - flips) * (111 / 89) / (66 / 97) + 1e-9) + losses
    exact = binom.pmf(flips, len(flips) - 1, 0.5) @ binom.cdf(largest, len(flips) - 1, 0.5)
    assert sign_flip_p_value(totals) == pytest.approx(exact, abs=2e-4)


def test_sign_flips_of_any_totals_are_those_of_all_patterns():
    rng = np.random.default_rng(0)
    patterns = np.array(list(product([0, 1], repeat=12)))
    for _ in range(10):
        totals = rng.normal(0.3, 1, 12)
        share = (patterns @ totals <= 0).mean()
        assert sign_flip_p_value(totals) == pytest.approx(share, abs=5e-4)

    # Most groups change nothing and count by the target alone, less than a step each: a normal distribution by then.
    totals = np.repeat([1.0, -1.0, 0.0], [900, 600, 8_500]) - 0.025
    normal = NormalDist().cdf(-totals.sum() / math.sqrt(totals @ totals))
    assert sign_flip_p_value(totals) == pytest.approx(normal, abs=2e-3)


@pytest.mark.parametrize("case", of_second("attempt k"))
def test_the_fewest_wins_of_later_attempts(case):
    inputs = case["inputs"]
    n = inputs["n"]
    level = case["expected"]["level"]
    confidence = 1 - level
    assert inputs["alpha"] * 2 ** -inputs["k"] == level

    options = {"margin": 0.0, "confidence": confidence, "evidence": "significant"}
    fewest = [fewest_wins(n, losses=losses, **options) for losses in inputs["losses"]]
    assert fewest == case["expected"]["wins"]

    for wins, losses in zip(fewest, inputs["losses"], strict=True):
        assert exact_p(wins, losses, n, margin=0.0, confidence=confidence) <= level
        assert exact_p(wins - 1, losses, n, margin=0.0, confidence=confidence) > level


@pytest.mark.parametrize("case", of_second("significant:"))
def test_the_chances_of_the_three_verdicts(case):
    inputs = {name: case["inputs"][name] for name in ("n", "disagreement", "margin")}
    chance = chances(
        **inputs, gain=case["inputs"]["real_gain"], confidence=0.95, evidence="significant"
    )
    assert (chance.passed, chance.failed, chance.inconclusive) == pytest.approx(
        case["expected"], abs=case["tolerance"]
    )


@pytest.mark.parametrize("case", of_second("no valid 5 % test"))
def test_the_power_is_near_the_most_that_a_valid_test_can_have(case):
    inputs = {name: case["inputs"][name] for name in ("n", "gain", "disagreement", "margin")}
    chance = chances(
        **inputs, confidence=0.95, evidence="proven" if inputs["margin"] else "significant"
    )
    assert chance.passed == pytest.approx(case["expected"]["shipped"], abs=case["tolerance"])
    assert chance.passed <= case["expected"]["at_most"]


def test_examples_needed_reach_the_margin_again():
    (case,) = of_second("examples needed")
    wins, losses, n, margin = (case["inputs"][name] for name in ("wins", "losses", "n", "margin"))
    rows, options = np.arange(n), {"margin": margin, "confidence": 0.95, "evidence": "significant"}
    comparison = compare_right_wrong(
        (rows >= wins) & (rows < wins + losses), rows < wins, **options
    )
    assert comparison.examples_needed == case["expected"]["margin_part"]
    chance_again = chances(
        comparison.examples_needed,
        gain=comparison.gain,
        disagreement=(wins + losses) / n,
        **options,
    )
    assert chance_again.passed == pytest.approx(case["expected"]["P_pass_there"], abs=2e-3)
    # just the margin: half of all sets reach it, at any size
    just = compare_right_wrong(rows >= n, rows < 5, **options)
    assert (just.shown, just.examples_needed) == (True, None)


def test_in_a_micro_average_a_document_that_is_lost_whole_may_not_have_been_met():
    (case,) = of_second("field accuracy")
    n, fields, gaining = (case["inputs"][name] for name in ("n", "fields", "gaining_documents"))
    right = np.full(n, fields - 1.0)
    arms = [
        fields_arm(right_fields, np.full(n, float(fields)))
        for right_fields in (right, right + (np.arange(n) < gaining))
    ]
    comparison = compare_set(*arms, margin=0.0, confidence=0.95, evidence="significant")
    assert comparison.p_zero == pytest.approx(
        case["expected"]["with_one_lost_document"], abs=case["tolerance"]
    )
    assert comparison.shown is case["expected"]["sure"]
