"""The lower bound of a share, against scipy's own exact interval and against its definition."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from pytest_ftgate.statistics.share import exact_lower_bound, examples_needed, measure_share


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 10), (1, 10), (9, 10), (10, 10), (199, 200), (396, 400)]
)
def test_the_bound_is_that_of_clopper_and_pearson(successes, n):
    interval = binomtest(successes, n, alternative="greater").proportion_ci(0.95, method="exact")
    assert exact_lower_bound(successes, n, 0.95) == pytest.approx(interval.low, abs=1e-9)


@pytest.mark.parametrize(("required", "n"), [(0.95, 59), (0.98, 149), (0.99, 299)])
def test_the_fewest_examples_that_can_prove_a_share(required, n):
    assert exact_lower_bound(n - 1, n - 1, 0.95) < required <= exact_lower_bound(n, n, 0.95)
    assert examples_needed(1.0, required, 0.95) == n


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of an old scipy
@pytest.mark.parametrize(("share", "required"), [(0.99, 0.98), (0.995, 0.98), (0.97, 0.9)])
def test_the_examples_that_are_needed_have_80_percent_power(share, required):
    n = examples_needed(share, required, 0.95)
    counts = np.arange(n + 1)
    proven = np.array([exact_lower_bound(int(count), n, 0.95) >= required for count in counts])
    assert binom.pmf(counts, n, share)[proven].sum() >= 0.8


def test_a_share_that_is_not_above_the_required_one_needs_what_nobody_has():
    assert examples_needed(0.98, 0.98, 0.95) is None


@pytest.mark.parametrize(("successes", "n"), [(200, 200), (198, 200), (150, 200)])
def test_the_share_of_examples(successes, n):
    values = np.zeros(n)
    values[:successes] = 1
    measured = measure_share(values, 0.98, 0.95)
    assert (measured.share, measured.n) == (successes / n, n)
    assert measured.lower_bound == exact_lower_bound(successes, n, 0.95)


def test_repeats_and_groups_are_more_cautious():
    values = np.ones(200)
    values[0] = 0
    alone = measure_share(values, 0.9, 0.95)
    halves = measure_share(np.where(values == 0, 0.5, 1.0), 0.9, 0.95)
    groups = measure_share(values, 0.9, 0.95, groups=[row // 4 for row in range(200)])
    assert halves.share == 0.9975
    assert halves.lower_bound < halves.share
    assert groups.lower_bound < alone.lower_bound
