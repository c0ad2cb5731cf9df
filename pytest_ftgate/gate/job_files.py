"""The files of the job that made the candidate: what it was trained on, and what its checkpoint is chosen on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks.context import Prepared
from pytest_ftgate.errors import ModelError

if TYPE_CHECKING:
    from pytest_ftgate.checks.checkpoint import Shared
    from pytest_ftgate.models import Surroundings

_ROWS_SHOWN = 5


def with_job_files(prepared: Prepared, surroundings: Surroundings) -> Prepared:
    """What the endpoint says of them; as it is where the candidate is not named by a job."""
    if "candidate" not in prepared.tuned:
        return prepared
    return replace(_with_training_file(prepared, surroundings), shared=_shared_examples(prepared, surroundings))


def _with_training_file(prepared: Prepared, surroundings: Surroundings) -> Prepared:
    """What the candidate's job was trained on; the bytes are fetched once more only to explain a difference."""
    from pytest_ftgate.checks.training_file import is_the_file
    from pytest_ftgate.models.openai_api.tuning import JobRecords

    job = prepared.tuned["candidate"].job
    if job.training_file is None:
        raise ModelError(
            f"the endpoint does not say on which file the fine-tuning job {job.id} was trained, so that the training "
            "set cannot be verified",
            where=prepared.config.candidate.source.where("job"),
            cure="name the fine-tuned model itself: model in place of job",
        )
    records = JobRecords(prepared.config.candidate, surroundings)
    file = records.file(job.training_file, "training file")
    content = None
    if not is_the_file(prepared.training, file):
        with suppress(ModelError):
            content = records.content(file.id, "training file")
    return replace(prepared, trained_on=file, trained_on_content=content)


def _shared_examples(prepared: Prepared, surroundings: Surroundings) -> Shared | None:
    """What the test set has in common with the examples on which the candidate's checkpoint is chosen."""
    from pytest_ftgate.checks.checkpoint import Shared
    from pytest_ftgate.checks.training_set import leaked_rows
    from pytest_ftgate.models.openai_api.tuning import JobRecords

    config, test = prepared.config, prepared.test
    if prepared.contest is not None:
        validation = prepared.contest.validation
        rows = leaked_rows(validation, test)
        places = ", ".join(f"{test.where(t)} = {validation.where(v)}" for t, v in rows[:_ROWS_SHOWN])
        places += ", ..." if len(rows) > _ROWS_SHOWN else ""
        return Shared("the validation set", len(rows), places, str(config.sources["validation_set"]))
    file = prepared.tuned["candidate"].job.validation_file
    if config.candidate.options.get("checkpoint") != "best" or file is None:
        return None
    records = JobRecords(config.candidate, surroundings)
    name = f"the job's validation file {records.endpoint.quoted(file, 80)}"
    count = records.shared_inputs(file, test, lambda examples, tested: len(leaked_rows(examples, tested)))
    return Shared(name, count, "", str(config.candidate.source))
