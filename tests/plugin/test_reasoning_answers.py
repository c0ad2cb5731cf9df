"""Reasoning before an answer is no part of it, wherever answers are read."""

from __future__ import annotations

import json

import pytest
from gate_project import Project, check, label, mentions, statuses, write_jsonl, wrong
from judge_project import HONEST, PythonJudged

N = 60
THOUGHT = "<think>\nWhat is it about?\n</think>\n{}"


def thinks(project: Project, file: str, right: int) -> None:
    texts = [THOUGHT.format(label(i) if i < right else wrong(i)) for i in range(N)]
    write_jsonl(project.path / file, [{"id": f"t{i}", "output": text} for i, text in enumerate(texts)])


def test_reasoning_that_is_kept_is_the_headline_of_a_red_gate(project: Project) -> None:
    thinks(project, "ft.jsonl", 56)
    assert project.judge()["verdict"] == "pass"
    gate = project.judge(candidate={"provider": "recorded", "path": "ft.jsonl", "strip_reasoning": False})
    assert gate["candidate"]["value"] == 0
    first = next(one for one in gate["checks"] if one["status"] == "fail")
    assert (first["name"], first["observed"]) == ("normalization", pytest.approx(16 / 60))
    mentions(first, "strip_reasoning: auto", "56 answers")


def test_an_output_that_begins_with_reasoning_is_named(project: Project) -> None:
    """One such row of the test set, and no answer is stripped."""
    project.test_set(N, expected=lambda i: label(i) if i != 3 else THOUGHT.format(label(i)))
    thinks(project, "ft.jsonl", 56)
    found = check(project.judge(), "normalization")
    assert found["status"] == "fail"
    mentions(found, "test.jsonl:4")


def test_reasoning_does_not_decide_where_it_changes_no_verdict(project: Project) -> None:
    thinks(project, "ft.jsonl", 0)
    gate = project.judge(candidate={"provider": "recorded", "path": "ft.jsonl", "strip_reasoning": False})
    assert "normalization" not in statuses(gate)


def test_a_model_called_in_a_test_body_gives_its_answer_alone(project: Project) -> None:
    project.file("thinker.py", f"def say(text): return {THOUGHT!r}.format('refund')\n")
    project.pytester.syspathinsert()
    body = "def test_gate(ftgate_baseline):\n    assert ftgate_baseline('hello') == 'refund'\n"
    project.gate_test(body, baseline="python:thinker:say", allow_weak_baseline="it always says refund")
    project.run().assert_outcomes(passed=1)


def test_a_judge_may_think_before_it_replies(pytester: pytest.Pytester) -> None:
    judged = PythonJudged(pytester)
    judged.file("judges.py", HONEST + f"\ndef thinks(messages): return {THOUGHT!r}.format(honest(messages))\n")
    judged.judged_by("python:judges:thinks")
    gate = judged.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["judges"][0]["n_questions"] > 60


def test_the_page_shows_the_answer_and_unfolds_the_reasoning(project: Project) -> None:
    from html_page import Page

    thinks(project, "ft.jsonl", 56)
    project.gate_test()
    project.run("--ftgate-report=html:report.html")
    page = Page((project.path / "report.html").read_text(encoding="utf-8"))
    (rows,) = page.data
    texts = {row[0]: row[5] for row in rows}
    assert texts["test.jsonl:6"][0] == "shipping"
    assert "What is it about?" in json.dumps(texts["test.jsonl:6"])
    assert [row[4][3] for row in rows] == [""] * N
    assert "reasoning" in page.text
