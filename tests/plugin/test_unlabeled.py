"""``unlabeled_set``: inputs that count in the gain, and need a label only where the models differ."""

import random
import re
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

import pytest
from gate_project import (
    Project,
    check,
    checks,
    ends,
    label,
    mentions,
    passed,
    read_jsonl,
    statuses,
    stopped,
    words,
    write_jsonl,
    wrong,
)

from pytest_ftgate.statistics.planning import chances

N = 200
DIFFERENT = (*range(3), *range(160, N))
"""The inputs that one model alone has right, of which the candidate breaks three."""
WITH_LABELS = {"path": "inputs.jsonl", "labels": "todo.jsonl"}


@pytest.fixture
def project(project: Project) -> Project:
    """A project with 200 inputs beside the test set, none of them labeled."""
    project.test_set(N, "inputs.jsonl", prefix="u", input="other question {}".format, expected="")
    for name, wrong_at in (("base.jsonl", range(160, N)), ("ft.jsonl", range(3))):
        project.predictions(name, N, wrong_at=wrong_at, prefix="u", add=True)
    project.keys["unlabeled_set"] = "inputs.jsonl"
    return project


def fill_in(project: Project, rows: Mapping[int, Any], *more: Mapping[str, Any]) -> None:
    """Write ``todo.jsonl`` with the labels of these inputs, and ask for it."""
    labels = [{"id": f"u{row}", "expected": value} for row, value in rows.items()]
    write_jsonl(project.path / "todo.jsonl", [*labels, *more])
    project.keys["unlabeled_set"] = WITH_LABELS


RIGHT = {row: label(row) for row in DIFFERENT}


def test_inputs_that_are_answered_differently_need_a_label(project: Project) -> None:
    gate = project.judge()
    ends(gate, "inconclusive")
    mentions(check(gate, "unlabeled"), "43 of 200 inputs", "to_label:todo.jsonl", "inputs.jsonl")
    assert check(gate, "unlabeled")["observed"] == 43
    assert gate["unlabeled"]["to_label"] == 43
    assert gate["gain"] is None
    assert not checks(gate, "margin")

    fill_in(project, {**RIGHT, 199: "", 198: None})
    gate = project.judge()
    ends(gate, "inconclusive")
    mentions(check(gate, "unlabeled"), "2 of 200 inputs", "41", "to_label:todo.jsonl")


def whole(project: Project, **changes: Any) -> dict[str, Any]:
    """Judge the same answers on one test set, with a label of each input."""
    rows = read_jsonl(project.path / "inputs.jsonl")
    labeled = [{**row, "expected": label(number)} for number, row in enumerate(rows)]
    write_jsonl(project.path / "whole.jsonl", [*read_jsonl(project.path / "test.jsonl"), *labeled])
    return project.judge(test_set="whole.jsonl", **{"unlabeled_set": ..., **changes})


GAIN = (
    "gain",
    "lower_bound",
    "upper_bound",
    "n",
    "fixed",
    "broken",
    "method",
    "margin_proven",
    "verdict",
)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"metric": "exact_match", "evidence": "proven"},
        {"metric": "edit_similarity"},
        {"margin": ..., "max_drop": 0.1, "faster_by": 2},
        {"margin": 0.3},
        {"repeats": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("grouped", [False, True])
def test_the_gain_is_that_of_all_labels_to_the_last_digit(
    project: Project, keys: dict[str, Any], grouped: bool
) -> None:
    rng = random.Random(1)
    answers = ["refund", "invoice", "shipping", "The label is refund."]
    repeats = keys.get("repeats", 1)
    for name in ("base.jsonl", "ft.jsonl"):
        rows = []
        for id_ in [f"t{i}" for i in range(60)] + [f"u{i}" for i in range(N)]:
            right = label(int(id_[1:]))
            for repeat in range(repeats):
                output = right if rng.random() < 0.8 else rng.choice(answers)
                rows.append({"id": id_, "output": output, "repeat": repeat, "latency_s": 1.0})
        write_jsonl(project.path / name, rows)
    if grouped:
        for name in ("test.jsonl", "inputs.jsonl"):
            rows = read_jsonl(project.path / name)
            # some groups are in both sets
            grown = [{**row, "group": f"g{number // 3}"} for number, row in enumerate(rows)]
            write_jsonl(project.path / name, grown)

    fill_in(project, {row: label(row) for row in range(N)})
    all_labels = project.judge(**keys)
    expected = whole(project, **keys)
    assert {key: all_labels[key] for key in GAIN} == {key: expected[key] for key in GAIN}
    assert statuses(all_labels).get("formatting_gain") == statuses(expected).get("formatting_gain")

    # Labels of equal answers change nothing.
    rows = project.judge(**{**keys, "unlabeled_set": "inputs.jsonl"})["unlabeled"]["rows"]
    needed = [int(row["id"][1:]) for row in rows]
    assert 0 < len(needed) < N
    fill_in(project, {row: label(row) for row in needed})
    some_labels = project.judge(**keys)
    assert {key: some_labels[key] for key in GAIN} == {key: expected[key] for key in GAIN}


def test_scores_and_sizes_are_those_of_the_test_set(project: Project) -> None:
    fill_in(project, RIGHT)
    gate = passed(
        project.judge(metric=["accuracy", "f1_macro"], thresholds={"accuracy": {"min": 0.93}})
    )
    assert (gate["n"], gate["fixed"], gate["broken"]) == (260, 78 - 20, 5)
    assert gate["candidate"]["value"] == 56 / 60
    assert gate["candidate"]["n_expected"] == 60
    assert (gate["test_set"]["examples"], gate["unlabeled"]["inputs"]) == (60, N)
    stopped(project.judge(min_test_examples=61), "fail")


def test_labels_in_the_rows_themselves_decide_as_well(project: Project) -> None:
    rows = read_jsonl(project.path / "inputs.jsonl")
    for row in DIFFERENT:
        rows[row]["expected"] = label(row)
    write_jsonl(project.path / "inputs.jsonl", rows)
    assert passed(project.judge())["n"] == 260


def test_a_label_is_needed_where_the_candidate_differs_from_any_baseline(project: Project) -> None:
    project.predictions("other.jsonl", 60, wrong_at=range(30, 60))
    project.predictions("other.jsonl", N, wrong_at=range(100, 120), prefix="u", add=True)
    gate = project.judge(
        baseline=..., baselines={"a": "recorded:base.jsonl", "b": "recorded:other.jsonl"}
    )
    assert gate["unlabeled"]["to_label"] == 63


def test_case_and_punctuation_make_no_other_answer(project: Project) -> None:
    project.predictions("base.jsonl", 60, wrong_at=range(40, 60))
    project.predictions(
        "base.jsonl", N, prefix="u", add=True, output=lambda i: f" {label(i).upper()}. "
    )
    assert project.judge()["unlabeled"]["to_label"] == 3


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"metric": "f1_macro"}, "f1_macro"),
        (
            {"metric": "accuracy", "margin": ..., "agreement": {"with": "baseline", "min": 0.5}},
            "agreement",
        ),
        ({"metric": {"name": "format", "allowed": ["refund"]}}, "format"),
        ({"metric": "precision_micro"}, "precision_micro"),
    ],
)
def test_other_metrics_are_refused(project: Project, keys: dict[str, Any], reason: str) -> None:
    mentions(stopped(project.judge(**keys)), "unlabeled_set", reason)


BAD_LABELS: dict[str, tuple[Callable[[Project], None], str]] = {
    "unknown id": (
        lambda project: fill_in(project, RIGHT, {"id": "u999", "expected": "refund"}),
        "todo.jsonl:44",
    ),
    "two labels": (
        lambda project: fill_in(project, RIGHT, {"id": "u0", "expected": wrong(0)}),
        "todo.jsonl:44",
    ),
    "no label": (lambda project: fill_in(project, {}, {"id": "u0", "input": "x"}), "todo.jsonl:1"),
    "no file": (lambda project: project.keys.update(unlabeled_set=WITH_LABELS), "todo.jsonl"),
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_bad_labels_are_errors_with_their_place(project: Project, name: str) -> None:
    write, place = BAD_LABELS[name]
    write(project)
    mentions(stopped(project.judge()), place)


def test_a_label_may_be_given_twice(project: Project) -> None:
    fill_in(project, RIGHT, {"id": "u0", "expected": label(0)}, {"id": "u1", "expected": ""})
    passed(project.judge())


def test_an_input_of_the_test_set_is_an_error(project: Project) -> None:
    rows = read_jsonl(project.path / "inputs.jsonl")
    write_jsonl(
        project.path / "inputs.jsonl", [*rows, {"id": "u200", "input": "Customer question 7"}]
    )
    error = stopped(project.judge())
    mentions(error, "inputs.jsonl:201", "test.jsonl:8", "remove this row")


def test_an_id_of_the_test_set_is_an_error(project: Project) -> None:
    rows = read_jsonl(project.path / "inputs.jsonl")
    write_jsonl(project.path / "inputs.jsonl", [*rows, {"id": "t7", "input": "what else"}])
    mentions(stopped(project.judge()), "inputs.jsonl:201", "t7")


def test_an_input_of_the_training_set_is_a_leak(project: Project) -> None:
    rows = read_jsonl(project.path / "inputs.jsonl")
    rows[5]["input"] = "training question 9"
    write_jsonl(project.path / "inputs.jsonl", rows)
    leak = stopped(project.judge(), "fail")
    mentions(leak, "1 of 260", "inputs.jsonl:6", "train.jsonl:10")
    assert "pytest_ftgate dedupe inputs.jsonl train.jsonl." in leak["cure"]

    # Of rows in both sets, both files are named.
    rows = read_jsonl(project.path / "test.jsonl")
    rows[5]["input"] = "training question 11"
    write_jsonl(project.path / "test.jsonl", rows)
    cure = stopped(project.judge(), "fail")["cure"]
    assert "dedupe test.jsonl train.jsonl and python -m pytest_ftgate dedupe inputs.jsonl" in cure


def test_copies_count_once_within_and_across_the_sets(project: Project) -> None:
    text = "please tell me when the parcel that I have ordered for {} will arrive"
    names = ("anna", "bert")
    project.test_set(
        60, input=lambda i: text.format("anne") if i == 7 else f"customer question {i}"
    )
    rows = read_jsonl(project.path / "inputs.jsonl")
    for row, name in enumerate(names, 5):  # which have no label
        rows[row]["input"] = text.format(name)
    write_jsonl(project.path / "inputs.jsonl", rows)
    fill_in(project, RIGHT)
    gate = project.judge()
    found = check(gate, "test_near_duplicates")
    mentions(found, "2 of 260", "inputs.jsonl:6", "test.jsonl:8")
    assert "258 groups" in gate["note"]


def test_a_label_that_arrives_is_no_new_attempt_and_another_input_is(project: Project) -> None:
    project.keys["max_attempts"] = 3
    ledger = project.path / "ftgate-attempts.jsonl"
    gate = project.judge()
    assert (gate["attempt"]["number"], gate["verdict"]) == (1, "inconclusive")
    fill_in(project, RIGHT)
    gate = passed(project.judge())
    assert (gate["attempt"]["number"], len(read_jsonl(ledger))) == (1, 1)

    rows = read_jsonl(project.path / "inputs.jsonl")
    write_jsonl(project.path / "inputs.jsonl", [*rows, {"id": "u200", "input": "one more thing"}])
    for name in ("base.jsonl", "ft.jsonl"):
        write_jsonl(
            project.path / name,
            [*read_jsonl(project.path / name), {"id": "u200", "output": "refund"}],
        )
    assert project.judge()["attempt"]["number"] == 2


def test_a_missing_answer_to_an_input_is_an_error(project: Project) -> None:
    answers = read_jsonl(project.path / "ft.jsonl")
    write_jsonl(project.path / "ft.jsonl", answers[:-1])
    fill_in(project, RIGHT)
    mentions(check(project.judge(), "candidate_answers"), "1 of 260", "inputs.jsonl:200")


def test_a_malformed_baseline_is_counted_over_both_sets(project: Project) -> None:
    project.predictions("base.jsonl", 60, wrong_at=())
    project.predictions("ft.jsonl", 60, wrong_at=())
    sentence = lambda i: f"It is {label(i)}!" if i >= 160 else label(i)  # noqa: E731
    project.predictions("base.jsonl", N, prefix="u", add=True, output=sentence)
    project.predictions("ft.jsonl", N, prefix="u", add=True)
    fill_in(project, {row: label(row) for row in range(160, N)})
    form = check(project.judge(), "formatting_gain")
    assert form["status"] == "fail"
    mentions(form, "40 of 260 answers")


# --- how many labels would decide ----------------------------------------------------------------


def test_the_cure_of_an_inconclusive_gain_says_how_many_labels(project: Project) -> None:
    project.keys["unlabeled_set"] = ...
    project.predictions("ft.jsonl", 60, wrong_at=(0, 1, 2, *range(44, 60)))
    gate = project.judge(margin=0.01)
    cure = check(gate, "evidence")["cure"]
    needed = re.search(r"As unlabeled_set, ([\d,]+) inputs need only about ([\d,]+) labels", cure)
    assert needed is not None, cure
    inputs, labels = (int(number.replace(",", "")) for number in needed.groups())
    # Seven of 60 answers differ.
    assert labels == ceil(inputs * 7 / 60)
    assert "unlabeled_set" not in str(project.judge(margin=0.01, metric="f1_macro")["checks"])


def test_the_plan_says_how_many_inputs_and_labels_would_decide(project: Project) -> None:
    project.gate_test(unlabeled_set=...)
    text = words(project.run("--ftgate-plan"))
    needed = re.search(r"takes about (\d+) more examples. As unlabeled_set, (\d+) inputs", text)
    assert needed is not None, text
    assert needed[1] == needed[2]
    project.gate_test()
    assert "260 examples" in words(project.run("--ftgate-plan"))


@pytest.mark.parametrize("margin", [0.02, 0.03, 0.05, 0.08])
def test_so_many_examples_give_80_percent_power(project: Project, margin: float) -> None:
    project.gate_test(unlabeled_set=..., margin=margin)
    text = words(project.run("--ftgate-plan"))
    more = re.search(r"takes about (\d+) more examples", text)
    # Twice the margin is no whole number of 60 examples.
    asked: dict[str, Any] = {"margin": margin, "confidence": 0.95, "evidence": "significant"}
    n = 60 + int(more[1]) if more is not None else 60
    true = {"gain": 2 * margin, "disagreement": 2 * margin + 2 * 2 / 60}
    assert chances(n, **true, **asked).passed > 0.79
    assert more is None or chances(n - 10, **true, **asked).passed < 0.83


# --- the file to label ----------------------------------------------------------------------------


def written(project: Project, name: str = "todo.jsonl") -> list[dict[str, Any]]:
    project.gate_test()
    project.result = project.run(f"--ftgate-report=to_label:{name}")
    return read_jsonl(project.path / name) if name.endswith(".jsonl") else []


def test_the_file_to_label_is_blind_and_in_an_order_that_tells_nothing(project: Project) -> None:
    rows = written(project)
    assert {tuple(row) for row in rows} == {("id", "input", "expected")}
    assert {row["id"] for row in rows} == {f"u{row}" for row in DIFFERENT}
    assert {row["expected"] for row in rows} == {""}
    assert [row["id"] for row in rows] != sorted(
        (row["id"] for row in rows), key=lambda id_: int(id_[1:])
    )
    swapped = {"baseline": "recorded:ft.jsonl", "candidate": "recorded:base.jsonl"}
    project.keys.update(swapped)
    (project.path / "todo.jsonl").unlink()
    assert written(project) == rows


def test_a_second_run_keeps_what_is_filled_in(project: Project) -> None:
    rows = written(project)
    # Another candidate differs on one more input.
    project.predictions("ft.jsonl", 60, wrong_at=range(4))
    project.predictions("ft.jsonl", N, wrong_at=(0, 1, 2, 77), prefix="u", add=True)
    filled = [{**row, "expected": label(int(row["id"][1:]))} for row in rows[:20]] + rows[20:]
    write_jsonl(project.path / "todo.jsonl", filled)
    project.keys["unlabeled_set"] = WITH_LABELS
    assert written(project) == [
        *filled,
        {"id": "u77", "input": "other question 77", "expected": ""},
    ]
    text = (project.path / "todo.jsonl").read_bytes()
    written(project)
    assert (project.path / "todo.jsonl").read_bytes() == text


def test_the_walk_by_a_table(project: Project) -> None:
    written(project, "todo.csv")
    path = project.path / "todo.csv"
    lines = path.read_text().splitlines()
    assert lines[0] == "id,input,expected"
    filled = [f"{line}{label(int(line.split(',')[0][1:]))}" for line in lines[1:]]
    path.write_text("\n".join([lines[0], *filled]))
    project.keys["unlabeled_set"] = {"path": "inputs.jsonl", "labels": "todo.csv"}
    passed(project.judge())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("todo.jsonl", '{"text": "mine"}\n'),
        ("todo.csv", "a;b\n1;2\n"),
        ("todo.csv", "id;input;expected\n"),
    ],
)
def test_a_file_of_something_else_is_not_written_over(
    project: Project, name: str, text: str
) -> None:
    project.file(name, text)
    project.gate_test()
    result = project.run(f"--ftgate-report=to_label:{name}")
    result.stdout.fnmatch_lines([f"*to_label report could not be written: {name}*"])
    assert (project.path / name).read_text() == text


def test_other_suffixes_are_refused(project: Project) -> None:
    project.gate_test()
    assert project.run("--ftgate-report=to_label:todo.xlsx").ret == 4
