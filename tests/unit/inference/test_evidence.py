"""The decisions on a gain: whether it reaches a margin, whether it is sure, and bounds that agree with both."""

from fractions import Fraction
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.statistics.evidence import (
    Comparison,
    Question,
    bound,
    is_sure,
    level,
    reaches,
    weigh,
)

# --- whether a gain reaches a margin ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "margin", "expected"),
    [
        (Fraction(0), 0.0, False),  # a margin of 0 asks for more than nothing
        (0.0, 0.0, False),
        (-0.0, 0.0, False),
        (Fraction(1, 10**9), 0.0, True),
        (1e-13, 0.0, False),  # no gain after rounding to 12 decimals
        (1e-12, 0.0, True),
        (Fraction(-1, 100), 0.0, False),
        (Fraction(9, 60), 0.15, True),  # exactly the margin
        (Fraction(899, 6000), 0.15, False),
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.1 + 0.2, False),  # a margin is taken as it is written
        (0.3 - 1e-13, 0.3, True),
        (0.3 - 1e-11, 0.3, False),
        (Fraction(-7, 100), -0.07, True),  # exactly the largest drop
        (-0.1 - 0.2, -0.3, True),
        (Fraction(-71, 1000), -0.07, False),
        (Fraction(0), -0.07, True),
        (Fraction(0), 1e-9, False),
        (Fraction(0), -1e-9, True),
    ],
)
def test_a_gain_reaches_a_margin_exactly(gain, margin, expected):
    assert reaches(gain, margin) is expected


@given(st.integers(-200, 200), st.integers(1, 200), st.integers(-100, 100))
def test_a_gain_of_counts_is_compared_as_a_fraction(difference, n, percent):
    gain = Fraction(difference, n)
    least = Fraction(percent, 100)
    expected = gain > 0 if least == 0 else gain >= least
    assert reaches(gain, percent / 100) is expected


# --- whether a p-value is small enough ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "alpha", "expected"),
    [
        (0.05, 0.05, True),
        (0.05, 1 - 0.95, True),  # 1 - 0.95 is a little more than 0.05,
        (0.1, 1 - 0.9, True),  # and 1 - 0.9 a little less than 0.1
        (0.05 + 4e-13, 0.05, True),
        (0.05 + 6e-13, 0.05, False),
        (0.05 + 1e-11, 1 - 0.95, False),
        (0.0, 0.05, True),
        (0.5, 0.05, False),
        (float("nan"), 0.05, False),
    ],
)
def test_a_p_value_exactly_at_the_level_is_enough(p, alpha, expected):
    assert is_sure(p, alpha) is expected


@pytest.mark.parametrize("confidence", [0.5, 0.0, 1.0, 95, float("nan")])
def test_a_confidence_outside_its_range_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence must lie between"):
        level(confidence)
    assert level(0.95) == pytest.approx(0.05)


# --- decisions and bounds -----------------------------------------------------------------------------------------


def normal_p(estimate, error):
    return lambda target: NormalDist(estimate, error).cdf(target)


def weighed(p_value, *, lower=0.0, upper=1.0, margin=0.03, evidence="proven"):
    return weigh(p_value, Question(margin, 0.95, evidence), (lower, upper))


@pytest.mark.parametrize(
    ("estimate", "searched", "shown"),
    [
        (0.1, 0.0299, 0.03),  # the margin is proven
        (0.06, 0.0301, 0.03),  # it is not
        (0.06, -0.0001, 0.0),  # a gain above 0 is proven
        (0.03, 0.0001, 0.0),  # it is not
        (0.1, 0.05, 0.05),
        (0.03, -0.02, -0.02),
    ],
)
def test_a_bound_is_moved_to_the_side_that_was_decided(estimate, searched, shown):
    assert weighed(normal_p(estimate, 0.03), lower=searched).lower_bound == shown
    assert weighed(normal_p(estimate, 0.03), lower=searched, upper=-1.0).upper_bound == shown


@pytest.mark.parametrize("margin", [-0.04, 0.0, 0.03])
def test_a_p_value_exactly_at_the_level_decides_for_the_gain(margin):
    at_level = weighed(lambda target: 0.05, lower=-1.0, margin=margin)
    assert (at_level.reaches_margin, at_level.shown) == (True, True)
    assert at_level.lower_bound == max(margin, 0.0)

    above_level = weighed(lambda target: 0.05 + 1e-11, lower=1.0, margin=margin)
    assert (above_level.reaches_margin, above_level.shown) == (False, False)
    assert above_level.lower_bound == min(margin, 0.0)


def test_a_larger_gain_is_never_easier_to_prove():
    found = weighed({0.0: 0.06, 0.03: 0.04}.get)
    assert (found.p_zero, found.p_margin) == (0.06, 0.06)
    assert not found.reaches_margin

    found = weighed({0.0: 0.04, -0.03: 0.06}.get, margin=-0.03)
    assert (found.p_zero, found.p_margin) == (0.06, 0.06)
    assert not found.reaches_margin


@pytest.mark.parametrize(
    ("evidence", "estimate", "shown"),
    [
        ("observed", -0.1, True),
        ("significant", 0.06, True),
        ("significant", 0.04, False),
        ("proven", 0.09, True),
        ("proven", 0.06, False),
    ],
)
def test_each_standard_of_evidence_asks_for_its_own_target(evidence, estimate, shown):
    assert weighed(normal_p(estimate, 0.03), evidence=evidence).shown is shown
    question = Question(0.03, 0.95, evidence)
    assert question.target == {"observed": None, "significant": 0.0, "proven": 0.03}[evidence]


def test_an_unknown_standard_of_evidence_is_refused():
    with pytest.raises(ValueError, match="evidence must be"):
        Question(0.0, 0.95, "certain")


@pytest.mark.parametrize(
    ("reached", "shown", "status"),
    [
        (True, True, "pass"),
        (True, False, "inconclusive"),
        (False, True, "fail"),
        (False, False, "fail"),
    ],
)
def test_a_gain_below_the_margin_fails_however_sure_it_is(reached, shown, status):
    assert Comparison(reached=reached, shown=shown).status == status


# --- the search for a bound ---------------------------------------------------------------------------------------


@given(
    st.floats(-0.9, 0.9),
    st.floats(0.001, 0.3),
    st.floats(-1, 1),
    st.sampled_from([0.05, 0.01, 0.2]),
)
def test_bound_inverts_a_smooth_p_value(estimate, error, guess, alpha):
    found = bound(
        normal_p(estimate, error),
        alpha=alpha,
        guess=guess,
        step=error / 4,
        lowest=-10.0,
        highest=10.0,
    )
    exact = estimate + NormalDist().inv_cdf(alpha) * error
    assert exact - 0.01 * error <= found <= exact + 1e-9


ENDS = {"alpha": 0.05, "guess": -0.5, "step": 0.01, "lowest": -1.0, "highest": 1.0}


def test_bound_stays_on_the_safe_side_of_a_jump_and_at_the_ends_where_nothing_or_all_meets_the_level():
    assert 0.1 - 1e-4 < bound(lambda target: 0.02 if target < 0.1 else 0.3, **ENDS) < 0.1
    assert bound(lambda _: 0.9, **ENDS) == -1.0
    assert bound(lambda _: 0.01, **ENDS) == pytest.approx(1.0, abs=1e-4)
