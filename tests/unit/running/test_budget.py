"""What may be spent: estimates, what is in flight, and that the limit holds."""

import asyncio
import gc
from contextlib import suppress
from types import SimpleNamespace

import pytest
from fakes import Fake, questions, run, run_at_once, texts
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion
from pytest_ftgate.models.price import cost_of
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.runs.budget import Budget
from pytest_ftgate.runs.jobs import TimeLimit

PRICE = Price("gate", input_per_1m=1.0, output_per_1m=1.0)  # a token costs a millionth of a dollar
MACHINE = Price("gate", gpu_hour_usd=3600.0)  # a second costs a dollar
UNKNOWN = Price(unknown="no price in the gate, and genai-prices is not installed")


def model(price=PRICE, outputs=None, **facts):
    """Return a model whose examples are the lengths of their prompts."""
    usual = {
        "name": "m",
        "endpoint": False,
        "params": {} if outputs is None else {"max_tokens": outputs},
    }
    return SimpleNamespace(
        **{**usual, "characters": lambda length: length, "price": price, **facts}
    )


def tokens(budget, one, *lengths):
    """Return the estimate of a call in tokens of :data:`PRICE`, one question a length."""
    reservation = budget.reserve(one, lengths)
    spent_usd = budget.spent_usd
    budget.settle(reservation, [ModelError("busy", unpaid=True)] * len(lengths))
    assert budget.spent_usd == spent_usd
    return [round(usd * 1_000_000) for usd in reservation.usd]


def answered(inputs, outputs):
    return Completion("x", input_tokens=inputs, output_tokens=outputs)


# --- estimates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "most_tokens"),
    [
        *(
            (params, 1_000)
            for params in ({}, {"max_tokens": "5"}, {"max_tokens": True}, {"max_tokens": None})
        ),
        *(({"max_tokens": 5}, 5), ({"max_completion_tokens": 7}, 7), ({"max_tokens": 0}, 0)),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
    ],
)
def test_before_anything_is_known_a_token_is_three_characters_and_an_answer_what_is_allowed_or_a_thousand(
    params, most_tokens
):
    assert tokens(Budget(1.0), model(params=params), 0, 31) == [most_tokens, 11 + most_tokens]


def test_estimates_learn_the_most_that_a_model_has_shown():
    budget = Budget(1.0)
    for inputs, outputs in ((50, 7), (20, 30), (10, 3), (None, None)):
        budget.settle(budget.reserve(model(), [100]), [answered(inputs, outputs)])
    assert tokens(budget, model(), 200) == [100 + 30]  # a later run knows it, too
    assert tokens(budget, model(name="other"), 30) == [10 + 1_000]


def test_the_hour_of_a_machine_is_counted_once_it_is_known():
    budget, priced_model = Budget(10.0), model(MACHINE)
    for busy_s in (1.0, 3.0):
        budget.settle(budget.reserve(priced_model, [30]), [answered(1, 1)], busy_s)
        assert tokens(budget, priced_model, 30) == [0]
    assert budget.spent_usd == 4.0


@given(
    st.lists(
        st.tuples(st.integers(1, 10**4), st.integers(0, 3 * 10**4), st.integers(0, 10**4)),
        min_size=1,
    )
)
def test_no_answer_like_one_before_costs_more_than_its_estimate(rows):
    budget, any_model = Budget(1e9), model()
    for characters, inputs, outputs in rows:
        budget.settle(budget.reserve(any_model, [characters]), [answered(inputs, outputs)])
    for characters, inputs, outputs in rows:
        (usd,) = budget.reserve(any_model, [characters]).usd
        assert usd >= cost_of(answered(inputs, outputs), PRICE)


# --- the limit -----------------------------------------------------------------------------------------------


def test_a_call_that_would_pass_the_limit_ends_the_run():
    budget = Budget(5.0)
    budget.spent_usd = 2.97
    with pytest.raises(ModelError) as caught:
        budget.reserve(model(outputs=2_040_000), [0])
    assert caught.value.fatal
    assert all(word in caught.value.what for word in ("--ftgate-max-cost 5", "$2.97", "$2.04"))
    assert budget.reserve(model(outputs=2_030_000), [0]) is not None  # which just reaches it


def test_a_call_of_unknown_cost_or_without_an_end_counts_with_its_estimate():
    budget = Budget(1.0)
    budget.settle(budget.reserve(model(outputs=300_000), [0]), [None])
    assert budget.spent_usd == 0.3
    hangs = budget.reserve(model(outputs=100_000), [0])
    assert budget.reserve(model(outputs=600_001), [0]) is None, "it waits"
    budget.end_run()
    with pytest.raises(ModelError, match=r"\$0.4000"):
        budget.reserve(model(outputs=600_001), [0])
    budget.settle(hangs, [answered(1, 1)])  # too late
    assert budget.spent_usd == pytest.approx(0.4)


@given(
    st.floats(1e-6, 10),
    st.lists(
        st.tuples(
            st.integers(0, 5), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)
        ),
        max_size=60,
    ),
)
def test_spent_and_in_flight_never_pass_the_limit(limit, calls):
    """As long as no call costs more than its estimate, whatever the order in which calls end."""
    budget, under_way = Budget(limit), []
    for wait, characters, outputs, used in calls:
        try:
            reservation = budget.reserve(model(outputs=outputs), [characters])
            assert reservation is not None or under_way
            under_way += [(reservation, min(used, outputs))] if reservation else []
        except ModelError:
            assert not under_way
        while len(under_way) > wait:
            reserved, tokens = under_way.pop(0)
            budget.settle(reserved, [answered(0, tokens) if tokens % 2 else None])
        in_flight = sum(sum(reservation.usd) for reservation, _ in under_way)
        assert budget.spent_usd + in_flight <= limit + 1e-8


# --- in a run ------------------------------------------------------------------------------------------------


def priced(answer, **facts):
    """Return a model whose answers take a second and may cost $0.001."""
    price = Price("here", input_per_1m=0.0, output_per_1m=1.0)
    return Fake(answer, price=price, endpoint=True, **facts)


async def in_a_second(found, key):
    await asyncio.sleep(1)
    return Completion(key, input_tokens=0, output_tokens=10)


def test_who_does_not_fit_waits_for_the_calls_in_flight_and_learns_from_them(stores):
    """The first answer shows that they have 10 tokens, not 1,000: all others then fit side by side."""
    budget = Budget(0.0025)
    results, seconds = run_at_once(
        priced(in_a_second, concurrency=100), stores, questions(*range(100)), budget=budget
    )
    assert (None in texts(results), seconds) == (False, pytest.approx(2, abs=0.1))
    assert budget.spent_usd == pytest.approx(0.001)


# Python 3.12.1 says more than asyncio does of a task that is collected in the middle of a call.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <coroutine object Caller.work:pytest.PytestUnraisableExceptionWarning"
)
def test_calls_that_hang_when_their_run_has_ended_are_booked_and_hold_up_nobody(stores):
    tasks = []

    async def stubborn(model, key):
        tasks.append(asyncio.current_task())
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    budget, model = Budget(0.0011), priced(stubborn, timeout_s=None)
    run(model, stores, questions("q01"), budget=budget, limit=TimeLimit(0.0, "here", 0.0))
    assert len(model.calls) == 1
    assert budget.spent_usd == pytest.approx(0.001)
    with pytest.raises(ModelError):
        budget.reserve(model, questions("q01").examples)
    tasks.clear()
    # asyncio complains of the abandoned task when it is collected: here, not in a later test
    gc.collect()
    assert budget.spent_usd == pytest.approx(0.001)


def test_a_machine_by_the_hour_is_paid_for_as_long_as_it_was_busy(stores):
    budget = Budget(1000)
    results = run(Fake(price=MACHINE, concurrency=2), stores, questions(*range(10)), budget=budget)
    assert budget.spent_usd == pytest.approx(
        sum(prediction.busy_s for prediction in results.predictions[0])
    )


# --- who is counted ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "uncounted"),
    [
        *((model(endpoint=True), []), (model({"gpu_hour_usd": 1}), [])),
        (model(None), ["m"]),  # a function without a price is named, once
    ],
)
def test_what_has_a_price_is_counted(keys, uncounted):
    budget = Budget(1.0)
    assert [budget.counts(keys), budget.counts(keys)] == [not uncounted] * 2
    assert list(budget.uncounted) == uncounted


def test_an_endpoint_without_a_price_ends_the_run_before_its_first_call():
    with pytest.raises(ModelError) as caught:
        Budget(1.0).counts(model(UNKNOWN, endpoint=True))
    assert (caught.value.fatal, str(caught.value.where)) == (True, "price")
    assert "price for m" in caught.value.what
    assert caught.value.evidence == UNKNOWN.unknown
    assert "input_per_1m" in caught.value.cure


def test_a_call_whose_cost_nobody_knows_is_not_made():
    stepped, budget = model(Price("table", 1.0, 1.0, most_input_tokens=1_000), 0), Budget(1.0)
    assert tokens(budget, stepped, 3_000) == [1_000]
    with pytest.raises(ModelError, match="needs a price"):
        budget.reserve(stepped, [3_001])
