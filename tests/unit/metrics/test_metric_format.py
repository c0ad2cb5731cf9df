"""The metric format: each rule, what it says of an answer, and what no rule may be hung by."""

import json
import sys
from fractions import Fraction

import jsonschema
import pytest
from building import build, failure, refusal
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.data.strict_json import parse_json

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from("abc"), x, max_size=3),
    max_leaves=8,
)
ROOM = {"room": {"enum": ["kitchen", "hall"]}, "level": {"type": "integer", "minimum": 0}}
SCHEMA = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["light", "heat"]},
        "slots": {"type": "object", "properties": ROOM, "additionalProperties": False},
        "when": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
    "required": ["intent"],
}
DEEP = "[" * 100_000 + "]" * 100_000
TREE = {"$ref": "#/$defs/t", "$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}}
OLD = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"$ref": "#/definitions/a"}]}
OLD |= {"definitions": {"a": {"type": "string"}}}
NAMED = {"$id": "https://example.org/s", "$ref": "t", "$defs": {"t": {"$id": "t", "type": "array"}}}


def why(answer, **options):
    """Return what is wrong with an answer; None if it is right."""
    scored = build("format", (), **options).score(["x"], [[answer]])
    (note,) = scored.notes
    assert (scored.exact == 1) is (note is None)
    return note


ANY = {"minProperties": 0}
HOSTILE = (
    "a" * 10_000_000,
    "[" * 20_000,
    "{" * 20_000,
    "\x00" * 1000,
    "\ud800",
    "1" * 1_000_000,
    '"' * 1_000_000,
)
FENCED = {"json_schema": ANY, "strip_code_fence": True}
LIGHT = '{"intent": "light", %s}'
RULES = [  # options, answers that hold, answers that do not with what is said of them
    ({"json_schema": ANY}, [' {"a": 1} ', "5", "1e999"],
     {'{"a": NaN}': "", '{"a": 1, "a": 2}': "", '{"a": 1} Done!': "", '```json\n{"a": 1}\n```': "",
      "{": "JSON line 1 column 2", DEEP: "JSON deep", **dict.fromkeys(HOSTILE, "")}),
    ({"json_schema": {"multipleOf": 0.5}}, [], {"1" + "0" * 400: "too large"}),
    (FENCED, ['```json\n{"a": 1}\n```', '```\n{"a": 1}```'],
     {'Here:\n```json\n{"a": 1}\n```': "", '```json\n{"a": 1}\n```\n```json\n{}\n```': "", "```": "",
      "```json\n```": ""}),
    ({"pattern": "[A-Z]{3}"}, [" ABC\n"], {"ABCD": "'ABCD' pattern"}),
    ({"pattern": "yes|no"}, ["yes"], {"nothing": "", "b\x1b[2J": "'b\\x1b[2J' pattern"}),
    ({"pattern": ".*"}, ["x"], {"  ": "answer"}),
    ({"allowed": ["a", "b"]}, ["b "], {"B": "'B' allowed"}),
    ({"allowed": [True, 1]}, ["true", "1"], {"True": ""}),
    ({"max_chars": 3}, [" abc "], {"abcd": "", "": "answer", None: "answer", "a" * 1234: "1,234 3"}),
    ({"max_chars": 2, "pattern": "..+"}, ["ab"], {"a": "pattern", "abc": "characters"}),
    ({"json_schema": SCHEMA}, [LIGHT % '"slots": {"room": "hall"}', LIGHT % f'"x": "{"a" * 10_000_000}"'],
     {LIGHT % '"slots": {"room": "kitchn"}': "$.slots.room 'kitchn'", LIGHT % '"when": "2026-02-30"': "$.when",
      LIGHT % '"tags": ["a", "a"]': "$.tags", LIGHT % '"tags": ["a", 1]': "$.tags[1] 'string'",
      "{}": "$ 'intent'", "intent: light": "JSON",
      json.dumps({"intent": "\x1b[31m::error::" + "x" * 5000}): "$.intent",
      json.dumps({"intent": "light", "tags": list(range(200_000))}): ""}),
    ({"json_schema": {"uniqueItems": True}},
     ['[1, true, "1", [0], [false]]', "5", json.dumps([{"a": i} for i in range(200)])],
     {"[1, true, 1.0]": "$ unique", '[{"a": [1]}, {"a": [1.0]}]': "$ unique"}),
    ({"json_schema": {"uniqueItems": False}}, ["[1, 1]"], {}),
    ({"json_schema": {"type": "string"}}, ['"text"'], {"text": ""}),
    ({"json_schema": TREE}, ["[[[]]]"], {"[" * 900 + "]" * 900: "deep"}),
    ({"json_schema": {"$ref": "#"}}, [], {"[]": "deep"}),
    # other drafts, and references within a schema
    ({"json_schema": OLD}, ['["x", 1]'], {"[1]": "$[0]"}),
    ({"json_schema": NAMED}, ["[]"], {"{}": ""}),
    ({"json_schema": {"$ref": "https://json-schema.org/draft/2020-12/schema"}}, ['{"type": "object"}'], {}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "rights", "wrongs"), RULES, ids=lambda value: str(value)[:30])
def test_each_rule_and_what_it_says_of_a_wrong_answer(options, rights, wrongs):
    assert [why(answer, **options) for answer in rights] == [None] * len(rights)
    for answer, words in wrongs.items():
        note = why(answer, **options)
        assert all(word in note for word in words.split())
        assert (note.isprintable(), len(note) <= 200) == (True, True)


def test_an_answer_that_breaks_a_rule_in_any_repeat_counts():
    metric = build("format", (), json_schema=SCHEMA, max_chars=60)
    bad, alternative, long = (
        LIGHT % tags for tags in ('"tags": ["a", "b", 3]', '"tags": [3]', '"slots": {}' + " " * 60)
    )
    answers = [
        ["{", "x", bad, alternative, long, '{"intent": "heat"}'],
        [None, *['{"intent": "heat"}'] * 5],
    ]
    scored = metric.score(["e"] * 6, answers)
    assert (scored.exact, metric.kind, scored.notes[5]) == (Fraction(6, 12), "right_wrong", None)


LIKELY = st.fixed_dictionaries(
    {"intent": st.sampled_from(["light", "heat", "x"])},
    optional={
        "slots": st.dictionaries(
            st.sampled_from(["room", "level", "z"]), st.sampled_from(["hall", 1, -1, 1.0])
        ),
        "when": st.sampled_from(["2026-01-02", "tomorrow", 3]),
        "tags": st.lists(st.sampled_from(["a", "b", 1]), max_size=4),
    },
)


@given(JSON | LIKELY)
def test_a_schema_holds_where_jsonschema_says_so(value):
    validator = jsonschema.Draft202012Validator(
        SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    valid = validator.is_valid(parse_json(json.dumps(value)))
    assert (why(json.dumps(value), json_schema=SCHEMA) is None) is valid


def test_a_reference_that_only_an_answer_reaches_is_an_error_of_the_metric():
    own = {"$ref": "#/own", "own": {"$ref": "https://example.org/a.json"}}
    assert "example.org" in failure(build("format", (), json_schema=own), ["x"], ["{}"]).what


@pytest.mark.parametrize(
    ("content", "word"),
    [("{", "JSON"), ("[]", "mapping"), ('{"type": "strng"}', "$.type"), (None, "no such file")],
)
def test_a_schema_comes_from_a_file(tmp_path, content, word):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(SCHEMA), encoding="utf-8")
    assert why('{"intent": "light"}', json_schema=path) is None
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    error = refusal("format", (), json_schema=path)
    assert (error.where.key, "s.json" in str(error), word in str(error)) == (
        "json_schema",
        True,
        True,
    )


@pytest.mark.parametrize(
    ("library", "name", "options"),
    [
        ("jsonschema", "format", {"json_schema": SCHEMA}),
        *(("rapidfuzz", name, {}) for name in ("rouge_l", "edit_similarity")),
    ],
)
def test_a_library_that_is_absent_is_named_with_its_cure(monkeypatch, library, name, options):
    for module in [module for module in sys.modules if module.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    error = refusal(name, ("a", "b"), **options)
    assert (error.where.key or None) == next(iter(options), None)
    assert f"needs {library}, which is not installed" in error.what
    assert error.cure == f"pip install {library}"
    build("format", (), pattern="{}")
    build("token_f1")
