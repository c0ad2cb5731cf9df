"""``python -m pytest_ftgate``: exit statuses, what is said and written, and that this then works."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from gate_project import Project

from pytest_ftgate.cli.commands import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(project: Project, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs a command, and gives its exit status, its output, and what it says of errors."""

    def run(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = main(args)
        except SystemExit as left:
            status = int(left.code or 0)
        return status, *capsys.readouterr()

    return run


@pytest.mark.parametrize("args", [(), ("judge",), ("compare",), ("schema", "--wrong")])
def test_bad_usage_is_said(command: Command, args: tuple[str, ...]) -> None:
    status, _, errors = command(*args)
    assert status == 2
    assert "usage: python -m pytest_ftgate" in errors


def test_reports_of_two_runs_are_compared(project: Project, command: Command) -> None:
    project.gate_test(name="support")
    project.run("--ftgate-report=json:before.json")
    status, output, errors = command("compare", "before.json", "before.json")
    assert (status, output.splitlines()[-1], errors) == (
        0,
        "no gate got worse (1 gate compared)",
        "",
    )
    assert command("compare", "before.json", "other.json") == (
        2,
        "",
        "pytest_ftgate compare: other.json: no such file. Write one: python -m pytest --ftgate-report=json:PATH\n",
    )
    project.predictions("ft.jsonl", 60, wrong_at=range(30, 60))
    project.gate_test(name="support", margin=0.01)
    project.run("--ftgate-report=json:after.json")
    status, output, _ = command("compare", "before.json", "after.json")
    assert (status, output.splitlines()[-1]) == (1, "1 gate got worse: support")
    assert command("compare", "after.json", "before.json")[0] == 0


def test_a_gate_that_init_wrote_judges(project: Project, command: Command) -> None:
    status, output, errors = command(
        "init", "--baseline", "recorded:base.jsonl", "--candidate", "recorded:ft.jsonl"
    )
    assert status == 0, errors
    assert "labels refund 20, invoice 20, shipping 20" in output
    assert output.splitlines()[-1] == "            3. python -m pytest test_finetune.py"
    gate = project.gate("test_finetune.py", apart=True)
    assert (gate["name"], gate["verdict"], project.result.ret) == ("finetune", "pass", 0)
    assert project.run_apart("-k", "nothing").ret == 1  # the gate is an obligation
    assert project.run_apart("--collect-only").ret == 0  # as editors collect tests
    status, _, errors = command("init")
    assert (status, errors.partition(" exists")[0]) == (
        2,
        "pytest_ftgate init: ftgate.yaml: the file",
    )


def test_a_log_that_takes_only_ascii_gets_one(project: Project) -> None:
    project.test_set(60, expected=lambda i: ("größer", "kleiner")[i % 2])
    result = subprocess.run(
        [sys.executable, "-m", "pytest_ftgate", "init"], env={**os.environ, "PYTHONIOENCODING": "ascii"},
        cwd=project.path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert rb"gr\xf6\xdfer 30" in result.stdout
