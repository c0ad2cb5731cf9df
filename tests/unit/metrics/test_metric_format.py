"""The metric format: each rule, what it says of an answer, and what no rule may be hung by."""

import json
import sys
from fractions import Fraction

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.data.strict_json import parse_json

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from("abc"), x, max_size=3), max_leaves=8
)
SCHEMA = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["light", "heat"]},
        "slots": {
            "type": "object",
            "properties": {"room": {"enum": ["kitchen", "hall"]}, "level": {"type": "integer", "minimum": 0}},
            "additionalProperties": False,
        },
        "when": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
    "required": ["intent"],
}
DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture(scope="session")
def holds(build):
    def holds(answer, **options):
        return build("format", (), **options).score(["x"], [[answer]]).exact == 1

    return holds


@pytest.fixture(scope="session")
def why(build):
    def why(answer, **options):
        (note,) = build("format", (), **options).score(["x"], [[answer]]).notes
        return note

    return why


ANY = {"minProperties": 0}
FENCED = {"json_schema": ANY, "strip_code_fence": True}
RULES = [  # options, answers that hold, answers that do not
    ({"json_schema": ANY}, [' {"a": 1} ', "5", "1e999"],
     ['{"a": NaN}', '{"a": 1, "a": 2}', '{"a": 1} Done!', '```json\n{"a": 1}\n```']),
    (FENCED, ['```json\n{"a": 1}\n```', '```\n{"a": 1}```'],
     ['Here:\n```json\n{"a": 1}\n```', '```json\n{"a": 1}\n```\n```json\n{}\n```', "```", "```json\n```"]),
    ({"pattern": "[A-Z]{3}"}, [" ABC\n"], ["ABCD"]),
    ({"pattern": "yes|no"}, ["yes"], ["nothing"]),
    ({"pattern": ".*"}, ["x"], ["  "]),
    ({"allowed": ["a", "b"]}, ["b "], ["B"]),
    ({"allowed": [True, 1]}, ["true", "1"], ["True"]),
    ({"max_chars": 3}, [" abc "], ["abcd", "", None]),
    ({"max_chars": 2, "pattern": "..+"}, ["ab"], ["a", "abc"]),
    ({"json_schema": SCHEMA}, ['{"intent": "light", "slots": {"room": "hall"}}'],
     ['{"intent": "light", "slots": {"room": "hal"}}', '{"intent": "light", "when": "2026-02-30"}',
      '{"intent": "light", "tags": ["a", "a"]}', "intent: light"]),
    ({"json_schema": {"uniqueItems": True}}, ['[1, true, "1", [0], [false]]'], ["[1, 1.0]"]),
    ({"json_schema": {"type": "string"}}, ['"text"'], ["text"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "answer", "right"),
    [
        (options, one, right)
        for options, *both in RULES
        for right, some in ((True, both[0]), (False, both[1]))
        for one in some
    ],
)
def test_each_rule(holds, options, answer, right):
    assert holds(answer, **options) is right


@pytest.mark.parametrize(
    ("options", "answer", "facts"),
    [
        ({"json_schema": SCHEMA}, '{"intent": "light", "slots": {"room": "kitchn"}}', ["$.slots.room", "'kitchn'"]),
        ({"json_schema": SCHEMA}, "{}", ["$", "'intent'"]),
        ({"json_schema": SCHEMA}, '{"intent": "light", "tags": ["a", 1]}', ["$.tags[1]", "'string'"]),
        ({"json_schema": {"uniqueItems": True}}, "[1, true, 1.0]", ["$", "unique"]),
        ({"json_schema": ANY}, "{", ["JSON", "line 1 column 2"]),
        ({"json_schema": ANY}, DEEP, ["JSON", "deep"]),
        ({"pattern": "a+"}, "b\x1b[2J", ["'b\\x1b[2J'", "pattern"]),
        ({"allowed": ["a"]}, "b", ["'b'", "allowed"]),
        ({"max_chars": 3}, "a" * 1234, ["1,234", "3"]),
        ({"json_schema": SCHEMA}, json.dumps({"intent": "\x1b[31m::error::" + "x" * 5000}), ["$.intent"]),
    ],
)
def test_a_note_says_which_rule_is_broken_where_and_is_harmless(why, options, answer, facts):
    note = why(answer, **options)
    assert all(fact in note for fact in facts)
    assert len(note) <= 200
    assert note.isprintable()


def test_the_first_broken_rule_of_each_answer_is_counted(build):
    metric = build("format", (), json_schema=SCHEMA, max_chars=60)
    bad = '{"intent": "light", "tags": ["a", "b", 3]}'
    other = '{"intent": "light", "tags": [3]}'
    long = '{"intent": "light"' + " " * 60 + "}"
    answers = [["{", "x", bad, other, long, '{"intent": "heat"}'], [None, *['{"intent": "heat"}'] * 5]]
    scored = metric.score(["e"] * 6, answers)
    assert scored.exact == Fraction(6, 12)
    assert scored.breakdown.title == "failing rule"
    assert scored.breakdown.columns == ("answers",)
    assert scored.breakdown.rows == (
        ("json_schema $.tags[*]: type", (2,)),
        ("json_schema $: not JSON", (2,)),
        ("max_chars", (1,)),
        ("no answer", (1,)),
    )
    assert len(scored.notes) == 6
    assert scored.notes[5] is None
    assert metric.kind == "right_wrong"


LIKELY = st.fixed_dictionaries(
    {"intent": st.sampled_from(["light", "heat", "x"])},
    optional={
        "slots": st.dictionaries(st.sampled_from(["room", "level", "z"]), st.sampled_from(["hall", 1, -1, 1.0])),
        "when": st.sampled_from(["2026-01-02", "tomorrow", 3]),
        "tags": st.lists(st.sampled_from(["a", "b", 1]), max_size=4),
    },
)
UNIQUE = {"type": "array", "uniqueItems": True}


@pytest.mark.parametrize(
    ("schema", "values"),
    [(SCHEMA, JSON | LIKELY), (SCHEMA, LIKELY), (UNIQUE, st.lists(JSON, max_size=6))],
    ids=["anything", "nearly right", "unique"],
)
@given(st.data())
def test_a_schema_holds_where_jsonschema_says_so(holds, schema, values, data):
    value = data.draw(values)
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    assert holds(json.dumps(value), json_schema=schema) is validator.is_valid(parse_json(json.dumps(value)))


@pytest.mark.parametrize(
    "answer",
    ["a" * 10_000_000, "[" * 20_000, DEEP, "{" * 20_000, "\x00" * 1000, "\ud800", "1" * 1_000_000, '"' * 1_000_000],
    ids=lambda text: f"{text[:6]!a}x{len(text)}",
)
def test_hostile_answers_neither_hang_nor_crash(holds, answer):
    assert not holds(answer, json_schema=ANY)


def test_megabytes_of_json_are_judged(holds):
    assert holds(json.dumps({"intent": "light", "x": "a" * 10_000_000}), json_schema=SCHEMA)
    assert not holds(json.dumps({"intent": "light", "tags": list(range(200_000))}), json_schema=SCHEMA)
    assert holds("1" + "0" * 400, json_schema={"multipleOf": 0.5}) in (True, False)


def test_nested_values_and_recursive_schemas_are_judged(holds, why):
    tree = {"$ref": "#/$defs/t", "$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}}
    assert holds("[[[]]]", json_schema=tree)
    assert "deep" in why("[" * 900 + "]" * 900, json_schema=tree)
    assert not holds("[]", json_schema={"$ref": "#"})


# --- how it is asked for -------------------------------------------------------------------------------------


def test_a_schema_may_be_of_another_draft_and_refer_to_itself(holds):
    old = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {"a": {"type": "string"}},
        "items": [{"$ref": "#/definitions/a"}],
    }
    assert holds('["x", 1]', json_schema=old)
    assert not holds("[1]", json_schema=old)
    named = {"$id": "https://example.org/s", "$ref": "t", "$defs": {"t": {"$id": "t", "type": "array"}}}
    assert holds("[]", json_schema=named)
    assert not holds("{}", json_schema=named)
    assert holds('{"type": "object"}', json_schema={"$ref": "https://json-schema.org/draft/2020-12/schema"})


@pytest.mark.parametrize(
    ("content", "word"), [("{", "JSON"), ("[]", "empty"), ('{"type": "strng"}', "$.type"), (None, "no such file")]
)
def test_a_schema_comes_from_a_file(refusal, holds, tmp_path, content, word):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(SCHEMA), encoding="utf-8")
    assert holds('{"intent": "light"}', json_schema=path)
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    error = refusal("format", (), json_schema=path)
    assert error.where.key == "json_schema"
    assert "s.json" in str(error)
    assert word in str(error)


def test_without_jsonschema_the_extra_is_named(refusal, build, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "jsonschema"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    error = refusal("format", (), json_schema=SCHEMA)
    assert error.where.key == "json_schema"
    assert 'pip install "pytest-ftgate[format]"' in str(error)
    assert build("format", (), pattern="{}").score(["x"], [["{}"]]).exact == 1
