"""How sure a measured gain is: the paired difference of two models, its bounds, and the examples it takes.

No method that decides draws random numbers: the same answers give the same verdict. See ``docs/evidence.md``.
"""

from pytest_ftgate.inference.bootstrap import bca_set
from pytest_ftgate.inference.compare import compare_graded, compare_right_wrong, compare_set
from pytest_ftgate.inference.comparison import Comparison, LabelCounts
from pytest_ftgate.inference.groups import MIN_GROUPS, group_codes
from pytest_ftgate.inference.planning import corrected_confidence, fewest_examples, fewest_wins
from pytest_ftgate.inference.repeats import Remedy, Spread, remedy, spread_of
from pytest_ftgate.inference.score import tango_interval

__all__ = [
    "MIN_GROUPS",
    "Comparison",
    "LabelCounts",
    "Remedy",
    "Spread",
    "bca_set",
    "compare_graded",
    "compare_right_wrong",
    "compare_set",
    "corrected_confidence",
    "fewest_examples",
    "fewest_wins",
    "group_codes",
    "remedy",
    "spread_of",
    "tango_interval",
]
