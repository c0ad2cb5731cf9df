"""How fresh a verdict is: what is kept of a green one, other models since then, and how old answers may be."""

import json
import shutil
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from endpoint_project import EndpointProject, answer
from gate_project import (
    Project,
    check,
    checks,
    mentions,
    passed,
    read_jsonl,
    statuses,
    stopped,
    write_jsonl,
)

from pytest_ftgate.checks.freshness import base_in_name

DAY_S = 86_400


def green(project: Project, **changes: Any) -> dict[str, Any]:
    return passed(project.judge(stored=True, **changes))


def in_days(days: int) -> str:
    return (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y-%m-%d")


def greens(project: Project) -> list[dict[str, Any]]:
    return [
        json.loads(text)
        for (text,) in project.store("SELECT text FROM notes WHERE name LIKE 'green: %'")
    ]


@pytest.fixture
def other_model(http: EndpointProject) -> dict[str, Any]:
    """Return changes of a gate that was green, in which another model is the baseline."""
    http.keys["candidate"] = "recorded:ft.jsonl"
    green(http)
    http.server.answer = lambda body: answer({**body, "model": "base"})
    return {"baseline": http.model("base-2")}


def test_another_baseline_than_at_the_last_green_verdict(
    http: EndpointProject, other_model: dict[str, Any]
) -> None:
    # which is no reference
    assert http.judge(stored=True, margin=0.9, **other_model)["verdict"] == "fail"
    finding = check(green(http, **other_model), "base_changed")
    assert (finding["status"], finding["observed"]) == ("warning", "base-2 (revision 1)")
    mentions(finding, "base-2", in_days(0), "base (revision 1)")
    # which is the reference from now on
    assert "base_changed" not in statuses(green(http, **other_model))


def test_another_base_model_of_the_candidate(http: EndpointProject) -> None:
    """A retrained one on the same base is no change."""
    http.server.answer = lambda body: answer({**body, "model": "ft"})
    http.keys["baseline"] = "recorded:base.jsonl"
    for name, status in (
        ("nano:acme::1", None),
        ("nano:acme::2", None),
        ("mini:acme::3", "warning"),
    ):
        gate = green(http, candidate=http.model(f"ft:{name}"))
        assert statuses(gate).get("base_changed") == status
    mentions(check(gate, "base_changed"), "mini", "nano")
    bases = ("ft:gpt-4o", "ft::acme::x", "gpt-4o:acme::x", "llama3:8b")
    assert [base_in_name(name) for name in ("ft:gpt-4.1:acme:suffix:abc:ckpt", *bases)] == [
        "gpt-4.1",
        *[None] * 4,
    ]


def test_several_baselines_and_another_test_set(http: EndpointProject) -> None:
    models = {"a": http.model("base"), "b": http.model("base", system="One word.")}
    http.keys |= {"baseline": ..., "baselines": models, "candidate": "recorded:ft.jsonl"}
    green(http)
    http.test_set(60, lang="en")
    gate = green(
        http, baselines={**models, "b": http.model("base", system="One word.", revision="2")}
    )
    (finding,) = checks(gate, "base_changed")
    assert finding["status"] == "warning"
    mentions(finding, "baseline b")
    assert statuses(gate)["test_set_changed"] == "warning"


def test_limited_attempts_are_no_other_test_set(project: Project) -> None:
    green(project)
    assert "test_set_changed" not in statuses(green(project, max_attempts=2))
    assert "test_set_changed" not in statuses(green(project))


def test_before_and_after_training_are_filed_apart_and_a_damaged_recording_is_an_error(
    project: Project,
) -> None:
    green(project)
    green(project, stage="ready", candidate=...)
    assert len(greens(project)) == 2
    project.file("recorded/x.green.json", "[]")
    project.ini["ftgate_recordings"] = "recorded"
    mentions(stopped(project.judge()), "recorded/x.green.json")


def test_recordings_carry_the_last_green_verdict_and_the_times(http: EndpointProject) -> None:
    http.gate_test()
    assert http.gate()["verdict"] == "pass"
    (green_verdict,) = greens(http)
    http.gate_test(margin=0.9)
    # which is no reason to forget
    assert http.gate("--ftgate-report=recordings:kept")["verdict"] == "fail"
    (path,) = (http.path / "kept").glob("*.green.json")
    (text,) = json.loads(path.read_text()).values()
    assert json.loads(text) == green_verdict
    shutil.rmtree(http.path / ".ftgate")
    http.ini["ftgate_recordings"] = "kept"
    assert statuses(http.judge(max_age_days=30, offline=True))["max_age_days"] == "pass"
    gate = http.judge(baseline=http.model("base", revision="2"))
    assert check(gate, "base_changed")["status"] == "warning"
    for path in (http.path / "kept").glob("*.jsonl"):
        write_jsonl(
            path,
            [{name: row[name] for name in row if name != "created_at"} for row in read_jsonl(path)],
        )
    gate = http.judge(max_age_days=30, offline=True)
    assert statuses(gate)["max_age_days"] == "error"


@pytest.mark.parametrize(
    "damage", [{"judged_at": 10**400}, {"judged_at": "x"}, {"form": 1}, None], ids=str
)
def test_a_damaged_note_is_as_none(
    http: EndpointProject, other_model: dict[str, Any], damage: Any
) -> None:
    (green_verdict,) = greens(http)
    http.store(
        "UPDATE notes SET text = ? WHERE name LIKE 'green: %'",
        json.dumps(damage and {**green_verdict, **damage}),
    )
    assert "base_changed" not in statuses(green(http, **other_model))
    assert "base_changed" in statuses(green(http))  # the new one is the reference


def test_old_evidence_fails(http: EndpointProject) -> None:
    age = "UPDATE predictions SET created_at = created_at - ?"
    green(http)
    http.store(age, 89 * DAY_S)
    assert check(green(http, max_age_days=90), "max_age_days")["status"] == "pass"
    http.store(age, 26 * DAY_S)
    finding = stopped(http.judge(stored=True, max_age_days=90), "fail", called=True)
    assert (finding["name"], finding["required"], finding["source"]) == (
        "max_age_days",
        90,
        "marker",
    )
    assert finding["observed"] == pytest.approx(115, abs=0.01)
    mentions(finding, in_days(-115), "115", "90", "--ftgate-cache=refresh")
    renewed = passed(http.judge(refresh=True, max_age_days=90))
    assert check(renewed, "max_age_days")["observed"] == pytest.approx(0, abs=0.01)
    http.store(f"{age} WHERE key = (SELECT min(key) FROM predictions)", 91 * DAY_S)
    assert statuses(http.judge(stored=True, max_age_days=90))["max_age_days"] == "fail"


def recorded(project: Project, days: float) -> None:
    """Predictions so many days ago."""
    for name, missed in (("base.jsonl", range(40, 60)), ("ft.jsonl", (0, 1, 58, 59))):
        project.predictions(name, 60, missed, created_at=time.time() - days * DAY_S)


def test_a_recording_is_as_old_as_it_says_and_guards_are_evidence_too(project: Project) -> None:
    for days, verdict in ((29, "pass"), (31, "fail")):
        recorded(project, days)
        assert project.judge(max_age_days=30)["verdict"] == verdict
        ready = project.judge(stage="ready", candidate=..., max_age_days=30)
        assert statuses(ready)["max_age_days"] == verdict
    recorded(project, 0)
    project.test_set(60, "general.jsonl", prefix="g", input="guard {}".format)
    for name in ("base.jsonl", "ft.jsonl"):
        project.predictions(name, 60, prefix="g", add=True, created_at=time.time() - 100 * DAY_S)
    guards = {"general": {"test_set": "general.jsonl", "max_drop": 0.1}}
    assert statuses(project.judge(max_age_days=30, guards=guards))["max_age_days"] == "fail"


def test_an_age_that_cannot_be_told_is_an_error(project: Project) -> None:
    finding = stopped(project.judge(max_age_days=30), called=True)
    assert finding["name"] == "max_age_days"
    mentions(finding, "baseline", "candidate")
    recorded(project, 0)
    first, *later_rows = read_jsonl(project.path / "ft.jsonl")
    write_jsonl(project.path / "ft.jsonl", [{**first, "created_at": 4_102_444_800}, *later_rows])
    mentions(stopped(project.judge(max_age_days=30), called=True), "2100-01-01", in_days(0))
    write_jsonl(
        project.path / "ft.jsonl", [{**first, "created_at": round(time.time() * 1000)}, *later_rows]
    )
    mentions(stopped(project.judge(max_age_days=30)), "ft.jsonl:1: created_at")
