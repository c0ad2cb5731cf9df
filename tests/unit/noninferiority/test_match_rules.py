"""Drops of which no bound exists, or which no number of examples would settle: no small gate comes that far."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ftgate.checks.gain import Judgement
from pytest_ftgate.inference import Comparison
from pytest_ftgate.noninferiority.match import drop_checks

RIGHT_WRONG: Any = SimpleNamespace(kind="right_wrong", low=0.0, high=1.0, greater_is_better=True)
JUDGEMENT = Judgement(RIGHT_WRONG, -0.02, "proven", 0.95, "ftgate.yaml:9", "default")
SAME = Comparison(
    n=300, gain=0.0, gain_exact=Fraction(0), lower=None, upper=0.1, above_zero=False, reaches_margin=False,
    p_zero=None, p_margin=None, wins=0, losses=0, ties=0, method="exact", examples_needed=None, note=None,
)  # fmt: skip


@pytest.mark.parametrize("lower", [None, -0.021])
def test_a_drop_that_nothing_rules_out_is_inconclusive(lower: float | None) -> None:
    (found,) = drop_checks(JUDGEMENT, replace(SAME, lower=lower), "the baseline")
    assert (found.name, found.status, found.observed, found.required) == ("max_drop", "inconclusive", lower, -0.02)
    assert found.advice
