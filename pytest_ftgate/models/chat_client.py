"""The ``openai`` client, held to what the gate says."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from json import JSONDecodeError
from typing import Any

from pytest_ftgate.models import Completion
from pytest_ftgate.models.chat_answer import broken_body, read_answer
from pytest_ftgate.models.endpoint import Endpoint, failure, is_filtered

# Whose account it is, and what machine this is, is said to nobody (and each header costs time).
_UNASKED = (
    "OpenAI-Organization",
    "OpenAI-Project",
    "X-Stainless-Lang",
    "X-Stainless-Package-Version",
    "X-Stainless-OS",
    "X-Stainless-Arch",
    "X-Stainless-Runtime",
    "X-Stainless-Runtime-Version",
    "X-Stainless-Async",
    "x-stainless-retry-count",
    "x-stainless-read-timeout",
)


class ChatClient:
    """Chat completions of one endpoint, in one event loop. The client's environment variables have no say.

    Args:
        endpoint: whom to ask, and with which key.
        timeout_s: seconds to wait for a connection, or for the next piece of an answer.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float | None) -> None:
        from openai import AsyncOpenAI

        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._openai = AsyncOpenAI(
            api_key=endpoint.key or "none",  # what is sent is said by the headers of each request
            base_url=endpoint.base_url,
            timeout=timeout_s,
            max_retries=0,
            http_client=_fast_http_client(),
        )
        self._options: Any = {"headers": _headers(endpoint.key)}

    async def ask(self, body: Mapping[str, Any]) -> Completion:
        """Send one request, and read its answer. Raises :class:`ModelError`, which never quotes the key."""
        try:
            # Reading the answer into the client's own classes would cost more than all the rest of a call.
            data = await self._openai.post("/chat/completions", cast_to=object, body=body, options=self._options)
        except (JSONDecodeError, UnicodeDecodeError) as error:
            found = error.doc if isinstance(error, JSONDecodeError) else error.object.decode(errors="replace")
            raise broken_body(found, self._endpoint) from None
        except Exception as error:
            if is_filtered(error):
                return Completion("", finish="filtered")
            # Not chained: a traceback would show the client's own text, which may quote the key.
            raise failure(error, self._endpoint, timeout_s=self._timeout_s, now=time.time()) from None
        return read_answer(data, self._endpoint)

    async def aclose(self) -> None:
        await self._openai.close()


def _fast_http_client() -> Any | None:
    """aiohttp where it is installed: it halves the cost of a call. ``None``: the client's own choice."""
    from openai import DefaultAioHttpClient

    with suppress(RuntimeError):  # not installed
        return DefaultAioHttpClient()
    return None


def _headers(key: str | None) -> dict[str, Any]:
    """Said anew for each request, these win over all that the client takes from the environment."""
    from openai import Omit

    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    ambient = [line.partition(":")[0].strip() for line in lines if ":" in line]
    return {
        **{name: Omit() for name in (*ambient, *_UNASKED)},
        "Authorization": f"Bearer {key}" if key else Omit(),
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
