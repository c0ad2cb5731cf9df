"""Several answers per example: averaged within it, their noise split and shown."""

from __future__ import annotations

import pytest
from gate_project import Project, check, label, write_jsonl, wrong


def repeated(project: Project, name: str, n: int, wrong_at: set[tuple[int, int]], repeats: int = 2) -> None:
    rows = [
        {"id": f"t{i}", "repeat": k, "output": wrong(i) if (i, k) in wrong_at else label(i)}
        for i in range(n)
        for k in range(repeats)
    ]
    write_jsonl(project.path / name, rows)


def test_repeats_are_averaged_within_an_example(project: Project) -> None:
    repeated(project, "base.jsonl", 60, {(i, k) for i in range(20) for k in range(2)} | {(i, 0) for i in range(20, 30)})
    repeated(project, "ft.jsonl", 60, {(59, 0)})
    project.gate_test(repeats=2)
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert gate["baseline"]["value"] == pytest.approx(70 / 120)
    assert gate["candidate"]["n_expected"] == 120
    assert gate["n"] == 60
    assert check(gate, "repeats")["message"].startswith("2 answers per example: standard deviation of the difference")
    assert check(gate, "repeats")["advice"] is None


def test_thin_evidence_says_how_many_repeats_or_examples_would_do(project: Project) -> None:
    noisy = {(i, i % 2) for i in range(36)}
    repeated(project, "base.jsonl", 60, noisy)
    repeated(project, "ft.jsonl", 60, {(i, (i + 1) % 2) for i in range(29)})
    project.gate_test(repeats=2)
    gate = project.gate()
    assert gate["verdict"] == "inconclusive"
    assert "more repeat" in check(gate, "repeats")["advice"]
    assert "more examples would settle it" in check(gate, "repeats")["advice"]


def test_set_level_metrics_take_repeats_too(project: Project) -> None:
    repeated(project, "base.jsonl", 60, {(i, k) for i in range(20) for k in range(2)})
    repeated(project, "ft.jsonl", 60, {(59, 0)})
    project.gate_test(repeats=2, metric="f1_macro")
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "repeats")["status"] == "note"


def test_a_missing_repeat_is_a_missing_answer(project: Project) -> None:
    repeated(project, "base.jsonl", 60, set())
    repeated(project, "ft.jsonl", 60, set(), repeats=1)
    project.gate_test(repeats=2)
    gate = project.gate()
    assert gate["verdict"] == "error"
    assert gate["candidate"]["n_errors"] == 60
