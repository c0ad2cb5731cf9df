"""What a fine-tune costs and saves: answers computed by hand, and what holds for any amounts."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from gate_context import context
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.checks import economics
from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.economics import DAYS_PER_MONTH, Costs, no_price, payback
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.reports.text import economics_lines
from pytest_ftgate.result import Economics, ModelResult, Threshold
from pytest_ftgate.text import show_dollars

PRICE = Price("p", input_per_1m=1.0, output_per_1m=2.0)
NOTHING = Price(unknown="no price in the gate")
# A call of the large model has 1,000 tokens in and 50 out: (1000 * 2.00 + 50 * 8.00) / 1e6 = $0.0024.
# The tuned one at a sixth: $0.0004. Each call saves $0.002.
KNOWN = {"calls_per_month": 200_000.0, "training_cost_usd": 100.0, "data_cost_usd": 2000.0}


def models(**prices: Price) -> Any:
    return {role: SimpleNamespace(name=role, price=price) for role, price in prices.items()}


def costing(name: str, usd: float | None) -> ModelResult:
    unknown = None if usd is not None else "nobody knows"
    return ModelResult(name, cost_usd=None if usd is None else 60 * usd, n_expected=60, price="p", cost_unknown=unknown)


def gate(
    baseline: float | None = 0.0024, candidate: float | None = 0.0004, *, ready: bool = False, **given: Any
) -> Context:
    """Return a gate whose models cost so much a call, with these keys under ``economics``; None: not written."""
    keys = {"economics": {key: value for key, value in {**KNOWN, **given}.items() if value is not None}}
    both = {"baseline": PRICE} if ready else {"baseline": PRICE, "candidate": PRICE}
    large = costing("large", baseline)
    result = {"baseline": large, "baselines": {"baseline": large}, "candidate": costing("ft", candidate)}
    keys |= {"stage": "ready"} if ready else {}
    return context(keys, models=models(**both), result=result)


def found(*args: Any, **given: Any) -> Economics:
    economy: Economics = economics.check(gate(*args, **given)).facts["economics"]
    return economy


def test_the_example() -> None:
    """200,000 * $0.002 = $400 a month. $2,100 / $0.002 = 1,050,000 calls = 5.25 months = 159.7 days (365 / 12 each)."""
    one = found()
    assert one.monthly_saving_usd == pytest.approx(400)
    assert one.break_even_calls == pytest.approx(1_050_000)
    assert one.break_even_days == pytest.approx(5.25 * 365 / 12)
    assert (one.baseline_usd_per_1000_calls, one.candidate_usd_per_1000_calls) == (2.4, 0.4)


def test_hosting_and_retraining_are_paid_by_the_month() -> None:
    """$400 - $120 hosting - 6 * $100 / 12 = $230; $2,100 / $230 = 9.13 months."""
    one = found(hosting_usd_per_month=120.0, retrains_per_year=6.0)
    assert (one.retraining_usd_per_month, one.monthly_saving_usd) == (50, pytest.approx(230))
    assert one.break_even_days == pytest.approx(2100 / 230 * 365 / 12)
    assert one.break_even_calls == pytest.approx(2100 / 230 * 200_000)


AT, FREE = "At 200,000 calls per month ", "a candidate whose calls cost nothing"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, f"{AT}the fine-tune saves $400 per month and pays for itself after 160 days (1,050,000 calls)."),
        (
            {"training_cost_usd": 0.0, "data_cost_usd": 0.0},
            f"{AT}the fine-tune saves $400 per month from the first call on.",
        ),
        (
            {"hosting_usd_per_month": 500.0},
            f"{AT}the fine-tune costs $100 per month more than the baseline: it never pays for itself.",
        ),
        ({"hosting_usd_per_month": 400.0}, f"{AT}the fine-tune saves nothing: it never pays for itself."),
        (
            {"candidate": 0.003},
            f"{AT}the fine-tune costs $120 per month more than the baseline: it never pays for itself.",
        ),
        (
            {"candidate": 0.0024, "calls_per_month": None},
            "The fine-tune never pays for itself: a call saves nothing.",
        ),
        ({"candidate": None}, "The saving is unknown: candidate ft: nobody knows."),
        ({"baseline": None}, "The saving is unknown: baseline large: nobody knows."),
        (
            {"training_cost_usd": None},
            f"{AT}the fine-tune saves $400 per month; the break-even is unknown: the training cost is unknown.",
        ),
        (
            {"training_cost_usd": None, "retrains_per_year": 2.0},
            "The saving is unknown: the training cost is unknown.",
        ),
        (
            {"calls_per_month": None},
            "The fine-tune saves $2.00 per 1,000 calls and pays for itself after 1,050,000 calls.",
        ),
        (
            {"calls_per_month": None, "hosting_usd_per_month": 1.0},
            "The saving is unknown: the number of calls is unknown.",
        ),
        (  # 200,000 * $0.0024 = $480; $2,100 / $480 = 4.375 months
            {"ready": True},
            f"{AT}{FREE} saves $480 per month and pays for itself after 134 days (875,000 calls). "
            "Above $2.40 per 1,000 calls it does not.",
        ),
        (
            {"ready": True, "training_cost_usd": None},
            f"{AT}{FREE} saves $480 per month and pays for itself after 127 days (833,334 calls) (training not "
            "counted). Above $2.40 per 1,000 calls it does not.",
        ),
        (
            {"ready": True, "training_cost_usd": None, "data_cost_usd": None, "hosting_usd_per_month": 100.0},
            f"{AT}{FREE} saves $380 per month from the first call on (training and data preparation not counted). "
            "Above $1.90 per 1,000 calls it does not.",
        ),
        (
            {"ready": True, "hosting_usd_per_month": 600.0},
            f"{AT}{FREE} costs $120 per month more than the baseline: it never pays for itself.",
        ),
        (
            {"ready": True, "calls_per_month": None, "hosting_usd_per_month": 1.0},
            "The saving is unknown: the number of calls is unknown.",
        ),
        (
            {"ready": True, "calls_per_month": None, "baseline": 0.0},
            "A candidate whose calls cost nothing never pays for itself: a call saves nothing.",
        ),
        ({"ready": True, "baseline": None}, "The saving is unknown: baseline large: nobody knows."),
    ],
    ids=str,
)
def test_the_sentence(given: dict[str, Any], sentence: str) -> None:
    one = found(**given)
    assert one.sentence == sentence
    if given.get("ready"):
        assert (one.candidate_usd_per_1000_calls, one.monthly_saving_usd, one.break_even_days) == (None, None, None)


def test_what_nobody_declared_is_named() -> None:
    lines = economics_lines(found(data_cost_usd=None, retrains_per_year=0.0))
    assert "once: training $100, data preparation not declared" in lines[1]
    assert "per month: hosting not declared, retraining $0" in lines[2]


# --- before any call, and the limit --------------------------------------------------------------------------


def test_one_baseline_with_a_price_may_be_the_best_one() -> None:
    assert no_price(models(baseline=PRICE, candidate=PRICE)) is None
    assert no_price(models(a=NOTHING, b=PRICE, candidate=PRICE)) is None
    both, one = (no_price(models(**prices)) for prices in (
        {"a": NOTHING, "b": NOTHING, "candidate": PRICE}, {"baseline": PRICE, "candidate": NOTHING},
    ))  # fmt: skip
    assert both is not None
    assert both.why == "baseline a: no price in the gate; baseline b: no price in the gate"
    assert one is not None
    assert one.why == "candidate: no price in the gate"


@pytest.mark.parametrize(
    ("given", "n"),
    [
        ({"max_break_even_days": 9.0}, 0),
        ({"max_break_even_days": 9.0, "training_cost_usd": None}, 1),
        ({"max_break_even_days": 9.0, "calls_per_month": None}, 1),
        ({"training_cost_usd": None, "calls_per_month": None}, 0),
        ({"max_break_even_days": 9.0, "training_cost_usd": None, "ready": True}, 0),
    ],
    ids=str,
)
def test_what_cannot_be_judged_is_known_before_any_call(given: dict[str, Any], n: int) -> None:
    assert [(one.name, one.status) for one in economics.check_free(gate(**given))] == [("economics", "error")] * n
    assert list(economics.check_free(context(models=models(baseline=NOTHING, candidate=NOTHING)))) == []


def test_a_candidate_that_costs_more_never_pays_whatever_training_cost() -> None:
    (check,) = economics.check(gate(1.0, 2.0, max_break_even_days=9.0, training_cost_usd=None)).checks
    assert (check.status, check.observed, check.required) == ("fail", None, 9.0)
    assert check.threshold == Threshold("economics.max_break_even_days", 9.0)


@pytest.mark.parametrize(
    ("data", "shown"),
    [(2000.0, "160 days"), (20_000.0, "1,529 days (4.2 years)"), (200_000.0, "15,216 days (42 years)")],
)
def test_days_and_years(data: float, shown: str) -> None:
    (check,) = economics.check(gate(max_break_even_days=1.0, data_cost_usd=data)).checks
    assert check.message == f"pays for itself after {shown} (limit 1 day)"


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(None, "unknown"), (0, "$0"), (412.3, "$412"), (-12.5, "-$12.50"), (99.99, "$99.99"), (1e6, "$1,000,000")],
)
def test_dollars(usd: float | None, shown: str) -> None:
    assert show_dollars(usd) == shown


# --- for any amounts -----------------------------------------------------------------------------------------

usd = st.floats(0, 1e6, allow_nan=False)
maybe = st.none() | usd
any_costs = st.builds(Costs, st.none() | st.floats(1, 1e9), maybe, maybe, maybe, usd, usd, st.floats(0, 400))


@given(old=st.floats(1e-6, 10), saved=st.floats(0.01, 0.99), training=usd, data=usd, calls=st.floats(1, 1e8))
def test_twice_the_volume_pays_back_in_half_the_days(
    old: float, saved: float, training: float, data: float, calls: float
) -> None:
    once, twice = (payback(Costs(n * calls, old, old * (1 - saved), training, data)) for n in (1, 2))
    assert (once.breaks_even, twice.breaks_even) == (True, True)
    assert twice.days == pytest.approx((once.days or 0) / 2)
    assert twice.calls == pytest.approx(once.calls)


@given(any_costs, st.floats(0, 1e6))
def test_nothing_unknown_turns_into_a_number(some: Costs, more: float) -> None:
    one = payback(some)
    assert all(math.isfinite(value) for value in one if value is not None)
    if some.saved_per_call is None:
        assert one == (None, None, None, None)
    if some.training is None:
        assert one.days is None
    if one.days is not None and one.monthly_saving is not None:
        assert one.days / DAYS_PER_MONTH * one.monthly_saving == pytest.approx(some.upfront, rel=1e-6, abs=1e-6)
    dearer = payback(replace(some, hosting=some.hosting + more)).monthly_saving
    if one.monthly_saving is not None and dearer is not None:
        assert dearer <= one.monthly_saving
