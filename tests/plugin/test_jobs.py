"""Candidates that are named by their fine-tuning job: what is read, what is compared, what trouble becomes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from hashlib import sha256
from typing import Any

import pytest
from endpoint_project import EVERY_REQUEST
from gate_project import check, label, refused, statuses, write_jsonl, wrong
from job_project import (
    CHECKPOINTS_ROUTE,
    FILE,
    FILE_ROUTE,
    JOB,
    JOB_ROUTE,
    JobProject,
    chat,
    checkpoint,
    job,
    page,
)
from loopback import LoopbackServer, Reply, error

KEY = "correct-horse-battery-staple"

pytestmark = pytest.mark.usefixtures("no_ambient_settings")


@pytest.fixture
def jobs(pytester: pytest.Pytester, server: LoopbackServer) -> JobProject:
    return JobProject(pytester, server)


# --- what is read --------------------------------------------------------------------------------------------


def test_a_job_is_judged_as_the_model_that_it_made(jobs: JobProject) -> None:
    jobs.gate_test()
    gate = jobs.gate("-v")
    assert gate["verdict"] == "pass", gate["checks"]
    assert jobs.asked == EVERY_REQUEST
    assert jobs.read == [JOB_ROUTE, FILE_ROUTE]
    candidate = gate["candidate"]
    assert (candidate["name"], candidate["model"], candidate["job"]) == (JOB, "openai:ft", JOB)
    assert (candidate["base_model"], candidate["trained_tokens"], candidate["checkpoint"]) == (
        "base-2025-04-14",
        5768,
        None,
    )
    assert candidate["hyperparameters"] == {"n_epochs": 3, "batch_size": 8, "learning_rate_multiplier": 1.8}
    assert gate["baseline"]["job"] is None
    same = check(gate, "training_file")
    digest = sha256(jobs.trained()).hexdigest()
    assert same["status"] == "pass"
    assert same["message"] == (
        f"the training set is the file {FILE}, on which the candidate's job was trained (sha256 {digest[:12]})"
    )
    assert (same["observed"], same["required"]) == (digest, digest)
    assert "base_model" not in statuses(gate)
    jobs.result.stdout.fnmatch_lines(
        [
            f"  candidate: openai:ft, made by job {JOB}, from base-2025-04-14, 5,768 trained tokens, "
            "n_epochs 3, batch_size 8, learning_rate_multiplier 1.8"
        ]
    )


def test_predictions_are_shared_with_the_model_named_directly(jobs: JobProject) -> None:
    jobs.gate_test(candidate=jobs.model("ft"))
    assert jobs.gate()["verdict"] == "pass"
    jobs.forget()
    jobs.gate_test()
    gate = jobs.gate()
    assert (gate["verdict"], gate["candidate"]["n_stored"]) == ("pass", 60)
    assert jobs.asked == Counter()


def test_the_models_other_keys_hold(jobs: JobProject) -> None:
    jobs.gate_test(candidate=jobs.job(system="Name the topic.", params={"temperature": 0}, name="tuned"))
    gate = jobs.gate()
    assert (gate["verdict"], gate["candidate"]["name"]) == ("pass", "tuned")
    (body, *_) = [body for body in jobs.server.bodies if body["model"] == "ft"]
    assert (body["temperature"], body["messages"][0]) == (0, {"role": "system", "content": "Name the topic."})


def test_a_baseline_may_be_a_job_too(jobs: JobProject) -> None:
    older = job(id="ftjob-older", fine_tuned_model="base", training_file="file-older")
    jobs.server.replies["GET /v1/fine_tuning/jobs/ftjob-older"] = Reply(body=older)
    jobs.gate_test(baseline=jobs.job(job="ftjob-older"))
    gate = jobs.gate()
    assert (gate["verdict"], gate["baseline"]["model"], gate["baseline"]["job"]) == (
        "pass",
        "openai:base",
        "ftjob-older",
    )
    assert "GET /v1/files/file-older/content" not in jobs.read


def test_another_base_is_said(jobs: JobProject) -> None:
    jobs.tell(model="tiny")
    jobs.gate_test()
    gate = jobs.gate()
    assert gate["verdict"] == "pass"
    assert (check(gate, "base_model")["observed"], check(gate, "base_model")["required"]) == ("base", "tiny")


def test_where_it_is_to_be_matched_a_larger_baseline_is_the_point(jobs: JobProject) -> None:
    jobs.tell(model="tiny")
    jobs.gate_test(objective="match", margin=..., max_drop=0.1, faster_by=2)
    assert "base_model" not in statuses(jobs.gate())


def test_a_job_as_baseline_of_a_model_that_was_not_tuned_looks_swapped(jobs: JobProject) -> None:
    older = job(id="ftjob-older", fine_tuned_model="base")
    jobs.server.replies["GET /v1/fine_tuning/jobs/ftjob-older"] = Reply(body=older)
    jobs.gate_test(baseline=jobs.job(job="ftjob-older"), candidate=jobs.model("ft"))
    assert "is a fine-tuned model (job) and candidate ft is not" in check(jobs.gate(), "swapped")["message"]


def test_the_fixtures_take_a_job(jobs: JobProject) -> None:
    body = """
    def test_gate(ftgate, ftgate_candidate, ftgate_evaluate):
        assert ftgate.candidate.job == "ftjob-abc123"
        assert ftgate_candidate("customer question 3") == "refund"
        run = ftgate_evaluate(CANDIDATE, "test.jsonl")
        assert round(run.metrics["accuracy"], 4) == 0.9333
    """
    jobs.gate_test(body=body.replace("\n    ", "\n").replace("CANDIDATE", repr(jobs.keys["candidate"])))
    assert jobs.gate()["verdict"] == "pass"
    jobs.result.assert_outcomes(passed=1)


# --- jobs that cannot be judged ------------------------------------------------------------------------------


WAIT = "wait until it has succeeded, then run again"
ANEW = "start a new job, and name that one"


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("validating_files", WAIT),
        ("queued", WAIT),
        ("running", WAIT),
        ("paused", "resume it, and wait until it has succeeded"),
        ("failed", f"reason: the file is bad; correct what made it fail, {ANEW}"),
        ("cancelled", ANEW),
        ("odd", "name a job whose state is succeeded"),
    ],
)
def test_a_job_that_has_not_succeeded(jobs: JobProject, state: str, advice: str) -> None:
    told = {"message": "the file is bad", "code": "invalid"} if state == "failed" else None
    jobs.tell(status=state, fine_tuned_model=None, error=told)
    jobs.gate_test()
    assert refused(jobs).endswith(f"the fine-tuning job {JOB} has not succeeded: its state is {state}")
    assert jobs.asked == Counter()
    jobs.result.stdout.fnmatch_lines([f"*{advice}"])


def test_what_an_endpoint_says_of_a_state_is_harmless(jobs: JobProject) -> None:
    jobs.tell(status="\x1b[2J" * 40, error={"message": "sk-abcdefgh \x1b[31m " * 90})
    jobs.gate_test()
    refused(jobs)
    text = jobs.result.stdout.str()
    assert "\x1b[2J" not in text
    assert "sk-abcdefgh" not in text


def test_a_state_is_not_kept(jobs: JobProject) -> None:
    jobs.tell(status="running", fine_tuned_model=None)
    jobs.gate_test()
    refused(jobs)
    jobs.tell()
    assert jobs.gate()["verdict"] == "pass"


def test_a_job_that_nobody_knows(jobs: JobProject) -> None:
    jobs.server.replies[JOB_ROUTE] = error(404, "fine_tune_not_found", message=f"Could not find fine tune: {JOB}")
    jobs.gate_test()
    assert refused(jobs).endswith(f"the endpoint knows no fine-tuning job {JOB}")
    jobs.result.stdout.fnmatch_lines([f"*404 Not Found: Could not find fine tune: {JOB}*"])


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_endpoint_without_jobs(jobs: JobProject, status: int) -> None:
    lacking = Reply(status=status, body='{"detail":"Not Found"}')
    jobs.server.replies |= {JOB_ROUTE: lacking, "GET /v1/fine_tuning/jobs": lacking}
    jobs.gate_test()
    assert refused(jobs).endswith(
        f"this endpoint lacks the fine-tuning API (GET /fine_tuning/jobs), by which the job {JOB} could be read"
    )
    jobs.result.stdout.fnmatch_lines([f"*{status} *name the fine-tuned model itself: model in place of job*"])


def test_an_endpoint_without_files(jobs: JobProject) -> None:
    jobs.lack(FILE_ROUTE, "GET /v1/files")
    jobs.gate_test()
    assert refused(jobs).endswith(
        "this endpoint lacks the files API (GET /files/ID/content), so that the training file file-train cannot be "
        "verified"
    )


def test_a_training_file_that_was_deleted(jobs: JobProject) -> None:
    jobs.lack(FILE_ROUTE)
    jobs.gate_test()
    assert refused(jobs).endswith(f"no longer has the training file {FILE}, so that it cannot be verified")


def test_a_job_without_a_training_file(jobs: JobProject) -> None:
    jobs.tell(training_file=None)
    jobs.gate_test()
    assert "does not say on which file the fine-tuning job ftjob-abc123 was trained" in refused(jobs)


def test_a_refused_key_is_not_shown(jobs: JobProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTGATE_TEST_KEY", KEY)
    jobs.server.replies[JOB_ROUTE] = error(401, message=f"Incorrect API key provided: {KEY}")
    jobs.gate_test(candidate=jobs.job(api_key_env="FTGATE_TEST_KEY"))
    assert "the key in FTGATE_TEST_KEY was refused" in refused(jobs)
    report = (jobs.path / "report.json").read_text()
    assert KEY not in jobs.result.stdout.str() + jobs.result.stderr.str() + report
    assert jobs.server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_only_a_named_key_is_sent(jobs: JobProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-ambient")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Ambient: 1")
    jobs.gate_test()
    assert jobs.gate()["verdict"] == "pass"
    sent = {name for headers in jobs.server.headers for name in headers}
    assert sent.isdisjoint({"authorization", "openai-organization", "x-ambient", "x-stainless-os"})


def test_a_missing_key_is_said_before_anything_is_asked(jobs: JobProject) -> None:
    jobs.gate_test(candidate=jobs.job(api_key_env="FTGATE_ABSENT_KEY"))
    assert refused(jobs).endswith("api_key_env: the environment variable FTGATE_ABSENT_KEY is not set")
    assert jobs.server.requests == []


def test_reading_is_tried_again(jobs: JobProject) -> None:
    jobs.server.faults.extend([error(429, retry_after="0"), Reply(drop=True)])
    jobs.gate_test(candidate=jobs.job(retries=2))
    assert jobs.gate()["verdict"] == "pass"
    assert jobs.read == [JOB_ROUTE] * 3 + [FILE_ROUTE]


def test_a_server_that_stays_broken(jobs: JobProject) -> None:
    jobs.server.replies[JOB_ROUTE] = error(500)
    jobs.gate_test(candidate=jobs.job(retries=1))
    assert "the endpoint failed" in refused(jobs)
    assert jobs.read == [JOB_ROUTE] * 2


# --- the training file ---------------------------------------------------------------------------------------


def changed(jobs: JobProject, rows: list[dict[str, Any]]) -> str:
    """Return what the gate says where the job was trained on these rows."""
    content = "".join(json.dumps(row) + "\n" for row in rows)
    jobs.server.replies[FILE_ROUTE] = Reply(body=content)
    jobs.gate_test()
    message = refused(jobs, "fail")
    assert jobs.asked == Counter()
    (start, end) = message.split(")", 1)
    assert start.startswith(
        f"the training set is not the file {FILE}, on which the candidate's job was trained (sha256 "
    )
    return end


def rows() -> list[dict[str, Any]]:
    return [chat(f"training question {i}", label(i)) for i in range(200)]


def test_a_row_that_only_the_job_has_seen(jobs: JobProject) -> None:
    found = changed(jobs, [*rows(), chat("customer question 1", label(1))])
    assert found == ": 1 row only in that file (the first: line 201)"


def test_rows_that_differ(jobs: JobProject) -> None:
    found = changed(jobs, [chat("another question", "refund"), *rows()[2:]])
    assert found == (
        ": 2 rows only in the training set (the first: line 1), 1 row only in that file (the first: line 1)"
    )


def test_rows_in_another_order(jobs: JobProject) -> None:
    assert changed(jobs, rows()[::-1]) == ": the rows are the same, but in another order"


def test_rows_written_otherwise(jobs: JobProject) -> None:
    spaced = [{"weight": 1, **row} for row in rows()]
    assert changed(jobs, spaced) == ": the rows are the same, but the files differ in their bytes"


def test_a_job_file_that_holds_no_examples(jobs: JobProject) -> None:
    assert changed(jobs, [{"question": "p", "answer": "c"}]).startswith(": that file cannot be read as examples (")


def test_a_known_difference_is_still_a_failure_offline(jobs: JobProject) -> None:
    changed(jobs, rows()[::-1])
    jobs.pytester.makeini("[pytest]\naddopts = --ftgate-offline\n")
    assert refused(jobs, "fail").startswith(f"the training set is not the file {FILE}")


def test_a_limit_hides_no_row_of_the_file(jobs: JobProject) -> None:
    jobs.gate_test(training_set={"path": "train.jsonl", "limit": 150}, min_training_examples=100)
    assert refused(jobs, "fail").startswith(f"the training set is limited to 150 of the 200 rows of the file {FILE}")


def test_a_training_set_from_a_fixture_is_compared_row_by_row(jobs: JobProject) -> None:
    fixture = """
import json, pathlib, pytest

@pytest.fixture
def ftgate_training_set():
    rows = [json.loads(line)["messages"] for line in pathlib.Path("train.jsonl").read_text().splitlines()]
    return [(question["content"], answer["content"]) for question, answer in rows][SKIPPED:]
"""
    jobs.pytester.makeconftest(fixture.replace("SKIPPED", "0"))
    jobs.gate_test(training_set=...)
    gate = jobs.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert check(gate, "training_file")["message"].startswith(f"the training set has the rows of the file {FILE}")
    jobs.pytester.makeconftest(fixture.replace("SKIPPED", "1"))
    jobs.gate_test(training_set=..., min_training_examples=100)
    assert refused(jobs, "fail").endswith(": 1 row only in that file (the first: line 1)")


# --- offline -------------------------------------------------------------------------------------------------


def test_offline_without(jobs: JobProject) -> None:
    jobs.pytester.makeini("[pytest]\naddopts = --ftgate-offline\n")
    jobs.gate_test()
    message = refused(jobs)
    assert JOB in message
    assert "--ftgate-offline" in message
    assert jobs.server.requests == []


# --- checkpoints ---------------------------------------------------------------------------------------------


def with_checkpoints(jobs: JobProject, *rows: dict[str, Any]) -> None:
    jobs.server.replies[CHECKPOINTS_ROUTE] = page(*rows)


@pytest.mark.parametrize(
    ("wanted", "step", "why"),
    [
        ("last", 300, "the last"),
        (300, 300, "by its step"),
    ],
)
def test_a_checkpoint_by_its_place(jobs: JobProject, wanted: Any, step: int, why: str) -> None:
    with_checkpoints(jobs, checkpoint(300, "ft"), checkpoint(100, "other"), checkpoint(200, "other"))
    jobs.gate_test(candidate=jobs.job(checkpoint=wanted))
    gate = jobs.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert (gate["candidate"]["model"], gate["candidate"]["checkpoint"]) == ("openai:ft", step)
    assert jobs.asked == EVERY_REQUEST
    assert check(gate, "checkpoint")["message"] == f"the candidate is the checkpoint at step {step} ({why})"


def test_a_step_that_has_no_checkpoint(jobs: JobProject) -> None:
    with_checkpoints(jobs, checkpoint(100, "a"), checkpoint(200, "b"))
    jobs.gate_test(candidate=jobs.job(checkpoint=150))
    assert refused(jobs).endswith(f"the fine-tuning job {JOB} has no checkpoint at step 150")
    jobs.result.stdout.fnmatch_lines(["*its checkpoints are at 100, 200*"])


def test_an_endpoint_without_checkpoints(jobs: JobProject) -> None:
    jobs.lack(CHECKPOINTS_ROUTE)
    jobs.gate_test(candidate=jobs.job(checkpoint="last"))
    assert f"this endpoint lacks the API of checkpoints (GET /fine_tuning/jobs/{JOB}/checkpoints)" in refused(jobs)


def test_all_pages_of_checkpoints_are_read(jobs: JobProject) -> None:
    def answer(request: Any) -> Reply:
        if "after=ftckpt_100" in request.path:
            return page(checkpoint(50, "other"))
        return page(checkpoint(300, "ft"), checkpoint(100, "other"), more=True)

    jobs.server.replies[CHECKPOINTS_ROUTE] = answer
    jobs.gate_test(candidate=jobs.job(checkpoint="last"))
    gate = jobs.gate()
    assert (gate["verdict"], gate["candidate"]["checkpoint"]) == ("pass", 300)
    assert sum("checkpoints" in path for path in jobs.read) == 2


# --- the best checkpoint, by the job's own losses ------------------------------------------------------------


def with_validation_file(jobs: JobProject, *questions: str) -> None:
    jobs.tell(validation_file="file-valid")
    content = "".join(json.dumps(chat(question, "refund")) + "\n" for question in questions)
    jobs.server.replies["GET /v1/files/file-valid/content"] = Reply(body=content)
    losses = {100: ("other", 0.5), 200: ("ft", 0.25), 300: ("other", 0.3)}
    with_checkpoints(jobs, *(checkpoint(step, name, full_valid_loss=loss) for step, (name, loss) in losses.items()))
    jobs.gate_test(candidate=jobs.job(checkpoint="best"))


def test_the_best_by_the_jobs_own_losses(jobs: JobProject) -> None:
    with_validation_file(jobs, "validation question 1", "validation question 2")
    gate = jobs.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert jobs.asked == EVERY_REQUEST
    assert check(gate, "checkpoint")["message"] == (
        "the candidate is the checkpoint at step 200 (best: the lowest full_valid_loss of the job's validation file, "
        "0.25, of 3)"
    )
    assert check(gate, "validation_set")["message"] == (
        "no test example is in the job's validation file file-valid, on which the checkpoint is chosen"
    )
    jobs.forget()
    assert jobs.gate("--ftgate-offline")["verdict"] == "pass"
    assert jobs.server.requests == []


def test_the_best_must_not_be_chosen_on_the_test_set(jobs: JobProject) -> None:
    with_validation_file(jobs, "validation question 1", "Customer  QUESTION 7")
    assert refused(jobs, "fail") == (
        "1 of 60 test examples is in the job's validation file file-valid, on which the checkpoint is chosen"
    )
    assert jobs.asked == Counter()
    assert refused(jobs, "fail").startswith("1 of 60")  # by the note
    jobs.test_set(59)  # another test set is looked at anew: it has the question all the same
    jobs.forget()
    assert refused(jobs, "fail").startswith("1 of 59")
    assert "GET /v1/files/file-valid/content" in jobs.read


def test_a_validation_file_that_cannot_be_looked_at(jobs: JobProject) -> None:
    with_validation_file(jobs, "validation question 1")
    jobs.server.replies["GET /v1/files/file-valid/content"] = Reply(body='{"prompt": 1}\n')
    assert "validation file" in refused(jobs)


# --- the best checkpoint, by the gate's own validation set ---------------------------------------------------


N_VALIDATION = 30


class ValidatedProject(JobProject):
    """Three checkpoints: ``early`` and ``late`` are wrong on more of the validation set than ``ft`` is."""

    def __init__(self, pytester: pytest.Pytester, server: LoopbackServer) -> None:
        super().__init__(pytester, server)
        self.missed = {"early": 12, "ft": 3, "late": 6}
        rows = [{"id": f"v{i}", "input": f"validation case {i}", "expected": label(i)} for i in range(N_VALIDATION)]
        write_jsonl(self.path / "valid.jsonl", rows)
        names = zip((100, 200, 300), ("early", "ft", "late"), strict=True)
        with_checkpoints(self, *(checkpoint(step, name) for step, name in names))
        on_test = server.answer

        def answer(body: dict[str, Any]) -> str | Reply:
            content = body["messages"][-1]["content"]
            if not content.startswith("validation case "):
                return on_test(body)
            index = int(content.removeprefix("validation case "))
            return wrong(index) if index < self.missed[body["model"]] else label(index)

        server.answer = answer
        self.keys |= {"candidate": self.job(checkpoint="best"), "validation_set": "valid.jsonl"}
        self.gate_test()

    @property
    def by_model(self) -> dict[str, int]:
        """Return how many questions each model was asked."""
        return dict(Counter(model for model, _ in self.asked.elements()))


@pytest.fixture
def validated(pytester: pytest.Pytester, server: LoopbackServer) -> ValidatedProject:
    return ValidatedProject(pytester, server)


def test_the_best_on_the_validation_set(validated: ValidatedProject) -> None:
    gate = validated.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert validated.by_model == {"early": 30, "ft": 90, "late": 30, "base": 60}
    assert (gate["candidate"]["model"], gate["candidate"]["checkpoint"]) == ("openai:ft", 200)
    assert check(gate, "checkpoint")["message"] == (
        "the candidate is the checkpoint at step 200 (best by accuracy on 30 validation examples: step 100 60.0 %, "
        "step 200 90.0 %, step 300 80.0 %; 90 answers, 0 of them stored)"
    )
    assert check(gate, "validation_set")["status"] == "pass"
    validated.forget()
    again = validated.gate("--ftgate-offline")
    assert (again["verdict"], again["candidate"]["checkpoint"]) == ("pass", 200)
    assert "90 answers, 90 of them stored" in check(again, "checkpoint")["message"]
    assert validated.server.requests == []


def test_the_best_checkpoint_of_one_of_several_candidates_is_also_shown_bare(validated: ValidatedProject) -> None:
    tuned = validated.job(checkpoint="best", system="One label.")
    validated.gate_test(
        candidate=..., candidates={"prompted": validated.model("base"), "tuned": tuned}, ablate_prompt=True
    )
    gate = validated.gate("--ftgate-report=recordings:kept")
    assert gate["verdict"] == "pass", gate["checks"]
    assert [(one["name"], one["model"], one["verdict"]) for one in gate["candidates"]] == [
        ("prompted", "openai:base", "fail"),
        ("tuned", "openai:ft", "pass"),
    ]
    assert (gate["candidate"]["checkpoint"], gate["bare"]["model"]) == (200, "openai:ft")
    assert gate["bare"]["value"] == 56 / 60
    kept = {path.name.split(".")[-2] for path in (validated.path / "kept").glob("*.*.jsonl")}
    assert kept >= {"baseline", "candidate_tuned", "candidate_bare_tuned", "validation_step_200_tuned"}
    validated.forget()
    (validated.path / "pytest.ini").write_text("[pytest]\nftgate_recordings = kept\nftgate_state = other\n")
    again = validated.gate("--ftgate-offline")
    assert (again["verdict"], again["bare"]["value"]) == ("pass", 56 / 60)
    assert validated.server.requests == []


def test_of_equals_the_first_is_the_best(validated: ValidatedProject) -> None:
    validated.missed = {"early": 12, "ft": 3, "late": 3}
    assert validated.gate()["candidate"]["checkpoint"] == 200


def test_a_validation_set_that_shares_inputs_with_the_test_set(validated: ValidatedProject) -> None:
    rows = [
        {"input": f"{name} {i}", "expected": label(i)}
        for name in ("validation case", "customer question")
        for i in (3, 4)
    ]
    write_jsonl(validated.path / "valid.jsonl", rows)
    assert refused(validated, "fail") == (
        "2 of 60 test examples are in the validation set, on which the checkpoint is chosen: "
        "test.jsonl:4 = valid.jsonl:3, test.jsonl:5 = valid.jsonl:4"
    )
    assert validated.asked == Counter()


def test_a_checkpoint_that_does_not_answer(validated: ValidatedProject) -> None:
    del validated.missed["late"]  # the server stumbles
    message = refused(validated, called=True)
    assert "answers of step 300" in message
    assert "500" in message
    assert "base" not in validated.by_model
    validated.missed["late"] = 6
    validated.forget()
    assert validated.gate()["verdict"] == "pass"
    assert validated.by_model["late"] == 30


def test_the_best_may_be_the_baseline_itself(validated: ValidatedProject) -> None:
    validated.gate_test(baseline=validated.model("ft"))
    assert refused(validated, "fail", called=True) == "baseline and candidate are the same model with the same prompt"
    assert validated.by_model == {"early": 30, "ft": 30, "late": 30}


def test_the_last_checkpoint_may_be_the_baseline(validated: ValidatedProject) -> None:
    validated.gate_test(baseline=validated.model("base"), candidate=validated.job(checkpoint="best"))
    with_checkpoints(validated, checkpoint(100, "early"), checkpoint(200, "ft"), checkpoint(300, "base"))
    validated.missed = {**validated.missed, "base": 9}
    assert validated.gate()["verdict"] == "pass"


def test_a_validation_set_that_nothing_is_chosen_on_is_said(jobs: JobProject) -> None:
    write_jsonl(jobs.path / "valid.jsonl", [{"input": "a", "expected": "refund"}])
    jobs.gate_test(validation_set="valid.jsonl")
    gate = jobs.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "validation_set")["message"].startswith("the validation set is not used")


# --- committed recordings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixture", ["jobs", "validated"])
def test_recordings_judge_a_job_without_a_key_or_a_call(fixture: str, request: pytest.FixtureRequest) -> None:
    """As in CI on a fresh checkout: nothing is stored there, and nobody is asked."""
    project: JobProject = request.getfixturevalue(fixture)
    project.gate_test(name="support")
    assert project.gate("--ftgate-report=recordings:recordings")["verdict"] == "pass"
    shutil.rmtree(project.path / ".ftgate")
    project.forget()
    project.pytester.makeini("[pytest]\nftgate_recordings = recordings\n")
    gate = project.gate("--ftgate-offline")
    assert gate["verdict"] == "pass", gate["checks"]
    assert (gate["candidate"]["job"], gate["candidate"]["n_stored"]) == (JOB, 60)
    assert check(gate, "training_file")["status"] == "pass"
    assert project.server.requests == []


def test_a_recorded_job_holds_no_secret(jobs: JobProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTGATE_TEST_KEY", KEY)
    jobs.gate_test(name="support", candidate=jobs.job(api_key_env="FTGATE_TEST_KEY"))
    assert jobs.gate("--ftgate-report=recordings:recordings")["verdict"] == "pass"
    text = (jobs.path / "recordings/support.jobs.json").read_text()
    assert FILE in text
    assert KEY not in text


def test_a_recorded_job_that_was_damaged(jobs: JobProject) -> None:
    jobs.file("recordings/support.jobs.json", "[]")
    jobs.pytester.makeini("[pytest]\nftgate_recordings = recordings\n")
    jobs.gate_test()
    (found,) = jobs.gate()["checks"]
    assert (found["name"], found["status"]) == ("configuration", "error")
    assert "recordings/support.jobs.json: " in found["message"]


# --- notes that cannot be read -------------------------------------------------------------------------------


def test_a_note_that_is_unreadable_is_as_none(jobs: JobProject) -> None:
    jobs.gate_test()
    assert jobs.gate()["verdict"] == "pass"
    with closing(sqlite3.connect(jobs.path / ".ftgate/predictions.sqlite3")) as connection, connection:
        assert connection.execute("UPDATE notes SET text = '{\"id\": 1' WHERE name LIKE 'tuning: %'").rowcount == 2
    jobs.forget()
    assert jobs.gate()["verdict"] == "pass"
    assert jobs.read == [JOB_ROUTE, FILE_ROUTE]


def test_a_job_is_asked_in_batches_like_any_model(jobs: JobProject) -> None:
    """The keys of a live model and of a batch go along with job: the endpoint here lacks batches, and says so."""
    jobs.gate_test(candidate=jobs.job(mode="batch"))
    message = refused(jobs, called=True)
    assert "ftjob-abc123" in message
    assert jobs.read[:2] == [JOB_ROUTE, FILE_ROUTE]


def test_a_list_of_checkpoints_that_never_ends(jobs: JobProject) -> None:
    jobs.server.replies[CHECKPOINTS_ROUTE] = page(checkpoint(100, "ft"), more=True)
    jobs.gate_test(candidate=jobs.job(checkpoint="last"))
    assert refused(jobs).endswith(f"list of checkpoints of the fine-tuning job {JOB} does not end")


@pytest.mark.parametrize("body", ["[]", '"text"', "<html>", '{"data": 3}'])
def test_what_is_no_list_of_checkpoints(jobs: JobProject, body: str) -> None:
    jobs.server.replies[CHECKPOINTS_ROUTE] = Reply(body=body, headers={"Content-Type": "text/html"})
    jobs.gate_test(candidate=jobs.job(checkpoint="last"))
    said = "is not JSON" if body == "<html>" else f"is not a list of checkpoints of the fine-tuning job {JOB}"
    assert said in refused(jobs)
