from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.statistics.evidence import bound, is_sure, level, weigh


def normal_p(estimate, error):
    return lambda target: NormalDist(estimate, error).cdf(target)


def weighed(p_value, *, lower=0.0, upper=1.0, margin=0.03):
    return weigh(p_value, lower=lower, upper=upper, margin=margin, alpha=0.05)


@pytest.mark.parametrize("confidence", [0.5, 1.0, 0.0, 95.0, float("nan")])
def test_level_of_a_confidence_and_one_that_means_nothing(confidence):
    assert level(0.95) == pytest.approx(0.05)
    with pytest.raises(ValueError, match="confidence"):
        level(confidence)


def test_a_p_value_exactly_at_the_level_is_enough():
    assert is_sure(0.05, 1 - 0.95)
    assert is_sure(0.1, 1 - 0.9)
    assert not is_sure(0.05 + 1e-11, 1 - 0.95)
    assert not is_sure(float("nan"), 0.05)


@pytest.mark.parametrize(
    ("estimate", "lower", "decisions"),
    [(0.1, 0.05, (True, True)), (0.06, 0.01, (True, False)), (0.03, -0.02, (False,) * 2)],
)
def test_decisions_follow_the_p_values(estimate, lower, decisions):
    found = weighed(normal_p(estimate, 0.03), lower=lower)
    assert (found.above_zero, found.reaches_margin) == decisions
    assert found.p_margin == pytest.approx(NormalDist().cdf((0.03 - estimate) / 0.03))


@pytest.mark.parametrize(
    ("estimate", "searched", "shown"),
    [(0.1, 0.0299, 0.03), (0.06, 0.0301, 0.03), (0.06, -0.0001, 0.0), (0.03, 0.0001, 0.0), (0.1, 0.05, 0.05)],
)
def test_the_bound_shown_never_contradicts_a_decision(estimate, searched, shown):
    assert weighed(normal_p(estimate, 0.03), lower=searched).lower == shown
    assert weighed(normal_p(estimate, 0.03), lower=searched, upper=-1.0).upper == shown


def test_a_larger_gain_is_never_easier_to_prove():
    uneven = {0.0: 0.06, 0.03: 0.04}
    found = weighed(uneven.get)
    assert (found.p_zero, found.p_margin) == (0.06, 0.06)
    assert not found.reaches_margin
    uneven = {0.0: 0.04, -0.03: 0.06}
    found = weighed(uneven.get, margin=-0.03)
    assert (found.p_zero, found.p_margin) == (0.06, 0.06)
    assert not found.above_zero


@given(st.floats(-0.9, 0.9), st.floats(0.001, 0.3), st.floats(-1, 1), st.sampled_from([0.05, 0.01, 0.2]))
def test_bound_inverts_a_smooth_p_value(estimate, error, guess, alpha):
    found = bound(normal_p(estimate, error), alpha=alpha, guess=guess, step=error / 4, lowest=-10.0, highest=10.0)
    exact = estimate + NormalDist().inv_cdf(alpha) * error
    assert exact - 0.01 * error <= found <= exact + 1e-9


ENDS = {"alpha": 0.05, "guess": -0.5, "step": 0.01, "lowest": -1.0, "highest": 1.0}


def test_bound_stays_on_the_safe_side_of_a_jump_and_at_the_ends_where_nothing_or_all_meets_the_level():
    assert 0.1 - 1e-4 < bound(lambda target: 0.02 if target < 0.1 else 0.3, **ENDS) < 0.1
    assert bound(lambda _: 0.9, **ENDS) == -1.0
    assert bound(lambda _: 0.01, **ENDS) == pytest.approx(1.0, abs=1e-4)


def test_bound_asks_few_p_values_and_none_outside_the_ends():
    asked = []

    def p_value(target):
        asked.append(target)
        return NormalDist(0.2, 0.05).cdf(target)

    bound(p_value, alpha=0.05, guess=0.11, step=0.01, lowest=0.0, highest=1.0)
    assert len(asked) <= 6
    assert 0 < min(asked) <= max(asked) < 1
