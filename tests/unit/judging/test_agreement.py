"""Kappas against published examples and scikit-learn."""

from __future__ import annotations

import random

import pytest
from sklearn.metrics import cohen_kappa_score

from pytest_ftgate.judges.agreement import cohen_kappa, fleiss_kappa, weighted_kappa

# 14 raters, 10 subjects, 5 categories: the worked example of Wikipedia's article on Fleiss' kappa, which gives 0.210.
FOURTEEN_RATERS = (
    (0, 0, 0, 0, 14),
    (0, 2, 6, 4, 2),
    (0, 0, 3, 5, 6),
    (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0),
    (3, 2, 6, 3, 0),
    (2, 5, 3, 2, 2),
    (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
)


def test_fleiss_kappa_of_a_published_table() -> None:
    assert fleiss_kappa(FOURTEEN_RATERS) == pytest.approx(0.210, abs=5e-4)


def test_items_with_one_rating_say_nothing_about_agreement() -> None:
    assert fleiss_kappa([*FOURTEEN_RATERS, (1, 0, 0, 0, 0)]) == fleiss_kappa(FOURTEEN_RATERS)


def test_fleiss_kappa_is_undefined_where_nothing_could_differ() -> None:
    assert fleiss_kappa([(1, 0), (0, 1)]) is None
    assert fleiss_kappa([(3, 0), (3, 0)]) is None
    assert fleiss_kappa([(3, 0), (0, 3)]) == 1


def test_raters_may_differ_in_number_from_item_to_item() -> None:
    # By hand: agreements 1/3, 1, 0; shares 5/8 and 3/8; by chance 34/64.
    counts = [(2, 1), (3, 0), (0, 1), (0, 2)]
    agreed = (1 / 3 + 1 + 1) / 3
    by_chance = (5 / 8) ** 2 + (3 / 8) ** 2
    assert fleiss_kappa(counts) == pytest.approx((agreed - by_chance) / (1 - by_chance))


def test_cohen_kappa_of_a_published_table() -> None:
    """Two readers and 50 proposals: 20 both yes, 15 both no, 5 and 10 in dispute, for a kappa of 0.40."""
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert cohen_kappa(*zip(*pairs, strict=True)) == pytest.approx(0.40)
    assert cohen_kappa(["a"] * 9, ["a"] * 9) is None


def test_quadratic_weights_are_those_of_scikit_learn() -> None:
    chance = random.Random(3)
    for _ in range(20):
        one = [chance.randint(1, 5) for _ in range(40)]
        other = [min(5, max(1, score + chance.choice((-1, 0, 0, 1)))) for score in one]
        expected = cohen_kappa_score(one, other, weights="quadratic", labels=[1, 2, 3, 4, 5])
        assert weighted_kappa(one, other) == pytest.approx(expected)


def test_weighted_kappa_takes_decimals_and_tells_where_it_is_undefined() -> None:
    assert weighted_kappa([1.5, 2.5, 4], [1.5, 2.5, 4]) == 1
    assert weighted_kappa([1, 5], [5, 1]) == -1
    assert weighted_kappa([3, 3], [3, 3]) is None
    assert weighted_kappa([3, 3], [4, 4]) == 0
