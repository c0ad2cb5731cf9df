"""A fast OpenAI-compatible server, in a process of its own, so that it is not what a benchmark measures.

    python benchmarks/server.py --delay-ms 50
    python benchmarks/server.py --delay-ms 50 --bad-day 1     # the seed of what goes wrong

prints its port. The answer is the word after the last "#" of the request; the model ``base`` gets every fifth wrong.
On a bad day requests go wrong as ``FAULTS`` says, and once the server restarts; ``GET /stats`` tells what was met.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
from collections import Counter

FAULTS = {
    "429": 0.20,
    "429 with a wait": 0.10,
    "dropped": 0.05,
    "500": 0.03,
    "cut off": 0.02,
    "HTML": 0.01,
    "slow": 0.05,
}
"""How often each goes wrong, of all requests; the rest is answered."""

RESTART_AT, RESTART_S, SLOW_S = 700, 1.0, 1.0

_WORD = re.compile(rb"#(\w+)-(\d+)")
_BASE = re.compile(rb'"model": ?"base"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def _http(status: str, body: bytes, kind: str = "application/json", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def _response(text: bytes) -> bytes:
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text.decode()}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22},
    }
    return _http("200 OK", json.dumps(completion).encode())


_BUSY = json.dumps({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}).encode()
_SPOILED = {
    "429": _http("429 Too Many Requests", _BUSY),
    "429 with a wait": _http("429 Too Many Requests", _BUSY, more="Retry-After-Ms: 100\r\n"),
    "500": _http("500 Internal Server Error", b"oops", "text/plain"),
    "HTML": _http("200 OK", b"<html>back soon</html>", "text/html"),
}


class Server:
    """What all connections share."""

    def __init__(self, delay_s: float, seed: int | None) -> None:
        self.delay_s = delay_s
        self.dice = random.Random(seed) if seed is not None else None
        self.connections: set[asyncio.Transport] = set()
        self.met: Counter[str] = Counter()
        self.answered: Counter[bytes] = Counter()
        self.port = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def restart(self) -> None:
        self._server.close()
        for transport in list(self.connections):
            transport.abort()
        loop = asyncio.get_running_loop()
        loop.call_later(RESTART_S, lambda: loop.create_task(self.open()))

    def stats(self) -> bytes:
        twice = sum(count - 1 for count in self.answered.values())
        return _http("200 OK", json.dumps({**self.met, "answered": len(self.answered), "twice": twice}).encode())

    def fault(self) -> str:
        assert self.dice is not None
        if sum(self.met.values()) == RESTART_AT:
            return "restart"
        thrown = self.dice.random()
        for fault, share in FAULTS.items():
            thrown -= share
            if thrown < 0:
                return fault
        return "none"


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive; each request is answered ``delay_s`` after it has come in."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(transport)
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, _: Exception | None) -> None:
        self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._buffer, 0, end + 2)
            end += 4 + (int(found.group(1)) if found else 0)
            if len(self._buffer) < end:
                return
            request, self._buffer = self._buffer[:end], self._buffer[end:]
            if request.startswith(b"GET /stats"):
                self._transport.write(self._server.stats())
            elif self._server.dice is None:
                self._loop.call_later(self._server.delay_s, self._transport.write, _response(_answer(request)))
            else:
                self._on_a_bad_day(request)

    def _on_a_bad_day(self, request: bytes) -> None:
        server = self._server
        fault = server.fault()
        server.met[fault] += 1
        if fault == "restart":
            server.restart()
        elif fault == "dropped":
            self._transport.abort()
        elif fault == "cut off":
            self._transport.write(_response(b"refund")[:150])
            self._transport.close()
        elif fault in _SPOILED:
            self._transport.write(_SPOILED[fault])
        else:
            delay_s = server.delay_s + (SLOW_S if fault == "slow" else 0.0)
            self._loop.call_later(delay_s, self._send, request)

    def _send(self, request: bytes) -> None:
        if not self._transport.is_closing():
            self._server.answered[request.partition(b"\r\n\r\n")[2]] += 1
            self._transport.write(_response(_answer(request)))


def _answer(request: bytes) -> bytes:
    *_, (label, number) = _WORD.findall(request) or [(b"none", b"0")]
    return b"wrong" if int(number) % 5 == 0 and _BASE.search(request) else label


async def serve(delay_s: float, seed: int | None) -> None:
    server = Server(delay_s, seed)
    await server.open()
    print(server.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--bad-day", type=int, metavar="SEED")
    args = parser.parse_args()
    asyncio.run(serve(args.delay_ms / 1000, args.bad_day))
