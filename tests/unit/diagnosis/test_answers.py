"""All answers side by side: what became of each example, how long it took, and which labels were mixed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from scored_runs import Answer, made
from scored_runs import scored as scored_of

from pytest_ftgate.metrics import metric as custom_metric
from pytest_ftgate.models import Completion
from pytest_ftgate.reports.html.evidence import Evidence, side_by_side
from pytest_ftgate.result import RowPair
from pytest_ftgate.runs.measure import Measured
from pytest_ftgate.text import LONGEST

LABELS = ["refund", "invoice"] * 3


def metric_of(name: str, custom: Any = None) -> Any:
    return made(LABELS, name, custom={name: custom} if custom else {})


def scored(metric: Any, *repeats: Sequence[Answer]) -> Measured:
    return scored_of(metric, LABELS[: len(repeats[0])], *repeats)


def answered(baseline: Sequence[Answer], candidate: Sequence[Answer] | None, metric: Any = None) -> Evidence:
    metric = metric or metric_of("accuracy")
    models = {"prompted": scored(metric, baseline)}
    if candidate is not None:
        models["candidate"] = scored(metric, candidate)
    return side_by_side(metric, models, "prompted")


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "exact_match"])
def test_what_became_of_each_example(name: str) -> None:
    found = answered(
        ["refund", "invoice", "x", "x", "x", "x"], ["refund", "x", "refund", "y", "x", "x"], metric_of(name)
    )
    changes = [(row[3], row[4][1], row[5][1]) for row in found.rows]
    assert changes == [("broken", "right", "wrong"), ("fixed", "wrong", "right"), *3 * [("wrong", "wrong", "wrong")],
                       ("right", "right", "right")]  # fmt: skip


@pytest.mark.parametrize("greater_is_better", [True, False])
def test_grades_are_better_or_worse(greater_is_better: bool) -> None:
    @custom_metric(low=0, high=1, greater_is_better=greater_is_better)
    def length(expected: Any, output: str) -> float:
        return len(output) / 10

    found = answered(["a" * 9, "a", "aa"], ["a" * 8, "aa", "aa"], metric_of("length", length))
    lost, gained, same = found.rows
    assert (lost[3], gained[3]) == ("broken", "fixed")
    assert (lost[4][2].partition("score ")[2], gained[4][2].partition("score ")[2]) == (
        ("0.9", "0.1") if greater_is_better else ("0.1", "0.9")
    )
    assert same[3] == ("wrong" if greater_is_better else "right")


def test_of_repeats_the_first_is_shown_and_all_are_counted() -> None:
    metric = metric_of("accuracy")
    models = {"prompted": scored(metric, ["refund"] * 2, ["x"] * 2), "candidate": scored(metric, ["refund"] * 2)}
    found = side_by_side(metric, models, "prompted")
    text, _, said, _ = found.rows[0][4]
    assert (found.repeats, found.rows[0][3], text, said.partition(" ")[2]) == (2, "fixed", "refund", "· score 0.5")


def test_times_and_tokens_are_those_that_are_known() -> None:
    timed = [Completion("refund", 100, 1, latency_s=0.5), Completion("invoice", latency_s=1.5), Completion("refund")]
    known = {row[4][2] for row in answered(timed, ["refund"] * 3).rows}
    assert known == {"right · 500 ms · 1 token", "right · 1.5 s", "right"}


def test_before_training_there_is_a_baseline_alone() -> None:
    found = answered(["refund", "x"], None)
    assert [(row[5], row[3]) for row in found.rows] == [(None, "wrong"), (None, "right")]


def test_text_is_harmless_and_cut() -> None:
    found = answered(["\x1b[31m\u202e\ud800\n" + "x" * 1_000_000], ["refund"])
    text = found.rows[0][4][0]
    assert len(text) == LONGEST
    assert text.startswith("\\x1b[31m\\u202e\\ud800\nx")


@pytest.mark.parametrize("candidate", [None, ["refund", Completion("", finish="cut_off")]])
def test_another_process_reads_the_same(candidate: Sequence[Answer] | None) -> None:
    found = answered([Completion("refund", 1, 2, latency_s=0.5), "\ud83d \u2028"], candidate)
    prompts, near = {"baseline": "[user]\n?"}, (RowPair("a:1", "x", "b:2", "y"),)
    evidence = replace(found, prompts=prompts, near_duplicates=near)
    assert Evidence.from_json(evidence.to_json()) == evidence
