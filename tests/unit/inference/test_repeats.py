import math

import numpy as np
import pytest

from pytest_ftgate.statistics import Remedy, Spread, remedy, spread_of


def test_noise_is_split_between_and_within_examples():
    rng = np.random.default_rng(0)
    repeats, n = 4, 60_000
    real = 0.1 + 0.2 * rng.standard_normal(n)  # variance between examples 0.04
    baseline = 0.3 * rng.standard_normal((repeats, n))  # within 0.09
    candidate = real + 0.4 * rng.standard_normal((repeats, n))  # within 0.16
    found = spread_of(baseline, candidate)
    assert (found.examples, found.repeats) == (n, repeats)
    assert found.between == pytest.approx(0.04, rel=0.05)
    assert found.within == pytest.approx(0.25, rel=0.02)


def test_the_error_is_that_of_the_averages():
    rng = np.random.default_rng(1)
    baseline, candidate = rng.random((3, 50)), rng.random((3, 50)) + rng.random(50)
    found = spread_of(baseline, candidate)
    averages = (candidate - baseline).mean(axis=0)
    assert found.standard_error() == pytest.approx(averages.std(ddof=1) / math.sqrt(50), rel=1e-12)


def test_more_repeats_help_only_with_what_lies_within():
    spread = Spread(examples=100, repeats=1, between=0.04, within=0.12)
    assert spread.standard_error() == pytest.approx(0.04)
    assert spread.standard_error(repeats=4) == pytest.approx(math.sqrt(0.07 / 100))
    assert spread.standard_error(repeats=10**9) == pytest.approx(0.02)
    assert spread.standard_error(examples=400) == pytest.approx(0.02)


def test_chance_alone_never_makes_the_variance_between_negative():
    baseline = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert spread_of(baseline, baseline[::-1]).between == 0.0


def test_what_would_settle_it():
    spread = Spread(examples=100, repeats=2, between=0.04, within=0.12)
    found = remedy(spread, gain=0.06, target=0.0, margin=0.0, confidence=0.95)
    error = 0.06 / (1.6449 + 0.8416)
    assert spread.standard_error(examples=100 + found.more_examples) <= error * 1.0001
    assert spread.standard_error(examples=100 + found.more_examples - 1) > error * 0.9999
    assert spread.standard_error(repeats=2 + found.more_repeats) <= error * 1.0001
    assert spread.standard_error(repeats=2 + found.more_repeats - 1) > error * 0.9999


@pytest.mark.parametrize(
    ("between", "within", "gain", "target", "found"),
    [
        (0.04, 0.12, 0.2, 0.0, Remedy(0, 0)),  # what is settled needs nothing more
        (0.04, 0.12, 0.03, 0.03, Remedy(None, None)),  # nothing would show what was not seen
        (0.2, 0.1, 0.08, 0.0, Remedy(None, ...)),  # where examples differ too much repeats cannot help
    ],
)
def test_what_nothing_or_not_everything_settles(between, within, gain, target, found):
    spread = Spread(examples=100, repeats=2, between=between, within=within)
    remedied = remedy(spread, gain=gain, target=target, margin=target, confidence=0.95)
    assert remedied.more_repeats == found.more_repeats
    assert remedied.more_examples > 0 if found.more_examples is ... else remedied == found


@pytest.mark.parametrize("shapes", [[(1, 50)] * 2, [(3, 1)] * 2, [(50,)] * 2, [(2, 5), (3, 5)]])
def test_one_answer_or_one_example_cannot_be_split_and_two_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match="shape"):
        spread_of(*map(np.zeros, shapes))


def test_the_measured_gain_must_reach_the_margin_again():
    spread = Spread(examples=100, repeats=2, between=0.04, within=0.12)
    found = remedy(spread, gain=0.06, target=0.0, margin=0.05, confidence=0.95)
    error = 0.01 / 0.8416
    assert spread.standard_error(examples=100 + found.more_examples) <= error * 1.0001
    assert spread.standard_error(examples=100 + found.more_examples - 1) > error * 0.9999
    assert remedy(spread, gain=0.05, target=0.0, margin=0.05, confidence=0.95) == Remedy(None, None)
