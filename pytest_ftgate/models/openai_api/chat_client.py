"""Request chat completions of one endpoint with the HTTP client of the ``openai`` package."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.errors import is_cancelled_from_outside
from pytest_ftgate.models.openai_api.chat_answer import broken_body, read_answer
from pytest_ftgate.models.openai_api.connection import headers, open_http
from pytest_ftgate.models.openai_api.endpoint import (
    Endpoint,
    Refusal,
    error_in,
    failure,
    is_cancelled,
    pause_s,
    refused,
)
from pytest_ftgate.models.protocol import Completion

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class ChatClient:
    """Request chat completions in one event loop.

    Requests are built here, since building the ``openai`` package's own objects would take more than half of the CPU
    time of a call. ``timeout_s`` limits the wait for a connection, or for the next part of an answer, in seconds.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        timeout_s: float | None,
        path: str = "/chat/completions",
        read: Callable[[object, Endpoint], Completion] = read_answer,
    ) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._http = open_http(timeout_s)
        self._headers = {**headers(endpoint.key), "Content-Type": "application/json"}
        self._url = self._http.build_request("POST", f"{endpoint.base_url}{path}").url
        self._read = read
        self._resume_at = 0.0

    async def ask(self, body: Mapping[str, Any]) -> Completion:
        """Send one request, and read its answer. Raises :class:`ModelError`, which never quotes the key."""
        request = self._http.build_request("POST", self._url, content=_encode(body).encode(), headers=self._headers)
        try:
            response = await self._http.send(request)
        except Exception as error:
            if is_cancelled(error) and is_cancelled_from_outside():
                raise asyncio.CancelledError from None  # aiohttp may report it as a lost connection
            # Not chained: a traceback would show the client's own text, which may quote the key.
            raise failure(error, self._endpoint, timeout_s=self._timeout_s) from None
        wait_s = pause_s(response.headers)
        if wait_s:
            self._resume_at = max(self._resume_at, clock.monotonic() + wait_s)
        try:
            data = json.loads(response.content)
        except ValueError:
            if not response.is_error:
                raise broken_body(response.content.decode(errors="replace"), self._endpoint) from None
            data = None
        if not response.is_error:
            return self._read(data, self._endpoint)
        refusal = Refusal(response.status_code, error_in(data), response.text, response.headers, self._url.path)
        if refusal.filtered:
            return Completion("", finish="filtered")
        raise refused(refusal, self._endpoint)

    def pause_s(self) -> float:
        """Return for how many seconds the endpoint accepts no further request, according to its last answers."""
        return max(0.0, self._resume_at - clock.monotonic()) if self._resume_at else 0.0

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
