"""The rules of equal but cheaper: how many examples it takes, and what becomes of a drop."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from gate_context import PLACE, context

from pytest_ftgate.checks.drop import gain_reaches, status_of
from pytest_ftgate.checks.match import examples_without_difference, max_drop_check
from pytest_ftgate.result import Threshold
from pytest_ftgate.statistics import Comparison

RIGHT_WRONG: Any = SimpleNamespace(kind="right_wrong", low=0.0, high=1.0, greater_is_better=True, share=True, sign=1)
GRADED: Any = SimpleNamespace(kind="graded", low=0.0, high=10.0, greater_is_better=True, share=False, sign=1)
GATE = context({"margin": ..., "max_drop": 0.02, "cheaper_by": 6})


@pytest.mark.parametrize("gain", [Fraction(1, 20), 0.05])
def test_a_gain_reaches_its_margin_and_not_a_hair_more(gain: Fraction | float) -> None:
    assert gain_reaches(gain, 0.05)
    assert not gain_reaches(gain, 0.0500000001)
    assert [gain_reaches(one, 0.0) for one in (0.0, 1e-9, Fraction(1, 10**9))] == [False, True, True]


@pytest.mark.parametrize(
    ("max_drop", "confidence", "needed"),
    [(0.05, 0.95, 59), (0.03, 0.95, 99), (0.02, 0.95, 149), (0.01, 0.95, 299)],
)
def test_how_many_examples_without_a_difference_do(max_drop: float, confidence: float, needed: int) -> None:
    """The chance of n examples without a loss is at most (1 - max_drop) ** n where the real drop is larger.

    0.95 ** 58 = 0.0510, 0.95 ** 59 = 0.0485; 0.97 ** 99 = 0.0490; 0.98 ** 149 = 0.0493; 0.99 ** 299 = 0.0495.
    """
    assert examples_without_difference(RIGHT_WRONG, max_drop, confidence) == needed


def test_graded_answers_take_as_many() -> None:
    """A drop of 0.2 of 10 is one of 2 %."""
    assert examples_without_difference(GRADED, 0.2, 0.95) == 149


def test_a_drop_too_small_to_be_proven_ends_the_search() -> None:
    assert examples_without_difference(RIGHT_WRONG, 1e-9, 0.95) is None


def comparison(gain: Fraction, lower: float | None, *, reaches: bool, needed: int | None = 900) -> Comparison:
    return Comparison(
        n=300,
        gain=float(gain),
        gain_exact=gain,
        lower=lower,
        upper=0.1,
        above_zero=False,
        reaches_margin=reaches,
        p_zero=None,
        p_margin=None,
        wins=0,
        losses=0,
        ties=0,
        method="exact",
        examples_needed=needed,
        note=None,
    )


@pytest.mark.parametrize(
    ("gain", "lower", "reaches", "status"),
    [
        (Fraction(0), -0.013, True, "pass"),
        (Fraction(0), -0.02, True, "pass"),
        (Fraction(9, 100), 0.05, True, "pass"),
        (Fraction(0), -0.021, False, "inconclusive"),
        (Fraction(-2, 100), -0.04, False, "inconclusive"),
        (Fraction(-201, 10000), -0.04, False, "fail"),
        (Fraction(0), None, False, "inconclusive"),
    ],
)
def test_the_drop(gain: Fraction, lower: float | None, reaches: bool, status: str) -> None:
    compared = comparison(gain, lower, reaches=reaches)
    assert status_of(compared, 0.02) == status
    found = max_drop_check(GATE, "baseline", compared)
    assert (found.name, found.status, found.required, found.source) == ("max_drop", status, -0.02, PLACE)
    assert found.threshold == Threshold("max_drop", 0.02, "higher")
    assert found.observed == (float(gain) if status == "fail" else lower)
    assert (found.advice is None) == (status == "pass")


@pytest.mark.parametrize(("lower", "sure"), [(-0.013, "-1.3 points"), (0.05, "+5.0 points")])
def test_how_sure_it_is_is_said(lower: float, sure: str) -> None:
    assert sure in max_drop_check(GATE, "baseline", comparison(Fraction(0), lower, reaches=True)).message


def test_what_would_settle_it_is_said() -> None:
    found = max_drop_check(GATE, "baseline", comparison(Fraction(0), -0.03, reaches=False))
    assert "about 900 test examples in all (600 more)" in (found.advice or "")
    hopeless = max_drop_check(GATE, "baseline", comparison(Fraction(0), -0.03, reaches=False, needed=None))
    unbounded = max_drop_check(GATE, "baseline", comparison(Fraction(0), None, reaches=False))
    assert len({found.advice, hopeless.advice, unbounded.advice, None}) == 4
