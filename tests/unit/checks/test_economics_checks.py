"""Limits on the economics, and what models say of their costs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from gate_context import context

from pytest_ftgate.checks import economics
from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.costs import economics_of
from pytest_ftgate.checks.pricing import no_price
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.result import ModelResult, Threshold

PRICE = Price("p", input_per_1m=1.0, output_per_1m=2.0)


def models(**prices: Price) -> Any:
    return {role: SimpleNamespace(name=role, price=price) for role, price in prices.items()}


def gate(candidate: Any, baseline: ModelResult, **given: float) -> Context:
    """Return a gate with these keys under ``economics``, and what its models cost on the test set."""
    both = models(baseline=PRICE, candidate=PRICE)
    return context({"economics": given}, models=both, result={"baseline": baseline, "candidate": candidate})


LARGE = ModelResult("large", cost_usd=0.12, n_expected=60, price="p")
TUNED = ModelResult("ft", cost_usd=0.06, n_expected=60, price="p")


def test_the_saving_per_call_pays_for_the_training() -> None:
    """60 calls for $0.12 against 60 for $0.06 save $0.001 each."""
    costs = economics.costs_of(gate(TUNED, LARGE, calls_per_month=10_000.0, data_cost_usd=0.0, training_cost_usd=37.8))
    assert economics_of(costs).break_even_calls == pytest.approx(37_800)


def test_one_baseline_with_a_price_may_be_the_best_one() -> None:
    nothing = Price(unknown="no price in the gate", lack="price")
    assert no_price(models(baseline=PRICE, candidate=PRICE)) is None
    assert no_price(models(a=nothing, b=PRICE, candidate=PRICE)) is None
    assert no_price(models(a=nothing, b=nothing, candidate=PRICE)).what == (
        "baseline a: no price in the gate; baseline b: no price in the gate"
    )
    assert no_price(models(baseline=PRICE, candidate=nothing)).what == "candidate: no price in the gate"


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
    both = models(baseline=PRICE, candidate=PRICE)
    found = list(economics.check_free(context({"economics": given}, models=both)))
    assert [check.name for check in found] == unjudged
    assert {check.status for check in found} <= {"error"}


def test_no_economics_no_checks() -> None:
    unpriced = Price(unknown="no price in the gate", lack="price")
    assert list(economics.check_free(context(models=models(baseline=unpriced, candidate=unpriced)))) == []


def test_a_candidate_that_costs_more_never_pays_whatever_training_cost() -> None:
    """Known to fail although the cost of training is not."""
    dear, cheap = ModelResult("ft", cost_usd=2.0, n_expected=60), ModelResult("large", cost_usd=1.0, n_expected=60)
    limits = {"calls_per_month": 9.0, "max_break_even_days": 9.0, "data_cost_usd": 0.0}
    (check,) = economics.check(gate(dear, cheap, **limits))
    assert (check.status, check.observed, check.required) == ("fail", None, 9.0)
    assert check.threshold == Threshold("economics.max_break_even_days", 9.0, "higher")
