"""Run models over test sets: each prediction is found or asked for once, all models at once."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import cast

from pytest_ftgate import clock
from pytest_ftgate.data import DataSet, Example, Input
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.protocol import Completion, Delegate, Model, Prediction
from pytest_ftgate.models.recorded import RecordedModel
from pytest_ftgate.runs.budget import Budget
from pytest_ftgate.runs.jobs import Job, Progress, Questions, Run, Stores, TimeLimit
from pytest_ftgate.runs.store import Store

Display = Callable[[Sequence[Progress], float], None]
"""Shows the progress of the models of a run, which began so many seconds ago."""


def run_models(
    jobs: Sequence[Job],
    *,
    stores: Stores,
    ask: bool = True,
    progress: Display | None = None,
    offline: bool = False,
    limit: TimeLimit | None = None,
    budget: Budget | None = None,
) -> tuple[Run, ...]:
    """Run all jobs at the same time, and return their runs in the same order.

    Each prediction is taken from the recordings, or else from the store, or else asked for; one
    that several jobs need is asked for once. Answers are stored as they arrive. A prediction that
    fails stays missing; a fatal failure of one model ends the run of all, since a gate could not be
    judged any more. Works if an event loop is running. Ctrl-C ends it within about a second.

    Args:
        ask: models are called; otherwise what is neither recorded nor stored stays missing.
        progress: called in this thread, about ten times a second.
        offline: endpoints are not called.
        limit: when the run ends; what has not been answered by then fails.

    Raises:
        StoreError: predictions cannot be stored or read.
    """
    recorded = {}
    outcomes: dict[str, Prediction] = {}
    models: dict[int, Questions] = {}
    added: set[str] = set()
    for job in jobs:
        if isinstance(job.model, RecordedModel):
            recorded[id(job)] = _recorded_run(job, job.model)
        else:
            questions = models.setdefault(id(job.model), Questions(job.model, outcomes))
            questions.add(job, added)
            _look_up(job, questions, stores)

    unanswered = [questions for questions in models.values() if questions.open]
    for questions in unanswered:
        questions.stored(stores.get(questions.model, list(questions.open)))

    tell = _teller(progress, list(models.values()))
    if ask and unanswered:
        # Imported late: recorded answers need no event loop.
        from pytest_ftgate.runs.calls import call_models

        # After a failure for good no model is called.
        ended = bool(_failures([*recorded.values(), *models.values()]))
        call_models(
            unanswered, stores, tell, ended=ended, offline=offline, limit=limit, budget=budget
        )
    tell()

    failures = _failures([*recorded.values(), *models.values()])
    # a failure that ends the run is why the answers of the other models are missing
    stopped = _stopped(jobs, failures)
    runs = []
    for job in jobs:
        failure = failures.get(id(job.model))
        run = recorded.get(id(job)) or job.run(outcomes, failure, failure or stopped)
        runs.append(run)
    return tuple(runs)


def _stopped(jobs: Sequence[Job], failures: Mapping[int, ModelError]) -> ModelError | None:
    """Return the failure of the models that did not fail themselves; None if none failed."""
    for job in jobs:
        if id(job.model) in failures:
            return ModelError(
                f"the run was stopped by the failure of {job.model.name}", kind="stopped"
            )
    return None


def _failures(runs: Iterable[Run | Questions]) -> dict[int, ModelError]:
    """Return the failures that end the run, by the ids of the models."""
    return {id(run.model): run.fatal for run in runs if run.fatal is not None}


def stored_runs(jobs: Sequence[Job], stores: Stores) -> tuple[Run, ...]:
    """Return the runs of all jobs as far as their answers are recorded or stored, without a call.

    Raises:
        StoreError: the store cannot be read.
        ModelError: a recording cannot be used.
    """
    runs = run_models(jobs, stores=stores, ask=False)
    for run in runs:
        if run.fatal is not None:
            raise run.fatal
    return runs


def ask(
    model: Model, question: Input, recorded_for: Callable[[], Iterable[Example]] = tuple
) -> Completion:
    """Return one answer without reasoning, which is neither looked up nor stored.

    Failures are retried. ``recorded_for`` returns the examples to whose ids a recorded model has
    answers.

    Raises:
        ModelError: there is no answer.
    """
    job = Job(model, DataSet((Example("call", question, ""),), path=None, sha256="", origin="call"))
    if isinstance(model, RecordedModel):
        return job.read(model.answer_to(question, recorded_for()))

    (run,) = run_models([job], stores=Stores(None, Store(None)))
    ((prediction,),) = run.predictions
    if prediction.completion is None:
        raise run.failure or AssertionError
    return prediction.completion


def _recorded_run(job: Job, model: RecordedModel) -> Run:
    """Return the run of a recorded model, up to the first failure that ends it."""
    fatal: ModelError | None = None
    repeats = []
    for repeat in range(job.repeats):
        predictions = []
        for example in job.test_set:
            if fatal is None:
                prediction = _recorded(job, model, example, repeat)
                if prediction.failure is not None and prediction.failure.fatal:
                    fatal = prediction.failure
            else:
                prediction = Prediction("", id=example.id, failure=fatal)
            predictions.append(prediction)
        repeats.append(tuple(predictions))
    return Run(model, test_set=job.test_set, predictions=tuple(repeats), fatal=fatal)


def _recorded(job: Job, model: RecordedModel, example: Example, repeat: int) -> Prediction:
    try:
        return job.answered(model.prediction(example, repeat))
    except ModelError as error:
        return Prediction("", id=example.id, failure=error)


def _look_up(job: Job, questions: Questions, stores: Stores) -> None:
    """Take the answers of a job from the committed recordings.

    A recording that was made for another input ends the run.
    """
    recorded = {}
    if stores.recordings:
        try:
            for key, question in questions.open.items():
                recording = stores.recordings.get(key)
                if recording is None:
                    continue
                # What only recordings of candidates hold does not serve a baseline.
                if job.of_candidate or not recording.of_candidate:
                    recorded[key] = recording.prediction_for(question.example)
        except ModelError as error:
            questions.fatal = error
    questions.stored(recorded)


def _teller(progress: Display | None, models: Sequence[Questions]) -> Callable[[], None]:
    """Return a function that shows the progress of the models."""
    began = clock.monotonic()

    def tell() -> None:
        if progress is not None and models:
            # a broken display must not lose answers
            with contextlib.suppress(Exception):
                progress([model.progress for model in models], clock.monotonic() - began)

    return tell


# --- latencies, measured apart: with many calls at once they would wait for each other ------------


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
    """Return the latency sample of a model over the first examples; None if it needs none."""
    if not model.latency_sample:
        return None
    first = replace(test, examples=test.examples[: model.latency_sample])
    return Job(cast("Model", Sampled(model)), first)
