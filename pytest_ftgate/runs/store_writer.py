"""Write the answers of one run to a store, together where they arrive together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pytest_ftgate import clock
from pytest_ftgate.errors import StoreError
from pytest_ftgate.models import Prediction
from pytest_ftgate.runs.store import Store


class StoreWriter:
    """Batch writes: one transaction per event-loop iteration."""

    def __init__(self, store: Store, started: float = 0.0) -> None:
        self.persistent = store.persistent
        self._store = store
        self._started = started
        self._arrived: list[Prediction] = []
        self._written: asyncio.Future[None] | None = None

    def get(self, keys: Sequence[str], since: float) -> dict[str, Prediction]:
        return self._store.get(keys, newer_than=since)

    def check(self) -> None:
        """Raise :class:`StoreError` if answers could not be stored."""
        self._store.put([])

    def now(self) -> float:
        """Return seconds since the epoch, at least the session's start: new answers count if the clock is set back."""
        return max(clock.wall(), self._started)

    async def keep(self, *predictions: Prediction) -> None:
        """Return once the predictions are stored. Raises :class:`StoreError`."""
        self._arrived += predictions
        if self._written is None:
            loop = asyncio.get_running_loop()
            self._written = loop.create_future()
            loop.call_soon(self._write, self._written)
        await self._written

    def _write(self, written: asyncio.Future[None]) -> None:
        self._written = None
        arrived, self._arrived = self._arrived, []
        try:
            self._store.put(arrived)
        except StoreError as error:
            if not written.done():  # cancelling a waiter cancels the future
                written.set_exception(error)
        else:
            if not written.done():
                written.set_result(None)
