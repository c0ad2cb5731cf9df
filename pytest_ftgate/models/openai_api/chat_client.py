"""Chat completions of one endpoint, over the HTTP client of the ``openai`` package."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import is_cancelled_from_outside
from pytest_ftgate.models.openai_api.chat_answer import broken_body, read_answer
from pytest_ftgate.models.openai_api.connection import headers, open_http
from pytest_ftgate.models.openai_api.endpoint import Endpoint, failure, is_cancelled, is_filtered, pause_s
from pytest_ftgate.models.protocol import Completion

if TYPE_CHECKING:
    from openai import APIStatusError

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class ChatClient:
    """Asks for chat completions in one event loop.

    Requests are built here and sent as they are: making the client's own objects of a question and of its answer
    would take more than half of the time that a call costs this process.

    Args:
        endpoint: whom to ask, and with which key.
        timeout_s: seconds to wait for a connection, or for the next piece of an answer.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float | None) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._http = open_http(timeout_s)
        self._headers = {**headers(endpoint.key), "Content-Type": "application/json"}
        self._url = self._http.build_request("POST", f"{endpoint.base_url}/chat/completions").url
        self._resume_at = 0.0

    async def ask(self, body: Mapping[str, Any]) -> Completion:
        """Send one request, and read its answer. Raises :class:`ModelError`, which never quotes the key."""
        request = self._http.build_request("POST", self._url, content=_encode(body).encode(), headers=self._headers)
        try:
            response = await self._http.send(request)
            self._note_limits(response.headers)
            if response.is_error:
                raise _status_error(response)
        except Exception as error:
            if is_cancelled(error) and is_cancelled_from_outside():
                raise asyncio.CancelledError from None  # aiohttp may tell of it as a lost connection
            if is_filtered(error):
                return Completion("", finish="filtered")
            # Not chained: a traceback would show the client's own text, which may quote the key.
            raise failure(error, self._endpoint, timeout_s=self._timeout_s, now=time.time()) from None
        try:
            data = json.loads(response.content)
        except ValueError:
            raise broken_body(response.content.decode(errors="replace"), self._endpoint) from None
        return read_answer(data, self._endpoint)

    def pause_s(self) -> float:
        """Seconds for which the endpoint wants no further request, as its last answers said."""
        return max(0.0, self._resume_at - time.monotonic()) if self._resume_at else 0.0

    async def aclose(self) -> None:
        await self._http.aclose()

    def _note_limits(self, said: Mapping[str, str]) -> None:
        wait_s = pause_s(said)
        if wait_s:
            self._resume_at = max(self._resume_at, time.monotonic() + wait_s)


def _status_error(response: Any) -> APIStatusError:
    """The refusal as the ``openai`` client would raise it."""
    from openai import APIStatusError

    try:
        body = json.loads(response.content)
    except ValueError:
        body = None
    said = body.get("error", body) if isinstance(body, dict) else body
    return APIStatusError(f"HTTP {response.status_code}", response=response, body=said)
