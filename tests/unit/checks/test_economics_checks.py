"""Limits on the economics, and what models say of their costs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ftgate.checks.costs import economics_of
from pytest_ftgate.checks.economics import economics_checks, free_economics_checks, measured_costs
from pytest_ftgate.checks.pricing import why_unpriced
from pytest_ftgate.config import EconomicsKeys, Source
from pytest_ftgate.models.price import UNPRICED
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.result import ModelResult

WHERE = Source("file", "ftgate.yaml:9", Path())
PRICE = Price("p", input_per_1m=1.0, output_per_1m=2.0, training_per_1m=8.0)


def spec(**given: Any) -> EconomicsKeys:
    return EconomicsKeys.model_validate(given).placed(lambda *_: WHERE)


def models(**prices: Price) -> Any:
    return {role: SimpleNamespace(name=role, price=price) for role, price in prices.items()}


def test_the_tokens_that_a_job_trained_are_paid_at_the_candidates_price() -> None:
    """4.725 million tokens at $8 are $37.80; 60 calls for $0.12 against 60 for $0.06 save $0.001 each."""
    tuned: Any = SimpleNamespace(name="ft", cost_usd=0.06, n_expected=60, price="p", trained_tokens=4_725_000)
    large = ModelResult("large", cost_usd=0.12, n_expected=60, price="p")
    both = models(baseline=PRICE, candidate=PRICE)
    found = economics_of(measured_costs(spec(calls_per_month=10_000.0, data_cost_usd=0.0), large, tuned, both))
    assert found.training_cost_usd == pytest.approx(37.8)
    assert found.training_said == "4,725,000 trained tokens at $8.00 per 1M (p)"
    assert found.break_even_calls == pytest.approx(37_800)


def test_a_declared_cost_of_training_comes_first() -> None:
    tuned: Any = SimpleNamespace(name="ft", cost_usd=0.06, n_expected=60, price="p", trained_tokens=4_725_000)
    large = ModelResult("large", cost_usd=0.12, n_expected=60, price="p")
    both = models(baseline=PRICE, candidate=PRICE)
    assert measured_costs(spec(training_cost_usd=5.0), large, tuned, both).training.usd == 5


def test_one_baseline_with_a_price_may_be_the_best_one() -> None:
    nothing = Price(unknown=UNPRICED)
    assert why_unpriced(models(baseline=PRICE, candidate=PRICE)) is None
    assert why_unpriced(models(a=nothing, b=PRICE, candidate=PRICE)) is None
    assert why_unpriced(models(a=nothing, b=nothing, candidate=PRICE)) == (
        "baseline a: no price in the gate; baseline b: no price in the gate"
    )
    assert why_unpriced(models(baseline=PRICE, candidate=nothing)) == "candidate: no price in the gate"


@pytest.mark.parametrize(
    ("given", "unjudged"),
    [
        ({}, []),
        ({"calls_per_month": 9.0, "min_monthly_saving_usd": 1.0}, []),
        ({"min_monthly_saving_usd": 1.0}, ["economics.min_monthly_saving_usd"]),
        ({"calls_per_month": 9.0, "max_break_even_days": 9.0}, ["economics.max_break_even_days"]),
        ({"calls_per_month": 9.0, "max_break_even_days": 9.0, "training_cost_usd": 0.0}, []),
        (
            {"calls_per_month": 9.0, "min_monthly_saving_usd": 1.0, "retrains_per_year": 1.0},
            ["economics.min_monthly_saving_usd"],
        ),
    ],
    ids=str,
)
def test_what_cannot_be_judged_is_known_before_any_call(given: dict[str, float], unjudged: list[str]) -> None:
    untrained = Price("p", input_per_1m=1.0, output_per_1m=2.0)
    found = free_economics_checks(spec(**given), models(baseline=PRICE, candidate=untrained))
    assert [check.name for check in found] == unjudged
    assert {check.status for check in found} <= {"error"}


def test_no_economics_no_checks() -> None:
    unpriced = Price(unknown=UNPRICED)
    assert free_economics_checks(None, models(baseline=unpriced, candidate=unpriced)) == []


def test_a_candidate_that_costs_more_never_pays_whatever_training_cost() -> None:
    """Known to fail although the cost of training is not."""
    dear, cheap = ModelResult("ft", cost_usd=2.0, n_expected=60), ModelResult("large", cost_usd=1.0, n_expected=60)
    given = spec(calls_per_month=9.0, max_break_even_days=9.0, data_cost_usd=0.0)
    found = measured_costs(given, cheap, dear, models(baseline=PRICE, candidate=PRICE))
    (check,) = economics_checks(given, found)
    assert (check.status, check.observed, check.message) == (
        "fail",
        None,
        "never pays for itself, asked for at most 9 days",
    )
