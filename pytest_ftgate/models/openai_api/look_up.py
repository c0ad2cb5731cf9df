"""Ask an endpoint about its models, without the ``openai`` package.

Its import takes longer than all else where every answer is stored.
"""

from __future__ import annotations

import json
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.models.openai_api.endpoint import Endpoint

LATEST_S = 5.0
"""Seconds within which the endpoint must have answered."""

_MOST_BYTES = 10_000_000


def look_up(endpoint: Endpoint, path: str) -> tuple[int, object]:
    """Return the HTTP status and the JSON at a path, 0 and None without a readable answer in time.

    The key does not follow a redirect to another place.
    """
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(f"{endpoint.base_url}{path}", headers={"User-Agent": "pytest-ftgate"})  # noqa: S310  # http(s)
    for name, value in endpoint.headers.items():
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
