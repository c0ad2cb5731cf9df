"""The best constant answer, by whatever metric decides."""

from dataclasses import replace
from pathlib import Path

import pytest

import pytest_ftgate
from pytest_ftgate.checks.constant_baseline import Constant, answers_given, beats, best_constant
from pytest_ftgate.config import MetricSpec, Source
from pytest_ftgate.data import expected_text
from pytest_ftgate.metrics import build_metric

SOURCE = Source("marker", "marker", Path())
THREE = ["a", "a", "a", "b", "b", "c"]


def built(name, expected, **options):
    labels = sorted({expected_text(value) for value in expected})
    return build_metric(MetricSpec(name, options, SOURCE), labels=labels, custom={})


def own(metric):
    return build_metric(MetricSpec(metric.name, {"function": metric}, SOURCE), labels=[], custom={})


NOTHING = Constant("no", 0.0, False, 2)
READ = {}, {"json_field": "x"}, {"pattern": r"label: (\w+)"}
JSON_VALUES = [{"a": 1}, {"a": 2}, {"a": 2}, 7]
BEST = {  # metric, expected outputs, options
    **{
        f"{metric} of the most frequent label": (
            metric,
            THREE,
            options,
            Constant("a", value, False, 3),
        )
        for metric, value, options in (
            *(
                (*row, options)
                for row in (("accuracy", 0.5), ("f1_macro", 2 / 9))
                for options in READ
            ),
            ("balanced_accuracy", 1 / 3, {}),
            *(("f1_micro", 0.5, {}), ("recall_macro", 1 / 3, {}), ("precision_macro", 1 / 6, {})),
            *(("matthews_corrcoef", 0.0, {}), ("cohen_kappa", 0.0, {})),
        )
    },
    "a rare positive label": (
        "f1",
        ["no"] * 3 + ["yes"],
        {"pos_label": "yes"},
        Constant("yes", 0.4, False, 2),
    ),
    "a label that counts": (
        "f1_macro",
        [*"aaabbc"],
        {"labels": ["b", "c"]},
        Constant("b", 0.25, False, 3),
    ),
    "nothing can beat it": ("recall", ["yes", "yes", "no"], {"pos_label": "yes"}, NOTHING),
    "nothing can beat a frequent one": (
        "recall",
        ["yes", "no", "no"],
        {"pos_label": "yes"},
        NOTHING,
    ),
    "one label": ("accuracy", ["a", "a"], {}, Constant("a", 1.0, True, 1)),
    "free text": (
        "exact_match",
        [f"answer {i}" for i in range(50)],
        {},
        Constant("answer 0", 1 / 50, False, 50),
    ),
    "JSON as a model writes it": (
        "exact_match",
        JSON_VALUES,
        {},
        Constant('{"a":2}', 0.5, False, 3),
    ),
    "white space": ("accuracy", ["a", " a", "a ", "b"], {}, Constant("a", 0.75, False, 2)),
}


@pytest.mark.parametrize(("metric", "expected", "options", "best"), BEST.values(), ids=BEST)
def test_the_best_constant_answer(metric, expected, options, best):
    constant = best_constant(built(metric, expected, **options), expected)
    assert replace(constant, value=best.value, answer=constant.answer.strip()) == best
    assert constant.value == pytest.approx(best.value)


def test_a_metric_where_lower_is_better():
    @pytest_ftgate.metric(low=0, high=10, greater_is_better=False)
    def distance(expected, answer):
        return abs(len(expected) - len(answer))

    constant = best_constant(own(distance), ["aa", "aa", "aaaa"])
    assert (constant.answer, constant.value, constant.perfect) == (
        "aa",
        pytest.approx(2 / 3),
        False,
    )
    assert beats(own(distance), 0.5, constant.value)
    assert not beats(own(distance), 0.7, constant.value)


@pytest.mark.parametrize(
    ("measured", "bound"), [(2 / 3, False), (0.1 + 0.2, False), (0.3000001, True), (0.29, False)]
)
def test_a_rounding_error_beats_nothing(measured, bound):
    assert beats(built("accuracy", THREE), measured, 40 / 60 if measured > 0.5 else 0.3) is bound


# --- the only answer of a model ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "expected_answers"),
    [
        ([["a", " a ", "a"]], {"a"}),
        ([["a", None, "a"]], {"a"}),
        ([["a", "a", "a"], ["a", "a", "b"]], {"a", "b"}),
        ([["a", "b", "a"]], {"a", "b"}),
        ([[None, None, None]], set()),
    ],
)
def test_the_different_answers_of_a_model(answers, expected_answers):
    assert answers_given(built("exact_match", THREE), answers) == expected_answers


def test_labels_are_compared_as_the_metric_reads_them():
    assert answers_given(built("accuracy", THREE), [["A.", "a", "a!"]]) == {"a"}
    assert len(answers_given(built("accuracy", THREE, normalize=[]), [["A.", "a", "a!"]])) == 3
    field = built("f1_macro", THREE, json_field="x")
    assert answers_given(field, [['{"x": "b", "why": 1}', '{"x": "b", "why": 2}', "no JSON"]]) == {
        "b"
    }
