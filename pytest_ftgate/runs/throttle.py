"""When the next call to one model may begin: as many at once as its endpoint bears, and no faster than it allows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

MOST_PAUSE_S = 120.0


class Throttle:
    """Additive increase, multiplicative decrease, as TCP shares a line.

    All ``most`` calls may be in flight at first. When the endpoint says that it is busy, half of that may; each window
    of answers then lets one more in. Calls that had begun before the limit was halved do not halve it again: they say
    nothing about the new one. Source: Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion
    avoidance in computer networks", 1989; once a window: RFC 5681.

    Args:
        most: calls in flight that are never exceeded.
        requests_per_minute: calls that may begin within a minute, evenly spread; ``None``: any number.
        tokens_per_minute: likewise tokens of questions and answers together.
        pause_s: seconds for which the endpoint wants no further call, as its last answers said.
    """

    def __init__(
        self,
        most: int,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        pause_s: Callable[[], float] | None = None,
    ) -> None:
        self._most = most
        self._limit = float(most)
        self._window = 0
        self._in_flight = 0
        self._resume_at = 0.0
        self._pause_s = pause_s
        self._requests = RateLimit(requests_per_minute) if requests_per_minute is not None else None
        self._tokens = RateLimit(tokens_per_minute) if tokens_per_minute is not None else None
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """Return how many calls may be in flight now."""
        return int(self._limit)

    async def enter(self, tokens: float = 0.0) -> int:
        """Return once a call may begin.

        Args:
            tokens: what question and answer are expected to take; only counted where tokens are limited.

        Returns:
            The window that the call belongs to, for :meth:`refused`.
        """
        await self._slot()
        try:
            await self._turn(tokens)
        except BaseException:
            self._free()
            raise
        return self._window

    @property
    def counts_tokens(self) -> bool:
        """Return whether tokens are limited."""
        return self._tokens is not None

    def answered(self) -> None:
        """Hear that a call has ended with an answer."""
        self._limit = min(self._most, self._limit + 1 / self._limit)
        self._free()

    def correct(self, tokens: float) -> None:
        """Hear that an answer took so many more tokens than expected, or fewer where negative."""
        if self._tokens is not None:
            self._tokens.correct(tokens)

    def refused(self, window: int, retry_after_s: float | None) -> None:
        """Hear that a call was one too many for the endpoint.

        Args:
            window: what :meth:`enter` gave it.
            retry_after_s: seconds for which the endpoint wants no further call.
        """
        self._shrink(window, retry_after_s)
        self._free()

    def failed(self) -> None:
        """Hear that a call has ended otherwise, which says nothing about how many the endpoint bears."""
        self._free()

    async def _slot(self) -> None:
        while self._in_flight >= self.limit:
            freed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(freed)
            try:
                await freed
            except BaseException:
                self._wake()  # in place of one who was woken and cancelled at once
                raise
        self._in_flight += 1

    async def _turn(self, tokens: float) -> None:
        if self._requests is not None:
            await asyncio.sleep(self._requests.reserve_s(1))
        if self._tokens is not None:
            await asyncio.sleep(self._tokens.reserve_s(tokens))
        while (pause_s := self._pause()) > 0:
            await asyncio.sleep(pause_s)

    def _pause(self) -> float:
        asked = self._pause_s() if self._pause_s is not None else 0.0
        if not asked and not self._resume_at:
            return 0.0
        return max(min(asked, MOST_PAUSE_S), self._resume_at - asyncio.get_running_loop().time())

    def _shrink(self, window: int, retry_after_s: float | None) -> None:
        if window == self._window:
            self._window += 1
            self._limit = max(1.0, self._limit / 2)
        if retry_after_s:
            now = asyncio.get_running_loop().time()
            self._resume_at = max(self._resume_at, now + min(retry_after_s, MOST_PAUSE_S))

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
    """A line in which each unit takes its time: no minute ever sees more of them than it may.

    Args:
        per_minute: units that may begin within a minute.
    """

    def __init__(self, per_minute: float) -> None:
        self._seconds = 60.0 / per_minute
        self._free_at = 0.0

    def reserve_s(self, units: float) -> float:
        """Take the next place for so many units; seconds until it has come."""
        now = asyncio.get_running_loop().time()
        begins = max(now, self._free_at)
        self._free_at = begins + units * self._seconds
        return begins - now

    def correct(self, units: float) -> None:
        """So many more units were taken than had been reserved, or fewer where negative."""
        self._free_at += units * self._seconds
