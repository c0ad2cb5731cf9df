"""A gate weakened in the change that it judges: real repositories, and the same project without the weakening."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from gate_project import Project, check, git, mentions, on_a_branch, passed, read_jsonl, statuses, stopped, write_jsonl

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")

INI = "[pytest]\nftgate_required = support\nftgate_forbid_weakening = true\n"
INI_OF_MARKER = INI.replace("support", "own")
TEST = "import pytest\n@pytest.mark.ftgate('support')\ndef test_gate(): pass\n"
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
    thresholds:
      accuracy: {min: 0.9}
"""


def commit(project: Project) -> None:
    git(project.path, "add", "-A")
    git(project.path, "commit", "-q", "-m", "change")


def on_main(project: Project) -> None:
    """Make what is there the state of ``main``."""
    commit(project)
    git(project.path, "branch", "-q", "-f", "main")


@pytest.fixture
def repo(project: Project) -> Project:
    """Return a gate on ``main``; checked out is a branch from it, on which nothing has changed yet."""
    project.gate_file(GATE_FILE)
    project.file("test_gate.py", TEST)
    project.ini_file()
    project.file(".gitignore", ".ftgate/\n__pycache__/\nreport.json\n")
    on_a_branch(project.path)
    return project


def changed(project: Project, old: str = "margin: 0.05", new: str = "margin: 0.04") -> None:
    assert old in GATE_FILE
    project.gate_file(GATE_FILE.replace(old, new))


def unchanged(project: Project) -> None:
    """Without the weakening the same project is green and silent."""
    gate = passed(project.judge("support"))
    assert "weakened" not in statuses(gate)


def where_forbidden(project: Project, **mark: Any) -> dict[str, Any]:
    """Judge where weakening is forbidden."""
    project.ini["ftgate_forbid_weakening"] = True
    gate = project.judge("support", **mark)
    del project.ini["ftgate_forbid_weakening"]
    return gate


def weakened(project: Project, *parts: str, **mark: Any) -> None:
    """The weakening is told, a warning by default and a failure where it is forbidden."""
    gate = project.judge("support", **mark)
    found = check(gate, "weakened")
    assert (gate["verdict"], found["status"]) == ("pass", "warning")
    mentions(found, "main", *parts)
    forbidden = stopped(where_forbidden(project, **mark), "fail")
    assert (forbidden["name"], forbidden["message"]) == ("weakened", found["message"])


def noted(project: Project) -> dict[str, Any]:
    """Something is said, and it is no problem, even where weakening is forbidden."""
    gate = where_forbidden(project)
    assert (gate["verdict"], check(gate, "weakened")["status"]) == ("pass", "note")
    return check(gate, "weakened")


def told(gate: dict[str, Any], status: str = "fail") -> str:
    """Return all findings with this status, one a line."""
    names = ("weakened", "untracked")
    return "\n".join(one["message"] for one in gate["checks"] if one["name"] in names and one["status"] == status)


def test_a_gate_that_asks_for_less(repo: Project) -> None:
    """Each key: tests/unit/weaker/test_weaker_gates.py. The session prints before and after in red."""
    unchanged(repo)
    changed(repo)
    weakened(repo, "margin: 0.05 -> 0.04")  # what is not committed counts too
    commit(repo)
    weakened(repo, "margin: 0.05 -> 0.04")
    repo.file("test_gate.py", TEST)
    before, _, after = repo.run("--color=yes").stdout.str().partition("weakened")
    assert before.splitlines()[-1].startswith("\x1b[31m")
    assert "margin: 0.05 -> 0.04" in " ".join(after.split())
    repo.ini_file("ftgate_forbid_weakening = true")
    assert (stopped(repo.gate(), "fail")["name"], repo.result.ret) == ("weakened", 1)


# --- test sets ---------------------------------------------------------------------------------------------------


def test_examples_of_a_test_set(repo: Project) -> None:
    """What is said of them: tests/unit/weaker/test_examples.py."""
    rows = read_jsonl(repo.path / "test.jsonl")
    write_jsonl(repo.path / "test.jsonl", [{**rows[0], "expected": "shipping"}, *rows[1:]])
    weakened(repo, "test_set", "60 examples of test.jsonl", "1 relabelled (t0)")
    repo.test_set(62)
    for name, missed in (("base.jsonl", range(40, 60)), ("ft.jsonl", (0, 1))):
        repo.predictions(name, 62, wrong_at=missed)
    mentions(noted(repo), "test.jsonl", "2 examples added")


# --- gates that are gone -------------------------------------------------------------------------------------


TWO = GATE_FILE + GATE_FILE.partition("gates:\n")[2].replace("support", "billing")


@pytest.fixture
def two(repo: Project) -> Project:
    repo.gate_file(TWO)
    repo.file("test_gate.py", TEST + TEST.replace("support", "billing").replace("gate()", "other()"))
    repo.ini_file("ftgate_required = all")
    on_main(repo)
    return repo


def without_billing(project: Project) -> None:
    project.gate_file(GATE_FILE)
    project.file("test_gate.py", TEST)


def said(project: Project) -> list[str]:
    """Return the lines on the gate that is gone."""
    return [line for line in project.result.outlines if "billing" in line and "main" in line]


def test_a_gate_that_was_removed_is_reported(two: Project) -> None:
    assert two.report()["unjudged"] == []
    assert not said(two)
    without_billing(two)
    assert (two.report()["unjudged"], two.result.ret, len(said(two))) == ([], 0, 1)
    two.ini_file("ftgate_required = support", "ftgate_forbid_weakening = true")
    report = two.report()
    assert ({one["name"] for one in report["unjudged"]}, two.result.ret) == ({"support", "billing"}, 1)
    mentions(check(report["gates"][0], "weakened"), "ini ftgate_required: all -> support", "pytest.ini:2")


def test_where_weakening_is_forbidden_a_removed_gate_is_still_owed(two: Project) -> None:
    two.ini_file("ftgate_required = all", "ftgate_forbid_weakening = true")
    assert (two.report()["unjudged"], two.result.ret) == ([], 0)
    without_billing(two)
    (unjudged,) = two.report()["unjudged"]
    assert unjudged == {"name": "billing", "reason": "weaker than main: the gate billing was removed (ftgate.yaml:13)"}
    two.result.assert_outcomes(passed=1, errors=1)
    two.gate_file("version: 1\n")
    two.file("test_gate.py", "def test_nothing(): pass\n")
    assert [one["name"] for one in two.report()["unjudged"]] == ["all", "support", "billing"]
    two.ini_file("ftgate_forbid_weakening = true")
    two.result = two.run()
    assert two.result.ret == 1
    two.result.stdout.fnmatch_lines(["*the gate billing was*", "*ini ftgate_required: all -> not set*"])


def test_a_renamed_gate_is_a_new_one_and_the_old_is_gone(two: Project) -> None:
    two.gate_file(TWO.replace("billing", "invoices"))
    two.file("test_gate.py", (two.path / "test_gate.py").read_text().replace("billing", "invoices"))
    found = check(two.report()["gates"][1], "weakened")
    assert (found["status"], len(said(two))) == ("note", 1)
    mentions(found, "the gate invoices is new", "gone are the required gates billing")


# --- where git cannot tell -----------------------------------------------------------------------------------


def test_a_base_of_ones_own_counts_once_the_usual_base_names_it(repo: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(repo)
    commit(repo)
    git(repo.path, "branch", "-q", "develop")
    repo.ini_file("ftgate_base_ref = develop", "ftgate_forbid_weakening = true")
    mentions(stopped(repo.gate(), "fail"), "ini ftgate_base_ref: not set -> develop")
    git(repo.path, "stash", "-q")
    git(repo.path, "checkout", "-q", "main")
    repo.ini_file("ftgate_base_ref = develop")
    commit(repo)
    git(repo.path, "checkout", "-q", "work")
    git(repo.path, "rebase", "-q", "main")
    git(repo.path, "branch", "-q", "-f", "develop")
    assert "weakened" not in statuses(repo.gate())
    monkeypatch.setenv("GITHUB_BASE_REF", "main")  # a request is compared with its own base
    mentions(check(repo.gate(), "weakened"), "main", "margin: 0.05 -> 0.04")


def test_a_gate_that_is_new(repo: Project) -> None:
    repo.file("test_gate.py", "def test_other(): pass\n")
    repo.gate_file("version: 1\n")
    on_main(repo)
    repo.gate_file(GATE_FILE)
    mentions(noted(repo), "support", "main")


# --- where there is nothing to look at -------------------------------------------------------------------------


def test_without_git_it_could_not_look(repo: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    unchanged(repo)
    monkeypatch.setenv("PATH", "")
    gate = repo.judge("support")
    assert (gate["verdict"], check(gate, "weakened")["status"]) == ("pass", "warning")
    mentions(stopped(where_forbidden(repo), "fail"), "Install git")


@pytest.mark.parametrize("what", ["no repository", "no commit", "a shallow clone"])
def test_where_there_is_no_history(repo: Project, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A first run is quiet; where gates are required it is a warning, and where weakening is forbidden a failure."""
    if what == "a shallow clone":
        repo.file("notes.md", "the second commit")
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
    assert statuses(repo.gate()).get("weakened") is None
    assert not [line for line in repo.result.outlines if "could not compare" in line]
    assert [line for line in repo.run("-v").outlines if line.startswith("gates are not compared with an earlier")]
    repo.ini_file("ftgate_required = all")
    assert statuses(repo.gate())["weakened"] == "warning"
    repo.ini_file("ftgate_forbid_weakening = true")
    mentions(stopped(repo.gate(), "fail"), "fetch-depth: 0")


def test_a_gate_file_that_git_does_not_have(repo: Project) -> None:
    git(repo.path, "rm", "-q", "--cached", "ftgate.yaml")
    changed(repo)
    assert "margin: 0.05 -> 0.04" in told(where_forbidden(repo))  # it had it
    git(repo.path, "commit", "-q", "-m", "without")
    git(repo.path, "branch", "-q", "-f", "main", "work")
    assert statuses(repo.judge("support"))["untracked"] == "warning"
    mentions(stopped(where_forbidden(repo), "fail"), "ftgate.yaml is not in git")


@pytest.mark.parametrize("name", ["test.jsonl", "ftgate.yaml"])
def test_a_link_to_what_git_does_not_have(repo: Project, name: str) -> None:
    outside = repo.path.parent / f"outside-{name}"
    (repo.path / name).rename(outside)
    (repo.path / name).symlink_to(outside)
    commit(repo)
    assert f"{name} is not in git" in told(where_forbidden(repo))
    git(repo.path, "branch", "-q", "-f", "main")
    assert f"{name}: its object is missing, or it was a link to a file that git does not have" in told(
        where_forbidden(repo)
    )


NO_GIT = (
    "import subprocess\ndef refused(*args, **options): raise SystemExit('git was asked')\nsubprocess.run = refused\n"
)


def test_git_is_asked_only_where_a_gate_is_judged(repo: Project) -> None:
    repo.file("test_gate.py", "def test_plain(): pass\n")
    repo.file("conftest.py", NO_GIT)
    repo.run_apart().assert_outcomes(passed=1)


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["", "xdist"])
def test_git_is_asked_once_in_a_session(two: Project, args: tuple[str, ...]) -> None:
    two.ini_file("ftgate_required = all", "ftgate_forbid_weakening = true")
    without_billing(two)
    changed(two)
    two.file(
        "conftest.py",
        "import subprocess\nrun, asked = subprocess.run, []\n"
        "def counted(*args, **options):\n    asked.append(args[0])\n    return run(*args, **options)\n"
        "subprocess.run = counted\n"
        "def pytest_unconfigure():\n"
        "    open('asked', 'a').write('x' * sum('merge-base' in command for command in asked))\n",
    )
    report = two.report(*args, apart=True)
    assert (two.result.ret, (two.path / "asked").read_text()) == (1, "x")
    assert statuses(report["gates"][0])["weakened"] == "fail"
    assert {one["name"] for one in report["unjudged"]} == {"support", "billing"}


# --- markers and ini files -----------------------------------------------------------------------------------


def test_a_marker_that_loosens_its_gate_in_the_file(repo: Project) -> None:
    alone = repo.judge("support", margin=0.03)
    assert alone["loosened"] == ["margin: 0.05 -> 0.03"]
    mentions(check(alone, "weakened"), "margin: 0.05 -> 0.03 (ftgate.yaml:8 -> test_gate.py:4)")
    assert stopped(where_forbidden(repo, margin=0.03), "fail")["name"] == "weakened"
    changed(repo, new="margin: 0.01")  # stricter than the file as it is now
    weakened(repo, "margin: 0.05 -> 0.01", "ftgate.yaml:8", margin=0.03)


OWN = "import pytest\n@pytest.fixture\ndef ftgate_{}(): return {!r}\n"
ELSEWHERE: dict[str, tuple[dict[str, str], str]] = {
    "a marker": ({"test_gate.py": TEST.replace("'support'", "'support', margin=0.1")}, "marker gives margin of"),
    "a fixture": ({"conftest.py": OWN.format("test_set", "test.jsonl")}, "fixture gives test_set of"),
    "the candidate": ({"conftest.py": OWN.format("candidate", "recorded:ft.jsonl")}, ""),
    "a gate of a marker": ({"test_gate.py": "", "pytest.ini": INI_OF_MARKER}, "gate own is not in the gate file"),
}


@pytest.mark.parametrize(("files", "text"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_where_weakening_is_forbidden_a_required_gate_is_in_the_gate_file(
    repo: Project, files: dict[str, str], text: str
) -> None:
    own = f"import pytest\n{repo.mark(name='own')}\ndef test_gate(): pass\n"
    for name, written in {"pytest.ini": INI, **files}.items():
        repo.file(name, written or own)
    on_main(repo)
    gate = repo.gate()
    assert gate["passed"] == (not text), told(gate)
    assert text in told(gate)


EASY = GATE_FILE.replace("0.05", "0.01")
BELOW = GATE_FILE.replace("test.jsonl", "../test.jsonl").replace("train.jsonl", "../train.jsonl")
BELOW = BELOW.replace("recorded:", "recorded:../")
ABOVE = "[pytest]\nftgate_config = ../ftgate.yaml\n"
NATIVE = pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 9 reads native TOML")
IN_GATES: dict[str, str | None] = {"test_gate.py": None, "gates/test_gate.py": TEST}
Files = dict[str, str | None]
OTHER_RULES: dict[str, tuple[Files, Files, tuple[str, ...]]] = {  # files on main, those of the change, what is told
    "permitted": (
        {}, {"pytest.ini": "[pytest]\nftgate_required = support\n"},
        ("ini ftgate_forbid_weakening: true -> not set",),
    ),
    "no obligation": (
        {}, {"pytest.ini": "[pytest]\nftgate_forbid_weakening = true\n"}, ("ini ftgate_required: support -> not set",),
    ),
    "less of one": (
        {}, {"pytest.ini": INI.replace("support", "support:ready")},
        ("ini ftgate_required: support -> support:ready",),
    ),
    "another base": (
        {}, {"pytest.ini": INI + "ftgate_base_ref = HEAD\n"}, ("ini ftgate_base_ref: not set -> HEAD",),
    ),
    "more than before": ({}, {"pytest.ini": INI.replace("support", "all")}, ()),
    "another gate file": (
        {}, {"pytest.ini": INI + "ftgate_config = easy.yaml\n"}, ("margin: 0.05 -> 0.01 (easy.yaml:8)",),
    ),
    "an ini file that comes first": ({}, {"pytest.toml": ""}, ("ini ftgate_required: support -> not set",)),
    "a nearer ini file": (IN_GATES, {"gates/pytest.ini": ABOVE}, ("ini ftgate_required: support -> not set",)),
    "a nearer ini file that is gone": (
        {**IN_GATES, "pytest.ini": "[pytest]\n", "gates/pytest.ini": INI + ABOVE.partition("\n")[2]},
        {"gates/pytest.ini": None},
        ("the ini file gates/pytest.ini is no longer used, but pytest.ini",),
    ),
    "a nearer gate file": (
        IN_GATES, {"gates/ftgate.yaml": BELOW.replace("0.05", "0.01")},
        ("the gate file ftgate.yaml is no longer used, but gates/ftgate.yaml", "0.05 -> 0.01 (gates/ftgate.yaml:8)"),
    ),
    "a nearer gate file that is gone": (
        {**IN_GATES, "ftgate.yaml": None, "gates/ftgate.yaml": BELOW}, {"gates/ftgate.yaml": None, "ftgate.yaml": EASY},
        ("the gate file gates/ftgate.yaml is no longer used, but ftgate.yaml", "0.05 -> 0.01 (ftgate.yaml:8)"),
    ),
}  # fmt: skip


def write(project: Project, files: Files) -> None:
    for name, text in files.items():
        if text is None:
            (project.path / name).unlink()
        else:
            project.file(name, text)


@pytest.mark.parametrize(
    ("then", "now", "parts"),
    [pytest.param(*row, id=name, marks=NATIVE if "pytest.toml" in row[1] else ()) for name, row in OTHER_RULES.items()],
)
def test_other_ini_and_gate_files(repo: Project, then: Files, now: Files, parts: tuple[str, ...]) -> None:
    """A change cannot permit itself to be weaker: what the ini forbade at the merge base is forbidden."""
    where = ("gates",) if "gates/test_gate.py" in then else ()
    write(repo, {"pytest.ini": INI, "easy.yaml": EASY, **then})
    on_main(repo)
    assert "weakened" not in statuses(repo.gate(*where))
    write(repo, now)
    commit(repo)
    gate = repo.gate(*where)
    assert gate["passed"] == (not parts)
    assert [part for part in parts if part not in told(gate)] == []


def test_a_folder_that_became_a_repository_of_its_own(repo: Project) -> None:
    write(repo, {**IN_GATES, "pytest.ini": INI})
    on_main(repo)
    git(repo.path / "gates", "init", "-q", "-b", "main")
    write(repo, {"gates/pytest.ini": ABOVE, "gates/ftgate.yaml": EASY})
    for args in ("add", "-A"), ("commit", "-q", "-m", "x"):
        git(repo.path / "gates", *args)
    mentions(stopped(repo.gate("gates"), "fail"), "gates is a repository of its own")


def test_a_state_folder_that_git_tracks(repo: Project) -> None:
    repo.gate()
    assert (repo.path / ".ftgate").is_dir()
    assert "weakened" not in statuses(repo.gate())
    git(repo.path, "add", "-f", ".ftgate")
    mentions(stopped(repo.gate()), ".ftgate/", "git rm -r --cached .ftgate")
