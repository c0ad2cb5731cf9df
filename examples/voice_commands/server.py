"""A small OpenAI-compatible server for the stand-ins: the example needs no key and no network.

To try it: ``python server.py``, then ``curl http://127.0.0.1:8391/v1/models``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stand_ins import Answer, Turns, base_answer, fine_tuned

HOST, PORT = "127.0.0.1", 8391
TRAIN = Path(__file__).parent / "data" / "train.jsonl"
SERVICE = "ftgate voice commands"
BASE, TUNED, LIVE = (
    "assistant-base",
    "ft:assistant-base:voice-commands",
    "ft:assistant-base:voice-commands-1",
)
UNLEASED_S = 60  # how long --while-leased waits for the first lease
PORT_TAKEN = 75  # exit code
MESSAGE_TOKENS = 4  # what a chat template writes around a message
TOKEN = re.compile(r"[^\W_]{1,6}|[^\w\s]|_")


class RefusedError(Exception):
    """A request that is refused with an error in the format of OpenAI's API."""

    def __init__(
        self, code: str, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST
    ) -> None:
        super().__init__(message)
        self.status = status
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        self.body = {"error": error}


def turns_of(request: Any) -> Turns:
    """Return the role and content of each message of a request."""
    try:
        turns = tuple((message["role"], message["content"]) for message in request["messages"])
    except (KeyError, TypeError):
        raise RefusedError(
            "invalid_messages", "'messages' must be a list of roles and contents"
        ) from None
    if not all(isinstance(content, str) for turn in turns for content in turn):
        raise RefusedError("invalid_messages", "this server reads plain text only")
    if not turns or turns[-1][0] != "user":
        raise RefusedError("invalid_messages", "the last message must be a user's")
    return turns


def tokens_in(text: str) -> int:
    """Return about how many tokens a tokenizer makes of a text: pieces of words, and signs."""
    return len(TOKEN.findall(text))


def complete(models: Mapping[str, Answer], request: Any) -> dict[str, Any]:
    """Return the body of a chat completion."""
    turns = turns_of(request)
    name = request.get("model")
    if name not in models:
        unknown_model = f"The model {name!r} does not exist; this server has {', '.join(models)}"
        raise RefusedError("model_not_found", unknown_model, HTTPStatus.NOT_FOUND)
    if request.get("stream"):
        raise RefusedError("unsupported_value", "this server does not stream")
    text = models[name](turns)
    prompt_tokens = sum(MESSAGE_TOKENS + tokens_in(content) for _role, content in turns)
    answered = tokens_in(text)
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-" + hashlib.sha256(repr((name, turns)).encode()).hexdigest()[:24],
        "object": "chat.completion",
        "created": int(time.time()),
        "model": name,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": answered,
            "total_tokens": prompt_tokens + answered,
        },
    }


class Assistant(ThreadingHTTPServer):
    """The HTTP server.

    It takes the port immediately, so that a second server fails, and answers after ``load``.

    A lease is an open connection to ``/lease``. With ``while_leased`` the server ends when the last
    one closes, so parallel sessions share a server and leave none behind, even after a crash.
    """

    allow_reuse_address = os.name != "nt"  # on Windows two servers could share the port
    request_queue_size = 128
    models: Mapping[str, Answer] = {}
    facts: Mapping[str, str] = {}

    def __init__(self, port: int = PORT, *, while_leased: bool = False) -> None:
        super().__init__((HOST, port), Handler)
        self._while_leased = while_leased
        self._leases = 0
        self._ending = False
        self._lock = threading.Lock()

    def load(self, train: Path) -> None:
        self.models = {
            BASE: base_answer,
            TUNED: fine_tuned(train),
            LIVE: fine_tuned(train, share=0.25),
        }
        self.facts = {
            "service": SERVICE,
            "trained_on": hashlib.sha256(train.read_bytes()).hexdigest(),
        }

    def serve(self) -> None:
        unused = threading.Timer(UNLEASED_S, self._end_if_unused)
        unused.daemon = True
        unused.start()
        try:
            self.serve_forever(poll_interval=0.05)
        finally:
            unused.cancel()
            self.server_close()

    @contextmanager
    def lease(self) -> Iterator[bool]:
        """Keep the server alive; yield False if it is about to end."""
        with self._lock:
            self._leases += 1
            granted = not self._ending
        try:
            yield granted
        finally:
            with self._lock:
                self._leases -= 1
            self._end_if_unused()

    def _end_if_unused(self) -> None:
        with self._lock:
            self._ending = self._ending or (self._while_leased and not self._leases)
        if self._ending:
            self.shutdown()


class Handler(BaseHTTPRequestHandler):
    """Handle the three paths. Bodies are JSON; connections are kept alive."""

    server: Assistant
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            owner = {"object": "model", "created": 0, "owned_by": SERVICE}
            listed = [{"id": name, **owner} for name in self.server.models]
            self._send(HTTPStatus.OK, {"object": "list", "data": listed})
        elif self.path == "/lease":
            self._lease()
        else:
            self._refuse(self._unknown_address())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if self.path != "/v1/chat/completions":
                raise self._unknown_address()
            self._send(HTTPStatus.OK, complete(self.server.models, json.loads(body)))
        except ValueError as error:
            self._refuse(RefusedError("invalid_json", f"the body is not JSON: {error}"))
        except RefusedError as refused:
            self._refuse(refused)

    def _lease(self) -> None:
        self.close_connection = True
        with self.server.lease() as granted:
            if granted:
                self._send(HTTPStatus.OK, self.server.facts)
                self.rfile.read(1)  # returns when the client disconnects

    def _unknown_address(self) -> RefusedError:
        message = f"Unknown address: {self.command} {self.path}"
        return RefusedError("unknown_url", message, HTTPStatus.NOT_FOUND)

    def _refuse(self, refused: RefusedError) -> None:
        self._send(refused.status, refused.body)

    def _send(self, status: HTTPStatus, body: Mapping[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *_args: Any) -> None:
        """Log nothing, because a run makes hundreds of requests."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the models of the voice command example.")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--train", type=Path, default=TRAIN, help="JSONL with input and expected")
    parser.add_argument(
        "--while-leased", action="store_true", help="end with the last connection to /lease"
    )
    options = parser.parse_args()
    try:
        server = Assistant(options.port, while_leased=options.while_leased)
    except OSError as error:
        parser.exit(PORT_TAKEN, f"cannot listen on {HOST}:{options.port}: {error.strerror}\n")
    server.load(options.train)
    print(
        f"serving {', '.join(server.models)} on http://{HOST}:{server.server_port}/v1", flush=True
    )
    server.serve()


if __name__ == "__main__":
    main()
