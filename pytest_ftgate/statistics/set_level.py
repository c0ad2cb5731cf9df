"""Metrics of the whole set, such as macro-F1, with some examples left out or lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pytest_ftgate.statistics import pooled
from pytest_ftgate.statistics.arrays import Codes, Floats, Places
from pytest_ftgate.statistics.comparison import LabelCounts, SetCounts
from pytest_ftgate.statistics.pooled import PooledCounts

_BLOCK = 2_000_000  # entries of stacked matrices at a time, 16 MB


def same_examples(first: SetCounts, second: SetCounts) -> bool:
    """Return whether both are answers to the same examples: what is expected is the same."""
    if isinstance(first, PooledCounts) or isinstance(second, PooledCounts):
        one, other = pooled.both(first, second)
        return np.array_equal(one.perfect, other.perfect)
    return np.array_equal(first.gold, second.gold)


def set_value(counts: SetCounts) -> float:
    """Return the metric of all answers, repeats pooled."""
    if isinstance(counts, PooledCounts):
        return pooled.value(counts)
    return float(counts.statistic(_confusion(counts)[None])[0])


def values_without_unit(counts: SetCounts, units: Codes) -> Floats:
    """Return the metric without one unit, for each unit, shape ``(units,)``; ``units`` is the unit of each example as a
    code 0..U-1. An example is left out with all its repeats.
    """
    if isinstance(counts, PooledCounts):
        return pooled.values_without_unit(counts, units)
    return _without(counts, _confusion(counts), units)


def values_without_one(counts: SetCounts) -> Floats:
    """Return the metric without each example, shape ``(n,)``. Examples of a kind share one evaluation."""
    if isinstance(counts, PooledCounts):
        return pooled.values_without_one(counts)
    some, kind = _kinds(counts)
    return _without(some, _confusion(counts), np.arange(len(some)))[kind]


def share_right(counts: SetCounts) -> Floats:
    """Return how many of the repeats answer each example rightly, shape ``(n,)``, in [0, 1]; or how rightly they do."""
    if isinstance(counts, PooledCounts):
        return counts.scores
    share: Floats = (counts.predicted == counts.gold).mean(axis=0)
    return share


def weights(counts: SetCounts, units: Codes | None = None) -> Floats:
    """Return how far the metric falls from a unit that is answered rightly to one that is lost, for each unit.

    For a share of right answers that is the unit's share of the examples; in macro averages an example of a rare label
    weighs more. A lost example is answered with the rarest other label, or with none that is known, whichever is worse.
    ``units`` is the unit of each example as a code 0..U-1; None for each example on its own.
    """
    if isinstance(counts, PooledCounts):
        return pooled.weights(counts, units)
    if units is not None:
        return _falls(counts, counts, units)
    some, kind = _kinds(counts)
    return _falls(counts, some, np.arange(len(some)))[kind]


def _falls(counts: LabelCounts, some: LabelCounts, units: Codes) -> Floats:
    """Return :func:`weights` for units of some of the examples of ``counts``."""
    other = _rarest_others(counts)[some.gold]
    answers = (some.gold, other, np.full_like(other, counts.n_labels))
    changed = [replace(some, predicted=np.broadcast_to(answer, some.predicted.shape)) for answer in answers]
    total, found = _confusion(counts), []
    for of_block in _blocks(counts, units):
        rest = total - confusions_by_unit(some, *of_block)
        right, *lost = (counts.statistic(rest + confusions_by_unit(arm, *of_block)) for arm in changed)
        found.append(right - np.minimum(*lost))
    return np.concatenate(found)


def _rarest_others(counts: LabelCounts) -> Codes:
    """Return for each label the rarest other one that is expected; the code for none without another."""
    gold = np.bincount(counts.gold, minlength=counts.n_labels)
    by_size = [*np.argsort(gold, kind="stable")[np.count_nonzero(gold == 0) :], counts.n_labels]
    others: Codes = np.where(np.arange(counts.n_labels) == by_size[0], by_size[1], by_size[0])
    return others


def _kinds(counts: LabelCounts) -> tuple[LabelCounts, Places]:
    """Group examples by label and answers: return one example of each kind, and the kind of each example."""
    kind = counts.gold
    for answers in counts.predicted:
        kind = np.unique(kind * (counts.n_labels + 1) + answers, return_inverse=True)[1].ravel()
    _, first, of_example = np.unique(kind, return_index=True, return_inverse=True)
    return replace(counts, gold=counts.gold[first], predicted=counts.predicted[:, first]), of_example.ravel()


def confusions_by_unit(counts: LabelCounts, units: Codes, n_units: int) -> Floats:
    """Return confusion matrices ``(n_units, K + 1, K + 1)`` of units 0..n_units-1; others are passed over."""
    size = counts.n_labels + 1
    inside = (units >= 0) & (units < n_units)
    cells = (units * size + counts.gold)[inside] * size + counts.predicted[:, inside]
    return np.bincount(cells.ravel(), minlength=n_units * size**2).reshape(n_units, size, size).astype(np.float64)


def _confusion(counts: LabelCounts) -> Floats:
    total: Floats = confusions_by_unit(counts, counts.gold * 0, 1)[0]
    return total


def _without(counts: LabelCounts, total: Floats, units: Codes) -> Floats:
    """Return the metric of ``total`` with each unit of ``counts`` taken away, in blocks that fit into memory."""
    found = [counts.statistic(total - confusions_by_unit(counts, *of_block)) for of_block in _blocks(counts, units)]
    return np.concatenate(found)


def _blocks(counts: LabelCounts, units: Codes) -> Iterator[tuple[Codes, int]]:
    """Yield the units numbered from the start of each block whose matrices fit into memory, and how many it has."""
    n_units, block = int(units.max()) + 1, max(1, _BLOCK // (counts.n_labels + 1) ** 2)
    for start in range(0, n_units, block):
        yield units - start, min(block, n_units - start)
