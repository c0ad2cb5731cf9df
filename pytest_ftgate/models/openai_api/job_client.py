"""Read fine-tuning jobs and files of an endpoint. Reading is free."""

from __future__ import annotations

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.api_client import AbsentError, ApiClient
from pytest_ftgate.models.openai_api.endpoint import Refusal, fields, said, segment

_JOBS = "/fine_tuning/jobs"
_FILES = "/files"
_PAGE = 100
_MOST_PAGES = 100
# Reported as for any call: key, quota, load.
_NOT_THE_REQUEST = frozenset({401, 402, 403, 408, 409, 429})
_NAME_THE_MODEL = "name the fine-tuned model itself: model in place of job"


class JobClient(ApiClient):
    """Read jobs, checkpoints and files of one endpoint."""

    async def job(self, id_: str) -> object:
        try:
            return await self.get(f"{_JOBS}/{segment(id_)}")
        except AbsentError as absent:
            if not await self._has(_JOBS):
                api = f"the fine-tuning API (GET {_JOBS}), by which the job {id_} could be read"
                raise self._lacks(api, absent, _NAME_THE_MODEL) from None
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
                raise self._lacks(
                    f"the API of checkpoints (GET {_JOBS}/{id_}/checkpoints)",
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
            return await self.bytes_at(f"{_FILES}/{segment(id_)}/content")
        except AbsentError as absent:
            shown = self.endpoint.quoted(id_, 80)
            if not await self._has(_FILES):
                api = f"the files API (GET {_FILES}/ID/content), so that the {purpose} {shown} cannot be verified"
                raise self._lacks(api, absent, _NAME_THE_MODEL) from None
            raise self._fatal(
                f"the endpoint no longer has the {purpose} {shown}, so that it cannot be verified",
                absent,
                "name the model itself (model in place of job) where its training file is gone",
            ) from None

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

    def _lacks(self, api: str, absent: AbsentError, cure: str) -> ModelError:
        return self._fatal(f"this endpoint lacks {api}", absent, cure)

    def _fatal(self, what: str, absent: AbsentError | None = None, cure: str | None = None) -> ModelError:
        return self.endpoint.error(what, fatal=True, evidence=absent.evidence if absent else None, cure=cure)

    def _refused(self, refusal: Refusal, path: str) -> ModelError:
        """Report a rejected request by its path, since nothing in it comes from the gate."""
        found = super()._refused(refusal, path)
        if isinstance(found, AbsentError) or refusal.status >= 500 or refusal.status in _NOT_THE_REQUEST:
            return found
        evidence = said(refusal, self.endpoint)
        return self.endpoint.error(f"the endpoint refused GET {path}", fatal=True, evidence=evidence)
