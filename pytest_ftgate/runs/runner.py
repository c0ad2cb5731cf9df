"""Run models over test sets: every prediction is found or asked for once, all models at the same time."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import cast

from pytest_ftgate import clock, errors
from pytest_ftgate.data import DataSet, Example, Input
from pytest_ftgate.models.protocol import Completion, Delegate, Model, Prediction
from pytest_ftgate.models.recorded import RecordedModel
from pytest_ftgate.runs.budget import Budget
from pytest_ftgate.runs.jobs import Job, Progress, Questions, Run, Stores, TimeLimit
from pytest_ftgate.runs.store import Store

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

    Each prediction is taken from the recordings, or else from the store, or else asked for; one
    that several jobs need is asked for once. Answers are stored as they arrive. A prediction that
    fails stays missing; a fatal failure of one model ends the run of all, since a gate could not be
    judged any more. Works if an event loop is running. Ctrl-C raises :class:`Interrupted` within
    about a second.

    Args:
        ask: models are called; otherwise what is neither recorded nor stored stays missing.
        progress: called in this thread, at most about ten times a second for each model, and from
            time to time while nothing changes.
        offline: endpoints are not called.
        limit: when the run ends; what has not been answered by then fails.

    Raises:
        StoreError: predictions cannot be stored or read.
    """
    recorded = {
        id(job): _recorded_run(job, job.model)
        for job in jobs
        if isinstance(job.model, RecordedModel)
    }
    fatal = {id(run.model): run.fatal for run in recorded.values() if run.fatal is not None}
    found: dict[str, Prediction] = {}
    asked: set[str] = set()
    models: dict[int, Questions] = {}
    for job in jobs:
        if id(job) not in recorded:
            models.setdefault(id(job.model), Questions(job.model, found)).add(job, asked)
    for one in models.values():
        _look_up(one, stores)
    open_ = [one for one in models.values() if one.open]
    tell = _teller(progress, list(models.values()))
    if not ask:
        for one in open_:
            one.stored(stores.get(one.model, list(one.open)))
    elif open_:
        # Imported late: recorded answers need no event loop.
        from pytest_ftgate.runs.calls import call_models

        ended = bool(fatal) or any(one.fatal for one in models.values())
        call_models(open_, stores, tell, ended=ended, offline=offline, limit=limit, budget=budget)
    tell()
    fatal |= {number: one.fatal for number, one in models.items() if one.fatal is not None}
    name = next((job.model.name for job in jobs if id(job.model) in fatal), None)
    stopped = (
        None
        if name is None
        else errors.ModelError(f"the run was stopped by the failure of {name}", kind="stopped")
    )
    own = ((job, fatal.get(id(job.model))) for job in jobs)
    return tuple(recorded.get(id(job)) or job.run(found, why, why or stopped) for job, why in own)


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


def ask(
    model: Model, given: Input, recorded_for: Callable[[], Iterable[Example]] = tuple
) -> Completion:
    """Return one answer without reasoning, which is neither looked up nor stored; failures are retried.

    ``recorded_for`` returns the examples to whose ids a recorded model has answers.

    Raises:
        ModelError: there is no answer.
    """
    job = Job(model, DataSet((Example("call", given, ""),), None, "", "call"))
    if isinstance(model, RecordedModel):
        return job.read(model.answer_to(given, recorded_for()))
    (run,) = run_models([job], stores=Stores(None, Store(None)))
    ((found,),) = run.predictions
    if found.completion is None:
        raise run.fatal or found.failure or AssertionError
    return found.completion


def _recorded_run(job: Job, model: RecordedModel) -> Run:
    """Return the run of a recorded model, up to the first failure that ends it."""
    fatal: errors.ModelError | None = None

    def found(example: Example, repeat: int) -> Prediction:
        nonlocal fatal
        try:
            if fatal is not None:
                raise fatal
            return job.answered(model.prediction(example, repeat))
        except errors.ModelError as error:
            fatal = error if error.fatal else None
            return Prediction("", id=example.id, failure=error)

    rows = tuple(
        tuple(found(one, repeat) for one in job.test_set.examples) for repeat in range(job.repeats)
    )
    return Run(model, job.test_set, rows, fatal)


def _look_up(questions: Questions, stores: Stores) -> None:
    """Take the committed recordings of a model's calls; one of another input ends the run."""
    found: dict[str, Prediction] = {}
    try:
        for key, (question, job) in questions.open.items() if stores.recordings else ():
            kept = stores.recordings.get(key)
            if kept is not None and (job.of_candidate or not kept.of_candidate):
                found[key] = kept.prediction_for(question.example)
    except errors.ModelError as error:
        questions.fatal = error
    questions.stored(found)


def _teller(
    progress: Callable[[Progress], None] | None, models: Sequence[Questions]
) -> Callable[[], None]:
    """Return a function that reports models that have progressed, and from time to time those that have not."""
    latest: dict[int, Progress] = {}
    last = clock.monotonic()

    def tell() -> None:
        nonlocal last
        if progress is None:
            return
        still = clock.monotonic() - last > _STILL_S
        for number, one in enumerate(models):
            now = replace(one.progress)
            if still or latest.get(number) != now:
                latest[number], last = now, clock.monotonic()
                with contextlib.suppress(Exception):  # a broken display must not lose answers
                    progress(now)

    return tell


# --- latencies, measured apart: with many calls at once they would wait for each other
# -----------------------------


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
    return Job(
        cast("Model", Sampled(model)), replace(test, examples=test.examples[: model.latency_sample])
    )
