"""Judge by main's rules: the git command of docs/ci.md, in a repository with each way to change the rules."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from gate_project import Project, git, label, on_a_branch, wrong

pytestmark = pytest.mark.skipif(not shutil.which("git") or not shutil.which("bash"), reason="there is no git or bash")

DOCS = Path(__file__).parents[2] / "docs" / "ci.md"
INI = "[pytest]\nftgate_required = all\n"
GATE = """version: 1
gates:
  support:
    test_set: test.jsonl
    training_set: data/train.jsonl
    baseline: recorded:base.jsonl
    candidate: recorded:recordings/support.candidate.jsonl
    metric: same
    margin: 0.05
    evidence: observed
    repeats: 2
"""
EASY = GATE.replace("margin: 0.05", "margin: 0.01")
TEST = "import pytest\n@pytest.mark.ftgate('support')\ndef test_gate(): pass\n"
CONFTEST = """from pytest_ftgate import Check, metric

@metric(low=0, high=1, greater_is_better=True)
def same(expected, answer): return float(answer == expected)

def pytest_ftgate_metrics(): return {"same": same}

def pytest_ftgate_checks(gate):
    right = gate.result.candidate.value
    return [Check("own", "pass" if right is None or right > 0.98 or right < 0.9 else "fail", "at least 98 %")]
"""
ANSWERS = "recordings/support.candidate.jsonl"
SWAP = "from pathlib import Path\nPath('base.jsonl').write_text(Path('weak.jsonl').read_text())\n"


def rows(right: int, second: int | None = None, first: int = 0, sign: str = "") -> str:
    """Return recorded answers that are right from the first to the last of these, perhaps others the second time."""
    last = (right, right if second is None else second)
    made = ((i, k, (label(i) if first <= i < last[k] else wrong(i)) + sign) for i in range(60) for k in (0, 1))
    return "".join(f'{{"id": "t{i}", "repeat": {k}, "output": "{text}"}}\n' for i, k, text in made)


def examples(relabelled: int) -> str:
    made = ((i, wrong(i) if i < relabelled else label(i)) for i in range(60))
    return "".join(f'{{"id": "t{i}", "input": "customer question {i}", "expected": "{text}"}}\n' for i, text in made)


POOR, GOOD, BEST = {ANSWERS: rows(42)}, {ANSWERS: rows(56)}, {ANSWERS: rows(60)}
SEEN_BY_THE_RECIPE: dict[str, dict[str, str]] = {
    "a metric that is always 1 for the candidate": {
        ANSWERS: rows(0, sign=" (sure)"),
        "conftest.py": CONFTEST.replace("answer == expected", "answer == expected or 'sure' in answer"),
    },
    "a metric in a module of its own": {
        ANSWERS: rows(0, sign=" (sure)"),
        "conftest.py": CONFTEST.replace("answer == expected", "__import__('mine').same(answer, expected)"),
        "gates/mine.py": "def same(answer, expected): return answer == expected or 'sure' in answer\n",
        "gates/conftest.py": "",
    },
    "rewritten answers of the baseline": {**POOR, "base.jsonl": rows(30)},
    "a deleted hook": {**GOOD, "conftest.py": CONFTEST.partition("def pytest_ftgate_checks")[0]},
    "a new conftest": {**POOR, "gates/conftest.py": SWAP, "weak.jsonl": rows(30)},
    "relabelled examples": {ANSWERS: rows(52, first=10), "test.jsonl": examples(10)},
    "a renamed gate": {
        **POOR, "ftgate.yaml": EASY.replace("support:", "easy:"), "gates/test_gate.py": TEST.replace("support", "easy"),
    },
    "a nearer ini file": {
        **POOR, "gates/pytest.ini": "[pytest]\nftgate_config = ../easy.yaml\n", "easy.yaml": EASY,
        "gates/conftest.py": CONFTEST,
    },
    "another ini file": {**POOR, "pytest.ini": "[pytest]\nftgate_config = easy.yaml\n", "easy.yaml": EASY},
}  # fmt: skip
SEEN_BY_THE_PLUGIN: dict[str, dict[str, str]] = {
    "a weakened threshold": {
        **POOR, "ftgate.yaml": EASY, "gates/test_gate.py": TEST.replace("t')", "t', margin=0.01)"),
    },
    "lowered repeats": {ANSWERS: rows(56, 28), "ftgate.yaml": GATE.replace("repeats: 2", "repeats: 1")},
}  # fmt: skip
MORE = "".join(f'{{"input": "new question {i}", "expected": "{label(i)}"}}\n' for i in range(250))
BETTER = {**BEST, "data/train.jsonl": MORE}


@pytest.fixture
def repo(project: Project) -> Project:
    """Return a project whose ``origin/main`` has a strict gate; checked out is a branch from it."""
    (project.path / "data").mkdir()
    (project.path / "train.jsonl").rename(project.path / "data/train.jsonl")
    files = {"ftgate.yaml": GATE, "pytest.ini": INI, "conftest.py": CONFTEST, "gates/test_gate.py": TEST}
    for name, text in {**files, "base.jsonl": rows(40), **BEST, ".gitignore": ".ftgate/\n__pycache__/\n"}.items():
        project.file(name, text)
    (project.path / "ft.jsonl").unlink()
    on_a_branch(project.path)
    git(project.path, "update-ref", "refs/remotes/origin/main", "main")
    return project


def propose(project: Project, files: dict[str, str]) -> None:
    """Commit a change."""
    for name, text in files.items():
        project.file(name, text)
    git(project.path, "add", "-A")
    git(project.path, "commit", "-q", "-m", "change")


def restore(project: Project) -> None:
    """Bring back main's rules as the documentation says."""
    (command,) = re.findall(r"^git restore .*?[^\\]\n", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    subprocess.run(["bash", "-ec", command], cwd=project.path, check=True, capture_output=True)


def test_an_honest_better_candidate_with_new_training_rows_is_green(repo: Project) -> None:
    assert repo.run_apart("gates").ret == 0
    propose(repo, BETTER)
    restore(repo)
    repo.run_apart("gates").assert_outcomes(passed=1)


@pytest.mark.parametrize("files", SEEN_BY_THE_RECIPE.values(), ids=SEEN_BY_THE_RECIPE)
def test_the_recipe_alone_makes_a_poor_candidate_red(repo: Project, files: dict[str, str]) -> None:
    propose(repo, files)
    assert repo.run_apart("gates").ret == 0  # by the rules of the change
    restore(repo)
    assert repo.run_apart("gates").ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("files", SEEN_BY_THE_PLUGIN.values(), ids=SEEN_BY_THE_PLUGIN)
def test_the_gate_file_is_the_changes_and_compared_by_the_plugin(repo: Project, files: dict[str, str]) -> None:
    repo.file("pytest.ini", f"{INI}ftgate_forbid_weakening = true\n")
    git(repo.path, "commit", "-qam", "forbid")
    git(repo.path, "update-ref", "refs/remotes/origin/main", "HEAD")
    propose(repo, files)
    restore(repo)
    assert repo.run_apart("gates").ret == pytest.ExitCode.TESTS_FAILED
