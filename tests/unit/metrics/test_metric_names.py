"""Which metrics there are, what they declare, and the errors in how one is asked for."""

import subprocess
import sys

import pytest

from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics import BUILT_IN, CustomMetric, judged

SET = [
    *(f"{score}_{average}" for score in ("f1", "precision", "recall") for average in ("macro", "micro", "weighted")),
    *("f1", "precision", "recall"),
    "balanced_accuracy",
    "matthews_corrcoef",
    "cohen_kappa",
]
GRADED = ["token_f1", "rouge_l", "chrf", "edit_similarity", "embedding_similarity"]
AB = ("a", "b")
SHAPE = ("format", "field_f1", "field_accuracy")
LONG = ("a text that bleu can count", "b")


def options_for(name):
    own = {"embedding_similarity": {"embed": len}, "command": {"argv": [sys.executable]}, "format": {"type": "json"}}
    return {"pos_label": "a"} if name in ("f1", "precision", "recall") else own.get(name, {})


def expected_for(name):
    if name.startswith("field_"):
        return ('{"a": 1}', '{"a": 2}')
    return LONG if name == "bleu" else AB


def test_every_name_of_the_contract_is_there():
    others = ["accuracy", "exact_match", "bleu", "command"]
    assert sorted(BUILT_IN) == sorted([*SET, *GRADED, *SHAPE, *others, *judged.NAMES])


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name not in judged.NAMES])
def test_a_metric_declares_its_kind_range_and_direction(build, name):
    metric = build(name, expected_for(name), **options_for(name))
    whole = name in (*SET, "bleu", "field_f1", "field_accuracy")
    assert metric.name == name
    assert metric.kind == ("set" if whole else "graded" if name in GRADED else "right_wrong")
    assert metric.low == (-1 if name in ("matthews_corrcoef", "cohen_kappa", "embedding_similarity") else 0)
    assert metric.high == 1
    assert metric.greater_is_better is True
    assert metric.uses_labels is (name in (*SET, "accuracy"))


def test_an_unknown_name_is_refused_with_the_nearest(refusal):
    assert refusal("f1_macr") == "ftgate.yaml:14: there is no metric 'f1_macr'\n  Did you mean 'f1_macro'?"


def test_an_unknown_name_may_be_near_to_a_metric_of_ones_own(refusal):
    def brevity(expected, answer):
        return 1.0

    text = refusal("brevty", custom={"brevity": CustomMetric("brevity", brevity, 0, 1, True)})
    assert text == "ftgate.yaml:14: there is no metric 'brevty'\n  Did you mean 'brevity'?"


def test_an_unknown_name_without_a_near_one_lists_them_all(refusal):
    assert refusal("zzz") == (
        "ftgate.yaml:14: there is no metric 'zzz'\n"
        "  There are: accuracy, balanced_accuracy, f1, precision, recall, f1_macro, f1_micro, f1_weighted, "
        "precision_macro, precision_micro, precision_weighted, recall_macro, recall_micro, recall_weighted, "
        "matthews_corrcoef, cohen_kappa, exact_match, format, field_f1, field_accuracy, token_f1, rouge_l, chrf, "
        "edit_similarity, bleu, embedding_similarity, command, rubric, preference, human_preference."
    )


@pytest.mark.parametrize("name", ["accuracy", "rouge_l"])
def test_a_name_of_this_package_is_not_for_ones_own(refusal, name):
    assert refusal(name, custom={name: CustomMetric(name, lambda e, a: 1.0, 0, 1, True)}) == (
        f"ftgate.yaml:14: {name} is the name of a metric of pytest-ftgate, and cannot be given to one's own\n"
        "  Rename your metric."
    )


@pytest.mark.parametrize(
    ("name", "option", "cure"),
    [
        ("accuracy", "normalise", "Did you mean 'normalize'?"),
        ("accuracy", "pos_label", "It has: normalize, pattern, json_field, labels."),
        ("f1_macro", "pos_label", "It has: normalize, pattern, json_field, labels."),
        ("accuracy", "zzz", "It has: normalize, pattern, json_field, labels."),
        ("f1", "pos_labl", "Did you mean 'pos_label'?"),
        ("exact_match", "pattern", "It has: normalize."),
        ("f1_macro", "function", "It has: normalize, pattern, json_field, labels."),
    ],
)
def test_an_option_that_the_metric_does_not_have_is_refused(refusal, name, option, cure):
    text = refusal(name, AB, **{option: "a"})
    assert text == f"ftgate.yaml:14: {option}: {name} has no option '{option}'\n  {cure}"


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        (
            "normalize",
            True,
            "normalize is true\n  Write one of unicode, case, whitespace, punctuation, or a list of them.",
        ),
        (
            "normalize",
            [1],
            "normalize is a list\n  Write one of unicode, case, whitespace, punctuation, or a list of them.",
        ),
        (
            "normalize",
            None,
            "normalize is null\n  Write one of unicode, case, whitespace, punctuation, or a list of them.",
        ),
        ("normalize", "cases", "normalize does not know 'cases'\n  Did you mean 'case'?"),
        (
            "normalize",
            ["case", "zzz"],
            "normalize does not know 'zzz'\n  There are: unicode, case, whitespace, punctuation.",
        ),
        ("pattern", 3, "pattern is a number\n  Write text."),
        ("pattern", "", "pattern is empty\n  Write text."),
        (
            "pattern",
            "(a",
            "pattern is no regular expression: missing ), unterminated subpattern at position 0\n  (a\n"
            "  Write it in the syntax of Python's re; in YAML, single quotes keep backslashes.",
        ),
        ("json_field", ["a"], "json_field is a list\n  Write text."),
        (
            "json_field",
            "a..b",
            "json_field 'a..b' has an empty part\n"
            "  Write the names on the way with dots between them, as in result.label.",
        ),
        ("labels", "a", "labels is text\n  Write a list of labels."),
        ("labels", [], "labels is empty\n  Write a list of labels."),
        ("labels", ["a", ["b"]], "labels is a list\n  Write a label."),
        ("labels", ["a", "a"], "labels names a label twice\n  Name each label once."),
        (
            "labels",
            ["a", "refnd"],
            "labels names refnd, which no example of the test set expects\n  Did you mean 'refund'?",
        ),
    ],
)
def test_a_wrong_option_is_refused(refusal, option, value, text):
    assert refusal("f1_macro", ("a", "b", "refund"), **{option: value}) == f"ftgate.yaml:14: {option}: {text}"


def test_pattern_and_json_field_exclude_each_other(refusal):
    assert refusal("accuracy", pattern="a", json_field="a") == (
        "ftgate.yaml:14: json_field: pattern and json_field are both given\n  Keep the one that finds the label."
    )


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_a_binary_metric_needs_its_positive_label(refusal, name):
    assert refusal(name, ("ham", "spam")) == (
        f"ftgate.yaml:14: pos_label: {name} needs pos_label, the label that it is about\n"
        "  The labels are: ham, spam.\n"
        f"  Write metric: {{name: {name}, pos_label: ham}}."
    )


def test_a_positive_label_must_be_one_of_the_two(refusal):
    assert refusal("f1", ("ham", "spam"), pos_label="spma") == (
        "ftgate.yaml:14: pos_label: pos_label names spma, which no example of the test set expects\n"
        "  Did you mean 'spam'?"
    )


def test_a_binary_metric_needs_two_labels(refusal):
    assert refusal("f1", pos_label="a") == (
        "ftgate.yaml:14: f1 needs a test set with two labels, and this one has 3\n"
        "  The labels are: a, b, c.\n"
        "  Use f1_macro, f1_micro or f1_weighted."
    )
    assert refusal("f1", ("a",), pos_label="a").endswith("\n  Add examples of the other label.")


@pytest.mark.parametrize("name", ["matthews_corrcoef", "cohen_kappa"])
def test_a_metric_beyond_chance_needs_several_labels(refusal, name):
    assert refusal(name, ("a",)) == (
        f"ftgate.yaml:14: {name} needs two labels or more, and all of the test set expects a\n"
        "  Add examples of other labels, or use accuracy."
    )


def test_only_an_average_can_leave_a_label_out(build, refusal):
    assert refusal("balanced_accuracy", labels=["a", "c"]) == (
        "ftgate.yaml:14: labels: balanced_accuracy is no average over labels: labels cannot leave one out\n"
        "  Name all labels of the test set (a, b, c), or remove the option."
    )
    assert build("balanced_accuracy", labels=["c", "b", "a"]).score(["a", "b"], [["a", "c"]]).value == 0.5


@pytest.mark.parametrize("name", ["accuracy", "exact_match"])
def test_an_empty_expected_output_is_refused(refusal, name):
    assert refusal(name, ("a", " ")) == (
        f"ftgate.yaml:14: {name} cannot score an example that expects an empty output: "
        "an empty answer counts as wrong\n"
        "  Let the model say something there, as none."
    )


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "exact_match"])
def test_an_empty_test_set_has_a_metric_that_measures_nothing(build, name):
    """Too few examples are a finding of their own, not a wrong metric."""
    with pytest.raises(MetricError, match=f"^{name} has nothing to measure"):
        build(name, ()).score([], [[]])


def test_free_text_is_no_label_of_a_set_level_metric(build, refusal):
    many = [f"answer {i}" for i in range(2001)]
    assert refusal("f1_macro", many) == (
        "ftgate.yaml:14: f1_macro is for up to 2000 labels, and the test set expects 2001 different ones\n"
        "  Use accuracy or exact_match."
    )
    assert build("accuracy", many).uses_labels


def test_importing_and_building_loads_nothing_heavy():
    code = (
        "import sys; from types import SimpleNamespace as S; from pytest_ftgate.metrics import build_metric\n"
        "for name in ('accuracy', 'f1_macro', 'exact_match'):\n"
        "    build_metric(S(name=name, options={}, source='x'), labels=['a', 'b'], custom={})\n"
        "print({'numpy', 'sklearn', 'scipy', 'pydantic', 'yaml', 'pytest'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")
