"""Hold what models are asked, what the session keeps of it, and what has come of a run so far."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain

from pytest_ftgate import clock, text
from pytest_ftgate.data import DataSet, Example, expected_text
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion, Model, Prediction, Question, key_of
from pytest_ftgate.models.protocol import answer_of, output_limit, stripping_for
from pytest_ftgate.models.recorded import Recording
from pytest_ftgate.runs.store import Store


@dataclass(frozen=True)
class Run:
    """Hold the answers of one model to one test set.

    Attributes:
        predictions: ``[repeat][example]``.
        fatal: the failure of this model that ended the run, if one did.
        metrics: the values by name if the answers were scored.
    """

    model: Model
    test_set: DataSet
    predictions: tuple[tuple[Prediction, ...], ...]
    fatal: ModelError | None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def all_predictions(self) -> list[Prediction]:
        """Return the predictions of all repeats in one list."""
        return list(chain(*self.predictions))

    def over(self, examples: DataSet) -> "Run":
        """Return the run over some examples of its test set, in their order there."""
        ids = {example.id for example in examples}
        rows = [row for row, example in enumerate(self.test_set) if example.id in ids]
        predictions = tuple(tuple(repeat[row] for row in rows) for repeat in self.predictions)
        return replace(self, test_set=examples, predictions=predictions)

    def with_more(self, run: "Run") -> "Run":
        """Return the run with the answers of the same model to other examples."""
        examples = (*self.test_set.examples, *run.test_set.examples)
        repeats = zip(self.predictions, run.predictions, strict=True)
        predictions = tuple((*repeat, *further) for repeat, further in repeats)
        test_set = replace(self.test_set, examples=examples)
        return replace(self, test_set=test_set, predictions=predictions)

    @property
    def failure(self) -> ModelError | None:
        """Return why answers are missing.

        It is the failure that ended the run, else the first that no new run would cure, or any.
        """
        if self.fatal is not None:
            return self.fatal
        failures = [prediction.failure for prediction in self.all_predictions if prediction.failure]
        for failure in failures:
            if not failure.retryable and failure.kind != "stopped":
                return failure
        return failures[0] if failures else None

    @property
    def unanswered(self) -> list[Example]:
        """Return the examples without an answer, once for each missing answer."""
        examples = []
        for repeat in self.predictions:
            for example, prediction in zip(self.test_set, repeat, strict=True):
                if prediction.completion is None:
                    examples.append(example)
        return examples


@dataclass(frozen=True)
class Job:
    """Describe a model that answers every example of a test set ``repeats`` times.

    ``of_candidate`` says that the model is judged, so that recordings of candidates serve it.
    """

    model: Model
    test_set: DataSet
    repeats: int = 1
    of_candidate: bool = False

    @cached_property
    def keys(self) -> list[list[str]]:
        """Return the keys of the answers, ``[repeat][example]``."""
        keys = []
        for repeat in range(self.repeats):
            keys.append([key_of(self.model, example, repeat) for example in self.test_set])
        return keys

    @cached_property
    def read(self) -> Callable[[Completion], Completion]:
        """Return what gives an answer without the model's reasoning."""
        expected = (expected_text(example.expected) for example in self.test_set)
        stripping = stripping_for(self.model.strip_reasoning, expected)
        return partial(answer_of, limit=output_limit(self.model), stripping=stripping)

    def answered(self, prediction: Prediction) -> Prediction:
        """Return a prediction with the answer alone."""
        completion = prediction.completion and self.read(prediction.completion)
        if completion is prediction.completion:
            return prediction
        return prediction._replace(completion=completion)

    def run(
        self,
        outcomes: Mapping[str, Prediction],
        fatal: ModelError | None,
        missing: ModelError | None,
    ) -> Run:
        """Return the run from the outcomes by key; ``missing`` is the failure of all others."""
        repeats = []
        for keys in self.keys:
            predictions = []
            for key, example in zip(keys, self.test_set, strict=True):
                prediction = outcomes.get(key) or Prediction(key, failure=missing)
                predictions.append(self.answered(prediction._replace(key=key, id=example.id)))
            repeats.append(tuple(predictions))
        return Run(self.model, test_set=self.test_set, predictions=tuple(repeats), fatal=fatal)


@dataclass(frozen=True)
class Stores:
    """Hold what a session keeps.

    Attributes:
        persistent: the store that outlives the session; ``None``: there is none.
        session: for models whose answers may not outlive it, and in place of ``persistent``.
        recordings: committed answers by key, looked up first.
        refresh: stored answers of earlier sessions are ignored.
        started: when the session began, in seconds since the epoch.
        judged: keys of the answers that gates were judged by, of models whose answers may not
            outlive that.
    """

    persistent: Store | None
    session: Store
    recordings: Mapping[str, Recording] = field(default_factory=dict)
    refresh: bool = False
    started: float = field(default_factory=clock.wall)
    judged: set[str] = field(default_factory=set)

    def of(self, model: Model) -> Store:
        """Return the store that keeps the answers of a model."""
        if model.persistent and self.persistent is not None:
            return self.persistent
        return self.session

    def get(self, model: Model, keys: Sequence[str]) -> dict[str, Prediction]:
        """Return a model's stored answers that count, by key."""
        since = float("-inf")
        if self.refresh:
            since = self.started
        elif model.until_judged:
            since = self.started - text.DAY_S
        return self.of(model).get(keys, newer_than=since, began=self.started)

    def finish(self, runs: Iterable[Run]) -> None:
        """Note that runs have reached their purpose.

        What may not outlive that is retired when the session ends.
        """
        for run in runs:
            for prediction in run.all_predictions:
                if run.model.until_judged and not prediction.recorded:
                    self.judged.add(prediction.key)

    def not_kept(self, run: Run) -> int:
        """Return how many answers of a run the next session will not find."""
        is_kept = self.of(run.model).persistent
        n_lost = 0
        for prediction in run.all_predictions:
            is_recorded = prediction.key in self.recordings
            is_found = is_recorded or (is_kept and prediction.key not in self.judged)
            if prediction.completion is None or not is_found:
                n_lost += 1
        return n_lost

    @property
    def notes(self) -> Store:
        """Return the store for notes: the one that outlives the session, or else the session's."""
        return self.persistent or self.session


@dataclass(frozen=True)
class TimeLimit:
    """Hold the time limit of a gate: where it is written, and its end by the monotonic clock."""

    seconds: float
    source: str
    ends_at: float

    def left_s(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self.ends_at - clock.monotonic())

    def error(self) -> ModelError:
        """Return the failure of a run that has reached the limit."""
        return ModelError(
            f"the models have not answered within timeout_s {self.seconds:g} ({self.source})",
            fatal=True,
            cure="raise timeout_s, or run again: stored answers are reused",
        )


@dataclass(slots=True)
class Progress:
    """Count the outcomes of the questions to one model.

    Attributes:
        done: questions with an outcome: ``done - errors`` are answered, ``total - done`` are open.
        total: all questions.
        stored: answers that were stored or recorded.
        errors: questions that failed for good.
        problem: what the last call failed with; ``None`` once a call is answered.
    """

    model: str
    done: int = 0
    total: int = 0
    stored: int = 0
    errors: int = 0
    problem: str | None = None


class Questions:
    """Hold the questions to one model in a run, and what came of them.

    A question that two models share is the first one's.

    Attributes:
        outcomes: those of all models by key.
        open: the questions without an outcome by key.
        fatal: the failure that ends the run.
    """

    def __init__(self, model: Model, outcomes: dict[str, Prediction]) -> None:
        self.model = model
        self.outcomes = outcomes
        self.open: dict[str, Question] = {}
        self.progress = Progress(model.name)
        self.fatal: ModelError | None = None

    def add(self, job: Job, added: set[str]) -> None:
        """Add the questions of a job that are not ``added`` yet."""
        for repeat, keys in enumerate(job.keys):
            for key, example in zip(keys, job.test_set, strict=True):
                if key not in added:
                    added.add(key)
                    self.open[key] = Question(key, example, repeat)
                    self.progress.total += 1

    def stored(self, predictions: Mapping[str, Prediction]) -> None:
        """Record answers that were stored or recorded, by key."""
        for key, prediction in predictions.items():
            self._answer(key, prediction._replace(stored=True))
        self.progress.stored += len(predictions)

    def answered(self, predictions: Iterable[Prediction]) -> None:
        """Record answers of this run."""
        for prediction in predictions:
            self._answer(prediction.key, prediction)
            self.progress.problem = None

    def _answer(self, key: str, prediction: Prediction) -> None:
        del self.open[key]
        self.outcomes[key] = prediction
        self.progress.done += 1

    def failed(self, key: str, failure: ModelError) -> None:
        """Record that there will be no answer, and why."""
        del self.open[key]
        self.outcomes[key] = Prediction(key, failure=failure, retries=failure.attempts - 1)
        self.progress.done += 1
        self.progress.errors += 1
        self.progress.problem = failure.what
