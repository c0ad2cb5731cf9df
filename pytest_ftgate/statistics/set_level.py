"""Evaluate metrics of the whole set, such as macro-F1, with examples left out or wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pytest_ftgate.statistics import pooled
from pytest_ftgate.statistics.arrays import Codes, Floats, Places
from pytest_ftgate.statistics.comparison import LabelCounts, SetCounts
from pytest_ftgate.statistics.pooled import PooledCounts

_BLOCK = 2_000_000  # entries of stacked matrices in one step, 16 MB


def same_examples(first: SetCounts, second: SetCounts) -> bool:
    """Return whether both have the same expected outputs, that is, answer the same examples."""
    if isinstance(first, PooledCounts) or isinstance(second, PooledCounts):
        one, other = pooled.both(first, second)
        return np.array_equal(one.perfect, other.perfect)
    return np.array_equal(first.gold, second.gold)


def set_value(counts: SetCounts) -> float:
    """Return the metric of all answers, with repeats pooled."""
    if isinstance(counts, PooledCounts):
        return pooled.value(counts)
    return float(counts.statistic(_confusion(counts)[None])[0])


def values_without(counts: SetCounts, units: Codes | None = None) -> Floats:
    """Return the metric without each unit, shape ``(units,)``; an example is left out with all its repeats.

    ``units`` has the unit of each example as a code 0..U-1, shape ``(n,)``; None: each example is a unit, and equal
    examples share one evaluation.
    """
    if isinstance(counts, PooledCounts):
        return pooled.values_without(counts, units)
    if units is not None:
        return _without(counts, _confusion(counts), units)
    some, kind = _kinds(counts)
    return _without(some, _confusion(counts), np.arange(len(some)))[kind]


def share_right(counts: SetCounts) -> Floats:
    """Return the share of right answers, or the score, of each example, in [0, 1], shape ``(n,)``."""
    if isinstance(counts, PooledCounts):
        return counts.scores
    share: Floats = (counts.predicted == counts.gold).mean(axis=0)
    return share


def weights(counts: SetCounts, units: Codes | None = None) -> Floats:
    """Return the fall of the metric from all right to all wrong in each unit, shape ``(units,)``.

    For the share of right answers this is the unit's share of the examples; in macro averages an example of a rare
    label weighs more. A wrong answer is the rarest other label or an unknown one, whichever is worse. ``units`` has the
    unit of each example as a code 0..U-1; None: each example is a unit.
    """
    if isinstance(counts, PooledCounts):
        return pooled.weights(counts, units)
    if units is not None:
        return _falls(counts, counts, units)
    some, kind = _kinds(counts)
    return _falls(counts, some, np.arange(len(some)))[kind]


def _falls(counts: LabelCounts, some: LabelCounts, units: Codes) -> Floats:
    """Return :func:`weights` of the units of ``some`` examples of ``counts``."""
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
    """Return the rarest other expected label of each label, shape ``(K,)``; K, an unknown label, if there is none."""
    gold = np.bincount(counts.gold, minlength=counts.n_labels)
    by_size = [*np.argsort(gold, kind="stable")[np.count_nonzero(gold == 0) :], counts.n_labels]
    others: Codes = np.where(np.arange(counts.n_labels) == by_size[0], by_size[1], by_size[0])
    return others


def _kinds(counts: LabelCounts) -> tuple[LabelCounts, Places]:
    """Return one example for each combination of label and answers, and the combination of each example, ``(n,)``."""
    kind = counts.gold
    for answers in counts.predicted:
        kind = np.unique(kind * (counts.n_labels + 1) + answers, return_inverse=True)[1].ravel()
    _, first, of_example = np.unique(kind, return_index=True, return_inverse=True)
    return replace(counts, gold=counts.gold[first], predicted=counts.predicted[:, first]), of_example.ravel()


def confusions_by_unit(counts: LabelCounts, units: Codes, n_units: int) -> Floats:
    """Return the confusion matrices of units 0..n_units-1, shape ``(n_units, K + 1, K + 1)``; others are left out."""
    size = counts.n_labels + 1
    inside = (units >= 0) & (units < n_units)
    cells = (units * size + counts.gold)[inside] * size + counts.predicted[:, inside]
    return np.bincount(cells.ravel(), minlength=n_units * size**2).reshape(n_units, size, size).astype(np.float64)


def _confusion(counts: LabelCounts) -> Floats:
    total: Floats = confusions_by_unit(counts, counts.gold * 0, 1)[0]
    return total


def _without(counts: LabelCounts, total: Floats, units: Codes) -> Floats:
    """Return the metric of ``total`` without each unit of ``counts``, shape ``(units,)``."""
    found = [counts.statistic(total - confusions_by_unit(counts, *of_block)) for of_block in _blocks(counts, units)]
    return np.concatenate(found)


def _blocks(counts: LabelCounts, units: Codes) -> Iterator[tuple[Codes, int]]:
    """Yield blocks whose matrices fit into memory: the units, numbered from the block's start, and the block's size."""
    n_units, block = int(units.max()) + 1, max(1, _BLOCK // (counts.n_labels + 1) ** 2)
    for start in range(0, n_units, block):
        yield units - start, min(block, n_units - start)
