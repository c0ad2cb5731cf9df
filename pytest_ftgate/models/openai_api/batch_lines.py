"""Write the questions and read the answers of batches: one line of JSON per question."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.answers import read_answer
from pytest_ftgate.models.openai_api.endpoint import Endpoint, Refusal, error_in, fields, refused
from pytest_ftgate.models.protocol import Completion

QUESTIONS_URL = "/v1/chat/completions"
_BREATH = 500  # lines written before the event loop may do other work


@dataclass(frozen=True, slots=True)
class Limits:
    """Limit the lines and bytes of one batch file."""

    questions: int = 50_000
    size: int = 200_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """Hold a file with the questions of these keys; it is deleted when the next one is requested."""

    path: Path
    keys: tuple[str, ...]

    @property
    def label(self) -> str:
        """Return a hash of the keys: the same questions have the same label."""
        return hashlib.sha256("\n".join(sorted(self.keys)).encode()).hexdigest()


def question_line(key: str, body: Mapping[str, Any]) -> bytes:
    """Return a question as a line of a batch, in ASCII: no server takes a character of it for a line end."""
    return (json.dumps({"custom_id": key, "method": "POST", "url": QUESTIONS_URL, "body": body}) + "\n").encode()


async def write_parts(lines: Iterator[tuple[str, bytes]], limits: Limits) -> AsyncGenerator[Part, None]:
    """Write lines, none of which exceeds the limits, to one file at a time. Raises a fatal :class:`ModelError`."""
    try:
        with tempfile.TemporaryDirectory(prefix="pytest-ftgate-") as folder:
            path = Path(folder) / "questions.jsonl"
            line = next(lines, None)
            while line is not None:
                keys: list[str] = []
                size = 0
                with path.open("wb") as file:
                    while line is not None and len(keys) < limits.questions and size + len(line[1]) <= limits.size:
                        file.write(line[1])
                        keys.append(line[0])
                        size += len(line[1])
                        line = next(lines, None)
                        if not len(keys) % _BREATH:
                            await asyncio.sleep(0)
                yield Part(path, tuple(keys))
    except OSError as error:
        raise ModelError(f"the file of a batch cannot be written: {error}", fatal=True) from error


def read_line(line: bytes, endpoint: Endpoint) -> tuple[str, Completion | ModelError] | None:
    """Return the key of a question and its outcome; ``None`` if the line has neither."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    key = fields(data).get("custom_id")
    return (key, _outcome(data, endpoint)) if isinstance(key, str) else None


def _outcome(data: Mapping[str, Any], endpoint: Endpoint) -> Completion | ModelError:
    response = fields(data.get("response"))
    status, body = response.get("status_code"), response.get("body")
    if not isinstance(status, int):  # the batch expired or was cancelled, or failed at it
        error = data.get("error")
        message = fields(error).get("message")
        said = message if isinstance(message, str) else json.dumps(error) if error else "no reason is given"
        what = "the batch ended without an answer to this question"
        return endpoint.error(what, retryable=True, evidence=endpoint.quoted(said))
    if status == 200:
        try:
            return read_answer(body, endpoint)
        except ModelError as unreadable:
            return unreadable
    text = fields(body).get("error", body)
    refusal = Refusal(status, error_in(body), text if isinstance(text, str) else "")
    return Completion("", finish="filtered") if refusal.filtered else refused(refusal, endpoint)
