"""From plain code into asyncio and back, also where the caller already stands in a running loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")

TICK_S = 0.1
PATIENCE_S = 1.0


def run_in_own_loop(work: Coroutine[Any, Any, _T], tick: Callable[[], None]) -> _T:
    """Run a coroutine in a new loop in a thread of its own, and wait for it.

    Ctrl-C, or whatever else is raised in the waiting thread, cancels the coroutine. It gets ``PATIENCE_S`` seconds to
    clean up; then the exception goes its way, and what still hangs is left to a thread that ends with the process.

    Args:
        work: the coroutine.
        tick: called in the waiting thread about every ``TICK_S`` seconds.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    outcome: Future[_T] = Future()
    finished = threading.Event()
    thread = threading.Thread(target=_serve, args=(loop, task, outcome, finished), name="pytest-ftgate", daemon=True)
    try:
        thread.start()
        # Short waits: on Windows a long one would not notice Ctrl-C.
        while not finished.wait(TICK_S):
            tick()
    except BaseException:
        with contextlib.suppress(RuntimeError):  # the loop has closed in the meantime
            loop.call_soon_threadsafe(task.cancel)
        finished.wait(PATIENCE_S)
        raise
    return outcome.result()


def _serve(
    loop: asyncio.AbstractEventLoop, task: asyncio.Task[_T], outcome: Future[_T], finished: threading.Event
) -> None:
    try:
        outcome.set_result(loop.run_until_complete(task))
    except BaseException as error:
        outcome.set_exception(error)
    finally:
        try:
            _wind_up(loop)
        finally:
            finished.set()


def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what the coroutine left running; what does not heed that is abandoned after a while."""
    try:
        leftover = asyncio.all_tasks(loop)
        for task in leftover:
            task.cancel()
        if leftover:
            loop.run_until_complete(asyncio.wait(leftover, timeout=PATIENCE_S / 2))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
