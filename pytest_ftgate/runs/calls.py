"""Make the calls of one run: workers of all models ask in one loop for what is not stored."""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeAlias

from pytest_ftgate import clock
from pytest_ftgate.errors import MissingKeysError, ModelError, StoreError
from pytest_ftgate.models.protocol import Completion, Model, Prediction, Question
from pytest_ftgate.runs import asking
from pytest_ftgate.runs.asking import Outage, Throttle, run_in_own_loop
from pytest_ftgate.runs.budget import Budget, Reserved
from pytest_ftgate.runs.jobs import Questions, Stores, TimeLimit
from pytest_ftgate.runs.store import CLAIM_S, Store

_Outcome: TypeAlias = Prediction | ModelError
"""What has come of one question in a call."""

_CANCEL_S = 0.5
_CLOSE_S = 5.0
_POLL_S = 0.02  # the wait of a call for the money that others have reserved
_ELSEWHERE_S = 0.1  # the wait for answers that another process has asked for
_OFFLINE = (
    "no recorded or stored answer has these prompts, model, revision and parameters, "
    "and --ftgate-offline forbids calls"
)
_OFFLINE_CURE = (
    "Record the answers, or record them again, with a key: "
    "`python -m pytest --ftgate-report=recordings:recordings`, and commit the folder"
)


class BusyTime:
    """Share the time in which at least one call was running among the answers as they arrive.

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
        """Record that a call has ended, and return the busy seconds of each answer, if any."""
        now = self._now()
        self._unspent_s += now - self._since
        self._since = now
        self._calls -= 1
        if not answers:
            return None

        share_s = self._unspent_s / answers
        self._unspent_s = 0.0
        return share_s


class Caller:
    """Ask one model its open questions, in turn with the models that share the throttle ``turn``.

    Attributes:
        workers: how many times :meth:`work` has to run at once.
        store: keeps the answers.
        owner: claims questions in the store for this run.
        stopping: workers take no further question, and can be cancelled.
    """

    def __init__(
        self,
        questions: Questions,
        stores: Stores,
        owner: str,
        budget: Budget | None,
        turn: Throttle | None,
    ) -> None:
        self.questions = questions
        self.model = model = questions.model
        self.workers = min(model.concurrency, -(-len(questions.open) // model.batch_size))
        self.stopping = False
        self.store = stores.of(model)
        self._owner = owner
        self._stores = stores
        self._budget = budget
        self._unasked = iter(list(questions.open.values()))
        # claimed
        self._next: list[Question] = []
        # claimed by other processes
        self._elsewhere: list[Question] = []
        self._taking = asyncio.Lock()
        self._throttle = turn or Throttle(model.concurrency, model.requests_per_minute)
        self._outage = Outage(questions.progress.stored)
        self._busy = BusyTime(clock.perf_counter)
        self._answers = 0
        # answers that are not stored yet
        self._arrived: list[Prediction] = []

    def ready(self) -> None:
        """Raise the fatal :class:`ModelError` of a model that cannot be called, or a StoreError."""
        self.store.check_room()
        self.model.ready()
        if self._budget is not None and not self._budget.counts(self.model):
            self._budget = None

    async def work(self) -> None:
        """Ask until no question is left. Raises a fatal :class:`ModelError`."""
        while not self.stopping and (questions := await self._take()):
            try:
                await self._ask(questions)
            except ModelError as error:
                self.questions.fatal = self.questions.fatal or error
                raise
            except asyncio.CancelledError:
                if self.stopping:
                    raise
                failure = ModelError("the model cancelled its own call")
                for key in {question.key for question in questions} & self.questions.open.keys():
                    self.questions.failed(key, failure)

    async def _take(self) -> list[Question]:
        """Return the questions of the next call; empty when all is done."""
        size = self.model.batch_size
        # so that several processes share the work
        few = 2 * self.model.concurrency * size
        async with self._taking:
            while not self._next:
                block = list(islice(self._unasked, few))
                if block:
                    self._elsewhere += self._claim(block)
                elif self._elsewhere:
                    await self._take_over()
                else:
                    return []

            taken = self._next[:size]
            del self._next[:size]
        return taken

    def _claim(self, block: Sequence[Question]) -> list[Question]:
        """Claim questions without a stored answer, and return those that others have claimed."""
        keys = [question.key for question in block]
        claimed = self.store.claim(keys, self._owner)

        # Only now: an answer that was stored before the claim has to be seen.
        answers = self._stores.get(self.model, keys)
        self.questions.stored(answers)

        elsewhere: list[Question] = []
        for question in block:
            if question.key in answers:
                continue
            if question.key in claimed:
                self._next.append(question)
            else:
                elsewhere.append(question)
        return elsewhere

    async def _take_over(self) -> None:
        """Find the answers to what other processes have claimed, or claim what they gave up."""
        before = len(self._elsewhere)
        self._elsewhere = self._claim(self._elsewhere)
        if len(self._elsewhere) == before:
            await asyncio.sleep(_ELSEWHERE_S)

    async def _ask(self, questions: Sequence[Question]) -> None:
        """Ask in one call, and what failed in further ones, until all questions have an outcome.

        "Too many requests" does not count as a failure of a question while others are answered: the
        throttle reduces the number of calls, and the question waits its turn.
        """
        failures: Counter[str] = Counter()
        attempts = 0
        while questions:
            attempts += 1
            answers_before = self._answers
            outcomes = await self._call(questions)
            await self._keep(outcomes, retries=attempts - 1)

            again = []
            pause_s = 0.0
            for question, error in zip(questions, outcomes, strict=True):
                if not isinstance(error, ModelError):
                    continue
                # while others are answered, the throttle cures "too many requests"
                if error.kind != "busy" or self._answers == answers_before:
                    failures[question.key] += 1
                n_failures = failures[question.key]
                is_final, error = self._judged(question.key, error, n_failures)
                if is_final:
                    self._give_up(question.key, error, attempts)
                else:
                    self.questions.progress.problem = error.what
                    again.append(question)
                    wait_s = asking.wait_s(max(1, n_failures), error.retry_after_s)
                    pause_s = max(pause_s, wait_s)
            questions = again
            if questions:
                await asyncio.sleep(pause_s)

    async def _keep(self, outcomes: Sequence[_Outcome], *, retries: int) -> None:
        """Record and store the answers among the outcomes of a call."""
        answered: list[Prediction] = []
        for outcome in outcomes:
            if isinstance(outcome, Prediction):
                answered.append(outcome._replace(retries=retries))

        if answered:
            self._answers += len(answered)
            self._outage.over()
            self.questions.answered(answered)
            self._arrived += answered
            try:
                # what arrives in the same turn of the loop is written in one transaction
                await asyncio.sleep(0)
            finally:
                self._write()

    def _write(self) -> None:
        """Store the answers that have arrived."""
        arrived = self._arrived
        self._arrived = []
        if arrived:
            self.store.put(arrived)

    def _judged(self, key: str, error: ModelError, failures: int) -> tuple[bool, ModelError]:
        """Return whether a question is given up after so many failures, and the error.

        The error is fatal if it ends the run.
        """
        retries = self.model.retries
        is_final = error.fatal or not error.retryable or not retries or failures > retries
        # waiting once more would take as long again
        hangs = error.kind == "timeout" and failures > 1
        error = self._outage.failed(key, error, given_up=is_final or hangs)
        return is_final or error.fatal, error

    def _give_up(self, key: str, error: ModelError, attempts: int) -> None:
        """Record the failure of a question; raise it if no other call can succeed either."""
        if attempts > 1:
            problem = f"{error.what} (tried {attempts} times)"
            error = ModelError(problem, **error.parts(attempts=attempts))
        if error.fatal:
            raise error
        self.questions.failed(key, error)

    async def _call(self, questions: Sequence[Question]) -> Sequence[_Outcome]:
        """Make one call when the throttle allows it; if it fails, all questions get its error."""
        window = await self._throttle.enter()
        failure: ModelError | None = None
        try:
            return await self._measured(questions)
        except ModelError as error:
            failure = error
            return [error] * len(questions)
        finally:
            self._throttle.leave(window, failure)

    async def _measured(self, questions: Sequence[Question]) -> list[_Outcome]:
        """Make one call as soon as the budget allows it, and return its predictions and errors."""
        model = self.model
        reserved = await self._reserve(questions)
        self._busy.begin()
        begun = clock.perf_counter()

        try:
            answers = await asking.call(model, questions)
        except ModelError as error:
            self._settle(reserved, [error] * len(questions))
            raise
        except BaseException:
            # the call was cancelled, and may have been paid for
            self._settle(reserved, [None] * len(questions))
            raise

        latency_s: float | None = clock.perf_counter() - begun
        busy_s = self._settle(reserved, answers)
        if model.batch_size > 1:
            # the time of one answer is unknown
            latency_s = None

        # new answers count if the clock is set back
        now = max(clock.wall(), self._stores.started)
        outcomes: list[_Outcome] = []
        for question, answer in zip(questions, answers, strict=True):
            if isinstance(answer, ModelError):
                outcomes.append(answer)
            else:
                known_s = latency_s if answer.latency_s is None else answer.latency_s
                outcomes.append(
                    Prediction(
                        question.key,
                        completion=answer,
                        latency_s=known_s,
                        created_at=now,
                        busy_s=busy_s,
                    )
                )
        return outcomes

    async def _reserve(self, questions: Sequence[Question]) -> Reserved | None:
        """Wait for the money that a call may cost; None if its cost is not counted."""
        if self._budget is None:
            return None

        examples = [question.example for question in questions]
        while True:
            reserved = self._budget.reserve(self.model, examples)
            if reserved is not None:
                return reserved
            await asyncio.sleep(_POLL_S)

    def _settle(
        self, reserved: Reserved | None, answers: Sequence[Completion | ModelError | None]
    ) -> float | None:
        """Record that a call has ended, and return the busy seconds of each answer."""
        busy_s = self._busy.end(sum(isinstance(answer, Completion) for answer in answers))
        if self._budget is not None and reserved is not None:
            self._budget.settle(reserved, answers, busy_s)
        return busy_s


def call_models(
    models: Sequence[Questions],
    stores: Stores,
    tell: Callable[[], None],
    *,
    ended: bool,
    offline: bool,
    limit: TimeLimit | None,
    budget: Budget | None,
) -> None:
    """Call the models for the answers that are neither recorded nor stored.

    Args:
        tell: called in this thread about ten times a second.
        ended: a model has failed for good already, so that no model is called.
        offline, limit, budget: those of :func:`run_models`.
    """
    if offline:
        _give_up_endpoints(models)
    owner = secrets.token_hex(8)
    callers = _callers(models, stores, owner, budget)
    if ended or not callers or not _are_ready(callers):
        return

    try:
        run_in_own_loop(_ask_all(callers, owner, limit), tell)
    finally:
        if budget is not None:
            budget.end_run()


def _give_up_endpoints(models: Sequence[Questions]) -> None:
    """Give up the questions to endpoints, none of which may be called."""
    failure = ModelError(_OFFLINE, kind="offline", cure=_OFFLINE_CURE)
    for questions in models:
        if questions.model.endpoint:
            for key in list(questions.open):
                questions.failed(key, failure)


def _callers(
    models: Sequence[Questions], stores: Stores, owner: str, budget: Budget | None
) -> list[Caller]:
    """Return what asks the models that have open questions."""
    unanswered = [questions for questions in models if questions.open]
    turns = _turns(unanswered)
    callers = []
    for questions in unanswered:
        turn = turns.get(id(questions.model))
        callers.append(Caller(questions, stores=stores, owner=owner, budget=budget, turn=turn))
    return callers


def _are_ready(callers: Sequence[Caller]) -> bool:
    """Return whether all models can be called; each model reports its own failure.

    All keys that are missing are one failure, so that nobody sets one to be told of the next.
    """
    keyless = []
    for caller in callers:
        try:
            caller.ready()
        except MissingKeysError as error:
            keyless.append((caller, error.keys))
        except ModelError as error:
            caller.questions.fatal = caller.questions.fatal or error

    missing = MissingKeysError([key for _, keys in keyless for key in keys])
    for caller, _ in keyless:
        caller.questions.fatal = caller.questions.fatal or missing
    return not any(caller.questions.fatal for caller in callers)


def _turns(models: Sequence[Questions]) -> dict[int, Throttle]:
    """Return the throttle that models with a common object share, by the id of each model."""
    # how many models use each object
    users: Counter[Any] = Counter()
    for questions in models:
        users.update(questions.model.exclusive)

    throttle = Throttle(1)
    turns = {}
    for questions in models:
        model = questions.model
        if any(users[used] > 1 for used in model.exclusive):
            turns[id(model)] = throttle
    return turns


async def _ask_all(callers: Sequence[Caller], owner: str, limit: TimeLimit | None) -> None:
    """Run all workers until every question is asked, one fails for good, or time is up."""
    workers = []
    for caller in callers:
        workers += [asyncio.create_task(caller.work()) for _ in range(caller.workers)]

    stores = {caller.store for caller in callers}
    renewal = asyncio.create_task(_renew(stores, owner))
    try:
        timeout_s = None if limit is None else limit.left_s()
        _, working = await asyncio.wait(
            workers, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION
        )
        if working and limit is not None and limit.left_s() <= 0:
            for caller in callers:
                caller.questions.fatal = caller.questions.fatal or limit.error()
    finally:
        await _stop(callers, [*workers, renewal])
        for store in stores:
            with contextlib.suppress(StoreError):
                store.release(owner)
        await asyncio.gather(*(_close(caller.model) for caller in callers))

    for worker in workers:
        if worker.done() and not worker.cancelled():
            error = worker.exception()
            # those of models are noted already
            if error is not None and not isinstance(error, ModelError):
                raise error


async def _renew(stores: Iterable[Store], owner: str) -> None:
    """Renew the claims of the run, until it is cancelled."""
    while True:
        await asyncio.sleep(CLAIM_S / 4)
        for store in stores:
            # a claim that ends costs a second call
            with contextlib.suppress(StoreError):
                store.claim([], owner)


async def _stop(callers: Sequence[Caller], tasks: Sequence[asyncio.Task[None]]) -> None:
    for caller in callers:
        caller.stopping = True
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_CANCEL_S)


async def _close(model: Model) -> None:
    # All answers have arrived: a failure to close must not lose them.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(model.aclose(), _CLOSE_S)
