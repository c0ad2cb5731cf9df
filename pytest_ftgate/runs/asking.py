"""Calls to one model: tried again where that may help, limited in time, checked, and timed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from time import perf_counter, time
from typing import TYPE_CHECKING, TypeVar

from pytest_ftgate.errors import ModelError, Trouble
from pytest_ftgate.models import Completion, Prediction, Question
from pytest_ftgate.models.event_loop import note_call
from pytest_ftgate.models.protocol import RetryPolicy
from pytest_ftgate.runs.budget import CHARACTERS_PER_TOKEN
from pytest_ftgate.runs.run_state import AbandonedError

if TYPE_CHECKING:
    from pytest_ftgate.models import Model
    from pytest_ftgate.runs.budget import Meter
    from pytest_ftgate.runs.throttle import Throttle

_T = TypeVar("_T")

Outcome = tuple[Question, Prediction | ModelError]
"""What became of one question."""


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
        """Note that a call begins."""
        if not self._calls:
            self._since = self._clock()
        self._calls += 1

    def end(self) -> None:
        """Note that a call has ended, with an answer or without."""
        self._calls -= 1
        if not self._calls:
            self._unspent_s += self._clock() - self._since

    def share_s(self) -> float:
        """Return the seconds that no answer has been given yet, while the call that answered is still under way."""
        now = self._clock()
        share_s, self._unspent_s = self._unspent_s + now - self._since, 0.0
        self._since = now
        return share_s


class Asker:
    """Asks one model, and tries again where that may help.

    Without a ``throttle`` each call begins at once. ``batched``: several questions go into one call. ``now`` tells the
    time at which an answer was made, seconds since the epoch. Without a ``meter`` nobody counts what the calls cost.
    """

    def __init__(
        self,
        model: Model,
        policy: RetryPolicy,
        throttle: Throttle | None = None,
        *,
        batched: bool = False,
        now: Callable[[], float] = time,
    ) -> None:
        self.meter: Meter | None = None
        self._model = model
        self._policy = policy
        self._throttle = throttle
        self._batched = batched
        self._now = now
        self._busy = BusyTime()
        self._answers = 0
        self._tokens = 0

    async def ask(self, question: Question) -> Prediction:
        """Return the model's answer.

        Raises:
            ModelError: no attempt succeeded; the last one's error, its text saying how many there were.
        """
        ((_, outcome),) = [one async for outcomes in self.ask_many([question]) for one in outcomes]
        if isinstance(outcome, ModelError):
            raise outcome from None
        return outcome

    async def ask_many(self, questions: Sequence[Question]) -> AsyncGenerator[Sequence[Outcome], None]:
        """Ask in one call, those without an answer again in the next; yield outcomes as they become certain."""
        attempts = {question.key: _Attempts(self._model.retries) for question in questions}
        while questions:
            seen = self._answers
            outcomes = await self._attempt(questions)
            self._answers += sum(isinstance(outcome, Prediction) for _, outcome in outcomes)
            again: list[Question] = []
            certain: list[Outcome] = []
            wait_s = 0.0
            for question, outcome in outcomes:
                if isinstance(outcome, ModelError):
                    one = attempts[question.key]
                    one.failed(outcome, others_are_answered=self._answers > seen)
                    if not one.over(outcome):
                        again.append(question)
                        wait_s = max(wait_s, one.wait_s(self._policy, outcome))
                        continue
                    outcome = one.last(outcome)
                certain.append((question, outcome))
            if certain:
                yield certain
            questions = again
            if questions:
                await asyncio.sleep(wait_s)

    async def _attempt(self, questions: Sequence[Question]) -> list[Outcome]:
        """Make one call, once the throttle lets it begin and the budget allows it; its error is that of each."""
        expected = self._expected_tokens(questions) if self._throttle and self._throttle.counts_tokens else 0.0
        try:
            async with _Admission(self._throttle, expected):
                answers, taken_s, busy_s = await self._measured(questions)
        except ModelError as error:
            return [(question, error) for question in questions]
        self._count_tokens(answers, expected)
        return [
            (question, one if isinstance(one, ModelError) else self._prediction(question, one, taken_s, busy_s))
            for question, one in zip(questions, answers, strict=True)
        ]

    async def _measured(
        self, questions: Sequence[Question]
    ) -> tuple[Sequence[Completion | ModelError], float, float | None]:
        """Make one call; return also its seconds, and each answer's share of the time in which the model was busy."""
        reserved = await self.meter.reserve([question.example for question in questions]) if self.meter else []
        found: Sequence[Completion | ModelError | None] = [None] * len(questions)
        busy_s = None
        self._busy.begin()
        begun = perf_counter()
        try:
            found = answers = await self._call(questions)
            taken_s = perf_counter() - begun
            n = sum(isinstance(one, Completion) for one in found)
            busy_s = self._busy.share_s() / n if n else None
        except ModelError as error:
            found = [error] * len(questions)
            raise
        finally:
            self._busy.end()
            for reservation, one in zip(reserved, found, strict=False):
                self.meter.settle(reservation, one, busy_s)  # type: ignore[union-attr]
        return answers, taken_s, busy_s

    async def _call(self, questions: Sequence[Question]) -> list[Completion | ModelError]:
        model = self._model
        if not self._batched:
            (_, example, repeat), *_ = questions
            return [_checked(await _in_time(model, lambda: model.complete(example, repeat)))]
        found: object = await _in_time(model, lambda: model.complete_many(questions))
        if not isinstance(found, Sequence) or len(found) != len(questions):
            counted = f"{len(found)} answers" if isinstance(found, Sequence) else type(found).__name__
            raise ModelError(f"the model returned {counted} for {len(questions)} questions")
        return [_checked_of_many(one) for one in found]

    def _prediction(
        self, question: Question, completion: Completion, taken_s: float, busy_s: float | None
    ) -> Prediction:
        """Tell of no latency that nobody knows: of many answers in one call, or of one that was read from a file."""
        latency_s = completion.latency_s
        if latency_s is None and not self._batched and self._model.verified is None:
            latency_s = taken_s
        return Prediction(question.key, completion, latency_s, self._now(), busy_s)

    def _expected_tokens(self, questions: Sequence[Question]) -> float:
        """Return what answers have taken on average; before the first one, what the questions alone may take."""
        if self._answers:
            return len(questions) * self._tokens / self._answers
        return sum(self._model.characters(question.example) for question in questions) / CHARACTERS_PER_TOKEN

    def _count_tokens(self, answers: Sequence[Completion | ModelError], expected: float) -> None:
        given = [one for one in answers if isinstance(one, Completion)]
        taken = sum((one.input_tokens or 0) + (one.output_tokens or 0) for one in given)
        self._tokens += taken
        if self._throttle is not None:
            self._throttle.correct(taken - expected)


class _Admission:
    """The time of one attempt, which the throttle lets begin and hears the end of.

    A class, since a generator cannot be closed where an abandoned task is collected: nobody is there to await it.
    """

    def __init__(self, throttle: Throttle | None, tokens: float) -> None:
        self._throttle = throttle
        self._tokens = tokens

    async def __aenter__(self) -> None:
        self._window = await self._throttle.enter(self._tokens) if self._throttle else None

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._throttle is None or self._window is None:
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
        self._n = 0

    def failed(self, error: ModelError, *, others_are_answered: bool) -> None:
        self._n += 1
        if error.trouble != "busy" or not others_are_answered:
            self._met[error.trouble] += 1

    def over(self, error: ModelError) -> bool:
        if error.fatal or not error.retryable or not self._retries:
            return True
        return max(self._met.values(), default=0) > self._retries

    def wait_s(self, policy: RetryPolicy, error: ModelError) -> float:
        """Return the seconds to wait before the next attempt."""
        return policy.wait_s(max(1, self._met.total()), error.retry_after_s)

    def last(self, error: ModelError) -> ModelError:
        """Return the error that ends it."""
        return error if self._n == 1 else ModelError(f"{error.what} (tried {self._n} times)", **error.parts())


async def _in_time(model: Model, call: Callable[[], Awaitable[_T]]) -> _T:
    if model.timeout_s is None:
        return await _guarded(model, call)
    try:
        return await asyncio.wait_for(_guarded(model, call), model.timeout_s)
    except asyncio.TimeoutError:
        text = f"no answer within {model.timeout_s:g} s"
        if model.abandons:
            raise AbandonedError(f"{text}; the call was abandoned") from None
        raise ModelError(text, retryable=True) from None


async def _guarded(model: Model, call: Callable[[], Awaitable[_T]]) -> _T:
    """Make one call. Whatever else a model raises becomes a :class:`ModelError`."""
    note_call(model.name)
    try:
        return await call()
    except (ModelError, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        # sys.exit() and pytest.skip() too: no model may end the run or excuse itself. (Ctrl-C never arrives here.)
        raise ModelError(f"{type(error).__name__}: {error}") from error


def _checked_of_many(found: object) -> Completion | ModelError:
    try:
        return found if isinstance(found, ModelError) else _checked(found)
    except ModelError as error:
        return error


def _checked(completion: object) -> Completion:
    """Return what a model returned, if it is an answer. Raise :class:`ModelError` else.

    Half a surrogate pair, which no file can hold, becomes U+FFFD: a model may stop within an emoji.
    """
    if not isinstance(completion, Completion):
        raise ModelError(f"the model returned {type(completion).__name__} instead of a Completion")
    text = completion.text
    if not isinstance(text, str):
        raise ModelError(f"the model returned a text of type {type(text).__name__} instead of str")
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return completion if whole == text else replace(completion, text=whole)
