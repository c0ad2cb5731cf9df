"""Metrics of the whole set, such as macro-F1, with some examples left out or one added."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.inference import pooled
from pytest_ftgate.inference.pooled import PooledCounts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_ftgate.inference.comparison import LabelCounts, SetCounts

_BLOCK = 2_000_000  # entries of stacked matrices at a time, 16 MB


def same_examples(first: SetCounts, second: SetCounts) -> bool:
    """Whether both are answers to the same examples: what is expected is the same."""
    import numpy as np

    if isinstance(first, PooledCounts) or isinstance(second, PooledCounts):
        one, other = pooled.both(first, second)
        return np.array_equal(one.perfect, other.perfect)
    return np.array_equal(first.gold, second.gold)


def set_value(counts: SetCounts) -> float:
    """The metric of all answers, repeats pooled."""
    if isinstance(counts, PooledCounts):
        return pooled.value(counts)
    return float(counts.statistic(_confusion(counts)[None])[0])


def values_without_unit(counts: SetCounts, units: NDArray[np.int64]) -> NDArray[np.float64]:
    """The metric without one unit, for each unit, shape ``(units,)``.

    Args:
        units: the unit of each example as a code 0..U-1; an example is left out with all its repeats.
    """
    if isinstance(counts, PooledCounts):
        return pooled.values_without_unit(counts, units)
    return _changed(counts, _confusion(counts), units, -1)


def values_without_one(counts: SetCounts) -> NDArray[np.float64]:
    """The metric without one example, for each example, shape ``(n,)``. Examples of a kind share one evaluation."""
    import numpy as np

    if isinstance(counts, PooledCounts):
        return pooled.values_without_one(counts)
    first, kind = kinds(counts)
    some = replace(counts, gold=counts.gold[first], predicted=counts.predicted[:, first])
    return _changed(some, _confusion(counts), np.arange(len(first)), -1)[kind]


def values_with_one_more(
    counts: LabelCounts, gold: NDArray[np.int64], predicted: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The metric with one more example, answered alike in all repeats, for each of these labels and answers."""
    import numpy as np

    repeats = np.broadcast_to(predicted, (len(counts.predicted), len(gold)))
    more = replace(counts, gold=gold, predicted=repeats)
    return _changed(more, _confusion(counts), np.arange(len(gold)), +1)


def share_right(counts: SetCounts) -> NDArray[np.float64]:
    """How many of the repeats answer each example rightly, shape ``(n,)``, in [0, 1]; or how rightly they do."""
    if isinstance(counts, PooledCounts):
        return counts.scores
    share: NDArray[np.float64] = (counts.predicted == counts.gold).mean(axis=0)
    return share


def lost_example(baseline: SetCounts, candidate: SetCounts) -> float:
    """What one more lost example would weigh: its pseudo-value in candidate minus baseline.

    The lost example is one of the usual mix of labels that the baseline has right. The candidate answers with the
    rarest other label or with none that is known, whichever lowers the gain more.
    """
    import numpy as np

    if isinstance(baseline, PooledCounts) or isinstance(candidate, PooledCounts):
        return pooled.lost_example(*pooled.both(baseline, candidate))
    n, gold = len(baseline.gold), np.bincount(baseline.gold, minlength=baseline.n_labels)
    labels, rarest_other = _rarest_others(baseline)
    unknown = np.full_like(labels, baseline.n_labels)
    answers = [values_with_one_more(candidate, labels, answer) for answer in (rarest_other, unknown)]
    gains = np.minimum(*answers) - values_with_one_more(baseline, labels, labels)
    return (n + 1) * float(gains @ gold[labels]) / n - n * (set_value(candidate) - set_value(baseline))


def heaviest_lost_example(baseline: SetCounts, candidate: SetCounts) -> float:
    """What the example weighs that lowers the gain most when the candidate loses it: in macro averages one of the
    rarest label. The losses go into the set as it is, so that those of one label weigh as much as all of its examples.
    """
    import numpy as np

    if isinstance(baseline, PooledCounts) or isinstance(candidate, PooledCounts):
        return pooled.heaviest_lost_example(*pooled.both(baseline, candidate))
    n, repeats, total = len(candidate.gold), len(candidate.predicted), _confusion(candidate)
    gain, value, lowest = set_value(candidate) - set_value(baseline), set_value(candidate), 0.0
    for label, other in zip(*_rarest_others(candidate), strict=True):
        lost = np.stack([total, total])
        right = min(float(repeats), float(total[label, label]))
        lost[:, label, label] -= right
        lost[(0, 1), label, (other, candidate.n_labels)] += right
        lowest = min(lowest, float(candidate.statistic(lost).min()) - value)
    return gain + n * lowest if lowest < 0 else lost_example(baseline, candidate)


def _rarest_others(counts: LabelCounts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The labels that are expected, and for each the rarest other one; the code for none where there is no other."""
    import numpy as np

    gold = np.bincount(counts.gold, minlength=counts.n_labels)
    by_size = np.argsort(np.where(gold > 0, gold, len(counts.gold) + 1), kind="stable")
    labels = np.flatnonzero(gold)
    second = by_size[1] if len(by_size) > 1 else counts.n_labels
    return labels, np.where(labels == by_size[0], second, by_size[0])


def kinds(*arms: LabelCounts) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Examples with equal label and answers of all models: an example of each kind, and the kind of each example."""
    import numpy as np

    kind = arms[0].gold
    for arm in arms:
        for answers in arm.predicted:
            kind = np.unique(kind * (arm.n_labels + 1) + answers, return_inverse=True)[1].ravel()
    _, first, of_example = np.unique(kind, return_index=True, return_inverse=True)
    return first, of_example.ravel()


def confusions_by_unit(counts: LabelCounts, units: NDArray[np.int64], n_units: int) -> NDArray[np.float64]:
    """Confusion matrices of units 0..n_units-1, shape ``(n_units, K + 1, K + 1)``; other codes are passed over."""
    import numpy as np

    size = counts.n_labels + 1
    inside = (units >= 0) & (units < n_units)
    cells = (units * size + counts.gold)[inside] * size + counts.predicted[:, inside]
    return np.bincount(cells.ravel(), minlength=n_units * size**2).reshape(n_units, size, size).astype(np.float64)


def _confusion(counts: LabelCounts) -> NDArray[np.float64]:
    total: NDArray[np.float64] = confusions_by_unit(counts, counts.gold * 0, 1)[0]
    return total


def _changed(
    counts: LabelCounts, total: NDArray[np.float64], units: NDArray[np.int64], sign: int
) -> NDArray[np.float64]:
    """The metric of ``total`` with each unit of ``counts`` added or taken away, in blocks that fit into memory."""
    import numpy as np

    n_units = int(units.max()) + 1
    block = max(1, _BLOCK // (counts.n_labels + 1) ** 2)
    found = [
        counts.statistic(total + sign * confusions_by_unit(counts, units - start, min(block, n_units - start)))
        for start in range(0, n_units, block)
    ]
    return np.concatenate(found)
