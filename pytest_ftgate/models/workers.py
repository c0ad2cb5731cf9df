"""Call blocking functions in daemon threads, so that one that never returns blocks nothing else, or in processes."""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.errors import RAISED_CURE, ModelError, may_pass, told
from pytest_ftgate.models.protocol import Completion

CALLS_AT_ONCE = 16  # calls, or batches, that are made in one go: this spreads the overhead over them


@dataclass(frozen=True, slots=True)
class ThreadResult:
    """Hold the outcome of a call. It is not raised through the future, which rejects ``StopIteration``."""

    value: Any = None
    error: BaseException | None = None


_Job = tuple[Callable[[], Any], "asyncio.Future[ThreadResult]"]


class Workers:
    """Keep as many threads as calls were ever in flight; each makes one call after the other.

    A thread keeps thread-local state (clients, thread pools of numerical libraries) from call to call. A call that is
    cancelled goes on in its thread, which takes no further call and then ends.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[SimpleQueue[_Job | None]] = []  # a queue a thread; None ends it

    async def run(self, call: Callable[[], Any]) -> ThreadResult:
        """Make a call in a thread, and wait for it."""
        try:
            jobs = self._idle.pop()
        except IndexError:
            jobs = SimpleQueue()
            Thread(target=_work, args=(jobs,), name=self._name, daemon=True).start()
        future: asyncio.Future[ThreadResult] = asyncio.get_running_loop().create_future()
        jobs.put((call, future))
        try:
            outcome = await future
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
        try:
            outcome = ThreadResult(call())
        except BaseException as error:
            outcome = ThreadResult(error=error)
        try:
            future.get_loop().call_soon_threadsafe(_deliver, future, outcome)
        except RuntimeError:  # the loop has closed: no one waits for the result
            _deliver(None, outcome)
        del job, call, future, outcome  # an idle thread must not keep data alive


def _deliver(future: asyncio.Future[ThreadResult] | None, outcome: ThreadResult) -> None:
    """Hand over a result; if no one waits for it, close its coroutine: Python would warn that it was not awaited."""
    if future is not None and not future.done():
        future.set_result(outcome)
    elif inspect.iscoroutine(outcome.value):
        outcome.value.close()


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
        return [answer for answers, part in zip(found, parts, strict=True) for answer in _answers(answers, part)]


@dataclass(frozen=True, slots=True)
class _Raised:
    """Describe an exception of the function: the exception itself may not survive pickling."""

    text: str
    retryable: bool


def _called(function: Callable[[Any], Any], inputs: Sequence[Any], batched: bool) -> Any:
    """Call the function in the other process, and return its result and the seconds that it took."""
    start = clock.perf_counter()
    try:
        answers = function(inputs) if batched else [function(inputs[0])]
        return answers, clock.perf_counter() - start
    except BaseException as error:  # also sys.exit() and pytest.skip()
        return _Raised(told(error, function), may_pass(error))


def _answers(found: Any, inputs: Sequence[Any]) -> list[Any]:
    """Return one answer or error for each input: a call that failed has failed for all of its inputs."""
    if isinstance(found, _Raised):
        error = ModelError(f"the function raised {found.text}", retryable=found.retryable, cure=RAISED_CURE)
        return [error] * len(inputs)
    answers, latency_s = found
    if isinstance(answers, str) or not isinstance(answers, Sequence) or len(answers) != len(inputs):
        found = f"{len(answers):,} answers" if isinstance(answers, Sequence) else f"a {type(answers).__name__}"
        return [ModelError(f"the function returned {found} for a list of {len(inputs):,} inputs")] * len(inputs)
    return [Completion(answer, latency_s=latency_s) if isinstance(answer, str) else answer for answer in answers]
