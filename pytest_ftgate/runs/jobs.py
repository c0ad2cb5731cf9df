"""Hold what models are asked, what the session keeps of it, and the outcomes of a run so far."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain

from pytest_ftgate import clock
from pytest_ftgate.data import DataSet, Example, expected_text
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion, Model, Question, key_of
from pytest_ftgate.models.price import cost_of, price_of
from pytest_ftgate.models.protocol import Prediction, output_limit
from pytest_ftgate.models.reasoning import answer_of, stripping_for
from pytest_ftgate.models.recorded import Recording
from pytest_ftgate.runs.store import Store
from pytest_ftgate.text import DAY_S

ENOUGH = 5
"""Failed calls, questions without an answer or unusable answers at the start of a run, after which it ends."""


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

    def over(self, examples: DataSet) -> "Run":
        """Return the run over some examples of its test set, in their order there."""
        wanted = {example.id for example in examples}
        kept = [index for index, example in enumerate(self.test_set) if example.id in wanted]
        rows = tuple(tuple(row[index] for index in kept) for row in self.predictions)
        return replace(self, test_set=examples, predictions=rows)

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
    ``right`` counts right answers, to show a score while the model is asked. ``of_candidate`` says that the model is
    judged, so that recordings of candidates serve it.
    """

    model: Model
    test_set: DataSet
    repeats: int = 1
    usable: Callable[[Completion], bool] | None = None
    right: Callable[[Sequence[tuple[Example, Completion]]], int] | None = None
    of_candidate: bool = False

    @cached_property
    def keys(self) -> list[list[str]]:
        """Return the keys of the answers, ``[repeat][example]``."""
        return [[key_of(self.model, one, repeat) for one in self.test_set.examples] for repeat in range(self.repeats)]

    @cached_property
    def read(self) -> Callable[[Completion], Completion]:
        """Return what gives an answer without the model's reasoning."""
        expected = (expected_text(example.expected) for example in self.test_set.examples)
        stripping = stripping_for(self.model.strip_reasoning, expected)
        return partial(answer_of, limit=output_limit(self.model), stripping=stripping)

    def answered(self, found: Prediction) -> Prediction:
        """Return a prediction with the answer alone."""
        completion = found.completion and self.read(found.completion)
        return found if completion is found.completion else found._replace(completion=completion)


class UselessError(ModelError):
    """Report that none of a model's first answers can be used."""


class EarlyStop:
    """Count unusable answers of a job until there is a usable one."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._open = job.usable is not None
        self._useless = 0

    def check(self, predictions: Iterable[Prediction]) -> UselessError | None:
        """Return the error that ends the run, if all of the first answers are unusable."""
        if not self._open:
            return None
        for prediction in predictions:
            completion = prediction.completion and self._job.read(prediction.completion)
            if completion and self._job.usable is not None and self._job.usable(completion):
                self._open = False
                return None
            self._useless += 1
        if self._useless < ENOUGH:
            return None
        return UselessError(f"none of the first {self._useless} answers can be used", fatal=True)


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


@dataclass(slots=True)
class Progress:
    """Count the outcomes of one job's questions.

    Attributes:
        done: questions with an outcome: ``done - errors`` are answered, ``total - done`` are open.
        total: all questions.
        stored: answers that were stored or recorded.
        errors: questions that failed for good.
        tokens: of the answers asked for in this run, as far as they are known; likewise ``usd``.
        last_failure: what the last failed question failed with.
        retrying: what the last call failed with that is made again; ``None`` once a call is answered.
        scored: answers of this run that were scored as they came, ``right`` of them right.
    """

    model: str
    done: int
    total: int
    stored: int
    errors: int
    tokens: int = 0
    usd: float = 0.0
    last_failure: str | None = None
    retrying: str | None = None
    scored: int = 0
    right: int = 0


class RunState:
    """Hold the outcome of every key, which several jobs may share, and the progress of each job."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.progress = [Progress(job.model.name, 0, sum(map(len, job.keys)), 0, 0) for job in jobs]
        self._prices = [price_of(job.model) for job in jobs]
        self._fresh: list[list[tuple[Example, Completion]]] = [[] for _ in jobs]  # answers that are not scored yet
        self._predictions: dict[str, Prediction] = {}
        self._requested: set[str] = set()
        self._wanted: dict[str, tuple[int, ...]] = {}  # the jobs of each key, repeated if one needs it repeatedly
        for number, job in enumerate(jobs):
            alone = (number,)  # shared to save memory
            for key in chain.from_iterable(job.keys):
                self._wanted[key] = self._wanted[key] + alone if key in self._wanted else alone

    def unknown(self, jobs: Iterable[Job]) -> list[str]:
        """Return the distinct keys of jobs without an outcome."""
        return [key for key in _distinct(jobs) if key not in self._predictions]

    def known(self, jobs: Iterable[Job]) -> list[Prediction]:
        """Return the known outcomes of jobs."""
        return [self._predictions[key] for key in _distinct(jobs) if key in self._predictions]

    def __contains__(self, key: str) -> bool:
        """Return whether the outcome of a key is known."""
        return key in self._predictions

    def begin(self, key: str) -> bool:
        """Return True for the first caller that asks for an unknown key."""
        if key in self._requested or key in self._predictions:
            return False
        self._requested.add(key)
        return True

    def found(self, predictions: Mapping[str, Prediction]) -> None:
        """Record answers that were stored or recorded."""
        self._predictions.update(predictions)
        self._requested.difference_update(predictions)
        for key in predictions:
            for progress in self._progress_of(key):
                progress.done += 1
                progress.stored += 1

    def answered(self, example: Example, prediction: Prediction) -> None:
        """Record an answer of this run."""
        self._predictions[prediction.key] = prediction
        completion = prediction.completion
        assert completion is not None
        tokens = (completion.input_tokens or 0) + (completion.output_tokens or 0)
        for number in self._wanted[prediction.key]:
            progress = self.progress[number]
            progress.done += 1
            progress.retrying = None
            progress.tokens += tokens
            progress.usd += cost_of(completion, self._prices[number], prediction.busy_s) or 0.0
            if self.jobs[number].right is not None:
                self._fresh[number].append((example, completion))

    def score(self, number: int) -> None:
        """Score the answers to a job that have come since the last time."""
        job, fresh = self.jobs[number], self._fresh[number]
        new = [fresh.pop() for _ in range(len(fresh))]  # another thread adds to them
        if new and job.right is not None:
            self.progress[number].right += job.right([(example, job.read(completion)) for example, completion in new])
            self.progress[number].scored += len(new)

    def retrying(self, question: Question, failure: ModelError) -> None:
        """Record that a call has failed and is made again."""
        for progress in self._progress_of(question.key):
            progress.retrying = failure.what

    def failed(self, key: str, failure: ModelError) -> None:
        """Record that there will be no answer, and why."""
        self._predictions[key] = Prediction(key, failure=failure, retries=failure.attempts - 1)
        for progress in self._progress_of(key):
            progress.done += 1
            progress.errors += 1
            progress.last_failure = failure.what

    def _progress_of(self, key: str) -> list[Progress]:
        return [self.progress[number] for number in self._wanted[key]]

    def run(self, job: Job, fatal: Mapping[int, ModelError], stopped: ModelError | None) -> Run:
        """Return the run of a job, with the failures that ended runs, by the id of the model.

        ``stopped`` is the failure of what was not asked because another model ended the run.
        """
        own = fatal.get(id(job.model))

        def outcome(key: str, example: Example) -> Prediction:
            found = self._predictions.get(key)
            if found is None:
                return Prediction(key, id=example.id, failure=own or stopped)
            stored = found.completion is not None and key not in self._requested
            return job.answered(found._replace(key=key, id=example.id, stored=stored))

        rows = (zip(row, job.test_set.examples, strict=True) for row in job.keys)
        return Run(job.model, job.test_set, tuple(tuple(outcome(*one) for one in row) for row in rows), own)


def _distinct(jobs: Iterable[Job]) -> dict[str, None]:
    return dict.fromkeys(key for job in jobs for row in job.keys for key in row)
