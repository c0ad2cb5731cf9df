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
from pytest_ftgate.data.strict_json import json_or, object_of
from pytest_ftgate.guarded import guarded, is_cancelled_from_outside
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
        """Return the SHA-256 (hex) of endpoint, model, its state, messages and parameters."""
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
        # The first answer has the key it has without repeats.
        if repeat:
            facts["repeat"] = repeat
        return hashlib.sha256(canonical_json(facts).encode()).hexdigest()

    def ready(self) -> None:
        """Check that calls can be made, and import the client, which no call's latency includes."""
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
        body = {"model": self.home.model, **self.sent(example), **self.params}
        return await self._clients[loop].ask(body)

    def sent(self, example: Example) -> dict[str, Any]:
        """Return the messages for an example, and what its row says of tools."""
        sent: dict[str, Any] = {"messages": self.prompt.messages(example)}
        declares_tools = messages.declared_tools(example.fields.get("tools"))
        if isinstance(example.input, str) and not declares_tools:
            return sent  # where the row has the name, it is another kind of field
        for key in _TOOLS:
            if example.fields.get(key) is not None:
                sent[key] = example.fields[key]
        return sent

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
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._open = _opener(timeout_s)
        self._clients = {self._open()}
        self._idle = [*self._clients]

        # The URL is parsed and headers are merged once, not with every call.
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if endpoint.key:
            headers["Authorization"] = f"Bearer {endpoint.key}"
        url = f"{endpoint.base_url}/chat/completions"
        request = self._idle[0].build_request("POST", url, headers=headers)
        del request.headers["Content-Length"]  # of an empty body
        self._request = partial(
            type(request),
            "POST",
            request.url,
            headers=request.headers,
            extensions=request.extensions,
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
            is_cancelled = isinstance(api.root_cause(error), asyncio.CancelledError)
            if is_cancelled and is_cancelled_from_outside():
                raise asyncio.CancelledError from None  # aiohttp may report it as a lost connection
            # Not chained, because its text may quote the key.
            raise api.failure(error, self._endpoint, timeout_s=self._timeout_s) from None
        finally:
            self._idle.append(http)

        if not response.is_success:
            text = content.decode(errors="replace")
            data = object_of(json_or(text))
            refusal = data.get("error", data) or text
            return api.read_refusal(response.status_code, refusal, self._endpoint, response.headers)
        return api.read_body(content, self._endpoint)

    async def _read(self, response: "httpx2.Response") -> bytes:
        """Return the body of a response.

        Raise :class:`ModelError` if it is too large to be an answer.
        """
        # A broken server may send without end.
        content = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MOST_BYTES:
                    limit = MOST_BYTES // 1_000_000
                    message = f"the endpoint's answer is broken: it is larger than {limit} MB"
                    raise self._endpoint.error(message, kind="unreadable", cure="limit max_tokens")
        finally:
            await response.aclose()
        return bytes(content)

    async def aclose(self) -> None:
        for http in self._clients:
            await http.aclose()


def _opener(timeout_s: float | None) -> "Callable[[], httpx2.AsyncClient]":
    """Return what opens an HTTP client.

    With aiohttp, if it is installed, a call costs half the CPU time, and one client serves all.
    Other clients serve one call at a time: with each call they look at all of their connections.
    """
    from openai import DefaultAioHttpClient, DefaultAsyncHttpxClient

    with suppress(RuntimeError):  # not installed
        shared = DefaultAioHttpClient(timeout=timeout_s)
        return lambda: shared
    bases = [base for base in DefaultAsyncHttpxClient.__mro__ if base.__name__ == "AsyncClient"]
    (library,) = {base.__module__.partition(".")[0] for base in bases}
    context = import_module(library).create_ssl_context()
    return partial(DefaultAsyncHttpxClient, timeout=timeout_s, verify=context)


def build_openai(spec: ModelSpec, surroundings: Surroundings) -> OpenAIModel:
    """Return the model of a gate's ``openai`` keys. Raises :class:`ConfigError`."""
    options = spec.options
    params = options.get("params") or {}
    _check_params(spec, params)

    model = options["model"]
    base_url = (options.get("base_url") or PUBLIC_ENDPOINT).rstrip("/")
    key_env = options.get("api_key_env")
    if not key_env and options.get("base_url") is None:
        key_env = "OPENAI_API_KEY"
    served_as = options.get("served_as") or ()
    names = (served_as,) if isinstance(served_as, str) else tuple(served_as)
    if options.get("price") is None:
        price = table_price(model, base_url, params)
    else:
        price = written_price(options["price"], str(spec.source))

    # A name at OpenAI is that of one model for ever; elsewhere only a revision tells weights apart.
    is_named = base_url == PUBLIC_ENDPOINT or options.get("revision") is not None
    return OpenAIModel(
        **parts_of(spec),
        home=api.Endpoint(base_url, model, key_env, served_as=names, source=spec.source.at),
        prompt=build_prompt(spec, surroundings.training),
        params=params,
        concurrency=options.get("concurrency") or CONCURRENCY,
        price=price,
        parameters="" if is_named else spec.source.state,
        until_judged=not is_named,
        requests_per_minute=options.get("requests_per_minute"),
    )


def _check_params(spec: ModelSpec, params: Mapping[str, Any]) -> None:
    """Raise :class:`ConfigError` for parameters that the gate sets itself, or that are not JSON."""
    for name in _OURS:
        if name in params and (name, params[name]) != ("n", 1):
            cure = (
                "remove it: the model, its messages and how its answers are read are set by the "
                "gate"
            )
            where = spec.source.where(f"params.{name}")
            raise errors.ConfigError(f"params must not hold {name!r}", where=where, cure=cure)
    guarded(f"writing params of {spec.name}", canonical_json, params)
