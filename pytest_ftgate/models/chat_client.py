"""Chat completions through the ``openai`` client."""

from __future__ import annotations

import time
from collections.abc import Mapping
from json import JSONDecodeError
from typing import Any

from pytest_ftgate.models import Completion
from pytest_ftgate.models.chat_answer import broken_body, read_answer
from pytest_ftgate.models.connection import headers, open_client
from pytest_ftgate.models.endpoint import Endpoint, failure, is_filtered


class ChatClient:
    """Chat completions of one endpoint, in one event loop. The client's environment variables have no say.

    Args:
        endpoint: whom to ask, and with which key.
        timeout_s: seconds to wait for a connection, or for the next piece of an answer.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float | None) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._openai = open_client(endpoint, timeout_s)
        self._options: Any = {"headers": {**headers(endpoint.key), "Content-Type": "application/json"}}

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
