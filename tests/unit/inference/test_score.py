import math

import numpy as np
import pytest
from enumeration import half_count_score as textbook_score
from enumeration import outcomes
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.statistics.score import half_count_lower, half_count_score, score_lower, tango_score, wins_to_reach

MARGINS = [-0.99, -0.5, -0.05, 0.0, 0.03, 0.1, 0.5, 0.99]


def test_at_margin_zero_it_is_mcnemar():
    assert float(tango_score(16, 6, 161, 0.0)) == pytest.approx(10 / math.sqrt(22), rel=1e-12)


@pytest.mark.parametrize("margin", MARGINS)
def test_half_count_score_equals_its_textbook_form(margin):
    wins, losses = outcomes(30)
    assert half_count_score(wins, losses, 30, margin) == pytest.approx(
        textbook_score(wins, losses, 30, margin), abs=1e-9
    )


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("n", [1, 7, 40])
def test_every_win_raises_the_score_and_every_loss_lowers_it(n, margin):
    table = np.full((n + 1, n + 1), np.nan)
    wins, losses = outcomes(n)
    table[wins, losses] = half_count_score(wins, losses, n, margin)
    assert np.nanmin(np.diff(table, axis=0)) > 0
    assert np.nanmax(np.diff(table, axis=1)) < 0


def test_it_is_no_evidence_where_nothing_disagrees():
    assert float(half_count_score(0, 0, 50, 0.0)) == 0.0
    assert float(half_count_score(0, 0, 50, 0.03)) < 0


@pytest.mark.parametrize("margin", [-0.3, 0.0, 0.2])
@pytest.mark.parametrize("score", [-1.0, 0.0, 1.7, 4.0])
def test_wins_to_reach_are_the_fewest(score, margin):
    n = 25
    losses = np.arange(n + 1)
    found = wins_to_reach(score, losses, n, margin)
    for few, lost in zip(found, losses, strict=True):
        enough = [w for w in range(n - lost + 1) if half_count_score(w, lost, n, margin) >= score - 1e-9]
        assert few == (enough[0] if enough else n - lost + 1)


def test_wins_to_reach_includes_the_outcome_itself():
    score = float(half_count_score(9, 4, 60, 0.03))
    assert wins_to_reach(score, np.array([4]), 60, 0.03)[0] == 9


@given(st.integers(1, 60), st.data())
def test_the_lower_limit_lies_below_the_gain(n, data):
    wins = data.draw(st.integers(0, n))
    losses = data.draw(st.integers(0, n - wins))
    assert -1 <= score_lower(wins, losses, n, 1.6449) <= (wins - losses) / n


def test_half_count_lower_meets_the_level():
    low = half_count_lower(12, 3, 60, 0.05)
    assert float(half_count_score(12, 3, 60, low)) == pytest.approx(1.6449, abs=1e-4)
