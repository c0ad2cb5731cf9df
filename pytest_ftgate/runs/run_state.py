"""What is known so far about the predictions that a run is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pytest_ftgate.models.price import cost_of
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.runs.store import StoredPrediction

Keys = Sequence[Sequence[str]]
"""The keys of one job: ``[repeat][example]``."""


@dataclass(slots=True)
class Tally:
    """How far one job is, in predictions; ``tokens`` and ``usd`` are of the answers that were asked for in this run."""

    total: int
    done: int = 0
    stored: int = 0
    errors: int = 0
    tokens: int = 0
    usd: float = 0.0


class Board:
    """The outcome of every key, each known once however many jobs want it.

    Args:
        keys: what each job wants.
        prices: of each job's model.
    """

    def __init__(self, keys: Sequence[Keys], prices: Sequence[Price]) -> None:
        self._prices = prices
        self.tallies = [Tally(sum(map(len, rows))) for rows in keys]
        self.answers: dict[str, StoredPrediction] = {}
        self.errors: dict[str, str] = {}
        self._asked: set[str] = set()
        self._wanted_by = _jobs_by_key(keys)

    def open(self, rows: Iterable[Sequence[str]]) -> list[str]:
        """The different keys among these that have no outcome yet."""
        different = dict.fromkeys(chain.from_iterable(rows))
        return [key for key in different if key not in self.answers and key not in self.errors]

    def begin(self, key: str) -> bool:
        """Whether the key is still to be asked for: true for the first who comes for it."""
        if key in self._asked or key in self.answers or key in self.errors:
            return False
        self._asked.add(key)
        return True

    def was_asked(self, key: str) -> bool:
        """Whether the outcome comes from a call of this run."""
        return key in self._asked

    def found(self, predictions: Mapping[str, StoredPrediction]) -> None:
        """Note predictions that were there already."""
        self.answers.update(predictions)
        self._asked.difference_update(predictions)
        for key in predictions:
            for job in self._wanted_by[key]:
                self.tallies[job].done += 1
                self.tallies[job].stored += 1

    def answered(self, prediction: StoredPrediction) -> None:
        """Note the answer to a call."""
        self.answers[prediction.key] = prediction
        completion = prediction.completion
        tokens = (completion.input_tokens or 0) + (completion.output_tokens or 0)
        for job in self._wanted_by[prediction.key]:
            tally = self.tallies[job]
            tally.done += 1
            tally.tokens += tokens
            tally.usd += cost_of(completion, self._prices[job], prediction.busy_s) or 0.0

    def failed(self, key: str, error: str) -> None:
        """Note that there will be no answer, and why."""
        self.errors[key] = error
        for job in self._wanted_by[key]:
            self.tallies[job].done += 1
            self.tallies[job].errors += 1


def _jobs_by_key(keys: Sequence[Keys]) -> dict[str, tuple[int, ...]]:
    """Job numbers by key, as often as the job wants it; the usual tuple of one is shared, since keys are many."""
    jobs: dict[str, tuple[int, ...]] = {}
    for number, rows in enumerate(keys):
        alone = (number,)
        for key in chain.from_iterable(rows):
            jobs[key] = jobs[key] + alone if key in jobs else alone
    return jobs
