"""Outputs that look unfinished, and their like that does not."""

import json

import pytest

from pytest_ftgate.checks.training_set.outputs import unfinished_outputs

SENTENCES = [f"Your parcel number {n} will be with you tomorrow." for n in range(40)]
OBJECTS = [json.dumps({"intent": "turn_on", "room": n}) for n in range(40)]
LABELS = ["refund", "invoice", "shipping"] * 20


def found(*outputs):
    """What is said of the last output; of the others nothing is."""
    rows = unfinished_outputs(outputs)
    assert set(rows) <= {len(outputs) - 1}
    return list(rows.values())


@pytest.mark.parametrize("others", [SENTENCES, OBJECTS, LABELS])
def test_an_empty_output_always_counts(others):
    assert found(*others, "") == ["empty"]


@pytest.mark.parametrize("others", [SENTENCES, OBJECTS, LABELS, ["A", "B"] * 20, [str(n) for n in range(30)], ["", ""]])
def test_what_is_like_all_others_is_fine(others):
    assert set(unfinished_outputs(others).values()) <= {"empty"}


@pytest.mark.parametrize("output", ["x", "-", "y"])
def test_one_character_among_sentences(output):
    assert found(*SENTENCES, output) == ["one character"]


@pytest.mark.parametrize("others", [["yes", "no"] * 20, ["A", "B"] * 20, ["refund", "invoice"] * 20])
def test_one_character_among_short_answers_is_an_answer(others):
    assert found(*others, "C") == []


def test_a_digit_is_an_answer_everywhere():
    assert found(*SENTENCES, "7") == []


@pytest.mark.parametrize("output", ['{"intent": "turn_on", "ro', '{"intent": "turn_on"', '[{"a": 1}, {"b"'])
def test_json_that_does_not_end(output):
    assert found(*OBJECTS, output) == ["JSON that does not end"]


@pytest.mark.parametrize("output", ["{name} is not at home.", "[laughs] No.", '{"a": 1} and more'])
def test_braces_that_are_no_json_anywhere_are_text(output):
    assert found(*SENTENCES, output) == []


def test_a_code_block_that_does_not_end():
    closed = "Like this:\n```python\nprint(1)\n```"
    assert found(*[closed] * 3, "Like this:\n```python\nprint(") == ["a code block that does not end"]


def test_a_sentence_cut_off_among_sentences():
    assert found(*SENTENCES, "Your parcel was handed over to our partner on Mon") == ["a sentence that does not end"]


@pytest.mark.parametrize(
    "output",
    [
        "Your parcel is on its way to you. Have a nice day! \U0001f600",
        "Yours",
        "See https://example.com for all of the rest:",
    ],
)
def test_other_ends_are_ends(output):
    assert found(*SENTENCES, output) == []


def test_titles_without_a_full_stop_are_no_sentences():
    titles = [f"The {n} best ways to send a parcel home" for n in range(40)]
    assert unfinished_outputs(titles) == {}
    assert unfinished_outputs([*titles, *SENTENCES]) == {}


def test_a_label_of_many_words_is_no_sentence():
    label = "customer asks for the status of an order"
    assert unfinished_outputs([*SENTENCES, label, label]) == {}


def test_few_sentences_make_no_habit():
    assert found(*SENTENCES[:10], "Your parcel was handed over to our partner on Mon") == []
