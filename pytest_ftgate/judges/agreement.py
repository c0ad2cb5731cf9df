"""Agreement between people, or between a judge and people, beyond chance: kappa."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import fsum


def cohen_kappa(one: Sequence[Hashable], other: Sequence[Hashable]) -> float | None:
    """Return Cohen's kappa of two raters of the same items; None if both give one label to all items.

    Source: J. Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement 20 (1960)
    37-46; computed by scikit-learn.
    """
    from sklearn.metrics import cohen_kappa_score

    first, second = (list(map(str, labels)) for labels in (one, other))
    if len({*first, *second}) < 2:
        return None
    return float(cohen_kappa_score(first, second))


def weighted_kappa(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Cohen's kappa with quadratic weights: a difference of two counts four times as much as one of one.

    For integers it equals scikit-learn's ``cohen_kappa_score(weights="quadratic")``; for decimals it is Lin's
    concordance coefficient. None if it is undefined, because both give one score to all items.

    Sources: J. Cohen, Weighted kappa, Psychological Bulletin 70 (1968) 213-220; L. I-K. Lin, Biometrics 45 (1989)
    255-268.
    """
    n = len(one)
    observed = fsum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / n
    means = [fsum(scores) / n for scores in (one, other)]
    spread = sum(fsum((s - mean) ** 2 for s in scores) / n for scores, mean in zip((one, other), means, strict=True))
    by_chance = spread + (means[0] - means[1]) ** 2
    return None if by_chance == 0 else 1 - observed / by_chance


def fleiss_kappa(counts: Sequence[Sequence[int]]) -> float | None:
    """Return Fleiss' kappa of ``counts[item][category]``; the raters may differ between items.

    Items with fewer than two ratings are left out. If items have different numbers of ratings, the category shares are
    over all ratings, and every item has the same weight. None if it is undefined: no item has two ratings, or all
    ratings are in one category.

    Source: J. L. Fleiss, Measuring nominal scale agreement among many raters, Psychological Bulletin 76 (1971) 378-382.
    """
    rated = [row for row in counts if sum(row) >= 2]
    if not rated:
        return None
    total = sum(map(sum, rated))
    shares = [sum(column) / total for column in zip(*rated, strict=True)]
    by_chance = fsum(share * share for share in shares)
    if by_chance >= 1:
        return None
    return (observed_agreement(rated) - by_chance) / (1 - by_chance)


def observed_agreement(counts: Sequence[Sequence[int]]) -> float:
    """Return the share of agreeing pairs of raters, averaged over items with at least two ratings each."""
    return fsum((sum(k * k for k in row) - sum(row)) / (sum(row) * (sum(row) - 1)) for row in counts) / len(counts)
