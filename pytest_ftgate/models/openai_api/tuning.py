"""Find the models of fine-tuning jobs: what an endpoint says about a job is requested once, and kept in notes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_ftgate.data import DataSet, Example, canonical_json
from pytest_ftgate.errors import DataError, ModelError, StoreError
from pytest_ftgate.models.openai_api.endpoint import check_key, endpoint_of
from pytest_ftgate.models.openai_api.job import (
    NEEDS_VALIDATION_SET,
    Checkpoint,
    TuningJob,
    choose_checkpoint,
    read_checkpoints,
    read_job,
)
from pytest_ftgate.models.protocol import RetryPolicy, Surroundings, parts_of
from pytest_ftgate.models.registry import build_model

if TYPE_CHECKING:
    from pytest_ftgate.config import ModelSpec
    from pytest_ftgate.models.openai_api.client import JobClient
    from pytest_ftgate.models.protocol import Model, Notes


@dataclass(frozen=True)
class JobFile:
    """Describe a file of a job."""

    id: str  # at the endpoint
    sha256: str  # hex, of its bytes
    rows: int  # the number of lines that are not blank
    content_sha256: str | None  # hex, of the inputs and outputs of its rows; None if they are not examples


def job_file(id_: str, content: bytes) -> JobFile:
    """Return what is kept of a file."""
    try:
        contents = content_sha256(read_examples(content, id_).examples)
    except DataError:
        contents = None
    rows = sum(1 for line in content.split(b"\n") if line.strip())
    return JobFile(id_, sha256(content).hexdigest(), rows, contents)


def read_examples(content: bytes, origin: str) -> DataSet:
    """Return the examples of a job's JSONL file, which messages call ``origin``. Raises :class:`DataError`."""
    from pytest_ftgate.data.load import examples_of_job

    examples = examples_of_job(content, origin)
    if not examples:
        raise DataError("has no rows")
    return DataSet(examples, origin, sha256(content).hexdigest(), origin)


def content_sha256(examples: Sequence[Example]) -> str:
    """Return the SHA-256 (hex) of the inputs and outputs, in their order, independent of their format."""
    digest = sha256()
    for example in examples:
        digest.update(_content(example).encode() + b"\n")
    return digest.hexdigest()


def _content(example: Example) -> str:
    """Return an example as JSON; a conversation of one user message counts as its text."""
    given: Any = example.input
    if not isinstance(given, str) and len(given) == 1 and given[0].keys() == {"role", "content"}:
        given = given[0]["content"] if given[0]["role"] == "user" else given
    return canonical_json([given, example.expected])


PREFIX = "tuning: "  # the prefix of the names of notes on jobs


class JobNotes:
    """Look up notes on jobs in committed recordings first, then in the notes of this machine."""

    def __init__(self, committed: Mapping[str, str], kept: Notes) -> None:
        self._committed = committed
        self._kept = kept
        self.used: dict[str, str] = {}  # notes on jobs that were read or written, for the recordings

    def get(self, name: str) -> str | None:
        text = self._committed.get(name)
        text = self._kept.get(name) if text is None else text
        if text is not None:
            self._use(name, text)
        return text

    def put(self, name: str, text: str) -> None:
        self._use(name, text)
        self._kept.put(name, text)

    def named(self, prefix: str) -> Mapping[str, str]:
        committed = {name: text for name, text in self._committed.items() if name.startswith(prefix)}
        return {**self._kept.named(prefix), **committed}

    def _use(self, name: str, text: str) -> None:
        if name.startswith(PREFIX):
            self.used[name] = text


_T = TypeVar("_T")

_RETRY = RetryPolicy()


@dataclass(frozen=True)
class Tuned:
    """Describe a model made by a job."""

    spec: ModelSpec  # the model as written, with its name at the endpoint in place of the job
    job: TuningJob
    checkpoint: Checkpoint | None = None  # the chosen one; None: the job's fine-tuned model
    chosen_by: str = ""  # how the checkpoint was chosen, for reports; empty without one

    def facts(self) -> dict[str, Any]:
        """Return the fields of a :class:`~pytest_ftgate.result.ModelResult`."""
        return {
            "model": self.spec.spelling,
            "job": self.job.id,
            "checkpoint": self.checkpoint.step if self.checkpoint else None,
            "base_model": self.job.base_model,
            "trained_tokens": self.job.trained_tokens,
            "hyperparameters": dict(self.job.hyperparameters) or None,
        }


class JobRecords:
    """Read what the endpoint says about the job of one model.

    A job that has succeeded never changes, nor do its checkpoints and files: what was read once is kept in the notes,
    and not requested again. All methods raise :class:`ModelError`.
    """

    def __init__(self, spec: ModelSpec, surroundings: Surroundings) -> None:
        self._spec = spec
        self._notes = surroundings.notes
        self._offline = surroundings.offline
        self._id: str = spec.options["job"]
        self.endpoint = endpoint_of(spec, self._id)
        self._home = sha256(self.endpoint.base_url.encode()).hexdigest()[:16]

    def job(self) -> TuningJob:
        """Return the job, which has succeeded."""
        return self._noted(
            f"job {self._home} {self._id}",
            lambda: read_job(self._asked(lambda client: client.job(self._id)), self._id, self.endpoint),
            lambda facts: TuningJob(**facts),
        )

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return the job's checkpoints, ordered by step."""
        return self._noted(
            f"checkpoints {self._home} {self._id}",
            lambda: read_checkpoints(self._asked(lambda one: one.checkpoints(self._id)), self._id, self.endpoint),
            lambda facts: tuple(Checkpoint(**one) for one in facts),
        )

    def file(self, id_: str, purpose: str) -> JobFile:
        """Return what is kept of a file of the job; ``purpose`` is for messages, such as ``training file``."""
        name = f"file {self._home} {id_}"
        return self._noted(name, lambda: job_file(id_, self.content(id_, purpose)), lambda facts: JobFile(**facts))

    def shared_inputs(self, id_: str, test: DataSet, count: Callable[[DataSet, DataSet], int]) -> int:
        """Return how many test examples are in a validation file of the job; ``count`` compares the two sets."""

        def ask() -> int:
            content = self.content(id_, "validation file")
            try:
                examples = read_examples(content, f"validation file {self.endpoint.quoted(id_, 80)}")
            except DataError as error:
                raise self.endpoint.error(
                    f"the validation file of the fine-tuning job {self._id} cannot be read as examples, so it is "
                    "unknown whether the best checkpoint was chosen on the test set",
                    fatal=True,
                    evidence=error.headline,
                    cure=NEEDS_VALIDATION_SET,
                ) from None
            return count(examples, test)

        return self._noted(f"shared {self._home} {id_} {test.sha256} {len(test)}", ask, int)

    def content(self, id_: str, purpose: str) -> bytes:
        """Return the bytes of a file, which are not kept."""
        return self._asked(lambda client: client.content(id_, purpose))

    def _noted(self, name: str, ask: Callable[[], _T], read: Callable[[Any], _T]) -> _T:
        """Return what the notes hold, or else what the endpoint says. An unreadable note counts as absent."""
        text = self._notes.get(PREFIX + name) if self._notes is not None else None
        if text is not None:
            with suppress(ValueError, TypeError):
                return read(json.loads(text))
        found = ask()
        if self._notes is not None:
            with suppress(StoreError):  # it is requested again next time
                self._notes.put(PREFIX + name, json.dumps(found, default=asdict))
        return found

    def _asked(self, ask: Callable[[JobClient], Awaitable[_T]]) -> _T:
        if self._offline:
            raise ModelError(
                f"the fine-tuning job {self._id} has not been read yet, and --ftgate-offline forbids calls",
                where=self._spec.source.where("job"),
                fatal=True,
                cure="run once without --ftgate-offline: the job is then kept beside the predictions, and written with "
                "the recordings (--ftgate-report=recordings:FOLDER)",
            )
        from pytest_ftgate.models.event_loop import run_in_own_loop

        check_key(self.endpoint)
        return run_in_own_loop(self._patiently(ask), lambda: None)

    async def _patiently(self, ask: Callable[[JobClient], Awaitable[_T]]) -> _T:
        """Make a call, and retry failures that may pass."""

        from pytest_ftgate.models.openai_api.client import JobClient

        parts = parts_of(self._spec)
        client = JobClient(self.endpoint, parts["timeout_s"])
        try:
            return await client.patiently(lambda: ask(client), parts["retries"], _RETRY.wait_s)
        finally:
            with suppress(Exception):  # the answer has arrived
                await client.aclose()


def has_job(spec: ModelSpec) -> bool:
    """Return whether the model is named by the job that made it."""
    return spec.provider == "openai" and "job" in spec.options


def settle(spec: ModelSpec, surroundings: Surroundings) -> Tuned:
    """Return the model of a job, with its name at the endpoint. Raises :class:`ModelError`."""
    records = JobRecords(spec, surroundings)
    job, wanted = records.job(), spec.options.get("checkpoint")
    if wanted is None:
        return Tuned(_named(spec, job.model), job)
    checkpoint, chosen_by = choose_checkpoint(records.checkpoints(), wanted, job, records.endpoint)
    return Tuned(_named(spec, checkpoint.model), job, checkpoint, chosen_by)


def contenders(spec: ModelSpec, surroundings: Surroundings) -> tuple[Tuned, ...]:
    """Return all checkpoints of a job, ordered by step. Raises :class:`ModelError`."""
    records = JobRecords(spec, surroundings)
    job, checkpoints = records.job(), records.checkpoints()
    choose_checkpoint(checkpoints, "last", job, records.endpoint)  # raises if there is none
    return tuple(Tuned(_named(spec, one.model), job, one) for one in checkpoints)


def build_settled(spec: ModelSpec, surroundings: Surroundings, hook: Any | None = None) -> Model:
    """Return the model that a gate names directly or by its job. Raises :class:`FtgateError`."""
    named = settle(spec, surroundings).spec if has_job(spec) else spec
    return build_model(named, surroundings, hook)


def _named(spec: ModelSpec, model: str) -> ModelSpec:
    options = {key: value for key, value in spec.options.items() if key not in ("job", "checkpoint")}
    return replace(spec, options={"model": model, **options}, spelling=f"openai:{model}")
