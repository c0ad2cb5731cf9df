"""Where the form of answers decides: of the baseline, of the candidate, and reasoning before an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from endpoint_project import EndpointProject
from gate_project import Project, check, checks, ends, label, mentions, passed, statuses, wrong
from html_page import Page
from judge_project import HONEST, PythonJudged
from loopback import Reply

N = 60
ACCURATE = {
    "a fence": "```\n{}\n```",
    "a fence with words before it": "Here it is:\n```json\n{}\n```",
    "the one label": "The customer wants a {}, I think.",
    "reasoning": "<think>Not invoice, nor shipping.</think>{}",
}


def answers(project: Project, file: str, answer: Callable[[int], str], **fields: Callable[[int], Any]) -> None:
    project.predictions(file, N, output=answer, **fields)


@pytest.fixture
def project(project: Project) -> Project:
    """A candidate that is right on 57 of 60, and a baseline that knows as much."""
    project.predictions("ft.jsonl", N, wrong_at=range(57, 60))
    return project


def formed(form: str, at: Callable[[int], bool] = lambda i: i % 2 == 0) -> Callable[[int], str]:
    return lambda i: form.format(label(i)) if at(i) else label(i) if i < 57 else wrong(i)


BASE = {"provider": "recorded", "path": "base.jsonl"}


def of_baseline(gate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the checks of a gain that is left only because of the form of the baseline's answers."""
    return [one for one in checks(gate, "formatting_gain") if one["required"] is not None]


@pytest.mark.parametrize("form", ACCURATE)
def test_a_gain_of_form_alone_fails(project: Project, form: str) -> None:
    answers(project, "base.jsonl", formed(ACCURATE[form]))
    gate = project.judge(baseline={**BASE, "strip_reasoning": False})
    found = check(gate, "formatting_gain")
    assert (gate["verdict"], found["status"], found["required"]) == ("fail", "fail", 0.05)
    assert found["observed"] < 0.05 < gate["gain"]
    mentions(found, "30 of", "goal: format", "strip_reasoning: auto" if form == "reasoning" else "refund")
    assert gate["advice"][0]["text"] == found["advice"]


def test_cut_off_answers_are_left_out_of_the_gain(project: Project) -> None:
    answers(project, "base.jsonl", formed("The customer"), finish=lambda i: "stop" if i % 2 else "cut_off")
    found = check(project.judge(), "formatting_gain")
    assert found["status"] == "fail"
    assert found["observed"] == pytest.approx(0)
    mentions(found, "30 of 32", "cut off")


def test_nothing_is_left_where_all_answers_are_cut_off(project: Project) -> None:
    answers(project, "base.jsonl", lambda i: label(0), finish=lambda i: "cut_off")
    gate = project.judge()
    assert check(gate, "formatting_gain")["status"] == "fail"
    assert check(gate, "formatting_gain")["observed"] is None


def test_a_better_candidate_passes_whatever_the_form(project: Project) -> None:
    """The baseline loses fifteen answers by form, and fifteen others because they are wrong."""
    answers(project, "base.jsonl", lambda i: f"It is {label(i)}." if i < 15 else label(i) if i < 45 else wrong(i))
    gate = passed(project.judge())
    assert "formatting_gain" not in statuses(gate)


def test_a_baseline_that_is_otherwise_fine_is_left_alone(project: Project) -> None:
    answers(project, "base.jsonl", lambda i: f"It is {label(i)}." if i < 3 else label(i) if i < 40 else wrong(i))
    gate = project.judge()
    assert (gate["verdict"], checks(gate, "formatting_gain")) == ("pass", [])


@pytest.mark.parametrize(
    ("keys", "verdict", "status"),
    [
        ({"checks": {"formatting_gain": "warn"}}, "pass", "warning"),
        ({"checks": {"formatting_gain": "ignore"}}, "pass", "note"),
        ({"goal": "format"}, "pass", None),
        ({"metric": {"name": "format", "allowed": ["refund", "invoice", "shipping"]}}, "pass", None),
    ],
)
def test_the_level_and_the_goal_decide(
    project: Project, keys: Mapping[str, Any], verdict: str, status: str | None
) -> None:
    answers(project, "base.jsonl", formed("The intent is {}."))
    gate = project.judge(**keys)
    found = [one["status"] for one in of_baseline(gate)]
    assert (gate["verdict"], found) == (verdict, [status] if status else []), gate["checks"]


def test_an_answer_that_names_two_labels_or_says_too_much_is_wrong(project: Project) -> None:
    long = " ".join(["word"] * 30)
    answers(project, "base.jsonl", formed("refund, invoice or shipping: {}", lambda i: i % 2 == 0))
    assert of_baseline(project.judge()) == []
    answers(project, "base.jsonl", formed(long + " {}", lambda i: i % 2 == 0))
    assert of_baseline(project.judge()) == []


def test_json_in_a_fence_is_the_same_json(project: Project) -> None:
    def wanted(i: int) -> dict[str, Any]:
        return {"intent": label(i), "number": i}

    project.test_set(N, expected=wanted)
    answers(project, "ft.jsonl", lambda i: json.dumps(wanted(i)))
    answers(
        project, "base.jsonl", lambda i: f"```json\n{json.dumps(wanted(i))}\n```" if i % 2 else json.dumps(wanted(i))
    )
    for metric in ("exact_match", "field_f1"):
        found = check(project.judge(metric=metric), "formatting_gain")
        assert (found["status"], found["observed"]) == ("fail", 0)
        mentions(found, "all 30 mistakes", "in a code fence")


def test_the_metric_that_is_proposed_ends_it(project: Project) -> None:
    answers(project, "base.jsonl", formed("Label: {}"))
    found = check(project.judge(), "formatting_gain")
    line = re.search(r"use metric: (\{.*?\})\. If", found["advice"])
    assert line is not None, found
    again = project.judge(metric=yaml.safe_load(line[1]))
    assert again["verdict"] == "fail"
    assert of_baseline(again) == []


def test_every_baseline_is_looked_at(project: Project) -> None:
    answers(project, "base.jsonl", formed("It is {}."))
    project.predictions("other.jsonl", N, wrong_at=range(30, 60))
    gate = project.judge(baseline=..., baselines={"chatty": "recorded:base.jsonl", "other": "recorded:other.jsonl"})
    found = check(gate, "formatting_gain")
    mentions(found, "chatty")


def test_the_limit_of_an_endpoint_is_raised_under_its_own_key(http: EndpointProject) -> None:
    http.server.answer = lambda body: short(body) if body["model"] == "base" else of(body)
    gate = http.judge(baseline=http.model("base", params={"max_tokens": 500}), evidence="observed")
    found = check(gate, "formatting_gain")
    assert (found["status"], round(found["observed"], 3)) == ("fail", 0)
    mentions(found, "all 30", "cut off", "params: {max_tokens: 2000}")


def of(body: dict[str, Any]) -> str:
    return label(int(body["messages"][-1]["content"].split()[-1]))


def short(body: dict[str, Any]) -> str | Reply:
    number = int(body["messages"][-1]["content"].split()[-1])
    return Reply("The customer asks about", finish_reason="length") if number % 2 else of(body)


# --- the candidate's form, and the metric that is proposed --------------------------------------------------------


TO_JSON: Callable[[str], str] = lambda text: json.dumps({"label": text, "confidence": len(text) / 10})  # noqa: E731
FORMS: dict[str, tuple[Callable[[str], str], Callable[[str], str], Any]] = {
    "a full stop": (str, "{}.".format, "accuracy"),
    "JSON of one model": (str, TO_JSON, "accuracy"),
    "JSON of both models": (TO_JSON, TO_JSON, "f1_macro"),
    "JSON in a code fence": (str, lambda text: f"```json\n{TO_JSON(text)}\n```", "accuracy"),
    "a word": (str, "Label: {}".format, "accuracy"),
    "a last line": (str, lambda text: f"It has {len(text)} letters.\nLabel: {text}", "accuracy"),
    "a word and another case": (str, lambda text: f"LABEL: {text.upper()}", "accuracy"),
    "a stop token": ("{}<|im_end|>".format, "{}<|im_end|>".format, "exact_match"),
    "what is ignored already": ("{}.".format, "Label: {}".format, {"name": "accuracy", "normalize": ["punctuation"]}),
}


def says(project: Project, file: str, form: Callable[[str], str], right: int) -> None:
    project.predictions(file, N, output=lambda i: form(label(i) if i < right else wrong(i)))


@pytest.mark.parametrize("form", FORMS)
def test_the_proposed_metric_makes_the_gate_pass(project: Project, form: str) -> None:
    baseline, candidate, metric = FORMS[form]
    says(project, "base.jsonl", baseline, 40)
    says(project, "ft.jsonl", candidate, 56)
    gate = project.judge(metric=metric)
    first = next(one for one in gate["checks"] if one["status"] == "fail")
    assert (gate["verdict"], first["name"], gate["advice"][0]["text"]) == ("fail", "formatting_gain", first["advice"])
    found = re.search(r"metric: (\{.*\})\. If", first["advice"])
    assert found is not None
    proposed = yaml.safe_load(found[1])
    again = project.judge(metric=proposed)
    assert (again["verdict"], round(again["gain"], 3)) == ("pass", 0.267)
    assert not [one for one in again["checks"] if one["name"] == "formatting_gain"]


def test_a_form_that_hides_no_right_answer_decides_nothing(project: Project) -> None:
    says(project, "ft.jsonl", "Label: {}".format, 0)
    gate = ends(project.judge(), "fail")
    assert not [one for one in gate["checks"] if one["name"] == "formatting_gain"]


def test_a_fence_around_json_is_the_headline(project: Project) -> None:
    project.test_set(N, expected=lambda i: {"intent": label(i), "number": i})
    for file, form, right in (("base.jsonl", "{}", 40), ("ft.jsonl", "```json\n{}\n```", 56)):
        texts = [json.dumps({"intent": label(i) if i < right else wrong(i), "number": i}) for i in range(N)]
        project.predictions(file, N, output=lambda i, form=form, texts=texts: form.format(texts[i]))
    gate = project.judge(metric="exact_match")
    first = next(one for one in gate["checks"] if one["status"] == "fail")
    assert (first["name"], round(first["observed"], 3)) == ("formatting_gain", 0.267)


# --- reasoning ---------------------------------------------------------------------------------------------------


THOUGHT = "<think>\nWhat is it about?\n</think>\n{}"


def thinks(project: Project, file: str, right: int) -> None:
    project.predictions(file, N, output=lambda i: THOUGHT.format(label(i) if i < right else wrong(i)))


def test_reasoning_that_is_kept_is_the_headline_of_a_red_gate(project: Project) -> None:
    thinks(project, "ft.jsonl", 56)
    assert project.judge()["verdict"] == "pass"
    gate = project.judge(candidate={"provider": "recorded", "path": "ft.jsonl", "strip_reasoning": False})
    assert gate["candidate"]["value"] == 0
    first = next(one for one in gate["checks"] if one["status"] == "fail")
    assert (first["name"], first["observed"]) == ("formatting_gain", pytest.approx(16 / 60))
    mentions(first, "strip_reasoning: auto", "56 answers")


def test_an_output_that_begins_with_reasoning_is_named(project: Project) -> None:
    """One such row of the test set, and no answer is stripped."""
    project.test_set(N, expected=lambda i: label(i) if i != 3 else THOUGHT.format(label(i)))
    thinks(project, "ft.jsonl", 56)
    found = check(project.judge(), "formatting_gain")
    assert found["status"] == "fail"
    mentions(found, "test.jsonl:4")


def test_reasoning_does_not_decide_where_it_changes_no_verdict(project: Project) -> None:
    thinks(project, "ft.jsonl", 0)
    gate = project.judge(candidate={"provider": "recorded", "path": "ft.jsonl", "strip_reasoning": False})
    assert "formatting_gain" not in statuses(gate)


def test_a_model_called_in_a_test_body_gives_its_answer_alone(project: Project) -> None:
    project.file("thinker.py", f"def say(text): return {THOUGHT!r}.format('refund')\n")
    project.pytester.syspathinsert()
    body = "def test_gate(ftgate_baseline):\n    assert ftgate_baseline('hello') == 'refund'\n"
    project.gate_test(body, baseline="python:thinker:say", checks={"weak_baseline": "warn"})
    project.run().assert_outcomes(passed=1)


def test_a_judge_may_think_before_it_replies(pytester: pytest.Pytester) -> None:
    judged = PythonJudged(pytester)
    judged.file("judges.py", HONEST + f"\ndef thinks(messages): return {THOUGHT!r}.format(honest(messages))\n")
    judged.judged_by("python:judges:thinks")
    gate = passed(judged.gate())
    assert gate["judges"][0]["n_questions"] > 60


def test_the_page_shows_the_answer_and_unfolds_the_reasoning(project: Project) -> None:
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
