"""Call blocking functions in daemon threads, so that one that never returns blocks nothing else, or in processes."""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

from pytest_ftgate import clock
from pytest_ftgate.errors import RAISED_CURE, ModelError, may_pass, told
from pytest_ftgate.models.protocol import Completion
from pytest_ftgate.models.returned import label_of, one_each, unreadable

CALLS_AT_ONCE = 16  # calls, or batches, that are made in one go: this spreads the overhead over them

Outcome: TypeAlias = tuple[Any, BaseException | None]
"""What a call returned and what it raised, which no future may hold: ``StopIteration`` is rejected."""
_Job: TypeAlias = tuple[Callable[[], Any], Future[Outcome]]


class Workers:
    """Keep as many threads as calls were ever in flight; each makes one call after the other.

    A thread keeps thread-local state (clients, thread pools of numerical libraries) from call to call. A call that is
    cancelled goes on in its thread, which takes no further call and then ends.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[SimpleQueue[_Job | None]] = []  # a queue a thread; None ends it

    async def run(self, call: Callable[[], Any]) -> Outcome:
        """Make a call in a thread, and wait for it."""
        if self._idle:
            jobs = self._idle.pop()
        else:
            jobs = SimpleQueue()
            Thread(target=_work, args=(jobs,), name=self._name, daemon=True).start()
        future: Future[Outcome] = Future()
        jobs.put((call, future))
        try:
            outcome = await asyncio.wrap_future(future)
        except BaseException:
            jobs.put(None)
            raise
        self._idle.append(jobs)
        return outcome

    def stop(self) -> None:
        """Let the idle threads end."""
        while self._idle:
            self._idle.pop().put(None)


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        call, future = job
        value, raised = None, None
        try:
            value = call()
        except BaseException as error:
            raised = error
        if future.set_running_or_notify_cancel():
            future.set_result((value, raised))
        elif inspect.iscoroutine(value):  # no one waits for it: Python would warn that it was not awaited
            value.close()
        del job, call, future, value, raised  # an idle thread must not keep data alive


class InProcesses:
    """Call a function in processes: takes a list of inputs, returns a list of answers and errors.

    If the user has set a joblib backend (``joblib.parallel_config``) when this is made, the calls run on it; otherwise
    on joblib's own processes, which are reused from call to call, and find the function by its name. ``batched``: it
    takes a list of inputs itself, and is called once in each process.
    """

    def __init__(self, function: Callable[[Any], Any], workers: int, *, batched: bool) -> None:
        from joblib.parallel import get_active_backend

        self.__wrapped__ = function
        self._workers = workers
        self._batched = batched
        # The user's joblib backend, which joblib keeps for the current thread only: models run in another.
        backend, _ = get_active_backend()
        self._backend = {} if type(backend).__name__ == "LokyBackend" else {"backend": backend}

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        from joblib import Parallel, delayed, parallel_config

        call = delayed(_called)
        size = -(-len(inputs) // self._workers) if self._batched else 1
        parts = [list(inputs[start : start + size]) for start in range(0, len(inputs), size)]
        with parallel_config(**self._backend):
            found = Parallel(n_jobs=self._workers)(call(self.__wrapped__, part, self._batched) for part in parts)
        return [answer for answers in found for answer in answers]


def _called(function: Callable[[Any], Any], inputs: Sequence[Any], batched: bool) -> list[Any]:
    """Call the function in the other process, and return an answer with its latency, or an error, for each input."""
    start = clock.perf_counter()
    try:
        answers = one_each("the function", function(inputs) if batched else [function(inputs[0])], len(inputs))
    except ModelError as error:
        return [error] * len(inputs)
    except BaseException as error:  # also sys.exit() and pytest.skip()
        # The exception itself may not survive pickling.
        return [failed_call("the function", error)] * len(inputs)
    latency_s = clock.perf_counter() - start
    # What holds no answer, such as a coroutine, may not survive pickling either.
    read = (
        answer if isinstance(answer, Completion) or label_of(answer) is not None else unreadable("the function", answer)
        for answer in answers
    )
    return [Completion(answer, latency_s=latency_s) if isinstance(answer, str) else answer for answer in read]


def failed_call(name: str, raised: BaseException) -> ModelError:
    """Return what a function raised as the error of its call."""
    return ModelError(f"{name} raised {told(raised)}", retryable=may_pass(raised), cure=RAISED_CURE)
