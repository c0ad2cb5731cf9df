"""Which metrics there are, what they declare, and how a wrong request for one is refused."""

import json

import pytest
from building import build, failure, refusal

from pytest_ftgate.metrics import CustomMetric, built_in_names, judged

SET = [
    *(
        f"{score}_{average}"
        for score in ("f1", "precision", "recall")
        for average in ("macro", "micro", "weighted")
    ),
    *("f1", "precision", "recall", "balanced_accuracy", "matthews_corrcoef", "cohen_kappa"),
]
TEXT = ["token_f1", "rouge_l", "edit_similarity"]
GRADED = [*TEXT, "tool_call_f1", "field_f1", "labels_f1", "absolute_error"]
AB = ("a", "b")
OWN = CustomMetric("brevity", lambda expected, answer: 1.0, 0, 1, True)
NUMBERS = ("within", "absolute_error")
CALLS = (json.dumps([{"name": "weather", "arguments": {"city": "Oslo"}}]), "Hello!")
FIELDS = (
    json.dumps({"intent": "light", "slots": {"room": "hall", "level": 3}, "tags": ["a", "b"]}),
    "[1]",
)


EXPECTED = {"field_f1": FIELDS, "within": ("1", "2"), "absolute_error": ("0", "1")}
EXPECTED |= dict.fromkeys(("tool_call_exact", "tool_call_f1"), CALLS)
NEEDED = {
    "format": {"max_chars": 9},
    "within": {"tolerance": 1},
    "absolute_error": {"cap": 1},
}
NEEDED |= {name: {"pos_label": "a"} for name in ("f1", "precision", "recall")}


def test_every_name_of_the_contract_is_there():
    names = ["accuracy", "exact_match", "format", "tool_call_exact", "labels_exact", "within"]
    assert sorted(built_in_names()) == sorted([*SET, *GRADED, *names, *judged.NAMES])
    # without a near one all are listed
    assert all(name in str(refusal("zzz")) for name in built_in_names())
    # free text is a label of accuracy
    assert build("accuracy", [f"answer {i}" for i in range(2001)]).uses_labels


@pytest.mark.parametrize("name", [name for name in built_in_names() if name not in judged.NAMES])
def test_a_metric_declares_its_kind_range_and_direction(name):
    all_labels = {"labels": ["b", "a"]} if name in (*SET, "accuracy") else {}
    metric = build(name, EXPECTED.get(name, AB), **NEEDED.get(name, {}), **all_labels)
    assert metric.name == name
    assert metric.kind == ("set" if name in SET else "graded" if name in GRADED else "right_wrong")
    assert metric.low == (-1 if name in ("matthews_corrcoef", "cohen_kappa") else 0)
    assert metric.high == 1
    assert metric.greater_is_better is (name != "absolute_error")
    assert metric.uses_labels is (name in (*SET, "accuracy"))


DRAFT_4 = "http://json-schema.org/draft-04/schema#"
ELSEWHERE = {"$ref": "https://example.org/a.json"}


@pytest.mark.parametrize(
    ("name", "expected", "options", "key", "words"),
    [
        ("f1_macr", AB, {}, None, "'f1_macro'"),
        ("brevty", AB, {"custom": {"brevity": OWN}}, None, "'brevity'"),
        *((name, AB, {"custom": {name: OWN}}, None, name) for name in ("accuracy", "rouge_l")),
        # options that a metric does not have
        ("accuracy", AB, {"normalise": "a"}, "normalise", "'normalize'"),
        ("f1_macro", AB, {"zzz": "a"}, "zzz", "normalize, pattern, json_field, labels"),
        ("brevity", AB, {"custom": {"brevity": OWN}, "normalize": "case"}, "normalize", "brevity"),
        ("within", ("1",), {}, None, "tolerance"),
        ("within", ("1",), {"tolerance": 1, "relative": 1}, None, "not both"),
        ("within", ("1",), {"tolerance": -1}, "tolerance", "-1"),
        ("within", ("1",), {"tolerance": "1"}, "tolerance", "number"),
        *(("within", ("1",), {"relative": value}, "relative", "at least 0") for value in (float("inf"), 10**400)),
        *((name, ("one",), NEEDED[name], None, "'one'") for name in NUMBERS),
        ("absolute_error", ("1",), {}, "cap", "largest error that counts"),
        ("absolute_error", ("1",), {"low": 0, "high": 9}, "low", "cap"),
        *(("absolute_error", ("1",), {"cap": value}, "cap", "a number above 0") for value in (0, -1)),
        *((name, ('{"a": 1}',), {}, None, "lists of labels") for name in ("labels_f1", "labels_exact")),
        # how a label is read
        *(("f1_macro", AB, {"normalize": value}, "normalize", "punctuation") for value in (True, [1], None)),
        ("f1_macro", AB, {"normalize": ["case", "zzz"]}, "normalize", "'zzz'"),
        ("f1_macro", AB, {"pattern": 3}, "pattern", "must be text, got 3"),
        ("f1_macro", AB, {"pattern": ""}, "pattern", "text"),
        ("f1_macro", AB, {"pattern": "(a"}, "pattern", "position 0"),
        ("f1_macro", AB, {"json_field": ["a"]}, "json_field", "text"),
        ("f1_macro", AB, {"labels": "a"}, "labels", "a list of labels"),
        ("f1_macro", AB, {"labels": []}, "labels", "a list of labels"),
        ("f1_macro", AB, {"labels": ["a", ["b"]]}, "labels", "list"),
        ("f1_macro", ("a", "refund"), {"labels": ["a", "refnd"]}, "labels", "'refund'"),
        ("accuracy", AB, {"pattern": "a", "json_field": "a"}, "json_field", "pattern"),
        ("accuracy", ("No", "Yes", "yes"), {"normalize": "case"}, "normalize", "Yes and yes"),
        # which labels a metric needs
        *((name, ("ham", "spam"), {}, "pos_label", f"{{name: {name}, pos_label: ham}}") for name in SET[9:12]),
        ("f1", ("ham", "spam"), {"pos_label": "spma"}, "pos_label", "'spam'"),
        ("f1", ("a", "b", "c"), {"pos_label": "a"}, None, "f1_macro"),
        ("f1", ("a",), {"pos_label": "a"}, None, "f1_macro"),
        *((name, AB, {"labels": ["a"]}, "labels", "(a, b)") for name in ("accuracy", "balanced_accuracy")),
        ("f1_macro", [f"answer {i}" for i in range(2001)], {}, None, "2,001"),
        # fields
        ("field_f1", ('{"a": 1}', "refund"), {}, None, "'refund'"),
        ("field_f1", FIELDS, {"fields": "intent"}, "fields", "list of fields"),
        ("field_f1", FIELDS, {"fields": ["slots.rom"]}, "fields", "'slots.room'"),
        ("field_f1", FIELDS, {"average": "mikro"}, "average", "micro"),
        ("field_f1", FIELDS, {"lists": "sets"}, "lists", "sequence, set"),
        ("field_f1", FIELDS, {"tolerance": -1}, "tolerance", "-1"),
        ("field_f1", FIELDS, {"tolerance": {"slots.level": "1"}}, "tolerance", "'1'"),
        ("field_f1", FIELDS, {"tolerance": {"slots.lvel": 1}}, "tolerance", "'slots.level'"),
        ("field_f1", FIELDS, {"normalize": {"intnt": "case"}}, "normalize", "'intent'"),
        ("field_f1", FIELDS, {"normalize": 3}, "normalize", "punctuation, or a list of them"),
        # tool calls
        ("tool_call_exact", CALLS, {"ignore_arguments": ["town"]}, "ignore_arguments", "'town'"),
        ("tool_call_exact", CALLS, {"arguments": {"fields": ["city"]}}, "fields", "tolerance"),
        ("tool_call_exact", CALLS, {"extra": "allow"}, "extra", "ignore"),
        ("tool_call_f1", ("refund", "invoice"), {}, None, "tool calls"),
        ("tool_call_f1", ('{"intent": "light"}',), {}, None, "name"),
        # format
        *(("format", (), options, None, "json_schema, pattern") for options in ({}, {"strip_code_fence": True})),
        ("format", (), {"type": "json"}, "type", "json_schema, pattern, allowed, max_chars, strip_code_fence"),
        *(("format", (), {"max_chars": value}, "max_chars", "whole number") for value in (0, True, "9")),
        ("format", (), {"allowed": "a"}, "allowed", "a list"),
        ("format", (), {"allowed": []}, "allowed", "a list"),
        ("format", (), {"max_chars": 9, "strip_code_fence": "yes"}, "strip_code_fence", "true or false"),
        *(("format", (), {"json_schema": value}, "json_schema", "mapping") for value in ({}, True)),
        ("format", (), {"json_schema": {"properties": {"a": {"type": "strng"}}}}, "json_schema", "$.properties.a.type"),
        ("format", (), {"json_schema": {"properties": {"a": ELSEWHERE}}}, "json_schema", ELSEWHERE["$ref"]),
        ("format", (), {"json_schema": {"$ref": "#/$defs/b", "$defs": {"a": {}}}}, "json_schema", "'#/$defs/b'"),
        *(("format", (), {"json_schema": {"$schema": value}}, "json_schema", "is no text") for value in (5, [])),
        ("format", (), {"json_schema": {"$schema": DRAFT_4, "$ref": 5}}, "json_schema", "refers to 5"),
        # a metric of one's own
        ("brevity", AB, {"custom": {"brevity": len}}, None, "greater_is_better"),
        ("brevity", AB, {"function": len}, None, "greater_is_better"),
        ("brevity", AB, {"custom": {"brevity": 3}}, None, "greater_is_better"),
    ],
    ids=lambda value: None if isinstance(value, str | None) else "",
)  # fmt: skip
def test_a_wrong_request_is_refused_with_its_key(name, expected, options, key, words):
    error = refusal(name, expected, **options)
    assert (error.where.path, error.where.key or None) == ("ftgate.yaml:14", key)
    assert words in str(error)


@pytest.mark.parametrize("name", ["accuracy", "exact_match", *TEXT])
def test_a_blank_expected_output_is_refused(name):
    assert "empty" in refusal(name, ("a", " ")).what


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "exact_match"])
@pytest.mark.parametrize(("expected", "answers"), [([], [[]]), (["a"], [])])
def test_nothing_to_measure_is_an_error(name, expected, answers):
    """An empty test set is a finding of its own: the metric can be built, and measures nothing."""
    assert name in failure(build(name, expected), expected, *answers).what
