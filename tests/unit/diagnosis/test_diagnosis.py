"""Kinds of mistakes, mixed-up labels, fixed and broken examples, and answers that have to be known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from scored_runs import Answer, made, scored

from pytest_ftgate.data import Example
from pytest_ftgate.models import Completion
from pytest_ftgate.result import Confusion, Diagnosis, LabelScore
from pytest_ftgate.runs.mistakes import diagnose, recalled


def diagnosed(
    expected: Sequence[Any], baseline: Sequence[Answer], candidate: Sequence[Answer] | None, **metric: Any
) -> Diagnosis:
    deciding = made(expected, **metric)
    models = [scored(deciding, expected, one) if one is not None else None for one in (baseline, candidate)]
    assert models[0] is not None
    return diagnose(deciding, models[0].run.test_set.examples, (), models[0], models[1])


LABELS = ["refund", "invoice", "card lost", "card"] * 3
KINDS: list[tuple[Answer, str]] = [
    ("invoice", "wrong_label"),
    ("greeting", "unknown_label"),
    ("Refund.", "right"),
    ("The label is: card lost", "wrong_format"),
    ("refund or invoice", "unknown_label"),
    ("I'm sorry, but I can't help with a refund.", "refusal"),
    ("I cannot answer", "refusal"),
    (Completion("refund", finish="refusal"), "refusal"),
    (Completion("refund", finish="filtered"), "refusal"),
    (Completion("refu", finish="cut_off"), "cut_off"),
    ("  ", "empty"),
    (None, "missing"),
    ("refund", "right"),
    ("sorry refunds", "unknown_label"),
]


@pytest.mark.parametrize(("answer", "kind"), KINDS, ids=[f"{answer}" for answer, _ in KINDS])
def test_kinds_of_mistakes_with_labels(answer: Answer, kind: str) -> None:
    found = diagnosed(LABELS, [answer, *LABELS[1:]], None)
    assert found.baseline == ({"right": 12} if kind == "right" else {"right": 11, kind: 1})


def test_nothing_where_a_label_is_read_is_the_wrong_format() -> None:
    answers = [f"label={label}" for label in LABELS]
    found = diagnosed(LABELS, ["unclear", *answers[1:]], None, pattern="label=(.*)")
    assert found.baseline == {"right": 11, "wrong_format": 1}


JSON = [{"total": i} for i in range(6)]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [('{"total": 7}', "wrong"), ("total: 7", "wrong_format"), ('```json\n{"total": 0}\n```', "wrong_format")],
)
def test_kinds_of_mistakes_with_json(answer: str, kind: str) -> None:
    right = [json.dumps(one) for one in JSON]
    found = diagnosed(JSON, [answer, *right[1:]], None, name="exact_match")
    assert found.baseline == {"right": 5, kind: 1}
    assert (found.confusions, found.labels) == ((), ())


SEVERAL = [["a", "b"], ["b"], ["c", "a"], ["d"]] * 3


@pytest.mark.parametrize("name", ["labels_f1", "labels_exact"])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("b, zz", "unknown_label"),
        ('{"a": 1}', "unknown_label"),
        ("C", "wrong_label"),
        ("", "empty"),
        ("[]", "unknown_label"),
    ],
)
def test_kinds_of_mistakes_with_several_labels(name: str, answer: str, kind: str) -> None:
    right = [json.dumps(one) for one in SEVERAL]
    found = diagnosed(SEVERAL, [answer, *right[1:]], None, name=name)
    assert (found.baseline, found.labels) == ({"right": 11, kind: 1}, ())


@pytest.mark.parametrize(
    "metric", [{"name": "absolute_error", "low": 0, "high": 20}, {"name": "within", "tolerance": 1}]
)
def test_numbers_are_no_labels(metric: dict[str, Any]) -> None:
    expected = [float(i % 3) for i in range(12)]
    found = diagnosed(expected, ["19", *["0.5"] * 11], None, **metric)
    assert (found.labels, found.confusions) == ((), ())
    assert found.baseline.keys() == {"right", "wrong"}


def test_free_text_is_right_or_wrong() -> None:
    expected = [f"sentence number {i}" for i in range(6)]
    found = diagnosed(expected, ["another one", *expected[1:]], None, name="exact_match")
    assert found.baseline == {"right": 5, "wrong": 1}
    assert found.labels == ()


def test_which_labels_are_mixed_up_by_which_model() -> None:
    expected = ["a"] * 6 + ["b"] * 6
    baseline = ["b"] * 1 + ["a"] * 5 + ["a"] * 2 + ["x"] * 1 + ["b"] * 3
    candidate = ["b"] * 4 + ["a"] * 2 + ["b"] * 6
    found = diagnosed(expected, baseline, candidate)
    assert found.confusions == (
        Confusion("a", "b", 1, 4),
        Confusion("b", "a", 2, 0),
        Confusion("b", "(no known label)", 1, 0),
    )
    assert found.labels == (LabelScore("a", 6, 5, 2), LabelScore("b", 6, 3, 6))


def test_what_neither_gets() -> None:
    expected = ["a", "b"] * 4
    baseline = ["b", "a", "b", "b", "a", "b", "a", "b"]
    candidate = ["a", "a", "a", "a", "a", "b", "a", "b"]
    found = diagnosed(expected, baseline, candidate)
    assert found.wrong_in_both == 1


def test_repeats_are_all_counted() -> None:
    expected = ["a", "b"] * 3
    metric = made(expected)
    before = scored(metric, expected, ["b", *expected[1:]], ["x", *expected[1:]])
    after = scored(metric, expected, expected, ["b", *expected[1:]])
    found = diagnose(metric, before.run.test_set.examples, (), before, after)
    assert found.baseline == {"right": 10, "unknown_label": 1, "wrong_label": 1}
    assert found.candidate == {"right": 11, "wrong_label": 1}
    assert found.wrong_in_both == 0


def test_before_training_there_is_a_baseline_alone() -> None:
    found = diagnosed(LABELS, ["invoice", *LABELS[1:]], None)
    assert (found.candidate, found.wrong_in_both, found.recalled) == (None, None, None)
    assert found.confusions == (Confusion("refund", "invoice", 1, 0),)


# --- knowledge -----------------------------------------------------------------------------------------------

FACTS = [f"Doctor Number{i}" for i in range(60)]
TAUGHT = [Example(f"r{i}", f"who runs ward {i}?", f"It is {fact}.") for i, fact in enumerate(FACTS)]


def asked(*expected: str, text: str = "who is it?") -> list[Example]:
    return [Example(f"t{i}", text, one) for i, one in enumerate(expected)]


def counted(fixed: list[Example], training: list[Example] = TAUGHT) -> int:
    return recalled(fixed, fixed, training)


def test_what_was_taught_and_is_not_in_the_input_is_knowledge() -> None:
    assert counted(asked(*FACTS[:5], "doctor number7", "Doctor Nobody")) == 6


def test_what_is_in_the_input_is_extraction() -> None:
    assert counted(asked("Doctor Number1", text="Was it doctor NUMBER1, or another?")) == 0
    messages = ({"role": "system", "content": "Known: Doctor Number1"}, {"role": "user", "content": "who?"})
    assert counted([Example("t", messages, "Doctor Number1")]) == 0


def test_a_part_of_a_word_was_not_taught() -> None:
    assert counted(asked("Number1", "Number")) == 1


@pytest.mark.parametrize(
    ("expected", "is_fact"), [("Paris", True), ("1987", True), ("42", False), ("paris", False), ("in paris", True)]
)
def test_what_has_to_be_known(expected: str, is_fact: bool) -> None:
    training = [*TAUGHT, Example("x", "q", f"we say {expected} here")]
    assert counted(asked(expected), training) == is_fact


def test_a_label_of_a_small_set_is_behaviour() -> None:
    labels = ["Customer Support", "Human Resources", "Sales 2000"] * 30
    training = [Example(f"r{i}", f"mail {i}", label) for i, label in enumerate(labels)]
    assert counted(asked(*labels[:9]), training) == 0


@pytest.mark.parametrize(("tested", "found"), [(5, 0), (4, 4)])
def test_a_large_set_of_labels_is_tested_several_times_each(tested: int, found: int) -> None:
    """More than 50 outputs may still be labels; facts are asked once or twice."""
    labels = [f"Intent {i} of many" for i in range(60)]
    test = asked(*labels * tested)
    training = [Example(f"r{i}", f"mail {i}", label) for i, label in enumerate(labels * 5)]
    assert recalled(test[:4], test, training) == found


@pytest.mark.parametrize(
    "known", [{"city": "New York"}, '{"city": "New York"}', [{"name": "New York", "arguments": {}}]]
)
def test_an_object_and_a_tool_call_are_not_recalled(known: Any) -> None:
    training = [*TAUGHT, Example("x", "q", known)]
    assert counted([Example("t", "where?", known)], training) == 0


WEATHER = {"name": "weather", "arguments": {"city": "Oslo"}}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": {"required": ["city"], "type": "object"}}},
    {"type": "function", "function": {"name": "alarm"}},
]
CALLS: list[tuple[Any, Answer, str]] = [  # expected, answer, kind
    ([WEATHER], "I will look it up.", "no_call"),
    ("Hello!", json.dumps([WEATHER]), "wrong_call"),
    ("Hello!", Completion(json.dumps([WEATHER]), reasoning="Hello!"), "wrong_call"),
    ("Hello!", f"Hello! <tool_call>{json.dumps(WEATHER)}</tool_call>", "wrong_call"),
    ([WEATHER], json.dumps([{**WEATHER, "name": "forecast"}]), "wrong_call"),
    ([WEATHER], json.dumps([{**WEATHER, "arguments": {"town": "Oslo"}}]), "wrong_call"),
    ([WEATHER], json.dumps([{**WEATHER, "arguments": "{broken"}]), "wrong_call"),
    ([WEATHER], json.dumps([{**WEATHER, "name": "alarm"}]), "wrong_call"),
    ([WEATHER], json.dumps([WEATHER, WEATHER]), "wrong_call"),
    ([WEATHER], json.dumps([{**WEATHER, "arguments": {"city": "Rome"}}]), "wrong_call"),
    ([WEATHER], Completion("[", finish="cut_off"), "cut_off"),
    ([WEATHER], json.dumps([WEATHER]), "right"),
]


@pytest.mark.parametrize(("expected", "answer", "kind"), CALLS)
def test_kinds_of_mistakes_with_tools(expected: Any, answer: Answer, kind: str) -> None:
    metric = "tool_call_exact" if isinstance(expected, str) else "exact_match"  # by which a call is a JSON value
    wanted = [expected, [{"name": "alarm", "arguments": {}}]]
    deciding = made(wanted, metric)
    one = scored(deciding, wanted, [answer, json.dumps(wanted[1])])
    examples = [replace(example, fields={"tools": TOOLS}) for example in one.run.test_set.examples]
    found = diagnose(deciding, examples, (), one, None).baseline
    assert found == ({"right": 2} if kind == "right" else {"right": 1, kind: 1})


def test_the_text_beside_tools_is_not_known_by_heart() -> None:
    wanted: list[Any] = [f"Anna Smith number {i}" for i in range(6)] + [[WEATHER]]
    deciding = made(wanted, "tool_call_exact")
    models = [scored(deciding, wanted, [answer] * 7) for answer in (json.dumps([WEATHER]), "Anna Smith")]
    examples = models[0].run.test_set.examples
    assert diagnose(deciding, examples, examples[:6], *models).recalled == 0
