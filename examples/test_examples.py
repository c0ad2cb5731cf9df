"""Run every example as its README says, each as the project of its own that it is: ``pytest examples``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
EXAMPLES = sorted(path.parent.name for path in FOLDER.glob("*/test_gate.py"))


def pytest_in(example: str, file: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", file]
    return subprocess.run(command, cwd=FOLDER / example, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_fine_tune_is_worth_it(example: str) -> None:
    done = pytest_in(example, "test_gate.py")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_other_gates_are_refused(example: str) -> None:
    done = pytest_in(example, "test_refused.py")
    assert done.returncode == 1, done.stdout
    assert " passed" not in done.stdout.splitlines()[-1]
