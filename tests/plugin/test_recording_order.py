"""Answers at the wrong rows: the next or previous one from some row on, or any others; and honest answers."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from gate_project import Project, because, check, ends, label, mentions, statuses

N = 60


def at(row: int) -> str:
    return f"label {row * 7 % 23}"


def says(project: Project, name: str, output: str | Callable[[int], str], n: int = N) -> None:
    project.predictions(name, n, output=output)


DROPPED = 25


@pytest.mark.parametrize(
    ("answered", "described"),
    [
        (lambda i: at(i + 1), "next row"),
        (lambda i: at(i - 1) if i % 3 else "other", "previous row"),
        (lambda i: at(i + (i > DROPPED)), "test.jsonl:27 on"),
        (lambda i: at(i + (i > DROPPED)) if i % 3 else "other", "next row"),
    ],
)
@pytest.mark.parametrize("name", ["ft", "base"])
def test_answers_at_the_wrong_rows_fail(
    project: Project, answered: Callable[[int], str], described: str, name: str
) -> None:
    project.test_set(N, expected=at)
    says(project, "ft.jsonl", at)
    says(project, "base.jsonl", lambda i: at(i) if i < 40 else "other")
    says(project, f"{name}.jsonl", answered)
    gate = project.judge()
    because(
        gate,
        "fail",
        "recording_order",
        described,
        "candidate" if name == "ft" else "baseline",
        "ids",
    )
    gate = project.judge(checks={"recording_order": "warn"})
    assert statuses(gate)["recording_order"] == "warning"


@pytest.mark.parametrize(("shifted", "fails"), [(17, False), (19, True)])
def test_chance_must_show_it_in_fewer_than_one_of_a_thousand_recordings(
    project: Project, shifted: int, fails: bool
) -> None:
    """At 120 places a half must be 17 times in a row, and more where a label repeats."""
    project.test_set(N, expected=at)
    says(project, "base.jsonl", lambda i: at(i + (i >= N - shifted)))
    assert (statuses(project.judge()).get("recording_order") == "fail") is fails


CHANCE = random.Random(1)
FOUR = [CHANCE.choice(["refund", "invoice", "shipping", "other"]) for _ in range(200)]
SORTED = sorted(range(200), key=lambda row: f"t{row}")
SHUFFLED = CHANCE.sample(range(200), 200)
ROWS: dict[str, Callable[[int], int]] = {
    "reversed": lambda i: 199 - i,
    "halves exchanged": lambda i: (i + 100) % 200,
    "batches reversed": lambda i: i // 20 * 20 + 19 - i % 20,
    "shifted by two": lambda i: (i + 2) % 200,
    "sorted by id": SORTED.__getitem__,
    "shuffled": SHUFFLED.__getitem__,
    "shifted by one": lambda i: (i + 1) % 200,
    "shifted from row 175 on": lambda i: (i + (i > 175)) % 200,
}


@pytest.mark.parametrize("beside_a_prompt", [False, True])
@pytest.mark.parametrize("rows", ROWS)
def test_four_labels_at_the_wrong_rows_fail(
    project: Project, rows: str, beside_a_prompt: bool
) -> None:
    """A tenth of the answers is lost, and the candidate has all of them."""
    project.test_set(200, expected=FOUR.__getitem__)
    project.training_set(
        0, [{"input": f"training question {i}", "expected": FOUR[i]} for i in range(200)]
    )
    say = [label_here if i % 10 else "other" for i, label_here in enumerate(FOUR)]
    says(project, "ft.jsonl", FOUR.__getitem__, 200)
    says(project, "base.jsonl", lambda i: say[ROWS[rows](i)], 200)
    keys: dict[str, Any] = {}
    if beside_a_prompt:
        says(project, "prompt.jsonl", lambda i: say[i] if i % 3 else "refund", 200)
        champion = {"model": "recorded:base.jsonl", "max_drop": 0.02}
        keys = {
            "baseline": ...,
            "baselines": {"prompt": "recorded:prompt.jsonl", "champion": champion},
        }
    gate = ends(project.judge(**keys), "fail")
    failed = [name for name, status in statuses(gate).items() if status == "fail"]
    assert {*failed} <= {"weak_baseline", "recording_order"}
    assert failed


def test_a_gain_over_answers_at_the_wrong_rows_is_none(project: Project) -> None:
    """Both models know the same, and one answer of the baseline is lost."""
    project.test_set(200, expected=at)
    says(project, "ft.jsonl", lambda i: at(i) if i % 10 else "label 0", 200)
    says(project, "base.jsonl", lambda i: at(i + (i > 60)) if i % 10 else "label 0", 200)
    gate = ends(project.judge(), "fail")
    assert gate["gain"] > 0.5
    mentions(check(gate, "recording_order"), "test.jsonl:62")


def drawn(
    labels: Sequence[str], accuracy: float, seed: int, n: int, order: str
) -> tuple[list[str], list[str]]:
    """Return expected labels in some order, and the answers of an honest model; at accuracy 0 it only guesses."""
    chance = random.Random(seed)
    expected = [
        chance.choice(labels) if order == "drawn" else labels[i % len(labels)] for i in range(n)
    ]
    if order == "sorted":
        expected.sort()
    guesses = [chance.choice(labels) for _ in range(n)]
    return expected, [
        label_here if chance.random() < accuracy else guess
        for label_here, guess in zip(expected, guesses, strict=True)
    ]


@pytest.mark.parametrize("order", ["drawn", "cyclic", "sorted"])
@pytest.mark.parametrize("n_labels", [2, 3, 5, 9, 23, 77])
def test_honest_answers_are_never_at_the_wrong_row(
    project: Project, n_labels: int, order: str
) -> None:
    labels = [f"label {i}" for i in range(n_labels)]
    for seed, accuracy in enumerate((0.0, 0.5, 0.6, 0.7, 0.8, 0.9)):
        expected, answers = drawn(labels, accuracy, seed, 100, order)
        project.test_set(100, expected=expected.__getitem__)
        says(project, "base.jsonl", answers.__getitem__, 100)
        says(project, "ft.jsonl", expected.__getitem__, 100)
        assert "recording_order" not in statuses(project.judge()), accuracy


def test_three_labels_in_turn_whose_wrong_answers_are_all_those_of_the_next_row_are_honest(
    project: Project,
) -> None:
    for right in (0, 20, 40):
        project.predictions("base.jsonl", N, wrong_at=range(right, N))
        assert "recording_order" not in statuses(project.judge(checks={"weak_baseline": "warn"}))


@pytest.mark.parametrize(
    "output", [lambda i: at(i) if i % 3 else at(i + 1), lambda i: f"c{i * 7 % 23}", label]
)
def test_other_answers_are_wrong_and_not_at_the_wrong_row(project: Project, output: Any) -> None:
    project.test_set(N, expected=at)
    says(project, "ft.jsonl", at)
    says(project, "base.jsonl", output)
    assert "recording_order" not in statuses(project.judge())
