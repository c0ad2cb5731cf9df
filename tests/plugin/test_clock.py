"""The retrain clock: what is kept of a green verdict, how old it may be, what shuts down, what moved since."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, answer, index_of
from gate_project import (
    Project,
    block,
    check,
    ends,
    label,
    mentions,
    passed,
    read_jsonl,
    statuses,
    stopped,
    write_jsonl,
    wrong,
)
from job_project import JobProject
from loopback import LoopbackServer, Reply, error

DAY_S = 86_400
OWN = """import json, pathlib
MISSED = json.loads((pathlib.Path(__file__).parent / "missed.json").read_text())
LABELS = ("refund", "invoice", "shipping")
def answer(text, model): return LABELS[(int(text.split()[-1]) + (int(text.split()[-1]) in MISSED[model])) % 3]
def base(text): return answer(text, "base")
def ft(text): return answer(text, "ft")
"""


@pytest.fixture
def jobs(pytester: pytest.Pytester, server: LoopbackServer) -> JobProject:
    return JobProject(pytester, server)


@pytest.fixture
def moving(project: Project) -> Project:
    """With models that may change, and whose answers are stored."""
    project.file("own.py", OWN)
    for role, name in (("baseline", "base"), ("candidate", "ft")):
        project.keys[role] = {"provider": "python", "target": f"own:{name}", "cache_key": "1"}
    project.keys |= {"margin": 0.01, "evidence": "observed"}
    missing(project)
    return project


def missing(project: Project, base: Iterable[int] = range(40, 60), ft: Iterable[int] = (0, 1, 58, 59)) -> None:
    """What the models answer wrong from now on."""
    project.file("missed.json", json.dumps({"base": list(base), "ft": list(ft)}))


def green(project: Project, **changes: Any) -> dict[str, Any]:
    return passed(project.judge(stored=True, **changes))


def in_days(days: int) -> str:
    return (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y-%m-%d")


def model(shutdown: Any) -> Reply:
    return Reply(body={"id": "m", "object": "model", "created": 1, "owned_by": "acme", "shutdown_date": shutdown})


def paths(project: EndpointProject) -> list[str]:
    return sorted(request.path for request in project.server.requests if request.method == "GET")


def age_store(project: Project, days: float) -> None:
    """Make the predictions, and the last green verdict, so much older."""
    project.store("UPDATE predictions SET created_at = created_at - ?", days * DAY_S)
    change_green(
        project, lambda green: {**green, **{at: green[at] - days * DAY_S for at in ("judged_at", "measured_at")}}
    )


def change_green(project: Project, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    rows = project.store("SELECT name, text FROM notes WHERE name LIKE 'green: %'")
    assert rows
    for name, text in rows:
        project.store("UPDATE notes SET text = ? WHERE name = ?", json.dumps(change(json.loads(text))), name)


def greens(project: Project) -> list[dict[str, Any]]:
    return [json.loads(text) for (text,) in project.store("SELECT text FROM notes WHERE name LIKE 'green: %'")]


# --- what is kept --------------------------------------------------------------------------------------------


def test_a_green_verdict_is_kept_and_shown(http: EndpointProject) -> None:
    first = green(http)
    assert first["clock"]["last_green"] is None
    assert not [line for line in block(first, verbose=True) if "last green" in line]
    second = green(http)
    (kept,) = greens(http)
    assert second["clock"]["last_green_age_days"] == 0
    assert second["clock"]["base_models"] == second["clock"]["last_base_models"] == {"baseline": "base"}
    assert kept["test_set"] == second["test_set"]["sha256"]
    assert kept["measured_at"] <= kept["judged_at"] <= time.time()
    assert (kept["models"]["candidate"]["model"], kept["models"]["candidate"]["value"]) == ("openai:ft", 56 / 60)
    assert [line for line in block(second, verbose=True) if line.startswith(f"last green {in_days(0)}")]


def test_a_red_verdict_never_replaces_a_green_one(moving: Project) -> None:
    assert moving.judge(stored=True, margin=0.9)["verdict"] == "fail"
    assert green(moving)["clock"]["last_green"] is None
    before = greens(moving)
    missing(moving, ft=range(60))
    assert moving.judge(refresh=True)["verdict"] == "fail"
    assert greens(moving) == before


def test_recordings_carry_the_last_green_verdict_and_the_times(http: EndpointProject) -> None:
    http.gate_test()
    assert http.gate()["verdict"] == "pass"
    (kept,) = greens(http)
    http.gate_test(margin=0.9)
    assert http.gate("--ftgate-report=recordings:kept")["verdict"] == "fail"  # which is no reason to forget
    (path,) = (http.path / "kept").glob("*.green.json")
    (text,) = json.loads(path.read_text()).values()
    assert json.loads(text) == kept
    shutil.rmtree(http.path / ".ftgate")
    http.ini["ftgate_recordings"] = "kept"
    assert statuses(http.judge(max_age_days=30, offline=True))["max_age_days"] == "pass"
    gate = http.judge(baseline=http.model("base", revision="2"))
    assert gate["clock"]["last_green"] is not None
    assert check(gate, "base_changed_baseline")["status"] == "warning"
    for path in (http.path / "kept").glob("*.jsonl"):
        write_jsonl(path, [{name: row[name] for name in row if name != "created_at"} for row in read_jsonl(path)])
    gate = http.judge(max_age_days=30, offline=True)
    assert statuses(gate)["max_age_days"] == "error"
    assert gate["candidate"]["oldest_prediction"] is None


def test_what_is_known_of_green_verdicts_may_be_damaged(moving: Project) -> None:
    """A note in the store is as none, and so is one of tomorrow, which would be the newest for ever."""
    green(moving)
    moving.store("UPDATE notes SET text = '{\"form\": 1' WHERE name LIKE 'green: %'")
    assert green(moving)["clock"]["last_green"] is None
    change_green(moving, lambda green: {**green, "judged_at": 4_102_444_800})
    assert green(moving)["clock"]["last_green"] is None
    assert green(moving)["clock"]["last_green"] is not None  # that of the run before
    moving.file("recorded/x.green.json", "[]")
    moving.ini["ftgate_recordings"] = "recorded"
    mentions(stopped(moving.judge()), "recorded/x.green.json")


# --- age -----------------------------------------------------------------------------------------------------


def test_old_evidence_fails(moving: Project) -> None:
    assert check(green(moving, max_age_days=90), "max_age_days")["status"] == "pass"
    age_store(moving, 89)
    green(moving, max_age_days=90)
    age_store(moving, 26)
    gate = moving.judge(stored=True, max_age_days=90)
    found = stopped(gate, "fail", called=True)
    assert (found["name"], found["required"], found["source"]) == ("max_age_days", 90, "marker")
    assert found["observed"] == pytest.approx(115, abs=0.01)
    mentions(found, in_days(-115), "115", "90", "--ftgate-cache=refresh")
    assert [line for line in block(gate) if line.startswith(f"last green {in_days(-26)}") and "26" in line]
    renewed = passed(moving.judge(refresh=True, max_age_days=90))
    assert renewed["clock"]["evidence_age_days"] == pytest.approx(0, abs=0.01)
    one = "UPDATE predictions SET created_at = created_at - ? WHERE key = (SELECT min(key) FROM predictions)"
    moving.store(one, 91 * DAY_S)
    assert statuses(moving.judge(stored=True, max_age_days=90))["max_age_days"] == "fail"


def recorded(project: Project, days: float) -> None:
    """Predictions so many days ago."""
    for name, missed in (("base.jsonl", range(40, 60)), ("ft.jsonl", (0, 1, 58, 59))):
        project.predictions(name, 60, missed, created_at=time.time() - days * DAY_S)


@pytest.mark.parametrize(("days", "verdict"), [(29, "pass"), (31, "fail")])
def test_a_recording_is_as_old_as_it_says(project: Project, days: int, verdict: str) -> None:
    recorded(project, days)
    assert project.judge(max_age_days=30)["verdict"] == verdict
    ready = project.judge(stage="ready", candidate=..., max_age_days=30)
    assert statuses(ready)["max_age_days"] == verdict


def test_guards_are_evidence_too(project: Project) -> None:
    recorded(project, 0)
    project.test_set(60, "general.jsonl", prefix="g", input="guard {}".format)
    for name in ("base.jsonl", "ft.jsonl"):
        project.predictions(name, 60, prefix="g", add=True, created_at=time.time() - 100 * DAY_S)
    guards = {"general": {"test_set": "general.jsonl", "max_drop": 0.1}}
    assert statuses(project.judge(max_age_days=30, guards=guards))["max_age_days"] == "fail"


def test_an_age_that_cannot_be_told_is_an_error(project: Project) -> None:
    found = stopped(project.judge(max_age_days=30), called=True)
    assert found["name"] == "max_age_days"
    mentions(found, "baseline", "candidate")
    recorded(project, 0)
    first, *rest = read_jsonl(project.path / "ft.jsonl")
    write_jsonl(project.path / "ft.jsonl", [{**first, "created_at": 4_102_444_800}, *rest])
    mentions(stopped(project.judge(max_age_days=30), called=True), "2100-01-01", in_days(0))
    write_jsonl(project.path / "ft.jsonl", [{**first, "created_at": round(time.time() * 1000)}, *rest])
    mentions(stopped(project.judge(max_age_days=30)), "ft.jsonl:1: created_at", "1970")


# --- shutdowns -----------------------------------------------------------------------------------------------


def test_a_shutdown_date_is_a_warning(http: EndpointProject) -> None:
    http.server.replies["GET /v1/models/ft"] = model(in_days(51))
    gate = green(http)
    found = check(gate, "shutdown_candidate")
    assert found["status"] == "warning"
    mentions(found, "ft", in_days(51), "51 days")
    assert gate["clock"]["shutdown_dates"] == {"ft": in_days(51)}
    assert paths(http) == ["/v1/models/base", "/v1/models/ft"]
    http.forget()
    again = green(http)  # nothing is asked, and what was told is still known
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
    gate = http.judge(candidate="recorded:ft.jsonl", clock=clock)
    assert statuses(gate)["shutdown_baseline"] == status
    assert gate["verdict"] == ("fail" if status == "fail" else "pass")


def test_a_fine_tune_ends_with_its_base_model(jobs: JobProject) -> None:
    """Which the name of the fine-tune tells, or its job."""
    name = "ft:base-2025-04-14:acme::abc"
    jobs.server.answer = lambda body: answer({**body, "model": "ft"})
    jobs.server.replies["GET /v1/models/base-2025-04-14"] = model(in_days(10))
    jobs.server.replies[f"GET /v1/models/{name}"] = model(None)
    changes = {"baseline": "recorded:base.jsonl", "clock": {"shutdown": "fail"}}
    found = stopped(jobs.judge(candidate=jobs.model(name), **changes), "fail", called=True)
    assert found["name"] == "shutdown_candidate"
    mentions(found, name, "base-2025-04-14", in_days(10), "10 days")
    gate = jobs.judge(baseline="recorded:base.jsonl")
    assert gate["clock"]["shutdown_dates"] == {"base-2025-04-14": in_days(10)}
    assert check(gate, "shutdown_candidate")["status"] == "warning"


UNKNOWN = [error(404), error(500), error(401), Reply(drop=True), Reply(body="<html>"), Reply(body=[1])]
UNKNOWN += [Reply(body={"id": "base"}), *map(model, (None, "soon", True, 10**30))]


@pytest.mark.parametrize("reply", UNKNOWN, ids=lambda reply: f"{reply.status} {reply.body}"[:40])
def test_nothing_known_is_no_trouble(http: EndpointProject, reply: Reply) -> None:
    http.server.replies["GET /v1/models/base"] = reply
    gate = green(http, candidate="recorded:ft.jsonl")
    assert not [name for name in statuses(gate) if name.startswith("shutdown")]
    assert gate["clock"]["shutdown_dates"] == {}


def test_unknown_is_said_where_the_gate_would_fail(http: EndpointProject) -> None:
    http.server.replies["GET /v1/models/base"] = model(None)
    gate = green(http, clock={"shutdown": "fail"})
    assert check(gate, "shutdown_candidate")["status"] == "note"
    assert "shutdown_baseline" not in statuses(gate)


def test_nobody_is_asked_who_was_not_asked_for_answers(http: EndpointProject) -> None:
    green(http, clock={"shutdown": "ignore"})
    assert paths(http) == []
    green(http)  # all stored
    assert paths(http) == []
    http.store("DELETE FROM predictions WHERE key = (SELECT min(key) FROM predictions)")
    green(http)
    assert len(paths(http)) == 1
    http.judge(refresh=True)
    assert paths(http) == ["/v1/models/base", "/v1/models/ft"]  # once a day


def test_the_key_goes_to_nobody_else_and_is_not_told(http: EndpointProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTGATE_TEST_KEY", "correct-horse-battery-staple")
    http.server.replies["GET /v1/models/ft"] = error(401, message="bad key correct-horse-battery-staple")
    gate = green(http, candidate=http.model("ft", api_key_env="FTGATE_TEST_KEY"), clock={"shutdown": "fail"})
    sent = {request.path: request.headers.get("authorization") for request in http.server.requests}
    assert sent["/v1/models/base"] is None
    assert sent["/v1/models/ft"] == "Bearer correct-horse-battery-staple"
    assert "correct-horse" not in f"{gate} {block(gate, verbose=True)} {greens(http)}"


# --- other models beneath ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "status"), [("warn", "warning"), ("fail", "fail"), ("ignore", None)])
def test_another_baseline_than_at_the_last_green_verdict(http: EndpointProject, level: str, status: str | None) -> None:
    http.keys["candidate"] = "recorded:ft.jsonl"
    green(http)
    http.server.answer = lambda body: answer({**body, "model": "base"})
    changes = {"baseline": http.model("base-2"), "clock": {"base_changed": level}}
    gate = http.judge(stored=True, **changes)
    assert statuses(gate).get("base_changed_baseline") == status
    assert gate["verdict"] == ("fail" if level == "fail" else "pass")
    assert gate["models_called"] is (level != "fail")
    if level == "warn":
        mentions(check(gate, "base_changed_baseline"), "base-2", in_days(0), "base")
        again = green(http, **changes)  # which is the reference from now on
        assert "base_changed_baseline" not in statuses(again)


def test_another_base_model_of_the_candidate(jobs: JobProject) -> None:
    """A retrained one on the same base is no change."""
    jobs.keys |= {"baseline": "recorded:base.jsonl", "clock": {"base_changed": "fail"}}
    green(jobs)
    jobs.server.answer = lambda body: answer({**body, "model": "ft"})
    jobs.tell(fine_tuned_model="ft-2")
    jobs.store("DELETE FROM notes WHERE name LIKE 'tuning: job%'")
    green(jobs)
    jobs.tell(model="base-2026-01-01")
    jobs.store("DELETE FROM notes WHERE name LIKE 'tuning: job%'")
    gate = jobs.judge(stored=True)
    found = stopped(gate, "fail")
    assert found["name"] == "base_changed_candidate"
    mentions(found, "base-2026-01-01")
    assert gate["clock"]["last_base_models"]["candidate"] == "base-2025-04-14"


def test_each_of_several_candidates_has_a_base_of_its_own(http: EndpointProject) -> None:
    http.server.answer = lambda body: (
        wrong(index_of(body)) if "nano" in body["model"] else answer({**body, "model": "ft"})
    )
    candidates = {
        "small": http.model("ft:nano-2025-04-14:a::1"),
        "large": http.model("ft:mini-2025-04-14:a::2"),
    }
    http.keys["baseline"] = "recorded:base.jsonl"
    changes = {"candidate": ..., "candidates": candidates, "clock": {"base_changed": "fail"}}
    green(http, **changes)
    again = passed(http.judge(refresh=True, **changes))
    assert statuses(again)["drift_candidate"] == "note"
    assert [one["verdict"] for one in again["candidates"]] == ["fail", "pass"]


def test_an_alias_warns_or_fails_before_any_call(http: EndpointProject) -> None:
    http.server.answer = lambda body: answer({**body, "model": "base"})
    http.keys |= {"baseline": http.model("base-latest"), "candidate": "recorded:ft.jsonl"}
    gate = passed(http.judge())
    assert check(gate, "alias_baseline")["status"] == "warning"
    assert "alias_candidate" not in statuses(gate)
    found = stopped(http.judge(clock={"alias": "fail"}), "fail")
    assert found["name"] == "alias_baseline"
    mentions(found, "base-latest")
    assert http.judge(baseline=http.model("base-latest", revision="7f3a"), clock={"alias": "fail"})["verdict"] == "pass"


# --- drift ---------------------------------------------------------------------------------------------------

WORSE = (0, 1, *range(2, 14), 58, 59)  # by 12 examples


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", {"name": "exact_match"}])
def test_a_candidate_that_got_worse_has_drifted(moving: Project, metric: Any) -> None:
    green(moving, metric=metric)
    age_store(moving, 115)
    missing(moving, ft=WORSE)
    gate = moving.judge(refresh=True, metric=metric)
    found = check(gate, "drift_candidate")
    assert (found["status"], check(gate, "drift_baseline")["status"]) == ("warning", "note")
    (baseline, candidate) = gate["clock"]["drift"]
    assert (candidate["role"], candidate["worse"], candidate["better"]) == ("candidate", 12, 0)
    assert (candidate["beyond_noise"], baseline["beyond_noise"]) == (True, False)
    mentions(found, "candidate", in_days(-115), "12")
    if metric == "accuracy":
        mentions(found, "-20.0")
    mentions(check(gate, "drift_baseline"), "baseline", in_days(-115))
    assert [line for line in block(gate) if line.startswith(f"last green {in_days(-115)}")]


def test_what_moves_is_more_than_chance_allows_or_not(moving: Project) -> None:
    """And it turns no verdict, in neither direction."""
    green(moving)
    missing(moving, base=(), ft=(*range(2, 6), 0, 1, 58, 59))
    gate = ends(moving.judge(refresh=True), "fail")
    assert (statuses(gate)["drift_baseline"], statuses(gate)["drift_candidate"]) == ("warning", "note")
    mentions(check(gate, "drift_baseline"), "+33.3")
    mentions(check(gate, "drift_candidate"), "4", "0")


def test_each_test_of_a_gate_is_compared_with_the_verdict_before_this_session(moving: Project) -> None:
    moving.pytester.syspathinsert()
    moving.gate_test("@pytest.mark.parametrize('x', range(2))\ndef test_gate(x):\n    pass\n", name="one")
    moving.run()
    missing(moving, ft=(*range(2, 8), 0, 1, 58, 59))
    one, two = moving.report("--ftgate-cache=refresh")["gates"]
    assert (one["verdict"], two["verdict"]) == ("pass", "pass")
    assert check(one, "drift_candidate") == check(two, "drift_candidate")
    assert check(two, "drift_candidate")["status"] == "warning"
    one, two = moving.report("--ftgate-cache=refresh")["gates"]
    assert statuses(one)["drift_candidate"] == statuses(two)["drift_candidate"] == "note"


def test_what_cannot_be_compared(moving: Project) -> None:
    """Without refresh, and at the first one; on another test set; another candidate has not drifted."""
    first = moving.judge(refresh=True)
    assert (first["verdict"], check(first, "drift")["status"]) == ("pass", "note")
    gate = green(moving)
    assert gate["clock"]["drift"] == []
    assert not [name for name in statuses(gate) if name.startswith(("drift", "test_set_changed"))]
    moving.file("own2.py", OWN)
    other = {"provider": "python", "target": "own2:ft", "cache_key": "1"}
    found = check(moving.judge(refresh=True, candidate=other), "drift_candidate")
    assert found["status"] == "note"
    mentions(found, "own2:ft", "own:ft")
    moving.test_set(N, lang="en")
    gate = moving.judge(refresh=True)
    assert (statuses(gate)["test_set_changed"], statuses(gate)["drift"]) == ("note", "note")


def test_repeats(moving: Project) -> None:
    green(moving, repeats=2)
    missing(moving, ft=(*range(22), 58, 59))
    assert statuses(moving.judge(refresh=True, repeats=2))["drift_candidate"] == "warning"


def test_another_prompt_is_said(http: EndpointProject) -> None:
    http.keys |= {"margin": 0.01, "baseline": "recorded:base.jsonl"}
    green(http)
    http.server.answer = lambda body: wrong(index_of(body)) if index_of(body) in WORSE else label(index_of(body))
    found = [
        check(http.judge(refresh=True, margin=0.9, candidate=candidate), "drift_candidate")
        for candidate in (http.model("ft", params={"temperature": 1}), http.model("ft"))
    ]
    assert [one["status"] for one in found] == ["warning", "warning"]
    assert found[0]["message"] != found[1]["message"]


def test_before_training_the_baseline_may_drift(moving: Project) -> None:
    ready = {"stage": "ready", "candidate": ...}
    green(moving, **ready)
    missing(moving, base=(*range(12), *range(40, 60)))
    gate = moving.judge(refresh=True, **ready)
    assert statuses(gate)["drift_baseline"] == "warning"
    assert "drift_candidate" not in statuses(gate)


def test_several_baselines(http: EndpointProject) -> None:
    http.keys |= {
        "baseline": ...,
        "baselines": {"a": http.model("base"), "b": http.model("base", system="One word.")},
        "candidate": "recorded:ft.jsonl",
    }
    green(http)
    http.server.answer = lambda body: wrong(index_of(body)) if index_of(body) < 12 else answer(body)
    gate = http.judge(refresh=True)
    assert statuses(gate)["drift_baseline.a"] == statuses(gate)["drift_baseline.b"] == "warning"
    mentions(check(gate, "drift_baseline.b"), "baseline b", "-20.0")
    assert paths(http) == ["/v1/models/base"]


def test_workers_of_xdist_keep_and_compare(moving: Project) -> None:
    green(moving)
    missing(moving, ft=WORSE)
    moving.file("pytest.ini", "[pytest]\npythonpath = .\n")
    moving.gate_test()
    gate = moving.gate("-n1", "--ftgate-cache=refresh", apart=True)
    assert (statuses(gate)["drift_candidate"], gate["clock"]["drift"][1]["worse"]) == ("warning", 12)
    assert statuses(moving.judge(refresh=True))["drift_candidate"] == "note"


def test_a_recording_is_not_as_old_as_its_last_reading(project: Project) -> None:
    """The second gate finds the answers where the first one has read them a moment ago."""
    other = project.mark(name="other")
    project.gate_test(f"def test_gate():\n    pass\n\n\n{other}\ndef test_other():\n    pass\n", name="one")
    gates = project.report()["gates"]
    assert [gate["candidate"]["oldest_prediction"] for gate in gates] == [None, None]
    assert "oldest stored prediction" not in project.result.stdout.str()
