"""Make the calls of one run: workers of all models, in one event loop, ask for what is not stored."""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, TypeVar

from pytest_ftgate import clock, errors
from pytest_ftgate.models.protocol import Completion, Model, Prediction, Question
from pytest_ftgate.runs import asking, jobs
from pytest_ftgate.runs.asking import LONGEST_WAIT_S, Outage, Throttle, run_in_own_loop
from pytest_ftgate.runs.budget import Budget
from pytest_ftgate.runs.store import CLAIM_S, PATIENCE_S, BusyError, Store, encoded

_T = TypeVar("_T")

_CANCEL_S, _CLOSE_S = 0.5, 5.0
_POLL_S = 0.02  # the wait of a call for the money that others have reserved
_ELSEWHERE_S = 0.1  # the wait for answers that another process has asked for
_OFFLINE = "no recorded or stored answer has these prompts, model and parameters, and --ftgate-offline forbids calls"
_OFFLINE_CURE = (
    "Record the answers with a key: `python -m pytest --ftgate-report=recordings:recordings`, "
)
_OFFLINE_CURE += "and commit the folder"


class RunStore:
    """Use a store in one run: write in batches, and claim questions that no other process then asks.

    While another process holds the file, the run's other calls go on.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owner = secrets.token_hex(8)
        self._arrived: list[Prediction] = []
        self._turn = asyncio.Lock()  # for one transaction at a time
        self._next_write: asyncio.Task[None] | None = None

    async def keep(self, predictions: Sequence[Prediction]) -> None:
        """Return once the predictions are stored, with all that arrived meanwhile.

        Raises :class:`StoreError`.
        """
        self._arrived += predictions
        if self._next_write is None:
            self._next_write = asyncio.create_task(self._write())
        await asyncio.shield(self._next_write)  # others wait for it too

    async def _write(self) -> None:
        async with self._turn:
            self._next_write = None
            arrived = self._arrived
            self._arrived = []
            await _while_locked(self._store.put, arrived)

    async def claim(self, keys: Sequence[str]) -> set[str]:
        """Return the keys of the questions that this run may ask, and no other process does."""
        return await _while_locked(self._store.claim, keys, self._owner)

    async def renew(self) -> None:
        """Renew the claims of the run, until it is cancelled."""
        while self._store.persistent:
            await asyncio.sleep(CLAIM_S / 4)
            with contextlib.suppress(errors.StoreError):  # a claim that ends costs a second call
                await _while_locked(self._store.renew, self._owner)

    def end(self) -> None:
        """Release all claims of the run."""
        with contextlib.suppress(errors.StoreError):
            if self._store.persistent:
                self._store.release(self._owner, patience_s=0.0)


async def _while_locked(step: Callable[..., _T], *args: Any) -> _T:
    """Take a step of the store, again while another process holds the file, and return what it gives."""
    ends_at = clock.monotonic() + PATIENCE_S
    while True:
        try:
            return step(*args, patience_s=0.0)
        except BusyError:
            if clock.monotonic() >= ends_at:
                raise
        await asyncio.sleep(_ELSEWHERE_S)


class BusyTime:
    """Share the time in which at least one call was running among the answers, in the order of their arrival.

    The shares of all answers add up to that time, however many calls ran at once: for a machine
    that is paid by the hour, this is what the answers took of it.
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
        store: RunStore,
        budget: Budget | None,
        limit: jobs.TimeLimit | None,
        turn: Throttle | None,
    ) -> None:
        self.questions = questions
        self.model = model = questions.model
        self.workers = min(model.concurrency, -(-len(questions.open) // model.batch_size))
        self.stopping = self.abandoned = False
        self._stores = stores
        self._store = store
        self._budget = budget
        self._unasked = iter([question for question, _ in questions.open.values()])
        self._next: list[Question] = []  # claimed
        self._elsewhere: list[Question] = []  # claimed by other processes
        self._taking = asyncio.Lock()
        self._throttle = turn or Throttle(
            model.concurrency,
            requests_per_minute=model.requests_per_minute,
            longest_wait_s=lambda: max(
                LONGEST_WAIT_S, limit.left_s() if limit is not None else 0.0
            ),
        )
        longest_wait_s = self._throttle.longest_wait_s
        self._outage = Outage(
            self.workers, stored=questions.progress.stored, longest_wait_s=longest_wait_s
        )
        self._busy = BusyTime(clock.perf_counter)
        self._answers = 0

    def ready(self) -> None:
        """Raise the fatal :class:`ModelError` of a model that cannot be called, or :class:`StoreError`."""
        self._stores.of(self.model).check_room()
        self.model.ready()
        self.questions.check_use()
        if self._budget is not None and not self._budget.counts(self.model):
            self._budget = None

    async def work(self) -> None:
        """Ask until no question is left. Raises a fatal :class:`ModelError`."""
        while not self.stopping and (questions := await self._take()):
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
                    self.questions.failed(
                        key, errors.ModelError("the model cancelled its own call")
                    )

    async def _take(self) -> list[Question]:
        """Return the questions of the next call; empty when all is done."""
        size = self.model.batch_size
        few = 2 * self.model.concurrency * size  # so that several processes share the work
        async with self._taking:
            while not self._next:
                block = list(islice(self._unasked, few))
                if block:
                    self._elsewhere += await self._claim(block)
                elif self._elsewhere:
                    await self._take_over()
                else:
                    return []
                self.questions.progress.elsewhere = len(self._elsewhere)

            taken = self._next[:size]
            del self._next[:size]
        return taken

    async def _claim(self, block: Sequence[Question]) -> list[Question]:
        """Claim what is not stored of these questions, and return those that other processes have claimed."""
        keys = [question.key for question in block]
        claimed = await self._store.claim(keys)

        # Only now: an answer that was stored before the claim has to be seen.
        answers = await _while_locked(self._stores.get, self.model, keys)
        self.questions.stored(answers)

        open_ = [question for question in block if question.key not in answers]
        self._next = [question for question in open_ if question.key in claimed]
        return [question for question in open_ if question.key not in claimed]

    async def _take_over(self) -> None:
        """Find the answers to what other processes have claimed, or claim what they gave up."""
        before = len(self._elsewhere)
        self._elsewhere = await self._claim(self._elsewhere)
        if len(self._elsewhere) == before:
            await asyncio.sleep(_ELSEWHERE_S)

    async def _ask(self, questions: Sequence[Question]) -> None:
        """Ask in one call, and what failed and may pass in the next, until each question has its outcome.

        "Too many requests" does not count as a failure of a question while others are answered: the
        throttle reduces the number of calls, and the question waits its turn.
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
                await self._store.keep(answered)
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

    def _judged(
        self, key: str, error: errors.ModelError, failures: int
    ) -> tuple[bool, errors.ModelError]:
        """Return whether a question is given up after so many failures, and the error, fatal if it ends the run."""
        retries = self.model.retries
        final = error.fatal or not error.retryable or not retries or failures > retries
        # waiting once more would take as long again
        hangs = error.kind == "timeout" and failures > 1
        error = self._outage.failed(key, error, given_up=final or hangs)
        return final or error.fatal, error

    async def _call(
        self, questions: Sequence[Question]
    ) -> Sequence[Prediction | errors.ModelError]:
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

    async def _measured(
        self, questions: Sequence[Question]
    ) -> list[Prediction | errors.ModelError]:
        model, budget, reserved = self.model, self._budget, None
        while budget and not (
            reserved := budget.reserve(model, [one.example for one in questions])
        ):
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

        outcomes: list[Prediction | errors.ModelError] = []
        for question, answer in zip(questions, answers, strict=True):
            if isinstance(answer, errors.ModelError):
                outcomes.append(answer)
                continue
            latency_s = taken_s if answer.latency_s is None else answer.latency_s
            prediction = Prediction(question.key, answer, latency_s, now, busy_s)
            outcomes.append(_unstorable(prediction) or prediction)
        return outcomes


def _unstorable(prediction: Prediction) -> errors.ModelError | None:
    """Return the error of an answer with a fact that JSON cannot hold, such as bytes."""
    try:
        encoded(prediction)
    except Exception as error:  # a type of the user's can raise anything
        cure = "return a pytest_ftgate.Completion whose fields have the documented types"
        return errors.ModelError(f"the answer cannot be stored: {errors.told(error)}", cure=cure)
    return None


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
    run_stores: dict[int, RunStore] = {}
    for questions in models:
        store = stores.of(questions.model)
        run_stores.setdefault(id(store), RunStore(store))
    turns = _turns([one.model for one in models])
    callers = [
        Caller(
            one,
            stores,
            run_stores[id(stores.of(one.model))],
            budget,
            limit,
            turns.get(id(one.model)),
        )
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
    longest_s = max(
        (one.model.timeout_s for one in models if one.model.timeout_s is not None), default=None
    )
    try:
        work = _ask_all(callers, list(run_stores.values()), limit)
        run_in_own_loop(work, tell, patience_s=longest_s)
    except KeyboardInterrupt:
        abandoned = tuple(caller.model.name for caller in callers if caller.abandoned)
        done = [
            (one.progress.done - one.progress.errors, stores.of(one.model).persistent)
            for one in models
        ]
        kept = sum(n for n, persistent in done if persistent)
        raise errors.Interrupted(
            abandoned, kept=(kept, sum(one.progress.total for one in models))
        ) from None
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


async def _ask_all(
    callers: Sequence[Caller],
    stores: Sequence[RunStore],
    limit: jobs.TimeLimit | None,
) -> None:
    """Run all workers until every question is asked, one fails for good, time is up, or we are cancelled."""
    workers = [
        asyncio.create_task(caller.work()) for caller in callers for _ in range(caller.workers)
    ]
    renewals = [asyncio.create_task(store.renew()) for store in stores]
    try:
        left_s = limit.left_s() if limit is not None else None
        _, working = await asyncio.wait(
            workers, timeout=left_s, return_when=asyncio.FIRST_EXCEPTION
        )
        if working and limit is not None and limit.left_s() <= 0:
            for caller in callers:
                caller.questions.fatal = caller.questions.fatal or limit.error()
    finally:
        for caller in callers:
            caller.stopping = True
        for task in (*workers, *renewals):
            task.cancel()
        await asyncio.wait((*workers, *renewals), timeout=_CANCEL_S)
        for store in stores:
            store.end()
        await asyncio.gather(*(_close(caller.model) for caller in callers))
    for error in [
        worker.exception() for worker in workers if worker.done() and not worker.cancelled()
    ]:
        # those of models are noted already
        if error is not None and not isinstance(error, errors.ModelError):
            raise error


async def _close(model: Model) -> None:
    # All answers have arrived: a failure to close must not lose them.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(model.aclose(), _CLOSE_S)
