"""A hypothesis: refused where the gate would fail even if it came true, and reported as reached or not."""

from __future__ import annotations

import pytest
from gate_project import Project, check, mentions, passed, statuses, stopped

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
    mentions(stopped(project.judge(metric="distance", hypothesis={"from": 0.5, "to": 1.5})), "0.5", "1.5", "swapped")


@pytest.mark.parametrize("start", [0.7, 0.2])
def test_the_margin_itself_is_enough(project: Project, start: float) -> None:
    passed(project.judge(hypothesis={"from": start, "to": round(start + 0.05, 2)}))


def test_the_best_of_several_baselines_is_meant(project: Project) -> None:
    project.predictions("weak.jsonl", 60, wrong_at=range(30, 60))
    both = {"weak": "recorded:weak.jsonl", "good": "recorded:base.jsonl"}
    gate = passed(project.judge(baseline=..., baselines=both, hypothesis={"from": 0.7, "to": 0.9}))
    mentions(check(gate, "hypothesis"), "good", "66.7 %")
