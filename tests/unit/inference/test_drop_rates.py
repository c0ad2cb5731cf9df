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


def test_a_drop_is_compared_exactly():
    assert all(
        reaches(*pair)
        for pair in ((Fraction(-7, 100), -0.07), (-0.1 - 0.2, -0.3), (Fraction(9, 60), 0.15))
    )
    assert not any(reaches(*pair) for pair in ((Fraction(-71, 1000), -0.07), (Fraction(0), 0)))


STANDARDS = {  # a drop, and whether it is to be ruled out: verdicts by wins and losses
    (0.03, True): {(0, 0): "pass", (0, 1): "inconclusive", (0, 4): "fail", (2, 6): "fail"},
    (0.03, False): {(0, 3): "pass", (2, 6): "pass", (0, 6): "fail"},
    (0.0, False): {(0, 0): "pass", (0, 1): "pass", (0, 3): "pass", (0, 5): "fail"},
}


@pytest.mark.parametrize(("max_drop", "proven"), STANDARDS)
def test_the_two_standards(max_drop, proven):
    rows, result_of_part, verdicts = (
        np.arange(100),
        PartResult("part", "accuracy", max_drop),
        STANDARDS[max_drop, proven],
    )
    for (wins, losses), verdict in verdicts.items():
        baseline_arm, candidate_arm = (
            Scored(ExactMatch(), float(right.mean()), per_example=right.astype(float))
            for right in (rows >= wins, (rows < wins) | (rows >= wins + losses))
        )
        drop = judge_drop(
            result_of_part,
            {"baseline": baseline_arm},
            candidate_arm,
            Tolerance(max_drop, 0.95, proven),
            [None] * 100,
        )
        assert drop.verdict == verdict, (wins, losses)


GRADE = ExampleMetric(
    "grade", metric(low=1, high=5, greater_is_better=True)(lambda expected, answer: 1.0)
)
FIVES = [f"g{i // 5}" for i in range(50)]


@pytest.mark.parametrize(
    ("names", "max_drop", "proven", "expected"),
    [
        ([None] * 50, 0.03, True, (50, 99, "example")),
        (FIVES, 0.03, True, (10, 99, "group")),
        (FIVES, 0.03, False, (10, 15, "group")),
        ([None] * 50, 0.03, False, (50, 5, "example")),
        # groups of different sizes count as fewer
        (
            ["long"] * 20 + ["longer"] * 30 + [f"g{i}" for i in range(12)],
            0.1,
            False,
            (2, 15, "group"),
        ),
    ],
)
def test_how_many_are_needed(names, max_drop, proven, expected):
    size = size_of(ExactMatch(), names, Tolerance(max_drop, 0.95, proven))
    assert (size.have, size.needed, size.unit) == expected
    # a drop is a share of its range
    assert size_of(GRADE, [None] * 9, Tolerance(0.12, 0.95)).needed == 99


def test_a_drop_without_a_bound_is_not_proven():
    gate, right = (
        context({"margin": ..., "max_drop": 0.02, "cheaper_by": 6}),
        np.ones(300, dtype=bool),
    )
    equal = compare_right_wrong(right, right, margin=-0.02, confidence=0.95, evidence="proven")
    unbounded = replace(
        equal, lower_bound=None, reaches_margin=False, shown=False, examples_needed=None
    )
    check = max_drop_check(gate, "baseline", unbounded)
    assert (check.status, check.observed) == ("inconclusive", None)
    assert ("no 95 % lower bound" in check.message, "such as accuracy" in check.cure) == (
        True,
        True,
    )
