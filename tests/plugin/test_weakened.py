"""A gate weakened in the change that it judges: real repositories, and the same project without the weakening.

What is found: tests/unit/weaker.
"""

import json
import shutil
from typing import Any

import pytest
from gate_project import (
    GATE,
    KEYS,
    Files,
    Project,
    check,
    git,
    mentions,
    on_a_branch,
    passed,
    statuses,
    stopped,
    write_files,
)

from pytest_ftgate import read_report

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")

INI = "[pytest]\nftgate_required = support\nftgate_forbid_weakening = true\n"
TEST = "import pytest\n@pytest.mark.ftgate('support')\ndef test_gate(): pass\n"
GATE_FILE = f"version: 1\ngates:\n  support: {{{GATE}}}\n"
EASY = GATE_FILE.replace("0.05", "0.01")
TWO = f"{GATE_FILE}  billing: {{{GATE}}}\n"
TESTS = TEST + TEST.replace("support", "billing").replace("gate()", "other()")


def commit(project: Project, *, on_main: bool = False) -> None:
    git(project.path, "add", "-A")
    git(project.path, "commit", "-q", "--allow-empty", "-m", "change")
    if on_main:
        git(project.path, "branch", "-q", "-f", "main")


@pytest.fixture
def repo(project: Project) -> Project:
    """Return a gate on ``main``; checked out is a branch from it, on which nothing has changed yet."""
    others = {".gitignore": ".ftgate/\n__pycache__/\nreport.json\n", "pytest.ini": "[pytest]\n"}
    write_files(project.path, {"ftgate.yaml": GATE_FILE, "test_gate.py": TEST, **others})
    on_a_branch(project.path)
    return project


def told(gate: dict[str, Any]) -> str:
    """Return all findings that fail a gate, one a line."""
    names = ("weakened", "untracked")
    return "\n".join(
        check["message"]
        for check in gate["checks"]
        if check["name"] in names and check["status"] == "fail"
    )


def test_a_gate_that_asks_for_less_is_told_and_fails_where_it_is_forbidden(repo: Project) -> None:
    """Whether it is committed or not; before and after are printed in red. More examples are fine."""
    assert "weakened" not in statuses(repo.judge("support"))
    repo.gate_file(GATE_FILE.replace("0.05", "0.04"))
    for _ in range(2):
        repo.ini["ftgate_forbid_weakening"] = False
        gate = repo.judge("support")
        assert (gate["verdict"], check(gate, "weakened")["status"]) == ("pass", "warning")
        mentions(check(gate, "weakened"), "weaker than main: margin: 0.05 -> 0.04 (ftgate.yaml:3)")
        repo.ini["ftgate_forbid_weakening"] = True
        finding = stopped(repo.judge("support"), "fail")
        assert (finding["name"], finding["message"]) == (
            "weakened",
            check(gate, "weakened")["message"],
        )
        commit(repo)
    before, _, after = repo.run("--color=yes").stdout.str().partition("weakened")
    assert before.splitlines()[-1].startswith("\x1b[31m")
    assert "margin: 0.05 -> 0.04" in " ".join(after.split())
    repo.gate_file(GATE_FILE)
    repo.test_set(62)
    for name, missed in (("base.jsonl", range(40, 60)), ("ft.jsonl", (0, 1))):
        repo.predictions(name, 62, wrong_at=missed)
    gate = repo.judge("support")
    assert gate["verdict"] == "pass"
    assert "weakened" not in statuses(gate)


@pytest.fixture
def two(repo: Project) -> Project:
    write_files(
        repo.path,
        {"ftgate.yaml": TWO, "test_gate.py": TESTS, "pytest.ini": INI.replace("support", "all")},
    )
    commit(repo, on_main=True)
    return repo


def test_a_gate_that_was_removed_is_reported_and_owed_where_that_is_forbidden(two: Project) -> None:
    assert (two.report()["unjudged"], two.result.ret) == ([], 0)
    write_files(two.path, {"ftgate.yaml": GATE_FILE, "test_gate.py": TEST})
    (unjudged,) = two.report()["unjudged"]
    reason = "weaker than main: the gate billing was removed (ftgate.yaml:4 at main)"
    assert unjudged == {"name": "billing", "reason": reason}
    two.result.assert_outcomes(passed=1, errors=1)
    two.ini_file("ftgate_required = support")  # a change cannot permit itself to be weaker
    report = two.report()
    assert ({one["name"] for one in report["unjudged"]}, two.result.ret) == (
        {"support", "billing"},
        1,
    )
    mentions(
        check(report["gates"][0], "weakened"), "ini ftgate_required: all -> support", "pytest.ini:2"
    )
    write_files(
        two.path, {"ftgate.yaml": "version: 1\n", "test_gate.py": "def test_nothing(): pass\n"}
    )
    two.ini_file("ftgate_forbid_weakening = true")
    unjudged = two.report("--ftgate-report=markdown:report.md", "--ftgate-report=html:report.html")[
        "unjudged"
    ]
    assert [one["name"] for one in unjudged] == ["support", "billing", "ftgate_forbid_weakening"]
    assert "ini ftgate_required: all -> not set" in unjudged[-1]["reason"]
    two.result.stdout.fnmatch_lines(
        ["*the gate billing was*", "*ini ftgate_required: all -> not set*"]
    )
    write_files(two.path, {"ftgate.yaml": TWO, "pytest.ini": "[pytest]\nftgate_required = all\n"})
    commit(two, on_main=True)
    write_files(
        two.path,
        {"ftgate.yaml": TWO.replace("billing", "x"), "test_gate.py": TESTS.replace("billing", "x")},
    )
    assert "weakened" not in statuses(two.report()["gates"][1])
    assert two.result.ret == 0
    assert sum("the gate billing was removed" in line for line in two.result.outlines) == 1


def test_no_report_is_green_where_a_finding_on_no_gate_fails_the_session(two: Project) -> None:
    """A gate that is not required was removed, and all others pass."""
    ini = "[pytest]\nftgate_required = support\nftgate_forbid_weakening = true\n"
    write_files(two.path, {"pytest.ini": ini})
    commit(two, on_main=True)
    forms = ("--ftgate-report=markdown:report.md", "--ftgate-report=html:report.html")
    assert two.report(*forms)["unjudged"] == []
    assert read_report(two.path / "report.json").passed

    write_files(two.path, {"ftgate.yaml": GATE_FILE, "test_gate.py": TEST})
    report = two.report(*forms)
    assert ([gate["verdict"] for gate in report["gates"]], two.result.ret) == (["pass"], 1)
    (finding,) = report["unjudged"]
    assert finding["name"] == "ftgate_forbid_weakening"
    assert "the gate billing was removed" in finding["reason"]
    assert not read_report(two.path / "report.json").passed
    markdown = (two.path / "report.md").read_text(encoding="utf-8")
    assert markdown.startswith("## \u274c ftgate: 1 of 1 gate passed, 1 forbidden change\n")
    assert "- \u274c weaker than main: the gate billing was removed" in markdown
    page = (two.path / "report.html").read_text(encoding="utf-8")
    assert '<h1 class="fail">1 of 1 gate passed, 1 forbidden change</h1>' in page


def test_all_that_is_weaker_is_one_check(repo: Project) -> None:
    """What a marker changes of a required gate is in no gate file, so that it cannot be compared."""
    repo.gate_file(EASY.replace("margin", "min_test_examples: 40, margin"))
    found = check(repo.judge("support"), "weakened")
    mentions(found, "margin: 0.05 -> 0.01", "min_test_examples: 50 -> 40")
    assert found["message"].count("weaker than main") == 1
    write_files(repo.path, {"test_gate.py": MARKED, "pytest.ini": INI})
    gate = repo.gate()
    finding = check(gate, "weakened")
    assert finding["status"] == "fail"
    mentions(
        finding, "margin: 0.05 -> 0.01", "marker gives margin of", "Write margin into the gate file"
    )


def test_a_gate_is_not_weakened_while_only_another_one_is_judged(two: Project) -> None:
    """No test of the gate is collected, and weakening is forbidden."""
    two.ini_file("ftgate_forbid_weakening = true")
    commit(two, on_main=True)
    write_files(
        two.path, {"ftgate.yaml": TWO.replace("0.05", "0.01", 2).replace("0.01", "0.05", 1)}
    )
    result = two.run("-k", "not other")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*billing: weaker than main: margin: 0.05 -> 0.01*"])


def test_without_git_it_could_not_look(repo: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    gate = repo.judge("support")
    assert (gate["verdict"], statuses(gate)["weakened"]) == ("pass", "warning")
    repo.ini["ftgate_forbid_weakening"] = True
    finding = stopped(repo.judge("support"), "fail")
    mentions(finding, "could not compare", "Install git")
    assert finding["name"] == "weakened"


def test_where_there_is_no_history(repo: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is printed without a repository, unless weakening is forbidden; a shallow clone is a warning."""
    commit(repo)
    git(repo.path, "clone", "-q", "--depth", "1", repo.path.as_uri(), "clone")
    shutil.rmtree(repo.path / ".git")
    (repo.path / "clone/.git").rename(repo.path / ".git")
    shutil.rmtree(repo.path / "clone")
    with monkeypatch.context() as job:
        job.setenv("CI", "true")
        assert statuses(repo.gate())["weakened"] == "warning"
    for lines in ((), ("ftgate_required = all",)):
        repo.ini_file(*lines)
        assert statuses(repo.gate("-v")).keys().isdisjoint({"weakened"})
    repo.ini_file("ftgate_forbid_weakening = true")
    mentions(stopped(repo.gate(), "fail"), "git fetch --unshallow")
    shutil.rmtree(repo.path / ".git")
    mentions(stopped(repo.gate(), "fail"), "is in no git repository", "git init, and commit")


def edit(repo: Project, old: str, new: str, change: Any = str) -> None:
    """Move a file, change its text, and write its new name into the gate file."""
    text = (repo.path / old).read_text(encoding="utf-8")
    (repo.path / old).unlink()
    repo.file(new, change(text))
    gate_file = repo.path / "ftgate.yaml"
    gate_file.write_text(gate_file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def rows_changed(change: Any) -> Any:
    def changed(text: str) -> str:
        rows = change([json.loads(line) for line in text.splitlines()])
        return "".join(f"{json.dumps(row)}\n" for row in rows)

    return changed


def as_csv(text: str) -> str:
    rows = [json.loads(line) for line in text.splitlines()]
    return "id,input,expected\n" + "".join(
        f"{row['id']},{row['input']},{row['expected']}\n" for row in rows
    )


@pytest.mark.parametrize(
    ("old", "new", "change", "text"),
    [
        ("test.jsonl", "data/test.jsonl", str, ""),
        ("test.jsonl", "test.csv", as_csv, ""),
        ("base.jsonl", "recorded/base.jsonl", str, ""),
        ("test.jsonl", "data/test.jsonl", rows_changed(lambda rows: rows[:-1]), "1 removed"),
        (
            "test.jsonl",
            "data/test.jsonl",
            rows_changed(lambda rows: [{**rows[0], "expected": "other"}, *rows[1:]]),
            "1 changed",
        ),
        (
            "base.jsonl",
            "recorded/base.jsonl",
            rows_changed(lambda rows: [{**row, "output": "refund"} for row in rows]),
            "baseline: 60 answers of base.jsonl -> ",
        ),
    ],
)
def test_content_is_compared_and_paths_are_not(
    repo: Project, old: str, new: str, change: Any, text: str
) -> None:
    edit(repo, old, new, change)
    commit(repo)
    gate = repo.gate()
    messages = [check["message"] for check in gate["checks"] if check["name"] == "weakened"]
    assert bool(messages) is bool(text)
    assert all(text in message for message in messages)


def test_a_test_set_that_is_read_another_way_is_compared(repo: Project) -> None:
    rows = [json.loads(line) for line in (repo.path / "test.jsonl").read_text().splitlines()]
    text = "".join(f"{json.dumps({**row, 'guess': 'refund'})}\n" for row in rows)
    repo.file("test.jsonl", text)
    commit(repo, on_main=True)
    gate_file = repo.path / "ftgate.yaml"
    other = "{path: test.jsonl, fields: {expected: guess}}"
    repo.file("ftgate.yaml", gate_file.read_text().replace("test.jsonl", other))
    messages = [check["message"] for check in repo.gate()["checks"] if check["name"] == "weakened"]
    assert "test_set: 60 examples of test.jsonl -> 60 changed" in messages[0]


def test_the_branch_that_is_compared_with_may_be_written_down(repo: Project) -> None:
    git(repo.path, "update-ref", "refs/remotes/origin/trunk", "main")
    git(repo.path, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    repo.ini_file("ftgate_forbid_weakening = true", "ftgate_base_ref = trunk")
    assert "weakened" not in statuses(passed(repo.gate()))
    repo.ini_file("ftgate_forbid_weakening = true", "ftgate_base_ref = work")
    mentions(stopped(repo.gate(), "fail"), "ini ftgate_base_ref: not set -> work")


COUNTED = """import subprocess
run = subprocess.run
def counted(command, **options):
    if 'merge-base' in command: open('asked', 'a').write('x')
    return run(command, **options)
subprocess.run = counted
"""


def test_git_is_asked_once_a_process_and_only_where_a_gate_is_judged(
    two: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(two.path, {"ftgate.yaml": EASY, "test_gate.py": TEST, "conftest.py": COUNTED})
    report = two.report("-n2", apart=True)
    assert (two.result.ret, (two.path / "asked").read_text()) == (1, "xx")
    assert statuses(report["gates"][0])["weakened"] == "fail"
    assert {one["name"] for one in report["unjudged"]} == {"support", "billing"}
    write_files(
        two.path,
        {
            "pytest.ini": "[pytest]\n",
            "test_gate.py": "def test_plain(): pass\n",
            "conftest.py": None,
        },
    )
    monkeypatch.delattr("subprocess.run")
    assert two.run().ret == 0


def test_a_marker_that_loosens_a_required_gate_has_one_cure(repo: Project) -> None:
    """Written into the gate file it would be as loose; a key that is stricter is to be moved."""
    looser = TEST.replace("'support'", "'support', margin=0.01, confidence=0.99")
    write_files(repo.path, {"test_gate.py": looser, "pytest.ini": INI})
    commit(repo, on_main=True)
    finding = check(repo.gate(), "weakened")
    mentions(finding, "margin: 0.05 -> 0.01", "the marker gives confidence of", "Undo the change")
    assert "Write confidence into the gate file" in finding["cure"]
    assert "gives margin" not in finding["message"]

    write_files(repo.path, {"test_gate.py": looser.replace(", confidence=0.99", "")})
    assert "into the gate file" not in check(repo.gate(), "weakened")["cure"]


def test_a_marker_that_loosens_its_gate_in_the_file(repo: Project) -> None:
    alone = repo.judge("support", margin=0.03)
    assert alone["loosened"] == ["margin: 0.05 -> 0.03"]
    mentions(check(alone, "weakened"), "margin: 0.05 -> 0.03 (ftgate.yaml:3 -> test_gate.py:4)")
    repo.gate_file(EASY)  # the marker is stricter than the file as it is now
    repo.ini["ftgate_forbid_weakening"] = True
    assert "margin: 0.05 -> 0.01 (ftgate.yaml:3)" in told(repo.judge("support", margin=0.03))


FIXTURE = "import pytest\n@pytest.fixture\ndef ftgate_{}(): return {!r}\n"
OWN = TEST.replace("'support'", f"name='own', {KEYS}")
IN_GATES: Files = {"test_gate.py": None, "gates/test_gate.py": TEST}
MARKED = TEST.replace("'support'", "'support', margin=0.1")
# files on main, those of the change, and what is told
RULES: dict[str, tuple[Files, Files, str]] = {
    # a change cannot permit itself to be weaker: what the ini forbade at the merge base is forbidden
    "permitted": ({}, {"pytest.ini": INI.replace("true", "false")}, "ini ftgate_forbid_weakening: true -> false"),
    "a nearer ini file": (
        IN_GATES, {"gates/pytest.ini": "[pytest]\nftgate_config = ../ftgate.yaml\n"},
        "ini ftgate_required: support -> not set"),
    # and a required gate is in the gate file, where it is compared
    "a marker": ({"test_gate.py": MARKED}, {}, "marker gives margin of"),
    "a fixture": ({"conftest.py": FIXTURE.format("test_set", "test.jsonl")}, {}, "fixture gives test_set of"),
    "the candidate": ({"conftest.py": FIXTURE.format("candidate", "recorded:ft.jsonl")}, {}, ""),
    "a gate of a marker": ({"test_gate.py": OWN, "pytest.ini": INI.replace("support", "own")}, {}, "own is not in"),
}  # fmt: skip


@pytest.mark.parametrize(("then", "now", "text"), RULES.values(), ids=RULES)
def test_where_weakening_is_forbidden(repo: Project, then: Files, now: Files, text: str) -> None:
    write_files(repo.path, {"pytest.ini": INI, **then})
    commit(repo, on_main=True)
    where = ("gates",) if "gates/test_gate.py" in then else ()
    if now:
        assert "weakened" not in statuses(repo.gate(*where))
    write_files(repo.path, now)
    commit(repo)
    gate = repo.gate(*where)
    assert gate["passed"] == (not text), told(gate)
    assert text in told(gate)


@pytest.mark.parametrize("kind", ["submodule", "nested repository"])
def test_files_of_another_repository_are_not_compared_with_this_one(
    repo: Project, kind: str
) -> None:
    """What git says of this project, it says neither of a submodule nor of a repository in a folder."""
    sub = repo.path / "sub"
    data = ("test.jsonl", "train.jsonl", "base.jsonl", "ft.jsonl")
    files = {name: (repo.path / name).read_text(encoding="utf-8") for name in data}
    write_files(sub, {**files, "ftgate.yaml": GATE_FILE})
    on_a_branch(sub)
    if kind == "submodule":
        git(repo.path, "submodule", "add", "-q", "./sub")
    ini = "[pytest]\nftgate_config = sub/ftgate.yaml\n"
    write_files(repo.path, {"ftgate.yaml": None, "pytest.ini": ini})
    repo.ini["ftgate_config"] = "sub/ftgate.yaml"
    commit(repo, on_main=True)

    write_files(sub, {"ftgate.yaml": EASY})
    finding = check(repo.judge("support"), "untracked")
    mentions(finding, "sub/ftgate.yaml is in another git repository, sub", "Judge the gate in sub")
    assert "Add it to git" not in finding["cure"]
    repo.ini["ftgate_forbid_weakening"] = True
    assert "is in another git repository" in told(repo.judge("support"))
