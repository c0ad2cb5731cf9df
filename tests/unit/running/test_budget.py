"""What may be spent: estimates, what is in flight, and that the limit holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion
from pytest_ftgate.money.price import Price, cost_of
from pytest_ftgate.running.budget import Budget, Reservation, most_output_tokens

PRICE = Price("gate", input_per_1m=1.0, output_per_1m=1.0)  # a token costs a millionth of a dollar
MACHINE = Price("gate", gpu_hour_usd=3600.0)  # a second costs a dollar
UNKNOWN = Price("unknown: no price in the gate, and genai-prices is not installed")


def tokens(reservation: Reservation) -> int:
    """The estimate in tokens of :data:`PRICE`."""
    return round(reservation.usd * 1_000_000)


def answered(inputs: int | None, outputs: int | None) -> Completion:
    return Completion("x", input_tokens=inputs, output_tokens=outputs)


def model(price: Any = None, **facts: Any) -> Any:
    return SimpleNamespace(**{"name": "mine", "price": price, "verified": None, "endpoint": False, **facts})


# --- estimates -----------------------------------------------------------------------------------------------


def test_before_anything_is_known_a_token_is_three_characters_and_an_answer_a_thousand_tokens() -> None:
    budget = Budget(1.0)
    assert tokens(budget.reserve("m", PRICE, 31, None)) == 11 + 1_000
    assert tokens(budget.reserve("m", PRICE, 31, 5)) == 11 + 5
    assert tokens(budget.reserve("m", PRICE, 0, 0)) == 0


def test_estimates_learn_the_most_that_a_model_has_shown() -> None:
    budget = Budget(1.0)
    for inputs, outputs in ((50, 7), (20, 30), (10, 3)):
        budget.settle(budget.reserve("m", PRICE, 100, None), 0.0, completion=answered(inputs, outputs))
    assert tokens(budget.reserve("m", PRICE, 200, None)) == 100 + 30
    assert tokens(budget.reserve("m", PRICE, 201, 4)) == 101 + 4
    assert tokens(budget.reserve("other", PRICE, 30, None)) == 10 + 1_000


def test_an_answer_without_counts_teaches_nothing() -> None:
    budget = Budget(1.0)
    budget.settle(budget.reserve("m", PRICE, 300, None), None, completion=answered(None, None))
    budget.settle(budget.reserve("m", PRICE, 0, None), None, completion=answered(5, None))
    assert tokens(budget.reserve("m", PRICE, 300, None)) == 100 + 1_000


def test_input_is_estimated_at_the_dearest_that_it_may_cost() -> None:
    written = Price("table", 1.0, 1.0, 0.1, cache_write_per_1m=2.0)
    assert tokens(Budget(1.0).reserve("m", written, 30, 0)) == 20


def test_the_hour_of_a_machine_is_estimated_by_what_it_took_so_far() -> None:
    budget = Budget(10.0)
    assert budget.reserve("m", MACHINE, 30, None).usd == 0
    for busy_s in (1.0, 3.0):
        budget.settle(budget.reserve("m", MACHINE, 30, None), busy_s, completion=answered(1, 1), busy_s=busy_s)
    assert budget.reserve("m", MACHINE, 30, None).usd == 2
    assert budget.spent_usd == 4.0


@pytest.mark.parametrize(
    ("params", "most"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "n": 3}, 15),
        ({"max_tokens": "5"}, None),
        ({"max_tokens": True}, None),
        ({"max_tokens": None}, None),
    ],
)
def test_how_long_a_request_allows_an_answer_to_be(params: dict[str, Any], most: int | None) -> None:
    assert most_output_tokens(params) == most


# --- the limit -----------------------------------------------------------------------------------------------


def test_a_call_that_would_pass_the_limit_ends_the_run() -> None:
    budget = Budget(5.0)
    budget.settle(budget.reserve("m", PRICE, 0, 3_000_000), 2.97)
    budget.reserve("m", PRICE, 0, 2_000_000)
    with pytest.raises(ModelError) as caught:
        budget.reserve("m", PRICE, 0, 50_000)
    assert caught.value.fatal
    assert str(caught.value) == (
        "--ftgate-max-cost 5: $4.97 is spent or in flight, the next call is estimated at $0.0500\n"
        "  raise it and run again: what has arrived is kept (unless --ftgate-cache=off)"
    )
    assert tokens(budget.reserve("m", PRICE, 0, 30_000)) == 30_000  # which just reaches it
    assert (budget.spent_usd, budget.in_flight_usd) == (2.97, 2.03)


def test_a_call_that_failed_counts_with_its_estimate() -> None:
    budget = Budget(1.0)
    budget.settle(budget.reserve("m", PRICE, 0, 400_000), None)
    assert (budget.spent_usd, budget.in_flight_usd) == (0.4, 0.0)
    budget.settle(budget.reserve("m", PRICE, 0, 600_000), 0.1)
    assert (budget.spent_usd, budget.in_flight_usd) == (0.5, 0.0)


def test_a_call_is_settled_once() -> None:
    budget = Budget(1.0)
    made = budget.reserve("m", PRICE, 0, 1)
    budget.settle(made, 0.0)
    with pytest.raises(KeyError):
        budget.settle(made, 0.0)


def test_workers_share_the_limit_evenly_and_say_so() -> None:
    budget = Budget(1.0, workers=4)
    budget.reserve("m", PRICE, 0, 250_000)
    with pytest.raises(ModelError, match=r"--ftgate-max-cost 1, of which each of 4 workers may spend \$0\.2500: "):
        budget.reserve("m", PRICE, 0, 1)


@given(
    st.floats(1e-6, 10),
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1), st.booleans()),
        max_size=60,
    ),
)
def test_spent_and_in_flight_never_pass_the_limit(limit: float, calls: list[tuple[int, int, int, float, bool]]) -> None:
    """As long as no call costs more than its estimate, whatever the order in which calls end."""
    budget, under_way = Budget(limit), []
    for wait, characters, outputs, share, fails in calls:
        try:
            under_way.append(budget.reserve("m", PRICE, characters, outputs))
        except ModelError:
            assert budget.spent_usd + budget.in_flight_usd <= limit * (1 + 1e-12)
        while len(under_way) > wait:
            made = under_way.pop(0)
            budget.settle(made, None if fails else float(made.usd) * share)
        assert budget._spent + budget._in_flight <= Fraction(repr(limit))
        assert budget._in_flight == sum(made.usd for made in under_way)


@given(st.lists(st.tuples(st.integers(1, 10**4), st.integers(0, 3 * 10**4), st.integers(0, 10**4)), min_size=1))
def test_no_answer_like_one_before_costs_more_than_its_estimate(rows: list[tuple[int, int, int]]) -> None:
    budget = Budget(1e9)
    for characters, inputs, outputs in rows:
        completion = answered(inputs, outputs)
        budget.settle(budget.reserve("m", PRICE, characters, None), None, completion=completion)
    for characters, inputs, outputs in rows:
        cost = cost_of(answered(inputs, outputs), PRICE)
        assert cost is not None
        assert budget.reserve("m", PRICE, characters, None).usd >= Fraction(repr(cost))


def test_threads_share_one_budget() -> None:
    budget = Budget(0.5)

    def spend(_: int) -> int:
        try:
            budget.settle(budget.reserve("m", PRICE, 0, 1_000), 0.001)
        except ModelError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        done = sum(pool.map(spend, range(2_000)))
    assert done == round(budget.spent_usd / 0.001)
    assert 498 <= done <= 500


# --- who is counted ------------------------------------------------------------------------------------------


def test_what_has_a_price_is_counted() -> None:
    budget = Budget(1.0)
    assert budget.covers(model(PRICE, endpoint=True))
    assert budget.covers(model({"gpu_hour_usd": 1}))
    assert budget.uncounted == ()


def test_an_endpoint_without_a_price_ends_the_run_before_its_first_call() -> None:
    with pytest.raises(ModelError) as caught:
        Budget(1.0).covers(model(UNKNOWN, endpoint=True))
    assert caught.value.fatal
    what, evidence, cure = str(caught.value).splitlines()
    assert what == "price: the price of mine is unknown, so --ftgate-max-cost cannot be kept"
    assert evidence.strip() == "no price in the gate, and genai-prices is not installed"
    assert cure.strip().startswith("give it a price: {input_per_1m, output_per_1m}")


def test_a_function_without_a_price_is_named_once_and_not_counted() -> None:
    budget = Budget(1.0)
    assert not budget.covers(model())
    assert not budget.covers(model())
    assert budget.uncounted == ("mine",)


def test_recorded_predictions_cost_nothing() -> None:
    budget = Budget(1.0)
    assert not budget.covers(model(PRICE, verified=True))
    assert not budget.covers(model(verified=False))
    assert budget.uncounted == ()


def test_a_call_whose_cost_nobody_knows_is_not_made() -> None:
    with pytest.raises(ModelError, match="the price of m is unknown"):
        Budget(1.0).reserve("m", UNKNOWN, 10, 10)
    stepped = Price("table", 1.0, 1.0, most_input_tokens=1_000)
    assert tokens(Budget(1.0).reserve("m", stepped, 3_000, 0)) == 1_000
    with pytest.raises(ModelError, match="more input than the 1,000 tokens that table is for"):
        Budget(1.0).reserve("m", stepped, 3_001, 0)
