"""Make one call to a model within its time limit, and say when the next begins.

Of a call only answers and errors come. Plain code runs calls in a loop of its own, also where its
thread has one.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from threading import Event
from typing import Any, TypeVar

from pytest_ftgate import clock
from pytest_ftgate.errors import ModelError
from pytest_ftgate.guarded import RAISED_CURE, told
from pytest_ftgate.models.protocol import (
    COUNTS,
    FINISHES,
    Completion,
    Model,
    Question,
    is_count,
    is_seconds,
)
from pytest_ftgate.models.workers import CallThread
from pytest_ftgate.text import show_age

_T = TypeVar("_T")

FIRST_WAIT_S = 0.5
"""The longest wait before the first retry; that before each further one may be twice as long."""
LONGEST_OWN_WAIT_S = 30.0
LONGEST_WAIT_S = 120.0
"""Seconds that an endpoint may make a run wait."""

# questions without an answer at the start of a run, after which it ends
_ENOUGH = 5


def wait_s(failures: int, retry_after_s: float | None) -> float:
    """Return the seconds to wait after this many failed attempts, 1 or more.

    It is what the endpoint asks for, or else grows with the failures. The method is exponential
    back-off with half of it as jitter.
    """
    if retry_after_s is not None:
        return _granted_s(retry_after_s) + random.random() * FIRST_WAIT_S
    longest = min(LONGEST_OWN_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 30))
    return longest * (1 + random.random()) / 2


def _granted_s(retry_after_s: float) -> float:
    """Return the seconds to wait where an endpoint asks for this many."""
    return min(max(0.0, retry_after_s), LONGEST_WAIT_S)


async def call(model: Model, questions: Sequence[Question]) -> list[Completion | ModelError]:
    """Return the answer or the error of each question.

    Raise :class:`ModelError` if the whole call failed.
    """
    if model.batch_size <= 1:
        ((_, example, repeat),) = questions
        answer = await _in_time(model, lambda: model.complete(example, repeat))
        return [_checked(answer)]

    answers: object = await _in_time(model, lambda: model.complete_many(questions))
    if not isinstance(answers, Sequence) or len(answers) != len(questions):
        raise ModelError(f"the model did not return a list of {len(questions)} answers")

    return list(map(_checked, answers))


async def _in_time(model: Model, ask: Callable[[], Awaitable[_T]]) -> _T:
    try:
        return await asyncio.wait_for(_guarded(ask), model.timeout_s)
    except asyncio.TimeoutError:
        raise ModelError(
            f"no answer within {model.timeout_s:g} s",
            # a thread cannot be cancelled, and retries would leak threads
            retryable=not model.abandons,
            kind="timeout",
            cure="raise the model's timeout_s, lower concurrency, or find out why its calls hang",
        ) from None


async def _guarded(ask: Callable[[], Awaitable[_T]]) -> _T:
    """Make one call, and turn any exception of the model into a :class:`ModelError`."""
    try:
        return await ask()
    except (ModelError, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        # Also sys.exit() and pytest.skip(): a model must not end the run. Ctrl-C does not get here.
        raise ModelError(f"the model raised {told(error)}", cure=RAISED_CURE) from error


def _checked(answer: object) -> Completion | ModelError:
    """Return what a model returned, or the error if it is not an answer.

    An unpaired surrogate, which UTF-8 cannot encode, becomes U+FFFD: a model may stop within an
    emoji.
    """
    if isinstance(answer, ModelError):
        return answer
    if not isinstance(answer, Completion):
        return ModelError(
            f"the model returned a value of type {type(answer).__name__}",
            cure="return a pytest_ftgate.Completion from complete()",
        )

    flaw = _flaw(answer)
    if flaw is not None:
        return ModelError(
            f"the model returned an invalid Completion: {flaw}",
            cure="return a Completion with valid fields; leave out what is unknown",
        )

    # pairs of surrogates become one character, and lone ones U+FFFD
    text = answer.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return answer if text == answer.text else replace(answer, text=text)


def _flaw(answer: Completion) -> str | None:
    if not isinstance(answer.text, str):
        return f"text is of type {type(answer.text).__name__}, not str"
    for name in ("reasoning", "finish_reason"):
        value = getattr(answer, name)
        if not isinstance(value, str | None):
            return f"{name} is of type {type(value).__name__}, not str"
    if answer.finish not in FINISHES:
        return f"finish is {answer.finish!r}, not one of {', '.join(FINISHES)}"

    for name in COUNTS:
        count = getattr(answer, name)
        if count is not None and not is_count(count):
            return f"{name} is not a count"

    if answer.latency_s is not None and not is_seconds(answer.latency_s):
        return f"latency_s is {answer.latency_s!r}"
    return None


class Throttle:
    """Limit the calls in flight by additive increase and multiplicative decrease, as TCP does.

    At first ``most`` calls may be in flight. When the endpoint says that it is busy, the limit is
    halved, once for all calls that began before; each round of answers then raises it by one.
    Source: Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion
    avoidance in computer networks", 1989; RFC 5681.

    Args:
        most: the largest number of calls in flight.
        requests_per_minute: calls that may begin within a minute, evenly spread; ``None``: no
            limit.
    """

    def __init__(self, most: int, requests_per_minute: float | None = None) -> None:
        # how many calls may be in flight now; its fraction grows
        self.limit = float(most)
        self._most = self._slots = most
        self._window = 0
        self._free = asyncio.Semaphore(most)
        self._interval_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next_at = self._resume_at = 0.0

    async def enter(self) -> int:
        """Wait until a call may begin, and return its window, which :meth:`leave` takes."""
        await self._free.acquire()
        try:
            begins = max(_now(), self._next_at)
            self._next_at = begins + self._interval_s
            await asyncio.sleep(begins - _now())
            while (pause_s := self._resume_at - _now()) > 0:
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
            resume_at = _now() + _granted_s(error.retry_after_s or 0.0)
            self._resume_at = max(self._resume_at, resume_at)
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

    Until a call is answered, the run ends once 5 questions were given up: after their retries, or
    after their second timeout. With ``stored`` answers, what is still missing may be what the
    endpoint cannot answer: then a tenth of these have to fail, and refused requests do not count.
    Nor do failures of a Python function that may not pass. After any answer the run ends where the
    endpoint has been busy, and has answered nothing, for as long as the run may wait.
    """

    def __init__(self, stored: int) -> None:
        self._stored = stored
        # None: a call was answered
        self._given_up: set[str] | None = set()
        self._busy_since: float | None = None

    def over(self) -> None:
        """Record that a call was answered."""
        self._given_up = None
        self._busy_since = None

    def failed(self, key: str, error: ModelError, *, given_up: bool) -> ModelError:
        """Record a failed call for a question. Return the error, fatal if it ends the run."""
        if error.kind == "busy":
            if self._busy_since is None:
                self._busy_since = _now()
            if _now() - self._busy_since >= LONGEST_WAIT_S:
                return _fatal(error, f"no call was answered for {show_age(LONGEST_WAIT_S)}")

        if self._given_up is not None and given_up and self._counts(error):
            self._given_up.add(key)
            if len(self._given_up) >= max(_ENOUGH, self._stored // 10):
                return _fatal(error, "no call of this run was answered")
        return error

    def _counts(self, error: ModelError) -> bool:
        """Return whether a failure may mean that the model will not answer at all."""
        if error.kind in ("refused", "unreadable"):
            return not self._stored
        return error.retryable or error.kind == "timeout"


def _fatal(error: ModelError, remark: str) -> ModelError:
    """Return an error that ends the run, with a remark as further evidence."""
    evidence = "; ".join(filter(None, (error.evidence, remark)))
    return ModelError(error.what, **error.parts(fatal=True, evidence=evidence))


TICK_S = 0.1
PATIENCE_S = 1.0


def run_in_own_loop(work: Coroutine[Any, Any, None], tick: Callable[[], None]) -> None:
    """Run a coroutine in a new loop in its own thread; ``tick`` is called while it runs.

    Ctrl-C, or any other exception in the waiting thread, cancels the coroutine. It gets
    ``PATIENCE_S`` seconds to clean up. Then the exception propagates, and what still hangs is left
    to a daemon thread.
    """
    loop = _new_loop()
    finished = Event()
    task = loop.create_task(work)
    arguments = loop, task, finished
    thread = CallThread(target=_serve, args=arguments, name="pytest-ftgate", daemon=True)
    try:
        thread.start()
        # Short waits: on Windows a long one would not notice Ctrl-C. A thread whose join() it ends
        # counts as ended.
        while not finished.wait(TICK_S):
            tick()
    except BaseException:
        # the loop has closed in the meantime
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)
        finished.wait(PATIENCE_S)
        raise
    task.result()


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop whose clock goes on where tests have frozen theirs: no limit waits for ever."""
    try:
        loop = asyncio.new_event_loop()
    except Exception as error:
        # a plugin forbids the pair of sockets by which threads wake the loop
        raise ModelError(
            f"models cannot be called: there is no event loop ({told(error)})",
            fatal=True,
            cure="with pytest-socket, add --allow-unix-socket",
        ) from error

    # uvloop has a clock of its own
    with contextlib.suppress(AttributeError):
        loop.time = clock.monotonic  # type: ignore[method-assign]
    return loop


def _serve(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None], finished: Event) -> None:
    """Run a task; then cancel the tasks that it left, and abandon those that do not end soon."""
    try:
        loop.run_until_complete(asyncio.wait([task]))
        leftover = asyncio.all_tasks(loop)
        for unfinished in leftover:
            unfinished.cancel()
        if leftover:
            loop.run_until_complete(asyncio.wait(leftover, timeout=PATIENCE_S / 2))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    finally:
        finished.set()
