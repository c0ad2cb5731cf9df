"""Run models over test sets: every prediction is found or asked for once, all models at the same time."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256
from typing import cast

from pytest_ftgate import clock
from pytest_ftgate.data import DataSet, Example, expected_text
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion, Model, key_of
from pytest_ftgate.models.protocol import Delegate, Prediction, RetryPolicy, output_limit
from pytest_ftgate.models.reasoning import answer_of, stripping_for
from pytest_ftgate.models.recorded import RecordedModel, Recording
from pytest_ftgate.runs.budget import Budget
from pytest_ftgate.runs.run_state import EarlyStop, Keys, Progress, RunState
from pytest_ftgate.runs.store import Store
from pytest_ftgate.text import DAY_S

_RETRY = RetryPolicy()
_STILL_S = 20.0  # after which progress is reported although nothing has changed


@dataclass(frozen=True)
class Run:
    """Hold the answers of one model to one test set, ``[repeat][example]``, and metrics by name if it was scored.

    ``fatal`` is the failure of this model that ended the run, if one did.
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

    @property
    def failure(self) -> ModelError | None:
        """Return why answers are missing: the failure that ended the run, else the first that no new run would cure."""
        failures = [one.failure for one in self.all_predictions if one.failure is not None]
        permanent = (one for one in failures if not one.retryable and one.kind != "stopped")
        return self.fatal or next(permanent, failures[0] if failures else None)

    @property
    def unanswered(self) -> list[Example]:
        """Return the examples without an answer, once for each missing answer, in the order of the predictions."""
        pairs = (pair for repeat in self.predictions for pair in zip(self.test_set, repeat, strict=True))
        return [example for example, prediction in pairs if prediction.completion is None]


@dataclass(frozen=True)
class Job:
    """Describe a model that answers every example of a test set ``repeats`` times.

    The run ends early if ``usable`` is given and false for all of the first few answers, read without reasoning.
    ``right`` counts right answers, to show a score while the model is asked.
    """

    model: Model
    test_set: DataSet
    repeats: int = 1
    usable: Callable[[Completion], bool] | None = None
    right: Callable[[Sequence[tuple[Example, Completion]]], int] | None = None

    @cached_property
    def read(self) -> Callable[[Completion], Completion]:
        """Return what gives an answer without the model's reasoning."""
        expected = (expected_text(example.expected) for example in self.test_set.examples)
        stripping = stripping_for(self.model.strip_reasoning, expected)
        return partial(answer_of, limit=output_limit(self.model), stripping=stripping)

    def early_stop(self) -> EarlyStop:
        """Return what ends the run after useless answers."""
        return EarlyStop(self.usable, self.read)


@dataclass(frozen=True)
class Stores:
    """Hold what a session keeps.

    Attributes:
        persistent: the store that outlives the session; ``None``: there is none.
        session: for models whose answers may not outlive it, and in place of ``persistent``.
        recordings: committed answers by key, looked up first.
        refresh: stored answers of earlier sessions are ignored.
        started: when the session began, in seconds since the epoch.
        judged: keys of the answers that gates were judged by, of models whose answers may not outlive that.
    """

    persistent: Store | None
    session: Store
    recordings: Mapping[str, Recording] = field(default_factory=dict)
    refresh: bool = False
    started: float = field(default_factory=clock.wall)
    judged: set[str] = field(default_factory=set)

    def of(self, model: Model) -> Store:
        """Return the store that keeps the answers of a model."""
        return self.persistent if model.persistent and self.persistent is not None else self.session

    def since(self, model: Model) -> float:
        """Return the time from which stored answers of a model count, in seconds since the epoch."""
        if self.refresh:
            return self.started
        return self.started - DAY_S if model.until_judged else float("-inf")

    def finish(self, runs: Iterable[Run]) -> None:
        """Note that runs have reached their purpose: what may not outlive that is deleted when the session ends."""
        self.judged.update(one.key for run in runs if run.model.until_judged for one in run.all_predictions)

    @property
    def notes(self) -> Store:
        """Return the store for notes: the one that outlives the session, or else the session's."""
        return self.persistent or self.session


@dataclass(frozen=True)
class TimeLimit:
    """Hold the time limit of a gate: its seconds, where they are written, and its end by the monotonic clock."""

    seconds: float
    source: str
    ends_at: float

    def left_s(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self.ends_at - clock.monotonic())

    def error(self) -> ModelError:
        """Return the failure of a run that has reached the limit."""
        what = f"the models have not answered within timeout_s {self.seconds:g} ({self.source})"
        return ModelError(what, fatal=True, cure="raise timeout_s, or run again: stored answers are reused")


def run_models(
    jobs: Sequence[Job],
    *,
    stores: Stores,
    ask: bool = True,
    progress: Callable[[Progress], None] | None = None,
    offline: bool = False,
    retry: RetryPolicy = _RETRY,
    limit: TimeLimit | None = None,
    budget: Budget | None = None,
) -> tuple[Run, ...]:
    """Run all jobs at the same time, and return their runs in the same order.

    Each prediction is taken from the recordings, or else from the store, or else asked for; one that several jobs need
    is asked for once. Answers are stored as they arrive. A prediction that fails stays missing; a fatal
    failure of one model ends the run of all, since a gate could not be judged any more.
    Works if an event loop is running. Ctrl-C raises :class:`Interrupted` within about a second.

    Args:
        ask: models are called; otherwise what is neither recorded nor stored stays missing.
        progress: called in this thread, at most about ten times a second for each job, and from time to time while
            nothing changes.
        offline: endpoints are not called.
        limit: when the run ends; what has not been answered by then fails.

    Raises:
        StoreError: predictions cannot be stored or read.
    """
    keys, state, fatal, left = _read(jobs, stores)
    tell = _teller(progress, state, jobs, keys)
    if not ask:
        for job, rows in left:
            state.found(stores.of(job.model).get(state.unknown(rows), newer_than=stores.since(job.model)))
    elif left:
        # Imported late: recorded answers need neither an event loop nor a store.
        from pytest_ftgate.runs.calls import call_models

        fatal |= call_models(
            left, state, stores, tell, stopped=bool(fatal), offline=offline, retry=retry, limit=limit, budget=budget
        )
    tell()
    return tuple(_run(job, rows, state, fatal, jobs) for job, rows in zip(jobs, keys, strict=True))


def stored_runs(jobs: Sequence[Job], stores: Stores) -> tuple[Run, ...]:
    """Return the runs of all jobs as far as their answers are recorded or stored, without a call.

    Raises:
        StoreError: the store cannot be read.
        ModelError: a recording cannot be used.
    """
    runs = run_models(jobs, stores=stores, ask=False)
    for error in (run.fatal for run in runs if run.fatal is not None):
        raise error
    return runs


def _read(
    jobs: Sequence[Job], stores: Stores
) -> tuple[list[Keys], RunState, dict[int, ModelError], list[tuple[Job, Keys]]]:
    """Look up what is recorded; return the keys, the state, failures by the model's id, and what is still missing."""
    keys: list[Keys] = [
        [[key_of(job.model, example, repeat) for example in job.test_set.examples] for repeat in range(job.repeats)]
        for job in jobs
    ]
    state = RunState(keys, [job.model for job in jobs])
    fatal: dict[int, ModelError] = {}
    for job, rows in zip(jobs, keys, strict=True):
        if error := _look_up(job, rows, state, stores.recordings):
            fatal.setdefault(id(job.model), error)
    pairs = zip(jobs, keys, strict=True)
    left = [(job, rows) for job, rows in pairs if not isinstance(job.model, RecordedModel) and state.unknown(rows)]
    return keys, state, fatal, left


def _look_up(job: Job, keys: Keys, state: RunState, recordings: Mapping[str, Recording]) -> ModelError | None:
    """Take the answers of a recorded model, or else of committed recordings. Return the failure that ends the run."""
    model, early_stop = job.model, job.early_stop()
    if not (isinstance(model, RecordedModel) or recordings):
        return None
    found: dict[str, Prediction] = {}
    try:
        for repeat, row in enumerate(keys):
            for example, key in zip(job.test_set.examples, row, strict=True):
                if key in found or key in state:
                    continue
                try:
                    if isinstance(model, RecordedModel):
                        found[key] = model.prediction(example, repeat)
                        if useless := early_stop.check([found[key]]):
                            return useless
                    elif key in recordings:
                        found[key] = recordings[key].prediction_for(example)
                except ModelError as error:
                    if error.fatal:
                        return error
                    state.failed(key, error)
    finally:
        state.found(found)
    return None


def _teller(
    progress: Callable[[Progress], None] | None, state: RunState, jobs: Sequence[Job], keys: Sequence[Keys]
) -> Callable[[], None]:
    """Return a function that reports jobs that have progressed, and from time to time those that have not."""
    latest: dict[int, Progress] = {}
    examples: dict[int, dict[str, Example]] = {}
    last = clock.monotonic()

    def score(number: int, job: Job, fresh: list[Prediction]) -> None:
        """Score the answers that have come since the last time."""
        if progress is None or job.right is None or not fresh:
            return
        if number not in examples:
            rows = (zip(row, job.test_set.examples, strict=True) for row in keys[number])
            examples[number] = {key: example for row in rows for key, example in row}
        new = [fresh.pop() for _ in range(len(fresh))]  # another thread adds to them
        answers = [(examples[number][one.key], job.read(one.completion)) for one in new if one.completion]
        state.progress[number].right += job.right(answers)
        state.progress[number].scored += len(answers)

    def tell() -> None:
        nonlocal last
        still = clock.monotonic() - last > _STILL_S
        for number, (job, fresh) in enumerate(zip(jobs, state.fresh, strict=True)):
            with contextlib.suppress(Exception):  # a score that cannot be shown is no error
                score(number, job, fresh)
            now = replace(state.progress[number])
            if progress is not None and (still or latest.get(number) != now):
                latest[number], last = now, clock.monotonic()
                with contextlib.suppress(Exception):  # a broken display must not lose answers
                    progress(now)

    return tell


def _run(job: Job, keys: Keys, state: RunState, fatal: Mapping[int, ModelError], jobs: Sequence[Job]) -> Run:
    own = fatal.get(id(job.model))
    # Else the failure of questions that were not asked because another model ended the run.
    names = (job.model.name for job in jobs if id(job.model) in fatal)
    others = (ModelError(f"the run was stopped by the failure of {name}", kind="stopped") for name in names)
    unasked = own or next(others, None)
    examples = job.test_set.examples

    def read(found: Prediction) -> Prediction:
        completion = found.completion and job.read(found.completion)
        return found if completion is found.completion else found._replace(completion=completion)

    predictions = tuple(
        tuple(read(state.prediction(key, example.id, unasked)) for example, key in zip(examples, row, strict=True))
        for row in keys
    )
    return Run(job.model, job.test_set, predictions, own)


# --- latencies, measured apart: with many calls at once they would wait for each other -----------------------------


class Sampled(Delegate):
    """Ask a model for its latency sample: one question at a time, with separate keys.

    Stored answers are asked for again, since it is unknown what else ran when they were timed.
    """

    verified = None
    batch_size = concurrency = 1

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.name = f"{model.name}, latency"
        self._key = model.key

    def key(self, example: Example, repeat: int = 0) -> str:
        return sha256(f"latency {self._key(example, repeat)}".encode()).hexdigest()


def sample_job(model: Model, test: DataSet) -> Job | None:
    """Return the latency sample of a model over the first examples of the test set; None if it needs none."""
    if not model.latency_sample:
        return None
    first = replace(test, examples=test.examples[: model.latency_sample])
    return Job(cast("Model", Sampled(model)), first)
