"""Markers, fixtures, code, recordings and ini keys that ask for less than at the merge base, as pytest runs them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from gate_project import Project, check, git, mentions, read_jsonl, statuses, stopped, write_jsonl
from test_weakened import GATE_FILE, commit, on_main, repo

__all__ = ["repo"]

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")

HEAD = "import pytest\n"


def said(project: Project, name: str, *parts: str, forbidden: str = "fail", option: str = "") -> dict[str, Any]:
    """A check is a warning with these parts, and has another status where weakening is forbidden."""
    args = [option] if option else []
    gate = project.gate(*args)
    assert (gate["verdict"], check(gate, name)["status"]) == ("pass", "warning"), gate["checks"]
    mentions(check(gate, name), *parts)
    assert [line for line in project.result.outlines if name in line], "in the block"
    before = (project.path / "pytest.ini").read_text()
    project.file("pytest.ini", before + "ftgate_forbid_weakening = true\n")
    assert check(project.gate(*args), name)["status"] == forbidden
    assert project.result.ret == (1 if forbidden == "fail" else 0)
    project.file("pytest.ini", before)
    return check(gate, name)


def silent(project: Project) -> None:
    found = statuses(project.gate())
    assert not {"weakened", "changed", "untracked"} & found.keys(), found


def alone(project: Project, **changes: Any) -> str:
    return project.mark(**{"name": "orders", **changes})


def write_test(project: Project, mark: str, shape: str) -> None:
    """Write the test with a mark on its function, its class or its module, or on one of its parameters."""
    function = "def test_gate(self=None): pass\n"
    shapes = {
        "function": f"{mark}\n{function}",
        "class": f"{mark}\nclass TestGate:\n    {function}",
        "base class": f"{mark}\nclass Base: pass\nclass TestGate(Base):\n    {function}",
        "module": f"pytestmark = [{mark[1:]}]\n{function}",
        "parameter": f"@pytest.mark.parametrize('x', [pytest.param(1, marks={mark[1:]})])\ndef test_gate(x): pass\n",
        "a name": f"gate = {mark[1:]}\n@gate\n{function}",
    }
    project.file("test_gate.py", HEAD + shapes[shape])


SHAPES = ["function", "class", "base class", "module", "parameter", "a name"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_gate_of_its_own_in_a_mark(repo: Project, shape: str) -> None:
    write_test(repo, alone(repo, margin=0.1), shape)
    on_main(repo)
    silent(repo)
    write_test(repo, alone(repo, margin=0), shape)
    said(repo, "weakened", "margin: 0.1 -> 0", "test_gate.py:", "main")


@pytest.mark.parametrize("shape", ["function", "module", "parameter"])
def test_a_mark_that_loosens_its_gate_in_the_file(repo: Project, shape: str) -> None:
    write_test(repo, "@pytest.mark.ftgate('support', margin=0.1)", shape)
    on_main(repo)
    silent(repo)
    write_test(repo, "@pytest.mark.ftgate('support')", shape)
    said(repo, "weakened", "margin: 0.1 -> 0.05", "ftgate.yaml:8")
    write_test(repo, "@pytest.mark.ftgate('support', margin=0.02, evidence='observed')", shape)
    said(repo, "weakened", "margin: 0.1 -> 0.02", "evidence: significant -> observed", "test_gate.py:")
    on_main(repo)
    said(repo, "weakened", "margin: 0.05 -> 0.02", "ftgate.yaml:8", "test_gate.py:")  # it stays visible


def test_marks_of_several_parameters(repo: Project) -> None:
    def write(*margins: float, named: bool) -> None:
        marks = (repo.mark(margin=one, **({"name": f"g{i}"} if named else {}))[1:] for i, one in enumerate(margins))
        rows = ", ".join(f"pytest.param({i}, marks={mark})" for i, mark in enumerate(marks))
        repo.file("test_gate.py", f"{HEAD}@pytest.mark.parametrize('x', [{rows}])\ndef test_gate(x): pass\n")

    write(0.1, 0.2, named=True)
    on_main(repo)
    write(0.15, 0.15, named=True)
    one, other = repo.report()["gates"]
    assert "weakened" not in statuses(one)
    mentions(check(other, "weakened"), "margin: 0.2 -> 0.15")
    write(0.1, 0.2, named=False)
    on_main(repo)
    assert not [gate for gate in repo.report()["gates"] if "weakened" in statuses(gate)]
    write(0.1, 0.15, named=False)
    one, other = repo.report()["gates"]
    assert "weakened" not in statuses(one)
    assert statuses(other)["weakened"] == "warning"  # it is not known which it was


def test_a_mark_that_moves(repo: Project) -> None:
    write_test(repo, alone(repo, margin=0.1), "module")
    on_main(repo)
    write_test(repo, alone(repo, margin=0.1), "function")
    silent(repo)
    (repo.path / "test_gate.py").unlink()
    repo.file("test_other.py", f"{HEAD}{alone(repo, margin=0.1)}\ndef test_renamed(): pass\n")
    silent(repo)
    repo.file("test_other.py", f"{HEAD}{alone(repo, margin=0.01)}\ndef test_renamed(): pass\n")
    said(repo, "weakened", "margin: 0.1 -> 0.01", "test_other.py:2")


@pytest.mark.parametrize(("file", "name"), [("test_other.py", "test_gate"), ("test_gate.py", "test_renamed")])
def test_a_gate_without_a_name_that_moves(repo: Project, file: str, name: str) -> None:
    repo.file("test_gate.py", f"{HEAD}{repo.mark(margin=0.1)}\ndef test_gate(): pass\n")
    on_main(repo)
    repo.file(file, f"{HEAD}{repo.mark(margin=0.01)}\ndef {name}(): pass\n")
    if file != "test_gate.py":
        beside = next(gate for gate in repo.report()["gates"] if file in gate["nodeid"])
        assert statuses(beside)["weakened"] == "note"  # the test of that time is still there
        (repo.path / "test_gate.py").unlink()
    said(repo, "weakened", "margin: 0.1 -> 0.01", f"{file}:")


def test_a_mark_that_names_another_gate(repo: Project) -> None:
    two = yaml.safe_load(GATE_FILE)
    two["gates"]["lenient"] = {**two["gates"]["support"], "margin": 0.01}
    repo.gate_file(yaml.safe_dump(two))
    on_main(repo)
    repo.file("test_gate.py", f"{HEAD}@pytest.mark.ftgate('lenient')\ndef test_gate(): pass\n")
    said(repo, "weakened", "margin: 0.05 -> 0.01")
    assert [line for line in repo.result.outlines if "no collected test marks support" in line]


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        ("margin=M", "margin=M", "margin: 0.1 -> 0.01"),
        ("margin=limits.M", "margin=limits.M", "margin"),
        ("**limits.KEYS", "margin=0.01", "**"),
        ("margin=0.1", "**limits.KEYS", "margin: 0.1 -> 0.01"),
    ],
)
def test_values_that_are_not_literal(repo: Project, then: str, now: str, told: str) -> None:
    def write(keys: str, margin: float) -> None:
        repo.file("limits.py", f"M = {margin}\nKEYS = {{'margin': M}}\n")
        mark = alone(repo, margin=...)[:-1]
        repo.file("test_gate.py", f"{HEAD}import limits\nM = {margin}\n{mark}, {keys})\ndef test_gate(): pass\n")

    write(then, 0.1)
    on_main(repo)
    write(now, 0.01)
    said(repo, "weakened", told, "test_gate.py:")


FIXTURE = """import pytest
{imported}
@pytest.fixture
def ftgate_baseline():
    return {model}
"""
MODEL = """
def right(text):
    return ('refund', 'invoice', 'shipping')[int(text.split()[-1]) % 3]

"""
OTHER = "lambda text: models.right(text) if int(text.split()[-1]) < 30 else 'refund'"
WORSE = f"{MODEL}def model(text):\n    return 'refund' if int(text.split()[-1]) % 2 else right(text)\n"


def test_a_fixture_and_what_it_imports(repo: Project) -> None:
    repo.gate_file(GATE_FILE.replace("    baseline: recorded:base.jsonl\n", ""))
    repo.file("models.py", f"{WORSE}\n")
    repo.file("conftest.py", FIXTURE.format(imported="import models", model="models.model"))
    on_main(repo)
    silent(repo)
    repo.file("conftest.py", "# a remark\n" + FIXTURE.format(imported="import models", model="models.model"))
    silent(repo)
    repo.file(
        "conftest.py",
        FIXTURE.format(
            imported="import models",
            model=OTHER,
        ),
    )
    said(repo, "changed", "conftest.py", "ftgate_baseline", "main")
    git(repo.path, "checkout", "-q", "conftest.py")
    repo.file("models.py", WORSE.replace("% 2", "% 2 == 0"))
    said(repo, "changed", "models.py")


def test_a_fixture_that_a_mark_or_the_file_replaces(repo: Project) -> None:
    repo.gate_file(GATE_FILE.replace("    baseline: recorded:base.jsonl\n", ""))
    repo.file("conftest.py", FIXTURE.format(imported=WORSE, model="model"))
    on_main(repo)
    (repo.path / "conftest.py").unlink()
    repo.file(
        "test_gate.py", f"{HEAD}@pytest.mark.ftgate('support', baseline='recorded:base.jsonl')\ndef test_gate(): pass\n"
    )
    said(repo, "weakened", "baseline", "fixture")


def test_the_code_of_models_and_metrics(repo: Project) -> None:
    repo.file("models.py", WORSE)
    repo.file("metric.py", "def same(expected, answer):\n    return float(expected == answer)\n")
    repo.file(
        "conftest.py",
        "import metric\nimport pytest_ftgate\ndef pytest_ftgate_metrics():\n"
        "    return {'same': pytest_ftgate.metric(low=0, high=1, greater_is_better=True)(metric.same)}\n",
    )
    text = GATE_FILE.replace("recorded:base.jsonl", "'python:models:model'").replace("accuracy, min", "same, min")
    repo.gate_file(text)
    repo.ini_file("pythonpath = .")
    on_main(repo)
    silent(repo)
    repo.file("models.py", WORSE.replace("% 2", "% 2 == 0"))
    said(repo, "changed", "models.py", "baseline")
    git(repo.path, "checkout", "-q", "models.py")
    repo.file("metric.py", "def same(expected, answer):\n    return 1.0\n")
    said(repo, "changed", "metric.py", forbidden="warning")


def test_recorded_answers_that_changed_under_their_keys(repo: Project) -> None:
    rows = read_jsonl(repo.path / "ft.jsonl")
    write_jsonl(repo.path / "ft.jsonl", [{**rows[0], "output": "refund"}, *rows[1:]])
    said(repo, "changed", "1 of 60 answers", "ft.jsonl", forbidden="warning")
    git(repo.path, "checkout", "-q", "ft.jsonl")
    write_jsonl(repo.path / "kept/a.jsonl", [{"id": str(i), "output": "x", "key": f"k{i}"} for i in range(3)])
    repo.ini_file("ftgate_recordings = kept")
    on_main(repo)
    silent(repo)
    rows = [{"id": str(i), "output": "x", "key": f"k{i}", "created_at": 9} for i in range(1, 5)]
    write_jsonl(repo.path / "kept/a.jsonl", rows)
    silent(repo)
    write_jsonl(repo.path / "kept/b.jsonl", [{**rows[0], "output": "y"}, *rows[1:]])
    (repo.path / "kept/a.jsonl").unlink()
    said(repo, "changed", "1 of 3 answers", "kept/a.jsonl", forbidden="warning")


INI = "[pytest]\nftgate_required = support\nftgate_forbid_weakening = true\n"


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ("[pytest]\nftgate_required = support\n", "ini ftgate_forbid_weakening: true -> not set"),
        ("[pytest]\nftgate_forbid_weakening = true\n", "ini ftgate_required: support -> not set"),
        (INI.replace("support", "support:ready"), "ini ftgate_required: support -> support:ready"),
        (INI + "ftgate_base_ref = HEAD\n", "ini ftgate_base_ref: not set -> HEAD"),
    ],
)
def test_ini_keys(repo: Project, now: str, told: str) -> None:
    """A change cannot permit itself to be weaker: what the ini forbade at the merge base is forbidden."""
    repo.file("pytest.ini", INI)
    on_main(repo)
    silent(repo)
    repo.file("pytest.ini", INI.replace("support", "all"))
    silent(repo)
    repo.file("pytest.ini", now)
    commit(repo)
    mentions(stopped(repo.gate(), "fail"), told, "pytest.ini")


def test_ini_keys_in_another_file(repo: Project) -> None:
    (repo.path / "pytest.ini").unlink()
    repo.file(
        "pyproject.toml", "[tool.pytest.ini_options]\nftgate_required = ['support']\nftgate_forbid_weakening = true\n"
    )
    on_main(repo)
    silent(repo)
    repo.file("pytest.ini", "[pytest]\n")
    mentions(stopped(repo.gate(), "fail"), "ftgate_required: support -> not set", "ftgate_forbid_weakening")


@pytest.mark.parametrize(("required", "met"), [("support", False), ("support:ready", True), ("all:ready", True)])
def test_before_training_a_gate_is_met_only_where_the_ini_says_so(repo: Project, required: str, met: bool) -> None:
    repo.gate_file(GATE_FILE.replace("candidate: recorded:ft.jsonl", "stage: ready"))
    repo.ini_file(f"ftgate_required = {required}")
    on_main(repo)
    report = repo.report()
    assert report["gates"][0]["verdict"] == "pass"
    assert ([one["name"] for one in report["unjudged"]], repo.result.ret) == (([], 0) if met else (["support"], 1))
    repo.gate_file(GATE_FILE)
    assert repo.report()["unjudged"] == []  # a candidate is more


def test_a_state_folder_that_git_tracks(repo: Project) -> None:
    state: Path = repo.path / ".ftgate"
    repo.gate()
    assert state.is_dir()
    silent(repo)
    git(repo.path, "add", "-f", ".ftgate")
    mentions(stopped(repo.gate()), ".ftgate/", "git rm -r --cached .ftgate")
