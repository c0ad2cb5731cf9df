"""Call a function in separate processes with joblib, for models that keep a CPU busy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.errors import RAISED_CURE, ModelError, may_pass, told
from pytest_ftgate.models.protocol import Completion

CALLS_AT_ONCE = 16
"""Inputs per process and call, answered one by one: this spreads joblib's overhead over them."""


class InProcesses:
    """Call a function in processes: takes a list of inputs, returns a list of answers and errors.

    If the user has set a joblib backend (``joblib.parallel_config``) when this is made, the calls run on it; otherwise
    on joblib's own processes, which are reused from call to call.

    The function is found by its name in the other processes. ``batched``: it takes a list of inputs itself, and is
    called once in each process.
    """

    def __init__(self, function: Callable[[Any], Any], workers: int, *, batched: bool) -> None:
        self.__wrapped__ = function
        self._workers = workers
        self._batched = batched
        self._backend = _backend_of_user()

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


def _backend_of_user() -> dict[str, Any]:
    """Return the user's joblib backend, which joblib keeps for the current thread only; models run in another."""
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    return {} if type(backend).__name__ == "LokyBackend" else {"backend": backend}
