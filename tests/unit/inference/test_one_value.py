import numpy as np
import pytest
from scipy.stats import binomtest, t
from set_examples import arms, without

from pytest_ftgate.statistics import interval_graded, interval_right_wrong, interval_set


@pytest.mark.parametrize("right", [0, 1, 40, 59, 60])
def test_right_and_wrong_answers_are_clopper_pearson(right):
    values = np.arange(60) < right
    found = interval_right_wrong(values, confidence=0.95)
    expected = binomtest(right, 60).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_higher_confidence_is_a_wider_interval():
    values = np.arange(60) < 40
    narrow, wide = (interval_right_wrong(values, confidence=c) for c in (0.9, 0.99))
    assert wide.low < narrow.low < 40 / 60 < narrow.high < wide.high


def test_scores_of_two_values_are_right_and_wrong_answers_in_any_unit():
    right = np.arange(50) < 30
    found = interval_graded(np.where(right, 5.0, 1.0), low=1.0, high=5.0, confidence=0.95)
    expected = binomtest(30, 50).proportion_ci(0.95, "exact")
    assert ((found.low - 1) / 4, (found.high - 1) / 4) == pytest.approx((expected.low, expected.high), abs=2e-4)


def test_scores_without_bounds_are_student_s_t():
    scores = np.array([3.0, 4.0, 9.0, 2.0, 7.0])
    found = interval_graded(scores, low=0.0, high=np.inf, confidence=0.9)
    low, high = t.interval(0.9, 4, loc=scores.mean(), scale=scores.std(ddof=1) / np.sqrt(5))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_set_level_metric_is_jackknifed():
    counts = arms(40, 40, 3)[1]
    found = interval_set(counts, low=0.0, high=1.0, confidence=0.95)
    left_out = np.array([without(counts, [i]) for i in range(40)])
    error = np.sqrt(39 / 40 * ((left_out - left_out.mean()) ** 2).sum())
    low, high = t.interval(0.95, 39, loc=without(counts, []), scale=error)
    assert (found.low, found.high) == pytest.approx((max(low, 0), min(high, 1)))


def test_groups_that_answer_alike_make_it_wider():
    values = np.repeat(np.arange(20) % 3 == 0, 5)
    alone = interval_right_wrong(values, confidence=0.95)
    grouped = interval_right_wrong(values, confidence=0.95, groups=[str(i // 5) for i in range(100)])
    assert grouped.low < alone.low
    assert grouped.high > alone.high


def test_too_few_groups_tell_nothing():
    groups = [str(i % 3) for i in range(60)]
    found = interval_right_wrong(np.arange(60) < 30, confidence=0.95, groups=groups)
    assert (found.low, found.high) == (None, None)
    assert "3" in found.method
    assert found.holds(0.5) is None


def test_a_perfect_set_tells_nothing_of_how_sure_it_is():
    counts = arms(40, 40, 3)[1]
    counts.predicted[:] = counts.gold
    assert interval_set(counts, low=0.0, high=1.0, confidence=0.95).holds(0.9) is None


def test_the_ends_belong_to_it():
    found = interval_right_wrong(np.ones(50, dtype=bool), confidence=0.95)
    assert found.holds(1.0) is True
    assert found.holds(found.low) is True
    assert found.holds(0.9) is False
