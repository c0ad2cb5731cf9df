"""Call blocking functions in daemon threads, so that one that never returns blocks nothing else."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any


@dataclass(frozen=True, slots=True)
class ThreadResult:
    """Hold the outcome of a call. It is not raised through the future, which rejects ``StopIteration``."""

    value: Any = None
    error: BaseException | None = None


class Workers:
    """Keep as many threads as calls were ever in flight; each makes one call after the other.

    A thread keeps thread-local state (clients, thread pools of numerical libraries) from call to call. A call that is
    cancelled goes on in its thread, which takes no further call and then ends.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[_Worker] = []

    async def run(self, call: Callable[[], Any]) -> ThreadResult:
        """Make a call in a thread, and wait for it."""
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker(self._name)
        try:
            outcome = await worker.submit(call)
        except BaseException:
            worker.stop()
            raise
        self._idle.append(worker)
        return outcome

    def stop(self) -> None:
        """Let the idle threads end."""
        while self._idle:
            self._idle.pop().stop()


_Job = tuple[Callable[[], Any], "asyncio.Future[ThreadResult]"]


class _Worker:
    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, call: Callable[[], Any]) -> asyncio.Future[ThreadResult]:
        future: asyncio.Future[ThreadResult] = asyncio.get_running_loop().create_future()
        self._jobs.put((call, future))
        return future

    def stop(self) -> None:
        """End after the call in hand."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, future = job
            outcome = _outcome(call)
            try:
                future.get_loop().call_soon_threadsafe(_deliver, future, outcome)
            except RuntimeError:  # the loop has closed: no one waits for the result
                _discard(outcome)
            del job, call, future, outcome  # an idle thread must not keep data alive


def _outcome(call: Callable[[], Any]) -> ThreadResult:
    try:
        return ThreadResult(call())
    except BaseException as error:
        return ThreadResult(error=error)


def _deliver(future: asyncio.Future[ThreadResult], outcome: ThreadResult) -> None:
    if future.done():
        _discard(outcome)
    else:
        future.set_result(outcome)


def _discard(outcome: ThreadResult) -> None:
    """Close a coroutine that no one will await: Python would warn about it."""
    if inspect.iscoroutine(outcome.value):
        outcome.value.close()
