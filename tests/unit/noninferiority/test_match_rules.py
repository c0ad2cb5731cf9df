"""The rule of max_drop: what becomes of a drop, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from gate_context import PLACE, context

from pytest_ftgate.checks.drop import gain_reaches, status_of
from pytest_ftgate.checks.match import max_drop_check
from pytest_ftgate.result import Check, Threshold
from pytest_ftgate.statistics import compare_right_wrong

GATE = context({"margin": ..., "max_drop": 0.02, "cheaper_by": 6})
RIGHT = np.ones(300, dtype=bool)
EQUAL = compare_right_wrong(RIGHT, RIGHT, margin=-0.02, confidence=0.95, evidence="proven")


@pytest.mark.parametrize("gain", [Fraction(1, 20), 0.05])
def test_a_gain_reaches_its_margin_and_not_a_hair_more(gain: Fraction | float) -> None:
    assert gain_reaches(gain, 0.05)
    assert not gain_reaches(gain, 0.0500000001)
    assert [gain_reaches(one, 0.0) for one in (0.0, 1e-9, Fraction(1, 10**9))] == [False, True, True]


def judged(gain: Fraction, status: str, **facts: Any) -> Check:
    """Return the check of a comparison with this gain and these facts, after seeing its status."""
    compared = replace(EQUAL, gain=float(gain), gain_exact=gain, **facts)
    assert status_of(compared, 0.02) == status
    found = max_drop_check(GATE, "baseline", compared)
    assert (found.name, found.status, found.required, found.source) == ("max_drop", status, -0.02, PLACE)
    assert found.threshold == Threshold("max_drop", 0.02)
    assert found.observed == (float(gain) if status == "fail" else compared.lower)
    assert (found.advice is None) == (status == "pass")
    return found


@pytest.mark.parametrize(
    ("gain", "lower", "reaches", "status", "said"),
    [
        (Fraction(0), -0.013, True, "pass", "-1.3 points"),
        (Fraction(0), -0.02, True, "pass", "-2.0 points"),
        (Fraction(9, 100), 0.05, True, "pass", "+5.0 points"),
        (Fraction(0), -0.021, False, "inconclusive", "-2.1 points"),
        (Fraction(-2, 100), -0.04, False, "inconclusive", "-4.0 points"),
        (Fraction(-201, 10000), -0.04, False, "fail", "-2.0 points"),
        (Fraction(0), None, False, "inconclusive", "no 95 % lower bound"),
    ],
)
def test_the_drop(gain: Fraction, lower: float | None, reaches: bool, status: str, said: str) -> None:
    assert said in judged(gain, status, lower=lower, reaches_margin=reaches).message


def test_what_would_settle_it_is_said() -> None:
    asked = [{"lower": -0.03, "examples_needed": 900}, {"lower": -0.03, "examples_needed": None}, {"lower": None}]
    advice = [judged(Fraction(0), "inconclusive", reaches_margin=False, **one).advice for one in asked]
    assert "about 900 test examples in all (600 more)" in (advice[0] or "")
    assert len({*advice, None}) == 4
