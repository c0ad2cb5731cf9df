"""How many calls are in flight, and when the next begins: in virtual time."""

import asyncio

import pytest
import virtual_time
from fakes import Fake, questions, run_at_once
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ModelError
from pytest_ftgate.runs.asking import Throttle
from pytest_ftgate.runs.jobs import Stores
from pytest_ftgate.runs.store import Store


def busy(retry_after_s=None):
    return ModelError("busy", retryable=True, kind="busy", retry_after_s=retry_after_s)


def test_a_refusal_halves_what_may_be_in_flight_once_a_window_and_each_window_of_answers_lets_one_more_in():
    throttle = Throttle(16)

    async def limits():
        for window in [await throttle.enter() for _ in range(16)]:
            throttle.leave(window, busy())
            yield int(throttle.limit)
        for refused in (True, True, True, True, *[False] * 6):
            throttle.leave(await throttle.enter(), busy() if refused else None)
            yield int(throttle.limit)

    async def all_of_them():
        return [limit async for limit in limits()]

    assert virtual_time.run(all_of_them()) == [8] * 16 + [4, 2, 1, 1] + [2, 2, 2, 3, 3, 3]


class Endpoint(Fake):
    """Takes a second for each call, bears so many at once, and refuses those that are too many."""

    def __init__(self, bears, most, retry_after_s=None, **facts):
        super().__init__(concurrency=most, retries=100, **facts)
        self.bears = bears
        self.retry_after_s = retry_after_s
        self.in_flight = self.most = self.refused = 0
        self.begun = []

    async def complete(self, example, repeat=0):
        self.begun.append(asyncio.get_running_loop().time() - 1000.0)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        if self.in_flight > self.bears:
            self.in_flight -= 1
            self.refused += 1
            raise busy(self.retry_after_s)
        await asyncio.sleep(1)
        self.in_flight -= 1
        return await super().complete(example, repeat)


def serve(endpoint, n):
    """Answer ``n`` questions; the seconds that took."""
    _, seconds = run_at_once(endpoint, Stores(None, Store(None)), questions(*range(n)))
    return seconds


@given(bears=st.integers(1, 12), most=st.integers(1, 40))
def test_it_finds_what_an_endpoint_bears(bears, most):
    """Most of the endpoint's power is used, and few more calls are refused than answered."""
    endpoint = Endpoint(bears, most)
    seconds = serve(endpoint, 50 * bears)
    assert endpoint.refused <= 100 * bears + most
    assert 50 * bears / seconds >= 0.6 * min(bears, most)
    assert endpoint.most <= most


def test_retry_after_holds_back_everybody():
    endpoint = Endpoint(1, 2, retry_after_s=30)
    serve(endpoint, 3)
    assert endpoint.begun[:2] == [0, 0]
    assert endpoint.begun[2] == pytest.approx(30, abs=1)


def test_requests_per_minute_are_spread():
    endpoint = Endpoint(999, 999, requests_per_minute=120)
    serve(endpoint, 300)
    assert endpoint.begun == pytest.approx([i / 2 for i in range(300)])


@pytest.mark.parametrize("woken", [False, True], ids=["waiting", "woken"])
def test_who_is_cancelled_while_waiting_keeps_nobody_out(woken):
    throttle = Throttle(1, requests_per_minute=60)

    async def third():
        window = await throttle.enter()
        second = asyncio.create_task(throttle.enter())
        last = asyncio.create_task(throttle.enter())
        await asyncio.sleep(0)
        if woken:
            throttle.leave(window, None)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        if not woken:
            throttle.leave(window, None)
        await last
        return "in"

    assert virtual_time.run(third()) == "in"
