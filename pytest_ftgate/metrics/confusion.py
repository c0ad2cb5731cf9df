"""Scikit-learn's classification metrics as vectorised functions of tallies.

Resampling needs the value for many slightly different samples; calling scikit-learn for each would take minutes. Every
function takes tallies of shape ``(m, 3, K + 1)``, the diagonal and the margins of confusion matrices, and returns
``(m,)`` values. The rows are, for each label, how often it is a right answer, expected, and answered; the last column
is for answers that are no label of the test set. A ratio with denominator 0 is 0, as with scikit-learn's
``zero_division=0``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_ftgate.metrics.protocol import Floats

_ROUNDING = 1e-12  # relative; the smallest nonzero denominator is 2 / n of its scale


# Each score is right / (share * expected + (1 - share) * answered).
_SHARE_OF_EXPECTED = {"f1": 0.5, "precision": 0.0, "recall": 1.0}


def averaged(tallies: Floats, *, of: str, average: str, over: Sequence[int]) -> Floats:
    """Return F1, precision or recall, averaged over the labels with the codes ``over``.

    "macro": the unweighted mean; "weighted": weighted by expected frequency; "micro": counts are summed first.
    """
    right, gold, answered = tallies[:, :, over].swapaxes(0, 1)
    if average == "micro":
        right, gold, answered = (counts.sum(axis=1, keepdims=True) for counts in (right, gold, answered))
    share = _SHARE_OF_EXPECTED[of]
    scores = _ratio(right, share * gold + (1 - share) * answered)
    if average == "weighted":
        return _ratio((scores * gold).sum(axis=1), gold.sum(axis=1))
    mean: Floats = scores.mean(axis=1)
    return mean


def balanced_accuracy(tallies: Floats) -> Floats:
    """Return the mean recall of the labels that are expected at least once."""
    right, gold, _ = tallies.swapaxes(0, 1)
    recalls = _ratio(right, gold)
    return _ratio(recalls.sum(axis=1), (gold > 0).sum(axis=1))


def matthews_corrcoef(tallies: Floats) -> Floats:
    """Return R_K, the correlation of expected and answered labels; 0 if either is constant.

    Source: J. Gorodkin, Computational Biology and Chemistry 28 (2004) 367-374.
    """
    import numpy as np

    right, gold, answered, n = _margins(tallies)
    spread_gold = _no_noise(n**2 - (gold**2).sum(axis=1), n**2)
    spread_answered = _no_noise(n**2 - (answered**2).sum(axis=1), n**2)
    return _ratio(n * right - (gold * answered).sum(axis=1), np.sqrt(spread_gold * spread_answered))


def cohen_kappa(tallies: Floats) -> Floats:
    """Return agreement beyond chance; NaN if all expected and answered labels are the same one.

    Source: J. Cohen, Educational and Psychological Measurement 20 (1960) 37-46.
    """
    import numpy as np

    right, gold, answered, n = _margins(tallies)
    by_chance = (gold * answered).sum(axis=1)
    room = _no_noise(n**2 - by_chance, n**2)
    return np.where(room > 0, _ratio(n * right - by_chance, room), np.nan)


def _margins(tallies: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    right, gold, answered = tallies.swapaxes(0, 1)
    return right.sum(axis=1), gold, answered, gold.sum(axis=1)


def _ratio(numerator: Any, denominator: Any) -> Floats:
    import numpy as np

    quotient: Floats = np.zeros(np.shape(numerator))
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def _no_noise(difference: Floats, scale: Floats) -> Floats:
    """Return a difference of sums of weights, with rounding errors set to 0."""
    import numpy as np

    return np.where(difference > _ROUNDING * scale, difference, 0.0)
