import numpy as np
import pytest
from enumeration import exact_p_values, outcomes, worst_false_pass
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.statistics.exact import (
    GAMMA,
    exact_lower,
    exact_p_value,
    spent_on_rate,
    tango_score,
)

MARGINS = [-0.1, -0.02, 0.0, 0.03, 0.05]


def accepted_region(n, margin, alpha=0.05):
    """Return which outcomes the shipped p-value accepts, found along the edge of the region."""
    fewest, wins = np.full(n + 1, n + 1), 0
    for losses in range(n + 1):
        while wins <= n - losses and exact_p_value(wins, losses, n, margin) > alpha:
            wins += 1
        if wins > n - losses:
            break
        fewest[losses] = wins
    every_win, every_loss = outcomes(n)
    return every_win, every_loss, every_win >= fewest[every_loss]


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("n", "alpha"), [*((n, 0.05) for n in (20, 35, 50, 64, 100)), (100, 0.005)]
)
@pytest.mark.parametrize("margin", MARGINS)
def test_worst_false_pass_is_at_most_the_level(n, margin, alpha):
    wins, losses, accepted = accepted_region(n, margin, alpha)
    worst = worst_false_pass(wins, losses, accepted, n, margin)
    assert 0.8 * alpha < worst <= alpha  # honest, and not by never passing anything


def test_the_enumeration_can_tell_a_dishonest_test():
    wins, losses = outcomes(100)
    plain_score = tango_score(wins, losses, 100, 0.03) >= 1.6449
    assert worst_false_pass(wins, losses, plain_score, 100, 0.03) > 0.08


@pytest.mark.parametrize("n", [1, 2, 9])
@pytest.mark.parametrize("margin", [-0.9, -0.3, *MARGINS, 0.4, 0.95])
def test_it_is_the_sum_over_all_outcomes(n, margin):
    wins, losses, expected = exact_p_values(n, margin)
    p_values = [
        exact_p_value(int(won), int(lost), n, margin)
        for won, lost in zip(wins, losses, strict=True)
    ]
    assert p_values == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("margin", [-0.02, -0.05, -0.5])
@pytest.mark.parametrize("n", [1, 40, 500])
def test_no_disagreement_at_all_leaves_the_chance_of_having_seen_no_loss(n, margin):
    assert exact_p_value(0, 0, n, margin) == pytest.approx(
        min(1.0, (1 + margin) ** n + GAMMA), rel=1e-9
    )


def test_full_disagreement_has_a_probability():
    # The rates then add up to exactly 1, where rounding must not make a probability of more.
    for n in (10, 30):
        table = [exact_p_value(n - losses, losses, n, -0.05) for losses in range(n + 1)]
        assert np.isfinite(table).all()
        assert (np.diff(table) >= -1e-9).all()


def test_margins_at_beyond_and_next_to_the_ends():
    assert exact_p_value(40, 0, 40, 1.0) == 1.0
    assert exact_p_value(0, 40, 40, -1.0) == 0.0
    assert 0 < exact_p_value(10, 3, 40, -0.999) < 0.05 < exact_p_value(10, 3, 40, 0.999) <= 1


def test_a_hundred_thousand_examples_agree_with_the_normal_approximation():
    wins, losses, n = 13_000, 5_000, 100_000
    error = ((wins + losses) / n - 0.08**2) ** 0.5 / n**0.5
    low = exact_lower(wins, losses, n, 0.05)
    assert low == pytest.approx(0.08 - 1.6449 * error, abs=0.01 * error)
    assert exact_p_value(wins, losses, n, 0.08 - 1.6449 * error) == pytest.approx(0.05, abs=5e-4)


def test_the_window_of_losses_changes_nothing(monkeypatch):
    narrow = exact_p_value(60, 30, 900, 0.02)
    monkeypatch.setattr("pytest_ftgate.statistics.exact._WINDOW_SD", 100.0)
    assert narrow == pytest.approx(exact_p_value(60, 30, 900, 0.02), abs=1e-10)


def test_what_is_spent_on_the_rate_never_uses_up_the_level():
    assert spent_on_rate(0.05) == 1e-4
    assert spent_on_rate(1e-4) == pytest.approx(1e-6)
    assert exact_p_value(60, 0, 60, 0.0, gamma=spent_on_rate(1e-5)) < 1e-5


@given(st.integers(1, 400), st.data())
def test_more_wins_never_lower_the_bound(n, data):
    wins = data.draw(st.integers(0, n - 1))
    losses = data.draw(st.integers(0, n - wins - 1))
    low = exact_lower(wins, losses, n, 0.05)
    assert low <= exact_lower(wins + 1, losses, n, 0.05)
    assert -1 <= low <= (wins - losses) / n
    if low > -1:
        assert exact_p_value(wins, losses, n, low) <= 0.05 + 1e-12
