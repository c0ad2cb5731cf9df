"""Run the commands of CONTRIBUTING, or check that what they name exists."""

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import reference
from doc_pages import ROOT
from test_docs import pip

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Return each single command, of blocks and of running text."""
    lines = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
    lines += re.findall(r"`((?:python|pip|nox|pre-commit|mkdocs|\.ci/)[^`\n]*)`", GUIDE)
    return [command for line in lines for command in line.split(" && ")]


def sessions() -> set[str]:
    """Return the names of the functions of noxfile.py that are sessions."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {
        node.name
        for node in functions
        if "nox.session" in " ".join(map(ast.unparse, node.decorator_list))
    }


@pytest.mark.parametrize("command", commands())
def test_commands_work(command: str) -> None:
    match command.split():
        case ["python", "-m", "pip", *arguments] | ["pip", *arguments]:
            pip(arguments)
        case ["python", "-m", "pytest", *arguments]:
            collects_tests(arguments)
        case ["nox", "-s", *names]:
            assert set(names) <= sessions()
        case ["nox", *options]:
            assert options in ([], ["-l"])
        case ["python", script]:
            assert script == "tools/reference.py"  # see the next test
        case [".ci/run"]:
            assert (ROOT / ".ci" / "run").stat().st_mode & 0o100 or sys.platform == "win32"
        case ["pre-commit", "install"]:
            assert (ROOT / ".pre-commit-config.yaml").exists()
        case ["mkdocs", "serve"]:
            assert (ROOT / "mkdocs.yml").exists()  # test_site.py builds the site
        case _:
            pytest.fail(f"nothing runs {command}")


def collects_tests(arguments: list[str]) -> None:
    """Run the command up to the collection of its tests; a command for one test selects one."""
    if arguments == ["-n", "auto"]:
        return  # the whole suite, which is running
    # syrupy would report the snapshots as unused, and delete them with --snapshot-update.
    options = [
        argument for argument in arguments if argument not in ("-n", "auto", "--snapshot-update")
    ]
    options += ["--collect-only", "-q", "-p", "no:syrupy", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout
    if "-k" in arguments:
        assert len(re.findall(r"^tests/.*::", done.stdout, flags=re.MULTILINE)) == 1


def test_the_generator_writes_what_is_in_the_repository(tmp_path: Path) -> None:
    reference.main(tmp_path)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == len(reference.pages()) + 1
    for path in written:
        assert path.read_bytes() == (ROOT / path.relative_to(tmp_path)).read_bytes()


def test_the_plain_function_is_ours() -> None:
    """Compare without comments and line breaks."""
    _, plain = [text for language, text in BLOCKS if language == "python"]
    function = ast.parse(f"def at_level(self, check):\n{textwrap.indent(plain, '    ')}")
    source = ast.parse(
        (ROOT / "pytest_ftgate" / "checks" / "context.py").read_text(encoding="utf-8")
    )
    functions = [node for node in ast.walk(source) if isinstance(node, ast.FunctionDef)]
    (at_level,) = [node for node in functions if node.name == "at_level"]

    _, *steps = at_level.body  # without the docstring
    assert list(map(ast.unparse, steps)) == list(map(ast.unparse, function.body[0].body))  # type: ignore[attr-defined]
