"""The ``openai`` client, held to what the gate says: its environment variables have no say."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from pytest_ftgate.models.endpoint import Endpoint

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


def open_client(endpoint: Endpoint, timeout_s: float | None) -> AsyncOpenAI:
    """A client for one endpoint, in the running event loop. It tries nothing again; each call needs :func:`headers`.

    Args:
        endpoint: whom to ask.
        timeout_s: seconds to wait for a connection, or for the next piece of an answer.
    """
    from openai import AsyncOpenAI

    return AsyncOpenAI(
        api_key=endpoint.key or "none",  # what is sent is said by the headers of each request
        base_url=endpoint.base_url,
        timeout=timeout_s,
        max_retries=0,
        http_client=_fast_http_client(),
    )


def _fast_http_client() -> Any | None:
    """aiohttp where it is installed: it halves the cost of a call. ``None``: the client's own choice."""
    from openai import DefaultAioHttpClient

    with suppress(RuntimeError):  # not installed
        return DefaultAioHttpClient()
    return None


def headers(key: str | None) -> dict[str, Any]:
    """What each request says of us. Said anew every time, it wins over all that the client takes from the environment.

    Args:
        key: the endpoint's; ``None`` sends none.
    """
    from openai import Omit

    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    ambient = [line.partition(":")[0].strip() for line in lines if ":" in line]
    return {
        **{name: Omit() for name in (*ambient, *_UNASKED)},
        "Authorization": f"Bearer {key}" if key else Omit(),
        "Accept": "application/json",
    }
