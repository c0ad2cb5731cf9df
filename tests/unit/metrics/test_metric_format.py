"""The metric format: each rule, what it says of an answer, and what no rule may be hung by."""

import json
import sys
from fractions import Fraction

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.metrics.json_schema import _hashable
from pytest_ftgate.metrics.options import json_equal

NO_DEADLINE = settings(deadline=None)
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


@pytest.mark.parametrize(
    ("options", "answer", "right"),
    [
        ({"type": "json"}, ' {"a": 1} ', True),
        ({"type": "json"}, "5", True),
        ({"type": "json"}, '{"a": NaN}', False),
        ({"type": "json"}, '{"a": 1, "a": 2}', False),
        ({"type": "json"}, '{"a": 1} Done!', False),
        ({"type": "json"}, '```json\n{"a": 1}\n```', False),
        ({"type": "json", "strip_code_fence": True}, '```json\n{"a": 1}\n```', True),
        ({"type": "json", "strip_code_fence": True}, '```\n{"a": 1}```', True),
        ({"type": "json", "strip_code_fence": True}, 'Here:\n```json\n{"a": 1}\n```', False),
        ({"type": "json", "strip_code_fence": True}, '```json\n{"a": 1}\n```\n```json\n{}\n```', False),
        ({"type": "json", "strip_code_fence": True}, "```", False),
        ({"type": "json", "strip_code_fence": True}, "```json\n```", False),
        ({"type": "yaml"}, "a: 1\nb: [x, y]", True),
        ({"type": "yaml"}, "- 1\n- 2", True),
        ({"type": "yaml"}, "just a sentence", False),
        ({"type": "yaml"}, "a: !!python/object/apply:os.system [x]", False),
        ({"type": "yaml"}, "a: &x 1\nb: *x", False),
        ({"type": "yaml"}, "a: 1\na: 2", False),
        ({"type": "yaml"}, "a: 1\n---\nb: 1", False),
        ({"type": "yaml"}, "a: [1", False),
        ({"type": "yaml"}, "? [a]\n: 1", False),
        ({"type": "yaml"}, "<<: {a: 1}", False),
        ({"type": "yaml"}, '"\\UFFFFFFFF": 1', False),
        ({"type": "xml"}, "<a><b x='1'/>t</a>", True),
        ({"type": "xml"}, "<?xml version='1.0' encoding='latin-1'?><a>ü</a>", True),
        ({"type": "xml"}, "<a><b></a>", False),
        ({"type": "xml"}, "<a/><b/>", False),
        ({"type": "xml"}, "text", False),
        ({"type": "xml"}, "<p:a/>", False),
        ({"type": "xml"}, "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", False),
        ({"type": "xml"}, "<a>&nbsp;</a>", False),
        ({"type": "csv"}, "a,b\n1,2\n", True),
        ({"type": "csv"}, 'a,b\n"1, or so",2', True),
        ({"type": "csv"}, "a,b", True),
        ({"type": "csv"}, "a,b\n1", False),
        ({"type": "csv"}, "a,b\n\n1,2", False),
        ({"type": "csv"}, "one column", False),
        ({"type": "csv"}, 'a,b\n"1,2', False),
        ({"pattern": "[A-Z]{3}"}, " ABC\n", True),
        ({"pattern": "[A-Z]{3}"}, "ABCD", False),
        ({"pattern": "yes|no"}, "yes", True),
        ({"pattern": "yes|no"}, "nothing", False),
        ({"allowed": ["a", "b"]}, "b ", True),
        ({"allowed": ["a", "b"]}, "B", False),
        ({"allowed": [True, 1]}, "true", True),
        ({"allowed": [True, 1]}, "1", True),
        ({"max_chars": 3}, " abc ", True),
        ({"max_chars": 3}, "abcd", False),
        ({"min_chars": 2}, "a", False),
        ({"min_chars": 2, "max_chars": 2, "pattern": "..?"}, "ab", True),
        ({"max_chars": 3}, "", False),
        ({"max_chars": 3}, None, False),
        ({"pattern": ".*"}, "  ", False),
        ({"json_schema": SCHEMA}, '{"intent": "light", "slots": {"room": "hall"}}', True),
        ({"json_schema": SCHEMA}, '{"intent": "light", "slots": {"room": "hal"}}', False),
        ({"json_schema": SCHEMA}, '{"intent": "light", "when": "2026-02-30"}', False),
        ({"json_schema": SCHEMA}, '{"intent": "light", "tags": ["a", "a"]}', False),
        ({"json_schema": SCHEMA}, "intent: light", False),
        ({"json_schema": SCHEMA, "type": "yaml"}, "intent: light", True),
        ({"json_schema": SCHEMA, "type": "yaml"}, "intent: lite", False),
        ({"json_schema": {"type": "string"}}, '"text"', True),
    ],
)
def test_each_rule(holds, options, answer, right):
    assert holds(answer, **options) is right


@pytest.mark.parametrize(
    ("options", "answer", "note"),
    [
        (
            {"json_schema": SCHEMA},
            '{"intent": "light", "slots": {"room": "kitchn"}}',
            "$.slots.room: 'kitchn' is not one of ['kitchen', 'hall']",
        ),
        ({"json_schema": SCHEMA}, "{}", "$: 'intent' is a required property"),
        ({"json_schema": SCHEMA}, '{"intent": "light", "tags": ["a", 1]}', "$.tags[1]: 1 is not of type 'string'"),
        ({"json_schema": {"uniqueItems": True}}, "[1, true, 1.0]", "$: has an item twice"),
        (
            {"type": "json"},
            "{",
            "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        ({"type": "json"}, DEEP, "not JSON: nested too deeply"),
        ({"type": "yaml"}, DEEP, "not YAML: nested too deeply"),
        ({"type": "csv"}, "a,b\n1", "not CSV: row 2 has 1 columns, the first has 2"),
        ({"type": "xml"}, "<!DOCTYPE a><a/>", "not XML: a document type (DTD) is refused"),
        ({"pattern": "a+"}, "b\x1b[2J", "'b\\x1b[2J' does not match the pattern as a whole"),
        ({"allowed": ["a"]}, "b", "'b' is none of the allowed answers"),
        ({"max_chars": 3}, "a" * 1234, "1,234 characters, more than 3"),
        ({"max_chars": 3}, None, "no answer"),
        ({"max_chars": 3}, "abc", None),
    ],
)
def test_a_note_says_why(why, options, answer, note):
    assert why(answer, **options) == note


def test_notes_are_short_and_harmless(why):
    note = why(json.dumps({"intent": "\x1b[31m::error::" + "x" * 5000}), json_schema=SCHEMA)
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
        ("type json", (2,)),
        ("max_chars", (1,)),
        ("no answer", (1,)),
    )
    assert len(scored.notes) == 6
    assert scored.notes[5] is None
    assert metric.lenient() is None
    assert metric.kind == "right_wrong"


@NO_DEADLINE
@given(JSON)
def test_a_schema_holds_where_jsonschema_says_so(holds, value):
    validator = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    assert holds(json.dumps(value), json_schema=SCHEMA) is validator.is_valid(parse_json(json.dumps(value)))


LIKELY = st.fixed_dictionaries(
    {"intent": st.sampled_from(["light", "heat", "x"])},
    optional={
        "slots": st.dictionaries(st.sampled_from(["room", "level", "z"]), st.sampled_from(["hall", 1, -1, 1.0])),
        "when": st.sampled_from(["2026-01-02", "tomorrow", 3]),
        "tags": st.lists(st.sampled_from(["a", "b", 1]), max_size=4),
    },
)


@NO_DEADLINE
@given(LIKELY)
def test_a_schema_holds_where_jsonschema_says_so_of_nearly_right_answers(holds, value):
    validator = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    assert holds(json.dumps(value), json_schema=SCHEMA) is validator.is_valid(value)


@NO_DEADLINE
@given(st.lists(JSON, max_size=6))
def test_items_are_unique_where_jsonschema_says_so(holds, items):
    schema = {"type": "array", "uniqueItems": True}
    assert holds(json.dumps(items), json_schema=schema) is jsonschema.Draft202012Validator(schema).is_valid(items)


@NO_DEADLINE
@given(JSON, JSON)
def test_what_is_equal_has_equal_keys(a, b):
    assert (_hashable(a) == _hashable(b)) is json_equal(a, b, str)


@NO_DEADLINE
@given(st.text(max_size=200), st.sampled_from(["json", "yaml", "xml", "csv"]))
def test_no_text_crashes_a_type(holds, text, kind):
    assert holds(text, type=kind) in (True, False)


@pytest.mark.parametrize("kind", ["json", "yaml", "xml", "csv"])
@pytest.mark.parametrize(
    "answer",
    [
        "a" * 10_000_000,
        "[" * 100_000,
        DEEP,
        "{" * 100_000,
        "<a>" * 100_000,
        "<a>" * 100_000 + "</a>" * 100_000,
        "- " * 100_000,
        "a: " * 60_000,
        "\x00" * 1000,
        "\ud800",
        "1" * 1_000_000,
        '"' * 1_000_000,
        "&a [" * 40_000,
        '<!DOCTYPE l [<!ENTITY a "lol">'
        + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
        + "]><l>&j;</l>",
        "a: &a [x,x,x,x,x,x,x,x,x]\nb\n"
        + "\n".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    ],
    ids=lambda text: f"{text[:6]!a}x{len(text)}",
)
def test_hostile_answers_neither_hang_nor_crash(holds, kind, answer):
    assert holds(answer, type=kind) is (kind == "xml" and answer.startswith("<a>") and answer.endswith("</a>"))


def test_ten_megabytes_of_json_are_judged(holds):
    assert holds(json.dumps({"intent": "light", "x": "a" * 10_000_000}), json_schema=SCHEMA)
    numbers = json.dumps({"intent": "light", "tags": list(range(1_400_000))})
    assert not holds(numbers, json_schema=SCHEMA)
    objects = json.dumps([{"a": i} for i in range(100_000)])
    assert holds(objects, json_schema={"uniqueItems": True})


def test_nested_values_and_recursive_schemas_are_judged(holds, why):
    tree = {"$ref": "#/$defs/t", "$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}}
    assert holds("[[[]]]", json_schema=tree)
    assert why("[" * 900 + "]" * 900, json_schema=tree) in ("nested too deeply", "not JSON: nested too deeply")
    assert not holds("[]", json_schema={"$ref": "#"})


def test_numbers_beyond_all_floats_are_judged(holds):
    assert holds("1" + "0" * 400, json_schema={"multipleOf": 0.5}) in (True, False)


# --- how it is asked for -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "format has no rule\n  Give one or more of json_schema, pattern, type, allowed, max_chars."),
        (
            {"strip_code_fence": True},
            "format has no rule\n  Give one or more of json_schema, pattern, type, allowed, max_chars.",
        ),
        ({"json_shema": "a"}, "json_shema: format has no option 'json_shema'\n  Did you mean 'json_schema'?"),
        ({"type": "jsn"}, "type: type does not know 'jsn'\n  Did you mean 'json'?"),
        ({"type": ["json"]}, "type: type is a list\n  Write one of json, yaml, xml, csv."),
        ({"max_chars": 0}, "max_chars: max_chars is 0\n  Write a whole number above 0."),
        ({"max_chars": True}, "max_chars: max_chars is true\n  Write a whole number above 0."),
        ({"max_chars": "9"}, "max_chars: max_chars is text\n  Write a whole number above 0."),
        (
            {"min_chars": 5, "max_chars": 3},
            "min_chars: min_chars 5 is above max_chars 3: no answer can hold to both\n"
            "  Lower min_chars, or raise max_chars.",
        ),
        ({"allowed": "a"}, "allowed: allowed is text\n  Write a list of allowed answers."),
        ({"allowed": []}, "allowed: allowed is empty\n  Write a list of allowed answers."),
        (
            {"type": "json", "strip_code_fence": "yes"},
            "strip_code_fence: strip_code_fence is text\n  Write true or false.",
        ),
        (
            {"type": "xml", "json_schema": {"type": "object"}},
            "type: json_schema and type: xml are both given\n  A JSON Schema is for type: json or type: yaml.",
        ),
        (
            {"json_schema": {}},
            "json_schema: json_schema is empty\n  Write a JSON Schema as a mapping, or the path of its file.",
        ),
        (
            {"json_schema": True},
            "json_schema: json_schema is no mapping\n  Write a JSON Schema as a mapping, or the path of its file.",
        ),
        (
            {"json_schema": {"properties": {"a": {"type": "strng"}}}},
            "json_schema: json_schema is no valid JSON Schema: $.properties.a.type: 'strng' is not valid under any of "
            "the given schemas\n  Correct the schema.",
        ),
        (
            {"json_schema": {"properties": {"a": {"$ref": "https://example.org/a.json"}}}},
            "json_schema: json_schema refers to 'https://example.org/a.json', which is not in it\n"
            "  Nothing is fetched from a network or another file.\n  Put what it refers to under $defs.",
        ),
        (
            {"json_schema": {"$ref": "#/$defs/b", "$defs": {"a": {}}}},
            "json_schema: json_schema refers to '#/$defs/b', which is not in it\n"
            "  Nothing is fetched from a network or another file.\n  Put what it refers to under $defs.",
        ),
        (
            {"json_schema": {"$ref": "#/own", "own": {"items": {"$ref": "https://example.org/a.json"}}}},
            "json_schema: json_schema refers to 'https://example.org/a.json', which is not in it\n"
            "  Nothing is fetched from a network or another file.\n  Put what it refers to under $defs.",
        ),
        (
            {"json_schema": {"$schema": "http://json-schema.org/draft-03/schema#", "extends": {"$ref": "x"}}},
            "json_schema: json_schema is of a dialect that is not known here: $schema is "
            "'http://json-schema.org/draft-03/schema#'\n  Use https://json-schema.org/draft/2020-12/schema.",
        ),
        (
            {"json_schema": {"$schema": "https://example.org/own", "type": "object"}},
            "json_schema: json_schema is of a dialect that is not known here: $schema is "
            "'https://example.org/own'\n  Use https://json-schema.org/draft/2020-12/schema.",
        ),
    ],
)
def test_a_wrong_option_is_refused(refusal, options, text):
    found = refusal("format", (), **options)
    assert found == f"ftgate.yaml:14: {text}"


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


def test_a_schema_comes_from_a_file(build, refusal, holds, tmp_path):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(SCHEMA), encoding="utf-8")
    assert holds('{"intent": "light"}', json_schema=path)
    path.write_text("{", encoding="utf-8")
    assert f"json_schema: json_schema: {path} is not JSON: " in refusal("format", (), json_schema=path)
    path.write_text("[]", encoding="utf-8")
    assert f"json_schema: json_schema {path} is empty" in refusal("format", (), json_schema=path)
    path.write_text('{"type": "strng"}', encoding="utf-8")
    assert f"json_schema {path} is no valid JSON Schema: $.type: " in refusal("format", (), json_schema=path)
    missing = refusal("format", (), json_schema=tmp_path / "none.json")
    assert missing.endswith('none.json: no such file\n  did you mean "s.json"?')


def test_without_jsonschema_the_extra_is_named(refusal, build, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "jsonschema"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    assert refusal("format", (), json_schema=SCHEMA) == (
        "ftgate.yaml:14: json_schema: json_schema needs jsonschema, which is not installed\n"
        '  pip install "pytest-ftgate[format]"'
    )
    assert build("format", (), type="json").score(["x"], [["{}"]]).exact == 1
