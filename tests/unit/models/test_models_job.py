"""Jobs and checkpoints as endpoints tell them, sound and unsound."""

import pytest
from job_project import JOB, checkpoint, job

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.endpoint import Endpoint
from pytest_ftgate.models.openai_api.job import Checkpoint, TuningJob, choose_checkpoint, read_checkpoints, read_job

ENDPOINT = Endpoint("https://host.example/v1", JOB, key="a-key-of-mine")
TUNED = TuningJob(JOB, "ft")
VALIDATED = TuningJob(JOB, "ft", validation_file="file-v")


def refused(body):
    with pytest.raises(ModelError) as caught:
        read_job(body, JOB, ENDPOINT)
    assert caught.value.fatal
    assert JOB in caught.value.what
    return caught.value


def test_all_of_a_job_is_read_and_what_is_unsound_is_unknown():
    numbers = {"n_epochs": 3, "batch_size": 8, "learning_rate_multiplier": 1.8}
    files = {"training_file": "file-train", "validation_file": "file-v"}
    whole = TuningJob(JOB, "ft", base_model="base-2025-04-14", trained_tokens=5768, hyperparameters=numbers, **files)
    assert read_job(job(validation_file="file-v"), JOB, ENDPOINT) == whole
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
def test_hyperparameters_stand_in_one_of_two_places(changes, expected):
    assert read_job(job(**changes), JOB, ENDPOINT).hyperparameters == expected


@pytest.mark.parametrize(
    ("body", "word"),
    [
        *(("<html>", "text"), (None, "null"), ({}, "status"), (job(status=3), "status")),
        (job(id="ftjob-other"), "id"),
        (job(fine_tuned_model=None), "fine_tuned_model"),
    ],
)
def test_what_is_no_job(body, word):
    assert word in refused(body).what


def test_a_failed_job_says_why():
    told = refused(job(status="failed", error={"code": "x", "message": "bad\nfile for a-key-of-mine"}))
    assert "failed" in told.what
    assert "bad file for ***" in told.evidence


def test_checkpoints_are_read_in_the_order_of_their_steps():
    rows = [checkpoint(20, "b", full_valid_loss=0.5, valid_loss=float("inf")), checkpoint(10, "a")]
    assert read_checkpoints(rows, JOB, ENDPOINT) == (Checkpoint(10, "a"), Checkpoint(20, "b", {"full_valid_loss": 0.5}))
    assert read_checkpoints([{**checkpoint(1, "a"), "metrics": None}], JOB, ENDPOINT) == (Checkpoint(1, "a"),)


@pytest.mark.parametrize(
    "rows",
    [[checkpoint(1, "")], [{"fine_tuned_model_checkpoint": "a"}], ["a"], [checkpoint(1, "a"), checkpoint(1, "b")]],
)
def test_what_is_no_checkpoint(rows):
    with pytest.raises(ModelError, match="step"):
        read_checkpoints(rows, JOB, ENDPOINT)


def losses(**by_step):
    """Checkpoints ``s1``, ``s2``, ... with a full_valid_loss and a valid_loss, where they are not None."""
    names = ("full_valid_loss", "valid_loss")
    return tuple(
        Checkpoint(
            int(step[1:]), step, {name: value for name, value in zip(names, pair, strict=True) if value is not None}
        )
        for step, pair in by_step.items()
    )


@pytest.mark.parametrize(
    ("checkpoints", "best", "loss"),
    [
        (losses(s1=(0.5, 0.1), s2=(0.4, 0.2), s3=(0.6, 0.0)), "s2", "full_valid_loss"),
        (losses(s1=(None, 0.3), s2=(0.1, 0.2)), "s2", "valid_loss"),
        (losses(s1=(0.3, None), s2=(0.3, None)), "s1", "full_valid_loss"),
    ],
)
def test_the_best_has_the_lowest_loss_that_all_have(checkpoints, best, loss):
    found, words = choose_checkpoint(checkpoints, "best", VALIDATED, ENDPOINT)
    assert found.model == best
    assert f" {loss} " in words


@pytest.mark.parametrize(
    ("wanted", "tuned", "checkpoints", "words"),
    [
        ("best", TUNED, losses(s1=(0.1, None)), ["validation file", "validation_set"]),
        ("best", VALIDATED, losses(s1=(0.1, None), s2=(None, 0.1)), ["full_valid_loss", "validation_set"]),
        ("last", TUNED, (), []),
    ],
)
def test_the_best_that_is_not_known_and_no_checkpoints_at_all(wanted, tuned, checkpoints, words):
    with pytest.raises(ModelError) as caught:
        choose_checkpoint(checkpoints, wanted, tuned, ENDPOINT)
    assert all(word in str(caught.value) for word in (JOB, *words))
