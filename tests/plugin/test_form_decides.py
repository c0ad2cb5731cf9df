"""Where the form of answers decides a gate, that is its first failure, and the proposed metric makes it pass."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from gate_project import Project, label, write_jsonl, wrong

N = 60
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


def answered(project: Project, file: str, form: Callable[[str], str], right: int) -> None:
    texts = [form(label(i) if i < right else wrong(i)) for i in range(N)]
    write_jsonl(project.path / file, [{"id": f"t{i}", "output": text} for i, text in enumerate(texts)])


@pytest.mark.parametrize("form", FORMS)
def test_the_proposed_metric_makes_the_gate_pass(project: Project, form: str) -> None:
    baseline, candidate, metric = FORMS[form]
    answered(project, "base.jsonl", baseline, 40)
    answered(project, "ft.jsonl", candidate, 56)
    gate = project.judge(metric=metric)
    first = next(one for one in gate["checks"] if one["status"] == "fail")
    assert (gate["verdict"], first["name"], gate["advice"][0]["text"]) == ("fail", "normalization", first["advice"])
    found = re.search(r"metric: (\{.*\})\. If", first["advice"])
    assert found is not None
    proposed = yaml.safe_load(found[1])
    again = project.judge(metric=proposed)
    assert (again["verdict"], round(again["gain"], 3)) == ("pass", 0.267)
    assert not [one for one in again["checks"] if one["name"] == "normalization"]


def test_a_form_that_hides_no_right_answer_decides_nothing(project: Project) -> None:
    answered(project, "ft.jsonl", "Label: {}".format, 0)
    gate = project.judge()
    assert gate["verdict"] == "fail"
    assert not [one for one in gate["checks"] if one["name"] == "normalization"]


def test_a_fence_around_json_is_the_headline(project: Project) -> None:
    project.test_set(N, expected=lambda i: {"intent": label(i), "number": i})
    for file, form, right in (("base.jsonl", "{}", 40), ("ft.jsonl", "```json\n{}\n```", 56)):
        texts = [json.dumps({"intent": label(i) if i < right else wrong(i), "number": i}) for i in range(N)]
        rows = [{"id": f"t{i}", "output": form.format(text)} for i, text in enumerate(texts)]
        write_jsonl(project.path / file, rows)
    gate = project.judge(metric="exact_match")
    first = next(one for one in gate["checks"] if one["status"] == "fail")
    assert (first["name"], round(first["observed"], 3)) == ("normalization", 0.267)
