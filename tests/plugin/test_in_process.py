"""A gate that is judged without pytest is judged as pytest judges it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from endpoint_project import EndpointProject, untimed
from gate_project import Project, block
from loopback import LoopbackServer

HOOKS = (
    "import pytest_ftgate\n"
    "def pytest_ftgate_metrics(): return {'same': pytest_ftgate.metric(\n"
    "    low=0, high=1, greater_is_better=True)(lambda expected, answer: float(expected == answer))}\n"
)
BOTH = {"small": "recorded:base.jsonl", "large": "recorded:ft.jsonl"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"margin": 3, "confidence": 7, "margn": 0},
        {"candidate": ..., "stage": "ready"},
        {"metric": "same"},
        {"baseline": "small", "margin": ...},
    ],
    ids=str,
)
def test_a_mark(project: Project, changes: dict[str, Any]) -> None:
    project.file("conftest.py", HOOKS)
    project.gate_file(f"version: 1\nmodels: {BOTH}\ndefaults: {{margin: 0.1}}\n")
    project.gate_test(**changes)
    gate = project.whole()
    assert project.judge(**changes) == gate
    assert set(block(gate)[1:]) <= set(project.result.outlines)


@pytest.mark.parametrize("name", ["support", "suport"])
def test_a_gate_of_the_file_that_a_mark_loosens(project: Project, name: str) -> None:
    project.gate_file(yaml.safe_dump({"version": 1, "gates": {"support": project.keys}}))
    project.file(
        "test_gate.py", f"import pytest\n\n\n@pytest.mark.ftgate({name!r}, margin=0.01)\ndef test_gate(): pass\n"
    )
    gate = project.whole()
    assert bool(gate["loosened"]) is (name == "support")
    assert project.judge(name, margin=0.01) == gate


@pytest.mark.usefixtures("no_ambient_settings")
def test_models_that_are_called(tmp_path: Path, pytester: pytest.Pytester, server: LoopbackServer) -> None:
    elsewhere = EndpointProject(tmp_path, server)
    elsewhere.gate_test()
    apart = elsewhere.judge()
    project = EndpointProject(pytester, server)
    project.gate_test()
    assert untimed(apart) == untimed(project.whole())
    project.forget()
    assert project.judge(stored=True, offline=True)["verdict"] == "pass"
    assert not server.requests
