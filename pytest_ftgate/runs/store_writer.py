"""Give the workers of one run access to a store: leases on keys, and batched writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from pytest_ftgate import clock
from pytest_ftgate.errors import StoreError
from pytest_ftgate.models import Prediction
from pytest_ftgate.runs.store import Claim, Store

LEASE_S = 30.0
RENEW_EVERY_S = 5.0


class StoreWriter:
    """Batch writes: one transaction per event-loop iteration."""

    def __init__(self, store: Store, owner: str, started: float = 0.0) -> None:
        self.persistent = store.persistent
        self._store = store
        self._owner = owner
        self._started = started
        self._leasing = False
        self._arrived: list[Prediction] = []
        self._given_up: list[str] = []
        self._written: asyncio.Future[None] | None = None

    def get(self, keys: Sequence[str], since: float) -> dict[str, Prediction]:
        return self._store.get(keys, newer_than=since)

    def claim(self, keys: Sequence[str], since: float) -> Claim:
        """See :meth:`Store.claim`."""
        claim = self._store.claim(keys, self._owner, LEASE_S, newer_than=since)
        self._leasing = self._leasing or bool(claim.mine)
        return claim

    def now(self) -> float:
        """Return seconds since the epoch, at least the session's start: new answers count if the clock is set back."""
        return max(clock.wall(), self._started)

    async def keep(self, *predictions: Prediction) -> None:
        """Return once the predictions are stored. Raises :class:`StoreError`."""
        self._arrived += predictions
        await self._next_write()

    async def give_up(self, *keys: str) -> None:
        """Release the keys, and return once another process may ask for them."""
        self._given_up += keys
        await self._next_write()

    def _next_write(self) -> asyncio.Future[None]:
        if self._written is None:
            loop = asyncio.get_running_loop()
            self._written = loop.create_future()
            loop.call_soon(self._write_for, self._written)
        return self._written

    def _write_for(self, written: asyncio.Future[None]) -> None:
        self._written = None
        try:
            self._write()
        except StoreError as error:
            if not written.done():
                written.set_exception(error)
        else:
            if not written.done():  # cancelling a waiter cancels the future
                written.set_result(None)

    def _write(self) -> None:
        arrived, self._arrived = self._arrived, []
        given_up, self._given_up = self._given_up, []
        if arrived:
            self._store.put(arrived)
        if given_up:
            self._store.release(self._owner, given_up)

    async def keep_leases(self) -> None:
        """Renew the leases for as long as the run lasts."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            if self._leasing:
                # At worst a lease expires and a call is made twice. A lasting failure shows at the next write.
                with contextlib.suppress(StoreError):
                    self._store.renew(self._owner, LEASE_S)

    def close(self) -> None:
        if self._leasing:
            self._store.release(self._owner)
