"""Hold the outcomes of a run so far."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion, Model, Question
from pytest_ftgate.models.price import cost_of, price_of
from pytest_ftgate.models.protocol import Prediction

Keys = Sequence[Sequence[str]]
"""The keys of one job's answers: ``[repeat][example]``."""

ENOUGH = 5
"""Failed calls, questions without an answer or unusable answers at the start of a run, after which it ends."""


class AbandonedError(ModelError):
    """Report that a call timed out whose thread cannot be cancelled; retrying would leak threads."""


class UselessError(ModelError):
    """Report that none of a model's first answers can be used."""


class EarlyStop:
    """Count unusable answers until there is a usable one; without ``usable`` every answer is usable.

    ``read`` gives an answer as ``usable`` takes it: without the model's reasoning.
    """

    def __init__(self, usable: Callable[[Completion], bool] | None, read: Callable[[Completion], Completion]) -> None:
        self._usable = usable
        self._read = read
        self._useless = 0

    def check(self, predictions: Iterable[Prediction]) -> UselessError | None:
        """Return the error that ends the run, if all of the first answers are unusable."""
        if self._usable is None:
            return None
        for prediction in predictions:
            completion = prediction.completion and self._read(prediction.completion)
            if completion and self._usable(completion):
                self._usable = None
                return None
            self._useless += 1
        if self._useless < ENOUGH:
            return None
        return UselessError(f"none of the first {self._useless} answers can be used", fatal=True)


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

    def __init__(self, keys: Sequence[Keys], models: Sequence[Model]) -> None:
        self._prices = [price_of(model) for model in models]
        names = zip(keys, models, strict=True)
        self.progress = [Progress(model.name, 0, sum(map(len, rows)), 0, 0) for rows, model in names]
        self.fresh: list[list[Prediction]] = [[] for _ in models]  # answers of each job that nobody has taken yet
        self._predictions: dict[str, Prediction] = {}
        self._requested: set[str] = set()
        self._jobs: dict[str, tuple[int, ...]] = {}  # by key, repeated if a job needs it repeatedly
        for number, rows in enumerate(keys):
            alone = (number,)  # shared to save memory
            for key in chain.from_iterable(rows):
                self._jobs[key] = self._jobs[key] + alone if key in self._jobs else alone

    def unknown(self, keys: Keys) -> list[str]:
        """Return the distinct keys without an outcome."""
        return [key for key in dict.fromkeys(chain.from_iterable(keys)) if key not in self._predictions]

    def known(self, keys: Keys) -> list[Prediction]:
        """Return the known outcomes of these keys."""
        different = dict.fromkeys(chain.from_iterable(keys))
        return [self._predictions[key] for key in different if key in self._predictions]

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
            for job in self._jobs[key]:
                self.progress[job].done += 1
                self.progress[job].stored += 1

    def answered(self, prediction: Prediction) -> None:
        self._predictions[prediction.key] = prediction
        completion = prediction.completion
        assert completion is not None
        tokens = (completion.input_tokens or 0) + (completion.output_tokens or 0)
        for job in self._jobs[prediction.key]:
            progress = self.progress[job]
            progress.done += 1
            progress.retrying = None
            self.fresh[job].append(prediction)
            progress.tokens += tokens
            progress.usd += cost_of(completion, self._prices[job], prediction.busy_s) or 0.0

    def retrying(self, question: Question, failure: ModelError) -> None:
        """Record that a call has failed and is made again."""
        for job in self._jobs[question.key]:
            self.progress[job].retrying = failure.what

    def failed(self, key: str, failure: ModelError) -> None:
        """Record that there will be no answer, and why."""
        self._predictions[key] = Prediction(key, failure=failure, retries=failure.attempts - 1)
        for job in self._jobs[key]:
            self.progress[job].done += 1
            self.progress[job].errors += 1
            self.progress[job].last_failure = failure.what

    def prediction(self, key: str, example_id: str, unasked: ModelError | None) -> Prediction:
        """Return the outcome for an example; ``unasked`` says why the model was not asked, if it was not."""
        found = self._predictions.get(key)
        if found is None:
            return Prediction(key, id=example_id, failure=unasked)
        stored = found.completion is not None and key not in self._requested
        return found._replace(key=key, id=example_id, stored=stored)
