"""Exact match: of text, and of JSON values."""

import json
from typing import Any

import pytest
from building import build
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.data import Example, expected_text

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DEEP = "[" * 100_000 + "]" * 100_000


def right(expected, answer, **options):
    """Return whether an answer is right where this is expected."""
    return build("exact_match", ("a",), **options).score([expected], [[answer]]).exact == 1


TEXTS = [  # expected, right answers, wrong answers
    ("yes", ["yes", " yes\n"], ["Yes", "yes.", '"yes"', "", None]),
    (" yes", ["yes"], []),
    ("a b", [], ["a  b"]),
    ("1", [], ["1.0"]),
    *((text, [text], []) for text in ("{not json", '{"a": 1, "a": 2}', "[NaN]")),
    (DEEP, [DEEP], ["[]"]),
]
VALUES = [
    ({"a": 1, "b": [2]}, ['{ "b": [2],\n "a": 1 }'], ['{"a": 1}']),
    ('{"a": 1, "b": [2]}', ['{"b": [2], "a": 1}'], []),
    ("[1, 2]", ["[1,2]"], ["[2, 1]", "[1, 1, 2]"]),
    ("\n[1, 2]", ["[1,2]"], ["[2, 1]"]),
    (
        {"a": 1},
        ['{"a": 1.0}'],
        ['{"a": 1, "b": 1}', '{"A": 1}', '{"a": "1"}', '{"a": 2, "a": 1}', "", None],
    ),
    (
        {"a": 1},
        ['```json\n{"a": 1}\n```'],
        ['{"a": 1} done', '{"a": 1', "[]", '```json {"a": 1}```'],
    ),
    ("x\ny", ["```\nx\ny\n```"], ["So:\n```\nx\ny\n```"]),
    ({"a": None}, ['{"a": null}'], ['{"a": 0}']),
    ({"a": 0}, [], ['{"a": null}']),
    ({"a": "x "}, [], ['{"a": "x"}']),
    ([True], ["[true]"], ["[1]"]),
    ([1], ["[1]"], ["[true]", "[1" + "0" * 5000 + "]", DEEP]),
    ([0], [], ["[false]"]),
    (True, ["true"], ["True"]),
    (1, [" 1.0 "], ["one"]),
    ({}, ["{}"], ["[]"]),
    ([float("nan")], [], ["[NaN]"]),
    (json.loads("[" * 100 + "]" * 100), ["[" * 100 + "]" * 100], ["[" * 101 + "]" * 101]),
    (json.loads("[" * 100 + "]" * 100), [], ["[" * 5001 + "]" * 5001]),
    ({"a": "\ud83d"}, ['{"a": "\\ud83d"}'], ['{"a": "\ufffd"}']),  # half a character
]


@pytest.mark.parametrize(
    ("expected", "rights", "wrongs"), [*TEXTS, *VALUES], ids=lambda value: repr(value)[:20]
)
def test_text_is_compared_as_text_and_json_by_value(expected, rights, wrongs):
    assert [answer for answer in (*rights, *wrongs) if right(expected, answer)] == rights


@given(JSON, JSON)
def test_equality_of_json_is_that_of_its_values_in_any_layout(a, b):
    if not isinstance(a, str):
        assert right(a, json.dumps(b)) is (canonical(a) == canonical(b))
    for layout in (
        ({"indent": 2}, {"separators": (",", ":"), "ensure_ascii": False})
        if isinstance(a, dict | list)
        else ()
    ):
        assert right(a, json.dumps(a, **layout))
        assert right(json.dumps(a), json.dumps(a, **layout))


def canonical(value):
    """Return a value that Python's own equality compares as JSON does: true is not 1."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, dict):
        return {key: canonical(inner) for key, inner in value.items()}
    return [canonical(inner) for inner in value] if isinstance(value, list) else value


@given(JSON, st.text(max_size=30))
def test_no_answer_crashes(expected, answer):
    assert right(expected, answer) in (True, False)


def test_normalize_applies_to_text_and_inside_json_to_values_but_not_to_keys():
    assert right("Straße", "“STRASSE”.", normalize=["case", "punctuation"])
    assert not right("Straße", "“STRASSE”.", normalize="case")
    assert not right("?", " ", normalize="punctuation")
    assert right({"city": "Bonn"}, '{"city": "BONN"}', normalize="case")
    assert not right({"city": "Bonn"}, '{"CITY": "bonn"}', normalize="case")


OBJECTS = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


@pytest.mark.parametrize(
    ("expected", "well_formed", "malformed"),
    [
        (
            OBJECTS,
            ['{"a": 9}', '{"b": "y", "c": 1}', '{"a": "1", "b": null}'],
            ['{"a": "1"}', '{"c": 1}', "{}", "[]", "1"],
        ),
        ([{}, {"a": 1}], ["{}", '{"a": 1}'], ['{"b": 1}']),
        ([[1], [2]], ["[]", '["x", {}]'], ["{}", "1, 2"]),
        (
            [[{"a": 1}], [{"a": 2, "b": "x"}]],
            ["[]", '[{"a": 9}, {"c": 1}]'],
            ['[{"A": 1}]', '[{"a": "1"}]', '{"a": 1}'],
        ),
        (["yes", "no"] * 2, ["yes", "maybe"], ["Yes", "yes.", "error"]),
        ([1, 2, "3", 4.5], ["1", "1.0", "7", "$8"], ["one", "1 or 2", "null"]),
        (["1", "x"] * 2, ["1", "x"], ["2"]),
        (["yes", "no", "perhaps"], ["Yes", "anything"], []),
    ],
    ids=str,
)
def test_the_form_of_an_output_is_that_of_json_or_of_few_outputs(expected, well_formed, malformed):
    examples = [Example(f"t{i}", f"input {i}", value) for i, value in enumerate(expected)]
    texts = tuple(sorted(set(map(expected_text, expected))))
    metric = build("exact_match", texts, known=("maybe",), examples=examples)
    assert [
        answer for answer in (*well_formed, *malformed) if metric.malformed(answer)
    ] == malformed


@pytest.mark.parametrize(
    ("expected", "answer", "adds"),
    [
        ("42", "The answer is 42.", True),
        ("42", "#### 42", True),
        ("Paris", "it is paris, I think", True),
        ("a = b", "Use a = b here", True),
        ("a = b", "a > b", False),
        ("42", "142", False),
        ("42", "42", False),
        ("\u8fd4\u91d1", "\u3053\u308c\u306f\u8fd4\u91d1\u3067\u3059", True),
        ("one two", "one\n two three", True),
        ("one two", "two one", False),
    ],
)
def test_free_text_that_contains_the_output_as_words_and_more(expected, answer, adds):
    assert build("exact_match", (expected, "x", "y", "z w")).adds_words(expected, answer) is adds


@pytest.mark.parametrize(
    ("expected", "answer", "right", "malformed"),
    [
        (("12.50", "13"), "$12.50", True, False),
        (("12.50", "13"), "12.5 %", True, False),
        (("12.50", "13"), "１２.５", True, False),
        (("12.50", "13"), "```\n12.5\n```", True, False),
        (("12.50", "13"), "12.51", False, False),
        (("12.50", "13"), "It is 12.50", False, True),
        (("0.1", "3"), "0.10000000000000000001", False, False),
        ((1200, 3), "1,200", True, False),
        (("00417", "12"), "417", False, False),
        (("1.1", "1.10"), "1.10", False, False),
        (("1.0", "1", "2"), "1.00", False, False),
        (("1", "2", "1", "2"), "3", False, False),
    ],
)
def test_numbers_are_compared_as_numbers_but_codes_and_versions_as_text(
    expected: tuple[Any, ...], answer: str, right: bool, malformed: bool
) -> None:
    metric = build("exact_match", expected)
    scored = metric.score(expected[:1], [[answer]])
    assert (scored.value == 1, metric.malformed(answer)) == (right, malformed)
