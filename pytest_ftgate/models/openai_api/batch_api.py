"""Call the files and batches API of an OpenAI-compatible endpoint, and wait for its batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.batch_lines import QUESTIONS_URL, read_line
from pytest_ftgate.models.openai_api.client import AbsentError, ApiClient
from pytest_ftgate.models.openai_api.endpoint import Endpoint, fields, segment
from pytest_ftgate.models.protocol import Completion

_T = TypeVar("_T")

LABEL = "ftgate"  # the key of a batch's metadata that says which questions it holds

# Seconds for one call of the API, whatever the model's timeout_s: uploading 200 MB is slow.
_TIMEOUT_S = 300.0
_PAGE = 100
_PAGES = 2
_ERRORS_SHOWN = 3
_UNDER_WAY = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True, slots=True)
class Batch:
    """Describe a batch as the endpoint reports it."""

    id: str
    status: str  # in lower case; see the API's documentation
    created_at: float | None = None  # seconds since the epoch; None if the endpoint does not say
    label: str | None = None  # identifies its questions, as passed to BatchApi.create
    files: tuple[str, ...] = ()  # ids of the files with its answers and with its errors
    counts: tuple[int, int] | None = None  # questions that are done (answered or failed), and all questions
    codes: frozenset[str] = frozenset()  # error codes of the batch as a whole
    errors: str = ""  # its error messages, safe to print


@dataclass(frozen=True, slots=True)
class Pace:
    """Choose how often a batch is polled: first after ``first_s``, each further wait is half as long again."""

    first_s: float = 1.0
    slowest_s: float = 30.0  # the longest wait of our own
    longest_s: float = 120.0  # the longest wait that an endpoint may ask for
    patience: int = 60  # failed attempts in a row after which a call is given up

    def wait_s(self, calls: int, asked_s: float | None = None) -> float:
        """Return the wait after this many calls, or what the endpoint asks for, if that is longer."""
        own_s = min(self.first_s * 1.5 ** min(calls - 1, 99), self.slowest_s)
        return max(own_s, min(asked_s or 0.0, self.longest_s))


@dataclass(frozen=True)
class Harvest:
    """Hold the outcome of a batch that has ended."""

    batch: Batch
    outcomes: dict[str, Completion | ModelError] = field(default_factory=dict)  # of the needed questions
    answered: set[str] = field(default_factory=set)  # the keys of all questions that were answered, needed or not


class BatchApi(ApiClient):
    """Send batches and wait for them. Passing failures, such as a busy or unreachable endpoint, are waited for, too."""

    def __init__(self, endpoint: Endpoint, pace: Pace, counts: dict[str, tuple[int, int]], concurrency: int) -> None:
        super().__init__(endpoint, _TIMEOUT_S)
        self.slots = asyncio.Semaphore(concurrency)  # for batches that are open at once
        self._pace = pace
        self._counts = counts  # receives the progress of each running batch: questions done, and all questions

    async def upload(self, path: Path) -> str:
        """Upload a file of questions in chunks, and return its id."""
        with self._named("has no files API, which mode: batch needs", "/files"), path.open("rb") as file:
            files = [("file", (path.name, file, "application/jsonl"))]
            sent = await self.answer("POST", "/files", data={"purpose": "batch"}, files=files)
        return self._id(self.json(sent), "file")

    async def create(self, file_id: str, label: str) -> Batch:
        """Create a batch of a file's questions, to be answered within 24 hours."""
        questions = {"input_file_id": file_id, "endpoint": QUESTIONS_URL}
        body = {**questions, "completion_window": "24h", "metadata": {LABEL: label}}
        with self._named("has no batches API, which mode: batch needs", "/batches"):
            return self._batch(self.json(await self.answer("POST", "/batches", json=body)))

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

    async def harvest(self, batch: Batch | str, wanted: Collection[str]) -> Harvest:
        """Wait until a batch, given by its last state or its id, has ended, and read the outcomes of these keys."""
        if isinstance(batch, str):
            self._counts.setdefault(batch, (0, 0))
            batch = await self._until_it_succeeds(partial(self._retrieve, batch))
        harvest = Harvest(await self._ended(batch))
        for file_id in harvest.batch.files:
            await self._until_it_succeeds(partial(self._download, file_id, harvest, wanted))
        self._counts.pop(harvest.batch.id, None)
        return harvest

    async def _ended(self, batch: Batch) -> Batch:
        polls = 0
        while batch.status not in _ENDED:
            if batch.status not in _UNDER_WAY:
                shown = self.endpoint.quoted(batch.status or "without a status", 40)
                raise self.endpoint.error(
                    f"the endpoint reports a batch with the unknown status {shown!r}",
                    fatal=True,
                    evidence=f"known: {', '.join(sorted(_UNDER_WAY | _ENDED))}",
                    cure="use mode: live",
                )
            self._counts[batch.id] = batch.counts or self._counts.get(batch.id, (0, 0))
            polls += 1
            await asyncio.sleep(self._pace.wait_s(polls))
            batch = await self._until_it_succeeds(partial(self._retrieve, batch.id))
        return batch

    async def _until_it_succeeds(self, call: Callable[[], Awaitable[_T]]) -> _T:
        return await self.patiently(call, self._pace.patience, self._pace.wait_s)

    async def _retrieve(self, batch_id: str) -> Batch:
        path = f"/batches/{segment(batch_id)}"
        with self._named(f"does not know the batch {self.endpoint.quoted(batch_id, 60)}", path):
            return self._batch(await self.get(path))

    async def _download(self, file_id: str, harvest: Harvest, wanted: Collection[str]) -> None:
        """Read a file line by line as it arrives; if it breaks off and starts again, outcomes read before are kept."""
        rest, path = b"", f"/files/{segment(file_id)}/content"
        with self._named(f"does not know the file {self.endpoint.quoted(file_id, 60)} of a batch", path):
            response = await self.answer("GET", path, stream=True, headers={"Accept": "*/*"})
            try:
                async for chunk in response.aiter_bytes():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        self._take(line, harvest, wanted)
            except Exception as error:
                raise self.failed(error) from None
            finally:
                await response.aclose()
        self._take(rest, harvest, wanted)

    def _take(self, line: bytes, harvest: Harvest, wanted: Collection[str]) -> None:
        read = read_line(line, self.endpoint)
        if read is None or read[0] in harvest.outcomes:
            return
        key, outcome = read
        if isinstance(outcome, Completion):
            harvest.answered.add(key)
        if key in wanted:
            harvest.outcomes[key] = outcome

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
