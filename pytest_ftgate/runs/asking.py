"""Make one call to a model: within its time limit, and so that nothing comes of it but answers and errors."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from pytest_ftgate.errors import RAISED_CURE, ModelError, told
from pytest_ftgate.models import Completion, Model, Question
from pytest_ftgate.models.event_loop import note_call
from pytest_ftgate.models.protocol import COUNTS, FINISHES, MOST_BYTES, is_count, is_seconds

_T = TypeVar("_T")

FIRST_WAIT_S = 0.5
"""The longest wait before the first retry; that before each further one may be twice as long."""
LONGEST_OWN_WAIT_S = 30.0


def wait_s(failures: int, retry_after_s: float | None) -> float:
    """Return the seconds to wait after this many failed attempts (1 or more), or what the endpoint asks for.

    The method is exponential back-off with half of it as jitter.
    """
    if retry_after_s is not None:
        return max(0.0, retry_after_s) + random.random() * FIRST_WAIT_S
    longest = min(LONGEST_OWN_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 30))
    return longest * (1 + random.random()) / 2


class AbandonedError(ModelError):
    """Report that a call timed out whose thread cannot be cancelled; retrying would leak threads."""


async def call(model: Model, questions: Sequence[Question]) -> list[Completion | ModelError]:
    """Return the answer or the error of each question. Raise :class:`ModelError` if the whole call failed."""
    if model.batch_size <= 1:
        (_, example, repeat), *_ = questions
        return [_checked(await _in_time(model, lambda: model.complete(example, repeat)))]
    found: object = await _in_time(model, lambda: model.complete_many(questions))
    if not isinstance(found, Sequence) or len(found) != len(questions):
        counted = f"{len(found)} answers" if isinstance(found, Sequence) else type(found).__name__
        raise ModelError(f"the model returned {counted} for {len(questions)} questions")
    return [_checked(one) for one in found]


async def _in_time(model: Model, ask: Callable[[], Awaitable[_T]]) -> _T:
    try:
        return await asyncio.wait_for(_guarded(model, ask), model.timeout_s)
    except asyncio.TimeoutError:
        text = f"no answer within {model.timeout_s:g} s"
        if model.abandons:
            cure = "raise the model's timeout_s, or find out why its calls hang (a thread cannot be cancelled)"
            raise AbandonedError(f"{text}; the call was abandoned", kind="timeout", cure=cure) from None
        cure = "raise the model's timeout_s, or lower concurrency"
        raise ModelError(text, retryable=True, kind="timeout", cure=cure) from None


async def _guarded(model: Model, ask: Callable[[], Awaitable[_T]]) -> _T:
    """Make one call, and turn any exception of the model into a :class:`ModelError`."""
    note_call(model.name)
    try:
        return await ask()
    except (ModelError, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        # Also sys.exit() and pytest.skip(): a model must not end the run. Ctrl-C does not get here.
        raise ModelError(f"the model raised {told(error)}", cure=RAISED_CURE) from error


def _checked(found: object) -> Completion | ModelError:
    """Return what a model returned, or the error if it is not an answer.

    An unpaired surrogate, which UTF-8 cannot encode, becomes U+FFFD: a model may stop within an emoji.
    """
    if isinstance(found, ModelError):
        return found
    if not isinstance(found, Completion):
        what = f"the model returned a value of type {type(found).__name__}"
        return ModelError(what, cure="return a pytest_ftgate.Completion from complete()")
    if flaw := _flaw(found):
        what = f"the model returned an invalid Completion: {flaw}"
        return ModelError(what, cure="return a Completion with valid fields; leave out what is unknown")
    whole = found.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return found if whole == found.text else replace(found, text=whole)


def _flaw(answer: Completion) -> str | None:
    if not isinstance(answer.text, str):
        return f"text is of type {type(answer.text).__name__}, not str"
    if len(answer.text) > MOST_BYTES:
        return f"text has more than {MOST_BYTES // 1_000_000} MB"
    if answer.finish not in FINISHES:
        return f"finish is {answer.finish!r}, not one of {', '.join(FINISHES)}"
    for name, holds in {**dict.fromkeys(COUNTS, is_count), "latency_s": is_seconds}.items():
        value = getattr(answer, name)
        if value is not None and not holds(value):
            return f"{name} is {value!r}"
    return None
