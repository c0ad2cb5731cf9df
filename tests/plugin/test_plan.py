"""``--ftgate-plan``: what a gate costs and can show, without a call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from endpoint_project import EndpointProject
from gate_project import Project

from pytest_ftgate.statistics import chances, fewest_wins

PRICE = {"input_per_1m": 1.0, "output_per_1m": 2.0}


def plan(project: Project, *args: str, status: int = 0) -> dict[str, Any]:
    """Plan the project's one gate, and return what the JSON report says of it."""
    result = project.run("--ftgate-plan", "--ftgate-report=json:plan.json", *args)
    assert result.ret == status, result.stdout.str()
    report = json.loads((project.path / "plan.json").read_text(encoding="utf-8"))
    assert report["gates"] == []
    (found,) = report["plans"]
    return found  # type: ignore[no-any-return]


def test_calls_tokens_and_money_before_and_after_answers_are_stored(http: EndpointProject) -> None:
    for role in ("baseline", "candidate"):
        http.keys[role] = {**http.keys[role], "price": PRICE}
    http.gate_test()
    before = plan(http)
    assert (before["calls"], before["stored"], before["tokens"], before["cost_usd"]) == (120, 0, None, None)
    assert http.server.requests == []
    http.run("--ftgate-preview=6")
    asked = len(http.server.bodies)
    some = plan(http)
    assert (some["calls"], some["stored"]) == (120, 12)
    assert some["left_tokens"] == pytest.approx(some["tokens"] * 108 / 120, rel=0.02)
    assert some["left_cost_usd"] == pytest.approx(some["cost_usd"] * 108 / 120, rel=0.02)
    assert len(http.server.bodies) == asked
    gate = http.gate()
    after = plan(http)
    spent = [gate[role] for role in ("baseline", "candidate")]
    assert after["tokens"] == sum(one["input_tokens"] + one["output_tokens"] for one in spent)
    assert after["cost_usd"] == pytest.approx(sum(one["cost_usd"] for one in spent))
    assert (after["left_tokens"], after["left_cost_usd"]) == (0, 0)


def test_the_chances_are_those_of_the_exact_test(project: Project) -> None:
    """Recorded answers tell how often the models disagree: 18 fixed and 2 broken of 60."""
    project.gate_test()
    found = plan(project)
    asked: dict[str, Any] = {"margin": 0.05, "confidence": 0.95, "evidence": "significant"}
    assert found["measured"]
    assert found["disagreement"] == pytest.approx(20 / 60)
    assert found["gains"] == pytest.approx([0, 0.05, 0.075, 0.1])
    for row, gain in enumerate(found["gains"]):
        expected = chances(60, gain=gain, disagreement=20 / 60, **asked)
        rows = [found[key][row] for key in ("p_pass", "p_fail", "p_inconclusive")]
        assert rows == pytest.approx([expected.passed, expected.failed, expected.inconclusive])
    assert found["fewest_wins"] == {str(losses): fewest_wins(60, losses=losses, **asked) for losses in (0, 4, 8)}


def test_what_fails_already_is_said_and_exits_with_1(http: EndpointProject) -> None:
    http.training_set(150)
    http.gate_test()
    found = plan(http, status=1)
    (failed,) = [check for check in found["checks"] if check["status"] == "fail"]
    assert (failed["name"], failed["observed"]) == ("min_training_examples", 150)
    assert http.server.requests == []


def test_an_unusable_gate_is_planned_as_an_error(project: Project) -> None:
    project.gate_test(margin=3)
    found = plan(project, status=1)
    assert (found["calls"], found["metric"]) == (0, None)
    assert "error" in {check["status"] for check in found["checks"]}


def test_workers_and_html(project: Project) -> None:
    project.gate_test()
    result = project.run_apart(
        "--ftgate-plan", "-n1", "--ftgate-report=html:plan.html", "--ftgate-report=json:plan.json"
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*PLAN, no verdict*", "*exactly the margin*", "*html report: plan.html*"])
    assert "PLAN, no verdict" in (project.path / "plan.html").read_text(encoding="utf-8")
    assert len(json.loads((project.path / "plan.json").read_text(encoding="utf-8"))["plans"]) == 1


def test_a_plan_meets_no_obligation(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.gate_test(name="orders")
    project.file("pytest.ini", "[pytest]\nftgate_required = orders\n")
    assert project.run("--ftgate-plan").ret == 0
    monkeypatch.setenv("CI", "true")
    assert project.run("--ftgate-plan").ret == 4
    monkeypatch.delenv("CI")
    assert project.run("--ftgate-plan", "--ftgate-preview=1").ret == 4
