"""What may be spent: estimates, what is in flight, and that the limit holds."""

import asyncio
from types import SimpleNamespace

import pytest
import virtual_time
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion
from pytest_ftgate.models.price import cost_of
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.runs.budget import Budget

PRICE = Price("gate", input_per_1m=1.0, output_per_1m=1.0)  # a token costs a millionth of a dollar
MACHINE = Price("gate", gpu_hour_usd=3600.0)  # a second costs a dollar
UNKNOWN = Price(unknown="no price in the gate, and genai-prices is not installed")


def model(price=None, **facts):
    usual = {"name": "m", "verified": None, "endpoint": False, "params": {}, "characters": lambda length: length}
    return SimpleNamespace(**{**usual, "price": price, **facts})


def meter(budget, price=PRICE, outputs=None, **facts):
    """Return the meter of a model whose examples are the lengths of their prompts."""
    return budget.meter(model(price, params={} if outputs is None else {"max_tokens": outputs}, **facts))


def take(meter, *lengths):
    """Reserve a call where it does not have to wait, one question a length."""
    return asyncio.run(asyncio.wait_for(meter.reserve(lengths), 1))


def tokens(meter, *lengths):
    """Return the estimate of a call in tokens of :data:`PRICE`."""
    made = take(meter, *lengths)
    meter.settle(made, [ModelError("busy", unpaid=True)] * len(lengths))
    return [round(usd * 1_000_000) for usd in made.usd]


def answered(inputs, outputs):
    return Completion("x", input_tokens=inputs, output_tokens=outputs)


# --- estimates -----------------------------------------------------------------------------------------------


def test_before_anything_is_known_a_token_is_three_characters_and_an_answer_a_thousand_tokens():
    budget = Budget(1.0)
    assert tokens(meter(budget), 31) == [11 + 1_000]
    assert tokens(meter(budget, outputs=5), 31) == [11 + 5]
    assert tokens(meter(budget, outputs=0), 0, 30) == [0, 10]


def test_estimates_learn_the_most_that_a_model_has_shown():
    budget = Budget(1.0)
    one = meter(budget)
    for inputs, outputs in ((50, 7), (20, 30), (10, 3), (None, None)):
        one.settle(take(one, 100), [answered(inputs, outputs)])
    assert tokens(meter(budget), 200) == [100 + 30]  # a later run knows it, too
    assert tokens(meter(budget, outputs=4), 201) == [101 + 4]
    assert tokens(meter(budget, name="other"), 30) == [10 + 1_000]


def test_input_is_estimated_at_the_dearest_that_it_may_cost():
    written = Price("table", 1.0, 1.0, 0.1, cache_write_per_1m=2.0)
    assert tokens(meter(Budget(1.0), written, 0), 30) == [20]


def test_the_hour_of_a_machine_is_estimated_by_what_it_took_so_far():
    budget = Budget(10.0)
    one = meter(budget, MACHINE)
    assert tokens(one, 30) == [0]
    for busy_s in (1.0, 3.0):
        one.settle(take(one, 30), [answered(1, 1)], busy_s)
    assert tokens(one, 30) == [2_000_000]
    assert budget.spent_usd == 4.0


@pytest.mark.parametrize(
    ("params", "most"),
    [
        *((params, 1_000) for params in ({}, {"max_tokens": "5"}, {"max_tokens": True}, {"max_tokens": None})),
        *(({"max_tokens": 5}, 5), ({"max_completion_tokens": 7}, 7)),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
    ],
)
def test_how_long_a_request_allows_an_answer_to_be(params, most):
    assert tokens(Budget(1.0).meter(model(PRICE, params=params)), 0) == [most]


@given(st.lists(st.tuples(st.integers(1, 10**4), st.integers(0, 3 * 10**4), st.integers(0, 10**4)), min_size=1))
def test_no_answer_like_one_before_costs_more_than_its_estimate(rows):
    one = meter(Budget(1e9))
    for characters, inputs, outputs in rows:
        one.settle(one._take([characters]), [answered(inputs, outputs)])
    for characters, inputs, outputs in rows:
        assert one._estimate(characters) >= cost_of(answered(inputs, outputs), PRICE)


# --- the limit -----------------------------------------------------------------------------------------------


def test_a_call_that_would_pass_the_limit_ends_the_run():
    budget = Budget(5.0)
    budget.spent_usd = 2.97
    with pytest.raises(ModelError) as caught:
        take(meter(budget, outputs=2_040_000), 0)
    assert caught.value.fatal
    assert all(word in caught.value.what for word in ("--ftgate-max-cost 5", "$2.97", "$2.04"))
    take(meter(budget, outputs=2_030_000), 0)  # which just reaches it
    assert budget.in_flight_usd == 2.03


def test_where_the_first_answer_is_guessed_at_that_is_said():
    with pytest.raises(ModelError, match=r"max_tokens(.|\n)*1,000 tokens"):
        take(meter(Budget(0.0005)), 0)


def test_several_questions_of_one_call_are_reserved_together():
    budget = Budget(5.0)
    with pytest.raises(ModelError, match=r"3 .*\$6\.00"):
        take(meter(budget, outputs=2_000_000), 0, 0, 0)
    assert budget.in_flight_usd == 0
    assert tokens(meter(budget, outputs=2_000_000), 0, 3) == [2_000_000, 2_000_001]


def test_a_call_of_unknown_cost_counts_with_its_estimate_and_is_told_apart():
    budget = Budget(1.0)
    one = meter(budget, outputs=400_000)
    one.settle(take(one, 0), [None])
    assert (budget.spent_usd, budget.unsure_usd, budget.in_flight_usd) == (0.0, 0.4, 0.0)
    assert "1 call" in budget.unsure_said
    with pytest.raises(ModelError) as caught:
        take(meter(budget, outputs=600_001), 0)
    assert all(word in str(caught.value) for word in ("$0.4000", "1 call"))


@given(
    st.floats(1e-6, 10),
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=60
    ),
)
def test_spent_and_in_flight_never_pass_the_limit(limit, calls):
    """As long as no call costs more than its estimate, whatever the order in which calls end."""
    budget, under_way = Budget(limit), []
    for wait, characters, outputs, used in calls:
        one = meter(budget, outputs=outputs)
        try:
            made = one._take([characters])
            assert made is not None or under_way
            under_way += [(one, made, min(used, outputs))] if made else []
        except ModelError:
            assert not under_way
        while len(under_way) > wait:
            ended, reserved, tokens = under_way.pop(0)
            ended.settle(reserved, [answered(0, tokens) if tokens % 2 else None])
        assert budget.spent_usd + budget.unsure_usd + budget.in_flight_usd <= limit + 1e-8
        assert budget.in_flight == len(under_way)


def test_who_does_not_fit_waits_for_the_calls_in_flight_and_learns_from_them():
    """The first answer shows that they have 10 tokens, not 1,000: all others then fit side by side."""
    budget = Budget(0.0015)
    one = meter(budget)

    async def call():
        made = await one.reserve([0])
        await asyncio.sleep(1)
        one.settle(made, [answered(0, 10)])

    async def many():
        await asyncio.gather(*(call() for _ in range(100)))
        return asyncio.get_running_loop().time() - 1000.0

    assert virtual_time.run(many()) == pytest.approx(2, abs=0.1)
    assert budget.spent_usd == pytest.approx(0.001)


def test_a_call_that_hangs_after_its_run_holds_up_nobody():
    budget = Budget(1.0)
    hangs, other = meter(budget, outputs=300_000), meter(budget, outputs=700_000)
    made = take(hangs, 0)
    hangs.close()
    take(other, 0)
    hangs.settle(made, [None])  # too late
    assert (budget.unsure_usd, budget.in_flight) == (0.3, 1)


# --- who is counted ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "covered", "uncounted"),
    [
        (model(PRICE, endpoint=True), True, ()),
        (model({"gpu_hour_usd": 1}), True, ()),
        (model(), False, ("m",)),  # a function without a price is named, once
        (model(PRICE, verified=True), False, ()),  # recorded answers cost nothing
        (model(verified=False), False, ()),
    ],
)
def test_what_has_a_price_is_counted(asked, covered, uncounted):
    budget = Budget(1.0)
    assert [budget.meter(asked) is not None, budget.meter(asked) is not None] == [covered, covered]
    assert tuple(budget.uncounted) == uncounted


def test_an_endpoint_without_a_price_ends_the_run_before_its_first_call():
    with pytest.raises(ModelError) as caught:
        Budget(1.0).meter(model(UNKNOWN, endpoint=True))
    assert (caught.value.fatal, str(caught.value.where)) == (True, "price")
    assert "price for m" in caught.value.what
    assert caught.value.evidence == UNKNOWN.unknown
    assert "input_per_1m" in caught.value.cure


def test_a_call_whose_cost_nobody_knows_is_not_made():
    stepped = meter(Budget(1.0), Price("table", 1.0, 1.0, most_input_tokens=1_000), 0)
    assert tokens(stepped, 3_000) == [1_000]
    with pytest.raises(ModelError, match="1,000 input tokens"):
        take(stepped, 3_001)
