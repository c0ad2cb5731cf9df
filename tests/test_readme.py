"""Every block of README does what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from gate_project import Project

ROOT = Path(__file__).parents[1]
EXECUTED = {"sh", "python", "yaml", "ini", "console", "text"}


class Block(NamedTuple):
    language: str
    file: str | None
    text: str


def blocks() -> list[Block]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", readme, flags=re.MULTILINE | re.DOTALL)
    return [Block(language, file or None, text) for language, file, text in found]


def named(file: str) -> str:
    (text,) = [block.text for block in blocks() if block.file == file]
    return text


def of(language: str) -> list[str]:
    return [block.text for block in blocks() if block.language == language and block.file is None]


def test_every_block_is_of_a_kind_that_is_run_here() -> None:
    assert {block.language for block in blocks()} == EXECUTED
    assert sorted(block.file for block in blocks() if block.file) == [
        "conftest.py", "ftgate.yaml", "pytest.ini", "test_function.py", "test_intents.py", "test_orders.py",
    ]  # fmt: skip
    assert [len(of(language)) for language in ("sh", "text", "console", "ini")] == [4, 1, 1, 1]


def in_a_terminal(command: list[str], *, columns: int) -> tuple[int, str]:
    """Exit status, and what a terminal of so many columns is shown, without colours."""
    pty = pytest.importorskip("pty", reason="there is no pseudo terminal")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns)}
    with subprocess.Popen([*command, "--color=no"], cwd=ROOT, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        printed = b""
        try:
            while part := os.read(ours, 65536):
                printed += part
        except OSError:  # Linux says so that the other end is closed
            pass
        status = process.wait(120)
    os.close(ours)
    return status, printed.decode()


def test_the_main_command_judges_a_gate_and_prints_what_is_shown() -> None:
    main, *_ = of("sh")
    install, run = main.strip().split(" && ")
    assert install == 'pip install -e ".[example]"'
    command = run.replace("python", sys.executable, 1).split()
    status, printed = in_a_terminal([*command, "-p", "no:cacheprovider"], columns=80)
    assert status == 0, printed
    (shown,) = of("text")
    lines = [" ".join(line.split()) for line in printed.splitlines()]  # how wide a column is depends on its times
    for line in shown.splitlines():
        if line.strip() == "...":
            continue
        stable = " ".join(re.split(r"\s+\d+\s+\d+ ms", line)[0].split())  # times differ, and what was stored
        found = [i for i, one in enumerate(lines) if one == stable or (" ms" in line and one.startswith(stable))]
        assert found, stable
        lines = lines[found[0] + 1 :]  # in the order in which they are shown


def test_the_test_command_is_what_our_own_gate_runs() -> None:
    _, tests, *_ = of("sh")
    assert "readme_command 2" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert tests == 'pip install -e ".[test]" && python -m pytest -n auto\n'


def test_the_schema_is_where_the_command_says() -> None:
    command = of("sh")[2].replace("python", sys.executable, 1)
    result = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=60, check=True)
    schema = json.loads(Path(result.stdout.strip()).read_text(encoding="utf-8"))
    assert "gates" in schema["properties"]


def test_the_commands_begin_a_gate_and_compare_reports(project: Project) -> None:
    project.gate_test(name="finetune", margin=0.02)
    project.run_apart("--ftgate-report=json:before.json")
    for line in of("sh")[3].splitlines():
        done = subprocess.run(
            shlex.split(line.replace("python", sys.executable, 1)),
            cwd=project.path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert "stricter  margin: 2 points -> 5 points" in done.stdout


def test_recorded_models_in_a_mark(project: Project) -> None:
    project.file("test_orders.py", named("test_orders.py"))
    project.run().assert_outcomes(passed=1)


def test_a_function_as_candidate(project: Project) -> None:
    project.file("test_function.py", named("test_function.py"))
    project.run().assert_outcomes(passed=1)


def test_the_gate_file_and_its_test(project: Project) -> None:
    """The same keys, with recorded models in place of those that need a key."""
    text = named("ftgate.yaml")
    project.file("prompts/intents.md", "Answer with one label.")
    models = text[text.index("models:") : text.index("gates:")]
    recorded = 'models: {prompted: "recorded:base.jsonl", tuned: "recorded:ft.jsonl"}\n'
    project.file("ftgate.yaml", text.replace(models, recorded))
    project.file("test_intents.py", named("test_intents.py"))
    project.file("pytest.ini", named("pytest.ini"))
    project.file("conftest.py", named("conftest.py"))
    result = project.run_apart("-s")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*intents pass*"])
    assert project.run_apart("-k", "nothing").ret == 1


def test_the_gate_file_is_valid_as_it_stands(project: Project) -> None:
    from pytest_ftgate.config import load_gate_file, resolve_gate

    file = load_gate_file(project.file("ftgate.yaml", named("ftgate.yaml")))
    config = resolve_gate(file.layers("intents"), file=file, gate="intents", default_name="x")
    assert config.candidate.spelling == "openai:ft:gpt-4.1-mini:acme::abc123"
    assert file.models["local"].options["params"] == {"temperature": 0}


def test_the_hooks_are_called(project: Project) -> None:
    project.file("conftest.py", named("conftest.py"))
    project.gate_test(baseline="shout:x", metric="exact_match", show=["brevity"], allow_weak_baseline="a stub")
    gate = project.gate("-s")
    assert gate["candidate"]["metrics"]["brevity"] == 1.0
    assert gate["verdict"] == "pass"


def test_ci_without_a_key(project: Project) -> None:
    (ini,) = of("ini")
    (console,) = of("console")
    record, judge = (line.removeprefix("$ python -m pytest ").split() for line in console.splitlines())
    project.gate_test()
    project.file("conftest.py", "")
    assert project.run_apart(*record).ret == 0
    project.file("pytest.ini", ini)
    assert project.run_apart(*judge).ret == 0
    assert (project.path / "ftgate.json").exists()
    assert (project.path / "junit.xml").exists()


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)h][^)]*)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
