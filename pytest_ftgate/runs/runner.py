"""Models over test sets: every prediction found or asked for once, all models at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_ftgate.errors import Interrupted, ModelError
from pytest_ftgate.models import key_of
from pytest_ftgate.models.event_loop import run_in_own_loop
from pytest_ftgate.models.price import price_of
from pytest_ftgate.models.protocol import RetryPolicy
from pytest_ftgate.runs import asking
from pytest_ftgate.runs.model_queue import Lane
from pytest_ftgate.runs.run_state import Board, Keys
from pytest_ftgate.runs.store_writer import Desk

if TYPE_CHECKING:
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.models import Completion, Model, Notes
    from pytest_ftgate.runs.budget import Budget
    from pytest_ftgate.runs.store import Store, StoredPrediction

_RETRY = RetryPolicy()
_CANCEL_S = 0.5
_CLOSE_S = 5.0
_STILL_S = 20.0  # after which a run says that it is still there


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered to one example, or why there is no answer.

    Attributes:
        id: the example's.
        key: SHA-256 (hex) of all that can change the answer.
        completion: the answer; ``None`` where it is missing after all retries.
        error: why it is missing.
        latency_s: seconds of the successful attempt alone, without queueing and waits.
        stored: it came from the store or the recordings, and was not asked for in this run.
        created_at: when it was asked for, seconds since the epoch.
        busy_s: its share of the seconds in which the model was busy; ``None`` where unknown.
    """

    id: str
    key: str
    completion: Completion | None
    error: str | None
    latency_s: float | None
    stored: bool
    created_at: float | None
    busy_s: float | None = None


@dataclass(frozen=True)
class Run:
    """One model over one test set.

    Attributes:
        model: who was asked.
        test_set: what for.
        predictions: ``[repeat][example]``, in the test set's order.
        fatal: the error that ended the asking, where this model's did.
        metrics: values by name, where the run was scored.
    """

    model: Model
    test_set: DataSet
    predictions: tuple[tuple[Prediction, ...], ...]
    fatal: ModelError | None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A model that is to answer every example of a test set ``repeats`` times.

    Where ``usable`` is given, and it is true of none of the first few answers, no other is asked for.
    """

    model: Model
    test_set: DataSet
    repeats: int = 1
    usable: Callable[[Completion], bool] | None = None


@dataclass(frozen=True)
class Stores:
    """What a session keeps.

    Attributes:
        persistent: outlives the session; ``None``: nothing does.
        session: for models whose answers may not outlive it, and in place of ``persistent``.
        recordings: committed predictions by key, looked up before all else.
        newer_than: stored predictions from before this time (seconds since the epoch) count as absent.
    """

    persistent: Store | None
    session: Store
    recordings: Mapping[str, StoredPrediction] = field(default_factory=dict)
    newer_than: float | None = None

    @property
    def notes(self) -> Notes:
        """What is remembered besides predictions, for as long as these are kept."""
        return (self.persistent or self.session).notes


@dataclass(frozen=True)
class TimeLimit:
    """When all asking ends.

    Attributes:
        seconds: how long it may take.
        source: where that is written.
        ends_at: by the monotonic clock.
    """

    seconds: float
    source: str
    ends_at: float

    @classmethod
    def from_now(cls, seconds: float, source: str) -> TimeLimit:
        return cls(seconds, source, time.monotonic() + seconds)

    def left_s(self) -> float:
        """Seconds until then; 0 where it has passed."""
        return max(0.0, self.ends_at - time.monotonic())

    def error(self) -> ModelError:
        return ModelError(
            f"the models have not answered within timeout_s {self.seconds:g} ({self.source})",
            fatal=True,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one job is, in predictions. ``done`` includes ``stored`` and ``errors``.

    ``in_batch`` is how many questions the batches under way have done at the endpoint, and how many they hold.
    ``tokens`` and ``usd`` are of the answers asked for in this run, as far as they are known.
    """

    model: str
    done: int
    total: int
    stored: int
    errors: int
    in_batch: tuple[int, int] | None = None
    tokens: int = 0
    usd: float = 0.0


def run_models(
    jobs: Sequence[Job],
    *,
    stores: Stores,
    progress: Callable[[Progress], None] | None = None,
    offline: bool = False,
    retry: RetryPolicy = _RETRY,
    limit: TimeLimit | None = None,
    budget: Budget | None = None,
) -> tuple[Run, ...]:
    """Run every job, all at the same time, and return their runs in the same order.

    Each prediction is taken from the recordings, else from the store, else asked for; one that several jobs or
    processes want is asked for once. What arrives is stored at once. A prediction that fails stays missing; a fatal
    error of one model ends all asking, since what the others would cost could not be judged any more.
    Works where an event loop is running. Ctrl-C ends it within about a second, as :class:`Interrupted`.

    Args:
        jobs: which model is to answer what.
        stores: where predictions are kept.
        progress: told in the calling thread, at most about ten times a second for each job, and now and then while
            nothing moves.
        offline: models that are endpoints are not asked.
        retry: how long to wait before a failed call is tried again.
        limit: when all asking ends; what has not been answered by then fails.
        budget: what may be spent; ``None``: no limit.

    Raises:
        StoreError: predictions cannot be stored or read.
    """
    keys = [_keys(job) for job in jobs]
    board = Board(keys, [price_of(job.model) for job in jobs])
    lanes = _lanes(jobs, keys, board, stores, retry, budget)
    for lane in lanes:
        lane.look_up(stores.recordings, offline=offline)
    tell = _teller(progress, jobs, board)
    ready = [lane.ready() for lane in lanes]  # all of them are asked, so that each run tells its own trouble
    if all(ready):
        try:
            run_in_own_loop(_ask_all(lanes, limit), tell, patience_s=_longest(job.model for job in jobs))
        except KeyboardInterrupt:
            raise Interrupted(tuple(lane.model.name for lane in lanes if lane.abandoned)) from None
        finally:
            for lane in lanes:
                lane.close()
    tell()
    return tuple(_run(job, rows, board, lanes) for job, rows in zip(jobs, keys, strict=True))


def ask(model: Model, example: Example) -> Completion:
    """Ask one model for one answer, outside of any run: tried again like there, but neither looked up nor stored.

    Raises:
        ModelError: there is no answer.
    """

    async def once() -> Completion:
        try:
            completion = (await asking.ask(model, example, 0, _RETRY)).completion
        finally:
            await _close(model)
        return completion

    return run_in_own_loop(once(), lambda: None, patience_s=model.timeout_s)


def _longest(models: Iterable[Model]) -> float | None:
    """The longest of the models' time limits; ``None`` where none has one."""
    return max((model.timeout_s for model in models if model.timeout_s is not None), default=None)


def _keys(job: Job) -> Keys:
    model, examples = job.model, job.test_set.examples
    return [[key_of(model, example, repeat) for example in examples] for repeat in range(job.repeats)]


def _lanes(
    jobs: Sequence[Job],
    keys: Sequence[Keys],
    board: Board,
    stores: Stores,
    retry: RetryPolicy,
    budget: Budget | None,
) -> list[Lane]:
    """One lane a model, so that its limit on concurrency holds over all of its jobs."""
    owner = uuid.uuid4().hex
    desks: dict[int, Desk] = {}
    lanes = []
    for model in {id(job.model): job.model for job in jobs}.values():
        store = stores.persistent if model.persistent and stores.persistent is not None else stores.session
        desk = desks.setdefault(id(store), Desk(store, owner, stores.newer_than))
        wanted = [(job.test_set.examples, rows) for job, rows in zip(jobs, keys, strict=True) if job.model is model]
        usable = next((job.usable for job in jobs if job.model is model), None)
        lanes.append(Lane(model, wanted, desk=desk, board=board, retry=retry, budget=budget, usable=usable))
    return lanes


def _teller(progress: Callable[[Progress], None] | None, jobs: Sequence[Job], board: Board) -> Callable[[], None]:
    """What tells how far the jobs are: those that have moved, and now and then those that have not."""
    told: dict[int, Progress] = {}
    last = time.monotonic()

    def tell() -> None:
        nonlocal last
        still = time.monotonic() - last > _STILL_S
        for number, (job, tally) in enumerate(zip(jobs, board.tallies, strict=True)):
            in_batch: tuple[int, int] | None = getattr(job.model, "in_batch", None)
            counts = (tally.done, tally.total, tally.stored, tally.errors)
            now = Progress(job.model.name, *counts, in_batch, tally.tokens, tally.usd)
            if progress is not None and (still or told.get(number) != now):
                told[number], last = now, time.monotonic()
                with contextlib.suppress(Exception):  # a broken display takes no answer away
                    progress(now)

    return tell


async def _ask_all(lanes: Sequence[Lane], limit: TimeLimit | None) -> None:
    """Let all workers of all lanes work until all is asked, one lane meets a fatal error, or we are cancelled."""
    desks = {id(lane.desk): lane.desk for lane in lanes}.values()
    workers = [asyncio.create_task(lane.work()) for lane in lanes for _ in range(lane.workers)]
    renewals = [asyncio.create_task(desk.keep_leases()) for desk in desks]
    try:
        if workers:
            left_s = limit.left_s() if limit is not None else None
            _, working = await asyncio.wait(workers, timeout=left_s, return_when=asyncio.FIRST_EXCEPTION)
            if working and limit is not None and limit.left_s() <= 0:
                for lane in lanes:
                    lane.fatal = lane.fatal or limit.error()
    finally:
        for lane in lanes:
            lane.stopping = True
        await _cancel([*workers, *renewals])
        try:
            for desk in desks:
                desk.close()
        finally:
            await asyncio.gather(*(_close(lane.model) for lane in lanes))
    _raise_first(workers)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_CANCEL_S)


async def _close(model: Model) -> None:
    # All answers are in: what goes wrong here takes none of them away.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(model.aclose(), _CLOSE_S)


def _raise_first(workers: Sequence[asyncio.Task[None]]) -> None:
    """Raise what ended a worker, unless it is a fatal error of a model, which the runs tell."""
    ended = [worker.exception() for worker in workers if worker.done() and not worker.cancelled()]
    for error in ended:
        if error is not None and not isinstance(error, ModelError):
            raise error


def _run(job: Job, keys: Keys, board: Board, lanes: Sequence[Lane]) -> Run:
    fatal = next((lane.fatal for lane in lanes if lane.model is job.model), None)
    unasked = str(fatal) if fatal else _stopped_by(lanes)
    examples = job.test_set.examples
    predictions = tuple(
        tuple(_prediction(example.id, key, board, unasked) for example, key in zip(examples, row, strict=True))
        for row in keys
    )
    return Run(job.model, job.test_set, predictions, fatal)


def _stopped_by(lanes: Sequence[Lane]) -> str:
    """Why a model without a fault of its own has unanswered examples."""
    causes = ((lane.model.name, str(lane.fatal).splitlines()[0]) for lane in lanes if lane.fatal)
    return next((f"the run was stopped: {name}: {cause}" for name, cause in causes), "")


def _prediction(example_id: str, key: str, board: Board, unasked: str) -> Prediction:
    answer = board.answers.get(key)
    if answer is None:
        return Prediction(example_id, key, None, board.errors.get(key, unasked), None, False, None)
    stored = not board.was_asked(key)
    return Prediction(
        example_id, key, answer.completion, None, answer.latency_s, stored, answer.created_at, answer.busy_s
    )
