"""Exact match: of text, and of JSON values."""

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

NO_DEADLINE = settings(deadline=None)  # the first example imports numpy
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CONTAINERS = JSON.filter(lambda value: isinstance(value, dict | list))
DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture(scope="session")
def right(build):
    """Whether an answer is right where this is expected."""

    def right(expected, answer, **options):
        return build("exact_match", ("a",), **options).score([expected], [[answer]]).exact == 1

    return right


@pytest.mark.parametrize(
    ("expected", "answer", "is_right"),
    [
        ("yes", "yes", True),
        ("yes", " yes\n", True),
        (" yes", "yes", True),
        ("yes", "Yes", False),
        ("yes", "yes.", False),
        ("a b", "a  b", False),
        ("yes", '"yes"', False),
        ("1", "1.0", False),
        ("yes", "", False),
        ("yes", None, False),
        ("{not json", "{not json", True),
        ('{"a": 1, "a": 2}', '{"a": 1, "a": 2}', True),
        ("[NaN]", "[NaN]", True),
        (DEEP, DEEP, True),
        (DEEP, "[]", False),
    ],
)
def test_text_is_compared_as_text(right, expected, answer, is_right):
    assert right(expected, answer) is is_right


@pytest.mark.parametrize(
    ("expected", "answer", "is_right"),
    [
        ({"a": 1, "b": [2]}, '{ "b": [2],\n "a": 1 }', True),
        ('{"a": 1, "b": [2]}', '{"b": [2], "a": 1}', True),
        ("[1, 2]", "[1,2]", True),
        ([1, 2], "[2, 1]", False),
        ([1], "[1, 1]", False),
        ({"a": 1}, '{"a": 1.0}', True),
        ({"a": 1}, '{"a": 1, "b": 1}', False),
        ({"a": 1, "b": 1}, '{"a": 1}', False),
        ({"a": 1}, '{"A": 1}', False),
        ({"a": "1"}, '{"a": 1}', False),
        ({"a": None}, '{"a": null}', True),
        ({"a": None}, '{"a": 0}', False),
        ({"a": 0}, '{"a": null}', False),
        ({"a": "x "}, '{"a": "x"}', False),
        ([True], "[1]", False),
        ([1], "[true]", False),
        ([0], "[false]", False),
        (True, "true", True),
        (True, "True", False),
        (1, " 1.0 ", True),
        (1, "one", False),
        ({}, "[]", False),
        ([], "[]", True),
        ({"a": 1}, '{"a": 2, "a": 1}', False),
        ({"a": 1}, '```json\n{"a": 1}\n```', False),
        ({"a": 1}, '{"a": 1} done', False),
        ({"a": 1}, '{"a": 1', False),
        ({"a": 1}, "", False),
        ({"a": 1}, None, False),
        ([float("nan")], "[NaN]", False),
        ([float("inf")], "[Infinity]", False),
        ([float("inf")], "[1e999]", False),
        ([1], "[1" + "0" * 5000 + "]", False),
        ([1], DEEP, False),
    ],
)
def test_json_is_compared_by_value(right, expected, answer, is_right):
    assert right(expected, answer) is is_right


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def test_values_too_deep_to_compare_are_wrong_not_a_crash(right):
    assert right(nested(100_000), "[]") is False
    assert right(nested(200), "[" * 201 + "]" * 201) is True
    assert right(nested(5000), "[" * 5001 + "]" * 5001) is False


@NO_DEADLINE
@given(CONTAINERS)
def test_a_json_value_equals_its_own_text_in_any_layout(right, value):
    for layout in ({"indent": 2}, {"separators": (",", ":")}, {"sort_keys": True}, {"ensure_ascii": False}):
        assert right(value, json.dumps(value, **layout))
        assert right(json.dumps(value), json.dumps(value, **layout))


@NO_DEADLINE
@given(JSON.filter(lambda value: not isinstance(value, str)), JSON)
def test_equality_of_json_is_that_of_its_values(right, a, b):
    same = canonical(a) == canonical(b)
    assert right(a, json.dumps(b)) is same


def canonical(value):
    """A value that Python's own equality compares as JSON does: true is not 1."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, dict):
        return {key: canonical(inner) for key, inner in value.items()}
    return [canonical(inner) for inner in value] if isinstance(value, list) else value


@NO_DEADLINE
@given(JSON, st.text(max_size=30))
def test_no_answer_crashes(right, expected, answer):
    assert right(expected, answer) in (True, False)


def test_normalize_applies_to_text(right):
    assert right("Straße", "“STRASSE”.", normalize=["case", "punctuation"])
    assert not right("Straße", "“STRASSE”.", normalize="case")
    assert not right("?", " ", normalize="punctuation")


def test_normalize_applies_to_text_values_inside_json_and_not_to_keys(right):
    assert right({"city": "Bonn"}, '{"city": "BONN"}', normalize="case")
    assert not right({"city": "Bonn"}, '{"CITY": "bonn"}', normalize="case")


def test_repeats_are_averaged_within_the_example(build):
    scored = build("exact_match").score(["a", "b"], [["a", "b"], ["a", "c"], ["a", None]])
    assert scored.exact == Fraction(4, 6)
    assert scored.value == 4 / 6
    assert scored.per_example.tolist() == [1, 1 / 3]
    assert (scored.n_unknown, scored.statistic) == (0, None)


def test_lenient_forgives_case_and_punctuation(build):
    metric = build("exact_match")
    answers = [["A.", "B", "c"]]
    assert metric.score(["a", "b", "c"], answers).exact == Fraction(1, 3)
    assert metric.lenient().score(["a", "b", "c"], answers).exact == 1
    assert metric.lenient().lenient() is None
