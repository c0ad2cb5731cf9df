"""One question to one model: a time limit for each attempt, back-off between them, and the answer checked."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

from pytest_ftgate.bridge import note_call
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion

if TYPE_CHECKING:
    from pytest_ftgate.data import Example
    from pytest_ftgate.models import Model


class AbandonedError(ModelError):
    """Nobody waits any more for a call that goes on in its thread: to try again would only pile up more of them."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait before a failed call is tried again: exponential back-off, of which half is jitter.

    Args:
        base_s: the longest first wait; each further one may be twice as long.
        cap_s: no wait of our own is longer.
        retry_after_cap_s: no wait that an endpoint asks for is kept longer.
    """

    base_s: float = 0.5
    cap_s: float = 30.0
    retry_after_cap_s: float = 120.0

    def wait_s(self, failures: int, retry_after_s: float | None) -> float:
        """Seconds to wait after so many failed attempts (1 or more); never less than the endpoint asked for."""
        if retry_after_s is not None:
            return max(0.0, min(retry_after_s, self.retry_after_cap_s)) + random.random() * self.base_s
        longest = min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 30))
        return longest * (1 + random.random()) / 2


async def ask(model: Model, example: Example, repeat: int, policy: RetryPolicy) -> tuple[Completion, float]:
    """The model's answer, and the seconds that the successful attempt took.

    Raises:
        ModelError: no attempt succeeded; the last one's error, its text saying how many there were.
    """
    failures = 0
    while True:
        try:
            return await _attempt(model, example, repeat)
        except ModelError as error:
            failures += 1
            if error.fatal or not error.retryable or failures > model.retries:
                if failures == 1:
                    raise
                raise _after(failures, error) from error
            wait_s = policy.wait_s(failures, error.retry_after_s)
        await asyncio.sleep(wait_s)


def _after(failures: int, error: ModelError) -> ModelError:
    return ModelError(
        f"{error.what} (tried {failures} times)",
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
        fatal=error.fatal,
        where=error.where,
        evidence=error.evidence,
        cure=error.cure,
    )


async def _attempt(model: Model, example: Example, repeat: int) -> tuple[Completion, float]:
    if model.timeout_s is None:
        return await _complete(model, example, repeat)
    try:
        return await asyncio.wait_for(_complete(model, example, repeat), model.timeout_s)
    except asyncio.TimeoutError:
        text = f"no answer within {model.timeout_s:g} s"
        if getattr(model, "abandons", False):
            raise AbandonedError(f"{text}; the call was abandoned") from None
        raise ModelError(text, retryable=True) from None


async def _complete(model: Model, example: Example, repeat: int) -> tuple[Completion, float]:
    """One call. Whatever else a model raises or returns becomes a :class:`ModelError`."""
    note_call(model.name)
    start = perf_counter()
    try:
        completion = await model.complete(example, repeat)
    except (ModelError, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        # sys.exit() and pytest.skip() too: no model may end the run or excuse itself. (Ctrl-C never arrives here.)
        raise ModelError(f"{type(error).__name__}: {error}") from error
    latency_s = perf_counter() - start
    if not isinstance(completion, Completion):
        raise ModelError(f"the model returned {type(completion).__name__} instead of a Completion")
    if not isinstance(completion.text, str):
        raise ModelError(f"the model returned a text of type {type(completion.text).__name__} instead of str")
    return _whole(completion), latency_s if completion.latency_s is None else completion.latency_s


def _whole(completion: Completion) -> Completion:
    """With U+FFFD for half a surrogate pair, which no file can hold: a model may stop within an emoji."""
    try:
        completion.text.encode()
    except UnicodeEncodeError:
        return replace(completion, text=completion.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return completion
