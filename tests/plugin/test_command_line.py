"""``python -m pytest_ftgate``: exit statuses, what is said and written, and that this then works."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from gate_project import Project

from pytest_ftgate.cli.commands import main

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs a command in the project's folder."""

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(project.path)
        capsys.readouterr()
        try:
            status = main(args)
        except SystemExit as left:
            status = int(left.code or 0)
        return subprocess.CompletedProcess(args, status, *capsys.readouterr())

    return run


@pytest.mark.parametrize("args", [(), ("judge",), ("compare",), ("schema", "--wrong")])
def test_bad_usage_is_said(command: Command, args: tuple[str, ...]) -> None:
    result = command(*args)
    assert result.returncode == 2
    assert "usage: python -m pytest_ftgate" in result.stderr


def test_reports_of_two_runs_are_compared(project: Project, command: Command) -> None:
    project.gate_test(name="support")
    project.run("--ftgate-report=json:before.json")
    same = command("compare", "before.json", "before.json")
    assert (same.returncode, same.stderr) == (0, "")
    assert same.stdout.splitlines()[-1] == "no gate got worse (1 gate compared)"
    project.predictions("ft.jsonl", 60, wrong_at=range(30, 60))
    project.gate_test(name="support", margin=0.01)
    project.run("--ftgate-report=json:after.json")
    result = command("compare", "before.json", "after.json")
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "1 gate got worse: support"
    assert command("compare", "after.json", "before.json").returncode == 0


def test_what_cannot_be_compared_is_one_line(project: Project, command: Command) -> None:
    project.file("r.json", '{"version": 1, "gates": []}')
    result = command("compare", "r.json", "other.json")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "pytest_ftgate compare: other.json: no such file. Write one: python -m pytest --ftgate-report=json:PATH\n"
    )


def test_a_gate_that_init_wrote_judges(project: Project, command: Command) -> None:
    result = command("init", "--baseline", "recorded:base.jsonl", "--candidate", "recorded:ft.jsonl")
    assert result.returncode == 0, result.stderr
    assert "labels refund 20, invoice 20, shipping 20" in result.stdout
    assert result.stdout.splitlines()[-1] == "            3. python -m pytest test_finetune.py"
    gate = project.gate("test_finetune.py", apart=True)
    assert (gate["name"], gate["verdict"], project.result.ret) == ("finetune", "pass", 0)
    assert project.run_apart("-k", "nothing").ret == 1  # the gate is an obligation
    assert project.run_apart("--collect-only").ret == 0  # as editors collect tests
    again = command("init")
    assert again.returncode == 2
    assert again.stderr.startswith("pytest_ftgate init: ftgate.yaml: the file exists")


def test_a_log_that_takes_only_ascii_gets_one(project: Project) -> None:
    project.test_set(60, expected=lambda i: ("größer", "kleiner")[i % 2])
    result = subprocess.run(
        [sys.executable, "-m", "pytest_ftgate", "init"], env={**os.environ, "PYTHONIOENCODING": "ascii"},
        cwd=project.path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert rb"gr\xf6\xdfer 30" in result.stdout
