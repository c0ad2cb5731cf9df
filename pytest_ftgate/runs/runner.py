"""Models over test sets: every prediction found or asked for once, all models at the same time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import key_of
from pytest_ftgate.models.protocol import Prediction, RetryPolicy
from pytest_ftgate.models.reasoning import stripping_for, without_reasoning
from pytest_ftgate.models.recorded import RecordedModel
from pytest_ftgate.runs.run_state import EarlyStop, Keys, Progress, RunState

if TYPE_CHECKING:
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.models import Completion, Model, Notes
    from pytest_ftgate.runs.budget import Budget
    from pytest_ftgate.runs.store import Store

_RETRY = RetryPolicy()
_STILL_S = 20.0  # after which a run says that it is still there


@dataclass(frozen=True)
class Run:
    """One model over one test set.

    Attributes:
        predictions: ``[repeat][example]``, in the test set's order.
        fatal: the error that ended the asking, where this model's did.
        metrics: values by name, where the run was scored.
    """

    model: Model
    test_set: DataSet
    predictions: tuple[tuple[Prediction, ...], ...]
    fatal: ModelError | None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def all_predictions(self) -> list[Prediction]:
        """Return the predictions of all repeats in one list."""
        return [prediction for repeat in self.predictions for prediction in repeat]


@dataclass(frozen=True)
class Job:
    """A model that is to answer every example of a test set ``repeats`` times.

    Where ``usable`` is given, and it is true of none of the first few answers, no other is asked for.
    """

    model: Model
    test_set: DataSet
    repeats: int = 1
    usable: Callable[[Completion], bool] | None = None

    def reader(self) -> Callable[[Prediction], Prediction]:
        """Return what reads an answer as it came, and gives it without the model's reasoning."""
        expected = (expected_text(example.expected) for example in self.test_set.examples)
        stripping = stripping_for(self.model.strip_reasoning, expected)

        def read(prediction: Prediction) -> Prediction:
            completion = prediction.completion
            found = completion and without_reasoning(completion, stripping)
            return prediction if found is completion else replace(prediction, completion=found)

        return read


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
    recordings: Mapping[str, Prediction] = field(default_factory=dict)
    newer_than: float | None = None

    @property
    def notes(self) -> Notes:
        """Return what is remembered besides predictions, for as long as these are kept."""
        return (self.persistent or self.session).notes


@dataclass(frozen=True)
class TimeLimit:
    """When all asking ends: by the monotonic clock, after so many seconds, and where that is written."""

    seconds: float
    source: str
    ends_at: float

    @classmethod
    def from_now(cls, seconds: float, source: str) -> TimeLimit:
        return cls(seconds, source, time.monotonic() + seconds)

    def left_s(self) -> float:
        """Return the seconds until then; 0 where it has passed."""
        return max(0.0, self.ends_at - time.monotonic())

    def error(self) -> ModelError:
        return ModelError(f"the models have not answered within timeout_s {self.seconds:g} ({self.source})", fatal=True)


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
        progress: told in the calling thread, at most about ten times a second for each job, and now and then while
            nothing moves.
        offline: models that are endpoints are not asked.
        limit: when all asking ends; what has not been answered by then fails.

    Raises:
        StoreError: predictions cannot be stored or read.
    """
    keys = [_keys(job) for job in jobs]
    state = RunState(keys, [job.model for job in jobs])
    fatal: dict[int, ModelError] = {}
    for job, rows in zip(jobs, keys, strict=True):
        if error := _read_recorded(job, rows, state):
            fatal.setdefault(id(job.model), error)
    tell = _teller(progress, jobs, state)
    left = [(job, rows) for job, rows in zip(jobs, keys, strict=True) if _is_left(job, rows, state, stores)]
    if left:
        # Only now: neither an event loop nor a store is needed for answers that are recorded.
        from pytest_ftgate.runs.calls import call_models

        fatal |= call_models(
            left, state, stores, tell, stopped=bool(fatal), offline=offline, retry=retry, limit=limit, budget=budget
        )
    tell()
    return tuple(_run(job, rows, state, fatal, jobs) for job, rows in zip(jobs, keys, strict=True))


def _keys(job: Job) -> Keys:
    model, examples = job.model, job.test_set.examples
    return [[key_of(model, example, repeat) for example in examples] for repeat in range(job.repeats)]


def _read_recorded(job: Job, keys: Keys, state: RunState) -> ModelError | None:
    """Look up the answers of a recording. Return the error that ends that, if any does."""
    if not isinstance(job.model, RecordedModel):
        return None
    early_stop = EarlyStop(job.usable)
    for repeat, row in enumerate(keys):
        for example, key in zip(job.test_set.examples, row, strict=True):
            if not state.begin(key):
                continue
            try:
                prediction = job.model.prediction(example, repeat)
            except ModelError as error:
                if error.fatal:
                    return error
                state.failed(key, str(error))
                continue
            state.found({key: prediction})
            if useless := early_stop.check([prediction]):
                return useless
    return None


def _is_left(job: Job, keys: Keys, state: RunState, stores: Stores) -> bool:
    """Look up committed recordings. Return whether they lack any answer."""
    if isinstance(job.model, RecordedModel):
        return False
    missing = state.unknown(keys)
    state.found({key: stores.recordings[key] for key in missing if key in stores.recordings})
    return any(key not in stores.recordings for key in missing)


def _teller(progress: Callable[[Progress], None] | None, jobs: Sequence[Job], state: RunState) -> Callable[[], None]:
    """Return what tells how far the jobs are: those that have moved, and now and then those that have not."""
    latest: dict[int, Progress] = {}
    last = time.monotonic()

    def tell() -> None:
        nonlocal last
        still = time.monotonic() - last > _STILL_S
        for number, (job, counts) in enumerate(zip(jobs, state.progress, strict=True)):
            now = replace(counts, in_batch=job.model.in_batch)
            if progress is not None and (still or latest.get(number) != now):
                latest[number], last = now, time.monotonic()
                with contextlib.suppress(Exception):  # a broken display takes no answer away
                    progress(now)

    return tell


def _run(job: Job, keys: Keys, state: RunState, fatal: Mapping[int, ModelError], jobs: Sequence[Job]) -> Run:
    own = fatal.get(id(job.model))
    unasked = str(own) if own else _stopped_by(fatal, jobs)
    examples = job.test_set.examples
    predictions = tuple(
        tuple(state.prediction(key, example.id, unasked) for example, key in zip(examples, row, strict=True))
        for row in keys
    )
    read = job.reader()
    return Run(job.model, job.test_set, tuple(tuple(map(read, repeat)) for repeat in predictions), own)


def _stopped_by(fatal: Mapping[int, ModelError], jobs: Sequence[Job]) -> str:
    """Return why a model without a fault of its own has unanswered examples."""
    models = (job.model for job in jobs if id(job.model) in fatal)
    return next((f"the run was stopped: {one.name}: {fatal[id(one)].headline}" for one in models), "")
