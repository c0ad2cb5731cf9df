"""Which method a comparison gets: from the kind of metric, its bounds, and the groups of examples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_ftgate.inference import jackknife, set_level
from pytest_ftgate.inference.finding import (
    Finding,
    by_exact_test,
    by_gaffke,
    by_jackknife,
    more_cautious,
    within,
)
from pytest_ftgate.inference.graded import Sample
from pytest_ftgate.inference.groups import MIN_GROUPS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_ftgate.inference.comparison import Question, SetCounts

NO_BOUNDS = "the metric has no bounds, so rare large losses cannot be ruled out"
NO_DIFFERENCE = "leaving out any {unit} changes nothing: there is no telling how sure the gain is"
UNDEFINED = "the metric is undefined with one {unit} left out"
WORST_UNDEFINED = "the metric is undefined with one more wrong answer"
TOO_FEW = "too few groups: {n}, {needed} are needed"
GROUPS = "{n} groups"

Found = tuple[Finding | None, str | None]
"""What was found, None where no bound can be told; and what a reader should know of it."""


def of_right_wrong(
    wins: int, losses: int, differences: NDArray[np.float64], codes: NDArray[np.int64] | None, question: Question
) -> Found:
    """The exact test; with groups (codes per example) the jackknife too."""
    finding = by_exact_test(wins, losses, len(differences), question)
    return (finding, None) if codes is None else _by_groups(differences, codes, finding, 1.0, question)


def of_graded(
    differences: NDArray[np.float64], unit: float, codes: NDArray[np.int64] | None, question: Question
) -> Found:
    """Gaffke's bound, with groups the jackknife too; the jackknife alone where ``unit``, the range, is infinite."""
    finding, note = _of_mean(differences, unit, question)
    return (finding, note) if codes is None else _by_groups(differences, codes, finding, unit, question)


def _of_mean(differences: NDArray[np.float64], unit: float, question: Question) -> Found:
    if math.isfinite(unit):
        sample, opposite = Sample.of(differences / unit, -1.0), Sample.of(-differences / unit, -1.0)
        return by_gaffke(sample, opposite, unit, question), None
    n = len(differences)
    left_out = (differences.sum() - differences) / max(n - 1, 1)
    finding, note = _by_left_out(float(differences.mean()), left_out, n, "example", question)
    return finding, note or NO_BOUNDS


def _by_groups(
    differences: NDArray[np.float64],
    codes: NDArray[np.int64],
    ungrouped: Finding | None,
    unit: float,
    question: Question,
) -> Found:
    n_groups, n, gain = int(codes.max()) + 1, len(differences), float(differences.mean())
    if n_groups < MIN_GROUPS:
        return None, TOO_FEW.format(n=n_groups, needed=MIN_GROUPS)
    left_out = jackknife.means_without_a_group(differences, codes)
    finding, note = _by_left_out(gain, left_out, n, "group", question)
    if ungrouped is None or (finding is None and question.margin >= 0):
        return None, note
    if question.margin < 0 and math.isfinite(unit):
        ungrouped = _with_a_unit_lost(gain, left_out, n, (-unit, -unit), unit, question)
    both = ungrouped if finding is None else more_cautious(finding, ungrouped)
    return within(both, -unit, unit), GROUPS.format(n=n_groups)


def of_set(
    baseline: SetCounts,
    candidate: SetCounts,
    gain: float,
    codes: NDArray[np.int64] | None,
    question: Question,
) -> Found:
    """The jackknife; where a drop is to be ruled out, Gaffke's bound of its pseudo-values too.

    Where nothing moves, as with equal answers, the jackknife says nothing and Gaffke's bound alone decides. It then has
    no losses to go by: what counts as lost is the example that weighs most.
    """
    n, n_groups = set_level.size_of(baseline), None if codes is None else int(codes.max()) + 1
    if n_groups is not None and n_groups < MIN_GROUPS:
        return None, TOO_FEW.format(n=n_groups, needed=MIN_GROUPS)
    if codes is None:
        left_out = set_level.values_without_one(candidate) - set_level.values_without_one(baseline)
    else:
        left_out = set_level.values_without_unit(candidate, codes) - set_level.values_without_unit(baseline, codes)
    finding, note = _by_left_out(gain, left_out, n, "example" if codes is None else "group", question)
    if question.margin < 0 and math.isfinite(left_out.sum()):
        lose = set_level.heaviest_lost_example if finding is None else set_level.lost_example
        worst = lose(baseline, candidate), lose(candidate, baseline)
        if not math.isfinite(sum(worst)):
            return None, WORST_UNDEFINED
        lost = _with_a_unit_lost(gain, left_out, n, worst, 1.0, question)
        finding, note = lost if finding is None else more_cautious(finding, lost), None
    return finding, note if n_groups is None or note else GROUPS.format(n=n_groups)


def _by_left_out(gain: float, left_out: NDArray[np.float64], n: int, unit: str, question: Question) -> Found:
    import numpy as np

    if not np.isfinite(left_out).all():
        return None, UNDEFINED.format(unit=unit)
    found = jackknife.jackknife(gain, left_out)
    if found.standard_error == 0:
        return None, NO_DIFFERENCE.format(unit=unit)
    method = jackknife.METHOD if unit == "example" else jackknife.GROUP_METHOD
    return by_jackknife(method, found, n, question), None


def _with_a_unit_lost(
    gain: float, left_out: NDArray[np.float64], n: int, worst: tuple[float, float], unit: float, question: Question
) -> Finding:
    """Gaffke's bound of Tukey's pseudo-values: what each example or group adds, and one that was lost altogether.

    Args:
        gain: of the whole sample.
        left_out: with one example or group left out, for each.
        n: examples.
        worst: the pseudo-value of a lost one; and with the models swapped, for the upper bound.
        unit: what a difference of 1 is in the metric's unit.
        question: what the gain is held to.
    """
    pieces = len(left_out)
    values = pieces * gain - (pieces - 1) * left_out
    sample, opposite = (Sample.of(sign * values / unit, w / unit) for sign, w in zip((1, -1), worst, strict=True))
    return by_gaffke(sample, opposite, unit, question, size=n / pieces)
