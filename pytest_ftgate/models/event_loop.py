"""Run coroutines from plain code, also if the caller's thread already runs an event loop."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, TypeVar

from pytest_ftgate import clock
from pytest_ftgate.errors import ModelError, told

_T = TypeVar("_T")

TICK_S = 0.1
PATIENCE_S = 1.0
OWN_WORK_S = 30.0  # the longest time that our own code may block the loop: the store waits for other processes


class _Pulse:
    """Count the ticks since the loop last responded. A clock would also count the time that a computer sleeps."""

    silent = 0
    caller = ""

    def beat(self) -> None:
        self.silent = 0


_pulse: ContextVar[_Pulse] = ContextVar("_pulse")  # of the loop that the context belongs to


def note_call(caller: str) -> None:
    """Record that a call begins. It may block the loop, but as long as calls begin, the loop is alive."""
    if pulse := _pulse.get(None):
        pulse.caller = caller
        pulse.beat()


def run_in_own_loop(work: Coroutine[Any, Any, _T], tick: Callable[[], None], *, patience_s: float | None = None) -> _T:
    """Run a coroutine in a new loop in its own thread, and wait for it; ``tick`` is called meanwhile.

    Ctrl-C, or any other exception in the waiting thread, cancels the coroutine. It gets ``PATIENCE_S`` seconds to clean
    up. Then the exception propagates, and what still hangs is left to a daemon thread. Raise :class:`ModelError` if a
    call blocked the loop for longer than ``patience_s``, so that no time limit can work; ``None``: it may.
    """
    loop, outcome, finished = _new_loop(), Future[_T](), threading.Event()
    _pulse.set(pulse := _Pulse())
    task = loop.create_task(work)
    thread = threading.Thread(target=_serve, args=(loop, task, outcome, finished), name="pytest-ftgate", daemon=True)
    try:
        thread.start()
        # Short waits: on Windows a long one would not notice Ctrl-C. A thread whose join() it ends counts as ended.
        while not finished.wait(TICK_S):
            tick()
            pulse.silent += 1
            if patience_s is not None and pulse.silent * TICK_S > patience_s + OWN_WORK_S:
                raise ModelError(
                    f"{pulse.caller} blocked the event loop for {patience_s + OWN_WORK_S:g} s",
                    fatal=True,
                    cure="await slow work, or use a plain function, which is called in its own thread",
                )
            with contextlib.suppress(RuntimeError):  # the loop has closed in the meantime
                loop.call_soon_threadsafe(pulse.beat)
    except BaseException:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)
        finished.wait(PATIENCE_S)
        raise
    return outcome.result()


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop whose clock goes on where the tests have frozen theirs: no limit of a run may wait for ever."""
    try:
        loop = asyncio.new_event_loop()
    except Exception as error:  # a plugin forbids the pair of sockets by which threads wake the loop
        what = f"models cannot be called: there is no event loop ({told(error)})"
        raise ModelError(what, fatal=True, cure="with pytest-socket, add --allow-unix-socket") from error
    with contextlib.suppress(AttributeError):  # uvloop has a clock of its own
        loop.time = clock.monotonic  # type: ignore[method-assign]
    return loop


def _serve(
    loop: asyncio.AbstractEventLoop, task: asyncio.Task[_T], outcome: Future[_T], finished: threading.Event
) -> None:
    """Run a task; then cancel the tasks that it left running, and abandon those that do not end soon."""
    try:
        outcome.set_result(loop.run_until_complete(task))
    except BaseException as error:
        outcome.set_exception(error)
    try:
        leftover = asyncio.all_tasks(loop)
        for one in leftover:
            one.cancel()
        if leftover:
            loop.run_until_complete(asyncio.wait(leftover, timeout=PATIENCE_S / 2))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    finally:
        finished.set()
