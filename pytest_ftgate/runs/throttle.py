"""Decide when the next call to a model may begin: limit calls in flight and requests per minute.

A model that answers no call is given up.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from math import ceil

from pytest_ftgate.errors import ModelError
from pytest_ftgate.runs.run_state import ENOUGH
from pytest_ftgate.text import show_age

LONGEST_WAIT_S = 120.0
"""Seconds that a run waits because an endpoint asks it to, unless the gate's ``timeout_s`` leaves more."""


def wait_refused(seconds: float) -> ModelError:
    """Return the error that ends a run because the endpoint asks for a longer wait than the run may take."""
    wait = show_age(60 * ceil(seconds / 60))
    return ModelError(
        f"the endpoint accepts no further calls for {wait}",
        kind="busy",
        fatal=True,
        unpaid=True,
        cure=f"run again in {wait}: stored answers are reused; or let the gate wait longer, for example with "
        f"timeout_s: {ceil(seconds) + 600}",
    )


class Throttle:
    """Limit the calls in flight by additive increase and multiplicative decrease, as TCP does.

    At first ``most`` calls may be in flight. When the endpoint says that it is busy, the limit is halved; each window
    of answers then raises it by one. Calls that began before the limit was halved do not halve it again, since they say
    nothing about the new limit. Source: Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion
    avoidance in computer networks", 1989; at most once per window: RFC 5681.

    Args:
        most: the largest number of calls in flight.
        requests_per_minute: calls that may begin within a minute, evenly spread; ``None``: no limit.
        pause_s: returns for how many seconds the endpoint accepts no further call, according to its last answers.
        longest_wait_s: returns how many seconds the endpoint may hold up the run.
    """

    def __init__(
        self,
        most: int,
        *,
        requests_per_minute: float | None = None,
        pause_s: Callable[[], float] | None = None,
        longest_wait_s: Callable[[], float] = lambda: LONGEST_WAIT_S,
    ) -> None:
        self.longest_wait_s = longest_wait_s
        self._most = most
        self._limit = float(most)
        self._window = 0
        self._in_flight = 0
        self._resume_at = 0.0
        self._pause_s = pause_s
        self._requests = RateLimit(requests_per_minute) if requests_per_minute is not None else None
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """Return how many calls may be in flight now."""
        return int(self._limit)

    async def enter(self) -> int:
        """Wait until a call may begin, and return its window.

        Raises:
            ModelError: the endpoint asks for a longer wait than the run may take.
        """
        await self._slot()
        try:
            await self._turn()
        except BaseException:
            self._free()
            raise
        return self._window

    def answered(self) -> None:
        """Record that a call ended with an answer."""
        self._limit = min(self._most, self._limit + 1 / self._limit)
        self._free()

    def refused(self, window: int, retry_after_s: float | None) -> None:
        """Record that the endpoint was too busy for a call of this window, and how many seconds it asks to wait."""
        if window == self._window:
            self._window += 1
            self._limit = max(1.0, self._limit / 2)
        if retry_after_s:
            now = asyncio.get_running_loop().time()
            self._resume_at = max(self._resume_at, now + retry_after_s)
        self._free()

    def failed(self) -> None:
        """Record that a call failed for a reason that says nothing about the endpoint's load."""
        self._free()

    async def _slot(self) -> None:
        while self._in_flight >= self.limit:
            freed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(freed)
            try:
                await freed
            except BaseException:
                self._wake()  # this waiter was woken, but cancelled before it could take the place
                raise
        self._in_flight += 1

    async def _turn(self) -> None:
        if self._requests is not None:
            await asyncio.sleep(self._requests.reserve_s())
        while (pause_s := self._pause()) > 0:
            if pause_s > self.longest_wait_s():
                raise wait_refused(pause_s)
            await asyncio.sleep(pause_s)

    def _pause(self) -> float:
        asked = self._pause_s() if self._pause_s is not None else 0.0
        if not asked and not self._resume_at:
            return 0.0
        return max(asked, self._resume_at - asyncio.get_running_loop().time())

    def _free(self) -> None:
        self._in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        free = self.limit - self._in_flight
        while free > 0 and self._waiting:
            freed = self._waiting.popleft()
            if not freed.done():
                freed.set_result(None)
                free -= 1


class RateLimit:
    """Space calls evenly, so that no minute has more of them than allowed."""

    def __init__(self, per_minute: float) -> None:
        self._seconds = 60.0 / per_minute
        self._free_at = 0.0

    def reserve_s(self) -> float:
        """Reserve the next call, and return the seconds until it may begin."""
        now = asyncio.get_running_loop().time()
        begins = max(now, self._free_at)
        self._free_at = begins + self._seconds
        return begins - now


_PATIENCE_S = 15.0  # what the retries of one question take, unless the endpoint asks for longer waits


class Outage:
    """Decide from failed calls, until one is answered, that the model will not answer at all.

    A question is given up after its retries, or after its second timeout, since waiting once more takes as long again.
    The run ends after at least 5 failed calls, once as many questions were given up as calls are made at the same time,
    at most 5. If the endpoint responds at all, one question more has to fail, since a single one may be at fault; if it
    can be reached, at least a tenth as many as there are stored answers. It also ends when the endpoint still asks to
    wait after the time that the retries of one question take: the throttle makes all questions wait in turn.

    Failures of a Python function that may not pass are not counted: the code may reject single questions.

    Args:
        at_once: how many calls are made at the same time.
        stored: how many answers were stored before the run. They show that the endpoint accepts such requests, but not
            that it can be reached now; what is still missing may be the few questions that it cannot answer.
    """

    def __init__(self, at_once: int, *, stored: int = 0) -> None:
        self._at_once = at_once
        self._stored = stored
        self._answered = False
        self._since: float | None = None
        self._calls: Counter[str] = Counter()
        self._given_up: set[str] = set()

    def over(self) -> None:
        """Record that a call was answered: later failures never end the run."""
        self._answered = True

    def failed(self, key: str, error: ModelError, *, last: bool) -> ModelError:
        """Record a failed call for a question, the last one or not. Return the error, fatal if it ends the run."""
        rejected = error.kind in ("refused", "unreadable")
        if self._answered or error.fatal or not (error.retryable or rejected) or (rejected and self._stored):
            return error
        self._calls[key] += 1
        if last or (error.kind == "timeout" and self._calls[key] > 1):
            self._given_up.add(key)
        if not self._has_waited(error) and not self._has_given_up(error):
            return error
        evidence = "; ".join(filter(None, (error.evidence, "no call of this run was answered")))
        return ModelError(error.what, **error.parts(fatal=True, evidence=evidence))

    def _has_waited(self, error: ModelError) -> bool:
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        asked_s = error.retry_after_s
        return asked_s is not None and now - self._since >= max(_PATIENCE_S, ENOUGH * asked_s)

    def _has_given_up(self, error: ModelError) -> bool:
        no_answer = error.kind in ("timeout", "unreachable")
        enough = min(ENOUGH, self._at_once if no_answer else self._at_once + 1)
        if error.kind != "unreachable":
            enough = max(enough, self._stored // 10)
        return len(self._given_up) >= enough and sum(self._calls[key] for key in self._given_up) >= ENOUGH
