"""The retrain clock: what is kept of a green verdict, how old it may be, what shuts down, what moved since."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, answer, index_of
from gate_project import Project, check, label, refused, statuses, write_jsonl, wrong
from job_project import JobProject
from loopback import LoopbackServer, Reply, error

pytestmark = pytest.mark.usefixtures("no_ambient_settings")
DAY_S = 86_400


@pytest.fixture
def http(pytester: pytest.Pytester, server: LoopbackServer) -> EndpointProject:
    return EndpointProject(pytester, server)


@pytest.fixture
def jobs(pytester: pytest.Pytester, server: LoopbackServer) -> JobProject:
    return JobProject(pytester, server)


def in_days(days: int) -> str:
    return (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y-%m-%d")


def model(shutdown: Any) -> Reply:
    return Reply(body={"id": "m", "object": "model", "created": 1, "owned_by": "acme", "shutdown_date": shutdown})


def paths(project: EndpointProject) -> list[str]:
    return [request.path for request in project.server.requests if request.method == "GET"]


def store(project: Project, statement: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(project.path / ".ftgate/predictions.sqlite3")) as connection, connection:
        return connection.execute(statement, values).fetchall()


def age_store(project: Project, days: float) -> None:
    """Make the predictions, and the last green verdict, so much older."""
    store(project, "UPDATE predictions SET created_at = created_at - ?", days * DAY_S)
    change_green(
        project, lambda green: {**green, **{at: green[at] - days * DAY_S for at in ("judged_at", "measured_at")}}
    )


def change_green(project: Project, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    rows = store(project, "SELECT name, text FROM notes WHERE name LIKE 'green: %'")
    assert rows
    for name, text in rows:
        store(project, "UPDATE notes SET text = ? WHERE name = ?", json.dumps(change(json.loads(text))), name)


def greens(project: Project) -> list[dict[str, Any]]:
    return [json.loads(text) for (text,) in store(project, "SELECT text FROM notes WHERE name LIKE 'green: %'")]


def getting_worse(*models: str, at: range) -> Callable[[dict[str, Any]], str]:
    """The server's models have changed: some answer wrong at some examples where they were right."""

    def reply(body: dict[str, Any]) -> str:
        return wrong(index_of(body)) if body["model"] in models and index_of(body) in at else answer(body)

    return reply


# --- what is kept --------------------------------------------------------------------------------------------


def test_a_green_verdict_is_kept_and_shown(http: EndpointProject) -> None:
    http.gate_test()
    first = http.gate()
    assert first["verdict"] == "pass"
    assert first["clock"]["last_green"] is None
    assert "last green" not in http.result.stdout.str()
    second = http.gate("-v")
    (kept,) = greens(http)
    assert second["clock"]["last_green_age_days"] == 0
    assert second["clock"]["base_models"] == second["clock"]["last_base_models"] == {"baseline": "base"}
    assert kept["test_set"] == second["test_set"]["sha256"]
    assert kept["measured_at"] <= kept["judged_at"] <= time.time()
    assert kept["models"]["candidate"]["model"] == "openai:ft"
    assert kept["models"]["candidate"]["value"] == 56 / 60
    http.result.stdout.fnmatch_lines(["last green 20??-??-?? (today)"])


def test_a_red_verdict_never_replaces_a_green_one(http: EndpointProject) -> None:
    http.gate_test()
    assert http.gate()["verdict"] == "pass"
    before = greens(http)
    http.server.answer = getting_worse("ft", at=range(60))
    assert http.gate("--ftgate-cache=refresh")["verdict"] == "fail"
    assert greens(http) == before


def test_a_red_gate_keeps_nothing(project: Project) -> None:
    project.gate_test(margin=0.9)
    assert project.gate()["verdict"] == "fail"
    project.gate_test()
    assert project.gate()["clock"]["last_green"] is None


def test_recordings_carry_the_last_green_verdict(http: EndpointProject) -> None:
    http.gates()
    assert http.gate("--ftgate-report=recordings:gates/recorded")["verdict"] == "pass"
    shutil.rmtree(http.path / ".ftgate", ignore_errors=True)
    shutil.rmtree(http.path / "gates/.ftgate", ignore_errors=True)
    http.gates(baseline=http.model("base", revision="2"))
    http.pytester.makeini("[pytest]\nftgate_config = gates/ftgate.yaml\nftgate_recordings = gates/recorded\n")
    http.forget()
    gate = http.gate("-v")
    assert gate["clock"]["last_green"] is not None
    assert check(gate, "base_changed_baseline")["status"] == "warning"


def test_a_red_run_still_records_the_green_one_before(http: EndpointProject) -> None:
    http.gate_test()
    assert http.gate()["verdict"] == "pass"
    (kept,) = greens(http)
    http.gate_test(margin=0.9)
    assert http.gate("--ftgate-report=recordings:kept")["verdict"] == "fail"
    (path,) = (http.path / "kept").glob("*.green.json")
    (text,) = json.loads(path.read_text()).values()
    assert json.loads(text) == kept


def test_a_damaged_file_of_green_verdicts_is_an_error(project: Project) -> None:
    project.file("recorded/x.green.json", "[]")
    project.pytester.makeini("[pytest]\nftgate_recordings = recorded\n")
    project.gate_test()
    assert "this is not what is known of green verdicts" in refused(project)


def test_a_damaged_note_is_as_none(http: EndpointProject) -> None:
    http.gate_test()
    http.run()
    store(http, "UPDATE notes SET text = '{\"form\": 1' WHERE name LIKE 'green: %'")
    gate = http.gate("--ftgate-cache=refresh")
    assert gate["verdict"] == "pass"
    assert gate["clock"]["last_green"] is None


# --- age -----------------------------------------------------------------------------------------------------


def test_old_evidence_fails(http: EndpointProject) -> None:
    http.gate_test(max_age_days=90)
    fresh = http.gate()
    assert check(fresh, "max_age_days")["status"] == "pass"
    age_store(http, 89)
    assert http.gate()["verdict"] == "pass"
    age_store(http, 26)
    gate = http.gate()
    assert gate["verdict"] == "fail"
    found = check(gate, "max_age_days")
    assert (found["status"], found["required"], found["source"]) == ("fail", 90, "marker")
    assert found["observed"] == pytest.approx(115, abs=0.01)
    assert re.fullmatch(r"the oldest prediction is of \d{4}-\d\d-\d\d, 115 days old; it may be 90", found["message"])
    assert "--ftgate-cache=refresh" in found["advice"]
    http.result.stdout.fnmatch_lines(["last green 20??-??-?? (26 days ago)"])
    renewed = http.gate("--ftgate-cache=refresh")
    assert renewed["verdict"] == "pass", renewed["checks"]
    assert renewed["clock"]["evidence_age_days"] == pytest.approx(0, abs=0.01)


def test_one_old_prediction_is_enough(http: EndpointProject) -> None:
    http.gate_test(max_age_days=1)
    assert http.gate()["verdict"] == "pass"
    store(
        http,
        "UPDATE predictions SET created_at = created_at - ? WHERE key = (SELECT min(key) FROM predictions)",
        2 * DAY_S,
    )
    assert statuses(http.gate())["max_age_days"] == "fail"


def recorded(project: Project, **row: Any) -> None:
    for name, missed in (("base.jsonl", range(40, 60)), ("ft.jsonl", (0, 1, 58, 59))):
        rows = [{"id": f"t{i}", "output": wrong(i) if i in missed else label(i), **row} for i in range(60)]
        write_jsonl(project.path / name, rows)


@pytest.mark.parametrize(("days", "verdict"), [(29, "pass"), (31, "fail")])
def test_a_recording_is_as_old_as_it_says(project: Project, days: int, verdict: str) -> None:
    recorded(project, created_at=time.time() - days * DAY_S)
    project.gate_test(max_age_days=30)
    assert project.gate()["verdict"] == verdict


def test_a_green_verdict_of_tomorrow_is_none(project: Project) -> None:
    """Else it would be the newest for ever, and no later one would count."""
    project.gate_test()
    assert project.gate()["verdict"] == "pass"
    assert project.gate()["clock"]["last_green"] is not None
    change_green(project, lambda green: {**green, "judged_at": 4_102_444_800})
    assert project.gate()["clock"]["last_green"] is None
    assert project.gate()["clock"]["last_green"] is not None  # that of the run before


def test_answers_of_tomorrow_are_an_error(project: Project) -> None:
    recorded(project, created_at=time.time())
    first, *rest = map(json.loads, (project.path / "ft.jsonl").read_text().splitlines())
    write_jsonl(project.path / "ft.jsonl", [{**first, "created_at": 4_102_444_800}, *rest])
    project.gate_test(max_age_days=30)
    message = refused(project, called=True)
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    assert message == (
        "how old the evidence is cannot be told: a prediction says that it was made on 2100-01-01, "
        f"and today is {today}"
    )


def test_a_time_in_milliseconds_is_an_error(project: Project) -> None:
    recorded(project, created_at=round(time.time() * 1000))
    project.gate_test(max_age_days=30)
    assert "created_at: must be seconds since 1970, is 1." in refused(project)


def test_an_unknown_age_is_an_error(project: Project) -> None:
    project.gate_test(max_age_days=30)
    message = refused(project, called=True)
    assert message == (
        "how old the evidence is cannot be told: predictions of baseline, candidate do not say when they were made"
    )


def test_committed_recordings_without_a_time_are_of_unknown_age(http: EndpointProject) -> None:
    http.gate_test()
    assert http.gate("--ftgate-report=recordings:kept")["verdict"] == "pass"
    for path in (http.path / "kept").glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        write_jsonl(path, [{name: row[name] for name in row if name != "created_at"} for row in rows])
    shutil.rmtree(http.path / ".ftgate")
    http.pytester.makeini("[pytest]\nftgate_recordings = kept\n")
    http.gate_test(max_age_days=30)
    gate = http.gate("--ftgate-offline")
    assert statuses(gate)["max_age_days"] == "error"
    assert gate["candidate"]["oldest_prediction"] is None


def test_guards_are_evidence_too(project: Project) -> None:
    recorded(project, created_at=time.time())
    rows = [{"id": f"g{i}", "input": f"guard {i}", "expected": label(i)} for i in range(60)]
    write_jsonl(project.path / "general.jsonl", rows)
    for name in ("base.jsonl", "ft.jsonl"):
        with (project.path / name).open("a") as file:
            for i in range(60):
                old = {"id": f"g{i}", "output": label(i), "created_at": time.time() - 100 * DAY_S}
                file.write(json.dumps(old) + "\n")
    guards = {"general": {"test_set": "general.jsonl", "max_drop": 0.1}}
    project.gate_test(max_age_days=30, guards=guards)
    assert statuses(project.gate())["max_age_days"] == "fail"


def test_the_ready_stage_has_an_age_too(project: Project) -> None:
    recorded(project, created_at=time.time() - 31 * DAY_S)
    project.gate_test(stage="ready", candidate=..., max_age_days=30)
    gate = project.gate()
    assert statuses(gate)["max_age_days"] == "fail"


# --- shutdowns -----------------------------------------------------------------------------------------------


def test_a_shutdown_date_is_a_warning(http: EndpointProject) -> None:
    http.server.replies["GET /v1/models/ft"] = model(in_days(51))
    http.gate_test()
    gate = http.gate()
    assert gate["verdict"] == "pass"
    found = check(gate, "shutdown_candidate")
    assert found["status"] == "warning"
    assert found["message"] == f"candidate ft is listed with the shutdown date {in_days(51)}, in 51 days"
    assert gate["clock"]["shutdown_dates"] == {"ft": in_days(51)}
    assert paths(http) == ["/v1/models/base", "/v1/models/ft"]
    http.forget()
    again = http.gate()  # nothing is asked, and what was told is still known
    assert again["clock"]["shutdown_dates"] == {"ft": in_days(51)}
    assert paths(http) == []


@pytest.mark.parametrize(
    ("days", "clock", "status"),
    [
        (51, {"shutdown": "fail"}, "fail"),
        (-1, {"shutdown": "fail"}, "fail"),
        (51, {"shutdown": "fail", "shutdown_within_days": 50}, "note"),
        (50, {"shutdown": "fail", "shutdown_within_days": 50}, "fail"),
        (-1, {"shutdown": "fail", "shutdown_within_days": 0}, "fail"),
        (91, {}, "note"),
        (90, {}, "warning"),
    ],
)
def test_what_a_date_means(http: EndpointProject, days: int, clock: dict[str, Any], status: str) -> None:
    http.server.replies["GET /v1/models/base"] = model(in_days(days))
    http.gate_test(clock=clock)
    gate = http.gate()
    assert statuses(gate)["shutdown_baseline"] == status
    assert gate["verdict"] == ("fail" if status == "fail" else "pass")


def test_a_fine_tune_ends_with_its_base_model(http: EndpointProject) -> None:
    name = "ft:base-2025-04-14:acme::abc"
    http.server.answer = lambda body: answer({**body, "model": "base" if body["model"] == "base" else "ft"})
    http.server.replies["GET /v1/models/base-2025-04-14"] = model(in_days(10))
    http.server.replies[f"GET /v1/models/{name}"] = model(None)
    http.gate_test(candidate=http.model(name), clock={"shutdown": "fail"})
    gate = http.gate()
    found = check(gate, "shutdown_candidate")
    assert found["status"] == "fail"
    assert found["message"] == (
        f"candidate {name} ends with its base model base-2025-04-14, which is listed with the shutdown date "
        f"{in_days(10)}, in 10 days"
    )


def test_the_base_model_of_a_job(jobs: JobProject) -> None:
    jobs.server.replies["GET /v1/models/base-2025-04-14"] = model(in_days(10))
    jobs.gate_test()
    gate = jobs.gate()
    assert gate["clock"]["shutdown_dates"] == {"base-2025-04-14": in_days(10)}
    assert check(gate, "shutdown_candidate")["status"] == "warning"


@pytest.mark.parametrize(
    "reply",
    [
        error(404),
        error(500),
        error(401),
        Reply(drop=True),
        Reply(body="<html>"),
        Reply(body=[1]),
        Reply(body={"id": "ft"}),
        model(None),
        model("soon"),
        model(True),
        model(10**30),
    ],
    ids=lambda reply: f"{reply.status} {reply.body}"[:40],
)
def test_nothing_known_is_no_trouble(http: EndpointProject, reply: Reply) -> None:
    http.server.replies |= {"GET /v1/models/base": reply, "GET /v1/models/ft": reply}
    http.gate_test()
    gate = http.gate()
    assert gate["verdict"] == "pass"
    assert not [name for name in statuses(gate) if name.startswith("shutdown")]
    assert gate["clock"]["shutdown_dates"] == {}


def test_unknown_is_said_where_the_gate_would_fail(http: EndpointProject) -> None:
    http.server.replies["GET /v1/models/base"] = model(None)
    http.gate_test(clock={"shutdown": "fail"})
    gate = http.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "shutdown_candidate")["status"] == "note"
    assert "is unknown" in check(gate, "shutdown_candidate")["message"]
    assert "shutdown_baseline" not in statuses(gate)


def test_nobody_is_asked_who_was_not_asked_for_answers(http: EndpointProject) -> None:
    http.gate_test(clock={"shutdown": "ignore"})
    assert http.gate()["verdict"] == "pass"
    assert paths(http) == []
    http.gate_test()
    assert http.gate()["verdict"] == "pass"  # all stored
    assert paths(http) == []
    store(http, "DELETE FROM predictions WHERE key = (SELECT min(key) FROM predictions)")
    assert http.gate()["verdict"] == "pass"
    assert len(paths(http)) == 1
    http.gate("--ftgate-cache=refresh")
    assert sorted(paths(http)) == ["/v1/models/base", "/v1/models/ft"]  # once a day


def test_the_key_goes_to_nobody_else_and_is_not_told(http: EndpointProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTGATE_TEST_KEY", "correct-horse-battery-staple")
    http.server.replies["GET /v1/models/ft"] = error(401, message="bad key correct-horse-battery-staple")
    http.gate_test(candidate=http.model("ft", api_key_env="FTGATE_TEST_KEY"), clock={"shutdown": "fail"})
    assert http.gate("-v")["verdict"] == "pass"
    sent = {request.path: request.headers.get("authorization") for request in http.server.requests}
    assert sent["/v1/models/base"] is None
    assert sent["/v1/models/ft"] == "Bearer correct-horse-battery-staple"
    assert "correct-horse" not in http.result.stdout.str() + (http.path / "report.json").read_text()


# --- other models beneath ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "status"), [("warn", "warning"), ("fail", "fail"), ("ignore", None)])
def test_another_baseline_than_at_the_last_green_verdict(http: EndpointProject, level: str, status: str | None) -> None:
    http.gate_test()
    assert http.gate()["verdict"] == "pass"
    http.server.answer = lambda body: answer({**body, "model": "ft" if body["model"] == "ft" else "base"})
    http.gate_test(baseline=http.model("base-2"), clock={"base_changed": level})
    http.forget()
    gate = http.gate()
    assert statuses(gate).get("base_changed_baseline") == status
    assert gate["verdict"] == ("fail" if level == "fail" else "pass")
    assert gate["models_called"] is (level != "fail")
    if level == "warn":
        message = check(gate, "base_changed_baseline")["message"]
        today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        assert message == f"baseline is base-2; at the last green verdict ({today}) it was base"
        assert "base_changed_baseline" not in statuses(http.gate())  # which is the reference from now on


def test_another_base_model_of_the_candidate(jobs: JobProject) -> None:
    jobs.gate_test(clock={"base_changed": "fail"})
    assert jobs.gate()["verdict"] == "pass"
    jobs.tell(model="base-2026-01-01")
    store(jobs, "DELETE FROM notes WHERE name LIKE 'tuning: job%'")
    gate = jobs.gate()
    assert gate["verdict"] == "fail"
    assert "the base model of candidate is base-2026-01-01" in check(gate, "base_changed_candidate")["message"]
    assert gate["clock"]["last_base_models"]["candidate"] == "base-2025-04-14"


def test_a_retrained_candidate_on_the_same_base_is_no_change(jobs: JobProject) -> None:
    jobs.gate_test(clock={"base_changed": "fail"})
    assert jobs.gate()["verdict"] == "pass"
    jobs.server.answer = lambda body: answer({**body, "model": "base" if body["model"] == "base" else "ft"})
    jobs.tell(fine_tuned_model="ft-2")
    store(jobs, "DELETE FROM notes WHERE name LIKE 'tuning: job%'")
    assert jobs.gate()["verdict"] == "pass"


def test_each_of_several_candidates_has_a_base_of_its_own(http: EndpointProject) -> None:
    http.server.answer = lambda body: (
        "none" if "small" in body["model"] else answer({**body, "model": "ft" if ":" in body["model"] else "base"})
    )
    names = {"small": "ft:nano-2025-04-14:a::1", "large": "ft:mini-2025-04-14:a::2"}
    http.server.answer = lambda body: (
        wrong(index_of(body))
        if "nano" in body["model"]
        else answer({**body, "model": "ft" if ":" in body["model"] else "base"})
    )
    candidates = {name: http.model(spelled) for name, spelled in names.items()}
    http.gate_test(candidate=..., candidates=candidates, clock={"base_changed": "fail"})
    assert http.gate()["verdict"] == "pass"
    again = http.gate("--ftgate-cache=refresh")
    assert again["verdict"] == "pass"
    assert statuses(again)["drift_candidate"] == "note"
    assert [one["verdict"] for one in again["candidates"]] == ["fail", "pass"]


def test_an_alias_warns_or_fails_before_any_call(http: EndpointProject) -> None:
    http.server.answer = lambda body: answer({**body, "model": body["model"].removesuffix("-latest")})
    http.gate_test(baseline=http.model("base-latest"))
    gate = http.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "alias_baseline")["status"] == "warning"
    assert "alias_candidate" not in statuses(gate)
    http.gate_test(baseline=http.model("base-latest"), clock={"alias": "fail"})
    assert refused(http, "fail").startswith("baseline base-latest is an alias")
    http.gate_test(baseline=http.model("base-latest", revision="7f3a"), clock={"alias": "fail"})
    assert http.gate()["verdict"] == "pass"


# --- drift ---------------------------------------------------------------------------------------------------


def test_a_candidate_that_got_worse_has_drifted(http: EndpointProject) -> None:
    http.gate_test(margin=0.01)
    assert http.gate()["verdict"] == "pass"
    age_store(http, 115)
    http.server.answer = getting_worse("ft", at=range(2, 14))
    gate = http.gate("--ftgate-cache=refresh")
    since = in_days(-115)
    found = check(gate, "drift_candidate")
    assert found["status"] == "warning"
    assert found["message"] == (
        f"candidate moved by -20.0 points since {since} (12 examples worse, 0 better), more than chance allows"
    )
    assert check(gate, "drift_baseline")["message"] == f"baseline does as well on every example as on {since}"
    assert check(gate, "drift_baseline")["status"] == "note"
    (baseline, candidate) = gate["clock"]["drift"]
    assert (candidate["role"], candidate["worse"], candidate["better"]) == ("candidate", 12, 0)
    assert (candidate["beyond_noise"], baseline["beyond_noise"]) == (True, False)
    http.result.stdout.fnmatch_lines(["last green 20??-??-?? (115 days ago)"])


def test_a_few_examples_are_noise(http: EndpointProject) -> None:
    http.gate_test()
    assert http.gate()["verdict"] == "pass"
    http.server.answer = getting_worse("ft", at=range(2, 6))
    gate = http.gate("--ftgate-cache=refresh")
    found = check(gate, "drift_candidate")
    assert found["status"] == "note"
    assert "(4 examples worse, 0 better), no more than chance allows" in found["message"]


def test_a_baseline_that_got_better_has_drifted(http: EndpointProject) -> None:
    http.gate_test()
    assert http.gate()["verdict"] == "pass"
    http.server.answer = lambda body: label(index_of(body))
    gate = http.gate("--ftgate-cache=refresh")
    assert gate["verdict"] == "fail"  # drift turns no verdict, in neither direction
    assert "moved by +33.3 points" in check(gate, "drift_baseline")["message"]
    assert check(gate, "drift_baseline")["status"] == "warning"


def test_each_test_of_a_gate_is_compared_with_the_verdict_before_this_session(http: EndpointProject) -> None:
    http.gate_test("@pytest.mark.parametrize('x', range(2))\ndef test_gate(x):\n    pass\n", margin=0.01, name="one")
    http.run()
    http.server.answer = getting_worse("ft", at=range(2, 8))
    one, two = http.report("--ftgate-cache=refresh")["gates"]
    assert (one["verdict"], two["verdict"]) == ("pass", "pass")
    assert check(one, "drift_candidate") == check(two, "drift_candidate")
    assert check(two, "drift_candidate")["status"] == "warning"
    one, two = http.report("--ftgate-cache=refresh")["gates"]
    assert statuses(one)["drift_candidate"] == statuses(two)["drift_candidate"] == "note"


def test_without_refresh_nothing_is_compared(http: EndpointProject) -> None:
    http.gate_test()
    http.run()
    gate = http.gate()
    assert gate["clock"]["drift"] == []
    assert not [name for name in statuses(gate) if name.startswith("drift")]


@pytest.mark.parametrize("metric", ["f1_macro", {"name": "exact_match"}])
def test_other_metrics(http: EndpointProject, metric: Any) -> None:
    http.gate_test(margin=0.01, metric=metric)
    assert http.gate()["verdict"] == "pass"
    http.server.answer = getting_worse("ft", at=range(2, 14))
    assert statuses(http.gate("--ftgate-cache=refresh"))["drift_candidate"] == "warning"


def test_repeats(http: EndpointProject) -> None:
    http.gate_test(margin=0.01, repeats=2)
    assert http.gate()["verdict"] == "pass"
    http.server.answer = getting_worse("ft", at=range(2, 22))
    gate = http.gate("--ftgate-cache=refresh")
    assert statuses(gate)["drift_candidate"] == "warning", check(gate, "drift_candidate")


def test_another_prompt_is_said(http: EndpointProject) -> None:
    http.gate_test(margin=0.01)
    assert http.gate()["verdict"] == "pass"
    http.server.answer = getting_worse("ft", at=range(2, 14))
    http.gate_test(margin=0.01, candidate=http.model("ft", params={"temperature": 1}))
    found = check(http.gate("--ftgate-cache=refresh"), "drift_candidate")
    assert found["status"] == "warning"
    assert found["message"].endswith(
        "more than chance allows; it is asked in another way (prompt, examples or parameters) than then"
    )


def test_another_candidate_has_not_drifted(http: EndpointProject) -> None:
    http.gate_test()
    assert http.gate()["verdict"] == "pass"
    http.server.answer = lambda body: label(index_of(body)) if body["model"] == "ft-2" else answer(body)
    http.gate_test(candidate=http.model("ft-2"))
    found = check(http.gate("--ftgate-cache=refresh"), "drift_candidate")
    assert found["status"] == "note"
    assert "openai:ft-2 is another model than at the last green verdict (openai:ft, " in found["message"]


def test_another_test_set_cannot_be_compared(http: EndpointProject) -> None:
    http.gate_test()
    assert http.gate()["verdict"] == "pass"
    assert "test_set_changed" not in statuses(http.gate())
    http.test_set(N, lang="en")
    gate = http.gate("--ftgate-cache=refresh")
    assert check(gate, "test_set_changed")["status"] == "note"
    assert check(gate, "drift")["status"] == "note"
    assert check(gate, "drift")["message"].startswith("the test set is another one than at the last green verdict (")


def test_the_first_refresh_has_nothing_to_compare_with(http: EndpointProject) -> None:
    http.gate_test()
    gate = http.gate("--ftgate-cache=refresh")
    assert gate["verdict"] == "pass"
    assert "no earlier green verdict" in check(gate, "drift")["message"]


def test_before_training_the_baseline_may_drift(http: EndpointProject) -> None:
    http.gate_test(stage="ready", candidate=...)
    assert http.gate()["verdict"] == "pass", http.gate()["checks"]
    http.server.answer = getting_worse("base", at=range(12))
    gate = http.gate("--ftgate-cache=refresh")
    assert statuses(gate)["drift_baseline"] == "warning"
    assert "drift_candidate" not in statuses(gate)


def test_several_baselines(http: EndpointProject) -> None:
    http.gate_test(baseline=..., baselines={"a": http.model("base"), "b": http.model("base", system="One word.")})
    assert http.gate()["verdict"] == "pass"
    http.server.answer = getting_worse("base", at=range(12))
    gate = http.gate("--ftgate-cache=refresh")
    assert statuses(gate)["drift_baseline.a"] == statuses(gate)["drift_baseline.b"] == "warning"
    assert check(gate, "drift_baseline.b")["message"].startswith("baseline b moved by -20.0 points since ")
    assert sorted(paths(http)) == ["/v1/models/base", "/v1/models/ft"]


def test_workers_of_xdist_keep_and_compare(http: EndpointProject) -> None:
    http.gate_test()
    assert http.gate("-n2", apart=True)["verdict"] == "pass"
    http.server.answer = getting_worse("ft", at=range(2, 14))
    gate = http.gate("-n2", "--ftgate-cache=refresh", apart=True)
    assert statuses(gate)["drift_candidate"] == "warning"
    assert gate["clock"]["drift"][1]["worse"] == 12


def test_a_recording_is_not_as_old_as_its_last_reading(project: Project) -> None:
    """The second gate finds the answers where the first one has read them a moment ago."""
    other = project.mark(name="other")
    project.gate_test(f"def test_gate():\n    pass\n\n\n{other}\ndef test_other():\n    pass\n", name="one")
    gates = project.report()["gates"]
    assert [gate["candidate"]["oldest_prediction"] for gate in gates] == [None, None]
    assert "the oldest stored prediction" not in project.result.stdout.str()
