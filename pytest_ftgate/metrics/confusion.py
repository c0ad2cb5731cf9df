"""Scikit-learn's classification metrics as functions of confusion matrices, many at once.

A resampling method needs the value for hundreds of slightly different samples; calling scikit-learn for each would
take minutes. Every function takes matrices of the shape ``(m, K + 1, K + 1)`` (rows: the expected label, columns: the
answered one; the last row is empty, the last column counts answers that are no label of the test set) and returns
``(m,)`` values. A ratio without a denominator is 0, as scikit-learn's ``zero_division=0`` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_ftgate.metrics.protocol import Floats

_ROUNDING = 1e-12  # relative; the smallest denominator that is not 0 is 2 / n of its scale


# Each is right / (share * expected + (1 - share) * answered).
_SHARE_OF_EXPECTED = {"f1": 0.5, "precision": 0.0, "recall": 1.0}


def averaged(confusions: Floats, *, of: str, average: str, over: Sequence[int]) -> Floats:
    """Return F1, precision or recall, averaged over the labels with the codes ``over``.

    "macro": labels count the same; "weighted": by how often they are expected; "micro": their counts are summed first.
    """
    right = confusions.diagonal(axis1=1, axis2=2)[:, over]
    gold, answered = confusions.sum(axis=2)[:, over], confusions.sum(axis=1)[:, over]
    if average == "micro":
        right, gold, answered = (counts.sum(axis=1, keepdims=True) for counts in (right, gold, answered))
    share = _SHARE_OF_EXPECTED[of]
    scores = _ratio(right, share * gold + (1 - share) * answered)
    if average == "weighted":
        return _ratio((scores * gold).sum(axis=1), gold.sum(axis=1))
    mean: Floats = scores.mean(axis=1)
    return mean


def balanced_accuracy(confusions: Floats) -> Floats:
    """Return the mean recall of the labels that are expected at all."""
    gold = confusions.sum(axis=2)
    recalls = _ratio(confusions.diagonal(axis1=1, axis2=2), gold)
    return _ratio(recalls.sum(axis=1), (gold > 0).sum(axis=1))


def matthews_corrcoef(confusions: Floats) -> Floats:
    """Return the correlation of expected and answered labels, R_K; 0 where either is always the same.

    Source: J. Gorodkin, Computational Biology and Chemistry 28 (2004) 367-374.
    """
    import numpy as np

    right, gold, answered, n = _margins(confusions)
    spread_gold = _no_noise(n**2 - (gold**2).sum(axis=1), n**2)
    spread_answered = _no_noise(n**2 - (answered**2).sum(axis=1), n**2)
    return _ratio(n * right - (gold * answered).sum(axis=1), np.sqrt(spread_gold * spread_answered))


def cohen_kappa(confusions: Floats) -> Floats:
    """Return agreement beyond chance; NaN where all expected and all answered labels are one and the same.

    Source: J. Cohen, Educational and Psychological Measurement 20 (1960) 37-46.
    """
    import numpy as np

    right, gold, answered, n = _margins(confusions)
    by_chance = (gold * answered).sum(axis=1)
    room = _no_noise(n**2 - by_chance, n**2)
    return np.where(room > 0, _ratio(n * right - by_chance, room), np.nan)


def _margins(confusions: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    right = confusions.trace(axis1=1, axis2=2)
    return right, confusions.sum(axis=2), confusions.sum(axis=1), confusions.sum(axis=(1, 2))


def _ratio(numerator: Any, denominator: Any) -> Floats:
    import numpy as np

    quotient: Floats = np.zeros(np.shape(numerator))
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def _no_noise(difference: Floats, scale: Floats) -> Floats:
    """Return a difference of sums of weights, with what is only rounding set to 0."""
    import numpy as np

    return np.where(difference > _ROUNDING * scale, difference, 0.0)
