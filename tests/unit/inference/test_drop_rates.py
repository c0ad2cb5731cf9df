"""The two standards of a drop: what each decides, and how many examples each needs."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from gate_context import context

from pytest_ftgate.checks.gain import max_drop_check
from pytest_ftgate.checks.losses import judge_drop
from pytest_ftgate.checks.parts import Tolerance, size_of
from pytest_ftgate.metrics import Scored, metric
from pytest_ftgate.metrics.custom import ExampleMetric
from pytest_ftgate.metrics.text import ExactMatch
from pytest_ftgate.result import PartResult
from pytest_ftgate.statistics.compare import compare_right_wrong
from pytest_ftgate.statistics.evidence import reaches


def judged(wins, losses, n, *, max_drop=0.03, proven=True, confidence=0.95):
    rows = np.arange(n)
    before, after = (
        Scored(ExactMatch(), float(right.mean()), per_example=right.astype(float))
        for right in (rows >= wins, (rows < wins) | (rows >= wins + losses))
    )
    part = PartResult("part", "accuracy", max_drop)
    return judge_drop(part, {"baseline": before}, after, Tolerance(max_drop, confidence, proven), [None] * n)


def test_a_drop_is_compared_exactly():
    assert reaches(Fraction(-7, 100), -0.07)
    assert not reaches(Fraction(-71, 1000), -0.07)
    assert reaches(-0.1 - 0.2, -0.3)
    assert reaches(Fraction(9, 60), 0.15)
    assert not reaches(Fraction(0), 0)


@pytest.mark.parametrize(
    ("wins", "losses", "proven", "status"),
    [
        (0, 0, True, "pass"),
        (0, 1, True, "inconclusive"),
        (0, 4, True, "fail"),
        (2, 6, True, "fail"),
        (2, 6, False, "warning"),
        (0, 6, False, "fail"),
        (0, 3, False, "pass"),
    ],
)
def test_the_two_standards(wins, losses, proven, status):
    assert judged(wins, losses, 100, proven=proven).verdict == status


def test_any_drop_counts_where_none_is_allowed():
    found = [judged(0, lost, 100, max_drop=0.0, proven=False).verdict for lost in (0, 1, 5)]
    assert found == ["pass", "warning", "fail"]


@pytest.mark.parametrize(
    ("proven", "groups", "told"),
    [
        (True, None, (50, 99, "example")),
        (True, 5, (10, 99, "group")),
        (False, 5, (10, 10, "group")),
        (False, None, (50, 5, "example")),
    ],
)
def test_how_many_are_needed(proven, groups, told):
    names = [None if groups is None else f"g{i // groups}" for i in range(50)]
    found = size_of(ExactMatch(), names, Tolerance(0.03, 0.95, proven))
    assert (found.have, found.needed, found.unit) == told


def test_a_drop_is_a_share_of_the_metrics_range():
    declared = metric(low=1, high=5, greater_is_better=True)(lambda expected, answer: 1.0)
    found = size_of(ExampleMetric("grade", declared), [None] * 9, Tolerance(0.12, 0.95, proven=True))
    assert found.needed == 99


def test_groups_of_different_sizes_count_as_fewer():
    names = ["long"] * 20 + ["longer"] * 30 + [f"g{i}" for i in range(12)]
    found = size_of(ExactMatch(), names, Tolerance(0.1, 0.95, proven=False))
    assert (found.have, found.needed) == (3, 10)


def test_a_drop_without_a_bound_is_not_proven():
    gate, right = context({"margin": ..., "max_drop": 0.02, "cheaper_by": 6}), np.ones(300, dtype=bool)
    equal = compare_right_wrong(right, right, margin=-0.02, confidence=0.95, evidence="proven")
    unbounded = replace(equal, lower_bound=None, reaches_margin=False, shown=False, examples_needed=None)
    found = max_drop_check(gate, "baseline", unbounded)
    assert (found.status, found.observed, found.action) == ("inconclusive", None, None)
    assert ("no 95 % lower bound" in found.message, "such as accuracy" in found.advice) == (True, True)
