"""What a fine-tune costs and saves: answers computed by hand, and what holds for any amounts."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.checks.costs import (
    Amount,
    Costs,
    at_volume,
    dollars,
    economics_before_training,
    economics_of,
    show_days,
    training_cost,
)
from pytest_ftgate.reports.text import economics_lines

UNKNOWN = Amount(None, "nobody knows")


def costs(**changes: Any) -> Costs:
    """Return the example of docs/economics.md, but with the tuned model at exactly a sixth.

    A call of the large model has 1,000 tokens in and 50 out: (1000 * 2.00 + 50 * 8.00) / 1e6 = $0.0024.
    The tuned one at a sixth: $0.0004. Each call saves $0.002.
    """
    known = {
        "calls_per_month": 200_000,
        "baseline": Amount(0.0024, "measured"),
        "candidate": Amount(0.0004, "measured"),
    }
    return Costs(**{**known, "training": Amount(100.0, "declared"), "data_usd": 2000.0, **changes})


def test_the_example() -> None:
    """200,000 * $0.002 = $400 a month. $2,100 / $0.002 = 1,050,000 calls = 5.25 months = 159.7 days (365 / 12 each)."""
    found = economics_of(costs())
    assert found.monthly_saving_usd == pytest.approx(400)
    assert found.upfront_usd == 2100
    assert found.break_even_calls == pytest.approx(1_050_000)
    assert found.break_even_days == pytest.approx(5.25 * 365 / 12)
    assert (found.baseline_usd_per_1000_calls, found.candidate_usd_per_1000_calls) == (2.4, 0.4)
    assert found.sentence == (
        "At 200,000 calls per month the fine-tune saves $400 per month and pays for itself after 160 days "
        "(1,050,000 calls)."
    )


def test_half_and_double_the_volume() -> None:
    """Without monthly costs: half the calls save half and take twice as long; as many calls each time."""
    half, stated, double = economics_of(costs()).volumes
    assert [one.calls_per_month for one in (half, stated, double)] == [100_000, 200_000, 400_000]
    assert [one.monthly_saving_usd for one in (half, stated, double)] == pytest.approx([200, 400, 800])
    assert half.break_even_days == pytest.approx(10.5 * 365 / 12)
    assert double.break_even_days == pytest.approx(2.625 * 365 / 12)
    assert {round(one.break_even_calls or 0) for one in (half, stated, double)} == {1_050_000}


def test_hosting_and_retraining_are_paid_by_the_month() -> None:
    """$400 - $120 hosting - 6 * $100 / 12 = $230; $2,100 / $230 = 9.13 months; half: $200 - $170 = $30, 70 months."""
    found = economics_of(costs(hosting_usd=120.0, retrains_per_year=6))
    assert found.retraining_usd_per_month == 50
    assert found.monthly_saving_usd == pytest.approx(230)
    assert found.break_even_days == pytest.approx(2100 / 230 * 365 / 12)
    assert found.break_even_calls == pytest.approx(2100 / 230 * 200_000)
    half, _, double = found.volumes
    assert (half.monthly_saving_usd, half.break_even_days) == pytest.approx((30, 70 * 365 / 12))
    assert double.monthly_saving_usd == pytest.approx(630)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"hosting_usd": 500.0},
            "At 200,000 calls per month the fine-tune costs $100 per month more than the baseline: "
            "it never pays for itself; from 250,001 calls per month on it would.",
        ),
        (
            {"hosting_usd": 400.0},
            "At 200,000 calls per month the fine-tune saves nothing: "
            "it never pays for itself; from 200,001 calls per month on it would.",
        ),
        (
            {"candidate": Amount(0.003, "measured")},
            "At 200,000 calls per month the fine-tune costs $120 per month more than the baseline: "
            "it never pays for itself.",
        ),
        (
            {"candidate": Amount(0.0024, "measured"), "calls_per_month": None},
            "The fine-tune never pays for itself: its calls cost at least as much as the baseline's.",
        ),
    ],
)
def test_what_never_pays(changes: dict[str, Any], sentence: str) -> None:
    found = economics_of(costs(**changes))
    assert (found.breaks_even, found.break_even_days, found.break_even_calls) == (False, None, None)
    assert found.sentence == sentence


def test_free_training_pays_from_the_first_call() -> None:
    found = economics_of(costs(training=Amount(0.0, "declared"), data_usd=0.0))
    assert (found.break_even_days, found.break_even_calls) == (0, 0)
    assert found.sentence == "At 200,000 calls per month the fine-tune saves $400 per month from the first call on."


# --- what is unknown -----------------------------------------------------------------------------------------


def test_an_unknown_cost_of_a_call_leaves_everything_unknown() -> None:
    for role in ("baseline", "candidate"):
        found = economics_of(costs(**{role: UNKNOWN}))
        assert (found.monthly_saving_usd, found.breaks_even, found.break_even_days) == (None, None, None)
        assert found.saving_unknown == found.break_even_unknown == "nobody knows"
        assert found.sentence == "The saving is unknown: nobody knows."
        assert [one.monthly_saving_usd for one in found.volumes] == [None, None, None]


def test_models_without_a_price_are_named_together_and_get_no_table() -> None:
    """A table of three rows would say nothing three times."""
    missing = {
        role: Amount(None, "no price", f"{role} {role[0]}.jsonl", unpriced=True) for role in ("baseline", "candidate")
    }
    *table, sentence = economics_lines(economics_of(costs(**missing)))
    assert sentence == "The saving is unknown: baseline b.jsonl and candidate c.jsonl have no price."
    assert not [line for line in table if "calls a month" in line]
    one = economics_of(costs(candidate=missing["candidate"]))
    assert one.sentence == "The saving is unknown: candidate c.jsonl has no price."


def test_an_unknown_cost_of_training_leaves_the_break_even_unknown() -> None:
    found = economics_of(costs(training=UNKNOWN))
    assert (found.monthly_saving_usd, found.upfront_usd, found.break_even_days) == (pytest.approx(400), None, None)
    assert (found.saving_unknown, found.break_even_unknown) == (None, "nobody knows")
    assert found.sentence == (
        "At 200,000 calls per month the fine-tune saves $400 per month; the break-even is unknown: nobody knows."
    )


def test_and_with_retraining_the_saving_too() -> None:
    found = economics_of(costs(training=UNKNOWN, retrains_per_year=2))
    assert (found.monthly_saving_usd, found.saving_unknown) == (None, "nobody knows")


def test_without_a_number_of_calls_the_break_even_in_calls_is_known() -> None:
    found = economics_of(costs(calls_per_month=None))
    assert (found.break_even_calls, found.break_even_days) == (pytest.approx(1_050_000), None)
    assert found.volumes == ()
    assert found.saving_unknown == "the number of calls is unknown"
    assert found.sentence == ("The fine-tune saves $2.00 per 1,000 calls and pays for itself after 1,050,000 calls.")


def test_unless_something_is_paid_by_the_month() -> None:
    found = economics_of(costs(calls_per_month=None, hosting_usd=1.0))
    assert (found.break_even_calls, found.breaks_even) == (None, None)
    assert "the number of calls" in found.sentence


def test_what_nobody_declared_is_named() -> None:
    found = economics_of(costs(data_usd=None))
    assert found.undeclared == ("data preparation", "hosting", "retraining")
    assert found.sentence.endswith("after 8 days (50,000 calls) (data preparation not counted).")
    assert economics_of(costs(hosting_usd=0.0, retrains_per_year=0)).undeclared == ()


def test_the_cost_of_training_is_declared_or_unknown() -> None:
    assert training_cost(90.0, "ftgate.yaml:9").usd == 90.0
    unknown = training_cost(None, "built-in")
    assert unknown.usd is None
    assert unknown.said.startswith("the training cost is unknown")
    assert unknown.cure.startswith("Set economics.training_cost_usd")


# --- the table -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"calls_per_month": 123_456_789.0},
        {"training": UNKNOWN, "data_usd": None},
        {"baseline": UNKNOWN, "retrains_per_year": 12},
        {"calls_per_month": 1e9, "hosting_usd": 1e8, "retrains_per_year": 400, "training": Amount(1e6, "declared")},
        {"calls_per_month": None},
    ],
    ids=str,
)
def test_the_table_is_small(changes: dict[str, Any]) -> None:
    *table, sentence = economics_lines(economics_of(costs(**changes)))
    assert len(table) <= 7
    assert max(map(len, table)) <= 80, table
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(None, "unknown"), (0, "$0"), (412.3, "$412"), (-12.5, "-$12.50"), (99.99, "$99.99"), (1e6, "$1,000,000")],
)
def test_dollars(usd: float | None, shown: str) -> None:
    assert dollars(usd) == shown


@pytest.mark.parametrize(
    ("days", "shown"),
    [
        (0.2, "1 day"),
        (999, "999 days"),
        (1000, "2.7 years"),
        (3650, "10 years"),
        (17_267, "47 years"),
        (1e9, "2,739,726 years"),
    ],
)
def test_days(days: float, shown: str) -> None:
    assert show_days(days) == shown


# --- before training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (  # 200,000 * $0.0024 = $480; $2,100 / $480 = 4.375 months
            {},
            "At 200,000 calls per month a candidate can save $480 per month at most, and pays for itself after 134 "
            "days (875,000 calls) at the earliest.",
        ),
        (
            {"training": UNKNOWN, "data_usd": None},
            "At 200,000 calls per month a candidate can save $480 per month at most.",
        ),
        (
            {"training": UNKNOWN},
            "At 200,000 calls per month a candidate can save $480 per month at most, and pays for itself after 127 "
            "days (833,334 calls) at the earliest (training not counted).",
        ),
        (
            {"hosting_usd": 600.0},
            "At 200,000 calls per month even a candidate whose calls cost nothing costs $120 per month more than the "
            "baseline: it never pays for itself; from 250,001 calls per month on it would.",
        ),
        (
            {"calls_per_month": None},
            "A candidate can save $2.40 per 1,000 calls at most, and pays for itself after 875,000 calls at the "
            "earliest.",
        ),
        (
            {"calls_per_month": None, "hosting_usd": 1.0},
            "A candidate can save $2.40 per 1,000 calls at most.",
        ),
        (
            {"calls_per_month": None, "baseline": Amount(0.0, "measured")},
            "The baseline's calls cost nothing, so no candidate can save money.",
        ),
        ({"baseline": UNKNOWN}, "The possible saving is unknown: nobody knows."),
    ],
    ids=str,
)
def test_what_is_known_before_training(changes: dict[str, Any], sentence: str) -> None:
    found = economics_before_training(costs(candidate=Amount(None, "there is no candidate yet"), **changes))
    assert found.sentence == sentence
    assert (found.candidate_usd_per_1000_calls, found.monthly_saving_usd, found.break_even_days) == (None, None, None)


# --- for any amounts -----------------------------------------------------------------------------------------


usd = st.floats(0, 1e6, allow_nan=False)
maybe = st.none() | usd
amounts = st.builds(Amount, maybe, st.just("said"))
any_costs = st.builds(
    Costs, st.none() | st.floats(1, 1e9), amounts, amounts, amounts, maybe, maybe, st.none() | st.floats(0, 400)
)
PER_CALL = st.floats(1e-6, 10)


@given(old=PER_CALL, saved=st.floats(0.01, 0.99), training=usd, data=usd, calls=st.floats(1, 1e8))
def test_twice_the_volume_pays_back_in_half_the_days(
    old: float, saved: float, training: float, data: float, calls: float
) -> None:
    some = Costs(calls, Amount(old, ""), Amount(old * (1 - saved), ""), Amount(training, ""), data)
    once, twice = at_volume(some, calls), at_volume(some, 2 * calls)
    assert (once.breaks_even, twice.breaks_even) == (True, True)
    assert twice.break_even_days == pytest.approx((once.break_even_days or 0) / 2)
    assert twice.break_even_calls == pytest.approx(once.break_even_calls)


@given(any_costs)
def test_more_calls_never_save_less_where_a_call_is_cheaper(some: Costs) -> None:
    if some.calls_per_month is None or some.saved_per_call is None or some.saved_per_call <= 0:
        return
    savings = [one.monthly_saving_usd for one in economics_of(some).volumes]
    if None not in savings:
        assert savings == sorted(savings, key=lambda saving: saving or 0)


@given(any_costs)
def test_at_break_even_the_saving_has_paid_what_was_spent(some: Costs) -> None:
    stated = at_volume(some, some.calls_per_month)
    if stated.break_even_days is not None and stated.monthly_saving_usd is not None:
        earned = stated.break_even_days / (365 / 12) * stated.monthly_saving_usd
        assert earned == pytest.approx(some.upfront_usd, rel=1e-6, abs=1e-6)


@given(any_costs)
def test_nothing_unknown_turns_into_a_number(some: Costs) -> None:
    """Every figure is finite or ``None``; a figure that rests on something unknown is ``None``, and is said to be."""
    found = economics_of(some)
    numbers = [value for value in asdict(found).values() if isinstance(value, float)]
    assert all(map(math.isfinite, numbers))
    if some.saved_per_call is None:
        assert found.monthly_saving_usd is found.break_even_days is found.break_even_calls is None
    if some.training.usd is None:
        assert found.break_even_days is None
    if found.monthly_saving_usd is None:
        assert found.saving_unknown
    if found.break_even_days is None and found.breaks_even is not False:
        assert found.break_even_unknown
    assert found.sentence.endswith(".")


@given(any_costs, st.floats(0, 1e6))
def test_hosting_never_helps(some: Costs, more: float) -> None:
    dearer = replace(some, hosting_usd=(some.hosting_usd or 0) + more)
    before, after = (economics_of(one).monthly_saving_usd for one in (some, dearer))
    if before is not None and after is not None:
        assert after <= before
