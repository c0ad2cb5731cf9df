"""A hypothesis in numbers: the baseline must agree with it, and what was reached is reported."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, block, check, label, mentions, read_jsonl, statuses, stopped, write_jsonl

CLOSENESS = (
    "import pytest_ftgate\n"
    "def pytest_ftgate_metrics(): return {'distance': pytest_ftgate.metric(\n"
    "    low=0, high=10, greater_is_better=False)(lambda expected, answer: 0.0 if expected == answer else 5.0)}\n"
)
# The project's baseline is right on 40 of 60 (53.3 % to 78.3 % at 95 %), its candidate on 56 of 60.


def believed(project: Project, verdict: str, start: float, goal: float, **keys: Any) -> dict[str, Any]:
    """Judge a gate with a hypothesis, and give the check on its start."""
    hypothesis = {"from": start, "to": goal, **keys.pop("hypothesis", {})}
    gate = project.judge(hypothesis=hypothesis, **keys)
    assert gate["verdict"] == verdict, gate["checks"]
    return gate


@pytest.mark.parametrize(
    ("said", "keys", "status"),
    [
        (0.7, {}, "pass"),
        (0.5, {}, "fail"),  # the baseline is better than was said: less is left to gain
        (0.8, {}, "fail"),
        (0.534, {}, "pass"),
        (0.532, {}, "fail"),
        (0.782, {}, "pass"),
        (0.784, {}, "fail"),
        (0.52, {"confidence": 0.99}, "pass"),
    ],
)
def test_the_baseline_is_where_it_was_said_to_be(project: Project, said: float, keys: Any, status: str) -> None:
    gate = believed(project, status, said, 0.9, **keys)
    found = check(gate, "hypothesis_from")
    assert (found["status"], found["observed"], found["required"]) == (status, 40 / 60, said)
    assert found["source"] == "marker"
    assert statuses(gate)["margin"] == "pass"  # the gain alone would do
    mentions(found, "accuracy", f"{100 * said:.1f} %", "66.7 %", *([] if keys else ["53.3 %", "78.3 %"]))
    assert (found["advice"] is None) is (status == "pass")


def test_what_is_wrong_with_the_hypothesis_is_told_by_its_side(project: Project) -> None:
    better, worse = (believed(project, "fail", said, 0.9) for said in (0.5, 0.8))
    assert check(better, "hypothesis_from")["advice"] != check(worse, "hypothesis_from")["advice"]


@pytest.mark.parametrize(("to", "status"), [(0.93, "pass"), (56 / 60, "pass"), (0.94, "note"), (1, "note")])
def test_whether_it_came_true_is_reported_and_decides_nothing(project: Project, to: float, status: str) -> None:
    found = check(believed(project, "pass", 0.7, to), "hypothesis_to")
    assert (found["status"], found["observed"], found["required"]) == (status, 56 / 60, to)


def test_another_metric_than_the_deciding_one_is_shown(project: Project) -> None:
    other = {"metric": "f1_macro", "because": "labels drift"}
    gate = believed(project, "pass", 0.7, 0.9, hypothesis=other)
    assert gate["metric"] == "accuracy"
    assert check(gate, "hypothesis_from")["observed"] == gate["baseline"]["metrics"]["f1_macro"]
    assert check(gate, "hypothesis_to")["observed"] == gate["candidate"]["metrics"]["f1_macro"]
    assert gate["hypothesis"] == "f1_macro goes from 0.7 to 0.9, because labels drift"
    found = check(believed(project, "fail", 0.4, 0.9, hypothesis=other), "hypothesis_from")
    mentions(found, "f1_macro", "40.0 %")


def test_repeated_answers(project: Project) -> None:
    for name in ("base.jsonl", "ft.jsonl"):
        rows = read_jsonl(project.path / name)
        write_jsonl(project.path / name, [{**row, "repeat": repeat} for repeat in (0, 1) for row in rows])
    assert statuses(believed(project, "pass", 0.7, 0.9, repeats=2))["hypothesis_from"] == "pass"
    assert statuses(believed(project, "fail", 0.4, 0.9, repeats=2))["hypothesis_from"] == "fail"
    rows = read_jsonl(project.path / "ft.jsonl")  # half of the answers to each example are right
    halves = [{**row, "output": label(i % 60) if i < 60 else "none"} for i, row in enumerate(rows)]
    write_jsonl(project.path / "base.jsonl", halves)
    assert statuses(believed(project, "pass", 0.5, 0.9, repeats=2))["hypothesis_from"] == "pass"


def test_where_lower_is_better(project: Project) -> None:
    project.file("conftest.py", CLOSENESS)
    distance = {"metric": "distance"}
    gate = believed(project, "pass", 1.5, 0.5, hypothesis=distance)
    assert statuses(gate)["hypothesis_from"] == statuses(gate)["hypothesis_to"] == "pass"
    better = believed(project, "fail", 4, 0.1, hypothesis=distance)
    assert statuses(better)["hypothesis_to"] == "note"
    advice = [check(one, "hypothesis_from")["advice"] for one in (better, believed(project, "fail", 0.5, 0.9))]
    assert advice[0] == advice[1]  # less is left to gain, too
    mentions(stopped(believed(project, "error", 0.5, 1.5, hypothesis=distance)), "distance", "0.5", "1.5", "swapped")


def test_groups_too_few_to_tell_are_inconclusive(project: Project) -> None:
    project.test_set(60, group=lambda i: f"g{i % 3}")
    found = check(believed(project, "inconclusive", 0.7, 0.9, evidence="observed"), "hypothesis_from")
    assert found["status"] == "inconclusive"
    mentions(found, "groups: 3")
    believed(project, "pass", 40 / 60, 0.9, evidence="observed")


def test_the_best_of_several_baselines_is_meant(project: Project) -> None:
    project.predictions("weak.jsonl", 60, wrong_at=range(30, 60))
    both = {"weak": "recorded:weak.jsonl", "good": "recorded:base.jsonl"}
    found = check(believed(project, "pass", 0.7, 0.9, baseline=..., baselines=both), "hypothesis_from")
    assert found["observed"] == 40 / 60
    mentions(found, "good")


def test_required_and_absent_fails_before_any_call(project: Project) -> None:
    found = stopped(project.judge(require_hypothesis=True), "fail")
    assert (found["name"], found["source"]) == ("require_hypothesis", "marker")
    gate = project.judge()  # it is not required by default
    assert (gate["verdict"], gate["hypothesis"], "require_hypothesis" in statuses(gate)) == ("pass", None, False)


@pytest.mark.parametrize("hypothesis", ["accuracy rises from 0.1 to 0.99", {"from": 0.7, "to": 0.9}], ids=type)
def test_required_and_there_passes(project: Project, hypothesis: object) -> None:
    gate = project.judge(require_hypothesis=True, hypothesis=hypothesis)
    assert (gate["verdict"], statuses(gate)["require_hypothesis"]) == ("pass", "pass")
    if isinstance(hypothesis, str):  # a sentence is printed, and decides nothing
        assert gate["hypothesis"] == hypothesis
        assert any(hypothesis in line for line in block(gate))
        assert not {name for name in statuses(gate) if name.startswith("hypothesis")}
