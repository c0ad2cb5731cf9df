"""What is malformed for every metric: properties that hold whatever the answer."""

import json

import pytest
from building import build
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.data import Example, expected_text
from pytest_ftgate.metrics.options import without_fence

CALLS = [[{"name": "f", "arguments": {"a": 1}}], [{"name": "g", "arguments": {}}]]
OBJECTS = [{"a": 1, "b": ["x"]}, {"a": 2}]
METRICS = {
    "accuracy": (["a", "b"], {}),
    "f1_macro": (["a", "b"], {}),
    "labels_f1": ([["a"], ["b", "c"]], {}),
    "within": ([1, 2], {"tolerance": 0}),
    "absolute_error": ([1, 2], {"cap": 1e9}),
    "exact_match": (OBJECTS, {}),
    "field_f1": (OBJECTS, {}),
    "tool_call_exact": (CALLS, {}),
    "token_f1": (["some words", "others"], {}),
}
PIECES = st.sampled_from(
    [
        *"ab, [](){}\"':.\n",
        "```",
        "~~~json\n",
        "1",
        "2.0",
        '{"a": 1}',
        '{"b": 2}',
        '"a"',
        json.dumps(CALLS[0]),
        "null",
        "f(a=1)",
    ]
)
ANSWERS = st.lists(PIECES, max_size=9).map("".join) | st.text(max_size=20)


def metric_of(name):
    expected, options = METRICS[name]
    texts = tuple(sorted(map(expected_text, expected)))
    examples = [Example(f"t{i}", f"input {i}", value) for i, value in enumerate(expected)]
    return build(name, texts, examples=examples, **options), expected


@pytest.mark.parametrize("name", METRICS)
@given(answer=ANSWERS)
def test_a_fence_changes_no_form_and_a_right_answer_is_never_malformed(name, answer):
    metric, expected = metric_of(name)
    for value in expected:
        assert not metric.malformed(expected_text(value))
    if "```" not in answer and answer.strip() and not answer.strip().startswith("~~~"):
        assert metric.malformed(f"```json\n{answer}\n```") is metric.malformed(answer)
    if metric.kind == "right_wrong":
        right = [metric.score([value], [[answer]]).value == 1 for value in expected]
        assert not (any(right) and metric.malformed(answer))


@pytest.mark.parametrize("name", [*METRICS, "edit_similarity"])
@pytest.mark.parametrize("answer", [None, "", " \n\t"])
def test_no_answer_is_malformed_for_every_metric(name, answer):
    metric = build(name, ("some words",)) if name not in METRICS else metric_of(name)[0]
    assert metric.malformed(answer)


@pytest.mark.parametrize(
    ("answer", "inside"),
    [
        ("```\nx\n```", "x"),
        (" ```json\r\n{}\n``` ", "{}"),
        ("~~~\nx\n~~~", "x"),
        *(
            (text, text)
            for text in ("x", "```x```", "So:\n```\nx\n```", "```\nx\n```\nDone.", "```\nx\n~~~")
        ),
        *(
            (text, text)
            for text in ("```\nx\n```\n```\ny\n```", "``` not a language\nx\n```", "```")
        ),
        ("```\n```", ""),
    ],
)
def test_one_fence_around_all_of_an_answer_is_taken_off(answer, inside):
    assert without_fence(answer) == inside


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


TOOLS = [{"type": "function", "function": {"name": "delete", "parameters": {"type": "object"}}}]
EXPECTED = [[call("push", remote="a", n=1)], [call("push", remote="b")], [call("stop")]]


@pytest.mark.parametrize(
    ("expected", "answers", "well_formed"),
    [
        (
            EXPECTED,
            [
                *(
                    [call("push", remote="z")],
                    [call("push", remote="a", force=True)],
                    [call("delete", all=True)],
                ),
                *([call("push", remote="a", n="1"), call("stop")], [call("stop", now=1)]),
            ],
            True,
        ),
        (
            EXPECTED,
            [
                *(
                    [call("push")],
                    [call("push", n="1", remote="a")],
                    [call("push", branch="a")],
                    [call("remove")],
                ),
                *(
                    "[]",
                    "Hello!",
                    "push(remote='a')",
                    '[{"name": "push", "arguments": "{broken"}]',
                    "I cannot push.",
                ),
                *({"name": "push", "parameters": {"remote": "a"}}, {"push": {"remote": "a"}}),
            ],
            False,
        ),
        ([*EXPECTED, "Hello!"], ["[]", "Hello!", "pushing is for others"], True),
        (
            [*EXPECTED, "Hello!"],
            ["push(remote='a')", "functions.push:0", [call("push", n="1")]],
            False,
        ),
    ],
)
def test_a_call_has_the_form_of_the_task_where_it_names_a_declared_tool_and_its_types(
    expected, answers, well_formed
):
    examples = [
        Example(f"t{i}", f"input {i}", value, fields={"tools": TOOLS})
        for i, value in enumerate(expected)
    ]
    metric = build("tool_call_f1", tuple(sorted(map(expected_text, expected))), examples=examples)
    texts = [answer if isinstance(answer, str) else json.dumps(answer) for answer in answers]
    assert [text for text in texts if metric.malformed(text) is well_formed] == []
