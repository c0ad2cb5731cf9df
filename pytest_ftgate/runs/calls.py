"""Make the calls of one run: workers of all models, in one event loop, ask for what is not stored."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.data import Example, Input
from pytest_ftgate.errors import Interrupted, ModelError, StoreError
from pytest_ftgate.models import Completion, Model, Question
from pytest_ftgate.models.event_loop import run_in_own_loop
from pytest_ftgate.models.protocol import Prediction, output_limit
from pytest_ftgate.models.reasoning import answer_of
from pytest_ftgate.models.recorded import RecordedModel
from pytest_ftgate.runs.asking import Asker
from pytest_ftgate.runs.budget import Budget
from pytest_ftgate.runs.jobs import EarlyStop, Job, RunState, Stores, TimeLimit
from pytest_ftgate.runs.store import Store
from pytest_ftgate.runs.throttle import LONGEST_WAIT_S, Outage, Throttle

_CANCEL_S = 0.5
_CLOSE_S = 5.0


class StoreWriter:
    """Batch the writes of one run: one transaction per event-loop iteration.

    Answers are dated at ``started``, the session's start, at least: new ones count if the clock is set back.
    """

    def __init__(self, store: Store, started: float = 0.0) -> None:
        self.store = store
        self._started = started
        self._arrived: list[Prediction] = []
        self._written: asyncio.Future[None] | None = None

    def now(self) -> float:
        """Return the date of an answer that arrives now, in seconds since the epoch."""
        return max(clock.wall(), self._started)

    async def keep(self, *predictions: Prediction) -> None:
        """Return once the predictions are stored. Raises :class:`StoreError`."""
        self._arrived += predictions
        if self._written is None:
            loop = asyncio.get_running_loop()
            self._written = loop.create_future()
            loop.call_soon(self._write, self._written)
        await self._written

    def _write(self, written: asyncio.Future[None]) -> None:
        self._written = None
        arrived, self._arrived = self._arrived, []
        error: StoreError | None = None
        try:
            self.store.put(arrived)
        except StoreError as caught:
            error = caught
        if not written.done():  # cancelling a waiter cancels the future
            written.set_exception(error) if error is not None else written.set_result(None)


class ModelQueue:
    """Ask one model for the answers of its jobs, in turn with the models that share the throttle ``turn``.

    Attributes:
        workers: how many times :meth:`work` has to run at once.
        fatal: the failure that ended the run.
        stopping: workers take no further question, and can be cancelled.
        abandoned: calls were still running in threads when the workers were cancelled.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        writer: StoreWriter,
        since: float = float("-inf"),
        state: RunState,
        budget: Budget | None = None,
        limit: TimeLimit | None = None,
        turn: Throttle | None = None,
    ) -> None:
        self.model = jobs[0].model
        self.writer = writer
        self._since = since
        self.workers = 0
        self.fatal: ModelError | None = None
        self.stopping = False
        self.abandoned = False
        self._jobs = jobs
        self._questions = self._unasked()
        self._state = state
        self._budget = budget
        self._early_stop = EarlyStop(jobs[0])
        throttle = turn or Throttle(
            self.model.concurrency,
            requests_per_minute=self.model.requests_per_minute,
            pause_s=self.model.pause_s,
            longest_wait_s=lambda: max(LONGEST_WAIT_S, limit.left_s() if limit is not None else 0.0),
        )
        self._asker = Asker(self.model, throttle, batched=self.model.batch_size > 1, now=writer.now)
        self._asker.retrying = state.retrying
        self._ready: deque[Question] = deque()

    def look_up(self, *, offline: bool) -> None:
        """Take stored answers; ``offline``, the other questions to an endpoint fail."""
        self._state.found(self.writer.store.get(self._state.unknown(self._jobs), newer_than=self._since))
        missing = self._state.unknown(self._jobs)
        if offline and self.model.endpoint:
            failure = ModelError(
                "no recorded or stored answer has these prompts, model and parameters, and --ftgate-offline forbids "
                "calls",
                kind="offline",
                cure="Record the answers with a key: `python -m pytest --ftgate-report=recordings:recordings`, and "
                "commit the folder",
            )
            for key in missing:
                self._state.failed(key, failure)
            return
        self.workers = min(self.model.concurrency, -(-len(missing) // self.model.batch_size))
        if self.workers:
            self.writer.store.put([])  # raises StoreError if answers could not be stored
            known = self._state.known(self._jobs)
            self._asker.outage = Outage(self.workers, stored=len(known))
            self.fatal = self._early_stop.check(known)

    def ready(self) -> bool:
        """Return whether the model can be called, if it has to be; if it cannot, :attr:`fatal` says why."""
        if self.workers:
            try:
                self.model.ready()
                if self._budget is not None:
                    self._asker.meter = self._budget.meter(self.model)
            except ModelError as error:
                self.fatal = error
        return self.fatal is None

    def close(self) -> None:
        """Release the money reserved for calls: the run has ended."""
        if self._asker.meter is not None:
            self._asker.meter.close()

    @property
    def kept(self) -> tuple[int, int]:
        """Return how many answers the next session finds, and how many this run is for."""
        answers = [one for one in self._state.known(self._jobs) if one.completion is not None]
        return len(answers) if self.writer.store.persistent else 0, sum(
            len(row) for job in self._jobs for row in job.keys
        )

    def _unasked(self) -> Iterator[Question]:
        """Yield the questions that are still to be asked; no list is made, since there may be many."""
        for job in self._jobs:
            for repeat, row in enumerate(job.keys):
                for example, key in zip(job.test_set.examples, row, strict=True):
                    if self._state.begin(key):
                        yield Question(key, example, repeat)

    async def work(self) -> None:
        """Ask until no question is left. Raises a fatal :class:`ModelError`."""
        while not self.stopping and (questions := self._next()):
            try:
                await self._ask(questions)
            except asyncio.CancelledError:
                if self.stopping:
                    self.abandoned = self.model.abandons
                    raise
                self._fail(ModelError("the model cancelled its own call"), *questions)

    def _next(self) -> Sequence[Question]:
        """Return the questions of the next call; empty when all is done."""
        while not self._ready:
            # Few, so that answers are seen that another process has stored meanwhile.
            questions = list(islice(self._questions, 2 * self.model.concurrency * self.model.batch_size))
            if not questions:
                return ()
            stored = self.writer.store.get([question.key for question in questions], newer_than=self._since)
            self._state.found(stored)
            self._ready.extend(question for question in questions if question.key not in stored)
        return [self._ready.popleft() for _ in range(min(self.model.batch_size, len(self._ready)))]

    async def _ask(self, questions: Sequence[Question]) -> None:
        async with contextlib.aclosing(self._asker.ask_many(questions)) as parts:
            async for outcomes in parts:
                await self._answered([(one, found) for one, found in outcomes if isinstance(found, Prediction)])
                for question, outcome in outcomes:
                    if isinstance(outcome, ModelError):
                        if outcome.fatal:  # no other call can succeed either, or none is likely to
                            self.fatal = self.fatal or outcome
                            raise outcome from None
                        self._fail(outcome, question)

    async def _answered(self, answers: Sequence[tuple[Question, Prediction]]) -> None:
        """Record the answers of one call, and return once they are stored."""
        if not answers:
            return
        for question, prediction in answers:
            self._state.answered(question.example, prediction)
        predictions = [prediction for _, prediction in answers]
        await self.writer.keep(*predictions)
        useless = self._early_stop.check(predictions)
        if useless is not None:
            self.fatal = self.fatal or useless
            raise useless

    def _fail(self, failure: ModelError, *questions: Question) -> None:
        for question in questions:
            self._state.failed(question.key, failure)


def call_models(
    jobs: Sequence[Job],
    state: RunState,
    stores: Stores,
    tell: Callable[[], None],
    *,
    stopped: bool,
    offline: bool,
    limit: TimeLimit | None,
    budget: Budget | None,
) -> dict[int, ModelError]:
    """Get the answers that are not recorded from the store, or else by calls: see :func:`run_models`.

    Args:
        tell: called in this thread about ten times a second.
        stopped: a model has failed for good already, so that no model is called.

    Returns:
        The failures that ended the run, by the id of the model.

    Raises:
        Interrupted: Ctrl-C.
    """
    models = list({id(job.model): job.model for job in jobs}.values())
    writers = {id(store): StoreWriter(store, stores.started) for store in map(stores.of, models)}
    turns = _turns(models)
    queues = [
        ModelQueue(
            [job for job in jobs if job.model is model],  # its limit on concurrency holds over all
            writer=writers[id(stores.of(model))],
            since=stores.since(model),
            state=state,
            budget=budget,
            limit=limit,
            turn=turns.get(id(model)),
        )
        for model in models
    ]
    for queue in queues:
        queue.look_up(offline=offline)
    ready = [queue.ready() for queue in queues]  # no short circuit: each model reports its own failure
    if all(ready) and not stopped and any(queue.workers for queue in queues):
        longest_s = max((job.model.timeout_s for job in jobs if job.model.timeout_s is not None), default=None)
        try:
            run_in_own_loop(_ask_all(queues, limit), tell, patience_s=longest_s)
        except KeyboardInterrupt:
            kept, total = map(sum, zip(*(queue.kept for queue in queues), strict=True))
            abandoned = tuple(queue.model.name for queue in queues if queue.abandoned)
            raise Interrupted(abandoned, kept=(kept, total)) from None
        finally:
            for queue in queues:
                queue.close()
    return {id(queue.model): queue.fatal for queue in queues if queue.fatal is not None}


def ask(model: Model, given: Input, recorded_for: Callable[[], Iterable[Example]] = tuple) -> Completion:
    """Return one answer without reasoning, outside of a run: it is neither looked up nor stored; failures are retried.

    ``recorded_for`` returns the examples to whose ids a recorded model has answers.

    Raises:
        ModelError: there is no answer.
    """

    async def once() -> Completion:
        try:
            completion = (await Asker(model).ask(Question("", Example("call", given, ""), 0))).completion
        finally:
            await _close(model)
        assert completion is not None
        return completion

    if isinstance(model, RecordedModel):
        completion = model.answer_to(given, recorded_for())
    else:
        completion = run_in_own_loop(once(), lambda: None, patience_s=model.timeout_s)
    return answer_of(completion, output_limit(model), model.strip_reasoning)


def _turns(models: Sequence[Model]) -> dict[int, Throttle]:
    """Return the throttle that models with a common object share, by the id of each model."""
    groups: list[tuple[set[Any], list[Model]]] = []
    for model in models:
        if not model.exclusive:
            continue
        used, members = set(model.exclusive), [model]
        for group in [group for group in groups if group[0] & used]:
            groups.remove(group)
            used |= group[0]
            members += group[1]
        groups.append((used, members))
    shared = [(members, Throttle(1)) for _, members in groups if len(members) > 1]
    return {id(model): turn for members, turn in shared for model in members}


async def _ask_all(queues: Sequence[ModelQueue], limit: TimeLimit | None) -> None:
    """Run all workers until every question is asked, one fails for good, time is up, or we are cancelled."""
    workers = [asyncio.create_task(queue.work()) for queue in queues for _ in range(queue.workers)]
    try:
        left_s = limit.left_s() if limit is not None else None
        _, working = await asyncio.wait(workers, timeout=left_s, return_when=asyncio.FIRST_EXCEPTION)
        if working and limit is not None and limit.left_s() <= 0:
            for queue in queues:
                queue.fatal = queue.fatal or limit.error()
    finally:
        for queue in queues:
            queue.stopping = True
        for task in workers:
            task.cancel()
        await asyncio.wait(workers, timeout=_CANCEL_S)
        await asyncio.gather(*(_close(queue.model) for queue in queues))
    ended = [worker.exception() for worker in workers if worker.done() and not worker.cancelled()]
    for error in ended:
        if error is not None and not isinstance(error, ModelError):  # those of models are in queue.fatal
            raise error


async def _close(model: Model) -> None:
    # All answers have arrived: a failure to close must not lose them.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(model.aclose(), _CLOSE_S)
