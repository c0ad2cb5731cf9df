"""How likely each verdict on the gain is, if the candidate's true gain were this one."""

from collections import Counter
from dataclasses import replace
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from pytest_ftgate import errors, result
from pytest_ftgate.checks.context import Context
from pytest_ftgate.metrics import Metric, Scored
from pytest_ftgate.runs import measure
from pytest_ftgate.statistics import arrays, planning
from pytest_ftgate.statistics.compare import compare_preferences
from pytest_ftgate.statistics.groups import group_codes
from pytest_ftgate.statistics.planning import Chances, chances

ASSUMED_VALUE = 0.8
"""The assumed value of a baseline without known answers, as a share of the metric's range."""

_FEWEST_ROWS = 1_000
"""From so many rows on, a gain of a few points is met closely by whole numbers of fixed ones."""


def improved(best: Scored, gain: float, **changes: Any) -> Scored | None:
    """Return the score of a candidate that gains at least so much; None if there is less to gain.

    ``changes`` are further arguments of
    :func:`~pytest_ftgate.statistics.planning.hypothetical_scores`.
    """
    metric = best.metric
    if best.statistic is not None:
        counts = planning.hypothetical_set(best.statistic, gain, **changes)
        return None if counts is None else replace(best, statistic=counts)
    if best.per_example is None:
        return None
    scores = planning.hypothetical_scores(
        best.per_example, gain, best=metric.best, worst=metric.worst, **changes
    )
    return None if scores is None else replace(best, per_example=scores)


def assumed(metric: Metric, expected: list[Any]) -> Scored | None:
    """Return the score of a mostly right baseline; None if the metric needs answers for that."""
    try:
        nothing = metric.score(expected, [[None] * len(expected)])
    except errors.FtgateError:
        return None
    return improved(nothing, ASSUMED_VALUE * (metric.high - metric.low))


class Needed(NamedTuple):
    """Hold what would decide at a true gain with 80 % power.

    Attributes:
        gain: the true gain, in the metric's unit.
        more: how many more examples.
        fewest, most: how many of them need a label, as inputs of unlabeled_set: at least those that
            one model alone answers as well as possible, at most those that not both do.
    """

    gain: float
    more: int
    fewest: int
    most: int


def needed_for(
    gate: Context, role: str, gain: float, baseline: Scored | None, *, broken: float
) -> Needed | None:
    """Return what would decide at a true gain over a baseline; None if no number is known.

    The arguments are those of :func:`chances_of_gain`.
    """
    if baseline is None:
        return None

    n_scored = len(measure.rightness(baseline))
    codes = group_codes(gate.gain_set.groups[:n_scored], n_scored)
    if codes is None and baseline.per_example is not None:
        baseline = _repeated(baseline, _FEWEST_ROWS)
    candidate = improved(baseline, gain, broken=broken)
    if candidate is None:
        return None

    question = _question(gate, role)
    needed = measure.compare_scored(baseline, candidate, groups=codes, **question).examples_needed
    if needed is None:
        return None
    more = max(needed - len(gate.gain_set), 0)
    old = measure.rightness(baseline)
    new = measure.rightness(candidate)
    differ = float((old != new).mean())
    both_right = float(((old == baseline.metric.best) & (new == old)).mean())
    return Needed(gain, more=more, fewest=ceil(more * differ), most=ceil(more * (1 - both_right)))


def _repeated(baseline: Scored, fewest: int) -> Scored:
    """Return the scores of the same examples, each as often as makes at least ``fewest`` rows."""
    n = len(measure.rightness(baseline))
    return baseline.drawn(np.resize(np.arange(n), n * ceil(fewest / n)))


def _question(gate: Context, role: str) -> dict[str, Any]:
    """Return what the gain over a baseline must show."""
    return {
        "margin": gate.config.standard_of(role).gain,
        "confidence": gate.config.confidence,
        "evidence": gate.evidence_of(role),
    }


def chances_of_gain(
    gate: Context,
    role: str,
    gain: float,
    baseline: Scored | None,
    *,
    broken: float,
) -> Chances | None:
    """Return how likely each verdict on the gain over a baseline is, for a true gain.

    The chances are added up where single answers are right or wrong, or pairs are preferred or
    not, without groups. Otherwise they are the share of verdicts on test sets that are drawn from
    this one.

    Args:
        gain: in the metric's unit.
        baseline: the score of the baseline; None if it is not known, which only a simulation needs.
        broken: the share of the examples that the candidate breaks.

    Returns:
        None if there is not so much to gain, or nothing to draw from.
    """
    metric = gate.deciding
    n = len(gate.gain_set)
    codes = group_codes(gate.gain_set.groups, n)
    question = _question(gate, role)
    if metric.pairwise:
        return _chances_of_pairs(n, gain, codes, question)
    if metric.kind == "right_wrong" and gate.config.repeats == 1 and codes is None:
        # Examples that one model alone has right: broken ones, and as many fixed plus the gain.
        disagreement = gain + 2 * max(broken, -gain)
        if disagreement > 1:
            return None
        return chances(n, gain=gain, disagreement=disagreement, **question)
    if baseline is None:
        return None
    if gate.unlabeled is not None:
        # Other inputs are taken to be like those of the test set.
        baseline = baseline.drawn(np.resize(np.arange(len(gate.test)), n))
    return _simulated(baseline, gain, codes, question, broken=broken)


def _chances_of_pairs(
    n: int, gain: float, codes: arrays.Codes | None, question: dict[str, Any]
) -> Chances | None:
    """Return the chances of a win rate that is ``gain`` above a half, if no pair is a tie."""
    if abs(gain) > 0.5:
        return None
    if codes is None:
        # A win rate above a half is twice as much in wins minus losses.
        doubled = {**question, "margin": 2 * question["margin"]}
        return chances(n, gain=2 * gain, disagreement=1.0, **doubled)

    rng = np.random.default_rng(0)
    verdicts = Counter[result.Status]()
    for rows, groups in planning.redrawn(n, codes):
        preferred = (rng.random(len(rows)) < 0.5 + gain).astype(float)
        compared = compare_preferences(preferred, groups=groups, bounds=False, **question)
        verdicts[compared.status] += 1
    return _shares(verdicts)


def _simulated(
    baseline: Scored,
    gain: float,
    codes: arrays.Codes | None,
    question: dict[str, Any],
    *,
    broken: float,
) -> Chances | None:
    """Return how often each verdict is given on test sets that are drawn from this one.

    Where it has groups, whole groups are drawn, and other examples change each time. None if there
    is not so much to gain.
    """
    candidate = improved(baseline, gain, broken=broken)
    if candidate is None:
        return None

    rng = np.random.default_rng(1)
    verdicts = Counter[result.Status]()
    for rows, groups in planning.redrawn(len(measure.rightness(baseline)), codes):
        # Which groups change decides much, so that one choice would not be representative.
        if codes is not None:
            candidate = improved(baseline, gain, broken=broken, rng=rng) or candidate
        drawn = baseline.drawn(rows), candidate.drawn(rows)
        compared = measure.compare_scored(*drawn, groups=groups, bounds=False, **question)
        verdicts[compared.status] += 1
    return _shares(verdicts)


def _shares(verdicts: Counter[result.Status]) -> Chances:
    n = verdicts.total()
    return Chances(verdicts["pass"] / n, verdicts["fail"] / n, verdicts["inconclusive"] / n)
