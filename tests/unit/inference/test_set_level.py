from dataclasses import replace

import numpy as np
import pytest
from set_examples import accuracy, arms, fields_arm, pooled_arm, ratio, without

from pytest_ftgate.statistics import set_level
from pytest_ftgate.statistics.compare import compare_set
from pytest_ftgate.statistics.set_level import LabelCounts, PooledCounts

N = 40
ASKED = {"margin": 0.05, "confidence": 0.95, "evidence": "significant"}


def anew(counts, drop=()):
    """Return the metric without these examples, from scratch."""
    if isinstance(counts, LabelCounts):
        return without(counts, drop)
    return float(ratio(np.delete(counts.counts, drop, axis=0).sum(axis=0)[None])[0])


def weight(counts, rows):
    """Return the fall from all right to all wrong: as the rarest other label that is expected, or as no known one."""
    if isinstance(counts, PooledCounts):
        right, lost = counts.with_right_answers(rows), counts.with_wrong_answers(rows)
        assert (right.counts[rows] == counts.perfect[rows]).all()
        assert (lost.counts[rows] == counts.lost[rows]).all()
        return anew(right) - anew(lost)
    sizes = np.bincount(counts.gold, minlength=counts.n_labels)

    def changed(answers):
        predicted = counts.predicted.copy()
        predicted[:, rows] = np.asarray(answers)[rows]
        return anew(replace(counts, predicted=predicted))

    def rarest_other(label):
        others = [i for i in range(counts.n_labels) if i != label and sizes[i]]
        return min(others, key=lambda other: (sizes[other], other), default=counts.n_labels)

    lost = [rarest_other(label) for label in counts.gold], [counts.n_labels] * len(counts.gold)
    return changed(counts.gold) - min(map(changed, lost))


MADE = {
    "labels": lambda: arms(40, 40, 3)[1],
    "four labels, three repeats": lambda: arms(25, 25, 4, repeats=3)[1],
    "one label": lambda: arms(12, 12, 1, repeats=2)[1],
    "pooled": lambda: pooled_arm(1),
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_leaving_out_and_losing_each_example_with_all_its_repeats_and_each_group(made, monkeypatch):
    counts = made()
    groups = np.unique(np.arange(len(counts)) ** 2 % 5, return_inverse=True)[1]
    assert counts.value == pytest.approx(anew(counts), abs=1e-15)
    for units in (None, groups):
        members = [np.array([i]) for i in range(len(counts))]
        members = (
            members
            if units is None
            else [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
        )
        at_once = counts.values_without(units), counts.weights(units)
        assert at_once[0] == pytest.approx([anew(counts, rows) for rows in members], abs=1e-14)
        assert at_once[1] == pytest.approx([weight(counts, rows) for rows in members], abs=1e-14)
        with monkeypatch.context() as patch:
            patch.setattr(set_level, "_BLOCK", 1)
            assert (made().values_without(units) == at_once[0]).all()
            assert (made().weights(units) == at_once[1]).all()


def test_counts_of_labels_give_the_bounds_of_micro_f1_of_labels():
    """Accuracy is both a metric of labels and a ratio of pooled counts."""
    rng = np.random.default_rng(5)
    gold = rng.integers(0, 3, N)

    def both(share):
        predicted = np.where(rng.random(N) < share, gold, (gold + 1) % 3)[None]
        right = (predicted == gold).sum(axis=0).astype(float)
        labels = LabelCounts(gold, predicted, 3, accuracy)
        assert (labels.scores == right).all()
        return labels, fields_arm(right, np.ones(N))

    base, cand = both(0.5), both(0.8)
    for margin, groups in (
        (0.05, None),
        (-0.3, None),
        (0.05, np.arange(N) % 12),
        (-0.3, np.arange(N) % 12),
    ):
        asked = {"margin": margin, "confidence": 0.95, "evidence": "proven", "groups": groups}
        ours, theirs = (compare_set(base[i], cand[i], **asked) for i in (1, 0))
        assert (ours.fixed, ours.broken, ours.method) == (
            theirs.fixed,
            theirs.broken,
            theirs.method,
        )
        assert (ours.lower_bound, ours.p_margin) == pytest.approx(
            (theirs.lower_bound, theirs.p_margin), abs=1e-9
        )


def long_documents(long, short, seed):
    """Return two models alike over all documents; of each single one, one of them reads more fields rightly."""
    rng = np.random.default_rng(seed)
    sizes = np.array(long + short)
    better = rng.choice([-0.2, 0.2], len(sizes))
    return [fields_arm(rng.binomial(sizes, share), sizes) for share in (0.7 - better, 0.7 + better)]


def test_a_few_long_documents_show_nothing_of_others():
    for seed in range(5):
        found = compare_set(*long_documents([100, 100], [2] * 58, seed), **ASKED)
        assert not found.shown
        assert all(word in found.note for word in ("examples", "60", "2", "15"))


@pytest.mark.simulation
def test_documents_of_very_different_lengths_pass_falsely_at_most_five_percent():
    passes, lengths = 0, list(range(1, 61))  # count as 33
    for seed in range(400):
        passes += compare_set(*long_documents(lengths[:1], lengths[1:], seed), **ASKED).shown
    assert passes <= 0.05 * 400


@pytest.mark.simulation
def test_rare_long_documents_that_are_lost_do_not_pass_unseen():
    """3 % of the documents are eight times as long, a fifth of these is lost whole, and all others gain as much."""
    passes, rng = 0, np.random.default_rng(3)
    for _ in range(200):
        long = rng.random(200) < 0.03
        sizes = np.where(long, 40, 5)
        before = rng.binomial(sizes, 0.8)
        right = np.where(
            long & (rng.random(200) < 0.2), 0, before + rng.binomial(sizes - before, 0.165)
        )
        arms = fields_arm(before, sizes), fields_arm(right, sizes)
        passes += compare_set(*arms, **ASKED).shown
    assert passes <= 0.05 * 200
