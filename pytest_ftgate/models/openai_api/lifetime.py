"""Read until when an endpoint serves a model: the ``shutdown_date`` that it lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timezone
from http import HTTPStatus
from typing import Any

from pytest_ftgate.models.openai_api.endpoint import ABSENT, Endpoint, fields, segment
from pytest_ftgate.models.openai_api.look_up import look_up
from pytest_ftgate.text import date_of


@dataclass(frozen=True)
class Listing:
    """Hold what an endpoint lists about a model.

    Attributes:
        asked_at: when, seconds since the epoch.
        known: the endpoint says whether there is a date.
        shutdown: the date, ``YYYY-MM-DD``; None: none is announced, or nothing is known.
    """

    asked_at: float
    known: bool
    shutdown: str | None = None

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Listing:
        """Read what ``asdict`` gave.

        Raises:
            ValueError, TypeError, OverflowError: it is none.
        """
        found = cls(**facts)
        if found.shutdown is not None:
            date.fromisoformat(found.shutdown)
        return cls(float(found.asked_at), bool(found.known), found.shutdown)


def read_listing(body: object, asked_at: float) -> Listing:
    """Read the answer to ``GET /models/NAME`` as untrusted data: anything that is not a date counts as unknown."""
    facts = fields(body)
    if "shutdown_date" not in facts:
        return Listing(asked_at, known=False)
    written = facts["shutdown_date"]
    if written is None:
        return Listing(asked_at, known=True)
    shutdown = _date(written)
    return Listing(asked_at, shutdown is not None, None if shutdown is None else shutdown.isoformat())


def _date(written: object) -> date | None:
    """Return an ISO date, an ISO time or seconds since the epoch, as a day in UTC."""
    with suppress(ValueError, OverflowError, OSError):
        if isinstance(written, int | float) and not isinstance(written, bool):
            return date_of(written)
        if isinstance(written, str):
            text = written.strip()
            with suppress(ValueError):
                at = datetime.fromisoformat(text.replace("Z", "+00:00"))
                return (at.astimezone(timezone.utc) if at.tzinfo else at).date()
            return date.fromisoformat(text[:10]) if text[10:11] in ("", "T", " ") else None
    return None


def ask_listings(endpoint: Endpoint, models: Sequence[str], now: float) -> dict[str, Listing]:
    """Send one request per model without retries, and leave out models without an answer: they are asked next time."""
    found = {}
    for model in models:
        status, body = look_up(endpoint, f"/models/{segment(model, safe=':')}")
        if status == HTTPStatus.OK or status in ABSENT:
            found[model] = read_listing(body, now)
    return found
