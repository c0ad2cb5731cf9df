"""Run every option of the simulations in benchmarks/, whose figures the documentation quotes."""

import importlib
import re
from typing import Any

import pytest
from doc_pages import ROOT


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


SOURCE = (ROOT / "benchmarks" / "evidence.py").read_text(encoding="utf-8")
OPTIONS = re.findall(r"^    --(?!quick)(\w+) ", SOURCE, flags=re.MULTILINE)
PROGRAMS = [
    ("evidence",),
    *(("evidence", f"--{option}") for option in OPTIONS),
    ("limits",),
    ("more_data",),
    ("rare_labels",),
    ("unlabeled",),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_each_table_has_rows(program: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    name, *options = program
    module: Any = importlib.import_module(name)
    module.main([*options, "--quick"])
    tables = capsys.readouterr().out.split("| --- |\n")
    assert len(tables) > 1
    assert all(table.startswith("| ") for table in tables[1:])
