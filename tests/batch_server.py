"""A loopback endpoint that has a files and a batches API, too: what a batch holds is answered as live requests are."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from loopback import Answer, LoopbackServer, Reply, Request, error


@dataclass
class ServedBatch:
    """A batch as the server holds it."""

    id: str
    lines: list[dict[str, Any]]
    metadata: dict[str, str] | None
    input_file_id: str
    end: str = "completed"
    created_at: float = field(default_factory=time.time)
    status: str = "validating"
    looks: int = 0
    files: dict[str, str] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [line["custom_id"] for line in self.lines]


class BatchServer(LoopbackServer):
    """Batches are done at the second look at them.

    Args:
        answer: as :class:`LoopbackServer` has it, for requests and for the lines of batches.

    Attributes:
        ends: how the next batches end, one each, where not ``completed``.
        errors: what the next batch that fails says of itself.
        done: while this is not set, batches stay in progress.
        left_out: the lines of a batch that it does not come to, by their index.
        rewritten: what becomes of the lines of a file with answers or errors.
        refusals: replies to the next requests for a route, as ``POST /files`` or ``GET /batches/``.
        labels: whether batches keep their metadata.
    """

    def __init__(self, answer: Answer = lambda body: body["messages"][-1]["content"]) -> None:
        super().__init__(answer)
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, ServedBatch] = {}
        self.ends: deque[str] = deque()
        self.errors: list[dict[str, Any]] = []
        self.done = threading.Event()
        self.done.set()
        self.left_out: Callable[[ServedBatch, int], bool] = lambda batch, index: False
        self.rewritten: Callable[[list[bytes]], Iterable[bytes]] = lambda lines: lines
        self.refusals: dict[str, deque[Reply | None]] = {}
        self.labels = True

    @property
    def tally(self) -> Counter[str]:
        """Return how often each route was asked for; but for whether models are about to be shut down."""
        return Counter(_route(request) for request in self.requests if not request.path.startswith("/v1/models/"))

    def reply_to(self, request: Request) -> Reply:
        route = _route(request)
        if route == "POST /chat/completions":
            return super().reply_to(request)
        self.requests.append(request)
        refusals = self.refusals.get(route)
        fault = refusals.popleft() if refusals else None
        return fault or self._served(route, request)

    def _served(self, route: str, request: Request) -> Reply:
        name = request.path.removeprefix("/v1").partition("?")[0].split("/")[2:]
        if route == "POST /files":
            assert request.body["purpose"] == b"batch", request.body
            return Reply(body={"id": self._keep(request.body["file"]), "object": "file"})
        if route == "POST /batches":
            return Reply(body=self._shown(self._create(request.body)))
        if route == "GET /batches":
            newest = [self._shown(batch) for batch in reversed(self.batches.values())]
            return Reply(body={"object": "list", "data": newest, "has_more": False})
        if route == "GET /batches/" and name[0] in self.batches:
            return Reply(body=self._shown(self._look(self.batches[name[0]])))
        if route == "GET /files/" and name[0] in self.files:
            return Reply(body=self.files[name[0]], headers={"Content-Type": "application/octet-stream"})
        return error(404, message=f"no {request.method} {request.path}")

    def _keep(self, content: bytes) -> str:
        file_id = f"file-{len(self.files)}"
        self.files[file_id] = content
        return file_id

    def _create(self, body: dict[str, Any]) -> ServedBatch:
        assert (body["endpoint"], body["completion_window"]) == ("/v1/chat/completions", "24h")
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
        assert len({line["custom_id"] for line in lines}) == len(lines)
        batch = ServedBatch(f"batch_{len(self.batches)}", lines, body.get("metadata"), body["input_file_id"])
        batch.end = self.ends.popleft() if self.ends else "completed"
        self.batches[batch.id] = batch
        return batch

    def _look(self, batch: ServedBatch) -> ServedBatch:
        batch.looks += 1
        if batch.status in ("validating", "in_progress"):
            batch.status = "in_progress"
            if batch.looks > 1 and self.done.is_set():
                self._finish(batch)
        return batch

    def _finish(self, batch: ServedBatch) -> None:
        batch.status = batch.end
        if batch.end == "failed":
            batch.errors = self.errors
            return
        written: dict[str, list[bytes]] = {"output_file_id": [], "error_file_id": []}
        for index, line in enumerate(batch.lines):
            if self.left_out(batch, index):
                if batch.end == "expired":
                    lost = {"code": "batch_expired", "message": "This request could not be executed in time."}
                    shown = {"custom_id": line["custom_id"], "response": None, "error": lost}
                    written["error_file_id"].append(json.dumps(shown).encode())
                continue
            reply = self.answer(line["body"])
            reply = reply if isinstance(reply, Reply) else Reply(reply)
            response = {"status_code": reply.status, "body": json.loads(reply.payload(line["body"]["model"]))}
            file = "output_file_id" if reply.status == 200 else "error_file_id"
            written[file].append(
                json.dumps({"custom_id": line["custom_id"], "response": response, "error": None}).encode()
            )
        batch.files = {
            name: self._keep(b"".join(line + b"\n" for line in self.rewritten(lines)))
            for name, lines in written.items()
            if lines
        }

    def _shown(self, batch: ServedBatch) -> dict[str, Any]:
        done = len(batch.lines) if batch.files else 0
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "input_file_id": batch.input_file_id,
            "completion_window": "24h",
            "status": batch.status,
            "created_at": int(batch.created_at),
            "request_counts": {"total": len(batch.lines), "completed": done, "failed": 0},
            "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
            "metadata": batch.metadata if self.labels else None,
            "output_file_id": None,
            "error_file_id": None,
            **batch.files,
        }


def _route(request: Request) -> str:
    """Return the method and the path, without names of batches and files."""
    path = request.path.removeprefix("/v1").partition("?")[0]
    first, _, name = path.removeprefix("/").partition("/")
    return f"{request.method} {path}" if first == "chat" or not name else f"{request.method} /{first}/"
