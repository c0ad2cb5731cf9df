"""Ask an endpoint about its models, without the ``openai`` package: its import takes long if all answers are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timezone
from http import HTTPStatus
from threading import Thread
from typing import Any

from pytest_ftgate.models.openai_api.endpoint import ABSENT, Endpoint, fields, segment
from pytest_ftgate.text import date_of

LATEST_S = 5.0  # seconds within which the endpoint must have answered
_MOST_BYTES = 10_000_000


def look_up(endpoint: Endpoint, path: str) -> tuple[int, object]:
    """Return the HTTP status and the JSON at a path, 0 and None without a readable answer in time."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(f"{endpoint.base_url}{path}", headers={"User-Agent": "pytest-ftgate"})  # noqa: S310  # http(s)
    for name, value in endpoint.headers.items():  # the key must not follow a redirect to another place
        request.add_unredirected_header(name, value)
    found: list[tuple[int, object]] = []

    def ask() -> None:
        with suppress(Exception):
            try:
                with urlopen(request, timeout=LATEST_S) as response:  # noqa: S310
                    found.append((response.status, json.loads(response.read(_MOST_BYTES))))
            except HTTPError as error:
                with error:  # it holds the connection
                    found.append((error.code, None))

    thread = Thread(target=ask, name="pytest-ftgate look-up", daemon=True)
    thread.start()
    thread.join(LATEST_S)
    return found[0] if found else (0, None)


@dataclass(frozen=True)
class Listing:
    """Hold what an endpoint lists about a model."""

    asked_at: float  # when, seconds since the epoch
    known: bool  # the endpoint says whether there is a date
    shutdown: str | None = None  # the date, YYYY-MM-DD; None: none is announced, or nothing is known

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Listing:
        """Read what ``asdict`` gave. Raise ``ValueError``, ``TypeError`` or ``OverflowError`` for anything else."""
        found = cls(**facts)
        if found.shutdown is not None:
            date.fromisoformat(found.shutdown)
        return cls(float(found.asked_at), bool(found.known), found.shutdown)


def read_listing(body: object, asked_at: float) -> Listing:
    """Read the answer to ``GET /models/NAME`` as untrusted data: anything that is not a date counts as unknown."""
    written = fields(body).get("shutdown_date", "unknown")
    shutdown = _date(written)
    return Listing(asked_at, written is None or shutdown is not None, shutdown.isoformat() if shutdown else None)


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
