"""Guards: what the model must not lose, on test sets of their own."""

from __future__ import annotations

from typing import Any

import pytest
from endpoint_project import EndpointProject, answer
from gate_project import Project, check, label, mentions, passed, stopped

LEAST = 99  # examples that rule out a drop of 3 points where nothing differs
GENERAL = {"test_set": "general.jsonl", "max_drop": 0.03}


def guard_set(project: Project, n: int, **fields: Any) -> None:
    project.test_set(n, "general.jsonl", **{"prefix": "g", "input": "general item {}".format, **fields})


def answers(project: Project, n: int, **missed: Any) -> None:
    """Add what recorded models say to the examples of the guard."""
    for name, wrong_at in {"base": (), "ft": (), **missed}.items():
        project.predictions(f"{name}.jsonl", n, wrong_at, prefix="g", add=True)


def judged(project: Project, guard: Any = None, **changes: Any) -> dict[str, Any]:
    return project.judge(guards={"general": {**GENERAL, **(guard or {})}}, **changes)


def test_examples_that_belong_together_are_counted_by_groups(project: Project) -> None:
    guard_set(project, 200, group=lambda i: f"c{i // 40}")
    answers(project, 200)
    found = stopped(judged(project), "inconclusive")
    assert (found["observed"], found["required"]) == (5, LEAST)


def test_recorded_models_without_the_guards_predictions(project: Project) -> None:
    """An error; of the candidate they may count as wrong."""
    guard_set(project, 100)
    project.predictions("base.jsonl", 100, prefix="g", add=True)
    project.predictions("ft.jsonl", 98, prefix="g", add=True)
    found = stopped(judged(project), called=True)
    assert (found["name"], found["observed"]) == ("guards.general", 98)
    mentions(found, "ft.jsonl", "2 of 100", "g98")
    gate = judged(project, {"max_drop": 0.1}, missing_answers="wrong")
    assert (gate["verdict"], gate["guards"][0]["candidate"]) == ("pass", 0.98)
    assert check(gate, "guards.general")["status"] == "warning"

    guard_set(project, 60, prefix="t")  # one id for two examples
    found = stopped(judged(project, {"max_drop": 0.3}))
    assert found["name"] == "guards.general"
    mentions(found, "t0")


def test_a_guard_holds_against_every_baseline(project: Project) -> None:
    """Measured, b is the better one, and the candidate answers as b does; a may be better in reality."""
    project.predictions("other.jsonl", 60, wrong_at=range(45, 60))
    guard_set(project, 100)
    wrong_of_b, wrong_of_a = [*range(14), *range(90, 100)], [*range(20, 35), *range(90, 100)]
    answers(project, 100, base=wrong_of_a, ft=wrong_of_b, other=wrong_of_b)
    baselines = {"a": "recorded:base.jsonl", "b": "recorded:other.jsonl"}
    guards = {"general": {**GENERAL, "max_drop": 0.05}}
    alone = project.judge(baseline="recorded:other.jsonl", guards=guards)
    assert alone["guards"][0]["verdict"] == "pass"
    guards["form"] = {**GENERAL, "metric": {"name": "format", "allowed": ["refund", "invoice", "shipping"]}}
    gate = project.judge(baseline=..., baselines=baselines, guards=guards)
    guard, form = gate["guards"]
    assert (form["metric"], form["verdict"]) == ("format", "pass")
    assert (gate["verdict"], guard["verdict"], guard["against"]) == ("inconclusive", "inconclusive", "a")
    assert (guard["baseline"], guard["candidate"], guard["wins"], guard["losses"]) == (0.75, 0.76, 15, 14)
    mentions(check(gate, "guards.general"), "baseline a", "75.0 %", "76.0 %")


def test_repeats_hold_for_guards_too(project: Project) -> None:
    for file, missed in (("base.jsonl", 40), ("ft.jsonl", 58)):
        project.predictions(file, 60, range(missed, 60), repeats=2)
        project.predictions(file, LEAST, prefix="g", add=True, repeats=2)
    guard_set(project, LEAST)
    gate = judged(project, repeats=2)
    assert (gate["verdict"], gate["guards"][0]["n"]) == ("pass", LEAST)
    assert "exact" in gate["guards"][0]["method"]  # no example has answers of both kinds


# --- asked, stored and recorded ------------------------------------------------------------------------------


@pytest.fixture
def http(http: EndpointProject) -> EndpointProject:
    def guard_answer(body: dict[str, Any]) -> str:
        text = body["messages"][-1]["content"]
        return label(int(text.split()[-1])) if "general" in text else answer(body)

    http.server.answer = guard_answer
    guard_set(http, LEAST)
    return http


def test_guards_are_asked_with_the_rest_stored_and_recorded(http: EndpointProject) -> None:
    http.gate_test(guards={"general": GENERAL})
    first = passed(http.whole("--ftgate-report=recordings:recordings"))
    assert len(http.server.bodies) == 2 * (60 + LEAST)
    assert set(http.asked.values()) == {1}
    assert len(list((http.path / "recordings").glob("*.jsonl"))) == 4
    http.forget()
    assert judged(http, stored=True)["verdict"] == "pass"
    http.ini["ftgate_recordings"] = "recordings"
    assert judged(http, offline=True)["guards"] == first["guards"]
    assert not http.server.bodies


def test_a_guards_missing_answer_is_an_error(http: EndpointProject) -> None:
    assert http.judge(stored=True)["verdict"] == "pass"
    gate = judged(http, stored=True, offline=True)
    assert (gate["verdict"], gate["guards"][0]["verdict"], gate["candidate"]["value"]) == ("error", "error", 56 / 60)
    found = next(one for one in gate["checks"] if one["status"] == "error")
    mentions(found, "ft", "99 of 99")
    assert found["name"] == "guards.general"
