from dataclasses import replace

import numpy as np
import pytest
from set_examples import accuracy, arms, macro_f1, without

from pytest_ftgate.statistics import LabelCounts, set_level


@pytest.fixture(params=[(40, 3, 1), (25, 4, 3), (12, 1, 2)], ids="n={0[0]} labels={0[1]} repeats={0[2]}".format)
def counts(request):
    n, n_labels, repeats = request.param
    return arms(n, n, n_labels, repeats=repeats)[1]


def test_leaving_out_each_example_with_all_its_repeats_and_each_group(counts, monkeypatch):
    groups = np.arange(len(counts.gold)) % 5
    assert counts.value == pytest.approx(without(counts, []), abs=1e-15)
    slow = [without(counts, [i]) for i in range(len(counts.gold))]
    assert counts.values_without() == pytest.approx(slow, abs=1e-14)
    by_group = [without(counts, np.flatnonzero(groups == g)) for g in range(5)]
    assert counts.values_without(groups) == pytest.approx(by_group, abs=1e-14)
    at_once = counts.values_without()
    monkeypatch.setattr(set_level, "_BLOCK", 1)
    assert (counts.values_without() == at_once).all()


def test_examples_of_a_kind_share_one_evaluation():
    evaluated = []

    def counting(tallies):
        evaluated.append(len(tallies))
        return macro_f1(tallies)

    counts = replace(arms(1, 500, 3)[0], statistic=counting)
    assert len(counts.values_without()) == 500
    assert sum(evaluated) <= 3 * 4


def test_share_right_is_averaged_over_repeats():
    counts = LabelCounts(np.array([0, 1]), np.array([[0, 0], [0, 1]]), 2, accuracy)
    assert list(counts.scores) == [1.0, 0.5]


def changed(counts, examples, answers):
    """Return the metric with these examples answered otherwise, from scratch."""
    predicted = counts.predicted.copy()
    predicted[:, examples] = np.asarray(answers)[examples]
    return without(replace(counts, predicted=predicted), [])


def slow_weight(counts, examples):
    """From answered rightly to lost: as the rarest other label that is expected, or as no known one."""
    sizes = np.bincount(counts.gold, minlength=counts.n_labels)

    def rarest_other(label):
        others = [other for other in range(counts.n_labels) if other != label and sizes[other]]
        return min(others, key=lambda other: (sizes[other], other), default=counts.n_labels)

    other = [rarest_other(label) for label in counts.gold]
    unknown = [counts.n_labels] * len(counts.gold)
    return changed(counts, examples, counts.gold) - min(changed(counts, examples, lost) for lost in (other, unknown))


def test_an_example_and_a_group_weigh_what_their_loss_takes(counts, monkeypatch):
    slow = [slow_weight(counts, [i]) for i in range(len(counts.gold))]
    assert counts.weights() == pytest.approx(slow, abs=1e-14)
    groups = np.unique(np.arange(len(counts.gold)) ** 2 % 5, return_inverse=True)[1]
    slow = [slow_weight(counts, np.flatnonzero(groups == g)) for g in range(groups.max() + 1)]
    for _ in range(2):
        assert counts.weights(groups) == pytest.approx(slow, abs=1e-14)
        monkeypatch.setattr(set_level, "_BLOCK", 1)


def test_in_accuracy_all_examples_weigh_alike():
    counts = arms(3, 60, 3, statistic=accuracy, repeats=2)[0]
    assert counts.weights() == pytest.approx(np.full(60, 1 / 60), abs=1e-12)
    sizes = np.bincount(np.arange(60) // 7)
    assert counts.weights(np.arange(60) // 7) == pytest.approx(sizes / 60, abs=1e-12)


def test_in_macro_f1_an_example_of_the_rare_label_weighs_more():
    # Two labels, 3 and 1 examples, all right.
    gold = np.array([0, 0, 0, 1])
    counts = LabelCounts(gold, gold[None], 2, macro_f1)
    common = 1 - min((2 * 2 / 5 + 1) / 2, (2 * 2 / 5 + 2 / 3) / 2)  # answered as unknown, or as the other label
    assert counts.weights() == pytest.approx([common, common, common, 1 - (6 / 7 + 0) / 2], abs=1e-12)
