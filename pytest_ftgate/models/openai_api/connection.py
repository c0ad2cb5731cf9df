"""Send HTTP requests to one endpoint, with the HTTP client of the ``openai`` package."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import is_cancelled_from_outside
from pytest_ftgate.models.openai_api.endpoint import failure, is_cancelled

if TYPE_CHECKING:
    import httpx2

    from pytest_ftgate.models.openai_api.endpoint import Endpoint


class Connection:
    """Send requests in one event loop, without retries.

    Requests are built here, since building the ``openai`` package's own objects would take more than half of the CPU
    time of a call, and would send what nobody asked for: account, machine, headers of the environment. Every method
    raises :class:`ModelError`, which never quotes the key. ``timeout_s`` limits the wait for a connection, or for the
    next part of an answer, in seconds.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float | None) -> None:
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        self._http = _open_http(timeout_s)

    async def send(self, request: httpx2.Request, *, stream: bool = False) -> httpx2.Response:
        """Send one request, and return the response, whatever its status."""
        try:
            return await self._http.send(request, stream=stream)
        except Exception as error:
            raise self.failed(error) from None

    def failed(self, error: Exception) -> BaseException:
        """Return the error to raise for one of the HTTP client; not chained, because its text may quote the key."""
        if is_cancelled(error) and is_cancelled_from_outside():
            return asyncio.CancelledError()  # aiohttp may report it as a lost connection
        return failure(error, self.endpoint, timeout_s=self._timeout_s)

    def request(self, method: str, path: str, **content: Any) -> httpx2.Request:
        """Return a request for a path at the endpoint; ``content`` is as ``httpx`` takes it."""
        said = {**self.endpoint.headers, **content.pop("headers", {})}
        return self._http.build_request(method, f"{self.endpoint.base_url}{path}", headers=said, **content)

    async def aclose(self) -> None:
        await self._http.aclose()


def _open_http(timeout_s: float | None) -> httpx2.AsyncClient:
    """Return the HTTP client; with aiohttp, if installed, a call costs half the CPU time."""
    from openai import DefaultAioHttpClient, DefaultAsyncHttpxClient

    with suppress(RuntimeError):  # not installed
        return DefaultAioHttpClient(timeout=timeout_s)
    return DefaultAsyncHttpxClient(timeout=timeout_s)
