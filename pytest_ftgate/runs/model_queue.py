"""One model's part of a run: what is known is looked up, the rest asked for by a fixed number of workers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import islice
from typing import TYPE_CHECKING

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Question
from pytest_ftgate.models.protocol import RetryPolicy
from pytest_ftgate.runs.asking import AbandonedError, Answer, Asker
from pytest_ftgate.runs.budget import Meter
from pytest_ftgate.runs.store import StoredPrediction
from pytest_ftgate.runs.throttle import Throttle
from pytest_ftgate.text import OFFLINE

if TYPE_CHECKING:
    from pytest_ftgate.data import Example
    from pytest_ftgate.models import Completion, Model
    from pytest_ftgate.runs.budget import Budget
    from pytest_ftgate.runs.run_state import Board, Keys
    from pytest_ftgate.runs.store_writer import Desk


ENOUGH = 5
"""Useless answers at the start, after which no other is asked for."""


class UselessError(ModelError):
    """Nothing that a model has said so far is of any use."""


class Opening:
    """Counts useless answers until there is one that is of use.

    Args:
        usable: tells whether an answer is of use; ``None``: every one is.
    """

    def __init__(self, usable: Callable[[Completion], bool] | None) -> None:
        self._usable = usable
        self._useless = 0

    def hear(self, completions: Iterable[Completion]) -> UselessError | None:
        """The error that ends the asking, where these answers make it clear that nothing is to be hoped for."""
        for completion in completions:
            if self._usable is None or self._usable(completion):
                self._usable = None
                return None
            self._useless += 1
        if self._useless < ENOUGH:
            return None
        return UselessError(f"none of the first {self._useless} answers is of any use", fatal=True)


_STUCK_AFTER = 5  # abandoned calls in a row: each has cost its whole time limit, and left a thread behind

_FIRST_POLL_S = 0.05

_SLOWEST_POLL_S = 0.25


class Lane:
    """Asks one model.

    Args:
        model: whom to ask.
        wanted: what for: examples with their keys, of each job.
        desk: where claims are made and answers are kept.
        board: where outcomes are noted.
        retry: how failed calls are tried again.
        budget: what may be spent; ``None``: no limit.
        usable: whether an answer is of use; where the first few are not, no other is asked for.

    Attributes:
        workers: how many times :meth:`work` is to run at once.
        fatal: the error that makes further calls pointless.
        stopping: workers take nothing more, and let themselves be cancelled.
        abandoned: calls that cannot be cancelled went on when the workers were.
    """

    def __init__(
        self,
        model: Model,
        wanted: Sequence[tuple[Sequence[Example], Keys]],
        *,
        desk: Desk,
        board: Board,
        retry: RetryPolicy,
        budget: Budget | None = None,
        usable: Callable[[Completion], bool] | None = None,
    ) -> None:
        self.model = model
        self.desk = desk
        self.workers = 0
        self.fatal: ModelError | None = None
        self.stopping = False
        self.abandoned = False
        self._wanted = wanted
        self._requests = self._unasked()
        self._board = board
        self._batch_size: int = getattr(model, "batch_size", 1)
        self._budget = budget
        self._opening = Opening(usable)
        self._asker = Asker(model, retry, _throttle(model))
        self._ready: deque[Question] = deque()
        self._elsewhere: dict[str, Question] = {}
        self._polling = asyncio.Lock()
        self._abandoned_in_a_row = 0

    def look_up(self, recordings: Mapping[str, StoredPrediction], *, offline: bool) -> None:
        """Note what is recorded or stored; the rest fails where it would have to be asked for and may not."""
        missing = self._board.open(row for _, rows in self._wanted for row in rows)
        recorded = {key: recordings[key] for key in missing if key in recordings}
        self._board.found(recorded)
        missing = [key for key in missing if key not in recordings]
        stored = self.desk.get(missing)
        self._board.found(stored)
        if offline and getattr(self.model, "endpoint", False):
            for key in missing:
                if key not in stored:
                    self._board.failed(key, OFFLINE)
        else:
            self.workers = min(self.model.concurrency, -(-(len(missing) - len(stored)) // self._batch_size))
        if self.workers:
            known = [*recorded.values(), *stored.values()]
            self.fatal = self._opening.hear(prediction.completion for prediction in known)

    def ready(self) -> bool:
        """Whether the model, where it has to be asked at all, can be asked; where not, :attr:`fatal` says why."""
        if self.workers:
            check = getattr(self.model, "ready", None)
            try:
                if callable(check):
                    check()
                self._asker.meter = self._meter()
            except ModelError as error:
                self.fatal = error
        return self.fatal is None

    def _meter(self) -> Meter | None:
        """Counts what the calls cost, where that is limited. Raises :class:`ModelError` where nobody knows."""
        if self._budget is None or not self._budget.covers(self.model):
            return None
        return Meter(self._budget, self.model)

    def close(self) -> None:
        """The run has ended: money that was set aside is no longer."""
        if self._asker.meter is not None:
            self._asker.meter.close()

    def _unasked(self) -> Iterator[Question]:
        """Drawn from as the work goes on; never a list, since examples are many."""
        for examples, rows in self._wanted:
            for repeat, row in enumerate(rows):
                for example, key in zip(examples, row, strict=True):
                    if self._board.begin(key):
                        yield Question(key, example, repeat)

    async def work(self) -> None:
        """Be one worker until nothing is left to ask. Raises :class:`ModelError` where it is fatal."""
        while not self.stopping and (questions := await self._next()):
            try:
                await (self._ask(*questions) if self._batch_size == 1 else self._ask_many(questions))
            except asyncio.CancelledError:
                if self.stopping:
                    self.abandoned = getattr(self.model, "abandons", False)
                    raise
                await self._fail("the call was cancelled from within the model", *questions)

    async def _next(self) -> Sequence[Question]:
        """What one call takes, as much of it as there is; empty where all is done."""
        while not self._ready:
            if self._claim_more():
                continue
            async with self._polling:
                await self._poll()
            if not self._ready and not self._elsewhere:
                return ()
        return [self._ready.popleft() for _ in range(min(self._batch_size, len(self._ready)))]

    def _claim_more(self) -> bool:
        """Claim the next few keys; false where none are left. Few, so that other processes get their share."""
        requests = list(islice(self._requests, 2 * self.model.concurrency * self._batch_size))
        if requests:
            self._claim(requests)
        return bool(requests)

    def _claim(self, requests: Iterable[Question]) -> None:
        by_key = {request.key: request for request in requests}
        claim = self.desk.claim(list(by_key))
        self._board.found(claim.done)
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

    async def _ask(self, question: Question) -> None:
        try:
            await self._answered((question, await self._asker.ask(question.example, question.repeat)))
        except ModelError as error:
            self._end_if_fatal(error)
            await self._fail(str(error), question)

    async def _ask_many(self, questions: Sequence[Question]) -> None:
        async with aclosing(self._asker.ask_many(questions)) as told:
            async for outcomes in told:
                await self._answered(*((q, found) for q, found in outcomes if isinstance(found, Answer)))
                for question, found in outcomes:
                    if isinstance(found, ModelError):
                        self._end_if_fatal(found)
                        await self._fail(str(found), question)

    async def _answered(self, *answers: tuple[Question, Answer]) -> None:
        """Note the answers that one call has brought, and return once they are stored."""
        if not answers:
            return
        self._abandoned_in_a_row = 0
        now = self.desk.now()
        predictions = [
            StoredPrediction(question.key, answer.completion, answer.latency_s, now, answer.busy_s)
            for question, answer in answers
        ]
        for prediction in predictions:
            self._board.answered(prediction)
        await self.desk.keep(*predictions)
        stored = getattr(self.model, "stored", None)
        if stored is not None:
            stored([prediction.key for prediction in predictions])
        useless = self._opening.hear(prediction.completion for prediction in predictions)
        if useless is not None:
            self.fatal = self.fatal or useless
            raise useless

    def _end_if_fatal(self, error: ModelError) -> None:
        """Raise the error where no other call can succeed either."""
        fatal = error if error.fatal else self._stuck(error)
        if fatal is not None:
            self.fatal = self.fatal or fatal
            raise fatal from (None if fatal is error else error)

    def _stuck(self, error: ModelError) -> ModelError | None:
        """A fatal error, once so many calls in a row were abandoned that no other can be hoped for."""
        self._abandoned_in_a_row = self._abandoned_in_a_row + 1 if isinstance(error, AbandonedError) else 0
        if self._abandoned_in_a_row < _STUCK_AFTER:
            return None
        return AbandonedError(f"{error.what}, as were the {_STUCK_AFTER - 1} before it", fatal=True)

    async def _fail(self, error: str, *questions: Question) -> None:
        for question in questions:
            self._board.failed(question.key, error)
        await self.desk.give_up(*(question.key for question in questions))


def _throttle(model: Model) -> Throttle:
    return Throttle(
        model.concurrency,
        requests_per_minute=getattr(model, "requests_per_minute", None),
        tokens_per_minute=getattr(model, "tokens_per_minute", None),
        pause_s=getattr(model, "pause_s", None),
    )
