"""An OpenAI-compatible server on the loopback interface that answers, records, and fails as a test tells it to.

with LoopbackServer(lambda body: body["messages"][-1]["content"].upper()) as server:
    ... server.url, server.bodies, server.headers, server.n_connections
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_POLL_S = 0.005


@dataclass(frozen=True)
class Reply:
    """One response: by default a chat completion, with something wrong where a test wants it.

    Args:
        text: the content of the answer; ``None`` is null.
        status: of HTTP.
        body: in place of a chat completion: data is sent as JSON, text and bytes as they are.
        headers: further ones; they may replace ``Content-Type``.
        message: further keys of the assistant's message, such as ``refusal``.
        finish_reason: as OpenAI spells it.
        usage: token counts; ``None`` leaves them out.
        cut_at: close the connection after so many bytes of the body.
        drop: close the connection without a word.
        hang: never answer; the connection stays open.
        delay_s: answer later.
        until: answer once this is set.
    """

    text: str | None = ""
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: Mapping[str, Any] = field(default_factory=dict)
    finish_reason: str | None = "stop"
    usage: Mapping[str, Any] | None = field(
        default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    )
    cut_at: int | None = None
    drop: bool = False
    hang: bool = False
    delay_s: float = 0.0
    until: threading.Event | None = None

    def payload(self, model: str) -> bytes:
        body = self._completion(model) if self.body is None else self.body
        if isinstance(body, bytes):
            return body
        return (body if isinstance(body, str) else json.dumps(body)).encode()

    def _completion(self, model: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.text, **self.message}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        usage = {} if self.usage is None else {"usage": self.usage}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [choice],
            **usage,
        }


def error(status: int, code: str | None = None, message: str = "no", **headers: str) -> Reply:
    """Return a refusal in OpenAI's form; underscores in the names of headers are hyphens."""
    body = {"error": {"message": message, "type": "some_error", "code": code}}
    return Reply(status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


@dataclass(frozen=True)
class Request:
    """What the server was sent; the names of ``headers`` are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


Answer = Callable[[dict[str, Any]], "str | Reply"]


class LoopbackServer:
    """Runs in a thread of its own from ``start`` to ``stop``, or as a context manager.

    Args:
        answer: the reply to a request's body, called in the server's thread; what it raises becomes HTTP 500.
        faults: replies to the first requests, one each; ``None`` stands for a request that is answered.

    Attributes:
        replies: what other requests than chat completions are answered with, by ``GET /v1/files``; a function is given
            the request. The query does not count.
    """

    def __init__(
        self, answer: Answer = lambda body: body["messages"][-1]["content"], faults: Iterable[Reply | None] = ()
    ) -> None:
        self.answer = answer
        self.faults = deque(faults)
        self.replies: dict[str, Reply | Callable[[Request], Reply]] = {}
        self.requests: list[Request] = []
        self.n_connections = 0
        self.in_flight = 0
        self.port = 0
        self._connections: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loopback server", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [request.body for request in self.requests if request.method == "POST"]

    @property
    def headers(self) -> list[Mapping[str, str]]:
        return [request.headers for request in self.requests]

    def start(self) -> LoopbackServer:
        self._thread.start()
        opening = self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(opening, self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def restart(self, pause_s: float) -> None:
        """Drop all connections and refuse new ones for a while; called in the server's own thread, by ``answer``."""
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        self._loop.call_later(pause_s, lambda: self._loop.create_task(self._reopen()))

    async def _reopen(self) -> None:
        self._server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)

    def __enter__(self) -> LoopbackServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _shut(self) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        while self._connections:
            await asyncio.sleep(0)

    def reply_to(self, request: Request) -> Reply:
        """Record a request, and decide on its reply."""
        self.requests.append(request)
        fault = self.faults.popleft() if self.faults else None
        if fault is not None:
            return fault
        route = self.replies.get(f"{request.method} {request.path.partition('?')[0]}")
        if route is not None:
            return route if isinstance(route, Reply) else route(request)
        if (request.method, request.path) != ("POST", "/v1/chat/completions"):
            return error(404, message=f"no route {request.method} {request.path}")
        try:
            reply = self.answer(request.body)
        except Exception as problem:
            return error(500, message=f"{type(problem).__name__}: {problem}")
        return reply if isinstance(reply, Reply) else Reply(reply)


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive and pipelining: requests are answered one after the other, in their order."""

    def __init__(self, server: LoopbackServer) -> None:
        self._server = server
        self._buffer = b""
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.n_connections += 1
        self._server._connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._connections.discard(self._transport)
        self._done()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._proceed()

    def _proceed(self) -> None:
        if self._busy or (request := self._next_request()) is None:
            return
        self._busy = True
        self._server.in_flight += 1
        reply = self._server.reply_to(request)
        if reply.drop:
            self._transport.abort()
        elif reply.delay_s:
            asyncio.get_running_loop().call_later(reply.delay_s, self._send, reply, request)
        elif not reply.hang:
            self._send(reply, request)

    def _next_request(self) -> Request | None:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        method, path, _ = first.split(" ")
        return Request(method, path, headers, json.loads(rest[:length]) if length else None)

    def _send(self, reply: Reply, request: Request) -> None:
        if self._transport.is_closing():
            return
        if reply.until is not None and not reply.until.is_set():
            asyncio.get_running_loop().call_later(_POLL_S, self._send, reply, request)
            return
        model = request.body.get("model", "") if isinstance(request.body, dict) else ""
        payload = reply.payload(model)
        headers = {"Content-Type": "application/json", **reply.headers, "Content-Length": str(len(payload))}
        lines = [f"HTTP/1.1 {reply.status} Status", *(f"{name}: {value}" for name, value in headers.items())]
        self._transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + payload[: reply.cut_at])
        if reply.cut_at is not None:
            self._transport.close()
        self._done()
        self._proceed()

    def _done(self) -> None:
        if self._busy:
            self._busy = False
            self._server.in_flight -= 1
