from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap
from set_examples import accuracy, arms

from pytest_ftgate.statistics import LabelCounts, bca_set
from pytest_ftgate.statistics.bootstrap import acceleration, bca_interval


def test_it_agrees_with_scipy_on_a_mean_difference():
    before, after = arms(5, 400, 3, statistic=accuracy)
    found = bca_set(before, after, confidence=0.95)
    differences = (after.predicted[0] == after.gold) * 1.0 - (before.predicted[0] == before.gold)
    usual = bootstrap((differences,), np.mean, n_resamples=10_000, confidence_level=0.9, method="BCa", rng=1)
    assert found == pytest.approx(tuple(usual.confidence_interval), abs=2.5e-3)


def test_the_seed_decides_and_nothing_else():
    before, after = arms(6, 150, 3)
    ask = {"confidence": 0.95, "resamples": 2000}
    assert bca_set(before, after, **ask) == bca_set(before, after, **ask)
    assert bca_set(before, after, **ask) != bca_set(before, after, **ask, seed=1)


def test_repeats_are_drawn_together():
    # The same answers three times over are no more evidence than once.
    before, after = arms(7, 150, 3)
    tripled = [LabelCounts(a.gold, np.repeat(a.predicted, 3, axis=0), 3, a.statistic) for a in (before, after)]
    assert bca_set(*tripled, confidence=0.95) == pytest.approx(bca_set(before, after, confidence=0.95), abs=1e-12)


def test_no_difference_has_no_interval():
    before, _ = arms(8, 50, 3)
    assert bca_set(before, before, confidence=0.95, resamples=200) is None


def test_without_bias_and_skewness_it_is_the_percentile_interval():
    resampled = np.arange(1001.0)
    found = bca_interval(500.0, resampled, np.array([1.0, -1.0, 2.0, -2.0]), 0.95)
    assert found == pytest.approx((50.0, 950.0), abs=0.5)


def test_an_estimate_outside_of_all_resamples_stays_finite():
    found = bca_interval(5.0, np.linspace(0, 1, 100), np.array([1.0, 2.0]), 0.95)
    assert np.isfinite(found).all()


def test_acceleration_without_variation():
    assert acceleration(np.full(5, 0.2)) == 0.0
