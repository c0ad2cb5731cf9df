"""The stage ready with all that a gate may ask of a candidate: nothing of it asks the model, what is free is judged."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, label, statuses

GUARDS = {"general": {"test_set": "general.jsonl", "max_drop": 0.03}}


def judged(project: Project, verdict: str, /, **changes: Any) -> dict[str, Any]:
    keys = {"stage": "ready", "hypothesis": {"from": 0.7, "to": 0.85}, "candidate": ...}
    gate = project.judge(**{**keys, **changes})
    assert gate["verdict"] == verdict, gate["checks"]
    return gate


@pytest.mark.parametrize(
    ("n", "wrong_at", "leak", "verdict", "stopped_by"),
    [
        (99, (), False, "pass", None),
        (99, range(99), False, "fail", "guards.general.nothing_to_lose"),
        (99, (), True, "fail", "guards.general.leaked"),
        (30, (), False, "inconclusive", "guards.general"),
    ],
)
def test_guards_are_asked_of_the_baseline_alone(
    project: Project, n: int, wrong_at: Any, leak: bool, verdict: str, stopped_by: str | None
) -> None:
    project.test_set(n, "general.jsonl", prefix="g", input="general item {}".format)
    project.predictions("base.jsonl", n, wrong_at, prefix="g", add=True)
    project.training_set(200, [{"input": "general item 3", "expected": label(3)}] * leak)
    gate = judged(project, verdict, guards=GUARDS)
    (guard,) = gate["guards"]
    assert (guard["candidate"], guard["gain"]) == (None, None)
    assert [name for name, status in statuses(gate).items() if status == verdict != "pass"] == [stopped_by] * bool(
        stopped_by
    )
    assert gate["models_called"] is (stopped_by in (None, "guards.general.nothing_to_lose"))
    if stopped_by is None:
        assert (guard["against"], guard["baseline"], guard["verdict"]) == ("baseline", 1, None)
        assert "guards.general" not in statuses(gate)
    elif gate["models_called"]:
        assert guard["verdict"] == "fail"


def test_slices_and_labels_wait_for_the_candidate(project: Project) -> None:
    project.test_set(60, lang="en")
    gate = judged(project, "pass", slices=["lang"])
    assert (gate["slices"], gate["labels"]) == ([], [])
