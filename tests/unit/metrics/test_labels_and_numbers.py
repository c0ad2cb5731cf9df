"""Several labels for one example, and numbers: which answers are right, and how near the others are."""

import json

import pytest
from building import build
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from pytest_ftgate.checks.constant_baseline import best_constant

SETS = st.lists(st.sampled_from("abcd"), max_size=4, unique=True)


@pytest.mark.parametrize(
    ("expected", "answer", "options", "value"),
    [
        *(
            (["billing", "refund"], answer, {}, 1)
            for answer in ('["refund", "billing"]', "Refund, billing.")
        ),
        ("billing, refund", '["refund"]', {}, 2 / 3),
        ("billing; refund", "refund;billing", {"separator": ";"}, 1),
        (["billing", "refund"], "billing\nrefund", {"separator": "\n"}, 1),
        (["a", "b"], "a, b, c", {}, 0.8),
        (["a"], "A", {"normalize": []}, 0),
        *(
            (expected, answer, {}, 1)
            for expected, answer in ((["a"], "a, a"), ([1, True], "1, true"), ([], "[]"))
        ),
        *((["a"], answer, {}, 0) for answer in (None, "", " ", "[]", '{"a": 1}', '[["a"]]')),
        ([], "a", {}, 0),
    ],
)
def test_labels_are_compared_as_sets(expected, answer, options, value):
    text = expected if isinstance(expected, str) else json.dumps(expected)
    for name, score in (("labels_f1", value), ("labels_exact", float(value == 1))):
        assert build(name, (text,), **options).score([expected], [[answer]]).value == pytest.approx(
            score
        )


@given(st.lists(st.tuples(SETS, SETS), min_size=1, max_size=9))
def test_labels_f1_is_that_of_scikit_learn(pairs):
    expected, answers = (
        [expected_value for expected_value, _ in pairs],
        [json.dumps(answer) for _, answer in pairs],
    )
    coded = MultiLabelBinarizer(classes=list("abcd")).fit(["abcd"])
    gold, answer_codes = coded.transform(expected), coded.transform([answer for _, answer in pairs])
    theirs = f1_score(gold, answer_codes, average="samples", zero_division=1.0)
    scored = build("labels_f1", tuple(map(json.dumps, expected))).score(expected, [answers])
    assert scored.value == pytest.approx(theirs)


EXACT, FIELD = {"tolerance": 0}, {"tolerance": 0, "json_field": "total"}


@pytest.mark.parametrize(
    ("expected", "options", "rights", "wrongs"),
    [
        (3, EXACT, ["3", "3.0", " 3 ", "$3", "€ 3.00", "3 %", "3e0", "3."], []),
        (3, EXACT, [], ["three", "3 apples", "2 3", "", None, "nan", "inf", "-"]),
        (1200, EXACT, ["1,200"], ["1,20"]),
        (1.0, {"tolerance": 0.1}, ["1.1"], ["1.11"]),
        (-200, {"relative": 0.01}, ["-198"], ["-197.9"]),
        ("18", {**EXACT, "pattern": r"(\d+)$"}, ["It is 18 in all. #### 18"], []),
        ("18", FIELD, ['{"total": 18}'], ["18"]),
        ('{"total": 18}', FIELD, ['{"total": 18.0}'], []),
        (1, {"tolerance": 1}, [], ["1" * 100_000, "1e999999999"]),
    ],
)
def test_a_number_is_right_within_its_tolerance(expected, options, rights, wrongs):
    metric = build("within", (str(expected),), **options)
    values = [metric.score([expected], [[answer]]).value for answer in (*rights, *wrongs)]
    assert values == [1] * len(rights) + [0] * len(wrongs)


def test_an_absolute_error_counts_up_to_its_cap():
    metric = build("absolute_error", ("1", "4"), cap=5)
    scored = metric.score([1, 4], [["1.5", "no idea"], ["7", "-1e300"]])
    assert scored.per_example.tolist() == [2.75, 5]
    assert (metric.low, metric.high, metric.worst) == (0, 5, 5)


@pytest.mark.parametrize(
    ("name", "expected", "options", "answer", "value"),
    [
        ("absolute_error", [1, 1, 2, 8, 9], {"cap": 9}, "2.0", 3.0),
        ("within", [1, 2, 3, 4, 4.5], {"tolerance": 1}, "3.0", 0.6),
        ("labels_exact", ["a, b", "b, a", "a", "c"], {}, "a, b", 0.5),
    ],
)
def test_the_constant_to_beat_is_the_median_or_the_most_frequent_set(
    name, expected, options, answer, value
):
    constant = best_constant(build(name, tuple(map(str, expected)), **options), expected)
    assert (constant.answer, constant.value) == (answer, pytest.approx(value))


@pytest.mark.parametrize(
    ("name", "options", "well_formed", "malformed"),
    [
        (
            "labels_f1",
            {},
            ["a, b", '["c"]', "[]", "D", "```\na\n```"],
            ["x", "a, x", "a and b", '{"a": 1}', "", None],
        ),
        ("labels_exact", {"separator": ";"}, ["a;b"], ["a,b"]),
        (
            "within",
            EXACT,
            ["3", "-1.5", "$1,200", "```\n7\n```"],
            ["3 apples", "3-9", "3/4", "1 of 2", "nan", ""],
        ),
        ("within", FIELD, ['{"total": 9}'], ["9", '{"sum": 9}']),
        ("absolute_error", {"cap": 9}, ["9"], ["nine", "It is 9."]),
    ],
)
def test_what_is_no_list_of_labels_or_no_number_is_malformed(name, options, well_formed, malformed):
    expected = ("a, b", "c") if name.startswith("labels") else ("1", "2")
    if "separator" in options:
        expected = ("a; b", "c")
    metric = build(name, expected, known=("d",) if name.startswith("labels") else (), **options)
    assert [
        answer for answer in (*well_formed, *malformed) if metric.malformed(answer)
    ] == malformed
