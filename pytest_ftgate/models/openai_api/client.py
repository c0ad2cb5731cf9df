"""Call an endpoint's chat completions with the HTTP client of the ``openai`` package."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_ftgate import clock
from pytest_ftgate.errors import ModelError, is_cancelled_from_outside
from pytest_ftgate.models.openai_api.answers import broken_body, read_answer
from pytest_ftgate.models.openai_api.endpoint import Endpoint, Refusal, failure, pause_s, refused, root_cause
from pytest_ftgate.models.protocol import MOST_BYTES, Completion

if TYPE_CHECKING:
    import httpx2

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class ChatClient:
    """Request chat completions in one event loop, without retries.

    Requests are built here, since building the ``openai`` package's own objects would take more than half of the CPU
    time of a call, and would send what nobody asked for: account, machine, headers of the environment. ``timeout_s``
    limits the wait for a connection, or for the next part of an answer, in seconds.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float | None) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._http = _open_http(timeout_s)
        # Parsed once, not with every call.
        self._url = self._http.build_request("POST", f"{endpoint.base_url}/chat/completions").url
        self._headers = {**endpoint.headers, "Content-Type": "application/json"}
        self._resume_at = 0.0

    async def ask(self, body: Mapping[str, Any]) -> Completion:
        """Send one request, and read its answer. Raises :class:`ModelError`, which never quotes the key."""
        sent = _encode(body).encode()
        request = self._http.build_request("POST", self._url, content=sent, headers=self._headers)
        try:
            response = await self._http.send(request, stream=True)
            content = await self._read(response)
        except ModelError:
            raise
        except Exception as error:
            raise self._failed(error) from None
        wait_s = pause_s(response.headers)
        if wait_s:
            self._resume_at = max(self._resume_at, clock.monotonic() + wait_s)
        if response.is_error:
            refusal = Refusal.of(response, content.decode(errors="replace"))
            if refusal.filtered:
                return Completion("", finish="filtered")
            raise refused(refusal, self._endpoint)
        try:
            found = json.loads(content)
        except ValueError:
            raise broken_body(content.decode(errors="replace"), self._endpoint) from None
        return read_answer(found, self._endpoint)

    async def _read(self, response: httpx2.Response) -> bytes:
        """Return the body of a response. Raise :class:`ModelError` if it is too large to be an answer."""
        parts, size = list[bytes](), 0
        try:
            async for part in response.aiter_bytes():
                size += len(part)
                if size > MOST_BYTES:
                    raise self._endpoint.too_large(MOST_BYTES)
                parts.append(part)
        finally:
            await response.aclose()
        return b"".join(parts)

    def pause_s(self) -> float:
        """Return for how many seconds the endpoint accepts no further request, according to its last answers."""
        return max(0.0, self._resume_at - clock.monotonic()) if self._resume_at else 0.0

    async def aclose(self) -> None:
        await self._http.aclose()

    def _failed(self, error: Exception) -> BaseException:
        """Return the error to raise for one of the HTTP client; not chained, because its text may quote the key."""
        if isinstance(root_cause(error), asyncio.CancelledError) and is_cancelled_from_outside():
            return asyncio.CancelledError()  # aiohttp may report it as a lost connection
        return failure(error, self._endpoint, timeout_s=self._timeout_s)


def _open_http(timeout_s: float | None) -> httpx2.AsyncClient:
    """Return the HTTP client; with aiohttp, if installed, a call costs half the CPU time."""
    from openai import DefaultAioHttpClient, DefaultAsyncHttpxClient

    with suppress(RuntimeError):  # not installed
        return DefaultAioHttpClient(timeout=timeout_s)
    return DefaultAsyncHttpxClient(timeout=timeout_s)
