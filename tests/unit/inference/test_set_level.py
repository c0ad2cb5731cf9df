from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from set_examples import accuracy, arms, macro_f1, without

from pytest_ftgate.inference import LabelCounts, set_level


@pytest.fixture(params=[(40, 3, 1), (25, 4, 3), (12, 1, 2)], ids="n={0[0]} labels={0[1]} repeats={0[2]}".format)
def counts(request):
    n, n_labels, repeats = request.param
    return arms(n, n, n_labels, repeats=repeats)[1]


def test_the_value_is_of_all_answers(counts):
    assert set_level.set_value(counts) == pytest.approx(without(counts, []), abs=1e-15)


def test_leaving_out_each_example_with_all_its_repeats(counts):
    slow = [without(counts, [i]) for i in range(len(counts.gold))]
    assert set_level.values_without_one(counts) == pytest.approx(slow, abs=1e-14)


def test_leaving_out_each_group(counts):
    groups = np.arange(len(counts.gold)) % 5
    slow = [without(counts, np.flatnonzero(groups == g)) for g in range(5)]
    assert set_level.values_without_unit(counts, groups) == pytest.approx(slow, abs=1e-14)


def test_blocks_change_nothing(counts, monkeypatch):
    at_once = set_level.values_without_one(counts)
    monkeypatch.setattr(set_level, "_BLOCK", 1)
    assert (set_level.values_without_one(counts) == at_once).all()


def test_examples_of_a_kind_share_one_evaluation():
    evaluated = []

    def counting(confusions):
        evaluated.append(len(confusions))
        return macro_f1(confusions)

    counts = replace(arms(1, 500, 3)[0], statistic=counting)
    assert len(set_level.values_without_one(counts)) == 500
    assert sum(evaluated) <= 3 * 4


def test_one_more_example(counts):
    label, answer = np.array([0]), np.array([counts.n_labels])
    more = LabelCounts(
        np.append(counts.gold, 0),
        np.column_stack([counts.predicted, np.full(len(counts.predicted), counts.n_labels)]),
        counts.n_labels,
        counts.statistic,
    )
    assert set_level.values_with_one_more(counts, label, answer) == pytest.approx([without(more, [])], abs=1e-14)


def test_kinds_of_two_models():
    gold = np.array([0, 0, 1, 0, 1])
    before = LabelCounts(gold, np.array([[0, 1, 1, 0, 1]]), 2, macro_f1)
    after = LabelCounts(gold, np.array([[0, 0, 1, 0, 2]]), 2, macro_f1)
    first, kind = set_level.kinds(before, after)
    assert len(first) == 4
    assert kind[0] == kind[3]
    assert (kind[first] == np.arange(4)).all()


def test_share_right_is_averaged_over_repeats():
    counts = LabelCounts(np.array([0, 1]), np.array([[0, 0], [0, 1]]), 2, accuracy)
    assert list(set_level.share_right(counts)) == [1.0, 0.5]


def test_a_lost_example_costs_accuracy_one():
    before, after = arms(3, 60, 3, statistic=accuracy, repeats=2)
    assert set_level.lost_example(before, after) == pytest.approx(-1.0, abs=1e-9)
    assert set_level.lost_example(after, before) == pytest.approx(-1.0, abs=1e-9)


def test_a_lost_example_of_macro_f1_is_averaged_over_the_labels_that_occur():
    # Two labels, 3 and 1 examples, all right in both models: one more loss costs the rare label more.
    gold = np.array([0, 0, 0, 1])
    both = LabelCounts(gold, gold[None], 2, macro_f1)
    lost_common = min((2 * 3 / 7 + 1) / 2, (2 * 3 / 7 + 2 / 3) / 2) - 1  # answered as unknown, or as the other label
    lost_rare = min((1 + 2 / 3) / 2, (6 / 7 + 2 / 3) / 2) - 1
    expected = 5 * (0.75 * lost_common + 0.25 * lost_rare)
    assert set_level.lost_example(both, both) == pytest.approx(expected, abs=1e-12)
