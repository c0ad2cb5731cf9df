"""Test the paired difference of two models, compute its confidence bounds, and plan sample sizes.

Unless a function says otherwise, its arguments are:

- ``n``: number of examples; ``wins``, ``losses``: examples that only the candidate, or only the
  baseline, answers correctly; ``disagreement``: their share, at least the size of the gain;
- ``gain``, ``margin``, ``target``: the true gain, the one that must be measured, and the one that
  the true gain must be shown to exceed: in the metric's unit, for right and wrong answers a share
  of the examples in (-1, 1);
- ``confidence``: one-sided, in (0.5, 1); ``alpha``: the level that is left;
- ``evidence``: "observed", "significant" or "proven";
- ``groups``: the group name of each example, None for an independent one; None: no groups.

No method that decides a verdict draws random numbers, so the same answers give the same verdict.
See ``docs/methods.md``.
"""

from pytest_ftgate.statistics.compare import compare_right_wrong
from pytest_ftgate.statistics.exact import exact_p
from pytest_ftgate.statistics.planning import chances, fewest_examples, fewest_wins

__all__ = ["chances", "compare_right_wrong", "exact_p", "fewest_examples", "fewest_wins"]
