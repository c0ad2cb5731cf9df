"""Do the tutorial as a reader does: every block in order, in one folder, with the outputs that are shown."""

import os
import re
import shlex
import subprocess
import sys
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, Example, OutputChecker
from pathlib import Path

import pytest
from doc_pages import DOCS, ROOT, Block, blocks, commands
from gate_project import ALONE

FLAGS = ELLIPSIS | NORMALIZE_WHITESPACE
CLONE = "path/to/pytest-ftgate"


@pytest.mark.usefixtures("no_ambient_settings")
def test_every_step_does_what_the_page_says(tmp_path: Path) -> None:
    steps = list(blocks(DOCS / "tutorial.md"))
    assert len(steps) > 10
    for step in steps:
        do(step, tmp_path)


def do(step: Block, folder: Path) -> None:
    path = folder / step.title
    if step.title == "ftgate.yaml, changed lines":
        edit(folder / "ftgate.yaml", step.text)
    elif step.language == "python" and step.title:
        path.write_text(step.text.replace(CLONE, ROOT.as_posix()), encoding="utf-8")
    elif step.language == "ini":
        assert path.read_text(encoding="utf-8") == step.text, step.place
    elif step.language == "console":
        *earlier, last = commands(step)
        for command, expected_output in earlier:
            run(step, command, expected_output, folder, status=0)
        run(step, *last, folder, status=int(step.title.removeprefix("exit status ") or 0))
    else:
        raise AssertionError(f"{step.place}: a block of a kind that no step has")


def edit(path: Path, lines: str) -> None:
    """Replace the lines of these keys, whether they are commented out or not; add those of others."""
    text = path.read_text(encoding="utf-8")
    for line in lines.splitlines():
        (key,) = re.findall(r"^ *(?:# )?(\w+):", line)
        text, n = re.subn(
            rf"^ *(?:# )?{key}: .*$", lambda _, line=line: line, text, flags=re.MULTILINE
        )
        assert n < 2, line
        text += "" if n else f"{line}\n"
    path.write_text(text, encoding="utf-8")


def run(step: Block, command: str, expected_output: str, folder: Path, *, status: int) -> None:
    python, *arguments = shlex.split(command)
    assert python == "python", step.place
    if arguments[:3] == ["-m", "pip", "install"]:
        assert arguments[3:] == [CLONE], step.place
        return
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTEST_ADDOPTS": " ".join((*ALONE, "-pno:cacheprovider")), "COLUMNS": "80"},
    )  # fmt: skip
    printed = done.stdout + done.stderr
    assert done.returncode == status, f"{step.place}: {command}\n{printed}"
    difference = OutputChecker().output_difference(
        Example(command, expected_output), printed, FLAGS
    )
    assert OutputChecker().check_output(expected_output, printed, FLAGS), (
        f"{step.place}: {command}\n{difference}\n{printed}"
    )
