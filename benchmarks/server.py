"""A fast OpenAI-compatible server, in a process of its own, so that no benchmark measures it.

    python benchmarks/server.py 50     # milliseconds until an answer

prints its port. The answer is the word after the last "#" of the request; the model ``base`` gets
every fifth wrong.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

_WORD = re.compile(rb"#(\w+)-(\d+)")
_BASE = re.compile(rb'"model": ?"base"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def _response(text: bytes) -> bytes:
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text.decode()},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22},
    }
    body = json.dumps(completion).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive; each request is answered ``delay_s`` after it has come in."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            match = _LENGTH.search(self._buffer, 0, end + 2)
            end += 4 + (int(match.group(1)) if match else 0)
            if len(self._buffer) < end:
                return
            request, self._buffer = self._buffer[:end], self._buffer[end:]
            self._loop.call_later(self._delay_s, self._transport.write, _response(_answer(request)))


def _answer(request: bytes) -> bytes:
    *_, (label, number) = _WORD.findall(request) or [(b"none", b"0")]
    return b"wrong" if int(number) % 5 == 0 and _BASE.search(request) else label


async def serve(delay_s: float) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(delay_s), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) / 1000))
