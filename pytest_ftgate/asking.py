"""One question to one model: a time limit for each attempt, back-off between them, and the answer checked."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pytest_ftgate.bridge import note_call
from pytest_ftgate.errors import ModelError, Trouble
from pytest_ftgate.models import BatchModel, Completion, Question

if TYPE_CHECKING:
    from pytest_ftgate.data import Example
    from pytest_ftgate.models import Model
    from pytest_ftgate.throttle import Throttle


_T = TypeVar("_T")

Outcome = tuple[Question, "Completion | ModelError"]
"""What became of one question."""


CHARACTERS_PER_TOKEN = 3
"""Of a question whose tokens nobody has counted yet: rather too few, so that its tokens are rather too many."""


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


class Asker:
    """Asks one model, and tries again where that may help.

    Args:
        model: whom to ask.
        policy: how long to wait before a failed call is tried again.
        throttle: lets the calls begin; ``None``: each begins at once.
    """

    def __init__(self, model: Model, policy: RetryPolicy, throttle: Throttle | None = None) -> None:
        self._model = model
        self._policy = policy
        self._throttle = throttle
        self._answers = 0
        self._tokens = 0

    async def ask(self, example: Example, repeat: int) -> tuple[Completion, float]:
        """The model's answer, and the seconds that the successful attempt took.

        Raises:
            ModelError: no attempt succeeded; the last one's error, its text saying how many there were.
        """
        tried = _Attempts(self._model.retries)
        while True:
            seen = self._answers
            try:
                answer = await self._admitted(example, repeat)
            except ModelError as error:
                tried.failed(error, others_are_answered=self._answers > seen)
                if tried.over(error):
                    raise tried.told(error) from None
                wait_s = tried.wait_s(self._policy, error)
            else:
                self._answers += 1
                return answer
            await asyncio.sleep(wait_s)

    async def ask_many(self, questions: Sequence[Question]) -> AsyncIterator[Sequence[Outcome]]:
        """Several questions in one call, those without an answer again in the next; outcomes as they become certain."""
        tried = {question.key: _Attempts(self._model.retries) for question in questions}
        while questions:
            seen = self._answers
            outcomes = await self._admitted_many(questions)
            self._answers += sum(isinstance(found, Completion) for _, found in outcomes)
            again: list[Question] = []
            told: list[Outcome] = []
            waits_s = [0.0]
            for question, found in outcomes:
                attempts = tried[question.key]
                if isinstance(found, Completion):
                    told.append((question, found))
                    continue
                attempts.failed(found, others_are_answered=self._answers > seen)
                if attempts.over(found):
                    told.append((question, attempts.told(found)))
                else:
                    again.append(question)
                    waits_s.append(attempts.wait_s(self._policy, found))
            yield told
            questions = again
            await asyncio.sleep(max(waits_s))

    async def _admitted(self, example: Example, repeat: int) -> tuple[Completion, float]:
        if self._throttle is None or not self._throttle.counts_tokens:
            return await self._admit(partial(_attempt, self._model, example, repeat))
        expected = self._expected_tokens(example)
        completion, latency_s = await self._admit(partial(_attempt, self._model, example, repeat), expected)
        taken = (completion.input_tokens or 0) + (completion.output_tokens or 0)
        self._throttle.correct(taken - expected)
        self._tokens += taken
        return completion, latency_s

    def _expected_tokens(self, example: Example) -> float:
        """What an answer has taken on average; before the first one, what the question alone may take."""
        if self._answers:
            return self._tokens / self._answers
        characters = getattr(self._model, "characters", None)
        return characters(example) / CHARACTERS_PER_TOKEN if callable(characters) else 0.0

    async def _admitted_many(self, questions: Sequence[Question]) -> Sequence[Outcome]:
        try:
            return await self._admit(partial(_attempt_many, cast("BatchModel", self._model), questions))
        except ModelError as error:
            return [(question, error) for question in questions]

    async def _admit(self, attempt: Callable[[], Coroutine[Any, Any, _T]], tokens: float = 0.0) -> _T:
        """One attempt, once the throttle lets it begin."""
        if self._throttle is None:
            return await attempt()
        window = await self._throttle.enter(tokens)
        try:
            answer = await attempt()
        except ModelError as error:
            if error.trouble == "busy":
                self._throttle.refused(window, error.retry_after_s)
            else:
                self._throttle.failed()
            raise
        except BaseException:
            self._throttle.failed()
            raise
        self._throttle.answered()
        return answer


class _Attempts:
    """How often one question was tried, and whether it may be tried again.

    A call that was one too many is no failure of the question while others are answered: it only has to wait its turn,
    and the throttle sees to it that fewer calls come, so that its waits do not grow.

    Args:
        retries: how often it may be tried again, for each kind of trouble: a server that restarts in mid-run takes
            away no attempt from a question that meets with an error later.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._met: Counter[Trouble] = Counter()
        self.n = 0

    def failed(self, error: ModelError, *, others_are_answered: bool) -> None:
        self.n += 1
        if error.trouble != "busy" or not others_are_answered:
            self._met[error.trouble] += 1

    def over(self, error: ModelError) -> bool:
        if error.fatal or not error.retryable or not self._retries:
            return True
        return max(self._met.values(), default=0) > self._retries

    def wait_s(self, policy: RetryPolicy, error: ModelError) -> float:
        """Seconds to wait before the next attempt."""
        return policy.wait_s(max(1, self._met.total()), error.retry_after_s)

    def told(self, error: ModelError) -> ModelError:
        """The error that ends it."""
        return error if self.n == 1 else _after(self.n, error)


async def ask(model: Model, example: Example, repeat: int, policy: RetryPolicy) -> tuple[Completion, float]:
    """See :meth:`Asker.ask`; with nothing to hold back the calls."""
    return await Asker(model, policy).ask(example, repeat)


def _after(failures: int, error: ModelError) -> ModelError:
    return ModelError(
        f"{error.what} (tried {failures} times)",
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
        trouble=error.trouble,
        fatal=error.fatal,
        where=error.where,
        evidence=error.evidence,
        cure=error.cure,
    )


async def _attempt(model: Model, example: Example, repeat: int) -> tuple[Completion, float]:
    start = perf_counter()
    completion = _checked(await _in_time(model, lambda: model.complete(example, repeat)))
    latency_s = perf_counter() - start
    return completion, latency_s if completion.latency_s is None else completion.latency_s


async def _attempt_many(model: BatchModel, questions: Sequence[Question]) -> Sequence[Outcome]:
    found: object = await _in_time(model, lambda: model.complete_many(questions))
    if not isinstance(found, Sequence) or len(found) != len(questions):
        counted = f"{len(found)} answers" if isinstance(found, Sequence) else type(found).__name__
        raise ModelError(f"the model returned {counted} for {len(questions)} questions")
    return [(question, _checked_of_many(one)) for question, one in zip(questions, found, strict=True)]


def _checked_of_many(found: object) -> Completion | ModelError:
    try:
        return found if isinstance(found, ModelError) else _checked(found)
    except ModelError as error:
        return error


async def _in_time(model: Model, call: Callable[[], Awaitable[_T]]) -> _T:
    if model.timeout_s is None:
        return await _called(model, call)
    try:
        return await asyncio.wait_for(_called(model, call), model.timeout_s)
    except asyncio.TimeoutError:
        text = f"no answer within {model.timeout_s:g} s"
        if getattr(model, "abandons", False):
            raise AbandonedError(f"{text}; the call was abandoned") from None
        raise ModelError(text, retryable=True) from None


async def _called(model: Model, call: Callable[[], Awaitable[_T]]) -> _T:
    """One call. Whatever else a model raises becomes a :class:`ModelError`."""
    note_call(model.name)
    try:
        return await call()
    except (ModelError, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        # sys.exit() and pytest.skip() too: no model may end the run or excuse itself. (Ctrl-C never arrives here.)
        raise ModelError(f"{type(error).__name__}: {error}") from error


def _checked(completion: object) -> Completion:
    """What a model returned, if it is an answer. Raises :class:`ModelError`."""
    if not isinstance(completion, Completion):
        raise ModelError(f"the model returned {type(completion).__name__} instead of a Completion")
    if not isinstance(completion.text, str):
        raise ModelError(f"the model returned a text of type {type(completion.text).__name__} instead of str")
    return _whole(completion)


def _whole(completion: Completion) -> Completion:
    """With U+FFFD for half a surrogate pair, which no file can hold: a model may stop within an emoji."""
    try:
        completion.text.encode()
    except UnicodeEncodeError:
        return replace(completion, text=completion.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return completion
