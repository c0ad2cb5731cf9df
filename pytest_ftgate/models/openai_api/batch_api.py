"""Call the files and batches API of an OpenAI-compatible endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.api_client import AbsentError, ApiClient
from pytest_ftgate.models.openai_api.endpoint import Endpoint, fields, segment

QUESTIONS_URL = "/v1/chat/completions"
LABEL = "ftgate"
"""The key of a batch's metadata that says which questions it holds."""

# Seconds for one call of the API, whatever the model's timeout_s: uploading 200 MB is slow.
_TIMEOUT_S = 300.0
_PAGE = 100
_PAGES = 2
_ERRORS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Batch:
    """Describe a batch as the endpoint reports it.

    Args:
        id: its id at the endpoint.
        status: in lower case; see the API's documentation.
        created_at: seconds since the epoch; ``None`` if the endpoint does not say.
        label: identifies its questions, as passed to :meth:`BatchApi.create`.
        files: ids of the files with its answers and with its errors, if there are any.
        counts: questions that are done (answered or failed), and all questions.
        codes: error codes of the batch as a whole.
        errors: the error messages of the batch as a whole, safe to print.
    """

    id: str
    status: str
    created_at: float | None = None
    label: str | None = None
    files: tuple[str, ...] = ()
    counts: tuple[int, int] | None = None
    codes: frozenset[str] = frozenset()
    errors: str = ""


class BatchApi(ApiClient):
    """Call the API of one endpoint, in one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint, _TIMEOUT_S)

    async def upload(self, path: Path) -> str:
        """Upload a file of questions in chunks, and return its id."""
        with self._named("has no files API, which mode: batch needs", "/files"), path.open("rb") as file:
            data = await self.post(
                "/files",
                data={"purpose": "batch"},
                files=[("file", (path.name, file, "application/jsonl"))],
            )
        return self._id(data, "file")

    async def create(self, file_id: str, label: str) -> Batch:
        """Create a batch of a file's questions, to be answered within 24 hours."""
        questions = {"input_file_id": file_id, "endpoint": QUESTIONS_URL}
        body = {**questions, "completion_window": "24h", "metadata": {LABEL: label}}
        with self._named("has no batches API, which mode: batch needs", "/batches"):
            return self._batch(await self.post("/batches", json=body))

    async def retrieve(self, batch_id: str) -> Batch:
        """Return the current state of a batch. Raises :class:`AbsentError` if the endpoint does not know it."""
        path = f"/batches/{segment(batch_id)}"
        with self._named(f"does not know the batch {self.endpoint.quoted(batch_id, 60)}", path):
            return self._batch(await self.get(path))

    async def recent(self) -> list[Batch]:
        """Return the account's latest batches, newest first; empty if the endpoint does not list them."""
        found: list[Batch] = []
        after: dict[str, str] = {}
        for _ in range(_PAGES):
            try:
                data = await self.get("/batches", limit=_PAGE, **after)
            except ModelError as error:
                if error.retryable:  # a batch that is overlooked would be paid for twice
                    raise
                return found
            listed = fields(data).get("data")
            batches = []
            for one in listed if isinstance(listed, list) else ():
                with suppress(ModelError):  # another program's batch, in another form
                    batches.append(self._batch(one))
            found += batches
            if not batches or not data.get("has_more"):
                break
            after = {"after": batches[-1].id}
        return found

    async def download(self, file_id: str, take: Callable[[bytes], object]) -> None:
        """Pass each line of a file to ``take`` as it arrives. Raises :class:`AbsentError` if there is no such file."""
        rest, path = b"", f"/files/{segment(file_id)}/content"
        with self._named(f"does not know the file {self.endpoint.quoted(file_id, 60)} of a batch", path):
            response = await self._answer("GET", path, stream=True, headers={"Accept": "*/*"})
            try:
                async for chunk in response.aiter_bytes():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        take(line)
            except ModelError:
                raise
            except Exception as error:
                raise self.failed(error) from None
            finally:
                await response.aclose()
        take(rest)

    @contextmanager
    def _named(self, lack: str, path: str) -> Iterator[None]:
        """Raise :class:`AbsentError` with what the endpoint lacks, in terms of the gate."""
        try:
            yield
        except AbsentError as error:
            address = self.endpoint.quoted(f"{self.endpoint.where}{self.endpoint.base_path}{path}")
            raise AbsentError(
                f"the endpoint {lack}",
                where=self.endpoint.where,
                fatal=True,
                evidence=f"{address} answered {error.evidence}",
                cure="use mode: live, or check base_url",
            ) from None

    def _id(self, data: object, kind: str) -> str:
        found = fields(data).get("id")
        if isinstance(found, str) and found:
            return found
        what = f"the endpoint's answer is not a {kind}: it has no id"
        raise self.endpoint.error(what, retryable=True, evidence=self.endpoint.found(str(data)))

    def _batch(self, answer: object) -> Batch:
        data = fields(answer)
        status, label, created_at = data.get("status"), fields(data.get("metadata")).get(LABEL), data.get("created_at")
        files = (data.get("output_file_id"), data.get("error_file_id"))
        errors = _errors(data.get("errors"))
        return Batch(
            id=self._id(answer, "batch"),
            status=status.lower() if isinstance(status, str) else "",
            created_at=float(created_at) if isinstance(created_at, int | float) else None,
            label=label if isinstance(label, str) else None,
            files=tuple(file for file in files if isinstance(file, str) and file),
            counts=_counts(data.get("request_counts")),
            codes=frozenset(code for error in errors if isinstance(code := error.get("code"), str)),
            errors="; ".join(self.endpoint.quoted(_shown(error)) for error in errors[:_ERRORS_SHOWN]),
        )


def _errors(errors: object) -> list[Mapping[str, Any]]:
    listed = fields(errors).get("data", errors)
    return [error for error in listed if isinstance(error, Mapping)] if isinstance(listed, list) else []


def _shown(error: Mapping[str, Any]) -> str:
    message, code, line = error.get("message"), error.get("code"), error.get("line")
    place = f"line {line}: " if isinstance(line, int) else ""
    return f"{place}{message or 'no reason is given'}" + (f" ({code})" if code else "")


def _counts(counts: object) -> tuple[int, int] | None:
    total, *done = (fields(counts).get(name) for name in ("total", "completed", "failed"))
    known = [count for count in done if isinstance(count, int)]
    return (sum(known), total) if isinstance(total, int) and known else None
