"""One model's part of a run: what is known is looked up, the rest asked for by a fixed number of workers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import islice
from typing import TYPE_CHECKING

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Question
from pytest_ftgate.models.protocol import Prediction, RetryPolicy
from pytest_ftgate.runs.asking import Asker
from pytest_ftgate.runs.budget import Meter
from pytest_ftgate.runs.run_state import AbandonedError, EarlyStop
from pytest_ftgate.runs.throttle import Throttle
from pytest_ftgate.text import OFFLINE

if TYPE_CHECKING:
    from pytest_ftgate.runs.budget import Budget
    from pytest_ftgate.runs.run_state import Keys, RunState
    from pytest_ftgate.runs.runner import Job
    from pytest_ftgate.runs.store_writer import StoreWriter

_STUCK_AFTER = 5  # abandoned calls in a row: each has cost its whole time limit, and left a thread behind

_FIRST_POLL_S = 0.05

_SLOWEST_POLL_S = 0.25


class ModelQueue:
    """Asks one model, whose jobs these are; in turn with others, where it shares its throttle ``turn`` with them.

    Attributes:
        workers: how many times :meth:`work` is to run at once.
        fatal: the error that makes further calls pointless.
        stopping: workers take nothing more, and let themselves be cancelled.
        abandoned: calls that cannot be cancelled went on when the workers were.
    """

    def __init__(
        self,
        jobs: Sequence[tuple[Job, Keys]],
        *,
        writer: StoreWriter,
        state: RunState,
        retry: RetryPolicy,
        budget: Budget | None = None,
        turn: Throttle | None = None,
    ) -> None:
        first, _ = jobs[0]
        self.model = first.model
        self.writer = writer
        self.workers = 0
        self.fatal: ModelError | None = None
        self.stopping = False
        self.abandoned = False
        self._jobs = jobs
        self._keys = [row for _, rows in jobs for row in rows]
        self._questions = self._unasked()
        self._state = state
        self._budget = budget
        self._early_stop = EarlyStop(first.usable)
        throttle = turn or Throttle(
            self.model.concurrency,
            requests_per_minute=self.model.requests_per_minute,
            tokens_per_minute=self.model.tokens_per_minute,
            pause_s=self.model.pause_s,
        )
        self._asker = Asker(self.model, retry, throttle, batched=self.model.batch_size > 1, now=writer.now)
        self._ready: deque[Question] = deque()
        self._elsewhere: dict[str, Question] = {}
        self._polling = asyncio.Lock()
        self._abandoned_in_a_row = 0

    def look_up(self, *, offline: bool) -> None:
        """Note what is stored; the rest fails where it would have to be asked for and may not."""
        self._state.found(self.writer.get(self._state.unknown(self._keys)))
        missing = self._state.unknown(self._keys)
        if offline and self.model.endpoint:
            for key in missing:
                self._state.failed(key, OFFLINE, offline=True)
            return
        self.workers = min(self.model.concurrency, -(-len(missing) // self.model.batch_size))
        if self.workers:
            self.fatal = self._early_stop.check(self._state.known(self._keys))

    def ready(self) -> bool:
        """Return whether the model can be asked, if it has to be at all; where not, :attr:`fatal` says why."""
        if self.workers:
            try:
                self.model.ready()
                if self._budget is not None and self._budget.covers(self.model):
                    self._asker.meter = Meter(self._budget, self.model)
            except ModelError as error:
                self.fatal = error
        return self.fatal is None

    def close(self) -> None:
        """Free the money that was set aside: the run has ended."""
        if self._asker.meter is not None:
            self._asker.meter.close()

    def _unasked(self) -> Iterator[Question]:
        """Draw questions as the work goes on; never a list, since examples are many."""
        for job, rows in self._jobs:
            for repeat, row in enumerate(rows):
                for example, key in zip(job.test_set.examples, row, strict=True):
                    if self._state.begin(key):
                        yield Question(key, example, repeat)

    async def work(self) -> None:
        """Be one worker until nothing is left to ask. Raises :class:`ModelError` where it is fatal."""
        while not self.stopping and (questions := await self._next()):
            try:
                await self._ask(questions)
            except asyncio.CancelledError:
                if self.stopping:
                    self.abandoned = self.model.abandons
                    raise
                await self._fail("the call was cancelled from within the model", *questions)

    async def _next(self) -> Sequence[Question]:
        """Return what one call takes, as much of it as there is; nothing where all is done."""
        while not self._ready:
            # Few, so that other processes get their share.
            if questions := list(islice(self._questions, 2 * self.model.concurrency * self.model.batch_size)):
                self._claim(questions)
                continue
            async with self._polling:
                await self._poll()
            if not self._ready and not self._elsewhere:
                return ()
        return [self._ready.popleft() for _ in range(min(self.model.batch_size, len(self._ready)))]

    def _claim(self, questions: Iterable[Question]) -> None:
        by_key = {question.key: question for question in questions}
        claim = self.writer.claim(list(by_key))
        self._state.found(claim.done)
        self._ready.extend(by_key[key] for key in claim.mine)
        self._elsewhere.update((key, by_key[key]) for key in claim.elsewhere)

    async def _poll(self) -> None:
        """Wait until an answer that another process was asking for is there, or has to be asked for by us."""
        pause_s = 0.0
        while self._elsewhere and not self._ready:
            await asyncio.sleep(pause_s)
            waiting, self._elsewhere = self._elsewhere, {}
            self._claim(waiting.values())
            pause_s = min(_SLOWEST_POLL_S, pause_s * 1.5 or _FIRST_POLL_S)

    async def _ask(self, questions: Sequence[Question]) -> None:
        async with aclosing(self._asker.ask_many(questions)) as parts:
            async for outcomes in parts:
                await self._answered([outcome for _, outcome in outcomes if isinstance(outcome, Prediction)])
                for question, outcome in outcomes:
                    if isinstance(outcome, ModelError):
                        self._end_if_fatal(outcome)
                        await self._fail(str(outcome), question)

    async def _answered(self, predictions: Sequence[Prediction]) -> None:
        """Note the answers that one call has brought, and return once they are stored."""
        if not predictions:
            return
        self._abandoned_in_a_row = 0
        for prediction in predictions:
            self._state.answered(prediction)
        await self.writer.keep(*predictions)
        self.model.stored([prediction.key for prediction in predictions])
        useless = self._early_stop.check(predictions)
        if useless is not None:
            self.fatal = self.fatal or useless
            raise useless

    def _end_if_fatal(self, error: ModelError) -> None:
        """Raise the error where no other call can succeed either, nor be hoped for: so many in a row were abandoned."""
        self._abandoned_in_a_row = self._abandoned_in_a_row + 1 if isinstance(error, AbandonedError) else 0
        if error.fatal:
            self.fatal = self.fatal or error
            raise error from None
        if self._abandoned_in_a_row >= _STUCK_AFTER:
            stuck = AbandonedError(f"{error.what}, as were the {_STUCK_AFTER - 1} before it", fatal=True)
            self.fatal = self.fatal or stuck
            raise stuck from error

    async def _fail(self, error: str, *questions: Question) -> None:
        for question in questions:
            self._state.failed(question.key, error)
        await self.writer.give_up(*(question.key for question in questions))
