"""Run README as a reader does; test_docs.py reads its gate file, commands and links, test_howto.py runs CI's."""

import os
import re
import subprocess
import sys

import pytest
from doc_pages import ROOT, blocks
from gate_project import Project, statuses

BLOCKS = list(blocks(ROOT / "README.md"))


def named(file: str) -> str:
    (text,) = [block.text for block in BLOCKS if block.title == file]
    return text


def of(language: str) -> list[str]:
    return [block.text for block in BLOCKS if block.language == language and not block.title]


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def in_a_terminal(command: list[str], *, columns: int) -> tuple[int, str]:
    """Return the exit status and what is printed to a terminal of this width, without colours."""
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
    """Print every line, without a warning; times differ from run to run, notes with what was judged before."""
    main, _ = of("sh")
    *install, run = main.strip().split(" && ")
    assert install == ["python -m pip install -U pip", "pip install -e . --group example"]
    command = run.replace("python", sys.executable, 1).split()
    status, printed = in_a_terminal([*command, "--ftgate-cache=refresh"], columns=80)
    assert status == 0, printed
    (shown,) = of("text")
    expected, found = (list(map(lasting, text.splitlines())) for text in (shown, printed))
    first = found.index(expected[0])
    assert found[first : first + len(expected)] == expected


def lasting(line: str) -> str:
    """Return the line without times and the number of notes, with single spaces."""
    return " ".join(re.sub(r"[\d.]+ m?s\b|\d+ notes?|\d+%", "#", line).split())


def test_the_test_command_is_what_our_own_gate_runs() -> None:
    _, tests = of("sh")
    assert "readme_command(1)" in (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert tests == "python -m pip install -U pip && pip install -e . --group test && python -m pytest -n auto\n"


def test_a_gate_of_ones_own_runs_when_pasted(pytester: pytest.Pytester) -> None:
    project = Project(pytester)
    project.file("test_orders.py", named("test_orders.py"))
    gate = project.gate(apart=True)
    project.result.assert_outcomes(passed=1)
    assert gate["note"] == "26 groups"  # as the page says of sentences of one template
    assert "warning" not in statuses(gate).values()


def test_the_command_of_one_test_selects_one() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (arguments,) = re.findall(r"`python -m pytest (\S+ -k \w+)` \| one test", guide)
    command = [sys.executable, "-m", "pytest", *arguments.split(), "--collect-only", "-q", "-n0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout


def test_detectable_gains_are_those_of_the_plan() -> None:
    """test_docs.py calculates them."""
    plan = (ROOT / "docs/plan.md").read_text(encoding="utf-8")
    rows = re.findall(r"^(\|\d+\|.*\|)$", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(rows) == 3
    assert not [row for row in rows if f"\n{row}" not in plan]


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
