"""Call an endpoint with the HTTP client of the ``openai`` package: chat, and the APIs of files, batches and jobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_ftgate import clock
from pytest_ftgate.errors import ModelError, is_cancelled_from_outside
from pytest_ftgate.models.openai_api.answers import broken_body, read_answer
from pytest_ftgate.models.openai_api.endpoint import (
    ABSENT,
    Endpoint,
    Refusal,
    failure,
    fields,
    pause_s,
    refused,
    root_cause,
    said,
    segment,
)
from pytest_ftgate.models.protocol import Completion

if TYPE_CHECKING:
    import httpx2

_JOBS = "/fine_tuning/jobs"
_FILES = "/files"
_PAGE = 100
_MOST_PAGES = 100
# Reported as for any call: key, quota, load.
_NOT_THE_REQUEST = frozenset({401, 402, 403, 408, 409, 429})
_NAME_THE_MODEL = "name the fine-tuned model itself: model in place of job"

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_T = TypeVar("_T")


class AbsentError(ModelError):
    """Report that the endpoint has nothing at this address: no such API, or no object of this name."""


class ApiClient:
    """Send requests in one event loop, without retries.

    Requests are built here, since building the ``openai`` package's own objects would take more than half of the CPU
    time of a call, and would send what nobody asked for: account, machine, headers of the environment. Every method
    raises :class:`ModelError`, which never quotes the key. ``timeout_s`` limits the wait for a connection, or for the
    next part of an answer, in seconds.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float | None) -> None:
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        self._http = _open_http(timeout_s)

    async def send(self, request: httpx2.Request, *, stream: bool = False) -> httpx2.Response:
        """Send one request, and return the response, whatever its status."""
        try:
            return await self._http.send(request, stream=stream)
        except Exception as error:
            raise self.failed(error) from None

    def failed(self, error: Exception) -> BaseException:
        """Return the error to raise for one of the HTTP client; not chained, because its text may quote the key."""
        if isinstance(root_cause(error), asyncio.CancelledError) and is_cancelled_from_outside():
            return asyncio.CancelledError()  # aiohttp may report it as a lost connection
        return failure(error, self.endpoint, timeout_s=self._timeout_s)

    def request(self, method: str, path: str, **content: Any) -> httpx2.Request:
        """Return a request for a path at the endpoint; ``content`` is as ``httpx`` takes it."""
        headers = {**self.endpoint.headers, **content.pop("headers", {})}
        return self._http.build_request(method, f"{self.endpoint.base_url}{path}", headers=headers, **content)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def answer(self, method: str, path: str, *, stream: bool = False, **content: Any) -> httpx2.Response:
        """Send one request to a path, and return the response of a success."""
        response = await self.send(self.request(method, path, **content), stream=stream)
        if not response.is_success:
            await response.aread()
            raise self._refused(Refusal.of(response), path)
        return response

    async def get(self, path: str, **params: Any) -> Any:
        """Return the JSON that the endpoint has at a path."""
        return self.json(await self.answer("GET", path, params=params))

    def json(self, response: httpx2.Response) -> Any:
        try:
            return json.loads(response.content)
        except ValueError:
            raise broken_body(response.content.decode(errors="replace"), self.endpoint) from None

    async def patiently(
        self, call: Callable[[], Awaitable[_T]], retries: int, wait_s: Callable[[int, float | None], float]
    ) -> _T:
        """Make a call until it succeeds, or fails for good; ``wait_s`` is as :meth:`RetryPolicy.wait_s`."""
        for failures in range(1, retries + 1):
            try:
                return await call()
            except ModelError as error:
                if error.fatal or not error.retryable:
                    raise
                pause = wait_s(failures, error.retry_after_s)
            await asyncio.sleep(pause)
        return await call()

    def _refused(self, refusal: Refusal, path: str) -> ModelError:
        if refusal.status in ABSENT:
            evidence = said(refusal, self.endpoint)
            what = f"the endpoint has nothing at {path}"
            return AbsentError(what, where=self.endpoint.where, fatal=True, evidence=evidence)
        return refused(refusal, self.endpoint)


class ChatClient(ApiClient):
    """Request chat completions."""

    def __init__(self, endpoint: Endpoint, timeout_s: float | None) -> None:
        super().__init__(endpoint, timeout_s)
        self._url = self.request("POST", "/chat/completions").url  # parsed once, not with every call
        self._headers = {**endpoint.headers, "Content-Type": "application/json"}
        self._resume_at = 0.0

    async def ask(self, body: Mapping[str, Any]) -> Completion:
        """Send one request, and read its answer."""
        content = _encode(body).encode()
        response = await self.send(self._http.build_request("POST", self._url, content=content, headers=self._headers))
        wait_s = pause_s(response.headers)
        if wait_s:
            self._resume_at = max(self._resume_at, clock.monotonic() + wait_s)
        if response.is_error:
            refusal = Refusal.of(response)
            if refusal.filtered:
                return Completion("", finish="filtered")
            raise refused(refusal, self.endpoint)
        return read_answer(self.json(response), self.endpoint)

    def pause_s(self) -> float:
        """Return for how many seconds the endpoint accepts no further request, according to its last answers."""
        return max(0.0, self._resume_at - clock.monotonic()) if self._resume_at else 0.0


class JobClient(ApiClient):
    """Read jobs, checkpoints and files of one endpoint."""

    async def job(self, id_: str) -> object:
        try:
            return await self.get(f"{_JOBS}/{segment(id_)}")
        except AbsentError as absent:
            if not await self._has(_JOBS):
                what = f"this endpoint lacks the fine-tuning API (GET {_JOBS}), by which the job {id_} could be read"
                raise self._fatal(what, absent, _NAME_THE_MODEL) from None
            cure = "correct job, or name the key of the project that it belongs to: api_key_env"
            raise self._fatal(f"the endpoint knows no fine-tuning job {id_}", absent, cure) from None

    async def checkpoints(self, id_: str) -> list[object]:
        """Return all rows of the list of the job's checkpoints."""
        rows: list[object] = []
        after: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            try:
                page = fields(await self.get(f"{_JOBS}/{segment(id_)}/checkpoints", limit=_PAGE, **after))
            except AbsentError as absent:
                raise self._fatal(
                    f"this endpoint lacks the API of checkpoints (GET {_JOBS}/{id_}/checkpoints)",
                    absent,
                    "leave checkpoint out: the job's fine_tuned_model is then judged; or name a checkpoint by model",
                ) from None
            found = page.get("data")
            if not isinstance(found, list):
                raise self._fatal(f"the endpoint's answer is not a list of checkpoints of the fine-tuning job {id_}")
            rows += found
            last = fields(found[-1] if found else None).get("id")
            if page.get("has_more") is not True or not isinstance(last, str):
                return rows
            after = {"after": last}
        raise self._fatal(f"the endpoint's list of checkpoints of the fine-tuning job {id_} does not end")

    async def content(self, id_: str, purpose: str) -> bytes:
        """Return the bytes of a file; ``purpose`` is for messages, such as ``training file``."""
        try:
            return (await self.answer("GET", f"{_FILES}/{segment(id_)}/content", headers={"Accept": "*/*"})).content
        except AbsentError as absent:
            shown = self.endpoint.quoted(id_, 80)
            if not await self._has(_FILES):
                what, cure = f"this endpoint lacks the files API (GET {_FILES}/ID/content), so that", _NAME_THE_MODEL
                raise self._fatal(f"{what} the {purpose} {shown} cannot be verified", absent, cure) from None
            what = f"the endpoint no longer has the {purpose} {shown}, so that it cannot be verified"
            cure = "name the model itself (model in place of job) where its training file is gone"
            raise self._fatal(what, absent, cure) from None

    async def _has(self, path: str) -> bool:
        """Return whether the API exists: an API that only lacks an object still lists the others."""
        try:
            await self.get(path, limit=1)
        except AbsentError:
            return False
        except ModelError as error:
            if error.retryable:
                raise
        return True

    def _fatal(self, what: str, absent: AbsentError | None = None, cure: str | None = None) -> ModelError:
        return self.endpoint.error(what, fatal=True, evidence=absent.evidence if absent else None, cure=cure)

    def _refused(self, refusal: Refusal, path: str) -> ModelError:
        """Report a rejected request by its path, since nothing in it comes from the gate."""
        found = super()._refused(refusal, path)
        if isinstance(found, AbsentError) or refusal.status >= 500 or refusal.status in _NOT_THE_REQUEST:
            return found
        evidence = said(refusal, self.endpoint)
        return self.endpoint.error(f"the endpoint refused GET {path}", fatal=True, evidence=evidence)


def _open_http(timeout_s: float | None) -> httpx2.AsyncClient:
    """Return the HTTP client; with aiohttp, if installed, a call costs half the CPU time."""
    from openai import DefaultAioHttpClient, DefaultAsyncHttpxClient

    with suppress(RuntimeError):  # not installed
        return DefaultAioHttpClient(timeout=timeout_s)
    return DefaultAsyncHttpxClient(timeout=timeout_s)
