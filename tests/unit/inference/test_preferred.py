"""A win rate against a half: false passes by enumeration, and what it has in common with the sign test."""

from fractions import Fraction

import numpy as np
import pytest
from enumeration import outcomes, rates_at, trinomial
from scipy.stats import binomtest

from pytest_ftgate.statistics import compare_preferences, compare_right_wrong

N = 16


def preferences(wins, losses, n):
    return np.array([1.0] * wins + [0.0] * losses + [0.5] * (n - wins - losses))


def compared(wins, losses, n, margin=0.0, **asked):
    asked = {"confidence": 0.95, "evidence": "significant", **asked}
    return compare_preferences(preferences(wins, losses, n), margin=margin, **asked)


def test_the_gain_is_the_win_rate_less_a_half_with_ties_as_halves():
    found = compared(30, 10, 60)
    assert found.gain_exact == Fraction(30 + 10, 60) - Fraction(1, 2)  # 30 wins and half of 20 ties
    assert (found.wins, found.ties, found.losses) == (30, 20, 10)
    assert found.lower is not None
    assert 0 < found.lower < found.gain < (found.upper or 0) <= 0.5


@pytest.mark.simulation
@pytest.mark.parametrize("margin", [0.0, 0.05, 0.1])
@pytest.mark.parametrize("evidence", ["significant", "proven"])
def test_false_passes_stay_below_the_level_whatever_the_share_of_ties(margin, evidence):
    """Every outcome of 16 pairs, at the win rate that is just not good enough, over all shares of ties."""
    at = 0.0 if evidence == "significant" else margin
    wins, losses = outcomes(N)
    found = [compared(int(w), int(x), N, margin, evidence=evidence) for w, x in zip(wins, losses, strict=True)]
    passes = np.array([one.above_zero if evidence == "significant" else one.reaches_margin for one in found])
    win_rates, loss_rates = rates_at(2 * at)
    chances = trinomial(wins, losses, N, win_rates, loss_rates)
    assert passes.any()
    assert float((chances * passes[:, None]).sum(axis=0).max()) <= 0.05 + 1e-9


@pytest.mark.parametrize(("wins", "losses"), [(30, 12), (20, 8), (26, 14), (40, 20)])
def test_at_half_it_agrees_with_the_sign_test_on_the_pairs_that_are_no_ties(wins, losses):
    sign = binomtest(wins, wins + losses, alternative="greater").pvalue
    found = compared(wins, losses, 80)
    assert found.p_zero == pytest.approx(sign, abs=0.02)


def test_it_is_the_paired_test_of_wins_and_losses_at_twice_the_margin():
    values = preferences(30, 12, 60)
    paired = compare_right_wrong(values == 0, values == 1, margin=0.1, confidence=0.95, evidence="proven")
    found = compared(30, 12, 60, 0.05, evidence="proven")
    assert (found.lower, found.upper) == (paired.lower / 2, paired.upper / 2)
    assert (found.p_margin, found.examples_needed) == (paired.p_margin, paired.examples_needed)


def test_means_of_several_raters_are_held_to_a_bound_for_graded_scores():
    chance = np.random.default_rng(1)
    values = chance.choice([0.0, 1 / 3, 2 / 3, 1.0], size=200, p=[0.1, 0.2, 0.3, 0.4])
    found = compare_preferences(values, margin=0.0, confidence=0.95, evidence="significant", means=True)
    assert found.method.startswith("Gaffke")
    assert found.gain == pytest.approx(values.mean() - 0.5)
    assert found.lower is not None
    assert 0 < found.lower < found.gain


def test_groups_are_one_piece_of_evidence():
    alone = compared(60, 20, 120)
    grouped = compared(60, 20, 120, groups=[f"g{i // 6}" for i in range(120)])
    assert grouped.lower is not None
    assert alone.lower is not None
    assert grouped.lower < alone.lower


def test_a_preference_outside_of_its_range_is_refused():
    asked = {"margin": 0.0, "confidence": 0.95, "evidence": "significant"}
    with pytest.raises(ValueError, match="outside"):
        compare_preferences(np.array([1.2, 0.0, 0.3]), means=True, **asked)
    with pytest.raises(ValueError, match="mean"):
        compare_preferences(np.array([1.0, 0.0, 0.3]), **asked)
