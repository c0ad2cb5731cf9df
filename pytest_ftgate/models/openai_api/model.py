"""Ask models behind an OpenAI-compatible endpoint through the ``openai`` client."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from os import environ
from typing import TYPE_CHECKING, Any

from pytest_ftgate import errors
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.config.model_keys import PUBLIC_ENDPOINT
from pytest_ftgate.data import Example, canonical_json, messages
from pytest_ftgate.models.openai_api import endpoint as api
from pytest_ftgate.models.price import table_price, written_price
from pytest_ftgate.models.prompt import Prompt, build_prompt
from pytest_ftgate.models.protocol import MOST_BYTES, BuiltModel, Completion, Surroundings, parts_of

if TYPE_CHECKING:
    import httpx2

CONCURRENCY = 16
_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")
_OURS = ("model", "messages", "stream", "n")
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(eq=False, kw_only=True)
class OpenAIModel(BuiltModel):
    """Ask a chat model at an endpoint.

    Answers are not streamed, and one request is one attempt: the runner retries.
    """

    home: api.Endpoint  # without the key
    prompt: Prompt
    params: Mapping[str, Any] = field()
    # of the fixture that gives the model, where its name does not identify its weights
    parameters: str = ""
    requests_per_minute: float | None = None
    persistent: bool = True
    until_judged: bool = False
    endpoint: bool = True
    _clients: "dict[asyncio.AbstractEventLoop, ChatClient]" = field(
        default_factory=dict, init=False, repr=False
    )

    def key(self, example: Example, repeat: int = 0) -> str:
        """Return the SHA-256 (hex) of the endpoint, the model, its state, the messages and the parameters."""
        facts: dict[str, Any] = {
            "provider": "openai",
            "endpoint": self.home.base_url,
            "model": self.home.model,
        }
        facts |= {"revision": self.revision, "params": self.params, **self.sent(example)}
        facts |= {"fixture": self.parameters} if self.parameters else {}
        facts |= {"repeat": repeat} if repeat else {}
        return hashlib.sha256(canonical_json(facts).encode()).hexdigest()

    def ready(self) -> None:
        """Check that calls can be made, and import the client now, so that the first call is not timed with it."""
        self.address().check_key()
        import_module("openai")

    async def complete(self, example: Example, repeat: int = 0) -> Completion:  # noqa: ARG002
        """Ask the endpoint once.

        Connections cannot be shared between event loops, so each has a client of its own.
        """
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self.ready()
            self._clients[loop] = ChatClient(self.address(), self.timeout_s)
        return await self._clients[loop].ask(
            {"model": self.home.model, **self.sent(example), **self.params}
        )

    def sent(self, example: Example) -> dict[str, Any]:
        """Return the messages for an example, and what its row says of tools, unless that is another kind of field."""
        sent: dict[str, Any] = {"messages": self.prompt.messages(example)}
        if isinstance(example.input, str) and not messages.declared_tools(
            example.fields.get("tools")
        ):
            return sent
        return sent | {
            key: example.fields[key] for key in _TOOLS if example.fields.get(key) is not None
        }

    def address(self) -> api.Endpoint:
        """Return the endpoint, with the key in the environment now: empty if it is not set."""
        name = self.home.key_env
        return replace(self.home, key=None if name is None else environ.get(name, "").strip())

    async def aclose(self) -> None:
        """Close the connections that were opened in this event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


class ChatClient:
    """Request chat completions in one event loop, without retries.

    Requests are built here, since building the ``openai`` package's own objects would take more
    than half of the CPU time of a call, and would send what nobody asked for: account, machine,
    headers of the environment. ``timeout_s`` limits the wait for a connection, or for the next part
    of an answer, in seconds.
    """

    def __init__(self, endpoint: api.Endpoint, timeout_s: float | None) -> None:
        self._endpoint, self._timeout_s = endpoint, timeout_s
        self._open = _opener(timeout_s)
        self._clients = {self._open()}
        self._idle = [*self._clients]
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        first = self._idle[0].build_request(
            "POST", f"{endpoint.base_url}/chat/completions", headers=headers
        )
        del first.headers["Content-Length"]  # of an empty body
        # The URL is parsed and headers are merged once, not with every call.
        self._request = partial(
            type(first), "POST", first.url, headers=first.headers, extensions=first.extensions
        )

    async def ask(self, body: Mapping[str, Any]) -> Completion:
        """Send one request, and read its answer.

        Raises :class:`ModelError`, which never quotes the key.
        """
        request = self._request(content=_encode(body).encode())
        http = self._idle.pop() if self._idle else self._open()
        self._clients.add(http)
        try:
            # A redirect would send the prompts to a host that the gate does not name.
            response = await http.send(request, stream=True, follow_redirects=False)
            content = await self._read(response)
        except errors.ModelError:
            raise
        except Exception as error:
            if (
                isinstance(api.root_cause(error), asyncio.CancelledError)
                and errors.is_cancelled_from_outside()
            ):
                raise asyncio.CancelledError from None  # aiohttp may report it as a lost connection
            # not chained, because its text may quote the key
            raise api.failure(error, self._endpoint, timeout_s=self._timeout_s) from None
        finally:
            self._idle.append(http)
        if not response.is_success:
            text = content.decode(errors="replace")
            return api.read_refusal(response.status_code, text, self._endpoint, response.headers)
        return api.read_body(content, self._endpoint)

    async def _read(self, response: "httpx2.Response") -> bytes:
        """Return the body of a response.

        Raise :class:`ModelError` if it is too large to be an answer.
        """
        parts, size = list[bytes](), 0
        try:
            async for part in response.aiter_bytes():
                size += len(part)
                if size > MOST_BYTES:
                    what = f"the endpoint's answer is broken: it is larger than {MOST_BYTES // 1_000_000} MB"
                    raise self._endpoint.error(what, kind="unreadable", cure="limit max_tokens")
                parts.append(part)
        finally:
            await response.aclose()
        return b"".join(parts)

    async def aclose(self) -> None:
        for http in self._clients:
            await http.aclose()


def _opener(timeout_s: float | None) -> "Callable[[], httpx2.AsyncClient]":
    """Return what opens an HTTP client; with aiohttp, if installed, a call costs half the CPU time, and one serves all.

    Others serve one call at a time: with each call they look at all of their connections.
    """
    from openai import DefaultAioHttpClient, DefaultAsyncHttpxClient

    with suppress(RuntimeError):  # not installed
        shared = DefaultAioHttpClient(timeout=timeout_s)
        return lambda: shared
    bases = DefaultAsyncHttpxClient.__mro__
    (library,) = {
        one.__module__.partition(".")[0] for one in bases if one.__name__ == "AsyncClient"
    }
    return partial(
        DefaultAsyncHttpxClient,
        timeout=timeout_s,
        verify=import_module(library).create_ssl_context(),
    )


def build_openai(spec: ModelSpec, surroundings: Surroundings) -> OpenAIModel:
    """Return the model of a gate's ``openai`` keys. Raises :class:`ConfigError`."""
    options, params, price = (
        spec.options,
        spec.options.get("params") or {},
        spec.options.get("price"),
    )
    for name in _OURS:
        if name in params and (name, params[name]) != ("n", 1):
            cure = "remove it: the model, its messages and how its answers are read are set by the gate"
            raise errors.ConfigError(
                f"params must not hold {name!r}",
                where=spec.source.where(f"params.{name}"),
                cure=cure,
            )
    errors.guarded(f"writing params of {spec.name}", canonical_json, params)
    model, base_url, served_as = (
        options["model"],
        options.get("base_url"),
        options.get("served_as") or (),
    )
    key_env = options.get("api_key_env") or ("OPENAI_API_KEY" if base_url is None else None)
    names = (served_as,) if isinstance(served_as, str) else tuple(served_as)
    base_url = (base_url or PUBLIC_ENDPOINT).rstrip("/")
    named = base_url == PUBLIC_ENDPOINT or options.get("revision") is not None
    return OpenAIModel(
        **parts_of(spec),
        home=api.Endpoint(base_url, model, key_env, served_as=names, source=spec.source.at),
        prompt=build_prompt(spec, surroundings.training),
        params=params,
        concurrency=options.get("concurrency") or CONCURRENCY,
        price=table_price(model, base_url, params)
        if price is None
        else written_price(price, str(spec.source)),
        parameters="" if named else spec.source.state,
        until_judged=not named,
        requests_per_minute=options.get("requests_per_minute"),
    )
