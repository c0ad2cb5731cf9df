"""What a fine-tune costs and saves: answers computed by hand, and what holds for any amounts."""

import math
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from doc_pages import DOCS
from gate_context import context
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.checks import economics
from pytest_ftgate.checks.economics import DAYS_PER_MONTH, Costs, no_price
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.plain import Unknown
from pytest_ftgate.result import ModelResult

PRICE = Price("p", input_per_1m=1.0, output_per_1m=2.0)
# A call of the large model has 1,000 tokens in and 50 out: (1000 * 2.00 + 50 * 8.00) / 1e6 = $0.0024.
# The tuned one at a sixth: $0.0004. Each call saves $0.002.
KNOWN = {"calls_per_month": 200_000.0, "training_cost_usd": 100.0, "data_cost_usd": 2000.0}
NAMES = {
    "calls": "calls_per_month",
    "training": "training_cost_usd",
    "hosting": "hosting_usd_per_month",
    "retrains": "retrains_per_year",
}


def models(**prices):
    return {role: SimpleNamespace(name=role, price=price) for role, price in prices.items()}


def costing(name, usd):
    unknown = None if usd is not None else Unknown("nobody knows", "Ask.")
    return ModelResult(
        name,
        cost_usd=None if usd is None else 60 * usd,
        n_expected=60,
        price="p",
        cost_unknown=unknown,
    )


def gate(baseline=0.0024, candidate=0.0004, *, ready=False, **given):
    """Return a gate whose models cost so much a call, with these keys under ``economics``; None: not written."""
    named = {NAMES.get(key, key): value for key, value in given.items()}
    keys = {
        "economics": {key: value for key, value in {**KNOWN, **named}.items() if value is not None}
    }
    both = {"baseline": PRICE} if ready else {"baseline": PRICE, "candidate": PRICE}
    large = costing("large", baseline)
    result = {
        "baseline": large,
        "baselines": {"baseline": large},
        "candidate": costing("ft", candidate),
    }
    keys |= {"stage": "ready", "candidate": ...} if ready else {}
    return context(keys, models=models(**both), result=result)


def found(*args, **given):
    return economics.check(gate(*args, **given)).facts["economics"]


TUNED = "At 200,000 calls per month the fine-tune "
FREE = "At 200,000 calls per month a candidate whose calls cost nothing "
NEVER = "it never pays for itself."
UNKNOWN = "the break-even is unknown: the training cost is unknown."
NO_CALLS = "The saving is unknown: the number of calls is unknown."
SAVES_NOTHING = "The fine-tune never pays for itself: a call saves nothing."


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, f"{TUNED}saves $400 per month and pays for itself after 160 days."),
        ({"hosting": 500.0}, f"{TUNED}costs $100 per month more than the baseline: {NEVER}"),
        # $400 - $120 - 6 * $100 / 12 = $230; $2,100 / $230 = 9.13 months
        (
            {"hosting": 120.0, "retrains": 6.0},
            f"{TUNED}saves $230 per month and pays for itself after 278 days.",
        ),
        ({"hosting": 400.0}, f"{TUNED}costs $0 per month more than the baseline: {NEVER}"),
        ({"candidate": 0.003}, f"{TUNED}costs $120 per month more than the baseline: {NEVER}"),
        ({"candidate": 0.0024, "calls": None}, SAVES_NOTHING),
        ({"candidate": None}, "The saving is unknown: candidate ft: nobody knows."),
        ({"baseline": None}, "The saving is unknown: baseline large: nobody knows."),
        ({"training": None}, f"{TUNED}saves $400 per month; {UNKNOWN}"),
        (
            {"training": None, "retrains": 2.0},
            "The saving is unknown: the training cost is unknown.",
        ),
        ({"calls": None, "hosting": 1.0}, NO_CALLS),
        # 200,000 * $0.0024 = $480; $2,100 / $480 = 4.375 months
        (
            {"ready": True},
            f"{FREE}saves $480 per month and pays for itself after 134 days.",
        ),
        (
            {"ready": True, "retrains": 12.0},
            f"{FREE}saves $380 per month and pays for itself after 169 days.",
        ),
        ({"ready": True, "training": None}, f"{FREE}saves $480 per month; {UNKNOWN}"),
        (
            {"ready": True, "hosting": 600.0},
            f"{FREE}costs $120 per month more than the baseline: {NEVER}",
        ),
        ({"ready": True, "calls": None, "hosting": 1.0}, NO_CALLS),
        ({"ready": True, "calls": None, "baseline": 0.0}, SAVES_NOTHING),
        ({"ready": True, "baseline": None}, "The saving is unknown: baseline large: nobody knows."),
    ],
    ids=str,
)
def test_the_sentence(given, sentence):
    one = found(**given)
    assert one.sentence == sentence
    if given.get("ready"):
        assert (one.candidate_usd_per_1000_calls, one.monthly_saving_usd, one.break_even_days) == (
            None,
            None,
            None,
        )


# --- before any call, and the limit --------------------------------------------------------------------------


def test_of_baselines_without_a_price_each_is_named():
    nothing = Price(unknown="no price in the gate")
    price_text = no_price(models(a=nothing, b=nothing, candidate=PRICE))
    assert price_text is not None
    assert price_text.why == "baseline a: no price in the gate; baseline b: no price in the gate"


def test_the_limit():
    (check,) = economics.check(gate(max_break_even_days=1.0)).checks
    assert (check.status, check.message) == (
        "fail",
        "pays for itself after 160 days (limit 1 day)",
    )
    (check,) = economics.check(gate(max_break_even_days=check.observed)).checks
    assert check.status == "pass"
    _, check = economics.check(gate(max_break_even_days=160.0, data_cost_usd=None)).checks
    assert (check.status, check.cure) == (
        "warning",
        "Set economics.data_cost_usd, to 0 if it cost nothing.",
    )


# --- for any amounts -----------------------------------------------------------------------------------------

usd = st.floats(0, 1e6, allow_nan=False)
maybe = st.just(math.nan) | usd
any_costs = st.builds(
    Costs, st.just(math.nan) | st.floats(1, 1e9), maybe, maybe, maybe, usd, usd, st.floats(0, 400)
)


@given(any_costs, st.floats(0, 1e6))
def test_nothing_unknown_turns_into_a_number(some, extra):
    if math.isnan(some.baseline - some.candidate):
        assert some.breaks_even is None
        assert all(map(math.isnan, (some.saving, some.break_even_days)))
    if math.isnan(some.training):
        assert math.isnan(some.break_even_days)
    if not math.isnan(some.break_even_days):
        assert some.break_even_days / DAYS_PER_MONTH * some.saving == pytest.approx(
            some.upfront, rel=1e-6, abs=1e-6
        )
    assert not replace(some, hosting=some.hosting + extra).saving > some.saving


def test_the_table_of_the_page_on_cost() -> None:
    """Compare the days of docs/cost.md, "Does it pay?", with those of its gate."""
    page = (DOCS / "cost.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|([\d,]+)\|.*\|(never|\d+ days)\|$", page, flags=re.MULTILINE)
    large = (1000 * 2.00 + 50 * 8.00) / 1e6
    tuned = (1000 * 0.30 + 50 * 1.20) / 1e6

    assert len(rows) == 4
    for calls, expected_text in rows:
        costs = Costs(
            int(calls.replace(",", "")),
            large,
            tuned,
            training=37.80,
            data=2000,
            retrains_per_year=4,
        )
        days = f"{math.ceil(costs.break_even_days)} days" if costs.breaks_even else "never"
        assert days == expected_text
