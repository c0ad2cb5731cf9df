"""An OpenAI-compatible server on the loopback interface that answers, records, and fails as a test tells it to.

with LoopbackServer(lambda body: body["messages"][-1]["content"].upper()) as server:
    ... server.url, server.bodies, server.headers, server.n_connections
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
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
        body = self.body
        if body is None:
            message = {"role": "assistant", "content": self.text, **self.message}
            choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
            body = {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": model,
                "choices": [choice],
            }
            body |= {} if self.usage is None else {"usage": self.usage}
        if isinstance(body, bytes):
            return body
        return (body if isinstance(body, str) else json.dumps(body)).encode()


def error(status: int, code: str | None = None, message: str = "no", **headers: str) -> Reply:
    """Return a refusal in OpenAI's form; underscores in the names of headers are hyphens."""
    body = {"error": {"message": message, "type": "some_error", "code": code}}
    return Reply(
        status=status,
        body=body,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


@dataclass(frozen=True)
class Request:
    """What the server was sent; the names of ``headers`` are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class LoopbackServer:
    """Runs in a thread of its own, as a context manager.

    Args:
        answer: the reply to a request's body, called in the server's thread; what it raises becomes HTTP 500.

    Attributes:
        faults: replies to the first requests, one each.
        replies: what other requests than chat completions are answered with, by ``GET /v1/files``; a function is given
            the request. The query does not count.
    """

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], str | Reply] = lambda body: body["messages"][-1][
            "content"
        ],
    ) -> None:
        self.answer = answer
        self.faults: deque[Reply] = deque()
        self.replies: dict[str, Reply | Callable[[Request], Reply]] = {}
        self.requests: list[Request] = []
        self.n_connections = 0
        self.in_flight = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="loopback server", daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [request.body for request in self.requests if request.method == "POST"]

    @property
    def headers(self) -> list[Mapping[str, str]]:
        return [request.headers for request in self.requests]

    def __enter__(self) -> "LoopbackServer":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def restart(self, pause_s: float) -> None:
        """Drop all connections and refuse new ones for a while; called in the server's own thread, by ``answer``."""
        self._drop()
        self._loop.call_later(pause_s, lambda: self._loop.create_task(self._open()))

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _drop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _shut(self) -> None:
        self._drop()
        while self._writers:
            await asyncio.sleep(0)

    def _reply_to(self, request: Request) -> Reply:
        self.requests.append(request)
        if self.faults:
            return self.faults.popleft()
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """HTTP/1.1 with keep-alive: requests are answered one after the other, in their order."""
        self.n_connections += 1
        self._writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                first, *lines = (
                    (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
                )
                pairs = (line.partition(":") for line in lines)
                headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = first.split(" ")
                request = Request(method, path, headers, json.loads(body) if body else None)
                self.in_flight += 1
                try:
                    await self._send(self._reply_to(request), request, reader, writer)
                finally:
                    self.in_flight -= 1
        writer.close()
        self._writers.discard(writer)

    async def _send(
        self,
        reply: Reply,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if reply.drop:
            writer.transport.abort()
        if reply.hang:
            await reader.read()  # until the other end closes the connection
        await asyncio.sleep(reply.delay_s)
        while reply.until is not None and not (
            reply.until.is_set() or reader.at_eof() or writer.is_closing()
        ):
            await asyncio.sleep(_POLL_S)
        if writer.is_closing() or reader.at_eof():
            return
        payload = reply.payload(
            request.body.get("model", "") if isinstance(request.body, dict) else ""
        )
        headers = {
            "Content-Type": "application/json",
            **reply.headers,
            "Content-Length": str(len(payload)),
        }
        lines = [
            f"HTTP/1.1 {reply.status} Status",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + payload[: reply.cut_at])
        if reply.cut_at is not None:
            writer.close()
