"""Open the ``openai`` client without the influence of its environment variables."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

    from pytest_ftgate.models.openai_api.endpoint import Endpoint

# Account and machine are not disclosed, and each header costs time.
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
    """Return a client for one endpoint, in the running event loop. It does not retry.

    Pass ``extra_headers=client_headers(key)`` to each of its calls.
    """
    from openai import AsyncOpenAI

    return AsyncOpenAI(
        api_key=endpoint.key or "none",  # the headers of each request decide what is sent
        base_url=endpoint.base_url,
        timeout=timeout_s,
        max_retries=0,
        http_client=open_http(timeout_s),
    )


def open_http(timeout_s: float | None) -> httpx2.AsyncClient:
    """Return the HTTP client; with aiohttp, if installed, a call costs half the CPU time."""
    from openai import DefaultAioHttpClient, DefaultAsyncHttpxClient

    with suppress(RuntimeError):  # not installed
        return DefaultAioHttpClient(timeout=timeout_s)
    return DefaultAsyncHttpxClient(timeout=timeout_s)


def headers(key: str | None) -> dict[str, str]:
    """Return the headers of a request; without a key there is no ``Authorization``."""
    said = {"Accept": "application/json"}
    return {**said, "Authorization": f"Bearer {key}"} if key else said


def client_headers(key: str | None) -> dict[str, Any]:
    """Return the headers of a call through the client: passed on each call, they override those of the environment."""
    from openai import Omit

    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    ambient = [line.partition(":")[0].strip() for line in lines if ":" in line]
    return {**{name: Omit() for name in ("Authorization", *ambient, *_UNASKED)}, **headers(key)}
