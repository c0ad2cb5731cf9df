"""A store as the workers of one run use it: held for them by leases, written once per turn of the loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from pytest_ftgate.errors import StoreError
from pytest_ftgate.models import Prediction
from pytest_ftgate.runs.store import Claim, Store

LEASE_S = 30.0
RENEW_EVERY_S = 5.0


class StoreWriter:
    """Writes what the workers of one run bring in within one turn of the loop in one transaction."""

    def __init__(self, store: Store, owner: str, newer_than: float | None) -> None:
        self._store = store
        self._owner = owner
        self._newer_than = newer_than
        self._leasing = False
        self._arrived: list[Prediction] = []
        self._given_up: list[str] = []
        self._written: asyncio.Future[None] | None = None

    def get(self, keys: Sequence[str]) -> dict[str, Prediction]:
        """See :meth:`Store.get`."""
        return self._store.get(keys, newer_than=self._newer_than)

    def claim(self, keys: Sequence[str]) -> Claim:
        """See :meth:`Store.claim`."""
        claim = self._store.claim(keys, self._owner, LEASE_S, newer_than=self._newer_than)
        self._leasing = self._leasing or bool(claim.mine)
        return claim

    def now(self) -> float:
        """Seconds since the epoch, and never before ``newer_than``: a clock set back makes no answer an old one."""
        return max(time.time(), self._newer_than or 0.0)

    async def keep(self, *predictions: Prediction) -> None:
        """Return once the predictions are stored. Raises :class:`StoreError`."""
        self._arrived += predictions
        await self._next_write()

    async def give_up(self, *keys: str) -> None:
        """Return once another process may ask for the keys."""
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
            if not written.done():  # one of those who waited was cancelled, and the future with it
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
                # At worst a lease runs out and one call is made twice; real trouble shows at the next write.
                with contextlib.suppress(StoreError):
                    self._store.renew(self._owner, LEASE_S)

    def close(self) -> None:
        """Give all leases back."""
        if self._leasing:
            self._store.release(self._owner)
