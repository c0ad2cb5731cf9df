"""Test the paired difference of two models, compute its confidence bounds, and plan sample sizes.

No method that decides a verdict draws random numbers, so the same answers give the same verdict. See
``docs/evidence-appendix.md``.
"""

from pytest_ftgate.statistics.compare import compare_graded, compare_preferences, compare_right_wrong, compare_set
from pytest_ftgate.statistics.comparison import Comparison, LabelCounts, SetCounts
from pytest_ftgate.statistics.evidence import Evidence
from pytest_ftgate.statistics.groups import MIN_GROUPS, effective_groups, group_codes, group_sizes
from pytest_ftgate.statistics.one_value import Interval, interval_graded, interval_right_wrong, interval_set
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
from pytest_ftgate.statistics.pooled import PooledCounts
from pytest_ftgate.statistics.repeats import Remedy, Spread, remedy, spread_of
from pytest_ftgate.statistics.sequential import LOOKS, Expected, Look, expected, is_futile, keeps_margin, looks
from pytest_ftgate.statistics.set_level import share_right

__all__ = [
    "LOOKS",
    "MIN_GROUPS",
    "MOST_EXAMPLES",
    "Chances",
    "Comparison",
    "Evidence",
    "Expected",
    "Interval",
    "LabelCounts",
    "Look",
    "PooledCounts",
    "Remedy",
    "SetCounts",
    "Spread",
    "chance_of_proof",
    "chances",
    "compare_graded",
    "compare_preferences",
    "compare_right_wrong",
    "compare_set",
    "corrected_confidence",
    "effective_groups",
    "exact_p",
    "expected",
    "fewest_examples",
    "fewest_wins",
    "group_codes",
    "group_sizes",
    "hypothetical_scores",
    "hypothetical_set",
    "interval_graded",
    "interval_right_wrong",
    "interval_set",
    "is_futile",
    "keeps_margin",
    "looks",
    "remedy",
    "share_right",
    "spread_of",
]
