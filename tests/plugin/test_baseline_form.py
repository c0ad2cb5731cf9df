"""A gain that is only the form of the baseline's answers does not make a gate green."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from endpoint_project import EndpointProject
from gate_project import Project, check, checks, label, mentions, statuses, write_jsonl, wrong
from loopback import LoopbackServer, Reply

N = 60
ACCURATE = {
    "a fence": "```\n{}\n```",
    "a fence with words before it": "Here it is:\n```json\n{}\n```",
    "the one label": "The customer wants a {}, I think.",
    "reasoning": "<think>Not invoice, nor shipping.</think>{}",
}


def answers(project: Project, file: str, answer: Callable[[int], str], **fields: Callable[[int], Any]) -> None:
    """Write what a model says, and further fields of some rows."""
    rows = [{"id": f"t{i}", "output": answer(i), **{name: of(i) for name, of in fields.items()}} for i in range(N)]
    write_jsonl(project.path / file, rows)


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """A candidate that is right on 57 of 60, and a baseline that knows as much."""
    project = Project(pytester)
    answers(project, "ft.jsonl", lambda i: label(i) if i < 57 else wrong(i))
    return project


def formed(form: str, at: Callable[[int], bool] = lambda i: i % 2 == 0) -> Callable[[int], str]:
    return lambda i: form.format(label(i)) if at(i) else label(i) if i < 57 else wrong(i)


BASE = {"provider": "recorded", "path": "base.jsonl"}


@pytest.mark.parametrize("form", ACCURATE)
def test_a_gain_of_form_alone_fails(project: Project, form: str) -> None:
    answers(project, "base.jsonl", formed(ACCURATE[form]))
    gate = project.judge(baseline={**BASE, "strip_reasoning": False})
    found = check(gate, "baseline_form")
    assert (gate["verdict"], found["status"], found["required"]) == ("fail", "fail", 0.05)
    assert found["observed"] < 0.05 < gate["gain"]
    mentions(found, "30 of", "goal: format", "strip_reasoning: auto" if form == "reasoning" else "refund")
    assert "normalization" not in statuses(gate)
    assert gate["advice"][0]["text"] == found["advice"]


def test_cut_off_answers_are_left_out_of_the_gain(project: Project) -> None:
    answers(project, "base.jsonl", formed("The customer"), finish=lambda i: "stop" if i % 2 else "cut_off")
    found = check(project.judge(), "baseline_form")
    assert found["status"] == "fail"
    assert found["observed"] == pytest.approx(0)
    mentions(found, "30 of 32", "cut off")


def test_nothing_is_left_where_all_answers_are_cut_off(project: Project) -> None:
    answers(project, "base.jsonl", lambda i: label(0), finish=lambda i: "cut_off")
    gate = project.judge()
    assert check(gate, "baseline_form")["status"] == "fail"
    assert check(gate, "baseline_form")["observed"] is None


def test_a_better_candidate_passes_whatever_the_form(project: Project) -> None:
    """The baseline loses fifteen answers by form, and fifteen others because they are wrong."""
    answers(project, "base.jsonl", lambda i: f"It is {label(i)}." if i < 15 else label(i) if i < 45 else wrong(i))
    gate = project.judge()
    assert gate["verdict"] == "pass"
    assert "baseline_form" not in statuses(gate)


def test_a_baseline_that_is_otherwise_fine_is_left_alone(project: Project) -> None:
    answers(project, "base.jsonl", lambda i: f"It is {label(i)}." if i < 3 else label(i) if i < 40 else wrong(i))
    gate = project.judge()
    assert (gate["verdict"], checks(gate, "baseline_form")) == ("pass", [])


@pytest.mark.parametrize(
    ("keys", "verdict", "status"),
    [
        ({"audit": {"baseline_form": "warn"}}, "pass", "warning"),
        ({"audit": {"baseline_form": "ignore"}}, "pass", None),
        ({"goal": "format"}, "pass", None),
        ({"metric": {"name": "format", "allowed": ["refund", "invoice", "shipping"]}}, "pass", None),
    ],
)
def test_the_level_and_the_goal_decide(
    project: Project, keys: Mapping[str, Any], verdict: str, status: str | None
) -> None:
    answers(project, "base.jsonl", formed("The intent is {}."))
    gate = project.judge(**keys)
    assert (gate["verdict"], statuses(gate).get("baseline_form")) == (verdict, status), gate["checks"]


def test_an_answer_that_names_two_labels_or_says_too_much_is_wrong(project: Project) -> None:
    long = " ".join(["word"] * 30)
    answers(project, "base.jsonl", formed("refund, invoice or shipping: {}", lambda i: i % 2 == 0))
    assert "baseline_form" not in statuses(project.judge())
    answers(project, "base.jsonl", formed(long + " {}", lambda i: i % 2 == 0))
    assert "baseline_form" not in statuses(project.judge())


def test_json_in_a_fence_is_the_same_json(project: Project) -> None:
    def wanted(i: int) -> dict[str, Any]:
        return {"intent": label(i), "number": i}

    project.test_set(N, expected=wanted)
    answers(project, "ft.jsonl", lambda i: json.dumps(wanted(i)))
    answers(
        project, "base.jsonl", lambda i: f"```json\n{json.dumps(wanted(i))}\n```" if i % 2 else json.dumps(wanted(i))
    )
    for metric in ("exact_match", "field_f1"):
        found = check(project.judge(metric=metric), "baseline_form")
        assert (found["status"], found["observed"]) == ("fail", 0)
        mentions(found, "all 30 mistakes", "in a code fence")


def test_the_metric_that_is_proposed_ends_it(project: Project) -> None:
    answers(project, "base.jsonl", formed("Label: {}"))
    found = check(project.judge(), "baseline_form")
    line = re.search(r"use metric: (\{.*?\})\. If", found["advice"])
    assert line is not None, found
    again = project.judge(metric=yaml.safe_load(line[1]))
    assert (again["verdict"], "baseline_form" in statuses(again)) == ("fail", False)


def test_every_baseline_is_looked_at(project: Project) -> None:
    answers(project, "base.jsonl", formed("It is {}."))
    project.predictions("other.jsonl", N, wrong_at=range(30, 60))
    gate = project.judge(baseline=..., baselines={"chatty": "recorded:base.jsonl", "other": "recorded:other.jsonl"})
    found = check(gate, "baseline_form")
    mentions(found, "chatty")


def test_the_limit_of_an_endpoint_is_raised_under_its_own_key(tmp_path: Path, server: LoopbackServer) -> None:
    served = EndpointProject(tmp_path, server)
    server.answer = lambda body: short(body) if body["model"] == "base" else of(body)
    gate = served.judge(baseline=served.model("base", params={"max_tokens": 500}), evidence="observed")
    found = check(gate, "baseline_form")
    assert (found["status"], round(found["observed"], 3)) == ("fail", 0)
    mentions(found, "all 30", "cut off", "params: {max_tokens: 2000}")


def of(body: dict[str, Any]) -> str:
    return label(int(body["messages"][-1]["content"].split()[-1]))


def short(body: dict[str, Any]) -> str | Reply:
    number = int(body["messages"][-1]["content"].split()[-1])
    return Reply("The customer asks about", finish_reason="length") if number % 2 else of(body)
