"""Jobs and checkpoints as endpoints tell them, sound and unsound."""

from __future__ import annotations

from typing import Any

import pytest
from job_project import JOB, checkpoint, job

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.endpoint import Endpoint
from pytest_ftgate.models.openai_api.job import Checkpoint, TuningJob, choose_checkpoint, read_checkpoints, read_job

ENDPOINT = Endpoint("https://host.example/v1", JOB, key="a-key-of-mine")
TUNED = TuningJob(JOB, "ft")
VALIDATED = TuningJob(JOB, "ft", validation_file="file-v")


def refused(body: Any) -> str:
    with pytest.raises(ModelError) as caught:
        read_job(body, JOB, ENDPOINT)
    assert caught.value.fatal
    return str(caught.value)


def test_all_of_a_job_is_read() -> None:
    assert read_job(job(validation_file="file-v"), JOB, ENDPOINT) == TuningJob(
        id=JOB,
        model="ft",
        base_model="base-2025-04-14",
        trained_tokens=5768,
        hyperparameters={"n_epochs": 3, "batch_size": 8, "learning_rate_multiplier": 1.8},
        training_file="file-train",
        validation_file="file-v",
    )


def test_what_is_unsound_is_unknown() -> None:
    odd = job(model=3, trained_tokens="5", hyperparameters=[1], training_file="", validation_file={})
    assert read_job(odd, JOB, ENDPOINT) == TUNED
    assert read_job({"status": "succeeded", "fine_tuned_model": "ft"}, JOB, ENDPOINT) == TUNED


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"hyperparameters": {"n_epochs": "auto", "odd": [1], "nan": float("nan")}}, {"n_epochs": "auto"}),
        (
            {"hyperparameters": None, "method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.1}}}},
            {"beta": 0.1},
        ),
        ({"hyperparameters": {}, "method": {"type": "dpo"}}, {}),
        ({"hyperparameters": {}, "method": {"type": ["dpo"]}}, {}),
    ],
)
def test_hyperparameters_stand_in_one_of_two_places(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read_job(job(**changes), JOB, ENDPOINT).hyperparameters == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html>", "not the fine-tuning job ftjob-abc123: it is text, not an object"),
        (None, "not the fine-tuning job ftjob-abc123: it is null, not an object"),
        ({}, "not the fine-tuning job ftjob-abc123: it has no status"),
        (job(status=3), "not the fine-tuning job ftjob-abc123: it has no status"),
        (job(id="ftjob-other"), "not the fine-tuning job ftjob-abc123: it has another id"),
        (job(fine_tuned_model=None), "has succeeded, but names no fine_tuned_model"),
    ],
)
def test_what_is_no_job(body: Any, message: str) -> None:
    assert message in refused(body)


def test_a_failed_job_says_why() -> None:
    told = refused(job(status="failed", error={"code": "x", "message": "bad\nfile for a-key-of-mine"}))
    assert told == (
        "host.example: the fine-tuning job ftjob-abc123 has not succeeded: its state is failed\n"
        "  it says: bad file for ***\n"
        "  correct what made it fail, start a new job, and name that one"
    )


def test_checkpoints_are_read_in_the_order_of_their_steps() -> None:
    rows = [checkpoint(20, "b", full_valid_loss=0.5, valid_loss=float("inf")), checkpoint(10, "a")]
    assert read_checkpoints(rows, JOB, ENDPOINT) == (
        Checkpoint(10, "a"),
        Checkpoint(20, "b", {"full_valid_loss": 0.5}),
    )
    assert read_checkpoints([{**checkpoint(1, "a"), "metrics": None}], JOB, ENDPOINT) == (Checkpoint(1, "a"),)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([checkpoint(1, "")], "holds one without a step or a name"),
        ([{"fine_tuned_model_checkpoint": "a"}], "holds one without a step or a name"),
        (["a"], "holds one without a step or a name"),
        ([checkpoint(1, "a"), checkpoint(1, "b")], "holds step 1 twice"),
    ],
)
def test_what_is_no_checkpoint(rows: list[Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_checkpoints(rows, JOB, ENDPOINT)


def losses(**by_step: tuple[float | None, float | None]) -> tuple[Checkpoint, ...]:
    """Checkpoints ``s1``, ``s2``, ... with a full_valid_loss and a valid_loss, where they are not None."""
    names = ("full_valid_loss", "valid_loss")
    return tuple(
        Checkpoint(
            int(step[1:]), step, {name: value for name, value in zip(names, pair, strict=True) if value is not None}
        )
        for step, pair in by_step.items()
    )


@pytest.mark.parametrize(
    ("checkpoints", "best", "why"),
    [
        (
            losses(s1=(0.5, 0.1), s2=(0.4, 0.2), s3=(0.6, 0.0)),
            "s2",
            "full_valid_loss of the job's validation file, 0.4, of 3",
        ),
        (losses(s1=(None, 0.3), s2=(0.1, 0.2)), "s2", "valid_loss of the job's validation file, 0.2, of 2"),
        (losses(s1=(0.3, None), s2=(0.3, None)), "s1", "full_valid_loss of the job's validation file, 0.3, of 2"),
    ],
)
def test_the_best_has_the_lowest_loss_that_all_have(checkpoints: Any, best: str, why: str) -> None:
    found, words = choose_checkpoint(checkpoints, "best", VALIDATED, ENDPOINT)
    assert (found.model, words) == (best, f"best: the lowest {why}")


@pytest.mark.parametrize(
    ("tuned", "checkpoints", "why"),
    [
        (TUNED, losses(s1=(0.1, None)), "the job had no validation file"),
        (
            VALIDATED,
            losses(s1=(0.1, None), s2=(None, 0.1)),
            "the endpoint gives no full_valid_loss or valid_loss for every checkpoint",
        ),
    ],
)
def test_the_best_that_is_not_known(tuned: TuningJob, checkpoints: Any, why: str) -> None:
    with pytest.raises(ModelError) as caught:
        choose_checkpoint(checkpoints, "best", tuned, ENDPOINT)
    assert str(caught.value) == (
        f"host.example: the best checkpoint of the fine-tuning job ftjob-abc123 is not known: {why}\n"
        "  give the gate a validation_set, on which the checkpoints are compared"
    )


def test_no_checkpoints_at_all() -> None:
    with pytest.raises(ModelError, match="lists no checkpoint of the fine-tuning job ftjob-abc123"):
        choose_checkpoint((), "last", TUNED, ENDPOINT)
