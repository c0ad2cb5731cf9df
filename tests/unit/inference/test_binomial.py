"""Our own binomial chances against scipy's, which is not imported for a gate of right and wrong answers."""

import numpy as np
import pytest
import scipy
from scipy.special import betainc, betaincinv
from scipy.stats import binom

from pytest_ftgate.statistics.exact import chance_of, chance_of_at_least, rate_of_at_least

_EXACT = tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 12)
pytestmark = pytest.mark.skipif(
    not _EXACT, reason="this scipy's own tails and quantiles are off in the eighth digit"
)

TRIALS = [1, 2, 7, 60, 255, 256, 257, 3_000, 100_000]


def some_counts(trials):
    return sorted({1, 2, trials // 10, trials // 2, trials - 1, trials} & set(range(1, trials + 1)))


@pytest.mark.parametrize("trials", TRIALS)
def test_chances_are_scipys(trials):
    rates = np.array([0.0, 1e-9, 0.01, 0.3, 0.5, 0.99, 1.0])
    counts = np.array([-1, 0, *some_counts(trials), trials + 1])
    chances_found = chance_of(counts, np.full_like(counts, trials), rates, 1 - rates)
    np.testing.assert_allclose(
        chances_found, binom.pmf(counts, trials, rates[:, None]), rtol=2e-9, atol=1e-250
    )


@pytest.mark.parametrize("trials", TRIALS)
def test_tails_are_scipys_at_all_rates_at_once(trials):
    rates = np.linspace(0, 1, 201)
    for count in some_counts(trials):
        chance = chance_of_at_least(count, trials, rates, 1 - rates)
        expected = betainc(count, trials - count + 1, rates)
        np.testing.assert_allclose(chance, expected, rtol=0, atol=3e-10)
        is_likely = expected > 1e-30
        np.testing.assert_allclose(chance[is_likely], expected[is_likely], rtol=2e-9)
    assert chance_of_at_least(0, trials, rates, 1 - rates).tolist() == [1.0] * len(rates)
    assert chance_of_at_least(trials + 1, trials, rates, 1 - rates).tolist() == [0.0] * len(rates)


@pytest.mark.parametrize("trials", TRIALS)
@pytest.mark.parametrize("chance", [1e-9, 5e-5, 0.025, 0.5, 0.975])
def test_the_rate_of_a_tail_is_scipys(trials, chance):
    for count in some_counts(trials):
        expected = betaincinv(count, trials - count + 1, chance)
        assert rate_of_at_least(count, trials, chance) == pytest.approx(expected, rel=1e-8)
