"""The win rate of one model over another against a half: the sign test's question, with ties kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pytest_ftgate.statistics.arrays import Floats
from pytest_ftgate.statistics.compare import Groups, compare_graded, compare_right_wrong
from pytest_ftgate.statistics.comparison import Comparison


def compare_preferences(
    preferred: Floats, *, margin: float, confidence: float, evidence: str, groups: Groups = None, means: bool = False
) -> Comparison:
    """Compare two models by whether the candidate is preferred more often than not: its win rate less a half.

    A win and a loss are the discordant pairs of McNemar's test, and a tie is a concordant one: the win rate (wins and
    half of the ties, of all) less a half is half the difference of the shares of wins and losses. That difference is
    tested, at twice the margin, by the exact unconditional test, and its bounds are halved. So ties are neither dropped
    nor split at random: they count as pairs in which nothing was won, which for the margin 0 asks for about as
    much as the sign test without them (Dixon & Mood 1946), and has a meaning for every other margin. Where preferences
    are means (of repeats or of several raters) the same difference, which lies in [-1, 1], is held to Gaffke's bound.

    Args:
        preferred: 1 where the candidate is, 0 where the baseline is, 0.5 for a tie, or a mean of those, ``(n,)``.
        margin: of the win rate above a half; in (-0.5, 0.5).
        confidence, evidence, groups: see :mod:`~pytest_ftgate.statistics.compare`.
        means: whether preferences may be means, whichever were seen.
    """
    asked = {"margin": 2 * margin, "confidence": confidence, "evidence": evidence, "groups": groups}
    if means:
        return _halved(compare_graded(1 - preferred, preferred, low=0.0, high=1.0, **asked))  # type: ignore[arg-type]
    if not np.isin(preferred, (0.0, 0.5, 1.0)).all():
        raise ValueError("a preference is 1, 0, or 0.5 for a tie, unless it is a mean")
    return _halved(compare_right_wrong(preferred == 0, preferred == 1, **asked))  # type: ignore[arg-type]


def _halved(found: Comparison) -> Comparison:
    """Turn the difference of wins and losses into the win rate less a half; p-values and counts are the same."""
    halves: dict[str, Any] = {
        name: None if (value := getattr(found, name)) is None else value / 2
        for name in ("gain", "gain_exact", "lower", "upper")
    }
    return replace(found, **halves)
