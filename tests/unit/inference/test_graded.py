import math
from statistics import NormalDist

import numpy as np
import pytest
from enumeration import outcomes, trinomial
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from pytest_ftgate.statistics import graded
from pytest_ftgate.statistics.compare import compare_preferences, compare_right_wrong
from pytest_ftgate.statistics.graded import Sample, graded_lower, graded_p_value

small_differences = st.lists(st.integers(-20, 20).map(lambda k: k / 20), min_size=1, max_size=30)


def p_of(differences, margin):
    return graded_p_value(Sample.of(np.asarray(differences, dtype=float), -1.0), margin)


def student_passes(differences, margin):
    n = len(differences)
    return (
        differences.mean() - stdtrit(n - 1, 0.95) * differences.std(ddof=1) / math.sqrt(n) >= margin
    )


@pytest.mark.parametrize("gain", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("n", [1, 3, 50, 400])
def test_equal_differences_leave_the_chance_of_having_seen_no_loss(n, gain):
    # A loss of 1 that is just frequent enough to bring the mean down to the margin, and was not met in n draws.
    margin = gain - 0.03
    share = (gain - margin) / (1 + gain)
    assert p_of(np.full(n, gain), margin) == pytest.approx((1 - share) ** n, rel=1e-9)


@pytest.mark.simulation
@pytest.mark.parametrize(("n", "margin"), [(2, 0.1), (5, -0.3), (30, 0.05)])
def test_it_is_the_probability_of_a_randomly_weighted_mean(n, margin):
    rng = np.random.default_rng(n)
    differences = np.clip(0.15 + 0.4 * rng.standard_normal(n), -1, 1)
    weights = rng.dirichlet(np.ones(n + 1), size=200_000)
    drawn = float((weights @ np.append(differences, -1.0) <= margin).mean())
    assert p_of(differences, margin) == pytest.approx(drawn, abs=0.005)


def test_many_distinct_differences_are_pooled_on_the_safe_side(monkeypatch):
    differences = np.append(np.random.default_rng(2).beta(2, 3, 4_000) - 0.35, [-0.9, 0.9])
    monkeypatch.setattr(graded, "_MOST_VALUES", 300)
    pooled = Sample.of(differences, -1.0)
    monkeypatch.undo()
    whole = Sample.of(differences, -1.0)
    assert len(pooled.values) <= 300 < len(whole.values)
    assert (pooled.counts.sum(), pooled.mean) == pytest.approx(
        (len(differences), whole.mean), abs=1e-9
    )
    lower = graded_lower(whole, 0.05)
    assert lower - 1e-5 <= graded_lower(pooled, 0.05) <= lower
    assert graded_p_value(pooled, 0.045) >= graded_p_value(whole, 0.045)


def test_both_sides_of_the_pole_agree():
    differences = np.array([0.3, -0.2, 0.1, 0.4, -0.3, 0.05])
    centre = float(np.append(differences, -1.0).mean())
    below, above = (p_of(differences, centre + shift) for shift in (-1e-7, 1e-7))
    assert below == pytest.approx(above, abs=1e-5)
    assert 0.4 < below < 0.6


@pytest.mark.parametrize("dust", [1e-273, 1e-17, 1e-13, 1e-11, 1e-7])
@pytest.mark.parametrize("differences", [[0.0], [0.0] * 60, [0.0, 0.0, 0.5], [0.0, -0.5]])
def test_a_hair_more_or_less_makes_no_difference(differences, dust):
    below, at_margin, above = (p_of(differences, margin) for margin in (-dust, 0.0, dust))
    assert below == pytest.approx(at_margin, abs=1e-4)
    assert above == pytest.approx(at_margin, abs=1e-4)


def test_targets_outside_of_what_can_be_and_numbers_that_are_none():
    assert [p_of([0.2, 0.3], margin) for margin in (0.3, -1.0)] == [1.0, 0.0]
    assert p_of([-1.0, -1.0], -0.5) == 1.0
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            p_of([0.1, value], 0.0)


@given(small_differences, st.integers(0, 29), st.floats(-0.9, 0.9), st.floats(0.0, 0.5))
def test_a_larger_margin_is_never_easier_and_a_better_example_never_worse(
    differences, index, margin, larger
):
    better = list(differences)
    better[index % len(better)] = 1.0
    p = p_of(differences, margin)
    assert p_of(better, margin) - 1e-9 <= p <= p_of(differences, min(margin + larger, 0.99)) + 1e-9


@given(small_differences, st.sampled_from([0.05, 0.01]))
def test_the_bound_inverts_the_test(differences, alpha):
    sample = Sample.of(np.asarray(differences, dtype=float), -1.0)
    low = graded_lower(sample, alpha)
    assert -1.0 <= low <= sample.mean
    if low > -1:
        assert alpha * 0.97 <= graded_p_value(sample, low) <= alpha + 1e-12


@pytest.mark.simulation
@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize(("size", "margin"), [(1.0, 0.0), (1.0, 0.05), (0.5, 0.0), (1.0, -0.02)])
def test_rare_losses_pass_falsely_at_most_five_percent(n, size, margin):
    worst = student = 0.0
    for share in np.arange(1, 60) / 100:
        # all others gain alike: the mean is the margin
        gain = (margin + share * size) / (1 - share)
        if gain > 1:
            break
        lost = np.arange(n + 1)
        samples = [np.repeat([-size, gain], [k, n - k]) for k in lost]
        chances = trinomial(lost, n - lost, n, np.array([share]), np.array([1 - share]))[:, 0]
        fewest = next((k for k in lost if p_of(samples[k], margin) > 0.05), n + 1)
        worst = max(worst, chances[:fewest].sum())
        student = max(
            student, sum(chances[k] for k in lost[:5] if student_passes(samples[k], margin - 1e-12))
        )
    assert worst <= 0.05
    assert student > 0.15  # the usual test is no contrast by accident


@pytest.mark.simulation
def test_three_values_pass_falsely_at_most_five_percent():
    n, values, margin = 14, np.array([0.6, -1.0, 0.1]), 0.02
    high, lost = outcomes(n)
    accepted = np.array(
        [
            p_of(np.repeat(values, [h, k, n - h - k]), margin) <= 0.05
            for h, k in zip(high, lost, strict=True)
        ]
    )
    losing = np.linspace(0.0, 0.35, 141)
    gaining = (margin - 0.1 + 1.1 * losing) / 0.5  # the mean is the margin
    possible = (gaining >= 0) & (gaining + losing <= 1)
    rates = accepted @ trinomial(high, lost, n, gaining[possible], losing[possible])
    assert 0.02 < rates.max() <= 0.05


SHAPES = {
    "normal": (lambda rng, n: np.clip(0.2 * rng.standard_normal(n), -0.9, 0.9), 0.0),
    "rare gains": (lambda rng, n: np.where(rng.random(n) < 0.05, 0.8, -0.02), 0.021),
    "rare losses": (
        lambda rng, n: np.where(rng.random(n) < 0.03, -1.0, 0.05 * (rng.random(n) < 0.9)),
        0.01365,
    ),
    "five steps": (
        lambda rng, n: rng.choice([-0.5, -0.25, 0.25, 0.5], n, p=[0.1, 0.4, 0.4, 0.1]),
        0.0,
    ),
}


@pytest.mark.simulation
@pytest.mark.parametrize("n", [30, 120])
@pytest.mark.parametrize("shape", SHAPES)
def test_simulated_shapes_pass_falsely_at_most_five_percent(shape, n):
    draw, mean = SHAPES[shape]
    rng = np.random.default_rng(n)
    repetitions = 1000
    passed = sum(p_of(draw(rng, n), mean) <= 0.05 for _ in range(repetitions))
    limit = 0.05 + NormalDist().inv_cdf(0.9999) * math.sqrt(0.05 * 0.95 / repetitions)
    assert passed / repetitions <= limit


ASKED = {"confidence": 0.95, "evidence": "significant"}


def test_preferences_are_the_paired_test_of_wins_and_losses_at_twice_the_margin():
    values = np.repeat([1.0, 0.0, 0.5], [30, 12, 18])
    paired = compare_right_wrong(values == 0, values == 1, margin=0.1, **ASKED)
    comparison = compare_preferences(values, margin=0.05, **ASKED)
    assert comparison.gain == pytest.approx((30 + 18 / 2) / 60 - 1 / 2)
    assert (comparison.fixed, comparison.broken, comparison.p_margin) == (30, 12, paired.p_margin)
    assert (comparison.lower_bound, comparison.upper_bound) == (
        paired.lower_bound / 2,
        paired.upper_bound / 2,
    )
    assert comparison.examples_needed == paired.examples_needed


def test_means_of_several_raters_are_held_to_a_bound_for_graded_scores():
    chance = np.random.default_rng(1)
    values = chance.choice([0.0, 1 / 3, 2 / 3, 1.0], size=200, p=[0.1, 0.2, 0.3, 0.4])
    comparison = compare_preferences(values, margin=0.0, **ASKED, means=True)
    assert comparison.method.startswith("Gaffke")
    assert comparison.gain == pytest.approx(values.mean() - 0.5)
    assert 0 < comparison.lower_bound < comparison.gain
    for value, words, means in ((1.2, "outside", True), (0.3, "mean", False)):
        with pytest.raises(ValueError, match=words):
            compare_preferences(np.array([1.0, 0.0, value]), margin=0.0, **ASKED, means=means)
