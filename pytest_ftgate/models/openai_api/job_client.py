"""The endpoint's APIs of fine-tuning jobs and of files, through the ``openai`` client. Reading is free of charge."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.connection import client_headers, open_client
from pytest_ftgate.models.openai_api.endpoint import Endpoint, failure, refusal_in, said

if TYPE_CHECKING:
    from openai import APIStatusError

_JOBS = "/fine_tuning/jobs"
_FILES = "/files"
_ABSENT = (404, 405, 501)  # nothing of this name, or no such API
_PAGE = 100
_MOST_PAGES = 100


class JobClient:
    """Reads jobs, checkpoints and files of one endpoint, in one event loop. Every call is one attempt.

    All methods raise :class:`ModelError`, which never quotes the key.

    Args:
        endpoint: whom to ask, and with which key.
        timeout_s: seconds to wait for a connection, or for the next piece of an answer.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._openai = open_client(endpoint, timeout_s)
        self._headers: Any = client_headers(endpoint.key)

    async def job(self, id_: str) -> object:
        """The job as the endpoint tells it."""
        try:
            return await self._get(f"{_JOBS}/{quote(id_, safe='')}")
        except _AbsentError as absent:
            raise await self._unknown_job(id_, absent) from None

    async def checkpoints(self, id_: str) -> list[object]:
        """All rows of the list of the job's checkpoints."""
        rows: list[object] = []
        after: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            page = await self._page_of_checkpoints(id_, after)
            found = page.get("data")
            if not isinstance(found, list):
                raise self._odd(f"the endpoint's answer is not a list of checkpoints of the fine-tuning job {id_}")
            rows += found
            last = found[-1].get("id") if found and isinstance(found[-1], dict) else None
            if page.get("has_more") is not True or not isinstance(last, str):
                return rows
            after = {"after": last}
        raise self._odd(f"the endpoint's list of checkpoints of the fine-tuning job {id_} does not end")

    async def _page_of_checkpoints(self, id_: str, after: dict[str, str]) -> dict[str, Any]:
        try:
            page = await self._get(f"{_JOBS}/{quote(id_, safe='')}/checkpoints", limit=_PAGE, **after)
        except _AbsentError as absent:
            raise self._lacks(
                f"the API of checkpoints (GET {_JOBS}/{id_}/checkpoints)",
                absent,
                "leave checkpoint out: the job's fine_tuned_model is then judged; or name a checkpoint by model",
            ) from None
        return page if isinstance(page, dict) else {}

    def _odd(self, what: str) -> ModelError:
        return ModelError(what, where=self._endpoint.where, fatal=True)

    async def content(self, id_: str, purpose: str) -> bytes:
        """The bytes of a file.

        Args:
            id_: the file's.
            purpose: what it is to whoever reads the message: ``training file``.
        """
        from openai import HttpxBinaryResponseContent

        # A dot segment would lead to another path.
        name = quote(id_, safe="").replace(".", "%2E") if set(id_) <= {"."} else quote(id_, safe="")
        headers = {**self._headers, "Accept": "*/*"}
        try:
            found = await self._asked(f"{_FILES}/{name}/content", HttpxBinaryResponseContent, headers)
        except _AbsentError as absent:
            raise await self._unknown_file(id_, purpose, absent) from None
        content: bytes = found.content
        return content

    async def aclose(self) -> None:
        """Close the connections."""
        await self._openai.close()

    async def _get(self, path: str, **params: Any) -> Any:
        return await self._asked(path, object, self._headers, params)

    async def _asked(self, path: str, cast_to: Any, headers: Any, params: dict[str, Any] | None = None) -> Any:
        from openai import APIStatusError

        options: Any = {"headers": headers, "params": params or {}}
        try:
            return await self._openai.get(path, cast_to=cast_to, options=options)
        except Exception as error:
            # Not chained: a traceback would show the client's own text, which may quote the key.
            if isinstance(error, APIStatusError) and error.status_code in _ABSENT:
                raise _AbsentError(said(refusal_in(error), self._endpoint)) from None
            if isinstance(error, APIStatusError) and _is_refusal(error):
                raise self._refused(error, path) from None
            raise failure(error, self._endpoint, timeout_s=self._timeout_s, now=time.time()) from None

    def _refused(self, error: APIStatusError, path: str) -> ModelError:
        return ModelError(
            f"the endpoint refused GET {path}",
            where=self._endpoint.where,
            fatal=True,
            evidence=said(refusal_in(error), self._endpoint),
        )

    async def _unknown_job(self, id_: str, absent: _AbsentError) -> ModelError:
        if await self._has(_JOBS):
            return ModelError(
                f"the endpoint knows no fine-tuning job {id_}",
                where=self._endpoint.where,
                fatal=True,
                evidence=absent.said,
                cure="correct job, or name the key of the project that it belongs to: api_key_env",
            )
        return self._lacks(
            f"the fine-tuning API (GET {_JOBS}), by which the job {id_} could be read",
            absent,
            "name the fine-tuned model itself: model in place of job",
        )

    async def _unknown_file(self, id_: str, purpose: str, absent: _AbsentError) -> ModelError:
        shown = self._endpoint.quoted(id_, 80)
        if await self._has(_FILES):
            return ModelError(
                f"the endpoint no longer has the {purpose} {shown}, so that it cannot be verified",
                where=self._endpoint.where,
                fatal=True,
                evidence=absent.said,
                cure="name the model itself (model in place of job) where its training file is gone",
            )
        return self._lacks(
            f"the files API (GET {_FILES}/ID/content), so that the {purpose} {shown} cannot be verified",
            absent,
            "name the fine-tuned model itself: model in place of job",
        )

    async def _has(self, path: str) -> bool:
        """Whether there is such an API at all: one that lacks a name has a list all the same."""
        try:
            await self._get(path, limit=1)
        except _AbsentError:
            return False
        except ModelError as error:
            if error.retryable:
                raise
        return True

    def _lacks(self, api: str, absent: _AbsentError, cure: str) -> ModelError:
        what = f"this endpoint lacks {api}"
        return ModelError(what, where=self._endpoint.where, fatal=True, evidence=absent.said, cure=cure)


class _AbsentError(Exception):
    """The endpoint says that there is nothing; ``said`` is how."""

    def __init__(self, said: str) -> None:
        self.said = said
        super().__init__(said)


def _is_refusal(error: APIStatusError) -> bool:
    """Whether the request itself is at fault: not the key, the quota or the load, which are told as for any call."""
    return 400 <= error.status_code < 500 and error.status_code not in (401, 402, 403, 408, 409, 429)
