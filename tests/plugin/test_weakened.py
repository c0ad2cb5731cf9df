"""A gate weakened in the change that it judges: real repositories, and the same project without the weakening."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_project import Project, check, statuses, write_jsonl

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")

Clone = Callable[..., Project]
GATE_FILE = """version: 1
gates:
  support:
    test_set: test.jsonl
    training_set: train.jsonl
    baseline: recorded:base.jsonl
    candidate: recorded:ft.jsonl
    margin: 0.05
    evidence: significant
    min_test_examples: 60
    require:
      - {metric: accuracy, min: 0.9}
"""


def git(folder: Path, *args: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *identity, *args], cwd=folder, capture_output=True, check=True)


def commit(project: Project) -> None:
    git(project.path, "add", "-A")
    git(project.path, "commit", "-q", "-m", "change")


def on_main(project: Project) -> None:
    """Make what is there the state of ``main``."""
    commit(project)
    git(project.path, "branch", "-q", "-f", "main")


@pytest.fixture
def repo(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A gate on ``main``; checked out is a branch from it, on which nothing has changed yet."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    project.gate_file(GATE_FILE)
    project.file("test_gate.py", "import pytest\n@pytest.mark.ftgate('support')\ndef test_gate(): pass\n")
    project.file("pytest.ini", "[pytest]\n")
    project.file(".gitignore", ".ftgate/\n__pycache__/\nreport.json\n")
    git(project.path, "init", "-q", "-b", "main")
    commit(project)
    git(project.path, "checkout", "-q", "-b", "work")
    return project


def changed(project: Project, old: str, new: str) -> None:
    assert old in GATE_FILE
    project.gate_file(GATE_FILE.replace(old, new))


def ini(project: Project, *lines: str) -> None:
    project.file("pytest.ini", "\n".join(["[pytest]", *lines, ""]))


def unchanged(project: Project) -> None:
    """Without the weakening the same project is green and silent."""
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert "weakened" not in statuses(gate)
    assert project.result.ret == 0


def weakened(project: Project) -> str:
    """What is said of the weakening, which is a warning by default and a failure where it is forbidden."""
    gate = project.gate()
    found = check(gate, "weakened")
    assert (gate["verdict"], found["status"]) == ("pass", "warning")
    message = str(found["message"])
    ini(project, "ftgate_forbid_weakening = true")
    gate = project.gate()
    assert project.result.ret == 1
    assert (gate["verdict"], gate["models_called"]) == ("fail", False)
    assert check(gate, "weakened")["message"] == message
    return message.removeprefix("this change makes the gate ask for less than at main: ")


WEAKER = [
    ("margin: 0.05", "margin: 0.04", "margin: 0.05 -> 0.04"),
    ("evidence: significant", "evidence: observed", "evidence: significant -> observed"),
    ("min_test_examples: 60", "min_test_examples: 59", "min_test_examples: 60 -> 59"),
    ("margin: 0.05", "margin: 0.05\n    min_training_examples: 199", "min_training_examples: 200 -> 199"),
    ("min: 0.9", "min: 0.8", "require.candidate.accuracy: min 0.9 -> min 0.8"),
    ("    require:\n      - {metric: accuracy, min: 0.9}\n", "", "require.candidate.accuracy: min 0.9 -> removed"),
    ("margin: 0.05", "margin: 0.05\n    allow_weak_baseline: x", "allow_weak_baseline: not allowed -> x"),
    ("metric: accuracy, min", "metric: f1_macro, min", "require.candidate.accuracy: min 0.9 -> removed"),
]


@pytest.mark.parametrize(("old", "new", "told"), WEAKER, ids=[new.strip() for _, new, _ in WEAKER])
def test_a_gate_that_asks_for_less(repo: Project, old: str, new: str, told: str) -> None:
    unchanged(repo)
    changed(repo, old, new)
    commit(repo)
    assert weakened(repo) == told


def test_what_is_not_committed_counts_too(repo: Project) -> None:
    changed(repo, "margin: 0.05", "margin: 0.04")
    assert weakened(repo) == "margin: 0.05 -> 0.04"


def test_a_gate_that_asks_for_more(repo: Project) -> None:
    changed(repo, "margin: 0.05", "margin: 0.1")
    ini(repo, "ftgate_forbid_weakening = true")
    commit(repo)
    unchanged(repo)


def test_before_and_after_are_printed_in_red(repo: Project) -> None:
    changed(repo, "margin: 0.05", "margin: 0.04")
    lines = repo.run("--color=yes").outlines
    (line,) = [line for line in lines if "weakened" in line]
    assert line.startswith("\x1b[31m")
    assert "margin: 0.05 -> 0.04" in line
    repo.gate_file(GATE_FILE)
    assert not [line for line in repo.run("--color=yes").outlines if "weakened" in line]


def test_defaults_count_as_the_gate_does(repo: Project) -> None:
    repo.gate_file(GATE_FILE + "defaults: {confidence: 0.8}\n")
    assert weakened(repo) == "confidence: 0.95 -> 0.8"


def test_what_main_did_meanwhile_is_not_this_change(repo: Project) -> None:
    repo.file("notes.txt", "work")
    commit(repo)
    git(repo.path, "checkout", "-q", "main")
    changed(repo, "margin: 0.05", "margin: 0.2")
    commit(repo)
    git(repo.path, "checkout", "-q", "work")
    unchanged(repo)


def test_a_mark_that_hides_behind_a_weaker_file(repo: Project) -> None:
    """Stricter than the file as it is now, and weaker than the file was."""
    changed(repo, "margin: 0.05", "margin: 0.01")
    repo.file("test_gate.py", "import pytest\n@pytest.mark.ftgate('support', margin=0.03)\ndef test_gate(): pass\n")
    assert weakened(repo) == "margin: 0.05 -> 0.03"


def test_a_mark_alone_is_said_where_obligations_are(repo: Project) -> None:
    repo.file("test_gate.py", "import pytest\n@pytest.mark.ftgate('support', margin=0.03)\ndef test_gate(): pass\n")
    gate = repo.gate()
    assert gate["loosened"] == ["margin: 0.05 -> 0.03"]
    assert "weakened" not in statuses(gate)


def test_a_mark_that_names_a_new_model_hides_nothing(repo: Project) -> None:
    changed(repo, "margin: 0.05", "margin: 0.01")
    with (repo.path / "ftgate.yaml").open("a") as file:
        file.write("models: {newer: 'recorded:ft.jsonl'}\n")
    repo.file(
        "test_gate.py", "import pytest\n@pytest.mark.ftgate('support', candidate='newer')\ndef test_gate(): pass\n"
    )
    assert weakened(repo) == "margin: 0.05 -> 0.01"


# --- files ---------------------------------------------------------------------------------------------------


def test_a_test_set_that_shrank(repo: Project) -> None:
    repo.test_set(80)
    repo.predictions("base.jsonl", 80, wrong_at=range(40, 80))
    repo.predictions("ft.jsonl", 80, wrong_at=(0, 1))
    commit(repo)
    git(repo.path, "branch", "-q", "-f", "main", "work")
    unchanged(repo)
    repo.test_set(60)
    found = weakened(repo)
    assert found.startswith("test_set: test.jsonl with 80 lines (sha256 ")
    assert " -> 60 lines (sha256 " in found


def test_a_test_set_that_was_edited(repo: Project) -> None:
    rows = [json.loads(line) for line in (repo.path / "test.jsonl").read_text().splitlines()]
    write_jsonl(repo.path / "test.jsonl", [{**rows[0], "expected": "shipping"}, *rows[1:]])
    found = weakened(repo)
    assert found.startswith("test_set: test.jsonl with 60 lines (sha256 ")
    assert " -> 60 lines (sha256 " in found


def test_another_test_set(repo: Project) -> None:
    shutil.copy(repo.path / "test.jsonl", repo.path / "easy.jsonl")
    changed(repo, "test.jsonl", "easy.jsonl")
    assert weakened(repo) == "test_set: test.jsonl -> easy.jsonl"


def test_a_test_set_that_grew_is_noted(repo: Project) -> None:
    repo.test_set(63)
    repo.predictions("base.jsonl", 63, wrong_at=range(40, 60))
    repo.predictions("ft.jsonl", 63, wrong_at=(0, 1))
    ini(repo, "ftgate_forbid_weakening = true")
    gate = repo.gate()
    assert (gate["verdict"], check(gate, "weakened")["status"]) == ("pass", "note")
    assert "test.jsonl: 3 lines added, none changed" in check(gate, "weakened")["message"]


def test_a_guard_that_was_loosened_or_whose_test_set_shrank(repo: Project) -> None:
    def guard(n: int, max_drop: float) -> None:
        rows = [{"id": f"g{i}", "input": f"general item {i}", "expected": "refund"} for i in range(n)]
        write_jsonl(repo.path / "general.jsonl", rows)
        repo.gate_file(f"{GATE_FILE}    guards: {{general: {{test_set: general.jsonl, max_drop: {max_drop}}}}}\n")

    guard(60, 0.05)
    for name in ("base.jsonl", "ft.jsonl"):
        with (repo.path / name).open("a") as file:
            file.writelines(json.dumps({"id": f"g{i}", "output": "refund"}) + "\n" for i in range(60))
    commit(repo)
    git(repo.path, "branch", "-q", "-f", "main", "work")
    unchanged(repo)
    guard(60, 0.06)
    assert weakened(repo) == "guards.general.max_drop: 0.05 -> 0.06"
    ini(repo)
    guard(59, 0.05)
    assert weakened(repo).startswith("guards.general.test_set: general.jsonl with 60 lines (sha256 ")


def test_a_worse_baseline_in_its_recording(repo: Project) -> None:
    repo.predictions("base.jsonl", 60, wrong_at=range(30, 60))
    assert weakened(repo).startswith("baseline.path: base.jsonl with 60 lines (sha256 ")


LABELS = "#!/bin/sh\ngrep -qxE 'refund|invoice|shipping'\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a command of POSIX")
@pytest.mark.parametrize("argv", ["[./check.sh]", "[sh, check.sh]"])
def test_a_command_whose_script_was_edited(repo: Project, argv: str) -> None:
    repo.file("check.sh", LABELS).chmod(0o755)
    repo.gate_file(GATE_FILE.replace("accuracy, min", f"{{name: command, argv: {argv}}}, min"))
    on_main(repo)
    unchanged(repo)
    repo.file("check.sh", LABELS + "exit 0\n")
    said = weakened(repo)
    assert said.startswith("require.candidate.command.argv: check.sh with 2 lines (sha256 ")
    assert " -> 3 lines (sha256 " in said


def test_a_calibration_whose_items_were_edited(repo: Project) -> None:
    repo.file("judges.py", "def judge(messages):\n    return '5' if 'refund\"' in messages[-1]['content'] else '2'\n")
    items = [{"input": f"q{i}", "output": "refund" if i % 2 else "no", "score": 5 if i % 2 else 2} for i in range(22)]
    write_jsonl(repo.path / "held.jsonl", items)
    metric = "{name: rubric, judge: python:judges:judge, rubric: x, calibration: {path: held.jsonl, min_kappa: 0.5}}"
    repo.gate_file(GATE_FILE.replace("accuracy, min: 0.9", f"{metric}, min: 2"))
    on_main(repo)
    unchanged(repo)
    write_jsonl(repo.path / "held.jsonl", items[1:])
    assert weakened(repo).startswith("require.candidate.rubric.calibration.path: held.jsonl with 22 lines (sha256 ")


def test_a_worse_recording_of_the_candidate_weakens_nothing(repo: Project) -> None:
    repo.predictions("ft.jsonl", 60, wrong_at=range(4))
    unchanged(repo)


# --- gates that are gone -------------------------------------------------------------------------------------


TWO = GATE_FILE + GATE_FILE.partition("gates:\n")[2].replace("support", "billing")


@pytest.fixture
def two(repo: Project) -> Project:
    repo.gate_file(TWO)
    body = "@pytest.mark.ftgate('support')\ndef test_gate(): pass\n"
    repo.file("test_gate.py", f"import pytest\n{body}{body.replace('support', 'billing').replace('gate()', 'other()')}")
    ini(repo, "ftgate_required = all")
    commit(repo)
    git(repo.path, "branch", "-q", "-f", "main", "work")
    return repo


def without_billing(project: Project) -> None:
    project.gate_file(GATE_FILE)
    project.file("test_gate.py", "import pytest\n@pytest.mark.ftgate('support')\ndef test_gate(): pass\n")


GONE = "the gate billing was removed from ftgate.yaml since main"


def test_a_gate_that_was_removed_is_reported(two: Project) -> None:
    assert two.report()["unjudged"] == []
    assert GONE not in two.result.outlines
    without_billing(two)
    report = two.report()
    assert (two.result.ret, report["unjudged"]) == (0, [])
    assert GONE in two.result.outlines


def test_where_weakening_is_forbidden_a_removed_gate_is_still_owed(two: Project) -> None:
    ini(two, "ftgate_required = all", "ftgate_forbid_weakening = true")
    assert two.report()["unjudged"] == []
    assert two.result.ret == 0
    without_billing(two)
    report = two.report()
    assert two.result.ret == 1
    assert report["unjudged"] == [{"name": "billing", "reason": "it was removed from ftgate.yaml since main"}]


def test_a_gate_that_was_not_required_is_not_owed(two: Project) -> None:
    ini(two, "ftgate_required = support", "ftgate_forbid_weakening = true")
    without_billing(two)
    assert two.report()["unjudged"] == []
    assert two.result.ret == 0
    assert GONE in two.result.outlines


def test_all_gates_removed_with_their_tests(two: Project) -> None:
    ini(two, "ftgate_required = all", "ftgate_forbid_weakening = true")
    two.gate_file("version: 1\n")
    two.file("test_gate.py", "def test_nothing(): pass\n")
    assert [one["name"] for one in two.report()["unjudged"]] == ["all", "support", "billing"]
    assert two.result.ret == 1


def test_a_renamed_gate_is_a_new_one_and_the_old_is_gone(two: Project) -> None:
    two.gate_file(TWO.replace("billing", "invoices"))
    text = (two.path / "test_gate.py").read_text()
    two.file("test_gate.py", text.replace("billing", "invoices"))
    gates = two.report()["gates"]
    assert check(gates[1], "weakened")["message"] == (
        "the gate invoices is new since main: there is nothing to compare with"
    )
    assert GONE in two.result.outlines


# --- where git cannot tell -----------------------------------------------------------------------------------


@pytest.fixture
def cloned(repo: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """Clones the repository, and makes the clone the project."""

    def clone(*options: str) -> Project:
        target = tmp_path / "clone"
        git(repo.path, "clone", "-q", *options, repo.path.as_uri(), str(target))
        monkeypatch.chdir(target)
        repo.path = target
        return repo

    return clone


def could_not_look(project: Project) -> dict[str, Any]:
    gate = project.gate()
    assert (gate["verdict"], project.result.ret) == ("pass", 0)
    found = check(gate, "weakened")
    assert found["status"] == "note"
    return found


def test_a_shallow_clone_of_a_branch_says_that_it_could_not_look(repo: Project, cloned: Clone) -> None:
    changed(repo, "margin: 0.05", "margin: 0.04")
    commit(repo)
    git(repo.path, "checkout", "-q", "main")
    shallow = cloned("--depth", "1", "--branch", "work")
    found = could_not_look(shallow)
    assert found["message"].startswith("could not look whether the gate asks for less than before: git knows none")
    assert found["advice"].startswith("This clone is shallow: fetch its history")
    git(shallow.path, "fetch", "-q", "--unshallow", "origin", "+refs/heads/*:refs/remotes/origin/*")
    assert "margin: 0.05 -> 0.04" in check(shallow.gate(), "weakened")["message"]


def test_a_shallow_clone_of_the_base_itself_says_so_too(repo: Project, cloned: Clone) -> None:
    git(repo.path, "checkout", "-q", "main")
    assert could_not_look(cloned("--depth", "1"))["message"].startswith("this clone is shallow, and origin/HEAD")


def test_a_whole_clone_compares(repo: Project, cloned: Clone) -> None:
    changed(repo, "margin: 0.05", "margin: 0.04")
    commit(repo)
    git(repo.path, "checkout", "-q", "main")
    clone = cloned("--branch", "work")
    assert check(clone.gate(), "weakened")["message"] == (
        "this change makes the gate ask for less than at origin/HEAD: margin: 0.05 -> 0.04"
    )


def test_a_base_that_does_not_exist(repo: Project) -> None:
    ini(repo, "ftgate_base_ref = develop")
    assert could_not_look(repo)["message"].endswith("git knows no develop (ini ftgate_base_ref)")
    git(repo.path, "branch", "-q", "develop", "main")
    unchanged(repo)


def test_a_base_of_ones_own(repo: Project) -> None:
    git(repo.path, "branch", "-q", "develop", "main")
    changed(repo, "margin: 0.05", "margin: 0.04")
    commit(repo)
    git(repo.path, "branch", "-q", "-f", "main", "work")
    ini(repo, "ftgate_base_ref = develop")
    assert "less than at develop: margin: 0.05 -> 0.04" in check(repo.gate(), "weakened")["message"]
    ini(repo, "ftgate_base_ref = main")
    unchanged(repo)


def test_the_command_line_does_not_choose_the_base(repo: Project) -> None:
    for name in ("ftgate_base_ref=work", "ftgate_forbid_weakening=false"):
        assert repo.run("-o", name).ret == pytest.ExitCode.USAGE_ERROR


def test_only_one_branch(repo: Project) -> None:
    git(repo.path, "checkout", "-q", "main")
    git(repo.path, "branch", "-q", "-D", "work")
    assert "git knows none of origin/HEAD" in could_not_look(repo)["message"]


def test_a_gate_file_that_is_new(repo: Project) -> None:
    git(repo.path, "mv", "ftgate.yaml", "gates.yaml")
    ini(repo, "ftgate_config = gates.yaml")
    commit(repo)
    assert could_not_look(repo)["message"] == ("the gate file is new since main: there is nothing to compare with")


def test_a_gate_file_that_was_taken_out_of_git_is_compared_all_the_same(repo: Project) -> None:
    git(repo.path, "rm", "-q", "--cached", "ftgate.yaml")
    changed(repo, "margin: 0.05", "margin: 0.04")
    assert weakened(repo) == "margin: 0.05 -> 0.04"


# --- where there is nothing to look at -------------------------------------------------------------------------


def test_without_a_repository_there_is_no_check(repo: Project) -> None:
    changed(repo, "margin: 0.05", "margin: 0.04")
    shutil.rmtree(repo.path / ".git")
    unchanged(repo)


def test_without_git_there_is_no_check(repo: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(repo, "margin: 0.05", "margin: 0.04")
    monkeypatch.setenv("PATH", "")
    unchanged(repo)


def test_of_an_untracked_gate_file_there_is_no_check(repo: Project) -> None:
    git(repo.path, "rm", "-q", "--cached", "ftgate.yaml")
    git(repo.path, "commit", "-q", "-m", "without")
    git(repo.path, "branch", "-q", "-f", "main", "work")
    unchanged(repo)


def test_of_a_gate_in_a_mark_there_is_no_check(repo: Project) -> None:
    repo.gate_test(margin=0.01)
    unchanged(repo)


NO_GIT = (
    "import subprocess\ndef refused(*args, **options): raise SystemExit('git was asked')\nsubprocess.run = refused\n"
)


def test_git_is_asked_only_where_a_gate_is_judged(repo: Project) -> None:
    repo.file("test_gate.py", "def test_plain(): pass\n")
    repo.file("conftest.py", NO_GIT)
    repo.run_apart().assert_outcomes(passed=1)


def test_git_is_asked_once_in_a_session(two: Project) -> None:
    two.file(
        "conftest.py",
        "import subprocess\nrun, asked = subprocess.run, []\n"
        "def counted(*args, **options):\n    asked.append(args[0])\n    return run(*args, **options)\n"
        "subprocess.run = counted\n"
        "def pytest_unconfigure():\n"
        "    print('merge bases:', sum('merge-base' in command for command in asked))\n",
    )
    result = two.run_apart("-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["merge bases: 1"])


def test_under_xdist(two: Project) -> None:
    pytest.importorskip("xdist")
    ini(two, "ftgate_required = all", "ftgate_forbid_weakening = true")
    two.report("-n2", apart=True)
    assert two.result.ret == 0
    without_billing(two)
    changed(two, "margin: 0.05", "margin: 0.04")
    report = two.report("-n2", apart=True)
    assert two.result.ret == 1
    assert statuses(report["gates"][0])["weakened"] == "fail"
    assert {one["name"] for one in report["unjudged"]} == {"support", "billing"}
