"""Judge by main's rules: the commands of docs/ci.md, in a repository with each way to change the rules."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from endpoint_project import EndpointProject, index_of
from gate_project import Project, git, label, on_a_branch, wrong

pytestmark = pytest.mark.skipif(
    not shutil.which("git") or not shutil.which("bash"), reason="there is no git or bash"
)

PAGE = (Path(__file__).parents[2] / "examples" / "ci" / "README.md").read_text(encoding="utf-8")
(INI,) = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)
((RECIPE, COMMAND),) = re.findall(
    r"```sh\n([^`]*git restore.*?)python -m pytest (.*?)\n```", PAGE, re.DOTALL
)
ARGS = COMMAND.split()
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
    triples = (
        (i, k, (label(i) if first <= i < last[k] else wrong(i)) + sign)
        for i in range(60)
        for k in (0, 1)
    )
    return "".join(
        f'{{"id": "t{i}", "repeat": {k}, "output": "{text}"}}\n' for i, k, text in triples
    )


def examples(relabelled: int) -> str:
    pairs = ((i, wrong(i) if i < relabelled else label(i)) for i in range(60))
    return "".join(
        f'{{"id": "t{i}", "input": "customer question {i}", "expected": "{text}"}}\n'
        for i, text in pairs
    )


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
    "a submodule": {**POOR, ".gitmodules": "gates/evil"},
    "another ini file": {**POOR, "pytest.ini": "[pytest]\nftgate_config = easy.yaml\n", "easy.yaml": EASY},
}  # fmt: skip
SEEN_BY_THE_PLUGIN: dict[str, dict[str, str]] = {
    "a weakened threshold": {
        **POOR, "ftgate.yaml": EASY, "gates/test_gate.py": TEST.replace("t')", "t', margin=0.01)"),
    },
    "a weaker confidence": {**GOOD, "ftgate.yaml": GATE.replace("repeats: 2", "repeats: 2\n    confidence: 0.6")},
    "lowered repeats": {ANSWERS: rows(56, 28), "ftgate.yaml": GATE.replace("repeats: 2", "repeats: 1")},
}  # fmt: skip
MORE = "".join(f'{{"input": "new question {i}", "expected": "{label(i)}"}}\n' for i in range(250))
BETTER = {**BEST, "data/train.jsonl": MORE}


REFUSED: dict[str, dict[str, str]] = {
    "a folder of that name": {
        "data/train.jsonl/conftest.py": SWAP,
        "data/train.jsonl/rows.jsonl": MORE,
    },
    "a link": {"recordings/x.candidate.jsonl": "link"},
}


@pytest.fixture
def repo(project: Project) -> Project:
    """Return a project whose ``origin/main`` has a strict gate; checked out is a branch from it."""
    (project.path / "data").mkdir()
    (project.path / "train.jsonl").rename(project.path / "data/train.jsonl")
    files = {
        "ftgate.yaml": GATE,
        "pytest.ini": INI,
        "conftest.py": CONFTEST,
        "gates/test_gate.py": TEST,
    }
    for name, text in {
        **files,
        "base.jsonl": rows(40),
        **BEST,
        ".gitignore": ".ftgate/\n__pycache__/\n",
    }.items():
        project.file(name, text)
    (project.path / "ft.jsonl").unlink()
    on_a_branch(project.path)
    git(project.path, "update-ref", "refs/remotes/origin/main", "main")
    return project


def propose(project: Project, files: dict[str, str]) -> None:
    """Commit a change; a file that is a link or a submodule holds the attack of a new conftest."""
    for name, text in files.items():
        if (project.path / name).parent.is_file():
            (project.path / name).parent.unlink()
        if text == "link":
            (project.path / name).symlink_to("../base.jsonl")
        elif name == ".gitmodules":
            project.file("sub/conftest.py", SWAP.replace("weak.jsonl", f"{text}/weak.jsonl"))
            project.file("sub/weak.jsonl", rows(30))
            project.file("sub/test_it.py", "def test_it(): pass\n")
            on_a_branch(project.path / "sub")
            git(project.path, "submodule", "add", "-q", "./sub", text)
            shutil.rmtree(project.path / "sub")
        else:
            project.file(name, text)
    git(project.path, "add", "-A")
    git(project.path, "commit", "-q", "-m", "change")


def restored(project: Project) -> subprocess.CompletedProcess[str]:
    """Bring back main's rules as the documentation says."""
    command = ["bash", "-ec", RECIPE]
    return subprocess.run(
        command, cwd=project.path, check=False, capture_output=True, encoding="utf-8"
    )


def restore(project: Project) -> int:
    """Bring back main's rules; return the exit status."""
    return restored(project).returncode


def test_an_honest_better_candidate_with_new_training_rows_is_green(repo: Project) -> None:
    assert repo.run(*ARGS).ret == 0
    propose(repo, BETTER)
    assert restore(repo) == 0
    repo.run(*ARGS).assert_outcomes(passed=1)


def test_in_a_merge_queue_the_base_of_the_request_is_empty(
    repo: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(repo, BETTER)
    monkeypatch.setenv("GITHUB_BASE_REF", "")
    assert restore(repo) == 0
    repo.run(*ARGS).assert_outcomes(passed=1)


def test_names_beyond_ascii(repo: Project) -> None:
    propose(repo, {**BETTER, "recordings/größe.candidate.jsonl": BEST[ANSWERS]})
    assert restore(repo) == 0
    repo.run(*ARGS).assert_outcomes(passed=1)


def test_a_new_gate_is_listed_and_those_of_main_are_judged(repo: Project) -> None:
    """Its test comes from the change, so it judges once that is merged."""
    second = GATE.partition("gates:\n")[2].replace("support", "orders", 1)
    new = {"ftgate.yaml": GATE + second, "gates/test_orders.py": TEST.replace("support", "orders")}
    propose(repo, {**BETTER, **new})
    assert restore(repo) == 0
    report = repo.report(*ARGS)
    repo.result.assert_outcomes(passed=1)
    assert [gate["name"] for gate in report["unjudged"]] == ["orders"]
    propose(repo, POOR)
    assert repo.run(*ARGS).ret == pytest.ExitCode.TESTS_FAILED


def test_a_gate_that_is_removed_is_missed(repo: Project) -> None:
    propose(repo, {"ftgate.yaml": GATE.replace("support:", "easy:")})
    assert restore(repo) == 0
    assert repo.run(*ARGS).ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("files", SEEN_BY_THE_RECIPE.values(), ids=SEEN_BY_THE_RECIPE)
def test_the_recipe_alone_makes_a_poor_candidate_red(repo: Project, files: dict[str, str]) -> None:
    repo.file("pytest.ini", INI.replace("ftgate_forbid_weakening = true\n", ""))
    git(repo.path, "commit", "-qam", "allow")
    git(repo.path, "update-ref", "refs/remotes/origin/main", "HEAD")
    propose(repo, files)
    assert repo.run(*ARGS).ret == 0  # by the rules of the change
    assert restore(repo) == 0
    assert repo.run(*ARGS).ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("files", SEEN_BY_THE_PLUGIN.values(), ids=SEEN_BY_THE_PLUGIN)
def test_the_gate_file_is_the_changes_and_compared_by_the_plugin(
    repo: Project, files: dict[str, str]
) -> None:
    propose(repo, files)
    assert restore(repo) == 0
    assert repo.run(*ARGS).ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("files", REFUSED.values(), ids=REFUSED)
def test_what_stays_the_changes_is_files(repo: Project, files: dict[str, str]) -> None:
    propose(repo, files)
    done = restored(repo)
    assert done.returncode == 1
    assert next(iter(files)) in done.stdout


# --- recorded answers ------------------------------------------------------------------------------------------


@pytest.fixture
def asked(http: EndpointProject) -> EndpointProject:
    """Return such a project whose models are asked and recorded, with all that has a file of its own."""
    http.test_set(60, "guard.jsonl", prefix="g", input="other question {}".format)
    http.file(".gitignore", ".ftgate/\n__pycache__/\n")
    http.file("pytest.ini", INI)
    http.file("gates/test_gate.py", TEST)
    (http.path / "data").mkdir()
    (http.path / "train.jsonl").rename(http.path / "data/train.jsonl")
    with_candidate(http)
    on_a_branch(http.path)
    record(http)
    propose(http, {})
    git(http.path, "update-ref", "refs/remotes/origin/main", "HEAD")
    return http


def with_candidate(http: EndpointProject, revision: str = "1") -> None:
    keys = {**http.keys, "training_set": "data/train.jsonl", "max_attempts": 3}
    keys |= {
        "baseline": http.model("base", few_shot=2),
        "candidate": http.model("ft", revision=revision),
    }
    keys["guards"] = {"other": {"test_set": "guard.jsonl", "max_drop": 0.5}}
    http.file("ftgate.yaml", yaml.safe_dump({"version": 1, "gates": {"support": keys}}))


def record(http: EndpointProject) -> None:
    assert http.run("gates/", "--ftgate-report=recordings:recordings").ret == 0
    shutil.rmtree(http.path / ".ftgate")


def right_on(**first: int) -> Callable[[dict[str, Any]], str]:
    """Return what answers for the models, which are right on so many examples."""
    return lambda body: (label if index_of(body) < first[body["model"]] else wrong)(index_of(body))


def test_guards_and_attempts_of_an_honest_change_are_its_own(
    asked: EndpointProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.server.answer = right_on(base=40, ft=60)
    with_candidate(asked, revision="2")
    record(asked)
    propose(asked, {})
    assert restore(asked) == 0
    monkeypatch.setenv("CI", "true")
    asked.run(*ARGS).assert_outcomes(passed=1)
    asked.file("ftgate-attempts.jsonl", "")
    assert asked.run(*ARGS).ret == 1


@pytest.mark.parametrize("honest", [True, False])
def test_a_baseline_with_new_few_shot_examples_is_asked_afresh(
    asked: EndpointProject, honest: bool
) -> None:
    """No file of the change serves the baseline: a forged answer is not found, and neither is an honest one."""
    asked.server.answer = right_on(base=40 if honest else 32, ft=54)
    asked.file("data/train.jsonl", MORE)
    with_candidate(asked, revision="2" if not honest else "1")
    record(asked)
    answers = (asked.path / "recordings/support.baseline.jsonl").read_text(encoding="utf-8")
    propose(asked, {"recordings/zz.candidate.jsonl": answers})
    assert restore(asked) == 0
    asked.run(*ARGS).assert_outcomes(errors=1)
    asked.server.answer = right_on(base=40 if honest else 56, ft=54)
    asked.forget()
    assert asked.run("gates/").ret == (0 if honest else 1)
    assert {model for model, _ in asked.asked} == {"base"}
