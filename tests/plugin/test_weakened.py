"""A gate weakened in the change that it judges: real repositories, and the same project without the weakening.

What is found: tests/unit/weaker.
"""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from gate_project import Project, check, git, mentions, on_a_branch, passed, statuses, stopped

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")

Files = dict[str, str | None]
INI = "[pytest]\nftgate_required = support\nftgate_forbid_weakening = true\n"
TEST = "import pytest\n@pytest.mark.ftgate('support')\ndef test_gate(): pass\n"
GATE_FILE = """version: 1
gates:
  support:
    test_set: test.jsonl
    training_set: train.jsonl
    baseline: recorded:base.jsonl
    candidate: recorded:ft.jsonl
    margin: 0.05
    min_test_examples: 60
"""
EASY = GATE_FILE.replace("0.05", "0.01")
TWO = GATE_FILE + GATE_FILE.partition("gates:\n")[2].replace("support", "billing")
TESTS = TEST + TEST.replace("support", "billing").replace("gate()", "other()")


def commit(project: Project, *, on_main: bool = False) -> None:
    git(project.path, "add", "-A")
    git(project.path, "commit", "-q", "--allow-empty", "-m", "change")
    if on_main:
        git(project.path, "branch", "-q", "-f", "main")


def write(project: Project, files: Files) -> None:
    for name, text in files.items():
        if text is None:
            (project.path / name).unlink()
        else:
            project.file(name, text)


@pytest.fixture
def repo(project: Project) -> Project:
    """Return a gate on ``main``; checked out is a branch from it, on which nothing has changed yet."""
    ignored = ".ftgate/\n__pycache__/\nreport.json\n"
    write(project, {"ftgate.yaml": GATE_FILE, "test_gate.py": TEST, "pytest.ini": "[pytest]\n", ".gitignore": ignored})
    on_a_branch(project.path)
    return project


def forbidden(project: Project, **mark: Any) -> dict[str, Any]:
    """Judge where weakening is forbidden."""
    project.ini["ftgate_forbid_weakening"] = True
    gate = project.judge("support", **mark)
    del project.ini["ftgate_forbid_weakening"]
    return gate


def told(gate: dict[str, Any]) -> str:
    """Return all findings that fail a gate, one a line."""
    names = ("weakened", "untracked")
    return "\n".join(one["message"] for one in gate["checks"] if one["name"] in names and one["status"] == "fail")


def test_a_gate_that_asks_for_less_is_told_and_fails_where_it_is_forbidden(repo: Project) -> None:
    """Whether it is committed or not; before and after are printed in red."""
    assert "weakened" not in statuses(passed(repo.judge("support")))
    repo.gate_file(GATE_FILE.replace("0.05", "0.04"))
    for _ in range(2):
        gate = repo.judge("support")
        assert (gate["verdict"], check(gate, "weakened")["status"]) == ("pass", "warning")
        mentions(check(gate, "weakened"), "weaker than main: margin: 0.05 -> 0.04 (ftgate.yaml:8)")
        found = stopped(forbidden(repo), "fail")
        assert (found["name"], found["message"]) == ("weakened", check(gate, "weakened")["message"])
        commit(repo)
    before, _, after = repo.run("--color=yes").stdout.str().partition("weakened")
    assert before.splitlines()[-1].startswith("\x1b[31m")
    assert "margin: 0.05 -> 0.04" in " ".join(after.split())


def test_more_examples_are_a_note_and_a_relabelled_one_is_a_finding(repo: Project) -> None:
    repo.test_set(62)
    for name, missed in (("base.jsonl", range(40, 60)), ("ft.jsonl", (0, 1))):
        repo.predictions(name, 62, wrong_at=missed)
    gate = forbidden(repo)
    assert (gate["verdict"], check(gate, "weakened")["status"]) == ("pass", "note")
    repo.test_set(62, expected=lambda i: "invoice" if i == 3 else ("refund", "invoice", "shipping")[i % 3])
    assert "test_set: 60 examples of test.jsonl -> 1 relabelled (t3)" in told(forbidden(repo))


# --- gates that are gone -------------------------------------------------------------------------------------


@pytest.fixture
def two(repo: Project) -> Project:
    write(repo, {"ftgate.yaml": TWO, "test_gate.py": TESTS, "pytest.ini": INI.replace("support", "all")})
    commit(repo, on_main=True)
    return repo


def test_a_gate_that_was_removed_is_reported_and_owed_where_that_is_forbidden(two: Project) -> None:
    assert (two.report()["unjudged"], two.result.ret) == ([], 0)
    write(two, {"ftgate.yaml": GATE_FILE, "test_gate.py": TEST})
    (unjudged,) = two.report()["unjudged"]
    assert unjudged == {"name": "billing", "reason": "weaker than main: the gate billing was removed (ftgate.yaml:10)"}
    two.result.assert_outcomes(passed=1, errors=1)
    two.ini_file("ftgate_required = support", "ftgate_forbid_weakening = true")
    report = two.report()
    assert ({one["name"] for one in report["unjudged"]}, two.result.ret) == ({"support", "billing"}, 1)
    mentions(check(report["gates"][0], "weakened"), "ini ftgate_required: all -> support", "pytest.ini:2")
    write(two, {"ftgate.yaml": "version: 1\n", "test_gate.py": "def test_nothing(): pass\n"})
    two.ini_file("ftgate_forbid_weakening = true")
    assert [one["name"] for one in two.report()["unjudged"]] == ["support", "billing"]
    two.result.stdout.fnmatch_lines(["*the gate billing was*", "*ini ftgate_required: all -> not set*"])
    write(two, {"ftgate.yaml": TWO, "pytest.ini": "[pytest]\nftgate_required = all\n"})
    commit(two, on_main=True)
    write(two, {"ftgate.yaml": TWO.replace("billing", "x"), "test_gate.py": TESTS.replace("billing", "x")})
    found = check(two.report()["gates"][1], "weakened")
    assert (found["status"], two.result.ret) == ("note", 0)
    mentions(found, "the gate x is new", "gone are the required gates billing")
    assert sum("the gate billing was removed" in line for line in two.result.outlines) == 1


# --- where git cannot tell -----------------------------------------------------------------------------------


def test_without_git_it_could_not_look(repo: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert statuses(passed(repo.judge("support")))["weakened"] == "warning"
    mentions(stopped(forbidden(repo), "fail"), "Install git")


@pytest.mark.parametrize("what", ["no repository", "no commit", "a shallow clone"])
def test_where_there_is_no_history(repo: Project, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A first run is quiet; where gates are required it is a warning, and where weakening is forbidden a failure."""
    if what == "a shallow clone":
        commit(repo)
        git(repo.path, "clone", "-q", "--depth", "1", repo.path.as_uri(), "clone")
        shutil.rmtree(repo.path / ".git")
        (repo.path / "clone/.git").rename(repo.path / ".git")
        shutil.rmtree(repo.path / "clone")
        with monkeypatch.context() as job:
            job.setenv("CI", "true")
            assert statuses(repo.gate())["weakened"] == "warning"
    else:
        shutil.rmtree(repo.path / ".git")
    if what == "no commit":
        git(repo.path, "init", "-q")
    assert statuses(repo.gate("-v")).get("weakened") is None
    assert [line for line in repo.result.outlines if line.startswith("gates are not compared with an earlier")]
    repo.ini_file("ftgate_required = all")
    assert statuses(repo.gate())["weakened"] == "warning"
    repo.ini_file("ftgate_forbid_weakening = true")
    mentions(stopped(repo.gate(), "fail"), "fetch-depth: 0")


def test_a_folder_that_became_a_repository_of_its_own(repo: Project) -> None:
    write(repo, {"test_gate.py": None, "gates/test_gate.py": TEST, "pytest.ini": INI})
    commit(repo, on_main=True)
    write(repo, {"gates/pytest.ini": "[pytest]\nftgate_config = ../ftgate.yaml\n", "ftgate.yaml": EASY})
    on_a_branch(repo.path / "gates")
    mentions(stopped(repo.gate("gates"), "fail"), "gates is a repository of its own")


NO_GIT = (
    "import subprocess\ndef refused(*args, **options): raise SystemExit('git was asked')\nsubprocess.run = refused\n"
)
COUNTED = """import subprocess
run, asked = subprocess.run, []
def counted(*args, **options):
    asked.append(args[0])
    return run(*args, **options)
subprocess.run = counted
def pytest_unconfigure():
    open('asked', 'a').write('x' * sum('merge-base' in command for command in asked))
"""


def test_git_is_asked_once_in_a_session_and_only_where_a_gate_is_judged(two: Project) -> None:
    write(two, {"ftgate.yaml": EASY, "test_gate.py": TEST, "conftest.py": COUNTED})
    report = two.report("-n2", apart=True)
    assert (two.result.ret, (two.path / "asked").read_text()) == (1, "x")
    assert statuses(report["gates"][0])["weakened"] == "fail"
    assert {one["name"] for one in report["unjudged"]} == {"support", "billing"}
    write(two, {"pytest.ini": "[pytest]\n", "test_gate.py": "def test_plain(): pass\n", "conftest.py": NO_GIT})
    two.run_apart().assert_outcomes(passed=1)


def test_a_state_folder_that_git_tracks(repo: Project) -> None:
    repo.gate()
    assert "weakened" not in statuses(repo.gate())
    git(repo.path, "add", "-f", ".ftgate")
    mentions(stopped(repo.gate()), ".ftgate/", "git rm -r --cached .ftgate")


# --- markers, fixtures and ini files -----------------------------------------------------------------------------


def test_a_marker_that_loosens_its_gate_in_the_file(repo: Project) -> None:
    alone = repo.judge("support", margin=0.03)
    assert alone["loosened"] == ["margin: 0.05 -> 0.03"]
    mentions(check(alone, "weakened"), "margin: 0.05 -> 0.03 (ftgate.yaml:8 -> test_gate.py:4)")
    repo.gate_file(EASY)  # the marker is stricter than the file as it is now
    assert "margin: 0.05 -> 0.01 (ftgate.yaml:8)" in told(forbidden(repo, margin=0.03))


OWN = "import pytest\n@pytest.fixture\ndef ftgate_{}(): return {!r}\n"
IN_GATES: Files = {"test_gate.py": None, "gates/test_gate.py": TEST}
BELOW = GATE_FILE.replace("test.jsonl", "../test.jsonl").replace("train.jsonl", "../train.jsonl")
BELOW = BELOW.replace("recorded:", "recorded:../")
MARKED = TEST.replace("'support'", "'support', margin=0.1")
RULES: dict[str, tuple[Files, Files, str]] = {  # files on main, those of the change, and what is told
    # a change cannot permit itself to be weaker: what the ini forbade at the merge base is forbidden
    "permitted": ({}, {"pytest.ini": INI.replace("true", "false")}, "ini ftgate_forbid_weakening: true -> false"),
    "more than before": ({}, {"pytest.ini": INI.replace("support", "all")}, ""),
    "another base": ({}, {"pytest.ini": f"{INI}ftgate_base_ref = HEAD\n"}, "ini ftgate_base_ref: not set -> HEAD"),
    "a nearer ini file": (
        IN_GATES, {"gates/pytest.ini": "[pytest]\nftgate_config = ../ftgate.yaml\n"},
        "ini ftgate_required: support -> not set",
    ),
    "a nearer gate file that is gone": (
        {**IN_GATES, "ftgate.yaml": None, "gates/ftgate.yaml": BELOW}, {"gates/ftgate.yaml": None, "ftgate.yaml": EASY},
        "the gate file gates/ftgate.yaml is no longer used, but ftgate.yaml",
    ),
    # and a required gate is in the gate file, where it is compared
    "a marker": ({"test_gate.py": MARKED}, {}, "marker gives margin of"),
    "a fixture": ({"conftest.py": OWN.format("test_set", "test.jsonl")}, {}, "fixture gives test_set of"),
    "the candidate": ({"conftest.py": OWN.format("candidate", "recorded:ft.jsonl")}, {}, ""),
    "a gate of a marker": (
        {"test_gate.py": "own", "pytest.ini": INI.replace("support", "own")}, {}, "gate own is not in the gate file",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("then", "now", "text"), RULES.values(), ids=RULES)
def test_where_weakening_is_forbidden(repo: Project, then: Files, now: Files, text: str) -> None:
    own = f"import pytest\n{repo.mark(name='own')}\ndef test_gate(): pass\n"
    write(repo, {name: own if one == "own" else one for name, one in {"pytest.ini": INI, **then}.items()})
    commit(repo, on_main=True)
    where = ("gates",) if "gates/test_gate.py" in then else ()
    if now:
        assert "weakened" not in statuses(repo.gate(*where))
    write(repo, now)
    commit(repo)
    gate = repo.gate(*where)
    assert gate["passed"] == (not text), told(gate)
    assert text in told(gate)
