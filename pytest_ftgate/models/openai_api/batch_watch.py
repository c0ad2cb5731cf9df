"""Wait for batches and read their answers, whatever passing failures the endpoint has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.batch_api import Batch, BatchApi
from pytest_ftgate.models.openai_api.batch_lines import read_line
from pytest_ftgate.models.openai_api.endpoint import Endpoint
from pytest_ftgate.models.protocol import Completion

_T = TypeVar("_T")

_UNDER_WAY = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True, slots=True)
class Pace:
    """Choose how often a batch is polled: first after ``first_s``, each further wait is half as long again.

    No wait of our own is longer than ``slowest_s``, and none that an endpoint asks for is longer than ``longest_s``.
    A call is given up after ``patience`` failed attempts in a row.
    """

    first_s: float = 1.0
    slowest_s: float = 30.0
    longest_s: float = 120.0
    patience: int = 60

    def wait_s(self, calls: int, asked_s: float | None = None) -> float:
        """Return the wait after this many calls, or what the endpoint asks for, if that is longer."""
        own_s = min(self.first_s * 1.5 ** min(calls - 1, 99), self.slowest_s)
        return max(own_s, min(asked_s or 0.0, self.longest_s))


@dataclass(frozen=True)
class Harvest:
    """Hold the outcome of a batch that has ended.

    ``outcomes`` are those of the needed questions, as far as the endpoint returned them; ``answered`` are the keys of
    all questions that it answered, needed or not.
    """

    batch: Batch
    outcomes: dict[str, Completion | ModelError] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)


class BatchWatch(BatchApi):
    """Wait for batches. Passing failures, such as a busy or unreachable endpoint, are waited for, too.

    ``counts`` receives the progress of each running batch by its id: questions done, and all questions.
    """

    def __init__(self, endpoint: Endpoint, pace: Pace, counts: dict[str, tuple[int, int]]) -> None:
        super().__init__(endpoint)
        self._pace = pace
        self._counts = counts

    async def harvest(self, batch: Batch | str, wanted: Collection[str]) -> Harvest:
        """Wait until a batch, given by its last state or its id, has ended, and read the outcomes of these keys.

        Raises:
            AbsentError: the endpoint does not have the batch or its files (any more).
            ModelError: the endpoint cannot be called, or its answer cannot be read. The batch goes on.
        """
        if isinstance(batch, str):
            self._counts.setdefault(batch, (0, 0))
            batch = await self._patiently(partial(self.retrieve, batch))
        harvest = Harvest(await self._ended(batch))
        for file_id in harvest.batch.files:
            await self._patiently(partial(self._read, file_id, harvest, wanted))
        self._counts.pop(harvest.batch.id, None)
        return harvest

    async def _ended(self, batch: Batch) -> Batch:
        polls = 0
        while batch.status not in _ENDED:
            if batch.status not in _UNDER_WAY:
                shown = self.endpoint.quoted(batch.status or "without a status", 40)
                raise self.endpoint.error(
                    f"the endpoint reports a batch with the unknown status {shown!r}",
                    fatal=True,
                    evidence=f"known: {', '.join(sorted(_UNDER_WAY | _ENDED))}",
                    cure="use mode: live",
                )
            self._counts[batch.id] = batch.counts or self._counts.get(batch.id, (0, 0))
            polls += 1
            await asyncio.sleep(self._pace.wait_s(polls))
            batch = await self._patiently(partial(self.retrieve, batch.id))
        return batch

    async def _patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Make a call until it succeeds, fails for good, or the patience is used up."""
        return await self.patiently(call, self._pace.patience, self._pace.wait_s)

    async def _read(self, file_id: str, harvest: Harvest, wanted: Collection[str]) -> None:
        """Read one file; if the download breaks off and starts again, outcomes read before are kept."""

        def take(line: bytes) -> None:
            read = read_line(line, self.endpoint)
            if read is None or read[0] in harvest.outcomes:
                return
            key, outcome = read
            if isinstance(outcome, Completion):
                harvest.answered.add(key)
            if key in wanted:
                harvest.outcomes[key] = outcome

        await self.download(file_id, take)
