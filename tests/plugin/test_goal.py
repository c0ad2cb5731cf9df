"""What a fine-tune is for: goals that training does not serve fail before any call."""

from __future__ import annotations

import pytest
import yaml
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


def test_an_unknown_goal_names_the_nearest(project: Project) -> None:
    mentions(stopped(project.judge(goal="knowlege")), "test_gate.py:4", "goal", "'knowledge'")


def test_an_override_in_the_mark_is_no_met_obligation(project: Project) -> None:
    project.gate_file(yaml.safe_dump({"version": 1, "gates": {"support": {**project.keys, "goal": "knowledge"}}}))
    project.file("pytest.ini", "[pytest]\nftgate_required = support\n")
    project.file(
        "test_gate.py",
        "import pytest\n\n@pytest.mark.ftgate('support', goal_override='because')\ndef test_gate(): pass\n",
    )
    report = project.report()
    assert report["gates"][0]["verdict"] == "pass"
    (owed,) = report["unjudged"]
    assert "goal_override" in owed["reason"]
    assert project.result.ret == pytest.ExitCode.TESTS_FAILED
    project.result.stdout.fnmatch_lines(["*warning goal: *because*"])
