"""Metrics of one's own."""

from fractions import Fraction
from unittest.mock import Mock

import numpy as np
import pytest
from building import build, failure

from pytest_ftgate.errors import ConfigError, shown_path
from pytest_ftgate.metrics import CustomMetric, metric

HERE = shown_path(__file__)


@metric(low=0, high=10, greater_is_better=False)
def distance(expected, answer):
    return abs(len(expected) - len(answer))


def returning(value, **declared):
    """Return a metric that gives this value for every answer."""
    declaration = {"low": 0, "high": 1, "greater_is_better": True} | declared
    return CustomMetric("mine", lambda expected, answer: value, **declaration)


def test_a_custom_metric_can_be_called_and_scores_each_example_under_the_name_of_the_mapping():
    assert distance.name == "distance"
    assert distance("abc", "a") == 2
    named = metric(low=0, high=1, greater_is_better=True, name="short")
    assert named(len).name == "short"

    built = build("off_by", custom={"off_by": distance})
    assert (built.name, built.kind, built.low, built.high) == ("off_by", "graded", 0, 10)
    assert (built.greater_is_better, built.uses_labels) == (False, False)
    scored = built.score(["aaa", "b"], [["a", "b"], ["aa", "bbbb"]])
    assert scored.per_example.tolist() == [1.5, 1.5]
    assert (scored.value, scored.exact, scored.statistic) == (1.5, None, None)
    of_a_marker = build("distance", custom={"distance": returning(1)}, function=distance)
    assert of_a_marker.score(["aaa"], [["a"]]).value == 2


def test_the_function_gets_copies_of_what_is_expected_and_the_answers_as_they_are():
    inputs_read, rows = [], [{"items": [1, 2]}, "b"]

    def spoil(expected, answer):
        inputs_read.append((str(expected), answer))
        if isinstance(expected, dict):
            expected["items"].clear()
        return 1

    spoiling = build(
        "spoil", custom={"spoil": metric(low=0, high=1, greater_is_better=True)(spoil)}
    )
    assert spoiling.score(rows, [[" x\n", "y"], ["z", ""]]).value == 1
    assert inputs_read == [
        (str(row), answer) for answer, row in zip([" x\n", "y", "z", ""], rows * 2, strict=True)
    ]
    assert rows == [{"items": [1, 2]}, "b"]


@pytest.mark.parametrize(("greater_is_better", "worst"), [(True, -1), (False, 5)])
def test_no_answer_has_the_worst_score(greater_is_better, worst):
    mine = returning(2, low=-1, high=5, greater_is_better=greater_is_better)
    assert build("mine", custom={"mine": mine}).score(
        ["a", "b"], [["a", None]]
    ).per_example.tolist() == [2, worst]


@pytest.mark.parametrize(
    "value",
    [1, 1.0, True, Fraction(1), np.float32(1), np.int64(1), np.bool_(True), 1 + 1e-12],
    ids=repr,
)
def test_any_real_number_is_a_score(value):
    built = build("mine", custom={"mine": returning(value)})
    scored = built.score(["a"], [["a"]])
    assert (built.kind, scored.exact, scored.value) == ("graded", None, 1)
    built = build("mine", custom={"mine": returning(min(value, 1), right_wrong=True)})
    scored = built.score(["a", "b", "c"], [["a", "x", None]])
    assert (built.kind, scored.exact, scored.per_example.tolist()) == (
        "right_wrong",
        Fraction(2, 3),
        [1, 1, 0],
    )


@pytest.mark.filterwarnings("error")
def test_a_number_of_numpy_is_compared_with_a_range_that_its_type_does_not_hold():
    mine = returning(np.float16(7), high=1e6)
    assert build("mine", custom={"mine": mine}).score(["a"], [["a"]]).value == 7


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *(
            (value, [f"{value}", "from 0 to 1"])
            for value in (1.5, -0.1, float("nan"), float("inf"))
        ),
        *(
            (value, [text, "from 0 to 1"])
            for value, text in ((10**400, "1000"), (Fraction(-(10**400)), "Fraction"))
        ),
        *(
            (value, [word])
            for value, word in ((None, "None"), ("1", "'1'"), ([1], "[1]"), (1j, "1j"))
        ),
        (np.array([1.0]), ["array"]),
        (0.5, ["0.5", "1 (right) or 0 (wrong)"]),
    ],
    ids=str,
)
def test_a_score_that_breaks_the_declaration_is_an_error(value, words):
    mine = returning(value, right_wrong=value == 0.5)
    error = failure(build("mine", custom={"mine": mine}), "ab", "ab")
    assert error.example == 0
    assert all(word in error.what for word in ("mine", *words))


def test_an_exception_is_an_error_that_names_the_example_and_the_line():
    table = {"a": 1}
    mine = CustomMetric("mine", lambda expected, answer: table[answer], 0, 1, True)
    error = failure(build("mine", custom={"mine": mine}), "ab", "ab")
    assert error.example == 1
    assert "raised KeyError: 'b' (" in error.what
    assert f"{HERE}:{mine.score.__code__.co_firstlineno}" in error.what
    assert isinstance(error.__cause__, KeyError)
    interrupted = metric(low=0, high=1, greater_is_better=True)(Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build("mine", function=interrupted).score(["a"], [["a"]])


async def later(expected, answer):
    return 1.0


@pytest.mark.parametrize(
    ("declared", "word"),
    [
        ({"score": "len"}, "text"),
        ({"score": later}, "async"),
        *(({"low": 1, "high": high}, f"high={high}") for high in (1, 0)),
        *(({"high": high}, "1e+12") for high in (1e300, 10**400)),
        ({"high": float("inf")}, "inf"),
        *(({"low": low}, str(low)) for low in (float("nan"), None)),
        ({"greater_is_better": None}, "greater_is_better"),
        ({"right_wrong": True, "high": 2}, "right_wrong"),
        ({"right_wrong": True, "greater_is_better": False}, "right_wrong"),
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused(declared, word):
    usable = {"name": "mine", "score": len, "low": 0, "high": 1, "greater_is_better": True}
    with pytest.raises(ConfigError) as caught:
        CustomMetric(**usable | declared)
    assert word in caught.value.what
