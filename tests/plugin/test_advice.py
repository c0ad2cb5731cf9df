"""Why a gate failed and what to do about it, on whole gates. Each rule's near miss: tests/unit/diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gate_project import LABELS, Project, block, check, ends, label, mentions, passed, statuses

N = 60


def answers(project: Project, name: str, answer: Callable[[int], str], **fields: Any) -> None:
    project.predictions(name, N, output=answer, **fields)


def actions(gate: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(one["action"] for one in gate["advice"]))


def advice(gate: dict[str, Any], action: str) -> dict[str, Any]:
    """Return the one piece of advice of this kind, as a check has it: for ``mentions``."""
    (found,) = [one for one in gate["advice"] if one["action"] == action]
    return {"message": found["fact"], "advice": found["text"]}


def shows(gate: dict[str, Any], part: str, *, verbose: bool = False) -> bool:
    return any(part in line for line in block(gate, verbose=verbose))


# --- the diagnosis -------------------------------------------------------------------------------------------


def test_a_green_gate_gets_a_diagnosis_and_no_advice(project: Project) -> None:
    gate = passed(project.judge())
    assert gate["diagnosis"]["fixed"] == [f"test.jsonl:{i + 1}" for i in range(40, 58)]
    assert (gate["advice"], gate["diagnosis"]["recalled"]) == ([], 0)
    assert not shows(gate, "more advice", verbose=True)
    assert [shows(gate, "4 answers", verbose=verbose) for verbose in (False, True)] == [False, True]


# --- the advice ----------------------------------------------------------------------------------------------


def test_a_candidate_that_breaks_as_much_as_it_fixes(project: Project) -> None:
    project.predictions("ft.jsonl", N, wrong_at=range(20))
    project.gate_test()
    gate = project.whole()
    assert (gate["verdict"], actions(gate)[0]) == ("fail", "fix_data")
    assert any("20" in one["fact"] and "broken" in one["text"] for one in gate["advice"])
    project.result.stdout.fnmatch_lines(["more advice*", "  1. fix data: *", f"*{gate['advice'][0]['fact']}*"])


def test_a_label_that_was_hardly_trained(project: Project) -> None:
    rows = [
        {"input": f"training question {i}", "expected": LABELS[1 + i % 2] if i > 4 else "refund"} for i in range(200)
    ]
    project.training_set(0, rows)
    project.predictions("base.jsonl", N, wrong_at=range(0, 60, 3))
    answers(project, "ft.jsonl", lambda i: "shipping" if label(i) == "refund" else label(i))
    mentions(advice(ends(project.judge(), "fail"), "add_examples"), "92", "'refund'", "5", "97", "0 of 20")
    project.training_set(200)  # as many of each
    assert "add_examples" not in actions(ends(project.judge(), "fail"))


@pytest.mark.parametrize(
    ("asked", "rows", "tests", "goal", "said"),
    [
        ("training", 150, N, "knowledge", ["add_examples", "retrieval"]),
        ("customer", 3, 40, "reasoning", ["fix_data", "add_examples", "add_examples", "another_model"]),
    ],
)
def test_advice_of_free_checks_needs_no_call_and_is_printed_once(
    project: Project, asked: str, rows: int, tests: int, goal: str, said: list[str]
) -> None:
    project.training_set(0, [{"input": f"{asked} question {i}", "expected": label(i)} for i in range(rows)])
    project.test_set(tests)
    gate = ends(project.judge(goal=goal), "fail")
    assert (gate["models_called"], gate["diagnosis"]) == (False, None)
    assert [one["action"] for one in gate["advice"]] == said
    lines = block(gate)
    assert len([line for line in lines if line.startswith(("  1. ", "  2. ", "  3. ", "  4. "))]) <= 3
    assert all(sum(one["text"] in line for line in lines) == 1 for one in gate["advice"] if one["action"] != "fix_data")


# --- answers that say nothing, and gates that failed for something else ---------------------------------------


def test_a_candidate_that_misses_the_form_is_asked_otherwise_and_not_dropped(project: Project) -> None:
    answers(project, "ft.jsonl", lambda i: f"The answer is {label(i)}." if i < 40 else label(i))
    gate = ends(project.judge(), "fail")
    assert (actions(gate), len(gate["advice"])) == (["measure_again"], 1)
    assert gate["diagnosis"]["candidate"] == {"right": 20, "wrong_format": 40}
    assert [one["name"] for one in gate["checks"] if one["status"] == "fail"] == ["formatting_gain", "margin"]
    mentions(check(gate, "formatting_gain"), "40", "The answer is refund.", "pattern: ")
    assert check(gate, "margin")["advice"] is None
    answers(project, "ft.jsonl", lambda i: label(i + (i < 21)) if not 20 < i < 41 else f"It is {label(i)}.")
    gate = ends(project.judge(), "fail")
    assert actions(gate)[:2] == ["stop", "fix_data"]
    assert check(gate, "margin")["advice"] == gate["advice"][0]["text"]


@pytest.mark.parametrize(
    ("said", "actions_told"),
    [("It is {}.", ["measure_again"]), ("", ["measure_again"]), (None, ["stop", "fix_data"])],
)
def test_a_smaller_model_that_misses_the_form_or_says_nothing_is_asked_otherwise_too(
    project: Project, said: str | None, actions_told: list[str]
) -> None:
    answers(project, "base.jsonl", label, latency_s=0.4)
    missed: Callable[[int], str] = lambda i: label(i + 1) if said is None else said.format(label(i))  # noqa: E731
    answers(project, "ft.jsonl", lambda i: missed(i) if i < 20 else label(i), latency_s=0.1)
    gate = ends(project.judge(max_drop=0.05, faster_by=2, margin=...), "fail")
    assert actions(gate) == actions_told
    first = gate["advice"][0]["text"] if said != "It is {}." else None  # which the check of the form says
    assert check(gate, "max_drop")["advice"] == first


def test_where_an_average_over_labels_is_not_sure_the_rarest_labels_are_named(project: Project) -> None:
    rare = {0: "refund", 1: "invoice", 2: "invoice"}
    project.test_set(N, expected=lambda i: rare.get(i, "shipping"))
    right = lambda i: rare.get(i, "shipping")  # noqa: E731
    answers(project, "base.jsonl", lambda i: "shipping" if i < 2 else "invoice" if i < 5 else right(i))
    answers(project, "ft.jsonl", right)
    gate = ends(project.judge(metric="f1_macro", checks={"weak_baseline": "warn"}), "inconclusive")
    mentions(check(gate, "evidence"), "'refund' (1)", "'invoice' (2)")


def test_no_broken_examples_are_to_be_looked_at_where_none_is_broken(project: Project) -> None:
    project.predictions("ft.jsonl", N, wrong_at=range(42, 60))  # 2 fixed, and 18 as wrong as before
    gate = ends(project.judge(), "fail")
    assert "broken" not in check(gate, "margin")["advice"]
    mentions(advice(gate, "another_model"), "18")
    project.predictions("ft.jsonl", N, wrong_at=(0, *range(42, 60)))
    assert "broken" in check(ends(project.judge(), "fail"), "margin")["advice"]


def test_a_gate_that_failed_for_another_bound_hears_nothing_of_labels(project: Project) -> None:
    """20 fixed, 10 broken, and all of refunds."""
    answers(project, "ft.jsonl", lambda i: label(i + (i < 30 and i % 3 == 0)), latency_s=0.2)
    slow = {"latency_p50_s": {"max": 0.001}}
    gate = ends(project.judge(thresholds=slow, evidence="observed"), "fail")
    assert actions(gate) == ["cut_costs"]
    assert gate["advice"][0]["fact"].startswith("thresholds.latency_p50_s: ")
    gate = ends(project.judge(thresholds=slow, margin=0.2), "fail")
    assert actions(gate)[0] == "fix_data"
    assert "cut_costs" in actions(gate)


def test_a_bound_on_the_form_says_which_rules_are_broken_and_what_to_do(project: Project) -> None:
    metric = ["accuracy", {"name": "format", "allowed": ["refund", "invoice"]}]
    gate = ends(project.judge(metric=metric, thresholds={"format": {"min": 0.9}}), "fail")
    assert (actions(gate), shows(gate, "allowed ")) == (["better_prompt"], True)
    gate = ends(project.judge(metric=metric, thresholds={"format": {"min": 0.1}}, margin=0.5), "fail")
    assert not shows(gate, "failing rules")


def test_the_confusion_that_advice_rests_on_is_shown(project: Project) -> None:
    labels = ("a", "b", "c", "d", "e")
    project.test_set(N, expected=lambda i: labels[i % 5])

    def usual(i: int) -> str:
        return {"a": "b", "b": "c", "c": "d"}.get(labels[i % 5], labels[i % 5])

    answers(project, "base.jsonl", usual)
    answers(project, "ft.jsonl", lambda i: "e" if labels[i % 5] == "d" and i < 30 else usual(i))
    gate = ends(project.judge(checks={"weak_baseline": "warn"}), "fail")
    fact = next(one["fact"] for one in gate["advice"] if one["action"] == "fix_data")
    assert all(part in fact for part in ("'e'", "'d'", "6", "0"))
    assert shows(gate, "'a' -> 'b'", verbose=True)
    assert shows(gate, "'d' -> 'e': baseline 0, candidate 6", verbose=True)


# --- a gain that is knowledge --------------------------------------------------------------------------------


def clinic(project: Project, *, right: int, told: bool = False) -> None:
    """Who runs a ward: the training set says it of every one, the prompted model knows 20 of 60."""

    def person(i: int) -> str:
        return f"Doctor Number{i % N}"

    def ward(i: int) -> str:
        return f"who runs ward {i}?" + (f" It is {person(i)}, or is it somebody else?" if told else "")

    project.test_set(N, input=ward, expected=person)
    rows = [{"input": f"ward {i % N}, version {i // N}: who is its head?", "expected": person(i)} for i in range(240)]
    project.training_set(0, rows)
    answers(project, "base.jsonl", lambda i: person(i) if i < 20 else "nobody")
    answers(project, "ft.jsonl", lambda i: person(i) if i < right else "nobody")


@pytest.mark.parametrize(("right", "told", "recalled"), [(30, False, True), (30, True, False), (24, False, False)])
def test_answers_that_were_taught_and_are_not_in_the_question_smell_of_knowledge(
    project: Project, right: int, told: bool, recalled: bool
) -> None:
    """Four fixed examples are too few to tell."""
    clinic(project, right=right, told=told)
    gate = ends(project.judge(margin=0.3), "fail")
    assert ("retrieval" in actions(gate), "knowledge" in statuses(gate)) == (recalled, recalled)
    if recalled:
        mentions(advice(gate, "retrieval"), "RAG", "10")
        assert gate["diagnosis"]["recalled"] == 10


def test_a_green_gate_is_warned_of_it_too(project: Project) -> None:
    clinic(project, right=60)
    gate = passed(project.judge())
    found = check(gate, "knowledge")
    assert (found["status"], found["observed"], gate["advice"]) == ("warning", 40, [])
    mentions(found, "RAG")


def test_labels_of_any_text_do_no_harm(project: Project) -> None:
    hostile = "\x1b[2J::error::" + "x" * 100_000

    def hostile_label(index: int) -> str:
        return f"{hostile}{index % 3}"

    project.test_set(N, expected=hostile_label)
    answers(project, "base.jsonl", lambda i: hostile_label(i if i < 40 else i + 1))
    answers(project, "ft.jsonl", lambda i: hostile_label(i if i % 3 else i + 1))
    project.gate_test()
    gate = project.whole("-v")
    assert (gate["verdict"], gate["advice"][0]["action"]) == ("fail", "fix_data")
    text = project.result.stdout.str()
    assert "\x1b" not in text
    assert max(map(len, project.result.outlines)) < 5_000
    assert "\n::error" not in text
