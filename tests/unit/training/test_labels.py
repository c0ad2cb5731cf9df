"""Labels that are missing, rare or out of balance."""

import pytest

from pytest_ftgate.checks.audit import audit
from pytest_ftgate.checks.audit.audit import HARDLY, Labels, labels_in


def compare_labels(*sets, separator=None):
    return audit.compare_labels(*([labels_in(output, separator) for output in outputs] for outputs in sets))


def test_labels_that_the_test_set_has_are_counted_in_the_training_set():
    training = ["a"] * 30 + ["b"] * HARDLY + ["c"] * (HARDLY - 1) + ["d"]
    labels = compare_labels(training, ["a", "b", "c", "e"])
    assert labels.only_in_test == ("e",)
    assert labels.rare == {"c": HARDLY - 1}
    assert labels.counts == {"a": 30, "b": 5, "c": 4, "d": 1}
    assert labels.imbalance == 30


@pytest.mark.parametrize("training", [[f"text {n}" for n in range(40)], [f"text {n // 3}" for n in range(90)]])
def test_free_text_is_not_counted_as_labels(training):
    labels = compare_labels(training, training[:10])
    assert not labels.rare
    assert labels.imbalance is None


def test_json_objects_are_no_labels_and_a_label_in_brackets_is_one():
    objects = [f'{{"room": "{room}"}}' for room in ("hall", "attic")] * 50
    assert compare_labels(objects, ['{"room": "cellar"}'] * 20) == Labels()
    marked = compare_labels(["[1]", "refund"] * 50, ["[1]", "invoice"] * 10)
    assert marked.only_in_test == ("invoice",)


@pytest.mark.parametrize(
    ("form", "separator"), [('["{0}", "{1}"]', None), ('["{0}", "{1}"]', ","), ("{0}, {1}", ","), ("{0};{1}", ";")]
)
def test_each_of_several_labels_is_counted(form, separator):
    trained = [form.format(*pair) for pair in [("a", "b")] * 40 + [("a", "c")] * 10 + [("b", "d")] * 2]
    labels = compare_labels(trained, [form.format("a", "e"), form.format("d", "a")], separator=separator)
    assert labels.counts == {"a": 50, "b": 42, "c": 10, "d": 2}
    assert (labels.only_in_test, labels.rare, labels.imbalance) == (("e",), {"d": 2}, 25)


def test_what_is_said_beside_tool_calls_is_no_label():
    calls = [f'[{{"arguments":{{"room":{n}}},"name":"light"}}]' for n in range(60)]
    assert compare_labels([*calls, *["You are welcome!"] * 20], [*calls[:10], "Sorry, I cannot."]) == Labels()


def test_balanced_labels_have_a_ratio_of_one():
    assert compare_labels(["a", "b"] * 20, ["a"]).imbalance == 1
    assert compare_labels(["", ""], [""]).imbalance is None
