"""A function in processes of its own, by joblib: the way for models that keep a CPU busy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from pytest_ftgate.errors import RAISED_CURE, ModelError, may_pass, told
from pytest_ftgate.models.protocol import Completion

CALLS_AT_ONCE = 16
"""Inputs for each process, answered one by one before all are waited for: joblib's own work is spread over them."""


class InProcesses:
    """Calls a function in processes. It takes a list of inputs, and returns a list of answers and errors.

    Where the user has set a backend of joblib (``joblib.parallel_config``) when this is made, the calls run on it;
    else on joblib's own processes, which are kept from call to call.

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
    """What the function raised: an exception itself may not survive the way back."""

    text: str
    retryable: bool


def _called(function: Callable[[Any], Any], inputs: Sequence[Any], batched: bool) -> Any:
    """In the other process: what the function returned, and the seconds that it took."""
    start = perf_counter()
    try:
        answers = function(inputs) if batched else [function(inputs[0])]
        return answers, perf_counter() - start
    except BaseException as error:  # sys.exit() and pytest.skip() too
        return _Raised(told(error, function), may_pass(error))


def _answers(found: Any, inputs: Sequence[Any]) -> list[Any]:
    """One for each input: a call that failed has failed for all of its inputs."""
    if isinstance(found, _Raised):
        error = ModelError(f"the function raised {found.text}", retryable=found.retryable, cure=RAISED_CURE)
        return [error] * len(inputs)
    answers, latency_s = found
    if isinstance(answers, str) or not isinstance(answers, Sequence) or len(answers) != len(inputs):
        found = f"{len(answers):,} answers" if isinstance(answers, Sequence) else f"a {type(answers).__name__}"
        return [ModelError(f"the function returned {found} for a list of {len(inputs):,} inputs")] * len(inputs)
    return [Completion(answer, latency_s=latency_s) if isinstance(answer, str) else answer for answer in answers]


def _backend_of_user() -> dict[str, Any]:
    """joblib keeps the user's choice for the thread that made it, which is not the one in which models are called."""
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    return {} if type(backend).__name__ == "LokyBackend" else {"backend": backend}
