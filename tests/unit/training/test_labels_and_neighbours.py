"""Labels that are missing, rare or out of balance, and rows whose neighbours carry another label."""

import pytest

from pytest_ftgate.checks.training_set.labels import HARDLY, Labels, compare_labels
from pytest_ftgate.checks.training_set.neighbours import MOST_ROWS, doubtful_rows


def test_labels_that_the_test_set_has_are_counted_in_the_training_set():
    training = ["a"] * 30 + ["b"] * HARDLY + ["c"] * (HARDLY - 1) + ["d"]
    labels = compare_labels(training, ["a", "b", "c", "e"])
    assert (labels.only_in_test, labels.only_in_training) == (("e",), ("d",))
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


def test_what_is_said_beside_tool_calls_is_no_label():
    calls = [f'[{{"arguments":{{"room":{n}}},"name":"light"}}]' for n in range(60)]
    assert compare_labels([*calls, *["You are welcome!"] * 20], [*calls[:10], "Sorry, I cannot."]) == Labels()


def test_balanced_labels_have_a_ratio_of_one():
    assert compare_labels(["a", "b"] * 20, ["a"]).imbalance == 1
    assert compare_labels(["", ""], [""]).imbalance is None


ROOMS = ["kitchen", "hallway", "bedroom", "attic", "garage", "office", "patio"]
COMMANDS = {
    "light": "turn the lamp on",
    "music": "play a song loudly",
    "timer": "start counting minutes down",
    "weather": "will rain come outside",
    "lock": "close every door behind",
}
WORDS = [f"{command} {room}" for command in COMMANDS.values() for room in ROOMS]
LABELS = [label for label in COMMANDS for _ in ROOMS]


def test_a_wrong_label_among_right_ones_is_found_and_a_row_without_near_neighbours_not_doubted():
    found = doubtful_rows(WORDS, LABELS)
    assert (found.rows, found.compared) == ((), len(WORDS))
    labels = list(LABELS)
    labels[4] = "music"
    assert doubtful_rows(WORDS, labels).rows == ((4, "light"),)
    assert doubtful_rows([*WORDS, "completely unrelated sentence here"], [*LABELS, "other"]).rows == ()


def test_many_rows_are_sampled_evenly():
    times = MOST_ROWS // len(WORDS) + 1
    found = doubtful_rows(WORDS * times, LABELS * times)
    assert found.compared == len(range(0, len(WORDS) * times, 2))


@pytest.mark.parametrize(
    ("words", "labels"), [([], []), (["a"], ["x"]), (["a b"] * 9, ["x"] * 9), ([""] * 9, ["x", "y", "z"] * 3)]
)
def test_too_little_to_compare(words, labels):
    assert doubtful_rows(words, labels).rows == ()
