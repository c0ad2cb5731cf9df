"""What a fine-tune is for: goals that training does not serve fail before any call."""

from __future__ import annotations

import pytest
from gate_project import Project, block, check, mentions, statuses, stopped

INSTEAD = {
    "knowledge": "RAG",
    "reasoning": "better model",
    "one_off": "few-shot",
    "safety": "guardrails",
    "new_modality": "multimodal",
}


@pytest.mark.parametrize(("goal", "instead"), INSTEAD.items())
def test_what_training_does_not_serve_fails_with_what_to_do_instead(project: Project, goal: str, instead: str) -> None:
    found = stopped(project.judge(goal=goal), "fail")
    assert (found["name"], found["observed"], found["source"]) == ("goal", goal, "marker")
    assert instead in found["advice"]
    mentions(found, goal, "goal_override")
    gate = project.judge(goal=goal, goal_override="no room for context on the device")
    assert (gate["verdict"], statuses(gate)["goal"]) == ("pass", "warning")
    assert instead in check(gate, "goal")["advice"]
    assert any("no room for context on the device" in line for line in block(gate))


@pytest.mark.parametrize("goal", ["style", "format", "classification", "extraction", "latency", "cost"])
def test_what_training_serves_passes_and_needs_no_reason(project: Project, goal: str) -> None:
    gate = project.judge(goal=goal, goal_override="why not")
    assert (gate["verdict"], statuses(gate)["goal"]) == ("pass", "pass")
    assert check(gate, "goal_override")["status"] == "note"
    mentions(check(gate, "goal_override"), goal, "why not")


def test_without_a_goal_nothing_is_said_but_of_a_reason(project: Project) -> None:
    assert {"goal", "goal_override"}.isdisjoint(statuses(project.judge()))
    found = check(project.judge(goal_override="why not"), "goal_override")
    assert found["status"] == "note"
    mentions(found, "why not")


def test_an_override_in_the_mark_is_no_met_obligation(required: Project) -> None:
    required.filed(", goal: knowledge")
    required.marked("'support', goal_override='because'")
    report = required.report()
    assert report["gates"][0]["verdict"] == "pass"
    (owed,) = report["unjudged"]
    assert "goal_override" in owed["reason"]
    assert required.result.ret == pytest.ExitCode.TESTS_FAILED
    required.result.stdout.fnmatch_lines(["*warning goal: *because*"])
