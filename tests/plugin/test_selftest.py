"""``--ftgate-selftest``: a gate that passes sabotaged candidates cannot block a bad fine-tune."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from endpoint_project import EndpointProject
from gate_project import Project

SABOTAGES = 9


def selftest(project: Project, *args: str, status: int = 0) -> str:
    result = project.run("--ftgate-selftest", *args)
    assert result.ret == status, result.stdout.str()
    return str(result.stdout.str())


def refused(text: str) -> dict[str, str]:
    """Return the checks that refuse each sabotage."""
    return dict(re.findall(r"^  refused  (.*): (.*)$", text, flags=re.MULTILINE))


def test_each_sabotage_is_refused_by_its_check(project: Project) -> None:
    project.gate_test()
    text = selftest(project)
    assert "GREEN" not in text
    found = refused(text)
    assert len(found) == SABOTAGES
    for name, check in {
        "a copy of the baseline": "identical_outputs",
        "answers of other examples": "margin",
        "answers that are missing": "candidate_predictions",
        "one answer to everything": "margin",
        "baseline and candidate swapped": "margin",
        "scores that are NaN": "configuration",
        "another test set under the same ids": "margin",
        "a training set padded with copies": "min_training_examples",
        "the test set inside the training set": "leaked",
    }.items():
        assert check in found[name].split(", "), (name, found[name])


@pytest.mark.parametrize(("keys", "sabotage"), [
    ({"audit": {"leaked": "ignore", "leaked_near": "ignore"}}, "the test set inside the training set"),
    ({"audit": {"usable": "ignore"}}, "a training set padded with copies"),
], ids=["leaks", "usable rows"])  # fmt: skip
def test_a_gate_that_cannot_block_exits_with_1(project: Project, keys: dict[str, Any], sabotage: str) -> None:
    project.gate_test(**keys)
    text = selftest(project, status=1)
    assert re.findall(r"^  GREEN    (.*)$", text, flags=re.MULTILINE) == [sabotage]


def test_the_gate_passes_more_often_the_larger_the_gain(project: Project) -> None:
    project.gate_test()
    rates = re.findall(r"^  (no gain|\+[\d.]+ points): ([\d.]+) %$", selftest(project), flags=re.MULTILINE)
    assert [gain for gain, _ in rates] == ["no gain", "+5.0 points", "+10.0 points"]
    none, margin, twice = (float(rate) for _, rate in rates)
    assert none <= 8 < margin < twice


def test_answers_are_stored_before_and_no_model_is_called(http: EndpointProject) -> None:
    http.gate_test()
    assert "120 answers" in selftest(http, status=1)
    assert http.server.requests == []
    http.run()
    asked = len(http.server.requests)
    found = refused(selftest(http))
    assert found["another test set under the same ids"].split(", ") == ["baseline_predictions", "candidate_predictions"]
    assert len(http.server.requests) == asked


def test_a_gate_that_fails_its_free_checks_is_not_tested(project: Project) -> None:
    project.training_set(150)
    project.gate_test()
    assert "min_training_examples" in selftest(project, status=1)


def test_a_recording_of_another_input_refuses_the_sabotaged_test_set(project: Project) -> None:
    asked = [hashlib.sha256(f"customer question {i}".encode()).hexdigest() for i in range(60)]
    project.predictions("ft.jsonl", 60, wrong_at=(0, 1, 58, 59), input_sha256=asked.__getitem__)
    project.gate_test()
    found = refused(selftest(project))
    assert len(found) == SABOTAGES
    assert found["another test set under the same ids"] == "configuration"


def test_of_several_candidates_the_first_that_can_be_judged_is_tested(project: Project) -> None:
    """A candidate that a free check refuses does not keep the others from being tested and planned."""
    project.gate_test(candidate=..., candidates={"same": "recorded:base.jsonl", "tuned": "recorded:ft.jsonl"})
    assert project.gate()["verdict"] == "pass"
    assert len(refused(selftest(project))) == SABOTAGES
    planned = project.run("--ftgate-plan")
    assert planned.ret == 0
    planned.stdout.fnmatch_lines(["*warning same_model: candidate same: *"])
