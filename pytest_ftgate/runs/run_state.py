"""What is known so far about the predictions that a run is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.price import cost_of, price_of
from pytest_ftgate.models.protocol import Prediction

if TYPE_CHECKING:
    from pytest_ftgate.models import Completion, Model

Keys = Sequence[Sequence[str]]
"""The keys of one job: ``[repeat][example]``."""

ENOUGH = 5
"""Useless answers at the start, after which no other is asked for."""


class AbandonedError(ModelError):
    """A call timed out whose thread cannot be cancelled: to try again would only pile up more of them."""


class UselessError(ModelError):
    """Nothing that a model has said so far is of any use."""


class EarlyStop:
    """Counts useless answers until there is one that is of use; without ``usable`` every one is."""

    def __init__(self, usable: Callable[[Completion], bool] | None) -> None:
        self._usable = usable
        self._useless = 0

    def check(self, predictions: Iterable[Prediction]) -> UselessError | None:
        """Return the error that ends the asking, where these answers make it clear that none will be of use."""
        for prediction in predictions:
            if self._usable is None or (prediction.completion and self._usable(prediction.completion)):
                self._usable = None
                return None
            self._useless += 1
        if self._useless < ENOUGH:
            return None
        return UselessError(f"none of the first {self._useless} answers is of any use", fatal=True)


@dataclass(slots=True)
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


class RunState:
    """The outcome of every key, each known once however many jobs want it, and the progress of each job."""

    def __init__(self, keys: Sequence[Keys], models: Sequence[Model]) -> None:
        self._prices = [price_of(model) for model in models]
        names = zip(keys, models, strict=True)
        self.progress = [Progress(model.name, 0, sum(map(len, rows)), 0, 0) for rows, model in names]
        self._predictions: dict[str, Prediction] = {}
        self._requested: set[str] = set()
        self._jobs = _jobs_by_key(keys)

    def unknown(self, keys: Keys) -> list[str]:
        """Return the different keys among these that have no outcome yet."""
        return [key for key in dict.fromkeys(chain.from_iterable(keys)) if key not in self._predictions]

    def known(self, keys: Keys) -> list[Prediction]:
        """Return the outcomes of these keys, as far as there are any."""
        different = dict.fromkeys(chain.from_iterable(keys))
        return [self._predictions[key] for key in different if key in self._predictions]

    def begin(self, key: str) -> bool:
        """Return whether the key is still to be asked for: true for the first who comes for it."""
        if key in self._requested or key in self._predictions:
            return False
        self._requested.add(key)
        return True

    def found(self, predictions: Mapping[str, Prediction]) -> None:
        """Note predictions that were there already."""
        self._predictions.update(predictions)
        self._requested.difference_update(predictions)
        for key in predictions:
            for job in self._jobs[key]:
                self.progress[job].done += 1
                self.progress[job].stored += 1

    def answered(self, prediction: Prediction) -> None:
        """Note the answer to a call."""
        self._predictions[prediction.key] = prediction
        completion = prediction.completion
        assert completion is not None
        tokens = (completion.input_tokens or 0) + (completion.output_tokens or 0)
        for job in self._jobs[prediction.key]:
            progress = self.progress[job]
            progress.done += 1
            progress.tokens += tokens
            progress.usd += cost_of(completion, self._prices[job], prediction.busy_s) or 0.0

    def failed(self, key: str, error: str, *, offline: bool = False) -> None:
        """Note that there will be no answer, and why."""
        self._predictions[key] = Prediction(key, error=error, offline=offline)
        for job in self._jobs[key]:
            self.progress[job].done += 1
            self.progress[job].errors += 1

    def prediction(self, key: str, example_id: str, otherwise: str) -> Prediction:
        """Return the outcome for an example; ``otherwise`` is the error where nobody asked."""
        found = self._predictions.get(key)
        if found is None:
            return Prediction(key, id=example_id, error=otherwise)
        stored = found.completion is not None and key not in self._requested
        times = (found.latency_s, found.created_at, found.busy_s)
        return Prediction(key, found.completion, *times, example_id, found.error, stored, found.offline)


def _jobs_by_key(keys: Sequence[Keys]) -> dict[str, tuple[int, ...]]:
    """Return job numbers by key, as often as the job wants it; the usual tuple of one is shared: keys are many."""
    jobs: dict[str, tuple[int, ...]] = {}
    for number, rows in enumerate(keys):
        alone = (number,)
        for key in chain.from_iterable(rows):
            jobs[key] = jobs[key] + alone if key in jobs else alone
    return jobs
