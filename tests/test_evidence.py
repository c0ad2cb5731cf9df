"""Run every option of benchmarks/evidence.py, whose tables docs/methods.md quotes."""

import importlib
from typing import Any

import pytest
from doc_pages import ROOT

OPTIONS = [
    "enumerate",
    "graded",
    "sets",
    "groups",
    "drops",
    "plan",
    "adversarial",
    "plain",
    "power",
]


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("evidence")


@pytest.mark.parametrize("options", [[], *([f"--{option}"] for option in OPTIONS)], ids=str)
def test_each_table_has_rows(
    evidence: Any, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    evidence.main([*options, "--quick"])
    tables = capsys.readouterr().out.split("| --- |\n")
    assert len(tables) > 1
    assert all(table.startswith("| ") for table in tables[1:])


def test_no_option_is_left_out(evidence: Any) -> None:
    assert {*evidence.TABLES} - {*OPTIONS} <= {"repeated"}
