"""For how long a model was busy, spread over its answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from pytest_ftgate.errors import ModelError, Trouble
from pytest_ftgate.models import BatchModel, Completion, Question
from pytest_ftgate.models.event_loop import note_call
from pytest_ftgate.models.protocol import RetryPolicy
from pytest_ftgate.runs.budget import CHARACTERS_PER_TOKEN, characters

if TYPE_CHECKING:
    from pytest_ftgate.data import Example
    from pytest_ftgate.models import Model
    from pytest_ftgate.runs.budget import Meter
    from pytest_ftgate.runs.throttle import Throttle


class BusyTime:
    """The time in which at least one call was under way, given to the answers in the order of their arrival.

    The shares of all answers add up to that time, however many calls ran side by side: what a machine that is paid by
    the hour spent on them.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._calls = 0
        self._since = 0.0
        self._unspent_s = 0.0

    def begin(self) -> None:
        """A call begins."""
        if not self._calls:
            self._since = self._clock()
        self._calls += 1

    def end(self) -> None:
        """A call has ended, with an answer or without."""
        self._calls -= 1
        if not self._calls:
            self._unspent_s += self._clock() - self._since

    def share_s(self) -> float:
        """Seconds that no answer has been given yet; asked for while the call that answered is still under way."""
        now = self._clock()
        share_s, self._unspent_s = self._unspent_s + now - self._since, 0.0
        self._since = now
        return share_s


_T = TypeVar("_T")

Outcome = tuple[Question, "Answer | ModelError"]
"""What became of one question."""


class AbandonedError(ModelError):
    """Nobody waits any more for a call that goes on in its thread: to try again would only pile up more of them."""


class Answer(NamedTuple):
    """What one question brought.

    ``latency_s`` is of the successful attempt alone, ``busy_s`` the answer's share of the seconds in which the model
    was busy; ``None`` where unknown.
    """

    completion: Completion
    latency_s: float | None
    busy_s: float | None


class Asker:
    """Asks one model, and tries again where that may help.

    Args:
        model: whom to ask.
        policy: how long to wait before a failed call is tried again.
        throttle: lets the calls begin; ``None``: each begins at once.
        meter: what the calls cost; ``None``: nobody counts.
    """

    def __init__(
        self, model: Model, policy: RetryPolicy, throttle: Throttle | None = None, meter: Meter | None = None
    ) -> None:
        self._model = model
        self._policy = policy
        self._throttle = throttle
        self.meter = meter
        self._busy = BusyTime()
        self._answers = 0
        self._tokens = 0

    async def ask(self, example: Example, repeat: int) -> Answer:
        """The model's answer.

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

    async def ask_many(self, questions: Sequence[Question]) -> AsyncGenerator[Sequence[Outcome], None]:
        """Several questions in one call, those without an answer again in the next; outcomes as they become certain."""
        tried = {question.key: _Attempts(self._model.retries) for question in questions}
        while questions:
            seen = self._answers
            outcomes = await self._admitted_many(questions)
            self._answers += sum(isinstance(found, Answer) for _, found in outcomes)
            again: list[Question] = []
            told: list[Outcome] = []
            waits_s = [0.0]
            for question, found in outcomes:
                attempts = tried[question.key]
                if isinstance(found, Answer):
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

    async def _admitted(self, example: Example, repeat: int) -> Answer:
        """One attempt, once the throttle lets it begin and the budget allows it."""
        expected = self._expected_tokens(example) if self._throttle and self._throttle.counts_tokens else 0.0
        async with _Admission(self._throttle, expected):
            (reservation,) = await self.meter.reserve([example]) if self.meter else [None]
            found: Completion | ModelError | None = None
            busy_s = None
            self._busy.begin()
            try:
                completion, latency_s = await _attempt(self._model, example, repeat)
                found, busy_s = completion, self._busy.share_s()
            except ModelError as error:
                found = error
                raise
            finally:
                self._busy.end()
                if self.meter is not None and reservation is not None:
                    self.meter.settle(reservation, found, busy_s)
        self._count_tokens(completion, expected)
        return Answer(completion, latency_s, busy_s)

    async def _admitted_many(self, questions: Sequence[Question]) -> Sequence[Outcome]:
        """One attempt at several questions; where it fails as a whole, it fails for each of them."""
        model = cast("BatchModel", self._model)
        try:
            async with _Admission(self._throttle):
                reserved = await self.meter.reserve([question.example for question in questions]) if self.meter else []
                found: Sequence[Completion | ModelError | None] = [None] * len(questions)
                busy_s = None
                self._busy.begin()
                try:
                    found = answers = await _attempt_many(model, questions)
                    n = sum(isinstance(one, Completion) for one in found)
                    busy_s = self._busy.share_s() / n if n else None
                except ModelError as error:
                    found = [error] * len(questions)
                    raise
                finally:
                    self._busy.end()
                    for reservation, one in zip(reserved, found, strict=False):
                        self.meter.settle(reservation, one, busy_s)  # type: ignore[union-attr]
        except ModelError as error:
            return [(question, error) for question in questions]
        return [
            (question, one if isinstance(one, ModelError) else Answer(one, one.latency_s, busy_s))
            for question, one in zip(questions, answers, strict=True)
        ]

    def _expected_tokens(self, example: Example) -> float:
        """What an answer has taken on average; before the first one, what the question alone may take."""
        if self._answers:
            return self._tokens / self._answers
        return characters(self._model, example) / CHARACTERS_PER_TOKEN

    def _count_tokens(self, completion: Completion, expected: float) -> None:
        taken = (completion.input_tokens or 0) + (completion.output_tokens or 0)
        self._tokens += taken
        if self._throttle is not None:
            self._throttle.correct(taken - expected)


class _Admission:
    """The time of one attempt, which the throttle lets begin and hears the end of."""

    def __init__(self, throttle: Throttle | None, tokens: float = 0.0) -> None:
        self._throttle = throttle
        self._tokens = tokens
        self._window = 0

    async def __aenter__(self) -> None:
        if self._throttle is not None:
            self._window = await self._throttle.enter(self._tokens)

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._throttle is None:
            return
        if error is None:
            self._throttle.answered()
        elif isinstance(error, ModelError) and error.trouble == "busy":
            self._throttle.refused(self._window, error.retry_after_s)
        else:
            self._throttle.failed()


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


async def ask(model: Model, example: Example, repeat: int, policy: RetryPolicy) -> Answer:
    """See :meth:`Asker.ask`; with nothing to hold back the calls."""
    return await Asker(model, policy).ask(example, repeat)


def _after(failures: int, error: ModelError) -> ModelError:
    return ModelError(
        f"{error.what} (tried {failures} times)",
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
        trouble=error.trouble,
        fatal=error.fatal,
        unpaid=error.unpaid,
        where=error.where,
        evidence=error.evidence,
        cure=error.cure,
    )


async def _attempt(model: Model, example: Example, repeat: int) -> tuple[Completion, float]:
    start = perf_counter()
    completion = _checked(await _in_time(model, lambda: model.complete(example, repeat)))
    latency_s = perf_counter() - start
    return completion, latency_s if completion.latency_s is None else completion.latency_s


async def _attempt_many(model: BatchModel, questions: Sequence[Question]) -> Sequence[Completion | ModelError]:
    found: object = await _in_time(model, lambda: model.complete_many(questions))
    if not isinstance(found, Sequence) or len(found) != len(questions):
        counted = f"{len(found)} answers" if isinstance(found, Sequence) else type(found).__name__
        raise ModelError(f"the model returned {counted} for {len(questions)} questions")
    return [_checked_of_many(one) for one in found]


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
