"""Why a gate failed and what to do about it, on whole gates. Each sentence's near miss: tests/unit/diagnosis."""

from typing import Any

import pytest
from gate_project import Project, block, check, ends, label


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
    failed = {
        check["name"]: check["advice"] for check in gate["checks"] if check["status"] == "fail"
    }
    assert names <= set(failed)
    printed = " ".join(line.strip() for line in block(gate))
    assert all(printed.count(" ".join(advice.split())) == 1 for advice in failed.values())


def cure_of_the_margin(gate: dict[str, Any]) -> str:
    ends(gate, "fail")
    assert [check["name"] for check in gate["checks"] if check["status"] == "fail"] == ["margin"]
    return str(check(gate, "margin")["advice"])


def test_a_candidate_that_misses_the_form_is_not_dropped(project: Project) -> None:
    project.predictions(
        "ft.jsonl", 60, output=lambda i: f"The answer is {label(i)}." if i < 40 else label(i)
    )
    gate = project.judge()
    assert "Look at the wrong answers" in cure_of_the_margin(gate)
    assert gate["diagnosis"]["candidate"] == {"right": 20, "malformed": 40}
    project.predictions(
        "ft.jsonl",
        60,
        output=lambda i: f"It is {label(i)}." if 20 < i < 41 else label(i + (i < 21)),
    )
    assert "upper bound" in cure_of_the_margin(project.judge())
