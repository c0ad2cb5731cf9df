"""Why a gate failed and what to do about it: one real gate for each cause of a gain that is too small."""

from typing import Any

import pytest
from gate_project import (
    Project,
    block,
    check,
    ends,
    label,
    mentions,
    read_jsonl,
    statuses,
    write_jsonl,
    wrong,
)


@pytest.mark.parametrize(
    ("question", "rows", "tests", "goal", "names"),
    [
        ("training", 150, 60, "knowledge", {"goal", "min_training_examples"}),
        (
            "customer",
            3,
            40,
            "reasoning",
            {"goal", "min_training_examples", "min_test_examples", "leaked"},
        ),
    ],
)
def test_each_failed_free_check_prints_its_own_cure_once(
    project: Project, question: str, rows: int, tests: int, goal: str, names: set[str]
) -> None:
    project.training_set(
        0, [{"input": f"{question} question {i}", "expected": label(i)} for i in range(rows)]
    )
    project.test_set(tests)
    gate = ends(project.judge(goal=goal), "fail")
    assert (gate["models_called"], gate["diagnosis"]) == (False, None)
    failed = {check["name"]: check["cure"] for check in gate["checks"] if check["status"] == "fail"}
    assert names <= set(failed)
    printed = " ".join(line.strip() for line in block(gate))
    assert all(printed.count(" ".join(cure.split())) == 1 for cure in failed.values())


# --- a gain that is too small: the first cause that holds, in their order -----------------------------------


FIND_OUT = ("explains it", "split --half train.jsonl", "predictions:", "candidate_half")
MALFORMED = ("30 of 34", "malformed", "pattern", "a label alone")
BY_CHANCE = ("own answers dealt", "ids", "recorded:ft.jsonl")
CONSTANT = ("always answering 'refund'", "ids", "recorded:ft.jsonl")
ROOM = ("max_drop", "cheaper_by", "harder examples")
SCARCE = ("'refund'", "12 training rows", "median label 94", "0 of 20", "82 more")


def chatty(i: int) -> str:
    return f"The answer is {label(i)}." if i < 30 else wrong(i) if i < 34 else label(i)


def blind(i: int) -> str:
    """Answer right as often as chance does, and more often than a constant."""
    return label(i) if i < 23 else wrong(i)


def refund_unlearned(i: int) -> str:
    return "invoice" if label(i) == "refund" else label(i)


def scarce(project: Project, n_rows: int = 12) -> None:
    kept = [i for i in range(282) if label(i) != "refund" or i < 3 * n_rows]
    rows = [{"input": f"training question {i}", "expected": label(i)} for i in kept]
    project.training_set(0, rows)


CAUSES: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
    # what the candidate answers, where the baseline is wrong, and what the cure names
    "malformed": (chatty, range(40, 60), MALFORMED),
    "every label is another one": (wrong, range(40, 60), CONSTANT),
    "answers of other rows": (blind, range(10), BY_CHANCE),
    "no room": (label, (58, 59), ROOM),
    "no room for a lesser one": (lambda i: label(i + (i > 56)), (58, 59), ROOM),
    "a label with few rows": (refund_unlearned, range(40, 60), SCARCE),
    "nothing that the gate sees": (
        lambda i: wrong(i) if i > 41 else label(i),
        range(40, 60),
        FIND_OUT,
    ),
    "surely worse": (lambda i: wrong(i) if i > 29 else label(i), range(10), FIND_OUT),
}


@pytest.mark.parametrize(("answer", "missed", "words"), CAUSES.values(), ids=list(CAUSES))
def test_the_cure_names_the_first_cause_that_the_gate_has_seen(
    project: Project, answer: Any, missed: Any, words: tuple[str, ...]
) -> None:
    scarce(project)
    project.predictions("base.jsonl", 60, wrong_at=missed)
    project.predictions("ft.jsonl", 60, output=answer)
    gate = ends(project.judge(), "fail")
    cure = str(check(gate, "margin")["cure"])
    assert [word for word in words if word not in cure] == [], cure
    # Nobody is told to give up by a gate that has more to say.
    assert "Keep the baseline" not in cure
    assert ("headroom" in statuses(gate)) is (words is ROOM)
    cures = [line for line in block(gate) if line.startswith("fix:  ")]
    assert len(cures) == 1, block(gate)


@pytest.mark.parametrize(
    ("answer", "wrong_of_half", "words"),
    [
        (lambda i: wrong(i) if i > 38 else label(i), 30, ("95 to 200 rows", "+15.0 points")),
        (lambda i: wrong(i) if i > 38 else label(i), 22, ("95 to 200 rows", "+1.7 points")),
        (refund_unlearned, 30, SCARCE),
        (chatty, 30, MALFORMED),
        (blind, 30, BY_CHANCE),
    ],
)
def test_what_half_of_the_rows_showed_stands_after_what_was_seen_in_answers_and_labels(
    project: Project, answer: Any, wrong_of_half: int, words: tuple[str, ...]
) -> None:
    scarce(project)
    rows = read_jsonl(project.path / "train.jsonl")
    write_jsonl(project.path / "half.jsonl", rows[:95])
    project.predictions("half_answers.jsonl", 60, wrong_at=range(wrong_of_half))
    project.predictions("base.jsonl", 60, wrong_at=range(40, 60))
    project.predictions("ft.jsonl", 60, output=answer)
    half = {"model": "recorded:half_answers.jsonl", "training_set": "half.jsonl"}
    gate = ends(project.judge(candidate_half=half), "fail")
    mentions(check(gate, "margin"), *words)
    assert "split --half" not in check(gate, "margin")["cure"]


def test_one_answer_to_everything_is_explained_by_the_training_rows_or_by_a_call(
    project: Project,
) -> None:
    project.predictions("ft.jsonl", 60, output="refund")
    for n_refunds, words in ((0, "by hand"), (300, "367 of 500 training rows")):
        project.training_set(
            200, [{"input": f"more {i}", "expected": "refund"} for i in range(n_refunds)]
        )
        gate = ends(project.judge(), "fail")
        mentions(check(gate, "degenerate_candidate"), words)
        assert check(gate, "margin")["cure"] == check(gate, "degenerate_candidate")["cure"]


def test_unreadable_answers_have_one_cure_wherever_they_are_found(project: Project) -> None:
    """Two checks see that no answer can be read, and say the same of it."""
    answers = {"": "by hand", "Sorry.": "by hand", "The answer is {}.": "pattern"}
    for text, words in answers.items():
        project.predictions("ft.jsonl", 60, output=lambda i, text=text: text.format(label(i)))
        gate = ends(project.judge(thresholds={"accuracy": {"min": 0.9}}), "fail")
        (cure,) = {item["cure"] for item in gate["checks"] if item["cure"] is not None}
        assert words in cure
        assert [line for line in block(gate) if line.startswith("fix:  ")] == [f"fix:  {cure}"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda i: f"It is {label(i)}" if i > 50 else label(i), ("9 of 9", "pattern")),
        (refund_unlearned, SCARCE),
        (lambda i: wrong(i) if i > 50 else label(i), FIND_OUT),
    ],
)
def test_a_missed_threshold_is_told_the_cause_that_was_seen(
    project: Project, answer: Any, words: tuple[str, ...]
) -> None:
    scarce(project)
    project.predictions("base.jsonl", 60, wrong_at=range(35))
    project.predictions("ft.jsonl", 60, output=answer)
    gate = ends(project.judge(thresholds={"accuracy": {"min": 0.9}}), "fail")
    assert statuses(gate)["margin"] == "pass"
    mentions(check(gate, "thresholds.accuracy"), *words)


def test_a_cure_does_not_keep_a_margin_that_the_gate_does_not_have(project: Project) -> None:
    scarce(project)
    project.predictions("ft.jsonl", 60, output=refund_unlearned, latency_s=0.1)
    project.predictions("base.jsonl", 60, latency_s=1.0)
    gate = ends(project.judge(margin=..., max_drop=0.05, faster_by=2), "fail")
    mentions(check(gate, "max_drop"), *SCARCE)
    assert "margin" not in check(gate, "max_drop")["cure"]


def test_answers_that_are_the_numbers_of_labels_are_told_apart_from_a_form(
    project: Project,
) -> None:
    for output in (lambda i: str(i % 3), lambda i: f"LABEL_{i % 3}"):
        project.predictions("ft.jsonl", 60, output=output)
        mentions(check(project.judge(), "margin"), "60 of 60", "encoder.inverse_transform")


def test_ids_that_only_the_recordings_have_are_to_be_written_into_the_test_set(
    project: Project,
) -> None:
    rows = read_jsonl(project.path / "test.jsonl")
    for row in rows:
        del row["id"]
    write_jsonl(project.path / "test.jsonl", rows)
    gate = ends(project.judge(), "error")
    mentions(check(gate, "candidate_answers"), "recorded ids: t0", "they have none")
