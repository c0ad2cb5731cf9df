"""Candidates that are named by their fine-tuning job: what is read, what is compared, what trouble becomes."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from hashlib import sha256
from typing import Any

import pytest
from endpoint_project import EVERY_REQUEST
from gate_project import check, label, mentions, passed, refusal, refused, statuses, stopped, write_jsonl, wrong
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
    gate = passed(jobs.judge())
    assert jobs.asked == EVERY_REQUEST
    assert jobs.read == [JOB_ROUTE, FILE_ROUTE]
    candidate = gate["candidate"]
    assert (candidate["name"], candidate["model"], candidate["job"]) == (JOB, "openai:ft", JOB)
    assert (candidate["base_model"], candidate["trained_tokens"]) == ("base-2025-04-14", 5768)
    assert candidate["hyperparameters"] == {"n_epochs": 3, "batch_size": 8, "learning_rate_multiplier": 1.8}
    same = check(gate, "training_file")
    digest = sha256(jobs.trained()).hexdigest()
    assert (same["status"], same["observed"], same["required"]) == ("pass", digest, digest)
    assert "base_model" not in statuses(gate)


def test_predictions_are_shared_with_the_model_named_directly(jobs: JobProject) -> None:
    assert jobs.judge(stored=True, candidate=jobs.model("ft"))["verdict"] == "pass"
    jobs.forget()
    gate = jobs.judge(stored=True)
    assert (gate["verdict"], gate["candidate"]["n_stored"]) == ("pass", 60)
    assert jobs.asked == Counter()


def test_the_models_other_keys_hold(jobs: JobProject) -> None:
    gate = jobs.judge(candidate=jobs.job(system="Name the topic.", params={"temperature": 0}, name="tuned"))
    assert (gate["verdict"], gate["candidate"]["name"]) == ("pass", "tuned")
    (body, *_) = [body for body in jobs.server.bodies if body["model"] == "ft"]
    assert (body["temperature"], body["messages"][0]) == (0, {"role": "system", "content": "Name the topic."})


def older(jobs: JobProject, **changes: Any) -> dict[str, Any]:
    """Return a baseline that another job has made."""
    told = job(id="ftjob-older", fine_tuned_model="base", training_file="file-older")
    jobs.server.replies["GET /v1/fine_tuning/jobs/ftjob-older"] = Reply(body=told)
    return jobs.judge(baseline=jobs.job(job="ftjob-older"), **changes)


def test_a_baseline_may_be_a_job_too(jobs: JobProject) -> None:
    gate = older(jobs)
    assert (gate["verdict"], gate["baseline"]["model"], gate["baseline"]["job"]) == (
        "pass",
        "openai:base",
        "ftjob-older",
    )
    assert "GET /v1/files/file-older/content" not in jobs.read
    gate = older(jobs, candidate=jobs.model("ft"))
    assert "is a fine-tuned model (job) and candidate ft is not" in check(gate, "swapped")["message"]


def test_another_base_is_said(jobs: JobProject) -> None:
    """But where it is to be matched, as a larger baseline is the point there."""
    jobs.tell(model="tiny")
    gate = passed(jobs.judge())
    assert (check(gate, "base_model")["observed"], check(gate, "base_model")["required"]) == ("base", "tiny")
    assert "base_model" not in statuses(jobs.judge(objective="match", margin=..., max_drop=0.1, faster_by=2))


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
    mentions(
        stopped(jobs.judge(stored=True)), f"the fine-tuning job {JOB} has not succeeded: its state is {state}", advice
    )
    assert jobs.asked == Counter()
    jobs.tell()  # a state is not kept
    assert jobs.judge(stored=True)["verdict"] == "pass"


LACKING = Reply(status=404, body='{"detail":"Not Found"}')
LIST = f"is not a list of checkpoints of the fine-tuning job {JOB}"
TROUBLE: dict[str, tuple[dict[str, Reply], dict[str, Any], tuple[str, ...]]] = {  # replies, options of the candidate
    "an unknown job": (
        {JOB_ROUTE: error(404, "fine_tune_not_found", message=f"Could not find fine tune: {JOB}")}, {},
        (f"the endpoint knows no fine-tuning job {JOB}", f"404 Not Found: Could not find fine tune: {JOB}")),
    **{f"no jobs, {status}": (
        dict.fromkeys((JOB_ROUTE, "GET /v1/fine_tuning/jobs"), Reply(status=status, body=LACKING.body)), {},
        ("lacks the fine-tuning API (GET /fine_tuning/jobs)", JOB, f"{status} ", "model in place of job"))
       for status in (404, 405, 501)},
    "no files": (
        {FILE_ROUTE: LACKING, "GET /v1/files": LACKING}, {}, ("lacks the files API (GET /files/ID/content)", FILE)),
    "a deleted file": ({FILE_ROUTE: LACKING}, {}, (f"no longer has the training file {FILE}",)),
    "no training file": (
        {JOB_ROUTE: Reply(body=job(training_file=None))}, {}, ("does not say on which file", f"{JOB} was trained")),
    "no key": ({}, {"api_key_env": "FTGATE_ABSENT_KEY"}, ("api_key_env", "FTGATE_ABSENT_KEY is not set")),
    "a broken server": ({JOB_ROUTE: error(500)}, {"retries": 1}, ("the endpoint failed",)),
    "no checkpoints": (
        {CHECKPOINTS_ROUTE: LACKING}, {"checkpoint": "last"}, (f"GET /fine_tuning/jobs/{JOB}/checkpoints", "lacks")),
    "another step": (
        {CHECKPOINTS_ROUTE: page(checkpoint(100, "a"), checkpoint(200, "b"))}, {"checkpoint": 150},
        (f"the fine-tuning job {JOB} has no checkpoint at step 150", "its checkpoints are at 100, 200")),
    "an endless list": (
        {CHECKPOINTS_ROUTE: page(checkpoint(100, "ft"), more=True)}, {"checkpoint": "last"}, (JOB, "does not end")),
    **{f"a list that is none: {body}": (
        {CHECKPOINTS_ROUTE: Reply(body=body, headers={"Content-Type": "text/html"})}, {"checkpoint": "last"},
        ("is not JSON" if body == "<html>" else LIST,))
       for body in ("[]", '"text"', "<html>", '{"data": 3}')},
}  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLE)
def test_what_cannot_be_read(jobs: JobProject, trouble: str) -> None:
    replies, options, parts = TROUBLE[trouble]
    jobs.server.replies |= replies
    mentions(stopped(jobs.judge(candidate=jobs.job(**options))), *parts)
    assert jobs.read.count(JOB_ROUTE) == (0 if "api_key_env" in options else 1 + options.get("retries", 0))


def test_what_an_endpoint_says_of_a_state_is_harmless(jobs: JobProject) -> None:
    jobs.tell(status="\x1b[2J" * 40, error={"message": "sk-abcdefgh \x1b[31m " * 90})
    jobs.gate_test()
    refused(jobs)
    text = jobs.result.stdout.str()
    assert "\x1b[2J" not in text
    assert "sk-abcdefgh" not in text


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


def test_reading_is_tried_again(jobs: JobProject) -> None:
    jobs.server.faults.extend([error(429, retry_after="0"), Reply(drop=True)])
    assert jobs.judge(candidate=jobs.job(retries=2))["verdict"] == "pass"
    assert jobs.read == [JOB_ROUTE] * 3 + [FILE_ROUTE]


# --- the training file ---------------------------------------------------------------------------------------


def changed(jobs: JobProject, rows: list[dict[str, Any]]) -> str:
    """Return what the gate says where the job was trained on these rows."""
    jobs.server.replies[FILE_ROUTE] = Reply(body="".join(json.dumps(row) + "\n" for row in rows))
    start, end = refusal(jobs, "fail", stored=True).split(")", 1)
    assert jobs.asked == Counter()
    assert start.startswith(
        f"the training set is not the file {FILE}, on which the candidate's job was trained (sha256 "
    )
    return end


ROWS = [chat(f"training question {i}", label(i)) for i in range(200)]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([*ROWS, chat("customer question 1", label(1))], ": 1 row only in that file (the first: line 201)"),
        (
            [chat("another question", "refund"), *ROWS[2:]],
            ": 2 rows only in the training set (the first: line 1), 1 row only in that file (the first: line 1)",
        ),
        (ROWS[::-1], ": the rows are the same, but in another order"),
        ([{"weight": 1, **row} for row in ROWS], ": the rows are the same, but the files differ in their bytes"),
        ([{"question": "p", "answer": "c"}], ": that file cannot be read as examples ("),
    ],
    ids=["one more", "others", "order", "bytes", "no examples"],
)
def test_a_job_that_was_trained_on_other_rows(jobs: JobProject, rows: list[dict[str, Any]], told: str) -> None:
    assert changed(jobs, rows).startswith(told)


def test_a_known_difference_is_still_a_failure_offline(jobs: JobProject) -> None:
    changed(jobs, ROWS[::-1])
    told = refusal(jobs, "fail", stored=True, offline=True)
    assert told.startswith(f"the training set is not the file {FILE}")


def test_a_limit_hides_no_row_of_the_file(jobs: JobProject) -> None:
    keys = {"training_set": {"path": "train.jsonl", "limit": 150}, "min_training_examples": 100}
    told = refusal(jobs, "fail", **keys)
    assert told.startswith(f"the training set is limited to 150 of the 200 rows of the file {FILE}")


def test_offline_a_job_that_was_not_read_is_an_error(jobs: JobProject) -> None:
    mentions(stopped(jobs.judge(offline=True)), JOB, "--ftgate-offline")
    assert jobs.server.requests == []


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
    gate = passed(jobs.gate())
    assert check(gate, "training_file")["message"].startswith(f"the training set has the rows of the file {FILE}")
    jobs.pytester.makeconftest(fixture.replace("SKIPPED", "1"))
    jobs.gate_test(training_set=..., min_training_examples=100)
    assert refused(jobs, "fail").endswith(": 1 row only in that file (the first: line 1)")


# --- checkpoints ---------------------------------------------------------------------------------------------


def with_checkpoints(jobs: JobProject, *rows: dict[str, Any]) -> None:
    jobs.server.replies[CHECKPOINTS_ROUTE] = page(*rows)


@pytest.mark.parametrize(("wanted", "why"), [("last", "the last"), (300, "by its step")])
def test_a_checkpoint_by_its_place(jobs: JobProject, wanted: Any, why: str) -> None:
    with_checkpoints(jobs, checkpoint(300, "ft"), checkpoint(100, "other"), checkpoint(200, "other"))
    gate = passed(jobs.judge(candidate=jobs.job(checkpoint=wanted)))
    assert (gate["candidate"]["model"], gate["candidate"]["checkpoint"]) == ("openai:ft", 300)
    assert jobs.asked == EVERY_REQUEST
    assert check(gate, "checkpoint")["message"] == f"the candidate is the checkpoint at step 300 ({why})"


def test_all_pages_of_checkpoints_are_read(jobs: JobProject) -> None:
    def answer(request: Any) -> Reply:
        if "after=ftckpt_100" in request.path:
            return page(checkpoint(50, "other"))
        return page(checkpoint(300, "ft"), checkpoint(100, "other"), more=True)

    jobs.server.replies[CHECKPOINTS_ROUTE] = answer
    gate = jobs.judge(candidate=jobs.job(checkpoint="last"))
    assert (gate["verdict"], gate["candidate"]["checkpoint"]) == ("pass", 300)
    assert sum("checkpoints" in path for path in jobs.read) == 2


# --- the best checkpoint, by the job's own losses ------------------------------------------------------------


def with_validation_file(jobs: JobProject, *questions: str) -> None:
    jobs.tell(validation_file="file-valid")
    content = "".join(json.dumps(chat(question, "refund")) + "\n" for question in questions)
    jobs.server.replies["GET /v1/files/file-valid/content"] = Reply(body=content)
    losses = {100: ("other", 0.5), 200: ("ft", 0.25), 300: ("other", 0.3)}
    with_checkpoints(jobs, *(checkpoint(step, name, full_valid_loss=loss) for step, (name, loss) in losses.items()))
    jobs.keys["candidate"] = jobs.job(checkpoint="best")


def test_the_best_by_the_jobs_own_losses(jobs: JobProject) -> None:
    with_validation_file(jobs, "validation question 1", "validation question 2")
    gate = passed(jobs.judge(stored=True))
    assert jobs.asked == EVERY_REQUEST
    assert check(gate, "checkpoint")["message"] == (
        "the candidate is the checkpoint at step 200 (best: the lowest full_valid_loss of the job's validation file, "
        "0.25, of 3)"
    )
    assert check(gate, "validation_set")["message"] == (
        "no test example is in the job's validation file file-valid, on which the checkpoint is chosen"
    )
    jobs.forget()
    assert jobs.judge(stored=True, offline=True)["verdict"] == "pass"
    assert jobs.server.requests == []


def test_the_best_must_not_be_chosen_on_the_test_set(jobs: JobProject) -> None:
    with_validation_file(jobs, "validation question 1", "Customer  QUESTION 7")
    told = "1 of 60 test examples is in the job's validation file file-valid, on which the checkpoint is chosen"
    assert refusal(jobs, "fail", stored=True) == told
    assert jobs.asked == Counter()
    assert refusal(jobs, "fail", stored=True) == told  # by the note
    jobs.test_set(59)  # another test set is looked at anew: it has the question all the same
    jobs.forget()
    assert refusal(jobs, "fail", stored=True).startswith("1 of 59")
    assert "GET /v1/files/file-valid/content" in jobs.read


def test_a_validation_file_that_cannot_be_looked_at(jobs: JobProject) -> None:
    with_validation_file(jobs, "validation question 1")
    jobs.server.replies["GET /v1/files/file-valid/content"] = Reply(body='{"prompt": 1}\n')
    assert "validation file" in refusal(jobs)


# --- the best checkpoint, by the gate's own validation set ---------------------------------------------------


N_VALIDATION = 30


class ValidatedProject(JobProject):
    """Three checkpoints: ``early`` and ``late`` are wrong on more of the validation set than ``ft`` is."""

    def __init__(self, pytester: pytest.Pytester, server: LoopbackServer) -> None:
        super().__init__(pytester, server)
        self.missed = {"early": 12, "ft": 3, "late": 6}
        self.test_set(N_VALIDATION, "valid.jsonl", prefix="v", input="validation case {}".format)
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
    gate = passed(validated.judge(stored=True))
    assert validated.by_model == {"early": 30, "ft": 90, "late": 30, "base": 60}
    assert (gate["candidate"]["model"], gate["candidate"]["checkpoint"]) == ("openai:ft", 200)
    assert check(gate, "checkpoint")["message"] == (
        "the candidate is the checkpoint at step 200 (best by accuracy on 30 validation examples: step 100 60.0 %, "
        "step 200 90.0 %, step 300 80.0 %; 90 answers, 0 of them stored)"
    )
    assert check(gate, "validation_set")["status"] == "pass"
    validated.forget()
    again = validated.judge(stored=True, offline=True)
    assert (again["verdict"], again["candidate"]["checkpoint"]) == ("pass", 200)
    assert "90 answers, 90 of them stored" in check(again, "checkpoint")["message"]
    assert validated.server.requests == []


def test_of_equals_the_first_is_the_best(validated: ValidatedProject) -> None:
    validated.missed = {"early": 12, "ft": 3, "late": 3}
    assert validated.judge()["candidate"]["checkpoint"] == 200


def test_a_validation_set_that_shares_inputs_with_the_test_set(validated: ValidatedProject) -> None:
    rows = [
        {"input": f"{name} {i}", "expected": label(i)}
        for name in ("validation case", "customer question")
        for i in (3, 4)
    ]
    write_jsonl(validated.path / "valid.jsonl", rows)
    assert refusal(validated, "fail") == (
        "2 of 60 test examples are in the validation set, on which the checkpoint is chosen: "
        "test.jsonl:4 = valid.jsonl:3, test.jsonl:5 = valid.jsonl:4"
    )
    assert validated.asked == Counter()


def test_a_checkpoint_that_does_not_answer(validated: ValidatedProject) -> None:
    del validated.missed["late"]  # the server stumbles
    message = refusal(validated, called=True, stored=True)
    assert "answers of step 300" in message
    assert "500" in message
    assert "base" not in validated.by_model
    validated.missed["late"] = 6
    validated.forget()
    assert validated.judge(stored=True)["verdict"] == "pass"
    assert validated.by_model["late"] == 30


def test_the_best_may_be_the_baseline_itself(validated: ValidatedProject) -> None:
    told = refusal(validated, "fail", called=True, baseline=validated.model("ft"))
    assert told == "baseline and candidate are the same model with the same prompt"
    assert validated.by_model == {"early": 30, "ft": 30, "late": 30}


def test_the_last_checkpoint_may_be_the_baseline(validated: ValidatedProject) -> None:
    with_checkpoints(validated, checkpoint(100, "early"), checkpoint(200, "ft"), checkpoint(300, "base"))
    validated.missed = {**validated.missed, "base": 9}
    assert validated.judge()["verdict"] == "pass"


def test_a_validation_set_that_nothing_is_chosen_on_is_said(jobs: JobProject) -> None:
    write_jsonl(jobs.path / "valid.jsonl", [{"input": "a", "expected": "refund"}])
    gate = passed(jobs.judge(validation_set="valid.jsonl"))
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
    gate = passed(project.gate("--ftgate-offline"))
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
    jobs.ini["ftgate_recordings"] = "recordings"
    found = stopped(jobs.judge())
    assert found["name"] == "configuration"
    assert "recordings/support.jobs.json: " in found["message"]


# --- notes that cannot be read -------------------------------------------------------------------------------


def test_a_note_that_is_unreadable_is_as_none(jobs: JobProject) -> None:
    assert jobs.judge(stored=True)["verdict"] == "pass"
    changed = jobs.store("UPDATE notes SET text = '{\"id\": 1' WHERE name LIKE 'tuning: %' RETURNING name")
    assert len(changed) == 2
    jobs.forget()
    assert jobs.judge(stored=True)["verdict"] == "pass"
    assert jobs.read == [JOB_ROUTE, FILE_ROUTE]
