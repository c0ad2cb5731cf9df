"""What a fine-tune is for: goals that training does not serve fail before any call."""

from __future__ import annotations

import pytest
from endpoint_project import EndpointProject
from gate_project import Project, check, statuses
from loopback import LoopbackServer

INSTEAD = {
    "knowledge": "Use retrieval (RAG)",
    "reasoning": "Use a better model",
    "one_off": "Use a few-shot prompt",
    "safety": "Use guardrails",
    "new_modality": "Use a multimodal model",
}


@pytest.mark.parametrize(("goal", "instead"), INSTEAD.items())
def test_what_training_does_not_serve_fails_with_what_to_do_instead(project: Project, goal: str, instead: str) -> None:
    project.gate_test(goal=goal)
    gate = project.gate()
    assert (gate["verdict"], gate["models_called"]) == ("fail", False)
    found = check(gate, "goal")
    assert (found["status"], found["observed"], found["source"]) == ("fail", goal, "marker")
    assert found["advice"].startswith(instead)
    project.result.stdout.fnmatch_lines(
        [f"*failed: fine-tuning does not serve the goal {goal}: *", f"*advice: {instead}*"]
    )


@pytest.mark.parametrize("goal", ["style", "format", "classification", "extraction", "latency", "cost"])
def test_what_training_serves_passes(project: Project, goal: str) -> None:
    project.gate_test(goal=goal)
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "goal")["status"] == "pass"


def test_no_model_is_asked_for_a_goal_that_is_not_served(pytester: pytest.Pytester, server: LoopbackServer) -> None:
    project = EndpointProject(pytester, server)
    project.gate_test(goal="knowledge")
    assert project.gate()["verdict"] == "fail"
    assert not server.requests


def test_a_reason_lets_it_pass_and_is_printed(project: Project) -> None:
    project.gate_test(goal="knowledge", goal_override="no room for context on the device")
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "goal")["status"] == "warning"
    project.result.stdout.fnmatch_lines(["*warning goal: * (allowed: no room for context on the device)*"])


def test_without_a_goal_nothing_is_said(project: Project) -> None:
    project.gate_test()
    assert {"goal", "goal_override"}.isdisjoint(statuses(project.gate()))


@pytest.mark.parametrize(
    ("goal", "why"), [("style", "the goal style needs none: why not"), (..., "there is no goal: why not")]
)
def test_a_reason_that_nothing_needs_is_said(project: Project, goal: object, why: str) -> None:
    project.gate_test(goal=goal, goal_override="why not")
    found = check(project.gate(), "goal_override")
    assert (found["status"], found["message"]) == ("note", why)


def test_an_unknown_goal_names_the_nearest(project: Project) -> None:
    project.gate_test(goal="knowlege")
    gate = project.gate()
    assert gate["verdict"] == "error"
    assert "did you mean 'knowledge'?" in check(gate, "configuration")["message"]


def test_an_override_in_the_mark_is_no_met_obligation(project: Project) -> None:
    keys = "".join(f"    {key}: {value}\n" for key, value in project.keys.items())
    project.gate_file(f"version: 1\ngates:\n  support:\n    goal: knowledge\n{keys}")
    project.pytester.makeini("[pytest]\nftgate_required = support\n")
    project.file(
        "test_gate.py",
        "import pytest\n\n@pytest.mark.ftgate('support', goal_override='because')\ndef test_gate(): pass\n",
    )
    report = project.report()
    assert report["gates"][0]["verdict"] == "pass"
    (owed,) = report["unjudged"]
    assert "goal_override: none -> because" in owed["reason"]
    assert project.result.ret == pytest.ExitCode.TESTS_FAILED
