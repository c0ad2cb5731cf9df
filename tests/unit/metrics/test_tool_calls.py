"""Metrics of tool calls: whole calls, and the F1 of calls."""

import json

import pytest
from building import build
from hypothesis import given
from hypothesis import strategies as st

OSLO = {"name": "weather", "arguments": {"city": "Oslo", "unit": "C"}}
ROME = {"name": "weather", "arguments": {"city": "Rome", "unit": "C"}}
LOUD = [{"name": "weather", "arguments": {"city": "OSLO"}}]
MAIL = {"name": "mail", "arguments": {"to": "a@b.c"}}
CALLS = st.lists(st.sampled_from([OSLO, ROME, MAIL, {"name": "none", "arguments": {}}]), max_size=5)


def score(name, expected, answer, **options):
    answer = answer if isinstance(answer, str | None) else json.dumps(answer)
    texts = [expected if isinstance(expected, str) else json.dumps(expected), json.dumps([OSLO])]
    return build(name, texts, **options).score([expected], [[answer]]).value


def openai(call):
    arguments = json.dumps(call["arguments"])
    return {"id": "c1", "type": "function", "function": {"name": call["name"], "arguments": arguments}}


SCORED = [  # expected, answer, options; tool_call_exact, tool_call_f1
    ([OSLO], [OSLO], {}, (1, 1)),
    ([OSLO], OSLO, {}, (1, 1)),
    ([OSLO], [openai(OSLO)], {}, (1, 1)),
    ([openai(OSLO)], [OSLO], {}, (1, 1)),
    ([OSLO], f"<tool_call>\n{json.dumps(OSLO)}\n</tool_call>", {}, (1, 1)),
    ([OSLO], [ROME], {}, (0, 0)),
    ([OSLO], [MAIL], {}, (0, 0)),
    ([OSLO], [{"name": "weather", "arguments": {"city": "Oslo"}}], {}, (0, 0)),
    ([OSLO], LOUD, {"ignore_arguments": ["unit"]}, (0, 0)),  # arguments have the rules of fields
    ([OSLO], LOUD, {"arguments": {"normalize": "case"}}, (0, 0)),
    ([OSLO], LOUD, {"ignore_arguments": ["unit"], "arguments": {"normalize": "case"}}, (1, 1)),
    ([OSLO], "It is cold in Oslo.", {}, (0, 0)),
    ([OSLO], None, {}, (0, 0)),
    ([OSLO], "", {}, (0, 0)),
    ([OSLO], '[{"name": "weather", "arguments": "{broken"}]', {}, (0, 0)),
    ([OSLO, MAIL], [MAIL, OSLO], {}, (1, 1)),
    ([OSLO, MAIL], [MAIL, OSLO], {"order": True}, (0, 0.5)),
    ([OSLO, MAIL], [OSLO], {}, (0, 2 / 3)),
    ([OSLO], [OSLO, MAIL], {}, (0, 2 / 3)),
    ([OSLO], [OSLO, MAIL], {"extra": "ignore"}, (1, 1)),
    ([OSLO], [OSLO, OSLO], {}, (0, 2 / 3)),
    ([], "Hello!", {}, (1, 1)),
    ([], [MAIL], {}, (0, 0)),
    ([], '[{"function": {"name": "mail", "arguments": "{broken"}}]', {}, (0, 0)),
    ([], "<tool_call>{broken</tool_call>", {}, (0, 0)),
    ([], "<tool_call>{broken", {"extra": "ignore"}, (1, 1)),
    ("Hello!", "Good day!", {}, (1, 1)),
    ("Hello!", [MAIL], {}, (0, 0)),
    ("42", "It is 42.", {}, (1, 1)),
    ("true", [MAIL], {}, (0, 0)),
]


@pytest.mark.parametrize(("expected", "answer", "options", "scores"), SCORED)
def test_scores(expected, answer, options, scores):
    names = ("tool_call_exact", "tool_call_f1")
    assert [score(name, expected, answer, **options) for name in names] == pytest.approx(scores)


@given(CALLS, CALLS)
def test_f1_is_that_of_multisets(expected, made):
    def count(call):
        return min(expected.count(call), made.count(call))

    distinct = {json.dumps(call): call for call in expected}.values()
    total = len(expected) + len(made)
    f1 = 2 * sum(map(count, distinct)) / total if total else 1
    assert score("tool_call_f1", expected, made) == pytest.approx(f1)
    assert score("tool_call_f1", made, expected) == pytest.approx(f1)
    assert score("tool_call_exact", expected, made) == (f1 == 1)
    assert score("tool_call_f1", expected, made, order=True) <= score("tool_call_f1", expected, made) + 1e-12
