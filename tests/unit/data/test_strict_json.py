"""The one reader of JSON: what readers disagree about is refused, and more where others must read it again."""

import pytest

from pytest_ftgate.data.strict_json import MOST_NESTED, JsonError, parse_json


def nested(levels):
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("text", ["[-Infinity]", '{"a": {"b": 1, "b": 1}}', "9" * 5000, nested(100_000)])
def test_what_readers_disagree_about_is_refused_in_an_answer_too(text):
    with pytest.raises(JsonError):
        parse_json(text)


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
