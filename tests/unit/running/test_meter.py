"""What each call costs, on a budget: in a run, and where calls fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion, Question
from pytest_ftgate.money.price import Price
from pytest_ftgate.running.asking import RetryPolicy
from pytest_ftgate.running.budget import Budget
from pytest_ftgate.running.runner import Job, Run, Stores, run_models
from pytest_ftgate.running.store import Store

PRICE = Price("here", input_per_1m=100_000.0, output_per_1m=100_000.0)  # a tenth of a dollar for a token


class Model:
    """Each question has 3 characters, taken for one token; an answer takes one token and is allowed no more."""

    name = "priced"
    spelling = "test:priced"
    verified = None
    timeout_s = 60.0
    retries = 1
    persistent = True
    endpoint = True
    params = {"max_tokens": 1}  # noqa: RUF012

    def __init__(self, price: Any = PRICE, concurrency: int = 1, *found: Any) -> None:
        self.price = price
        self.concurrency = concurrency
        self.found = list(found)
        self.calls = 0

    def key(self, example: Example, repeat: int = 0) -> str:
        return f"{example.input}/{repeat}"

    async def complete(self, example: Example, repeat: int = 0) -> Completion:
        self.calls += 1
        await asyncio.sleep(0)
        found = self.found.pop(0) if self.found else None
        if isinstance(found, BaseException):
            raise found
        return Completion("yes", input_tokens=1, output_tokens=1)

    async def aclose(self) -> None:
        pass


class Many(Model):
    batch_size = 4

    async def complete_many(self, questions: Sequence[Question]) -> Sequence[Completion | ModelError]:
        self.calls += len(questions)
        return [await self.complete(q.example) for q in questions]


@pytest.fixture
def stores() -> Iterator[Stores]:
    with closing(Store(None)) as persistent, closing(Store(None)) as session:
        yield Stores(persistent, session)


def run(model: Model, stores: Stores, budget: Budget, n: int = 10) -> Run:
    examples = tuple(Example(str(i), f"q{i:02}", "x") for i in range(n))
    job = Job(model, DataSet(examples, None, "", None, "test"))  # type: ignore[arg-type]
    (found,) = run_models([job], stores=stores, retry=RetryPolicy(base_s=0.0), budget=budget)
    return found


def n_answered(found: Run) -> int:
    return sum(p.completion is not None for p in found.predictions[0])


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_call_that_would_pass_the_limit_is_not_made(stores: Stores, concurrency: int) -> None:
    model, budget = Model(PRICE, concurrency), Budget(1.1)  # five calls at 0.2
    found = run(model, stores, budget)
    assert "--ftgate-max-cost 1.1" in str(found.fatal)
    assert model.calls == 5
    assert budget.spent_usd <= 1.0
    assert budget.in_flight_usd == 0.0


def test_what_is_stored_costs_nothing(stores: Stores) -> None:
    first = run(Model(), stores, Budget(1.1))
    again = run(Model(), stores, Budget(1.1))
    assert (n_answered(first), n_answered(again)) == (5, 10)
    assert again.fatal is None


def test_a_call_that_failed_counts_with_its_estimate(stores: Stores) -> None:
    model = Model(PRICE, 1, ModelError("gone", retryable=True))
    budget = Budget(100)
    run(model, stores, budget, n=2)
    assert model.calls == 3
    assert budget.spent_usd == pytest.approx(0.6)


def test_several_questions_in_one_call_are_paid_for_before_it_is_made_or_not_at_all(stores: Stores) -> None:
    model, budget = Many(), Budget(1.1)
    found = run(model, stores, budget)
    assert n_answered(found) == 4
    assert budget.spent_usd == pytest.approx(0.8)
    assert "is spent or in flight" in str(found.fatal)


def test_an_endpoint_without_a_price_is_not_asked(stores: Stores) -> None:
    model = Model(None)
    found = run(model, stores, Budget(5))
    assert model.calls == 0
    assert str(found.fatal).startswith("price: the price of priced is unknown, so --ftgate-max-cost cannot be kept")


def test_a_machine_by_the_hour_is_paid_for_as_long_as_it_was_busy(stores: Stores) -> None:
    budget = Budget(1000)
    found = run(Model(Price("here", gpu_hour_usd=3600.0), 2), stores, budget)
    busy = [p.busy_s for p in found.predictions[0]]
    assert all(share is not None for share in busy)
    assert budget.spent_usd == pytest.approx(sum(share or 0 for share in busy))
