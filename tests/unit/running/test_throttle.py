"""How many calls are in flight, and when the next begins: in virtual time."""

import asyncio

import pytest
import virtual_time
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ModelError
from pytest_ftgate.runs.throttle import Throttle


def busy(retry_after_s=None):
    return ModelError("busy", retryable=True, kind="busy", retry_after_s=retry_after_s)


class Endpoint:
    """Takes a second for each call, bears so many at once, and refuses those that are too many."""

    def __init__(self, bears, throttle, retry_after_s=None):
        self.bears = bears
        self.throttle = throttle
        self.retry_after_s = retry_after_s
        self.in_flight = 0
        self.most = 0
        self.begun = []
        self.refused = 0

    async def call(self):
        """One call after the other until one is answered."""
        while not await self._attempt():
            pass

    async def _attempt(self):
        window = await self.throttle.enter()
        self.begun.append(asyncio.get_running_loop().time() - 1000.0)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        if self.in_flight > self.bears:
            self.in_flight -= 1
            self.refused += 1
            self.throttle.leave(window, busy(self.retry_after_s))
            return False
        await asyncio.sleep(1)
        self.in_flight -= 1
        self.throttle.leave(window, None)
        return True


def serve(endpoint, n):
    """Answer ``n`` questions; the seconds that took."""

    async def all_of_them():
        await asyncio.gather(*(endpoint.call() for _ in range(n)))
        return asyncio.get_running_loop().time() - 1000.0

    return virtual_time.run(all_of_them())


def test_a_refusal_halves_what_may_be_in_flight_once_a_window():
    throttle = Throttle(16)

    async def refused():
        windows = [await throttle.enter() for _ in range(16)]
        limits = []
        for window in windows:
            throttle.leave(window, busy())
            limits.append(int(throttle.limit))
        for _ in range(50):
            throttle.leave(await throttle.enter(), busy())
            limits.append(int(throttle.limit))
        return limits

    assert virtual_time.run(refused()) == [8] * 16 + [4, 2] + [1] * 48


def test_each_window_of_answers_lets_one_more_in():
    throttle = Throttle(16)

    async def grown():
        throttle.leave(await throttle.enter(), busy())
        limits = []
        for _ in range(3):
            for _ in range(int(throttle.limit) + 1):
                throttle.leave(await throttle.enter(), None)
            limits.append(int(throttle.limit))
        return limits

    assert virtual_time.run(grown()) == [9, 10, 11]


@given(bears=st.integers(1, 12), most=st.integers(1, 40))
def test_it_finds_what_an_endpoint_bears(bears, most):
    """Most of the endpoint's power is used, and no more calls are refused than answered."""
    endpoint = Endpoint(bears, Throttle(most))
    seconds = serve(endpoint, 50 * bears)
    assert endpoint.refused <= 50 * bears + most
    assert 50 * bears / seconds >= 0.6 * min(bears, most)
    assert endpoint.most <= most


@pytest.mark.parametrize(("allowed", "wait_s"), [({}, 30), ({"longest_wait_s": lambda: 4000}, 3600)])
def test_retry_after_holds_back_everybody(allowed, wait_s):
    endpoint = Endpoint(1, Throttle(2, **allowed), retry_after_s=wait_s)
    serve(endpoint, 3)
    assert endpoint.begun[:2] == [0, 0]
    assert endpoint.begun[2] == pytest.approx(wait_s)


def test_requests_per_minute_are_spread():
    endpoint = Endpoint(999, Throttle(999, requests_per_minute=120))
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
