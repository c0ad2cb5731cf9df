"""The one reader of JSON: what readers disagree about is refused, and more where others must read it again."""

import json

import pytest

from pytest_ftgate.data.strict_json import MOST_NESTED, JsonError, parse_json


def nested(levels):
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, null, true, "\\u00e4"]}', '"text"', "3", " [] "])
@pytest.mark.parametrize("portable", [False, True])
def test_any_value_is_read_as_python_reads_it(text, portable):
    assert parse_json(text, portable=portable) == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[1] [2]", "nul"])
def test_what_is_no_json_tells_its_position(text):
    with pytest.raises(json.JSONDecodeError) as caught:
        parse_json(text)
    assert 0 <= caught.value.pos <= len(text)


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("NaN", None),
        ("[-Infinity]", None),
        ('{"a": {"b": 1, "c": 2, "b": 1}}', "b"),
        ("9" * 5000, None),
        (nested(100_000), None),
    ],
)
def test_what_readers_disagree_about_is_refused(text, key, portable):
    with pytest.raises(JsonError) as caught:
        parse_json(text, portable=portable)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e999", float("inf")),
        ('"\\ud83d"', "\ud83d"),
        ('{"\\uDE00": 1}', {"\ude00": 1}),
        (nested(MOST_NESTED + 1), None),
    ],
)
def test_an_answer_may_hold_what_a_row_may_not(text, value):
    assert value is None or parse_json(text) == value
    parse_json(text)
    with pytest.raises(JsonError):
        parse_json(text, portable=True)
    parse_json(nested(MOST_NESTED), portable=True)
