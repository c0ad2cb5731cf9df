"""Under GitHub Actions: the summary of the step, and annotations at the lines of marks; nothing of it elsewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from gate_project import Project, label
from test_hostile import HOSTILE


class Annotation(NamedTuple):
    kind: str
    properties: dict[str, str]
    message: str


@pytest.fixture
def actions(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a step of a workflow whose checkout is the folder above the project."""
    (tmp_path / "summary.md").write_text("What another command said.\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path.parent))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return project


def summary() -> str:
    return Path(os.environ["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")


def unescaped(text: str) -> str:
    for code, char in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, char)
    return text


def annotations(result: pytest.RunResult) -> list[Annotation]:
    """As the runner reads them: commands at the beginning of a line, which ends its properties at the first ``::``."""
    found = []
    for line in result.outlines:
        command = re.match(r"::(\w+) (.*?)::(.*)$", line)
        if command:
            pairs = (pair.split("=", 1) for pair in command[2].split(","))
            properties = {name: unescaped(value) for name, value in pairs}
            found.append(Annotation(command[1], properties, unescaped(command[3])))
        else:
            assert not line.lstrip().startswith("::"), line
    return found


# --- the summary ---------------------------------------------------------------------------------------------


BEFORE = "What another command said.\n"


def test_the_summary_is_appended_and_is_what_the_report_is(actions: Project) -> None:
    actions.gate_test(name="intents")
    assert annotations(actions.run()) == []
    assert summary().startswith(f"{BEFORE}## ✅ ftgate: 1 of 1 ")
    actions.gate_test(name="intents", margin=0.3)
    before = summary()
    assert actions.run("--ftgate-report=markdown:out/report.md").ret == 1
    report = (actions.path / "out" / "report.md").read_text(encoding="utf-8")
    assert "### ❌ intents: FAIL" in report
    assert summary() == before + report


def test_nothing_of_it_elsewhere_and_no_summary_where_the_ini_says_so(
    actions: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions.gate_test(margin=0.3)
    actions.file("pytest.ini", "[pytest]\nftgate_github_summary = false\n")
    assert len(annotations(actions.run())) == 1
    monkeypatch.delenv("GITHUB_ACTIONS")
    (actions.path / "pytest.ini").unlink()
    assert annotations(actions.run()) == []
    assert summary() == BEFORE


def test_annotations_with_no_summary_depend_on_pytest(actions: Project) -> None:
    actions.gate_test(margin=0.3)
    assert len(annotations(actions.run("--no-summary"))) == (1 if pytest.version_tuple >= (9, 2) else 0)


def test_a_suite_without_gates_says_nothing(actions: Project) -> None:
    actions.file("test_plain.py", "def test_plain(): assert False\n")
    assert annotations(actions.run("--ftgate-report=json:report.json")) == []
    assert summary() == BEFORE


@pytest.mark.parametrize("full", [True, False])
def test_a_summary_that_cannot_be_written_is_said_and_fails_nothing(
    actions: Project, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    path = Path(os.environ["GITHUB_STEP_SUMMARY"])
    if full:
        path.write_text("x" * 2**20)
    else:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(actions.path))
    actions.gate_test()
    result = actions.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*GitHub*summary*: *"])
    assert not full or path.stat().st_size == 2**20


def test_a_summary_stays_below_the_limit_of_a_step(actions: Project) -> None:
    path = Path(os.environ["GITHUB_STEP_SUMMARY"])
    path.write_text("x" * 999_000)
    actions.gate_test("@pytest.mark.parametrize('x', range(5))\ndef test_gate(x): pass\n")
    assert actions.run().ret == 0
    assert 999_000 < path.stat().st_size < 2**20


def test_obligations_stand_in_the_summary_and_are_annotated(actions: Project) -> None:
    actions.gate_test(name="intents")
    actions.file("pytest.ini", "[pytest]\nftgate_required = intents billing\n")
    result = actions.run("-k", "nothing")
    assert result.ret == 1
    assert "## ❌ ftgate: " in summary()
    assert "**billing**" in summary()
    one, two = annotations(result)
    assert (one.kind, two.kind) == ("error", "error")
    assert (one.properties["title"], two.properties["title"]) == (
        "ftgate: required gate intents",
        "ftgate: required gate billing",
    )
    actions.file("pytest.ini", "[pytest]\nftgate_required = intents billing\nftgate_required_by = verify\n")
    result = actions.run("-k", "nothing")
    assert [found.kind for found in annotations(result)] == ["warning"] * 2


# --- annotations ---------------------------------------------------------------------------------------------


def test_a_red_gate_is_annotated_at_its_mark(actions: Project) -> None:
    actions.gate_test(name="intents: a, b 5%", margin=0.3)
    (found,) = annotations(actions.run("-q", "--tb=no"))
    folder = actions.path.name
    assert found.kind == "error"
    assert found.properties == {
        "file": f"{folder}/test_gate.py",
        "line": "4",
        "title": "ftgate intents: a, b 5%: FAIL",
    }
    first, *advice = found.message.splitlines()
    assert [part for part in ("margin", "+26.7", "30", "(marker)") if part not in first] == []
    assert advice


@pytest.mark.parametrize("flags", [("-qq", "--tb=no", "-s"), ("-v", "--color=yes")])
def test_annotations_do_not_depend_on_what_is_shown(actions: Project, flags: tuple[str, ...]) -> None:
    actions.gate_test(baseline="recorded:absent.jsonl")
    (found,) = annotations(actions.run(*flags))
    assert found.properties["title"].endswith(": ERROR")


PLACES = {
    "function": ("import pytest\n@pytest.mark.x\n{}\n@pytest.mark.x\ndef test_gate(): pass\n", 3),
    "two_lines": ("import pytest\n@pytest.mark.x\n@pytest.mark.ftgate(**(\n{keys}))\ndef test_gate(): pass\n", 3),
    "method": ("import pytest\nclass TestGate:\n    @pytest.mark.x\n    {}\n    def test_gate(self): pass\n", 4),
    "class": ("import pytest\n@pytest.mark.x\n{}\nclass TestGate:\n    def test_gate(self): pass\n", 3),
    "class_list": ("import pytest\nclass TestGate:\n    pytestmark = [{mark}]\n    def test_gate(self): pass\n", 3),
    "inner_class": ("import pytest\nclass TestA:\n    {}\n    class TestB:\n        def test_gate(self): pass\n", 3),
    "base_class": ("import pytest\n{}\nclass Base:\n    def test_gate(self): pass\nclass TestGate(Base): pass\n", 2),
    "module": ("import pytest\n\npytestmark = {mark}\n\ndef test_gate(): pass\n", 3),
    "module_list": ("import pytest\npytestmark = [\n    pytest.mark.x,\n    {mark},\n]\ndef test_gate(): pass\n", 4),
    "parameter": (
        "import pytest\n@pytest.mark.x\n@pytest.mark.parametrize('x', [\n    pytest.param(1, marks={mark}),\n])\n"
        "def test_gate(x): pass\n", 4),
    "nearest": (
        "import pytest\n{}\nclass TestGate:\n    @pytest.mark.ftgate(margin=0.4)\n    def test_gate(self): pass\n", 4),
    "other_name": ("import pytest\ngate = {mark}\n\n@pytest.mark.x\n@gate\ndef test_gate(): pass\n", 5),
    "made_by_a_call": (
        "import pytest\ndef made():\n    {}\n    def test_gate(): pass\n    return test_gate\ntest_gate = made()\n", 3),
}  # fmt: skip


def test_the_line_of_the_mark(project: Project) -> None:
    for name in ("test_set", "training_set"):
        project.keys[name] = f"../{project.keys[name]}"
    project.keys["margin"] = 0.3
    mark = project.mark()
    for place, (source, _) in PLACES.items():
        text = source.format(mark, mark=mark.removeprefix("@"), keys=project.keys)
        project.file(f"sub/test_{place}.py", text)
    project.file("pytest.ini", "[pytest]\nmarkers = x: any\n")
    found = {gate["nodeid"].partition("::")[0]: gate["location"] for gate in project.report("--rootdir=.")["gates"]}
    assert found == {f"sub/test_{place}.py": f"sub/test_{place}.py:{line}" for place, (_, line) in PLACES.items()}


def test_marks_of_several_parameters_are_told_apart(project: Project) -> None:
    one, two = (project.mark(margin=margin).removeprefix("@") for margin in (0.3, 0.31))
    project.file(
        "test_gate.py",
        f"import pytest\n@pytest.mark.parametrize('x', [\n    pytest.param(1, marks={one}),\n"
        f"    pytest.param(2, marks={two}),\n])\ndef test_gate(x): pass\n",
    )
    assert [gate["location"] for gate in project.report()["gates"]] == ["test_gate.py:3", "test_gate.py:4"]


def test_a_source_that_python_warns_of_and_values_that_cannot_be_compared(project: Project) -> None:
    project.file(
        "test_set.py", "class Rows(list):\n    def __eq__(self, other): raise RuntimeError\n    __hash__ = None\n"
    )
    rows = "Rows([{'id': f't{i}', 'input': f'customer question {i}', 'expected': 'refund'} for i in range(60)])"
    mark = project.mark(test_set=...).replace("ftgate(", "ftgate(test_set=[] or ROWS, ")
    twice = mark.replace("test_set=[] or ROWS", "test_set=()")
    project.file(
        "test_gate.py",
        f"import pytest\nfrom test_set import Rows\nROWS = {rows}\nodd = '\\d'\n"
        f"@pytest.mark.parametrize('x', [\n  pytest.param(0, marks={mark.removeprefix('@')}),\n"
        f"  pytest.param(1, marks={twice.removeprefix('@')})])\ndef test_gate(x): pass\n",
    )
    gates = project.report("-Wignore")["gates"]
    assert [gate["location"] for gate in gates] == ["test_gate.py:6", "test_gate.py:7"]
    assert "warnings summary" not in project.result.stdout.str()


def test_a_base_class_in_another_file(project: Project) -> None:
    project.file("bases.py", f"import pytest\n\n\n{project.mark()}\nclass Base:\n    def test_gate(self): pass\n")
    project.file("test_gate.py", "from bases import Base\nclass TestGate(Base): pass\n")
    project.pytester.syspathinsert()
    assert project.gate()["location"] == "bases.py:4"


def test_a_mark_that_a_hook_adds(project: Project) -> None:
    project.file("test_gate.py", "\n\ndef test_gate(): pass\n")
    mark = project.mark().removeprefix("@")
    project.file(
        "conftest.py",
        f"import pytest\ndef pytest_collection_modifyitems(items):\n    items[0].add_marker({mark})\n",
    )
    assert project.gate()["location"] == "test_gate.py:3"


def test_a_mark_outside_of_the_checkout_is_annotated_without_a_line(
    actions: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(actions.path / "elsewhere"))
    actions.gate_test(margin=0.3)
    (found,) = annotations(actions.run())
    assert found.properties.keys() == {"title"}


def test_at_most_ten_and_the_last_says_how_many_more(actions: Project) -> None:
    actions.gate_test("@pytest.mark.parametrize('x', range(12))\ndef test_gate(x): pass\n", margin=0.3)
    found = annotations(actions.run())
    assert len(found) == 10
    assert found[-1].message.startswith("3 ")


def test_hostile_answers_forge_no_command(actions: Project) -> None:
    actions.predictions("ft.jsonl", 60, output=lambda i: HOSTILE if i < 30 else label(i))
    actions.gate_test(name=HOSTILE, hypothesis=HOSTILE)
    result = actions.run("-rA")
    (found,) = annotations(result)
    assert found.kind == "error"
    assert found.properties.keys() == {"file", "line", "title"}
    assert not [line for line in result.outlines if re.search(r"##\w*\[", line)]
    text = summary().partition("said.\n")[2]
    assert all(line.isprintable() or "️" in line for line in text.split("\n"))
    assert not re.search(r"^\s*::|##\w*\[", text, flags=re.MULTILINE)


def test_under_xdist_it_is_said_once(actions: Project) -> None:
    actions.gate_test("@pytest.mark.parametrize('x', range(4))\ndef test_gate(x): pass\n", margin=0.3)
    result = actions.run_apart("-n1", "--ftgate-report=markdown:report.md", "-q")
    found = annotations(result)
    assert [one.properties["line"] for one in found] == ["4"] * 4
    assert len(re.findall(r"^## ❌ ftgate: 0 of 4 ", summary(), flags=re.MULTILINE)) == 1
    assert (actions.path / "report.md").read_text(encoding="utf-8").count("FAIL") == 4
