"""Ask models behind an OpenAI-compatible endpoint through the ``openai`` client."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_ftgate import clock
from pytest_ftgate.config import ModelSpec, Source
from pytest_ftgate.data import Example, canonical_json
from pytest_ftgate.data.tool_calls import declared_tools
from pytest_ftgate.errors import ConfigError, ModelError, is_cancelled_from_outside
from pytest_ftgate.models.openai_api.answers import broken_body, read_answer
from pytest_ftgate.models.openai_api.endpoint import (
    PUBLIC_ENDPOINT,
    Endpoint,
    Refusal,
    check_key,
    endpoint_of,
    failure,
    pause_s,
    refused,
    root_cause,
    secret,
)
from pytest_ftgate.models.price import table_price, written_price
from pytest_ftgate.models.prompt import Prompt, build_prompt
from pytest_ftgate.models.protocol import MOST_BYTES, BuiltModel, Completion, Price, Surroundings, parts_of

if TYPE_CHECKING:
    import httpx2

CONCURRENCY = 16
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(eq=False, kw_only=True)
class OpenAIModel(BuiltModel):
    """Ask a chat model at an endpoint. Answers are not streamed, and one request is one attempt: the runner retries."""

    home: Endpoint
    prompt: Prompt
    params: Mapping[str, Any] = field()
    parameters: str = ""  # of the fixture that gives the model, where its name does not identify its weights
    requests_per_minute: float | None = None
    persistent: bool = True
    until_judged: bool = False
    endpoint: bool = True
    _clients: dict[asyncio.AbstractEventLoop, ChatClient] = field(default_factory=dict, init=False, repr=False)

    def key(self, example: Example, repeat: int = 0) -> str:
        """Return the SHA-256 (hex) of the endpoint, the model, its state, the messages and the parameters."""
        facts: dict[str, Any] = {
            "provider": "openai",
            "endpoint": self.home.base_url,
            "model": self.home.model,
            "revision": self.revision,
            "params": self.params,
            **self.sent(example),
        }
        if self.parameters:
            facts["fixture"] = self.parameters
        if repeat:
            facts["repeat"] = repeat
        return hashlib.sha256(canonical_json(facts).encode()).hexdigest()

    def ready(self) -> None:
        """Check that calls can be made, and import the client now, so that the first call is not timed with it."""
        check_key(self.address())
        import_module("openai")

    async def complete(self, example: Example, repeat: int = 0) -> Completion:  # noqa: ARG002
        """Ask the endpoint once."""
        return await self._client().ask(self.body(example))

    def body(self, example: Example) -> dict[str, Any]:
        return {"model": self.home.model, **self.sent(example), **self.params}

    def sent(self, example: Example) -> dict[str, Any]:
        """Return the messages for an example, and what its row says of tools."""
        return {"messages": self.prompt.messages(example), **_tools(example)}

    def address(self) -> Endpoint:
        """Return the endpoint, with the key in the environment now."""
        return replace(self.home, key=secret(self.home.key_env))

    def characters(self, example: Example) -> int:
        """Return the length of all messages and tools for an example, for estimates of its tokens."""
        parts = (message.get(key) for message in self.prompt.messages(example) for key in ("content", "tool_calls"))
        return sum(len(str(part)) for part in (*parts, _tools(example)) if part)

    def pause_s(self) -> float:
        """Return for how many seconds the endpoint accepts no further request, by the headers of its answers."""
        return max((client.pause_s() for client in self._clients.values()), default=0.0)

    async def aclose(self) -> None:
        """Close the connections that were opened in this event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _client(self) -> ChatClient:
        """Return the client of the running loop: connections cannot be shared between loops."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self.ready()
            self._clients[loop] = ChatClient(self.address(), self.timeout_s)
        return self._clients[loop]


def _tools(example: Example) -> dict[str, Any]:
    """Return what a row says of tools, as the OpenAI API takes it; a plain row may have another field of that name."""
    if isinstance(example.input, str) and not declared_tools(example.fields.get("tools")):
        return {}
    return {key: example.fields[key] for key in _TOOLS if example.fields.get(key) is not None}


class ChatClient:
    """Request chat completions in one event loop, without retries.

    Requests are built here, since building the ``openai`` package's own objects would take more than half of the CPU
    time of a call, and would send what nobody asked for: account, machine, headers of the environment. ``timeout_s``
    limits the wait for a connection, or for the next part of an answer, in seconds.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float | None) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._open = _opener(timeout_s)
        self._clients = {self._open()}
        self._idle = [*self._clients]
        headers = {**endpoint.headers, "Content-Type": "application/json"}
        first = self._idle[0].build_request("POST", f"{endpoint.base_url}/chat/completions", headers=headers)
        del first.headers["Content-Length"]  # of an empty body
        # The URL is parsed and headers are merged once, not with every call.
        self._request = partial(type(first), "POST", first.url, headers=first.headers, extensions=first.extensions)
        self._resume_at = 0.0

    async def ask(self, body: Mapping[str, Any]) -> Completion:
        """Send one request, and read its answer. Raises :class:`ModelError`, which never quotes the key."""
        sent = _encode(body).encode()
        http = self._idle.pop() if self._idle else self._open()
        self._clients.add(http)
        try:
            response = await http.send(self._request(content=sent), stream=True)
            content = await self._read(response)
        except ModelError:
            raise
        except Exception as error:
            raise self._failed(error) from None
        finally:
            self._idle.append(http)
        wait_s = pause_s(response.headers)
        if wait_s:
            self._resume_at = max(self._resume_at, clock.monotonic() + wait_s)
        if response.is_error:
            refusal = Refusal.of(response, content.decode(errors="replace"))
            if refusal.filtered:
                return Completion("", finish="filtered")
            raise refused(refusal, self._endpoint)
        try:
            found = json.loads(content)
        except ValueError:
            raise broken_body(content.decode(errors="replace"), self._endpoint) from None
        return read_answer(found, self._endpoint)

    async def _read(self, response: httpx2.Response) -> bytes:
        """Return the body of a response. Raise :class:`ModelError` if it is too large to be an answer."""
        parts, size = list[bytes](), 0
        try:
            async for part in response.aiter_bytes():
                size += len(part)
                if size > MOST_BYTES:
                    raise self._endpoint.too_large(MOST_BYTES)
                parts.append(part)
        finally:
            await response.aclose()
        return b"".join(parts)

    def pause_s(self) -> float:
        """Return for how many seconds the endpoint accepts no further request, according to its last answers."""
        return max(0.0, self._resume_at - clock.monotonic()) if self._resume_at else 0.0

    async def aclose(self) -> None:
        for http in self._clients:
            await http.aclose()

    def _failed(self, error: Exception) -> BaseException:
        """Return the error to raise for one of the HTTP client; not chained, because its text may quote the key."""
        if isinstance(root_cause(error), asyncio.CancelledError) and is_cancelled_from_outside():
            return asyncio.CancelledError()  # aiohttp may report it as a lost connection
        return failure(error, self._endpoint, timeout_s=self._timeout_s)


def _opener(timeout_s: float | None) -> Callable[[], httpx2.AsyncClient]:
    """Return what opens an HTTP client; with aiohttp, if installed, a call costs half the CPU time, and one serves all.

    Others serve one call at a time: with each call they look at all of their connections.
    """
    from openai import DefaultAioHttpClient, DefaultAsyncHttpxClient

    with suppress(RuntimeError):  # not installed
        shared = DefaultAioHttpClient(timeout=timeout_s)
        return lambda: shared
    (library,) = {
        one.__module__.partition(".")[0] for one in DefaultAsyncHttpxClient.__mro__ if one.__name__ == "AsyncClient"
    }
    return partial(DefaultAsyncHttpxClient, timeout=timeout_s, verify=import_module(library).create_ssl_context())


_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")

_OURS = {
    "model": "the model's own key names it",
    "messages": "they are made from the examples",
    "stream": "answers are read whole",
    "n": "one answer per call is read; the gate's key repeats asks for several",
}


def build_openai(spec: ModelSpec, surroundings: Surroundings) -> OpenAIModel:
    """Return the model of a gate's ``openai`` keys. Raises :class:`ConfigError`."""
    options = spec.options
    endpoint = endpoint_of(spec, options["model"])
    named = endpoint.base_url == PUBLIC_ENDPOINT or options.get("revision") is not None
    return OpenAIModel(
        **parts_of(spec),
        home=endpoint,
        prompt=build_prompt(spec, surroundings.training, surroundings.asked),
        params=_checked_params(options.get("params") or {}, spec.source),
        concurrency=options.get("concurrency") or CONCURRENCY,
        price=price_at_endpoint(spec),
        parameters="" if named else spec.source.state,
        until_judged=not named,
        requests_per_minute=options.get("requests_per_minute"),
    )


def price_at_endpoint(spec: ModelSpec) -> Price:
    """Return the price of the model of ``openai`` keys: the gate's, or else that of ``genai-prices``."""
    options = spec.options
    if options.get("price") is not None:
        return written_price(options["price"], str(spec.source))
    base_url, params = options.get("base_url") or PUBLIC_ENDPOINT, options.get("params") or {}
    return table_price(options["model"], base_url, params)


def _checked_params(params: Mapping[str, Any], source: Source) -> Mapping[str, Any]:
    for name, reason in _OURS.items():
        if name in params and (name, params[name]) != ("n", 1):
            where = source.where(f"params.{name}")
            raise ConfigError(f"params must not hold {name!r}", where=where, cure=f"remove it: {reason}")
    try:
        canonical_json(params)
    except (TypeError, ValueError) as error:
        raise ConfigError("params must be JSON values", where=source.where("params"), evidence=str(error)) from None
    return params
