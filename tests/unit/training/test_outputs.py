"""Outputs that look unfinished, and their like that does not."""

import json

import pytest

from pytest_ftgate.checks.training_set.outputs import unfinished_outputs

SENTENCES = [f"Your parcel number {n} will be with you tomorrow." for n in range(40)]
OBJECTS = [json.dumps({"intent": "turn_on", "room": n}) for n in range(40)]
LABELS = ["refund", "invoice", "shipping"] * 20


def found(*outputs):
    """Return what is said of the last output; of the others nothing is."""
    rows = unfinished_outputs(outputs)
    assert set(rows) <= {len(outputs) - 1}
    return list(rows.values())


@pytest.mark.parametrize("others", [SENTENCES, OBJECTS, LABELS])
def test_an_empty_output_always_counts(others):
    assert found(*others, "") == ["empty"]


@pytest.mark.parametrize("others", [SENTENCES, OBJECTS, LABELS, ["A", "B"] * 20, [str(n) for n in range(30)], ["", ""]])
def test_what_is_like_all_others_is_fine(others):
    assert set(unfinished_outputs(others).values()) <= {"empty"}


CLOSED = ["Like this:\n```python\nprint(1)\n```"] * 3
CUT = "Your parcel was handed over to our partner on Mon"
CUT_JSON = ['{"intent": "turn_on", "ro', '{"intent": "turn_on"', '[{"a": 1}, {"b"']
TEXTS = ["{name} is not at home.", "[laughs] No.", '{"a": 1} and more']  # braces that are no JSON anywhere are text
ENDS = [
    "Your parcel is on its way to you. Have a nice day! \U0001f600",
    "Yours",
    "See https://example.com for the rest:",
]


@pytest.mark.parametrize(
    ("others", "output", "kind"),
    [
        *((SENTENCES, output, "one character") for output in ("x", "-", "y")),
        *((others * 20, "C", None) for others in (["yes", "no"], ["A", "B"], ["refund", "invoice"])),
        (SENTENCES, "7", None),  # a digit is an answer everywhere
        *((OBJECTS, output, "JSON") for output in CUT_JSON),
        *((SENTENCES, output, None) for output in (*TEXTS, *ENDS)),
        (CLOSED, "Like this:\n```python\nprint(", "code block"),
        (SENTENCES, CUT, "sentence"),
        (SENTENCES[:10], CUT, None),  # few sentences make no habit
    ],
)
def test_what_looks_unfinished_beside_the_others(others, output, kind):
    kinds = found(*others, output)
    assert len(kinds) == (kind is not None)
    assert all(kind in one for one in kinds)


def test_titles_without_a_full_stop_are_no_sentences():
    titles = [f"The {n} best ways to send a parcel home" for n in range(40)]
    assert unfinished_outputs(titles) == {}
    assert unfinished_outputs([*titles, *SENTENCES]) == {}


def test_a_label_of_many_words_is_no_sentence():
    label = "customer asks for the status of an order"
    assert unfinished_outputs([*SENTENCES, label, label]) == {}
