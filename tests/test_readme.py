"""Run README as a reader does; test_docs.py reads its gate file, commands and links."""

import os
import re
import subprocess
import sys

import pytest
from doc_pages import ROOT, blocks
from gate_project import Project

README = ROOT / "README.md"
BLOCKS = list(blocks(README))
EXAMPLE = "examples/voice_commands"


def named(file: str) -> str:
    (text,) = [block.text for block in BLOCKS if block.title == file]
    return text


def of(language: str) -> list[str]:
    return [block.text for block in BLOCKS if block.language == language and not block.title]


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 130


def test_links_and_pictures_work_on_the_package_index_too() -> None:
    text = README.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]+)\)", text)
    pictures = re.findall(r"!\[[^]]*\]\((?:.*?)/main/([^)]+)\)", text)

    assert not [target for target in targets if not target.startswith("https://")]
    assert pictures
    assert all((ROOT / picture).exists() for picture in pictures)


def in_a_terminal(command: list[str], *, columns: int) -> tuple[int, str]:
    """Return the exit status and what is printed to a terminal of this width, without colours."""
    pty = pytest.importorskip("pty", reason="there is no pseudo terminal")
    reading_end, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns)}
    with subprocess.Popen(
        [*command, "--color=no"], cwd=ROOT, stdout=terminal, stderr=terminal, env=environment
    ) as process:
        os.close(terminal)
        printed = b""
        try:
            while chunk := os.read(reading_end, 65536):
                printed += chunk
        except OSError:  # Linux reports in this way that the process has closed its end
            pass
        status = process.wait(120)
    os.close(reading_end)
    return status, printed.decode()


def test_the_main_command_judges_a_gate_and_prints_what_is_shown() -> None:
    """Print every line, without a warning; times and the number of notes differ from run to run."""
    main, _ = of("sh")
    *install, run = main.strip().split(" && ")
    assert install == ["python -m pip install -U pip", "pip install -e . --group example"]

    command = run.replace("python", sys.executable, 1).split()
    status, printed = in_a_terminal([*command, "--ftgate-cache=refresh"], columns=80)
    assert status == 0, printed

    green, _ = of("text")
    expected = lasting(green)
    lines = lasting(printed)
    first = lines.index(expected[0])
    assert lines[first : first + len(expected)] == expected


def test_an_earlier_model_of_the_example_fails_as_shown() -> None:
    test = f"{EXAMPLE}/test_refused.py::test_gain_is_below_the_margin"
    command = [sys.executable, "-m", "pytest", test, "--ftgate-cache=refresh"]
    status, printed = in_a_terminal(command, columns=80)
    assert status == 1, printed

    _, red = of("text")
    lines = lasting(printed)
    missing = [line for line in lasting(red) if "..." not in line and line not in lines]
    assert not missing, printed


def lasting(text: str) -> list[str]:
    """Return the lines without times and the number of notes, with single spaces."""
    lines = []
    for line in text.splitlines():
        timeless = re.sub(r"[\d.]+ m?s\b|\d+ notes?|\d+%", "#", line)
        lines.append(" ".join(timeless.split()))
    return lines


def test_the_test_command_is_what_our_own_gate_runs() -> None:
    _, tests = of("sh")
    assert "readme_command(1)" in (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert tests == (
        "python -m pip install -U pip && pip install -e . --group test && python -m pytest -n auto\n"
    )


def test_a_gate_of_ones_own_runs_when_pasted(project: Project) -> None:
    project.file("test_finetune.py", named("test_finetune.py"))
    gate = project.gate(apart=True)
    assert gate["verdict"] == "pass"
    assert gate["margin"] == 0.05


def test_the_gate_file_and_its_test(project: Project) -> None:
    """The same keys, with recorded models in place of those that need a server."""
    text = named("ftgate.yaml")
    models = text[text.index("models:") : text.index("gates:")]
    recorded = 'models: {prompted: "recorded:base.jsonl", tuned: "recorded:ft.jsonl"}\n'
    project.file("ftgate.yaml", text.replace(models, recorded))
    project.marked("'intents'")
    (project.path / "recordings").mkdir()
    project.file("pytest.ini", named("pytest.ini"))

    assert project.run_apart().ret == 0
    assert project.run_apart("-k", "nothing").ret == 1
