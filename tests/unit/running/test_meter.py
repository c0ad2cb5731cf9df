"""What each call costs, on a budget: in a run, and where calls fail."""

import asyncio
import gc
from contextlib import suppress

import pytest
from fakes import Fake, questions, run

from pytest_ftgate.models import Completion
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.runs.budget import Budget
from pytest_ftgate.runs.jobs import TimeLimit

PRICE = Price("here", input_per_1m=100_000.0, output_per_1m=100_000.0)  # a tenth of a dollar for a token


class Model(Fake):
    """Each question has 3 characters, taken for one token; an answer takes one token and is allowed no more."""

    name = "priced"
    endpoint = True
    params = {"max_tokens": 1}  # noqa: RUF012

    def __init__(self, price=PRICE, concurrency=1):
        self.price = price
        self.concurrency = concurrency
        self.calls = 0

    async def complete(self, example, repeat=0):
        self.calls += 1
        await asyncio.sleep(0)
        return Completion("yes", input_tokens=1, output_tokens=1)


TEN = questions(*(f"q{i:02}" for i in range(10)))


# Python 3.12.1 says more than asyncio does of a task that is collected in the middle of a call.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <coroutine object ModelQueue.work:pytest.PytestUnraisableExceptionWarning"
)
def test_calls_that_hang_when_their_run_has_ended_are_booked(stores):
    class Stubborn(Model):
        async def complete(self, example, repeat=0):
            self.calls += 1
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(3600)

    model, budget = Stubborn(), Budget(1.1)
    run(model, stores, questions("q01"), budget=budget, limit=TimeLimit(0.0, "here", 0.0))
    assert model.calls == 1
    assert (budget.in_flight, budget.unsure_usd) == (0, pytest.approx(0.2))
    gc.collect()  # asyncio complains of the abandoned task when it is collected: here, not in a later test


def test_a_machine_by_the_hour_is_paid_for_as_long_as_it_was_busy(stores):
    budget = Budget(1000)
    found = run(Model(Price("here", gpu_hour_usd=3600.0), 2), stores, TEN, budget=budget)
    busy = [p.busy_s for p in found.predictions[0]]
    assert all(share is not None for share in busy)
    assert budget.spent_usd == pytest.approx(sum(share or 0 for share in busy))
