"""Make the calls of one run: workers of all models, in one event loop, ask for what is not stored."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from pytest_ftgate import clock, errors
from pytest_ftgate.models.protocol import Completion, Model, Prediction, Question
from pytest_ftgate.runs import asking, jobs
from pytest_ftgate.runs.asking import LONGEST_WAIT_S, Outage, Throttle, run_in_own_loop
from pytest_ftgate.runs.budget import Budget
from pytest_ftgate.runs.store import Store

_CANCEL_S, _CLOSE_S = 0.5, 5.0
_POLL_S = 0.02  # the wait of a call for the money that others have reserved
_OFFLINE = "no recorded or stored answer has these prompts, model and parameters, and --ftgate-offline forbids calls"
_OFFLINE_CURE = "Record the answers with a key: `python -m pytest --ftgate-report=recordings:recordings`, "
_OFFLINE_CURE += "and commit the folder"


class StoreWriter:
    """Batch the writes of one run: one transaction per event-loop iteration."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._arrived: list[Prediction] = []
        self._written: asyncio.Future[None] | None = None

    async def keep(self, predictions: Sequence[Prediction]) -> None:
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
        error: errors.StoreError | None = None
        try:
            self._store.put(arrived)
        except errors.StoreError as caught:
            error = caught
        if not written.done():  # cancelling a waiter cancels the future
            written.set_exception(error) if error is not None else written.set_result(None)


class BusyTime:
    """Share the time in which at least one call was running among the answers, in the order of their arrival.

    The shares of all answers add up to that time, however many calls ran at once: for a machine that is paid by the
    hour, this is what the answers took of it.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._calls = 0
        self._since = self._unspent_s = 0.0

    def begin(self) -> None:
        """Record that a call begins."""
        if not self._calls:
            self._since = self._now()
        self._calls += 1

    def end(self, answers: int) -> float | None:
        """Record that a call has ended, and return the busy seconds of each answer; None without one."""
        now = self._now()
        self._unspent_s += now - self._since
        self._since = now
        self._calls -= 1
        if not answers:
            return None
        share_s, self._unspent_s = self._unspent_s / answers, 0.0
        return share_s


class Caller:
    """Ask one model its open questions, in turn with the models that share the throttle ``turn``.

    Attributes:
        workers: how many times :meth:`work` has to run at once.
        stopping: workers take no further question, and can be cancelled.
        abandoned: calls were still running in threads when the workers were cancelled.
    """

    def __init__(
        self,
        questions: jobs.Questions,
        stores: jobs.Stores,
        writer: StoreWriter,
        budget: Budget | None,
        limit: jobs.TimeLimit | None,
        turn: Throttle | None,
    ) -> None:
        self.questions = questions
        self.model = model = questions.model
        self.workers = min(model.concurrency, -(-len(questions.open) // model.batch_size))
        self.stopping = self.abandoned = False
        self._stores, self._writer = stores, writer
        self._budget = budget
        self._unasked = iter([question for question, _ in questions.open.values()])
        self._next: list[Question] = []
        self._throttle = turn or Throttle(
            model.concurrency,
            requests_per_minute=model.requests_per_minute,
            pause_s=model.pause_s,
            longest_wait_s=lambda: max(LONGEST_WAIT_S, limit.left_s() if limit is not None else 0.0),
        )
        longest_wait_s = self._throttle.longest_wait_s
        self._outage = Outage(self.workers, stored=questions.progress.stored, longest_wait_s=longest_wait_s)
        self._busy = BusyTime(clock.perf_counter)
        self._answers = 0

    def ready(self) -> None:
        """Raise the fatal :class:`ModelError` of a model that cannot be called, or :class:`StoreError`."""
        self._stores.of(self.model).put([])  # raises StoreError if answers could not be stored
        self.model.ready()
        self.questions.check_use()
        if self._budget is not None and not self._budget.counts(self.model):
            self._budget = None

    async def work(self) -> None:
        """Ask until no question is left. Raises a fatal :class:`ModelError`."""
        while not self.stopping and (questions := self._take()):
            try:
                await self._ask(questions)
            except errors.ModelError as error:
                self.questions.fatal = self.questions.fatal or error
                raise
            except asyncio.CancelledError:
                if self.stopping:
                    self.abandoned = self.model.abandons
                    raise
                for key in {one.key for one in questions} & self.questions.open.keys():
                    self.questions.failed(key, errors.ModelError("the model cancelled its own call"))

    def _take(self) -> list[Question]:
        """Return the questions of the next call; empty when all is done."""
        while not self._next:
            # Few, so that answers are seen that another process has stored meanwhile.
            few = list(islice(self._unasked, 2 * self.model.concurrency * self.model.batch_size))
            if not few:
                return []
            found = self._stores.get(self.model, [one.key for one in few])
            self.questions.stored(found)
            self._next = [one for one in few if one.key not in found]
        taken = self._next[: self.model.batch_size]
        del self._next[: self.model.batch_size]
        return taken

    async def _ask(self, questions: Sequence[Question]) -> None:
        """Ask in one call, and what failed and may pass in the next, until each question has its outcome.

        "Too many requests" does not count as a failure of a question while others are answered: the throttle reduces
        the number of calls, and the question waits its turn.
        """
        failures: Counter[str] = Counter()
        attempts = 0
        while questions:
            attempts += 1
            before = self._answers
            outcomes = await self._call(questions)
            answered = [one for one in outcomes if isinstance(one, Prediction)]
            if answered:
                self._answers += len(answered)
                self._outage.over()
                answered = [one._replace(retries=attempts - 1) for one in answered]
                self.questions.answered(answered)
                await self._writer.keep(answered)
                self.questions.check_use()
            again, wait_s = [], 0.0
            for question, error in zip(questions, outcomes, strict=True):
                if not isinstance(error, errors.ModelError):
                    continue
                if error.kind != "busy" or self._answers == before:
                    failures[question.key] += 1
                final, error = self._judged(question.key, error, failures[question.key])
                if not final:
                    self.questions.progress.retrying = error.what
                    again.append(question)
                    asked_s = self._throttle.granted_s(error.retry_after_s)
                    wait_s = max(wait_s, asking.wait_s(max(1, failures[question.key]), asked_s))
                    continue
                if attempts > 1:
                    error = errors.ModelError(
                        f"{error.what} (tried {attempts} times)", **error.parts(attempts=attempts)
                    )
                if error.fatal:  # no other call can succeed either, or none is likely to
                    raise error
                self.questions.failed(question.key, error)
            questions = again
            if questions:
                await asyncio.sleep(wait_s)

    def _judged(self, key: str, error: errors.ModelError, failures: int) -> tuple[bool, errors.ModelError]:
        """Return whether a question is given up after so many failures, and the error, fatal if it ends the run."""
        retries = self.model.retries
        final = error.fatal or not error.retryable or not retries or failures > retries
        hangs = error.kind == "timeout" and failures > 1  # waiting once more would take as long again
        error = self._outage.failed(key, error, given_up=final or hangs)
        return final or error.fatal, error

    async def _call(self, questions: Sequence[Question]) -> Sequence[Prediction | errors.ModelError]:
        """Make one call as soon as throttle and budget allow it; if it fails, every question gets its error."""
        try:
            window, failure = await self._throttle.enter(), None
            try:
                return await self._measured(questions)
            except errors.ModelError as error:
                failure = error
                raise
            finally:
                self._throttle.leave(window, failure)
        except errors.ModelError as error:
            return [error] * len(questions)

    async def _measured(self, questions: Sequence[Question]) -> list[Prediction | errors.ModelError]:
        model, budget, reserved = self.model, self._budget, None
        while budget and not (reserved := budget.reserve(model, [one.example for one in questions])):
            await asyncio.sleep(_POLL_S)
        found: Sequence[Completion | errors.ModelError | None] = [None] * len(questions)
        self._busy.begin()
        begun = clock.perf_counter()
        try:
            found = answers = await asking.call(model, questions)
        except errors.ModelError as error:
            found = [error] * len(questions)
            raise
        finally:
            taken_s: float | None = clock.perf_counter() - begun
            busy_s = self._busy.end(sum(isinstance(one, Completion) for one in found))
            if budget and reserved:
                budget.settle(reserved, found, busy_s)
        now = max(clock.wall(), self._stores.started)  # new answers count if the clock is set back
        if model.batch_size > 1 or model.verified is not None:
            taken_s = None  # the time of one answer is unknown
        return [
            one
            if isinstance(one, errors.ModelError)
            else Prediction(key, one, taken_s if one.latency_s is None else one.latency_s, now, busy_s)
            for (key, _, _), one in zip(questions, answers, strict=True)
        ]


def call_models(
    models: Sequence[jobs.Questions],
    stores: jobs.Stores,
    tell: Callable[[], None],
    *,
    ended: bool,
    offline: bool,
    limit: jobs.TimeLimit | None,
    budget: Budget | None,
) -> None:
    """Get the answers that are not recorded from the store, or else by calls: see :func:`run_models`.

    Args:
        tell: called in this thread about ten times a second.
        ended: a model has failed for good already, so that no model is called.

    Raises:
        Interrupted: Ctrl-C.
    """
    failure = errors.ModelError(_OFFLINE, kind="offline", cure=_OFFLINE_CURE)
    for one in models:
        one.stored(stores.get(one.model, list(one.open)))
        for key in list(one.open) if offline and one.model.endpoint else ():
            one.failed(key, failure)
    writers = {id(stores.of(one.model)): StoreWriter(stores.of(one.model)) for one in models}
    turns = _turns([one.model for one in models])
    callers = [
        Caller(one, stores, writers[id(stores.of(one.model))], budget, limit, turns.get(id(one.model)))
        for one in models
        if one.open
    ]
    for caller in callers:  # no short circuit: each model reports its own failure
        try:
            caller.ready()
        except errors.ModelError as error:
            caller.questions.fatal = caller.questions.fatal or error
    if ended or not callers or any(caller.questions.fatal for caller in callers):
        return
    longest_s = max((one.model.timeout_s for one in models if one.model.timeout_s is not None), default=None)
    try:
        run_in_own_loop(_ask_all(callers, limit), tell, patience_s=longest_s)
    except KeyboardInterrupt:
        abandoned = tuple(caller.model.name for caller in callers if caller.abandoned)
        done = [(one.progress.done - one.progress.errors, stores.of(one.model).persistent) for one in models]
        kept = sum(n for n, persistent in done if persistent)
        raise errors.Interrupted(abandoned, kept=(kept, sum(one.progress.total for one in models))) from None
    finally:
        if budget is not None:
            budget.end_run()


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


async def _ask_all(callers: Sequence[Caller], limit: jobs.TimeLimit | None) -> None:
    """Run all workers until every question is asked, one fails for good, time is up, or we are cancelled."""
    workers = [asyncio.create_task(caller.work()) for caller in callers for _ in range(caller.workers)]
    try:
        left_s = limit.left_s() if limit is not None else None
        _, working = await asyncio.wait(workers, timeout=left_s, return_when=asyncio.FIRST_EXCEPTION)
        if working and limit is not None and limit.left_s() <= 0:
            for caller in callers:
                caller.questions.fatal = caller.questions.fatal or limit.error()
    finally:
        for caller in callers:
            caller.stopping = True
        for task in workers:
            task.cancel()
        await asyncio.wait(workers, timeout=_CANCEL_S)
        await asyncio.gather(*(_close(caller.model) for caller in callers))
    for error in [worker.exception() for worker in workers if worker.done() and not worker.cancelled()]:
        if error is not None and not isinstance(error, errors.ModelError):  # those of models are noted already
            raise error


async def _close(model: Model) -> None:
    # All answers have arrived: a failure to close must not lose them.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(model.aclose(), _CLOSE_S)
