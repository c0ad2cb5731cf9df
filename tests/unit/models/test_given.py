"""Answers that are given in Python, in place of a model that is asked."""

import numpy as np
import pytest
from gate_project import Project, label, mentions, passed, stopped

from pytest_ftgate import judge
from pytest_ftgate.data import examples_from

TEST = [{"input": f"customer asks {i:x} times {i * i:x}", "expected": label(i)} for i in range(60)]
TRAINING = [{"input": f"training {i:x} of {i * i:x}", "expected": label(i)} for i in range(220)]
RIGHT = [row["expected"] for row in TEST]
WEAK = [*RIGHT[:40], *["refund"] * 20]
KEYS = {"test_set": TEST, "training_set": TRAINING, "metric": "accuracy", "margin": 0.05}
IDS = [example.id for example in examples_from(TEST, origin="test")]


def series(library, values):
    return pytest.importorskip(library).Series(values)


GIVEN = {
    "a list": lambda values: values,
    "a tuple": tuple,
    "an array": np.array,
    "a series of pandas": lambda values: series("pandas", values),
    "a series of polars": lambda values: series("polars", values),
    "a dict by id": lambda values: dict(zip(IDS, values, strict=True)),
}


@pytest.mark.parametrize("form", GIVEN)
def test_answers_are_models(form):
    given = GIVEN[form]
    result = judge(baseline=given(WEAK), candidate=given(RIGHT), **KEYS)
    assert result.verdict == "pass"
    assert (result.baseline.value, result.candidate.value) == (46 / 60, 1)


@pytest.mark.parametrize("form", ["a list", "a dict by id"])
def test_several_baselines_may_be_given(form):
    given = GIVEN[form]
    live = {"model": given(RIGHT), "max_drop": 0.1}
    result = judge(baselines={"prompt": given(WEAK), "live": live}, candidate=given(RIGHT), **KEYS)
    assert set(result.gains) == {"prompt", "live"}
    assert result.gains["prompt"].gain == pytest.approx(14 / 60)


def test_a_dict_of_columns_is_a_data_set():
    data = {
        "test_set": {"text": np.array([row["input"] for row in TEST]), "label": RIGHT},
        "training_set": {
            "text": [row["input"] for row in TRAINING],
            "label": [row["expected"] for row in TRAINING],
        },
    }
    result = judge(baseline=WEAK, candidate=RIGHT, **{**KEYS, **data})
    assert (result.verdict, result.n) == ("pass", 60)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (RIGHT[:59], "59 answers for 60 test examples"),
        ([*RIGHT[:7], float("nan"), *RIGHT[8:]], "list[7] is missing: nan"),
        ([*RIGHT[:7], None, *RIGHT[8:]], "list[7] is missing: null"),
        (list(range(60)), "list[0] is 0, the number of a label"),
        (np.ones((60, 3)), "ndarray[0] returned 3 numbers"),
        (dict.fromkeys(IDS[:50], "refund"), "no answer for 10 of 60 test examples"),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_which(given, words):
    result = judge(baseline=WEAK, candidate=given, **KEYS)
    assert result.verdict == "error"
    assert words in result.checks[-1].message
    assert "candidate" in result.checks[-1].message
    assert result.checks[-1].cure


def test_a_series_needs_the_index_of_the_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(TEST, index=range(100, 160))
    keys = {**KEYS, "test_set": frame}
    tuned = pandas.Series(RIGHT, index=frame.index)
    weak = pandas.Series(WEAK, index=frame.index)
    assert judge(baseline=weak, candidate=tuned, **keys).verdict == "pass"

    result = judge(baseline=weak, candidate=tuned[::-1], **keys)
    assert "at row 0 it is 159, not 100" in result.checks[-1].message
    result = judge(baseline=weak, candidate=pandas.Series(RIGHT), **keys)
    assert "at row 0 it is 0, not 100" in result.checks[-1].message


def test_a_marker_gives_answers(project: Project) -> None:
    passed(project.judge(baseline=[*[label(i) for i in range(40)], *["refund"] * 20]))
    finding = stopped(project.judge(baseline=[label(0)] * 2))
    mentions(finding, "2 answers for 60 test examples", "test_gate.py:4")


def test_a_fixture_gives_answers(project: Project) -> None:
    project.gate_test()
    project.pytester.makeconftest(
        f"import pytest\n@pytest.fixture\ndef ftgate_baseline():\n    return {WEAK!r}\n"
    )
    result = project.pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1)
