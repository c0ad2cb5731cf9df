"""Call an endpoint's APIs besides chat: files, batches, jobs, models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.chat_answer import broken_body
from pytest_ftgate.models.openai_api.connection import Connection
from pytest_ftgate.models.openai_api.endpoint import Refusal, refused, said

if TYPE_CHECKING:
    import httpx2

ABSENT = frozenset({404, 405, 501})
"""HTTP statuses of an endpoint that has nothing at an address."""

_ANY = {"Accept": "*/*"}


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


def segment(name: str, safe: str = "") -> str:
    """Return a name as one URL path segment; a name of dots alone would lead to another path."""
    return quote(name, safe=safe).replace(".", "%2E") if set(name) <= {"."} else quote(name, safe=safe)
