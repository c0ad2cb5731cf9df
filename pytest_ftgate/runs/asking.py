"""Call one model: retry, limit, check and time each call."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from pytest_ftgate import clock
from pytest_ftgate.errors import RAISED_CURE, FailureKind, ModelError, told
from pytest_ftgate.models import Completion, Model, Prediction, Question
from pytest_ftgate.models.event_loop import note_call
from pytest_ftgate.models.protocol import COUNTS, FINISHES, MOST_BYTES, is_count, is_seconds
from pytest_ftgate.runs.budget import Meter
from pytest_ftgate.runs.throttle import AbandonedError, Outage, Throttle, wait_refused

_T = TypeVar("_T")

Outcome = tuple[Question, Prediction | ModelError]
"""A question with its answer or its failure."""


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


class BusyTime:
    """Share the time in which at least one call was running among the answers, in the order of their arrival.

    The shares of all answers add up to that time, however many calls ran at once: for a machine that is paid by the
    hour, this is what the answers took of it.
    """

    def __init__(self, clock: Callable[[], float] = clock.perf_counter) -> None:
        self._clock = clock
        self._calls = 0
        self._since = 0.0
        self._unspent_s = 0.0

    def begin(self) -> None:
        if not self._calls:
            self._since = self._clock()
        self._calls += 1

    def end(self) -> None:
        """Record that a call has ended, with an answer or without."""
        self._calls -= 1
        if not self._calls:
            self._unspent_s += self._clock() - self._since

    def share_s(self) -> float:
        """Return the busy seconds since the last answer; to be called before the answering call has ended."""
        now = self._clock()
        share_s, self._unspent_s = self._unspent_s + now - self._since, 0.0
        self._since = now
        return share_s


class Asker:
    """Ask one model, with several questions in one call if ``batched``, and retry failures that may pass.

    ``now`` gives the time of an answer. ``throttle`` decides when
    calls may begin. Optional: ``meter`` counts their cost, ``outage`` ends the run of a model that answers no call, and
    ``retrying`` hears of each failure that leads to another attempt.
    """

    def __init__(
        self,
        model: Model,
        throttle: Throttle | None = None,
        *,
        batched: bool = False,
        now: Callable[[], float] = clock.wall,
    ) -> None:
        self.meter: Meter | None = None
        self.outage: Outage | None = None
        self.retrying: Callable[[Question, ModelError], None] = lambda *_: None
        self._model = model
        self._throttle = throttle or Throttle(1)
        self._batched = batched
        self._now = now
        self._busy = BusyTime()
        self._answers = 0

    async def ask(self, question: Question) -> Prediction:
        """Return the model's answer.

        Raises:
            ModelError: no attempt succeeded; this is the last one's error, with the number of attempts.
        """
        ((_, outcome),) = [one async for outcomes in self.ask_many([question]) for one in outcomes]
        if isinstance(outcome, ModelError):
            raise outcome from None
        return outcome

    async def ask_many(self, questions: Sequence[Question]) -> AsyncGenerator[Sequence[Outcome], None]:
        """Ask in one call, and retry unanswered questions in the next; yield outcomes as they become final."""
        attempts = {question.key: _Attempts(self._model.retries) for question in questions}
        while questions:
            seen = self._answers
            outcomes = await self._attempt(questions)
            self._answers += sum(isinstance(outcome, Prediction) for _, outcome in outcomes)
            if self.outage and self._answers > seen:
                self.outage.over()
            again: list[Question] = []
            certain: list[Outcome] = []
            wait_s = 0.0
            for question, outcome in outcomes:
                if isinstance(outcome, ModelError):
                    if (outcome.retry_after_s or 0.0) > self._throttle.longest_wait_s():
                        outcome = wait_refused(outcome.retry_after_s or 0.0)
                    one = attempts[question.key]
                    one.failed(outcome, others_are_answered=self._answers > seen)
                    if self.outage:
                        outcome = self.outage.failed(question.key, outcome, given_up=one.hangs or one.over(outcome))
                    if not one.over(outcome):
                        self.retrying(question, outcome)
                        again.append(question)
                        wait_s = max(wait_s, one.wait_s(outcome))
                        continue
                    outcome = one.last(outcome)
                elif failed := attempts[question.key].n:
                    outcome = outcome._replace(retries=failed)
                certain.append((question, outcome))
            if certain:
                yield certain
            questions = again
            if questions:
                await asyncio.sleep(wait_s)

    async def _attempt(self, questions: Sequence[Question]) -> list[Outcome]:
        """Make one call as soon as throttle and budget allow it; if it fails, every question gets its error."""
        try:
            window, failure = await self._throttle.enter(), None
            try:
                answers, taken_s, busy_s = await self._measured(questions)
            except ModelError as error:
                failure = error
                raise
            finally:
                self._throttle.leave(window, failure)
        except ModelError as error:
            return [(question, error) for question in questions]
        return [
            (question, one if isinstance(one, ModelError) else self._prediction(question, one, taken_s, busy_s))
            for question, one in zip(questions, answers, strict=True)
        ]

    async def _measured(
        self, questions: Sequence[Question]
    ) -> tuple[Sequence[Completion | ModelError], float, float | None]:
        """Make one call; also return its seconds, and each answer's share of the model's busy time."""
        meter = self.meter
        reserved = await meter.reserve([question.example for question in questions]) if meter else None
        found: Sequence[Completion | ModelError | None] = [None] * len(questions)
        busy_s = None
        self._busy.begin()
        begun = clock.perf_counter()
        try:
            found = answers = await self._call(questions)
            taken_s = clock.perf_counter() - begun
            n = sum(isinstance(one, Completion) for one in found)
            busy_s = self._busy.share_s() / n if n else None
        except ModelError as error:
            found = [error] * len(questions)
            raise
        finally:
            self._busy.end()
            if meter and reserved:
                meter.settle(reserved, found, busy_s)
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
        return [_checked(one) for one in found]

    def _prediction(
        self, question: Question, completion: Completion, taken_s: float, busy_s: float | None
    ) -> Prediction:
        """Return the answer with its latency, which is unknown for several answers in one call, and for recordings."""
        latency_s = completion.latency_s
        if latency_s is None and not self._batched and self._model.verified is None:
            latency_s = taken_s
        return Prediction(question.key, completion, latency_s, self._now(), busy_s)


class _Attempts:
    """Count the attempts of one question, and decide whether it may be retried.

    "Too many requests" does not count as a failure of the question while others are answered: the throttle reduces the
    number of calls, and the question waits its turn.

    Args:
        retries: how often it may be retried, for each kind of failure: attempts lost to a restarting server do not
            count against a question that later fails otherwise.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._met: Counter[FailureKind] = Counter()
        self.n = 0

    def failed(self, error: ModelError, *, others_are_answered: bool) -> None:
        self.n += 1
        if error.kind != "busy" or not others_are_answered:
            self._met[error.kind] += 1

    @property
    def hangs(self) -> bool:
        """Return whether the question has timed out twice: waiting once more would take as long again."""
        return self._met["timeout"] > 1

    def over(self, error: ModelError) -> bool:
        if error.fatal or not error.retryable or not self._retries:
            return True
        return max(self._met.values(), default=0) > self._retries

    def wait_s(self, error: ModelError) -> float:
        """Return the seconds to wait before the next attempt."""
        return wait_s(max(1, self._met.total()), error.retry_after_s)

    def last(self, error: ModelError) -> ModelError:
        """Return the final error, with the number of attempts."""
        if self.n == 1:
            return error
        return ModelError(f"{error.what} (tried {self.n} times)", **error.parts(attempts=self.n))


async def _in_time(model: Model, call: Callable[[], Awaitable[_T]]) -> _T:
    if model.timeout_s is None:
        return await _guarded(model, call)
    try:
        return await asyncio.wait_for(_guarded(model, call), model.timeout_s)
    except asyncio.TimeoutError:
        text = f"no answer within {model.timeout_s:g} s"
        if model.abandons:
            cure = "raise the model's timeout_s, or find out why its calls hang (a thread cannot be cancelled)"
            raise AbandonedError(f"{text}; the call was abandoned", kind="timeout", cure=cure) from None
        cure = "raise the model's timeout_s, or lower concurrency"
        raise ModelError(text, retryable=True, kind="timeout", cure=cure) from None


async def _guarded(model: Model, call: Callable[[], Awaitable[_T]]) -> _T:
    """Make one call, and turn any exception of the model into a :class:`ModelError`."""
    note_call(model.name)
    try:
        return await call()
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
    for name in COUNTS:
        count = getattr(answer, name)
        if count is not None and not is_count(count):
            return f"{name} is {count!r}, not a count"
    if answer.latency_s is not None and not is_seconds(answer.latency_s):
        return f"latency_s is {answer.latency_s!r}, not a number of seconds"
    return None
