"""The ``openai`` client, held to what the gate says: its environment variables have no say."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

    from pytest_ftgate.models.openai_api.endpoint import Endpoint

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
    """Return a client for one endpoint, in the running event loop. It tries nothing again.

    Give each of its calls ``extra_headers=client_headers(key)``.
    """
    from openai import AsyncOpenAI

    return AsyncOpenAI(
        api_key=endpoint.key or "none",  # what is sent is said by the headers of each request
        base_url=endpoint.base_url,
        timeout=timeout_s,
        max_retries=0,
        http_client=open_http(timeout_s),
    )


def open_http(timeout_s: float | None) -> httpx2.AsyncClient:
    """Return the HTTP client below, by aiohttp where that is installed: it halves the cost of a call."""
    from openai import DefaultAioHttpClient, DefaultAsyncHttpxClient

    with suppress(RuntimeError):  # not installed
        return DefaultAioHttpClient(timeout=timeout_s)
    return DefaultAsyncHttpxClient(timeout=timeout_s)


def headers(key: str | None) -> dict[str, str]:
    """Return what a request says of us; without a key it sends none."""
    said = {"Accept": "application/json"}
    return {**said, "Authorization": f"Bearer {key}"} if key else said


def client_headers(key: str | None) -> dict[str, Any]:
    """The same for a call through the client: said anew every time, it wins over all that the environment adds."""
    from openai import Omit

    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    ambient = [line.partition(":")[0].strip() for line in lines if ":" in line]
    return {**{name: Omit() for name in ("Authorization", *ambient, *_UNASKED)}, **headers(key)}
