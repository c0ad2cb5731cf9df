"""Scikit-learn's classification metrics as vectorised functions of confusion matrices.

Resampling needs the value for hundreds of slightly different samples; calling scikit-learn for each would take
minutes. Every function takes matrices of shape ``(m, K + 1, K + 1)`` and returns ``(m,)`` values. Rows are expected
labels, columns are answered labels; the last row is empty, and the last column counts answers that are no label of the
test set. A ratio with denominator 0 is 0, as with scikit-learn's ``zero_division=0``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_ftgate.metrics.protocol import Floats

_ROUNDING = 1e-12  # relative; the smallest nonzero denominator is 2 / n of its scale


# Each score is right / (share * expected + (1 - share) * answered).
_SHARE_OF_EXPECTED = {"f1": 0.5, "precision": 0.0, "recall": 1.0}


def averaged(confusions: Floats, *, of: str, average: str, over: Sequence[int]) -> Floats:
    """Return F1, precision or recall, averaged over the labels with the codes ``over``.

    "macro": the unweighted mean; "weighted": weighted by expected frequency; "micro": counts are summed first.
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
    """Return the mean recall of the labels that are expected at least once."""
    gold = confusions.sum(axis=2)
    recalls = _ratio(confusions.diagonal(axis1=1, axis2=2), gold)
    return _ratio(recalls.sum(axis=1), (gold > 0).sum(axis=1))


def matthews_corrcoef(confusions: Floats) -> Floats:
    """Return R_K, the correlation of expected and answered labels; 0 if either is constant.

    Source: J. Gorodkin, Computational Biology and Chemistry 28 (2004) 367-374.
    """
    import numpy as np

    right, gold, answered, n = _margins(confusions)
    spread_gold = _no_noise(n**2 - (gold**2).sum(axis=1), n**2)
    spread_answered = _no_noise(n**2 - (answered**2).sum(axis=1), n**2)
    return _ratio(n * right - (gold * answered).sum(axis=1), np.sqrt(spread_gold * spread_answered))


def cohen_kappa(confusions: Floats) -> Floats:
    """Return agreement beyond chance; NaN if all expected and answered labels are the same one.

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
    """Return a difference of sums of weights, with rounding errors set to 0."""
    import numpy as np

    return np.where(difference > _ROUNDING * scale, difference, 0.0)
