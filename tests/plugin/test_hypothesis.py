"""A hypothesis: refused where the gate would fail even if it came true, and reported as reached or not."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, block, check, mentions, passed, statuses, stopped

CLOSENESS = (
    "import pytest_ftgate\n"
    "def pytest_ftgate_metrics(): return {'distance': pytest_ftgate.metric(\n"
    "    low=0, high=10, greater_is_better=False)(lambda expected, answer: 0.0 if expected == answer else 5.0)}\n"
)
# The project's baseline is right on 40 of 60, its candidate on 56 of 60.


@pytest.mark.parametrize(
    ("start", "to", "status"),
    [(0.7, 0.93, "pass"), (0.5, 56 / 60, "pass"), (0.8, 0.94, "warning"), (0.7, 1, "warning")],
)
def test_whether_it_came_true_is_reported_and_decides_nothing(
    project: Project, start: float, to: float, status: str
) -> None:
    found = check(passed(project.judge(hypothesis={"from": start, "to": to})), "hypothesis")
    assert (found["status"], found["observed"], found["required"]) == (status, 56 / 60, to)
    assert found["source"] == "marker"
    mentions(found, "accuracy", "66.7 %", f"{100 * start:.1f} %", "93.3 %", f"{100 * to:.1f} %")


@pytest.mark.parametrize(("to", "status"), [(0.5, "pass"), (0.2, "warning")])
def test_where_lower_is_better(project: Project, to: float, status: str) -> None:
    project.file("conftest.py", CLOSENESS)
    gate = passed(project.judge(metric="distance", hypothesis={"from": 1.5, "to": to}))
    assert statuses(gate)["hypothesis"] == status
    mentions(stopped(project.judge(metric="distance", hypothesis={"from": 0.5, "to": 1.5})), "0.5", "1.5", "swapped")


@pytest.mark.parametrize(
    ("start", "to", "told"),
    [(0.7, 0.7499, "+5.0"), (0.7, 0.7, "+0.0"), (0.9, 0.8, "swapped"), (0.7, 0.75, None), (0.2, 0.25, None)],
)
def test_less_than_the_margin_is_refused_before_any_call(
    project: Project, start: float, to: float, told: str | None
) -> None:
    gate = project.judge(hypothesis={"from": start, "to": to})
    if told is None:
        passed(gate)
    else:
        mentions(stopped(gate), f"from {start:g}", f"to {to:g}", "margin 0.05", "marker", told)


def test_the_best_of_several_baselines_is_meant(project: Project) -> None:
    project.predictions("weak.jsonl", 60, wrong_at=range(30, 60))
    both = {"weak": "recorded:weak.jsonl", "good": "recorded:base.jsonl"}
    gate = passed(project.judge(baseline=..., baselines=both, hypothesis={"from": 0.7, "to": 0.9}))
    mentions(check(gate, "hypothesis"), "good", "66.7 %")


@pytest.mark.parametrize(
    ("hypothesis", "told"),
    [
        ("accuracy rises from 0.1 to 0.99", "accuracy rises from 0.1 to 0.99"),
        ({"from": 0.7, "to": 0.9, "because": "labels drift"}, "accuracy goes from 0.7 to 0.9, because labels drift"),
    ],
)
def test_it_is_printed_and_a_sentence_is_not_judged(project: Project, hypothesis: Any, told: str) -> None:
    gate = passed(project.judge(hypothesis=hypothesis))
    assert gate["hypothesis"] == told
    assert any(told in line for line in block(gate))
    assert ("hypothesis" in statuses(gate)) is not isinstance(hypothesis, str)
