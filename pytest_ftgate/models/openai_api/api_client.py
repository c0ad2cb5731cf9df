"""Call an endpoint's APIs besides chat: files, batches, jobs, models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.chat_answer import broken_body
from pytest_ftgate.models.openai_api.connection import Connection
from pytest_ftgate.models.openai_api.endpoint import ABSENT, Refusal, refused, said

if TYPE_CHECKING:
    import httpx2


_ANY = {"Accept": "*/*"}
_T = TypeVar("_T")


class AbsentError(ModelError):
    """Report that the endpoint has nothing at this address: no such API, or no object of this name."""


class ApiClient(Connection):
    """Make calls in one event loop: see :class:`Connection`."""

    async def get(self, path: str, **params: Any) -> Any:
        """Return the JSON that the endpoint has at a path."""
        return self._json(await self._answer("GET", path, params=params))

    async def bytes_at(self, path: str) -> bytes:
        """Return what the endpoint has at a path, as it is."""
        return (await self._answer("GET", path, headers=_ANY)).content

    async def post(self, path: str, **sent: Any) -> Any:
        """Send data to a path, and return the JSON of the answer."""
        return self._json(await self._answer("POST", path, **sent))

    async def _answer(self, method: str, path: str, *, stream: bool = False, **sent: Any) -> httpx2.Response:
        response = await self.send(self.request(method, path, **sent), stream=stream)
        if not response.is_success:
            await response.aread()
            raise self._refused(Refusal.of(response), path)
        return response

    async def patiently(
        self, call: Callable[[], Awaitable[_T]], retries: int, wait_s: Callable[[int, float | None], float]
    ) -> _T:
        """Make a call until it succeeds, or fails for good; ``wait_s`` is as :meth:`RetryPolicy.wait_s`."""
        for failures in range(1, retries + 1):
            try:
                return await call()
            except ModelError as error:
                if error.fatal or not error.retryable:
                    raise
                pause_s = wait_s(failures, error.retry_after_s)
            await asyncio.sleep(pause_s)
        return await call()

    def _json(self, response: httpx2.Response) -> Any:
        try:
            return json.loads(response.content)
        except ValueError:
            raise broken_body(response.text, self.endpoint) from None

    def _refused(self, refusal: Refusal, path: str) -> ModelError:
        if refusal.status in ABSENT:
            evidence = said(refusal, self.endpoint)
            what = f"the endpoint has nothing at {path}"
            return AbsentError(what, where=self.endpoint.where, fatal=True, evidence=evidence)
        return refused(refusal, self.endpoint)
