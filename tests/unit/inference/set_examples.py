"""Label metrics for the tests, and the slow way to leave examples out."""

import numpy as np

from pytest_ftgate.statistics.set_level import LabelCounts, PooledCounts


def macro_f1(tallies):
    """Return the macro-F1 of tallies; a label that never occurs counts 0."""
    right, expected, answered = tallies[:, :, :-1].swapaxes(0, 1)
    labels = expected + answered
    return np.divide(2 * right, labels, out=np.zeros_like(right), where=labels > 0).mean(axis=1)


def accuracy(tallies):
    """Return the share of right answers."""
    return tallies[:, 0].sum(axis=1) / tallies[:, 1].sum(axis=1)


def answers(rng, gold, accuracy_, n_labels, repeats=1):
    """Return the right code with the probability given, else any, the one for no known label included."""
    shape = (repeats, len(gold))
    return np.where(rng.random(shape) < accuracy_, gold, rng.integers(0, n_labels + 1, shape))


def arms(seed, n, n_labels, *, repeats=1, accuracies=(0.7, 0.8), statistic=macro_f1):
    """Return baseline and candidate on the same random labels."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, n_labels, n)
    return tuple(
        LabelCounts(gold, answers(rng, gold, share, n_labels, repeats), n_labels, statistic)
        for share in accuracies
    )


def without(counts, drop):
    """Return the metric of a new sample, from scratch."""
    keep = ~np.isin(np.arange(len(counts.gold)), drop)
    tallies = np.zeros((1, 3, counts.n_labels + 1))
    for row in counts.predicted:
        for label, answer in zip(counts.gold[keep], row[keep], strict=True):
            tallies[0, [0, 1, 2], [label, label, answer]] += [label == answer, 1, 1]
    return float(counts.statistic(tallies)[0])


def fields_arm(right, sizes):
    """Return answers of which so many fields are right, by the share of right fields."""
    wholes = (
        np.column_stack(two).astype(float) for two in ((sizes, 0 * sizes), (0 * sizes, sizes))
    )
    counts = np.column_stack([right, sizes - right]).astype(float)
    return PooledCounts(
        counts, *wholes, right / sizes, lambda counts: counts[:, 0] / counts.sum(axis=1)
    )


def ratio(counts):
    """Micro-F1 of (right, wrong, missing)."""
    right, wrong, missing = counts.T
    return 2 * right / (2 * right + 2 * wrong + missing)


def pooled_arm(seed):
    """Return answers of which each field is right with a probability of 0.7, else wrong or missing."""
    rng, sizes, nothing = (
        np.random.default_rng(seed),
        np.random.default_rng(0).integers(1, 6, 40),
        np.zeros(40),
    )
    right = rng.binomial(sizes, 0.7)
    wrong = rng.binomial(sizes - right, 0.5)
    columns = [
        (right, wrong, sizes - right - wrong),
        (sizes, nothing, nothing),
        (nothing, sizes, nothing),
    ]
    counts, perfect, lost = (np.column_stack(three).astype(float) for three in columns)
    return PooledCounts(counts, perfect, lost, ratio(counts), ratio)
