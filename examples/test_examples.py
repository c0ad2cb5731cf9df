"""Run every example as its README says, each as a project of its own: ``pytest examples``."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
GATES = sorted(path.relative_to(FOLDER) for path in FOLDER.glob("*/test_*.py"))

NEEDS = {"shipped": ("torch", "transformers", "peft", "gguf", "xllamacpp")}  # packages, by example


def pytest_of(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", path.name]
    return subprocess.run(
        command, cwd=FOLDER / path.parent, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("path", GATES, ids=str)
def test_gates_pass_but_those_that_are_to_be_refused(path: Path) -> None:
    missing = [name for name in NEEDS.get(path.parts[0], ()) if find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install -e . --group {path.parts[0]}")

    done = pytest_of(path)
    if path.name != "test_refused.py":
        assert done.returncode == 0, done.stdout
    else:
        assert done.returncode == 1, done.stdout
        assert " passed" not in done.stdout.splitlines()[-1]
