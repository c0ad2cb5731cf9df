from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.statistics.evidence import Question, bound, is_sure, weigh
from pytest_ftgate.statistics.groups import group_codes
from pytest_ftgate.statistics.jackknife import degrees_of_freedom, jackknife


@pytest.mark.parametrize("left_out", [np.full(20, 0.3), 0.3 + np.array([0.0, 1e-16, -1e-16, 5e-17])])
def test_leaving_out_changes_nothing_at_all_or_no_more_than_rounding(left_out):
    assert jackknife(0.3, left_out).standard_error == 0.0
    assert jackknife(0.3, np.array([0.3, 0.3 + 1e-9, 0.3])).standard_error > 0


def by_matrices(weights):
    """Satterthwaite's degrees of a quadratic form: (trace of AV)^2 / trace of AVAV."""
    share = np.asarray(weights, dtype=float) / np.sum(weights)
    errors = np.eye(len(share)) - share  # of the units' means from their weighted mean, each of variance 1
    form = np.diag((share / (1 - share)) ** 2) @ errors @ errors.T
    return np.trace(form) ** 2 / np.trace(form @ form)


@pytest.mark.parametrize(
    "weights",
    [
        *([39, 39, 39] + [1] * 100, [80, 80] + [1] * 40, np.arange(1, 41), 1 / np.arange(1, 51), [1, 2], [3, 1, 0]),
        *(np.full(units, 0.3) for units in (2, 3, 10, 122)),
    ],
)
def test_degrees_of_freedom_are_those_of_the_quadratic_form_rounded_down(weights):
    weights = np.asarray(weights, dtype=float)
    assert degrees_of_freedom(weights) == max(1, int(by_matrices(weights) + 1e-9))
    alone = jackknife(0.1, weights * np.arange(len(weights)))
    assert alone.degrees == degrees_of_freedom(np.ones_like(weights)) == len(weights) - 1


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("sizes", "allowed"),
    [
        ([10] * 20, 0.06),
        ([39] * 3 + [1] * 100, 0.06),  # 12 % with one degree less than there are groups
        ([60] * 3 + [4] * 40, 0.06),  # 11 %
        ([max(1, round(67 / place)) for place in range(1, 51)], 0.03),  # 8 %
    ],
)
def test_groups_of_different_sizes_pass_falsely_about_five_percent(sizes, allowed):
    # In each group one of two models is better, over all groups they are alike. 4,000 repetitions: 5 % is known to 0.3.
    rng, sizes, passed = np.random.default_rng(0), np.array(sizes), 0
    better = rng.choice([-0.2, 0.2], (4000, len(sizes)))
    for sums in (rng.binomial(sizes, 0.7 + better) - rng.binomial(sizes, 0.7 - better)).astype(float):
        left_out = (sums.sum() - sums) / (sizes.sum() - sizes)
        passed += jackknife(sums.sum() / sizes.sum(), left_out, sizes).p_value(0.0) <= 0.05
    assert passed <= allowed * 4000


@pytest.mark.parametrize(
    ("names", "codes"),
    [
        (["b", "a", "b", "c"], [0, 1, 0, 2]),
        (["a", None, "a", None], [0, 1, 0, 2]),  # without a group an example is on its own
        ([1, None, 1, 1], [0, 1, 0, 0]),  # a number is a name and no place
        (np.array([3, 3, 0]), [0, 0, 1]),
    ],
)
def test_names_become_codes(names, codes):
    assert list(group_codes(names, len(names))) == codes


def normal_p(estimate, error):
    return lambda target: NormalDist(estimate, error).cdf(target)


def weighed(p_value, *, lower=0.0, upper=1.0, margin=0.03):
    return weigh(p_value, Question(margin, 0.95, "proven"), (lower, upper))


def test_a_p_value_exactly_at_the_level_is_enough():
    assert is_sure(0.05, 1 - 0.95)
    assert is_sure(0.1, 1 - 0.9)
    assert not is_sure(0.05 + 1e-11, 1 - 0.95)
    assert not is_sure(float("nan"), 0.05)


@pytest.mark.parametrize(
    ("estimate", "searched", "shown"),
    [(0.1, 0.0299, 0.03), (0.06, 0.0301, 0.03), (0.06, -0.0001, 0.0), (0.03, 0.0001, 0.0), (0.1, 0.05, 0.05)],
)
def test_the_bound_shown_never_contradicts_a_decision(estimate, searched, shown):
    assert weighed(normal_p(estimate, 0.03), lower=searched).lower_bound == shown
    assert weighed(normal_p(estimate, 0.03), lower=searched, upper=-1.0).upper_bound == shown


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
