"""Why a gate failed and what to do about it, on whole gates. Each rule's near miss: tests/unit/diagnosis."""

from typing import Any

import pytest
from gate_project import Project, block, check, ends, label


def actions(gate: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(one["action"] for one in gate["advice"]))


@pytest.mark.parametrize(
    ("asked", "rows", "tests", "goal", "said"),
    [
        ("training", 150, 60, "knowledge", ["add_examples", "retrieval"]),
        ("customer", 3, 40, "reasoning", ["fix_data", "add_examples", "add_examples", "another_model"]),
    ],
)
def test_advice_of_free_checks(project: Project, asked: str, rows: int, tests: int, goal: str, said: Any) -> None:
    project.training_set(0, [{"input": f"{asked} question {i}", "expected": label(i)} for i in range(rows)])
    project.test_set(tests)
    gate = ends(project.judge(goal=goal), "fail")
    assert (gate["models_called"], gate["diagnosis"]) == (False, None)
    assert [one["action"] for one in gate["advice"]] == said
    lines = block(gate)
    assert len([line for line in lines if line.startswith(("  1. ", "  2. ", "  3. ", "  4. "))]) <= 3
    assert all(sum(one["text"] in line for line in lines) == 1 for one in gate["advice"] if one["action"] != "fix_data")


def test_a_candidate_that_misses_the_form_is_asked_otherwise_and_not_dropped(project: Project) -> None:
    project.predictions("ft.jsonl", 60, output=lambda i: f"The answer is {label(i)}." if i < 40 else label(i))
    gate = ends(project.judge(), "fail")
    assert (actions(gate), len(gate["advice"])) == (["measure_again"], 1)
    assert gate["diagnosis"]["candidate"] == {"right": 20, "malformed": 40}
    assert [one["name"] for one in gate["checks"] if one["status"] == "fail"] == ["margin"]
    assert check(gate, "margin")["advice"] == gate["advice"][0]["text"]
    project.predictions("ft.jsonl", 60, output=lambda i: f"It is {label(i)}." if 20 < i < 41 else label(i + (i < 21)))
    gate = ends(project.judge(), "fail")
    assert actions(gate)[:3] == ["stop", "measure_again", "fix_data"]
    assert check(gate, "margin")["advice"] == gate["advice"][0]["text"]
