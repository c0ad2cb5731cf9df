"""What a fine-tune is for, and what is expected of it; what is said of each goal and hypothesis: tests/messages."""

from __future__ import annotations

import pytest
from gate_project import Project, check, mentions, passed, statuses, stopped


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


# --- a hypothesis ----------------------------------------------------------------------------------------------

CLOSENESS = (
    "import pytest_ftgate\n"
    "def pytest_ftgate_metrics(): return {'distance': pytest_ftgate.metric(\n"
    "    low=0, high=10, greater_is_better=False)(lambda expected, answer: 0.0 if expected == answer else 5.0)}\n"
)
# The project's baseline is right on 40 of 60, its candidate on 56 of 60.


@pytest.mark.parametrize(("to", "status"), [(0.5, "pass"), (0.2, "warning")])
def test_where_lower_is_better(project: Project, to: float, status: str) -> None:
    project.file("conftest.py", CLOSENESS)
    gate = passed(project.judge(metric="distance", hypothesis={"from": 1.5, "to": to}))
    assert statuses(gate)["hypothesis"] == status
    mentions(stopped(project.judge(metric="distance", hypothesis={"from": 0.5, "to": 1.5})), "0.5", "1.5")


@pytest.mark.parametrize("start", [0.7, 0.2])
def test_the_margin_itself_is_enough(project: Project, start: float) -> None:
    passed(project.judge(hypothesis={"from": start, "to": round(start + 0.05, 2)}))


def test_the_best_of_several_baselines_is_meant(project: Project) -> None:
    project.predictions("weak.jsonl", 60, wrong_at=range(30, 60))
    both = {"weak": "recorded:weak.jsonl", "good": "recorded:base.jsonl"}
    gate = passed(project.judge(baseline=..., baselines=both, hypothesis={"from": 0.7, "to": 0.9}))
    mentions(check(gate, "hypothesis"), "good", "66.7 %")
