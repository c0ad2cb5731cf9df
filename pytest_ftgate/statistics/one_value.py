"""Compute confidence intervals of the value of one model; their confidence is two-sided."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from pytest_ftgate.statistics import graded, jackknife
from pytest_ftgate.statistics.arrays import Bools, Codes, Floats
from pytest_ftgate.statistics.exact import disagreement_interval
from pytest_ftgate.statistics.graded import Sample
from pytest_ftgate.statistics.groups import group_codes, group_sizes, too_few
from pytest_ftgate.statistics.set_level import SetCounts

Groups = Iterable[Hashable] | None


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval of the real value.

    Attributes:
        low, high: in the metric's unit; None if no method applies.
        method: name and source, or why no method applies.
    """

    low: float | None
    high: float | None
    method: str

    def holds(self, value: float) -> bool | None:
        """Return whether a value lies in the interval, ends included; None if the interval is unknown."""
        if self.low is None or self.high is None:
            return None
        return round(self.low, 12) <= round(value, 12) <= round(self.high, 12)


CLOPPER_PEARSON = "Clopper-Pearson interval (Clopper & Pearson 1934)"


def interval_right_wrong(right: Bools, *, confidence: float, groups: Groups = None) -> Interval:
    """Return the Clopper-Pearson interval of the share of right answers; with groups the wider of it and the jackknife.

    ``right`` says whether each answer is right, shape ``(n,)``.
    """
    n = len(right)
    alone = Interval(*disagreement_interval(int(right.sum()), n, 1 - confidence), CLOPPER_PEARSON)
    codes = group_codes(groups, n)
    return alone if codes is None else _grouped(right.astype(float), codes, alone, confidence)


def interval_graded(scores: Floats, *, low: float, high: float, confidence: float, groups: Groups = None) -> Interval:
    """Return the interval of the mean of scores ``(n,)`` in [low, high], by Gaffke's bound on both sides.

    With groups it is the wider of it and the jackknife's; without finite bounds the jackknife's.
    """
    n, unit = len(scores), high - low
    codes = group_codes(groups, n)
    if math.isfinite(unit):
        alpha = (1 - confidence) / 2
        lower = low + unit * graded.graded_lower(Sample.of((scores - low) / unit, 0.0), alpha)
        upper = high - unit * graded.graded_lower(Sample.of((high - scores) / unit, 0.0), alpha)
        alone = Interval(lower, upper, graded.METHOD)
    else:
        left_out = (scores.sum() - scores) / max(n - 1, 1)
        alone = _by_jackknife(float(scores.mean()), left_out, None, confidence)
    return alone if codes is None else _within(_grouped(scores, codes, alone, confidence), low, high)


def interval_set(counts: SetCounts, *, low: float, high: float, confidence: float, groups: Groups = None) -> Interval:
    """Return the interval of a metric of all answers in [low, high], by the jackknife."""
    codes, value = group_codes(groups, len(counts)), counts.value
    left_out = counts.values_without(codes)
    if codes is None:
        return _within(_by_jackknife(value, left_out, None, confidence), low, high)
    return _within(_by_groups(value, left_out, counts.weights(codes), confidence), low, high)


def _grouped(values: Floats, codes: Codes, alone: Interval, confidence: float) -> Interval:
    left_out = jackknife.means_without_a_group(values, codes)
    grouped = _by_groups(float(values.mean()), left_out, group_sizes(codes), confidence)
    if grouped.low is None or grouped.high is None or alone.low is None or alone.high is None:
        return grouped
    method = f"{grouped.method}, and {alone.method}; the wider counts"
    return Interval(min(grouped.low, alone.low), max(grouped.high, alone.high), method)


def _by_groups(value: float, left_out: Floats, weights: Floats, confidence: float) -> Interval:
    few = too_few(weights)
    return _by_jackknife(value, left_out, weights, confidence) if few is None else Interval(None, None, few)


def _by_jackknife(value: float, left_out: Floats, weights: Floats | None, confidence: float) -> Interval:
    """Return the jackknife's interval, of examples or, with ``weights``, of groups."""
    if not np.isfinite(left_out).all():
        return Interval(None, None, "the metric is undefined with one part of the test set left out")
    found = jackknife.jackknife(value, left_out, weights)
    if found.standard_error == 0:
        return Interval(None, None, "no bound: leaving out any part of the test set changes nothing")
    width = found.half_width((1 - confidence) / 2)
    method = jackknife.METHOD if weights is None else jackknife.GROUP_METHOD
    return Interval(value - width, value + width, method)


def _within(interval: Interval, low: float, high: float) -> Interval:
    if interval.low is None or interval.high is None:
        return interval
    return Interval(max(interval.low, low), min(interval.high, high), interval.method)
