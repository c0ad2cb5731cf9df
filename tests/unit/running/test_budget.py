"""What may be spent: estimates, what is in flight, and that the limit holds."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction
from types import SimpleNamespace

import pytest
import virtual_time
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion
from pytest_ftgate.models.price import cost_of
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.runs.budget import Budget, Call, most_output_tokens

PRICE = Price("gate", input_per_1m=1.0, output_per_1m=1.0)  # a token costs a millionth of a dollar
MACHINE = Price("gate", gpu_hour_usd=3600.0)  # a second costs a dollar
UNKNOWN = Price(unknown="no price in the gate, and genai-prices is not installed", lack="table")


def tokens(reservation):
    """Return the estimate in tokens of :data:`PRICE`."""
    return round(reservation.usd * 1_000_000)


def take(budget, model_id, price, characters, outputs):
    """Return what is set aside for one question, where it does not have to wait for that."""
    made = budget.take(Call(model_id, price, [characters], outputs))
    assert made is not None
    return made[0]


def answered(inputs, outputs):
    return Completion("x", input_tokens=inputs, output_tokens=outputs)


def model(price=None, **facts):
    return SimpleNamespace(**{"name": "mine", "price": price, "verified": None, "endpoint": False, **facts})


# --- estimates -----------------------------------------------------------------------------------------------


def test_before_anything_is_known_a_token_is_three_characters_and_an_answer_a_thousand_tokens():
    budget = Budget(1.0)
    assert tokens(take(budget, "m", PRICE, 31, None)) == 11 + 1_000
    assert tokens(take(budget, "m", PRICE, 31, 5)) == 11 + 5
    assert tokens(take(budget, "m", PRICE, 0, 0)) == 0


def test_estimates_learn_the_most_that_a_model_has_shown():
    budget = Budget(1.0)
    for inputs, outputs in ((50, 7), (20, 30), (10, 3)):
        budget.settle(take(budget, "m", PRICE, 100, None), 0.0, completion=answered(inputs, outputs))
    assert tokens(take(budget, "m", PRICE, 200, None)) == 100 + 30
    assert tokens(take(budget, "m", PRICE, 201, 4)) == 101 + 4
    assert tokens(take(budget, "other", PRICE, 30, None)) == 10 + 1_000


def test_an_answer_without_counts_teaches_nothing():
    budget = Budget(1.0)
    budget.settle(take(budget, "m", PRICE, 300, None), None, completion=answered(None, None))
    budget.settle(take(budget, "m", PRICE, 0, None), None, completion=answered(5, None))
    assert tokens(take(budget, "m", PRICE, 300, None)) == 100 + 1_000


def test_input_is_estimated_at_the_dearest_that_it_may_cost():
    written = Price("table", 1.0, 1.0, 0.1, cache_write_per_1m=2.0)
    assert tokens(take(Budget(1.0), "m", written, 30, 0)) == 20


def test_the_hour_of_a_machine_is_estimated_by_what_it_took_so_far():
    budget = Budget(10.0)
    assert take(budget, "m", MACHINE, 30, None).usd == 0
    for busy_s in (1.0, 3.0):
        budget.settle(take(budget, "m", MACHINE, 30, None), busy_s, completion=answered(1, 1), busy_s=busy_s)
    assert take(budget, "m", MACHINE, 30, None).usd == 2
    assert budget.spent_usd == 4.0


@pytest.mark.parametrize(
    ("params", "most"),
    [
        *((params, None) for params in ({}, {"max_tokens": "5"}, {"max_tokens": True}, {"max_tokens": None})),
        *(({"max_tokens": 5}, 5), ({"max_completion_tokens": 7}, 7), ({"max_tokens": 5, "n": 3}, 15)),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
    ],
)
def test_how_long_a_request_allows_an_answer_to_be(params, most):
    assert most_output_tokens(params) == most


# --- the limit -----------------------------------------------------------------------------------------------


def test_a_call_that_would_pass_the_limit_ends_the_run():
    budget = Budget(5.0)
    budget.settle(take(budget, "m", PRICE, 0, 3_000_000), 2.97)
    with pytest.raises(ModelError) as caught:
        take(budget, "m", PRICE, 0, 2_040_000)
    assert caught.value.fatal
    assert all(word in caught.value.what for word in ("--ftgate-max-cost 5", "$2.97", "$2.04"))
    assert tokens(take(budget, "m", PRICE, 0, 2_030_000)) == 2_030_000  # which just reaches it
    assert (budget.spent_usd, budget.in_flight_usd) == (2.97, 2.03)


def test_where_the_first_answer_is_guessed_at_that_is_said():
    with pytest.raises(ModelError, match=r"max_tokens(.|\n)*1,000 tokens"):
        take(Budget(0.0005), "m", PRICE, 0, None)


def test_several_questions_of_one_call_are_set_aside_together():
    budget = Budget(5.0)
    with pytest.raises(ModelError, match=r"3 .*\$6\.00"):
        budget.take(Call("m", PRICE, [0, 0, 0], 2_000_000))
    assert budget.in_flight_usd == 0
    made = budget.take(Call("m", PRICE, [0, 3], 2_000_000))
    assert made is not None
    assert [tokens(one) for one in made] == [2_000_000, 2_000_001]


def test_a_call_of_unknown_cost_counts_with_its_estimate_and_is_told_apart():
    budget = Budget(1.0)
    budget.settle(take(budget, "m", PRICE, 0, 400_000), None)
    assert (budget.spent_usd, budget.unsure_usd, budget.in_flight_usd) == (0.0, 0.4, 0.0)
    assert "1 call" in budget.unsure_said
    budget.settle(take(budget, "m", PRICE, 0, 600_000), 0.1)
    assert (budget.spent_usd, budget.unsure_usd, budget.in_flight_usd) == (0.1, 0.4, 0.0)
    with pytest.raises(ModelError) as caught:
        take(budget, "m", PRICE, 0, 500_001)
    assert all(word in str(caught.value) for word in ("$0.5000", "$0.4000", "1 call"))


def test_a_call_is_settled_once():
    budget = Budget(1.0)
    made = take(budget, "m", PRICE, 0, 1)
    budget.settle(made, 0.0)
    with pytest.raises(KeyError):
        budget.settle(made, 0.0)


def test_workers_share_the_limit_evenly_and_say_so():
    budget = Budget(1.0, workers=4)
    budget.settle(take(budget, "m", PRICE, 0, 250_000), 0.25)
    with pytest.raises(ModelError, match=r"--ftgate-max-cost 1, .*4 .*\$0\.2500"):
        take(budget, "m", PRICE, 0, 1)


@given(
    st.floats(1e-6, 10),
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1), st.booleans()),
        max_size=60,
    ),
)
def test_spent_and_in_flight_never_pass_the_limit(limit, calls):
    """As long as no call costs more than its estimate, whatever the order in which calls end."""
    budget, under_way = Budget(limit), []
    for wait, characters, outputs, share, fails in calls:
        try:
            made = budget.take(Call("m", PRICE, [characters], outputs))
            assert made is not None or under_way
            under_way += made or []
        except ModelError:
            assert not under_way
        while len(under_way) > wait:
            ended = under_way.pop(0)
            budget.settle(ended, None if fails else float(ended.usd) * share)
        assert budget._spent + budget._unsure + budget._in_flight <= Fraction(repr(limit))
        assert budget._in_flight == sum(one.usd for one in under_way)


@given(st.lists(st.tuples(st.integers(1, 10**4), st.integers(0, 3 * 10**4), st.integers(0, 10**4)), min_size=1))
def test_no_answer_like_one_before_costs_more_than_its_estimate(rows):
    budget = Budget(1e9)
    for characters, inputs, outputs in rows:
        completion = answered(inputs, outputs)
        budget.settle(take(budget, "m", PRICE, characters, None), None, completion=completion)
    for characters, inputs, outputs in rows:
        cost = cost_of(answered(inputs, outputs), PRICE)
        assert cost is not None
        assert take(budget, "m", PRICE, characters, None).usd >= Fraction(repr(cost))


def test_threads_share_one_budget():
    """Each with an event loop of its own: who waits is woken by a call that ends in another."""
    budget = Budget(0.5)

    async def one():
        try:
            (made,) = await budget.reserve(Call("m", PRICE, [0], 1_000))
        except ModelError:
            return 0
        await asyncio.sleep(0)
        budget.settle(made, 0.001)
        return 1

    async def many():
        return sum(await asyncio.gather(*(one() for _ in range(100))))

    with ThreadPoolExecutor(8) as pool:
        done = sum(pool.map(lambda _: asyncio.run(many()), range(10)))
    assert done == 500 == round(budget.spent_usd / 0.001)


# --- waiting -------------------------------------------------------------------------------------------------


class Table:
    """Calls that are made at a shared budget, one a name, and in which order they could begin."""

    def __init__(self, limit):
        self.budget = Budget(limit)
        self.begun = []

    def call(self, name, outputs, cost, seconds=1.0, **facts):
        async def made():
            reserved = await self.budget.reserve(Call(facts.get("model", "m"), PRICE, [0], outputs, facts.get("owner")))
            self.begun.append(name)
            found = None
            try:
                await asyncio.sleep(seconds)
                found = cost
            finally:
                self.budget.settle(reserved[0], found, completion=facts.get("completion"))

        return asyncio.create_task(made())


def test_what_does_not_fit_waits_until_the_calls_in_flight_have_ended():
    async def main():
        table = Table(1.0)
        tasks = [table.call(str(i), 600_000, 0.2) for i in range(4)]
        await asyncio.gather(*tasks[:3])
        assert table.budget.spent_usd == pytest.approx(0.6)
        with pytest.raises(ModelError, match=r"\$0\.6000.*\$0\.6000"):
            await tasks[3]
        assert table.begun == ["0", "1", "2"]

    virtual_time.run(main())


def test_those_who_wait_learn_from_the_answers_that_arrive():
    """The first answer shows that they have 10 tokens, not 1,000: all others then fit side by side."""

    async def main():
        table, loop = Table(0.0015), asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(table.call(str(i), None, 1e-5, completion=answered(0, 10)) for i in range(100)))
        assert loop.time() - began == 2
        assert table.budget.spent_usd == pytest.approx(0.001)

    virtual_time.run(main())


def test_nobody_overtakes_a_dear_call_that_waits():
    """Small calls would else go on spending until the dear one fits no more, though it costs little."""

    async def main():
        table = Table(1.0)
        tasks = [table.call("small", 100_000, 0.1), table.call("dear", 950_000, 0.01, model="dear")]
        await asyncio.sleep(0)
        tasks += [table.call(f"late{i}", 100_000, 0.1) for i in range(2)]
        with pytest.raises(ModelError, match=r"\$0\.9500"):
            await tasks[1]
        await asyncio.gather(tasks[0], *tasks[2:])
        assert table.begun == ["small", "late0", "late1"]

    virtual_time.run(main())


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_who_waits_is_woken_however_a_call_ends(how):
    async def main():
        table = Table(1.0)
        first = table.call("first", 300_000, None, seconds=1.0 if how == "failed" else 1000.0)
        await asyncio.sleep(0)
        second = table.call("second", 800_000, 0.1)
        await asyncio.sleep(0.5)
        if how == "cancelled":
            first.cancel()
        with pytest.raises(ModelError, match=r"\$0\.3000.*\$0\.3000.*1 call"):
            await second
        await asyncio.gather(first, return_exceptions=True)

    virtual_time.run(main())


def test_one_who_waits_and_is_cancelled_leaves_nothing_behind_and_holds_up_nobody():
    async def main():
        table = Table(1.0)
        first = table.call("first", 600_000, 0.1)
        await asyncio.sleep(0)
        gone = table.call("gone", 900_000, 0.1)
        after = table.call("after", 400_000, 0.1)
        await asyncio.sleep(0.5)
        assert table.begun == ["first"]
        gone.cancel()
        await asyncio.gather(first, after)
        assert table.begun == ["first", "after"]
        assert (table.budget.spent_usd, table.budget.in_flight_usd, table.budget.unsure_usd) == (0.2, 0, 0)

    virtual_time.run(main())


def test_a_call_that_hangs_after_its_run_holds_up_nobody():
    async def main():
        table, owner = Table(1.0), object()
        hangs = table.call("hangs", 300_000, 0.1, seconds=1000.0, owner=owner)
        await asyncio.sleep(0)
        waits = table.call("waits", 900_000, 0.1, owner=owner)
        other = table.call("other", 700_000, 0.1)
        await asyncio.sleep(0)
        assert table.begun == ["hangs"]
        table.budget.close(owner)
        await other
        assert table.begun == ["hangs", "other"]
        assert (table.budget.spent_usd, table.budget.unsure_usd) == (0.1, 0.3)
        for task in (hangs, waits):
            task.cancel()
        await asyncio.gather(hangs, waits, return_exceptions=True)
        assert table.budget.in_flight_usd == 0

    virtual_time.run(main())


def test_a_queue_outlives_the_loop_of_its_first():
    table = Table(1.0)
    made = take(table.budget, "m", PRICE, 0, 600_000)
    with closing(asyncio.new_event_loop()) as loop:
        waits = loop.create_task(table.budget.reserve(Call("m", PRICE, [0], 500_000)))
        loop.run_until_complete(asyncio.sleep(0))
    table.budget.settle(made, 0.1)
    assert tokens(take(table.budget, "m", PRICE, 0, 500_000)) == 500_000
    waits._log_destroy_pending = False  # that it hangs is what is tested
    del waits


# --- who is counted ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "covered", "uncounted"),
    [
        (model(PRICE, endpoint=True), True, ()),
        (model({"gpu_hour_usd": 1}), True, ()),
        (model(), False, ("mine",)),  # a function without a price is named, once
        (model(PRICE, verified=True), False, ()),  # recorded predictions cost nothing
        (model(verified=False), False, ()),
    ],
)
def test_what_has_a_price_is_counted(asked, covered, uncounted):
    budget = Budget(1.0)
    assert [budget.covers(asked), budget.covers(asked)] == [covered, covered]
    assert budget.uncounted == uncounted


def test_an_endpoint_without_a_price_ends_the_run_before_its_first_call():
    with pytest.raises(ModelError) as caught:
        Budget(1.0).covers(model(UNKNOWN, endpoint=True))
    assert caught.value.fatal
    assert str(caught.value.where) == "price"
    assert "mine" in caught.value.what
    assert caught.value.evidence == UNKNOWN.unknown
    assert "input_per_1m" in caught.value.cure


def test_a_call_whose_cost_nobody_knows_is_not_made():
    with pytest.raises(ModelError, match="price for m"):
        take(Budget(1.0), "m", UNKNOWN, 10, 10)
    stepped = Price("table", 1.0, 1.0, most_input_tokens=1_000)
    assert tokens(take(Budget(1.0), "m", stepped, 3_000, 0)) == 1_000
    with pytest.raises(ModelError, match="1,000 input tokens"):
        take(Budget(1.0), "m", stepped, 3_001, 0)
