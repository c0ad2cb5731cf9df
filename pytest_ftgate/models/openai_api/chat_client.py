"""Request chat completions, or responses, of one endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.models.openai_api.chat_answer import broken_body, read_answer
from pytest_ftgate.models.openai_api.connection import Connection
from pytest_ftgate.models.openai_api.endpoint import Endpoint, Refusal, pause_s, refused
from pytest_ftgate.models.protocol import Completion

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class ChatClient(Connection):
    """Request chat completions in one event loop: see :class:`Connection`."""

    def __init__(
        self,
        endpoint: Endpoint,
        timeout_s: float | None,
        path: str = "/chat/completions",
        read: Callable[[object, Endpoint], Completion] = read_answer,
    ) -> None:
        super().__init__(endpoint, timeout_s)
        self._url = self.request("POST", path).url  # parsed once, not with every call
        self._headers = {**endpoint.headers, "Content-Type": "application/json"}
        self._read = read
        self._resume_at = 0.0

    async def ask(self, body: Mapping[str, Any]) -> Completion:
        """Send one request, and read its answer."""
        content = _encode(body).encode()
        response = await self.send(self._http.build_request("POST", self._url, content=content, headers=self._headers))
        wait_s = pause_s(response.headers)
        if wait_s:
            self._resume_at = max(self._resume_at, clock.monotonic() + wait_s)
        if response.is_error:
            refusal = Refusal.of(response)
            if refusal.filtered:
                return Completion("", finish="filtered")
            raise refused(refusal, self.endpoint)
        try:
            data = json.loads(response.content)
        except ValueError:
            raise broken_body(response.content.decode(errors="replace"), self.endpoint) from None
        return self._read(data, self.endpoint)

    def pause_s(self) -> float:
        """Return for how many seconds the endpoint accepts no further request, according to its last answers."""
        return max(0.0, self._resume_at - clock.monotonic()) if self._resume_at else 0.0
