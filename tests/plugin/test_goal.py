"""What a fine-tune is for: goals that training does not serve fail before any call."""

from __future__ import annotations

import pytest
from gate_project import Project, statuses


@pytest.mark.parametrize("goal", ["style", "format", "classification", "extraction", "latency", "cost"])
def test_what_training_serves_passes(project: Project, goal: str) -> None:
    gate = project.judge(goal=goal)
    assert (gate["verdict"], statuses(gate)["goal"]) == ("pass", "pass")
    assert "goal" not in statuses(project.judge())


def test_a_goal_accepted_in_the_mark_is_no_met_obligation(required: Project) -> None:
    required.filed(", goal: knowledge")
    required.marked("'support', checks={'goal': 'warn'}")
    report = required.report()
    assert report["gates"][0]["verdict"] == "pass"
    (owed,) = report["unjudged"]
    assert "checks.goal" in owed["reason"]
    assert required.result.ret == pytest.ExitCode.TESTS_FAILED
    required.result.stdout.fnmatch_lines(["*warning goal: *"])
