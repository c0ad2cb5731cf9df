import numpy as np
import pytest
from set_examples import arms

from pytest_ftgate.statistics import chance_of_proof, compare_right_wrong, hypothetical_scores, hypothetical_set

FORTY = (np.arange(60) < 40).astype(float)


@pytest.mark.parametrize(
    ("scores", "gain", "best", "mended"),
    [
        (FORTY, 0.1, 1.0, [1.0] * 46 + [0.0] * 14),
        (FORTY, 20 / 60, 1.0, [1.0] * 60),  # all that is left can be gained, and no more
        (FORTY, 0.34, 1.0, None),
        (FORTY, 1.0, 1.0, None),
        (np.full(10, 4.0), 0.8, 0.0, [4.0] * 8 + [0.0] * 2),  # where lower is better scores are lowered
    ],
)
def test_as_many_answers_are_mended_as_the_gain_takes_and_none_is_broken(scores, gain, best, mended):
    before = scores.copy()
    found = hypothetical_scores(scores, gain, best=best)
    assert (None if found is None else sorted(found, reverse=True)) == mended
    assert (scores == before).all()  # what was given is untouched
    assert found is None or ((found == scores) | (found == best)).all()


def test_mended_answers_are_spread_over_the_test_set():
    mended = hypothetical_scores(np.zeros(100), 0.1, best=1.0)
    assert {int(i) // 25 for i in np.flatnonzero(mended)} == {0, 1, 2, 3}


def test_answers_of_a_set_are_mended_by_the_metric():
    counts = arms(60, 60, 3)[0]
    before = counts.value
    mended = hypothetical_set(counts, 0.1)
    assert before + 0.1 <= mended.value < before + 0.2
    assert ((mended.predicted == counts.predicted) | (mended.predicted == counts.gold)).all()
    assert hypothetical_set(counts, 1.0) is None


@pytest.mark.parametrize(("p", "chance"), [(0.05, 0.5), (1e-9, 1.0), (0.5, 0.05), (0.0063, 0.8)])
def test_the_chance_of_proof(p, chance):
    assert chance_of_proof(p, 0.95) == pytest.approx(chance, abs=0.005)


@pytest.mark.parametrize(("n", "gain"), [(60, 0.1), (200, 0.05), (400, 0.02), (100, 0.03)])
def test_the_chance_is_about_that_of_the_exact_distribution(n, gain):
    """A candidate that breaks nothing wins binomially: every outcome judged by the gate's own test."""
    from scipy.stats import binom

    def p_zero(wins):
        before, after = np.zeros(n, dtype=bool), np.arange(n) < wins
        return compare_right_wrong(before, after, margin=0.0, confidence=0.95, evidence="significant").p_zero

    proven = next(wins for wins in range(n) if p_zero(wins) <= 0.05)
    expected = float(binom.sf(proven - 1, n, gain))
    assert chance_of_proof(p_zero(round(n * gain)), 0.95) == pytest.approx(expected, abs=0.12)
