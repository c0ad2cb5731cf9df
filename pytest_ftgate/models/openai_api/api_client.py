"""Call an endpoint's APIs besides chat (files, batches, jobs, models) through the ``openai`` client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.chat_answer import broken_body
from pytest_ftgate.models.openai_api.connection import client_headers, open_client
from pytest_ftgate.models.openai_api.endpoint import failure, refusal_in, said

if TYPE_CHECKING:
    from pytest_ftgate.models.openai_api.endpoint import Endpoint

_ABSENT = frozenset({404, 405, 501})


class AbsentError(ModelError):
    """Report that the endpoint has nothing at this address: no such API, or no object of this name."""


class ApiClient:
    """Make calls in one event loop, without retries.

    Every method raises :class:`ModelError`, which never quotes the key. ``timeout_s`` limits the wait for a
    connection, or for the next part of an answer, in seconds.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        self._openai: Any = open_client(endpoint, timeout_s)
        self._headers = client_headers(endpoint.key)

    async def get(self, path: str, *, cast_to: Any = object, accept: str | None = None, **params: Any) -> Any:
        """Return what the endpoint has at a path."""
        headers = {"Accept": accept} if accept else {}
        return await self._call(self._openai.get, path, headers, params, cast_to=cast_to)

    async def post(self, path: str, content_type: str, **sent: Any) -> Any:
        """Send data to a path, and return the answer."""
        return await self._call(self._openai.post, path, {"Content-Type": content_type}, {}, cast_to=object, **sent)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._openai.close()

    async def _call(
        self,
        call: Callable[..., Awaitable[Any]],
        path: str,
        headers: Mapping[str, Any],
        params: Mapping[str, Any],
        **sent: Any,
    ) -> Any:
        options = {"headers": {**self._headers, **headers}, "params": params}
        try:
            return await call(path, options=options, **sent)
        except (JSONDecodeError, UnicodeDecodeError) as error:
            found = error.doc if isinstance(error, JSONDecodeError) else error.object.decode(errors="replace")
            raise broken_body(found, self.endpoint) from None
        except Exception as error:
            # Not chained: a traceback would show the client's own text, which may quote the key.
            raise self._failed(error, path) from None

    def _failed(self, error: Exception, path: str) -> ModelError:
        from openai import APIStatusError

        if isinstance(error, APIStatusError) and error.status_code in _ABSENT:
            evidence = said(refusal_in(error), self.endpoint)
            what = f"the endpoint has nothing at {path}"
            return AbsentError(what, where=self.endpoint.where, fatal=True, evidence=evidence)
        return failure(error, self.endpoint, timeout_s=self._timeout_s)


def segment(name: str, safe: str = "") -> str:
    """Return a name as one URL path segment; a name of dots alone would lead to another path."""
    return quote(name, safe=safe).replace(".", "%2E") if set(name) <= {"."} else quote(name, safe=safe)
