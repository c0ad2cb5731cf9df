"""What endpoints list of models: asked rarely, and kept in notes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from pytest_ftgate.errors import ModelError, StoreError
from pytest_ftgate.models.lifetime import Listing, ask_listings
from pytest_ftgate.moments import DAY_S
from pytest_ftgate.running.bridge import run_in_own_loop

if TYPE_CHECKING:
    from pytest_ftgate.models import Notes
    from pytest_ftgate.models.endpoint import Endpoint

PREFIX = "listing: "
"""How the names of notes on what endpoints list begin."""


class Listings:
    """What is known of models at endpoints: out of notes, and asked anew where that is allowed.

    Args:
        notes: where answers are kept for a day.
        now: seconds since the epoch.
    """

    def __init__(self, notes: Notes, now: float) -> None:
        self._notes = notes
        self._now = now

    def known(self, endpoint: Endpoint, models: Iterable[str]) -> dict[str, Listing]:
        """What earlier runs were told, however long ago: an announced date stays true."""
        found = {model: self._noted(endpoint, model) for model in models}
        return {model: listing for model, listing in found.items() if listing is not None}

    def asked(self, endpoint: Endpoint, models: Sequence[str]) -> dict[str, Listing]:
        """The same; what was told more than a day ago is asked again. Whatever goes wrong, nothing is known then."""
        known = self.known(endpoint, models)
        due = [model for model in models if not self._is_fresh(known.get(model))]
        if due:
            told: dict[str, Listing] = {}
            with suppress(ModelError):  # which says that the loop stands still
                told = run_in_own_loop(ask_listings(endpoint, due, self._now), lambda: None)
            for model, listing in told.items():
                before = known.get(model)
                known[model] = replace(before, asked_at=self._now) if before and not listing.known else listing
                with suppress(StoreError):  # it is asked again next time
                    self._notes.put(_name(endpoint, model), json.dumps(asdict(known[model])))
        return known

    def _is_fresh(self, listing: Listing | None) -> bool:
        return listing is not None and 0 <= self._now - listing.asked_at < DAY_S

    def _noted(self, endpoint: Endpoint, model: str) -> Listing | None:
        """A note that cannot be read is as none."""
        with suppress(StoreError, ValueError, TypeError, OverflowError):
            text = self._notes.get(_name(endpoint, model))
            return None if text is None else Listing.from_dict(json.loads(text))
        return None


def _name(endpoint: Endpoint, model: str) -> str:
    return f"{PREFIX}{sha256(endpoint.base_url.encode()).hexdigest()[:16]} {model}"
