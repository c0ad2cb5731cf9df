"""Run models over test sets: every prediction is found or asked for once, all models at the same time."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import product
from typing import cast

from pytest_ftgate import clock
from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Model
from pytest_ftgate.models.protocol import Delegate, Prediction
from pytest_ftgate.models.recorded import RecordedModel
from pytest_ftgate.runs.budget import Budget
from pytest_ftgate.runs.jobs import EarlyStop, Job, Progress, Run, RunState, Stores, TimeLimit

_STILL_S = 20.0  # after which progress is reported although nothing has changed


def run_models(
    jobs: Sequence[Job],
    *,
    stores: Stores,
    ask: bool = True,
    progress: Callable[[Progress], None] | None = None,
    offline: bool = False,
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
    runs = {number: _recorded_run(job) for number, job in enumerate(jobs) if isinstance(job.model, RecordedModel)}
    fatal = {id(run.model): run.fatal for run in runs.values() if run.fatal is not None}
    state = RunState([job for number, job in enumerate(jobs) if number not in runs])
    for job in state.jobs:
        if error := _look_up(job, state, stores):
            fatal.setdefault(id(job.model), error)
    left = [job for job in state.jobs if state.unknown([job])]
    tell = _teller(progress, state)
    if not ask:
        for job in left:
            state.found(stores.of(job.model).get(state.unknown([job]), newer_than=stores.since(job.model)))
    elif left:
        # Imported late: recorded answers need no event loop.
        from pytest_ftgate.runs.calls import call_models

        fatal |= call_models(
            left, state, stores, tell, stopped=bool(fatal), offline=offline, limit=limit, budget=budget
        )
    tell()
    name = next((job.model.name for job in jobs if id(job.model) in fatal), None)
    stopped = None if name is None else ModelError(f"the run was stopped by the failure of {name}", kind="stopped")
    return tuple(runs.get(number) or state.run(job, fatal, stopped) for number, job in enumerate(jobs))


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


def _recorded_run(job: Job) -> Run:
    """Return the run of a recorded model, up to the first failure that ends it."""
    assert isinstance(job.model, RecordedModel)
    early_stop = EarlyStop(job)
    fatal: ModelError | None = None
    found: list[Prediction] = []
    for repeat, example in product(range(job.repeats), job.test_set.examples):
        try:
            if fatal is not None:
                raise fatal
            one = job.model.prediction(example, repeat)
            fatal = early_stop.check([one])
            found.append(job.answered(one))
        except ModelError as error:
            fatal = error if error.fatal else None
            found.append(Prediction("", id=example.id, failure=error))
    n = len(job.test_set)
    rows = tuple(tuple(found[start : start + n]) for start in range(0, job.repeats * n, n or 1))
    return Run(job.model, job.test_set, rows, fatal)


def _look_up(job: Job, state: RunState, stores: Stores) -> ModelError | None:
    """Take the committed recordings of a model's calls. Return the failure that ends the run."""
    found: dict[str, Prediction] = {}
    try:
        for row in job.keys if stores.recordings else ():
            for example, key in zip(job.test_set.examples, row, strict=True):
                kept = stores.recordings.get(key) if key not in found and key not in state else None
                if kept is not None and (job.of_candidate or not kept.of_candidate):
                    found[key] = kept.prediction_for(example)
    except ModelError as error:
        return error
    finally:
        state.found(found)
    return None


def _teller(progress: Callable[[Progress], None] | None, state: RunState) -> Callable[[], None]:
    """Return a function that reports jobs that have progressed, and from time to time those that have not."""
    latest: dict[int, Progress] = {}
    last = clock.monotonic()

    def tell() -> None:
        nonlocal last
        if progress is None:
            return
        still = clock.monotonic() - last > _STILL_S
        for number in range(len(state.jobs)):
            with contextlib.suppress(Exception):  # a score that cannot be shown is no error
                state.score(number)
            now = replace(state.progress[number])
            if still or latest.get(number) != now:
                latest[number], last = now, clock.monotonic()
                with contextlib.suppress(Exception):  # a broken display must not lose answers
                    progress(now)

    return tell


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
