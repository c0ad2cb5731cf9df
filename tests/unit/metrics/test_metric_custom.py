"""Metrics of one's own."""

import re
from fractions import Fraction

import numpy as np
import pytest

from pytest_ftgate.errors import ConfigError, MetricError, shown_path
from pytest_ftgate.metrics import CustomMetric, metric

HERE = shown_path(__file__)
CURE = "  Decorate it with @pytest_ftgate.metric(low=0, high=1, greater_is_better=True)."


@metric(low=0, high=10, greater_is_better=False)
def distance(expected, answer):
    """How far the answer's length is off.

    More text.
    """
    return abs(len(expected) - len(answer))


def returning(value, **declared):
    """A metric that gives this value for every answer."""
    declaration = {"low": 0, "high": 1, "greater_is_better": True} | declared
    return CustomMetric("mine", lambda expected, answer: value, **declaration)


def failure(built, expected=("a", "b"), answers=(("a", "b"),)):
    with pytest.raises(MetricError) as caught:
        built.score(expected, answers)
    return str(caught.value)


def test_the_decorator_declares_a_metric_that_can_still_be_called():
    assert (distance.name, distance.low, distance.high, distance.greater_is_better) == ("distance", 0, 10, False)
    assert distance.description == "How far the answer's length is off."
    assert distance("abc", "a") == 2
    assert metric(low=0, high=1, greater_is_better=True, name="short")(len).name == "short"


def test_a_custom_metric_scores_each_example_under_the_name_of_the_mapping(build):
    built = build("off_by", custom={"off_by": distance})
    assert (built.name, built.kind, built.low, built.high) == ("off_by", "graded", 0, 10)
    assert (built.greater_is_better, built.uses_labels, built.lenient()) == (False, False, None)
    scored = built.score(["aaa", "b"], [["a", "b"], ["aa", "bbbb"]])
    assert scored.per_example.tolist() == [1.5, 1.5]
    assert (scored.value, scored.exact, scored.statistic, scored.n_unknown) == (1.5, None, None, 0)


def test_a_metric_that_a_marker_holds_goes_before_one_of_a_hook(build):
    built = build("distance", custom={"distance": returning(1)}, function=distance)
    assert built.declared is distance


def test_the_function_gets_what_is_expected_and_the_answer_as_they_are(build):
    seen = []
    spy = metric(low=0, high=1, greater_is_better=True)(lambda expected, answer: seen.append((expected, answer)) or 1)
    build("spy", custom={"spy": spy}).score([{"a": 1}, "b"], [[" x\n", "y"]])
    assert seen == [({"a": 1}, " x\n"), ("b", "y")]


@pytest.mark.parametrize(("greater_is_better", "worst"), [(True, -1), (False, 5)])
def test_no_answer_has_the_worst_score(build, greater_is_better, worst):
    mine = returning(2, low=-1, high=5, greater_is_better=greater_is_better)
    assert build("mine", custom={"mine": mine}).score(["a", "b"], [["a", None]]).per_example.tolist() == [2, worst]


@pytest.mark.parametrize(
    "value", [1, 1.0, True, Fraction(1), np.float32(1), np.int64(1), np.bool_(True), 1 + 1e-12], ids=repr
)
def test_any_real_number_is_a_score(build, value):
    assert build("mine", custom={"mine": returning(value)}).score(["a"], [["a"]]).value == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5, which is not between 0 and 1, for test_set[0]"),
        (-0.1, "-0.1, which is not between 0 and 1, for test_set[0]"),
        (float("nan"), "nan, which is not between 0 and 1, for test_set[0]"),
        (10**400, "inf, which is not between 0 and 1, for test_set[0]"),
        (Fraction(-(10**400)), "-inf, which is not between 0 and 1, for test_set[0]"),
        (float("inf"), "inf, which is not between 0 and 1, for test_set[0]"),
        (None, "null where a number is needed, for test_set[0]"),
        ("1", "text where a number is needed, for test_set[0]"),
        ([1], "a list where a number is needed, for test_set[0]"),
        (1j, "a value of type complex where a number is needed, for test_set[0]"),
        (np.array([1.0]), "a value of type ndarray where a number is needed, for test_set[0]"),
    ],
    ids=str,
)
def test_a_score_that_breaks_the_declaration_is_an_error(build, value, text):
    assert failure(build("mine", custom={"mine": returning(value)})) == (
        f"the metric mine returned {text}\n  Mend the metric's function, or state its range as it is."
    )


def test_an_exception_is_an_error_that_names_the_example(build):
    table = {"a": 1}
    mine = CustomMetric("mine", lambda expected, answer: table[answer], 0, 1, True)
    built = build("mine", custom={"mine": mine})
    line = mine.score.__code__.co_firstlineno
    assert failure(built) == (
        f"the metric mine raised KeyError for test_set[1]\n  KeyError: 'b' ({HERE}:{line})\n  Mend the metric's function."  # noqa: E501
    )
    with pytest.raises(MetricError) as caught:
        built.score(["a", "b"], [["a", "b"]])
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_long_exception_is_cut_to_one_line(build):
    def mine(expected, answer):
        raise ValueError("first\nsecond " + "x" * 500)

    text = failure(build("mine", custom={"mine": CustomMetric("mine", mine, 0, 1, True)}))
    _, evidence, cure = text.splitlines()
    assert evidence.startswith("  ValueError: first second xxx")
    assert f"xxx... ({HERE}:" in evidence
    assert len(evidence) < 300
    assert cure == "  Mend the metric's function."


@pytest.mark.parametrize("escape", [pytest.skip.Exception("not today"), SystemExit(0), pytest.exit.Exception("bye")])
def test_no_metric_excuses_a_gate_from_judgement(build, escape):
    def mine(expected, answer):
        raise escape

    text = failure(build("mine", custom={"mine": CustomMetric("mine", mine, 0, 1, True)}))
    assert text.startswith(f"the metric mine raised {type(escape).__name__} for test_set[0]\n")


def test_ctrl_c_passes(build):
    def mine(expected, answer):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build("mine", custom={"mine": CustomMetric("mine", mine, 0, 1, True)}).score(["a"], [["a"]])


def test_a_right_wrong_metric_has_an_exact_value(build):
    mine = metric(low=0, high=1, greater_is_better=True, right_wrong=True)(lambda expected, answer: expected == answer)
    built = build("mine", custom={"mine": mine})
    scored = built.score(["a", "b", "c"], [["a", "x", None]])
    assert (built.kind, scored.exact) == ("right_wrong", Fraction(1, 3))
    assert scored.per_example.tolist() == [1, 0, 0]


def test_a_right_wrong_metric_knows_nothing_between(build):
    built = build("mine", custom={"mine": returning(0.5, right_wrong=True)})
    assert failure(built).startswith("the metric mine returned 0.5 where right is 1 and wrong is 0, for test_set[0]\n")


def test_scores_of_0_and_1_alone_do_not_make_a_metric_right_wrong(build):
    built = build("mine", custom={"mine": returning(1)})
    assert built.kind == "graded"
    assert built.score(["a"], [["a"]]).exact is None


async def later(expected, answer):
    return 1.0


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({"score": "len"}, "has no function to score with, but text"),
        ({"score": later}, "is async: a metric must be a plain function"),
        ({"low": 1, "high": 1}, "has no range: low is 1 and high is 1"),
        ({"low": 1, "high": 0}, "has no range: low is 1 and high is 0"),
        ({"high": 1e300}, "has a range that goes farther than 1e+12 from 0"),
        ({"high": float("inf")}, "has no range: low is 0 and high is inf"),
        ({"low": float("nan")}, "has no range: low is nan and high is 1"),
        ({"low": None}, "has no range: low is None and high is 1"),
        ({"high": True}, "has no range: low is 0 and high is True"),
        ({"greater_is_better": None}, "has no direction: greater_is_better is None"),
        (
            {"right_wrong": True, "high": 2},
            "is right_wrong, so it must go from low=0 to high=1 with greater_is_better=True",
        ),
        (
            {"right_wrong": True, "greater_is_better": False},
            "is right_wrong, so it must go from low=0 to high=1 with greater_is_better=True",
        ),
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused(declared, problem):
    usable = {"name": "mine", "score": len, "low": 0, "high": 1, "greater_is_better": True}
    with pytest.raises(ConfigError, match=f"^{re.escape(f'the metric mine {problem}')}\n{re.escape(CURE)}$"):
        CustomMetric(**usable | declared)


def test_a_bare_function_states_neither_range_nor_direction(refusal):
    text = f"ftgate.yaml:14: the metric mine does not state its range and direction\n{CURE}"
    assert refusal("mine", custom={"mine": len}) == text
    assert refusal("mine", function=len) == text


def test_what_is_no_function_is_refused(refusal):
    assert refusal("mine", custom={"mine": 3}) == f"ftgate.yaml:14: the metric mine is a number\n{CURE}"


def test_a_metric_of_ones_own_has_no_options(refusal):
    assert refusal("mine", custom={"mine": returning(1)}, normalize="case") == (
        "ftgate.yaml:14: normalize: mine has no option 'normalize'\n  One's own metrics have none."
    )
