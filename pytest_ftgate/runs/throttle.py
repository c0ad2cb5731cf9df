"""Decide when the next call to a model may begin, and when a model that answers no call is given up."""

import asyncio
from collections.abc import Callable
from math import ceil

from pytest_ftgate.errors import ModelError
from pytest_ftgate.runs.asking import AbandonedError
from pytest_ftgate.text import show_age

LONGEST_WAIT_S = 120.0
"""Seconds that a run waits because an endpoint asks it to, unless the gate's ``timeout_s`` leaves more."""

_ENOUGH = 5  # questions without an answer at the start of a run, or abandoned calls in a row, after which it ends


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

    At first ``most`` calls may be in flight. When the endpoint says that it is busy, the limit is halved, once for all
    calls that began before; each round of answers then raises it by one. Source: Chiu and Jain, "Analysis of the
    increase and decrease algorithms for congestion avoidance in computer networks", 1989; RFC 5681.

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
        pause_s: Callable[[], float] = lambda: 0.0,
        longest_wait_s: Callable[[], float] = lambda: LONGEST_WAIT_S,
    ) -> None:
        self.longest_wait_s = longest_wait_s
        self.limit = float(most)  # how many calls may be in flight now; its fraction grows
        self._most = self._slots = most
        self._window = 0
        self._free = asyncio.Semaphore(most)
        self._interval_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next_at = self._resume_at = 0.0
        self._pause_s = pause_s

    async def enter(self) -> int:
        """Wait until a call may begin, and return its window, which :meth:`leave` takes.

        Raises:
            ModelError: the endpoint asks for a longer wait than the run may take.
        """
        await self._free.acquire()
        try:
            begins = max(_now(), self._next_at)
            self._next_at = begins + self._interval_s
            await asyncio.sleep(begins - _now())
            while (pause_s := max(self._pause_s(), self._resume_at - _now())) > 0:
                if pause_s > self.longest_wait_s():
                    raise wait_refused(pause_s)
                await asyncio.sleep(pause_s)
        except BaseException:
            self._release()
            raise
        return self._window

    def leave(self, window: int, error: ModelError | None) -> None:
        """Record that a call of this window has ended, with an answer or with this error."""
        if error is None:
            self.limit = min(self._most, self.limit + 1 / self.limit)
        elif error.kind == "busy":
            if window == self._window:
                self._window += 1
                self.limit = max(1.0, self.limit / 2)
            self._resume_at = max(self._resume_at, _now() + (error.retry_after_s or 0.0))
        self._release()

    def _release(self) -> None:
        """Take back one slot, and give out as many as the limit allows."""
        self._slots -= 1
        while self._slots < int(self.limit):
            self._slots += 1
            self._free.release()


def _now() -> float:
    return asyncio.get_running_loop().time()


class Outage:
    """Decide from failed calls that the model will not answer at all.

    Until a call is answered, the run ends once 5 questions were given up: after their retries, or after their second
    timeout; if calls time out, as many as are asked ``at_once``. With ``stored`` answers, what is still missing may be
    what the endpoint cannot answer: then a tenth of these have to fail, and refused requests do not count. Nor do
    failures of a Python function that may not pass. The run also ends where the endpoint has been busy for 2 minutes;
    and, after any answer, with 5 abandoned calls in a row: each took its time limit and left a thread behind.
    """

    def __init__(self, at_once: int = 1, *, stored: int = 0) -> None:
        self._few = min(_ENOUGH, max(2, at_once))
        self._stored = stored
        self._given_up: set[str] | None = set()  # None: a call was answered
        self._abandoned = 0
        self._busy_since: float | None = None

    def over(self) -> None:
        """Record that a call was answered."""
        self._given_up, self._abandoned = None, 0

    def failed(self, key: str, error: ModelError, *, given_up: bool) -> ModelError:
        """Record a failed call for a question. Return the error, fatal if it ends the run."""
        self._abandoned = self._abandoned + 1 if isinstance(error, AbandonedError) else 0
        if self._abandoned >= _ENOUGH:
            return ModelError(f"{error.what}, as were the {_ENOUGH - 1} calls before it", **error.parts(fatal=True))
        counts = not self._stored if error.kind in ("refused", "unreadable") else error.retryable
        if self._given_up is None or not counts:
            return error
        if error.kind == "busy" and self._busy_since is None:
            self._busy_since = _now()
        self._given_up |= {key} if given_up else set()
        enough = max(self._few if error.kind == "timeout" else _ENOUGH, self._stored // 10)
        waited = self._busy_since is not None and _now() - self._busy_since >= LONGEST_WAIT_S
        if len(self._given_up) < enough and not waited:
            return error
        evidence = "; ".join(filter(None, (error.evidence, "no call of this run was answered")))
        return ModelError(error.what, **error.parts(fatal=True, evidence=evidence))
