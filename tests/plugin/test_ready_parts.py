"""The stage ready with all that a gate may ask of a candidate: nothing of it asks the model, what is free is judged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from endpoint_project import EndpointProject
from gate_project import Project, check, label, statuses, write_jsonl, wrong
from job_project import JobProject
from loopback import LoopbackServer

HYPOTHESIS = {"from": 0.7, "to": 0.85}


def judged(project: Project, verdict: str, /, **changes: Any) -> dict[str, Any]:
    project.gate_test(stage="ready", hypothesis=HYPOTHESIS, **changes)
    gate = project.gate()
    assert gate["verdict"] == verdict, gate["checks"]
    return gate


def guarded(project: Project, n: int, *, wrong_at: Any = (), leak: bool = False) -> dict[str, Any]:
    rows = [{"id": f"g{i}", "input": f"general item {i}", "expected": label(i)} for i in range(n)]
    write_jsonl(project.path / "general.jsonl", rows)
    with (project.path / "base.jsonl").open("a", encoding="utf-8") as out:
        out.writelines(
            json.dumps({"id": f"g{i}", "output": wrong(i) if i in wrong_at else label(i)}) + "\n" for i in range(n)
        )
    if leak:
        with (project.path / "train.jsonl").open("a", encoding="utf-8") as out:
            out.write(json.dumps({"input": "general item 3", "expected": label(3)}) + "\n")
    return {"general": {"test_set": "general.jsonl", "max_drop": 0.03}}


def test_guards_are_asked_of_the_baseline_alone(project: Project) -> None:
    gate = judged(project, "pass", candidate=..., guards=guarded(project, 99))
    (guard,) = gate["guards"]
    assert (guard["against"], guard["baseline"], guard["candidate"], guard["gain"]) == ("baseline", 1, None, None)
    assert guard["verdict"] is None
    assert "guards.general" not in statuses(gate)


def test_a_guard_on_which_the_baseline_has_nothing_to_lose_fails_before_training(project: Project) -> None:
    gate = judged(project, "fail", candidate=..., guards=guarded(project, 99, wrong_at=range(99)))
    assert check(gate, "guards.general.nothing_to_lose")["status"] == "fail"
    assert gate["guards"][0]["verdict"] == "fail"


def test_a_guard_that_the_training_set_holds_fails_before_any_call(project: Project) -> None:
    gate = judged(project, "fail", candidate=..., guards=guarded(project, 99, leak=True))
    assert check(gate, "guards.general.leaked")["status"] == "fail"
    assert gate["models_called"] is False


def test_a_guard_that_is_too_small_is_inconclusive_before_any_call(project: Project) -> None:
    gate = judged(project, "inconclusive", candidate=..., guards=guarded(project, 30))
    assert gate["models_called"] is False


def test_slices_and_labels_wait_for_the_candidate(project: Project) -> None:
    rows = [json.loads(line) for line in (project.path / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    write_jsonl(project.path / "test.jsonl", [{**row, "lang": "en"} for row in rows])
    gate = judged(project, "pass", candidate=..., slices={"fields": ["lang"], "min_examples": 10})
    assert (gate["slices"], gate["labels"]) == ([], [])


def test_several_candidates_are_not_asked_and_the_choice_is_allowed_for(project: Project) -> None:
    candidates = {"small": "recorded:small.jsonl", "large": "recorded:large.jsonl"}
    gate = judged(project, "pass", candidate=..., candidates=candidates)
    message = "stage is ready: the candidates small, large are not looked at"
    assert check(gate, "candidate_ignored")["message"] == message
    assert (gate["confidence"], gate["candidates"]) == (pytest.approx(0.975), [])
    assert check(gate, "choice")["status"] == "note"


def test_a_candidate_with_a_prompt_is_not_asked_without_it_either(
    pytester: pytest.Pytester, server: LoopbackServer
) -> None:
    project = EndpointProject(pytester, server)
    gate = judged(project, "pass", candidate=project.model("ft", system="Answer with one label."))
    assert {body["model"] for body in server.bodies} == {"base"}
    assert gate["bare"] is None
    assert "bare" not in statuses(gate)


@pytest.mark.usefixtures("no_ambient_settings")
@pytest.mark.parametrize("checkpoint", [{}, {"checkpoint": "best"}])
def test_the_endpoint_is_not_asked_for_the_candidates_job(
    pytester: pytest.Pytester, server: LoopbackServer, checkpoint: dict[str, Any]
) -> None:
    project = JobProject(pytester, server)
    rows = [{"input": f"validation {i}", "expected": label(i)} for i in range(60)]
    write_jsonl(project.path / "validation.jsonl", rows)
    written = {**project.keys["candidate"], **checkpoint}
    gate = judged(project, "pass", candidate=written, validation_set="validation.jsonl")
    assert project.read == []
    assert {body["model"] for body in server.bodies} == {"base"}
    assert gate["candidate"]["job"] is None
    assert {"training_file", "checkpoint", "validation_set"}.isdisjoint(statuses(gate))
