"""Test the paired difference of two models, compute its confidence bounds, and plan sample sizes.

Unless a function says otherwise, its arguments are:

- ``n``: number of examples; ``wins``, ``losses``: examples that only the candidate, or only the baseline, answers
  correctly; ``disagreement``: their share, at least the size of the gain;
- ``gain``, ``margin``, ``target``: the real gain, the one that must be measured, and the one that the real gain must be
  shown to exceed: in the metric's unit, for right and wrong answers a share of the examples in (-1, 1);
- ``confidence``: one-sided, in (0.5, 1); ``alpha``: the level that is left;
- ``evidence``: "observed", "significant" or "proven";
- ``groups``: the group name of each example, None for an independent one; None: no groups.

No method that decides a verdict draws random numbers, so the same answers give the same verdict. See
``docs/evidence-appendix.md``.
"""

from pytest_ftgate.statistics.compare import compare_graded, compare_preferences, compare_right_wrong, compare_set
from pytest_ftgate.statistics.evidence import Comparison, Evidence, is_sure, level
from pytest_ftgate.statistics.exact import share_p_value
from pytest_ftgate.statistics.groups import MIN_GROUPS, group_counts
from pytest_ftgate.statistics.planning import (
    MOST_EXAMPLES,
    Chances,
    chance_of_proof,
    chances,
    corrected_confidence,
    exact_p,
    fewest_examples,
    fewest_wins,
    hypothetical_scores,
    hypothetical_set,
)
from pytest_ftgate.statistics.set_level import LabelCounts, PooledCounts, SetCounts

__all__ = [
    "MIN_GROUPS",
    "MOST_EXAMPLES",
    "Chances",
    "Comparison",
    "Evidence",
    "LabelCounts",
    "PooledCounts",
    "SetCounts",
    "chance_of_proof",
    "chances",
    "compare_graded",
    "compare_preferences",
    "compare_right_wrong",
    "compare_set",
    "corrected_confidence",
    "exact_p",
    "fewest_examples",
    "fewest_wins",
    "group_counts",
    "hypothetical_scores",
    "hypothetical_set",
    "is_sure",
    "level",
    "share_p_value",
]
