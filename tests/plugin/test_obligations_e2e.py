"""What meets a required gate and what does not; the ways around it stand in test_catalogue.py."""

from __future__ import annotations

import os

import pytest
from gate_project import GATE, Project

GATE_FILE = f"version: 1\ngates:\n  support: {{{GATE}}}\n"


def reason(project: Project, *args: str) -> str:
    (unjudged,) = project.report(*args)["unjudged"]
    assert unjudged["name"] == "support"
    assert project.result.ret == 1
    if unjudged["reason"].startswith("the verdict of "):  # its block tells it
        project.result.stdout.fnmatch_lines([f"*ftgate support: {unjudged['reason'].split()[-1].upper()}*"])
        project.result.stdout.no_fnmatch_line("FAILED: *")
    else:
        told = f"FAILED: ftgate_required = all (pytest.ini:2) is not met: support: {unjudged['reason'][:40]}*"
        project.result.stdout.fnmatch_lines([told])
    return str(unjudged["reason"])


def test_a_mark_that_tightens_the_file(required: Project) -> None:
    required.marked("'support', margin=0.1")
    assert required.run().ret == 0


def test_a_red_gate_is_told_in_its_block_alone(required: Project) -> None:
    required.marked("'support', margin=0.9")
    assert reason(required) == "the verdict of test_gate.py::test_gate is fail"


def test_a_gate_that_contradicts_itself_is_no_other_gate(required: Project) -> None:
    required.gate_file(GATE_FILE.replace("margin", "max_drop: 0.02, faster_by: 2, margin"))
    assert reason(required) == "the verdict of test_gate.py::test_gate is error"


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ("xfail(run=False)", "xfail(run=False)"),
        ("xfail(run=False, reason='slow')", "xfail(run=False): slow"),
        ("skip(reason='slow')", "slow"),
    ],
)
def test_why_its_test_did_not_run(required: Project, mark: str, told: str) -> None:
    text = f"import pytest\n@pytest.mark.{mark}\n@pytest.mark.ftgate('support')\ndef test_gate(): pass\n"
    required.file("test_gate.py", text)
    assert reason(required) == f"its test was skipped: {told}"


def test_what_is_missing_is_printed_where_it_it_does_not_enforce(required: Project) -> None:
    report = required.report("--ftgate-allow-missing", "-k", "other")
    assert required.result.ret == 0
    assert report["allowed_missing"] is True
    required.result.stdout.fnmatch_lines(
        ["ftgate_required = all (pytest.ini:2) is not met: support: *; not enforced: --ftgate-allow-missing"]
    )


def test_allowing_missing_gates_does_not_excuse_a_red_gate(required: Project) -> None:
    required.lose()
    assert required.run("--ftgate-allow-missing").ret == 1


def test_a_required_gate_that_the_file_does_not_have(required: Project) -> None:
    required.ini_file("ftgate_required = support billing")
    (unjudged,) = required.report()["unjudged"]
    assert unjudged == {"name": "billing", "reason": "no collected test has this marker"}


def test_a_gate_file_that_is_gone_is_no_way_out(required: Project) -> None:
    os.remove(required.path / "ftgate.yaml")
    os.remove(required.path / "test_gate.py")
    result = required.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAILED: ftgate_required = all (pytest.ini:2) is not met: *ftgate.yaml*"])


def test_all_needs_a_gate_file_and_a_name_in_the_marker_does(required: Project) -> None:
    os.remove(required.path / "ftgate.yaml")
    required.gate_test(name="support")
    (unjudged,) = required.report()["unjudged"]
    assert unjudged["name"] == "all"
    for words in ("ftgate.yaml", "name=", "ftgate_required = NAME"):
        assert words in unjudged["reason"]
    required.ini_file("ftgate_required = support")
    assert required.run().ret == 0


def test_a_gate_file_with_the_other_suffix_is_to_be_renamed(required: Project) -> None:
    os.rename(required.path / "ftgate.yaml", required.path / "ftgate.yml")
    (unjudged,) = required.report()["unjudged"]
    assert "found ftgate.yml: rename it to ftgate.yaml" in unjudged["reason"]
    required.result.stdout.fnmatch_lines(["*ERROR *ftgate.yaml: gate file not found*", "*rename it to ftgate.yaml*"])
    required.gate_test()  # its defaults would be lost in silence
    assert required.gate()["verdict"] == "error"


def test_a_set_up_that_failed_before_the_gate_is_the_reason(required: Project) -> None:
    test = "@pytest.fixture\ndef broken(): 1 / 0\n@pytest.mark.ftgate('support')\ndef test_gate(broken): pass\n"
    required.file("test_gate.py", f"import pytest\n{test}")
    assert reason(required).startswith("the set-up of its test failed before the gate was judged")


def test_the_end_says_once_what_fails_the_run_and_the_local_way_out(
    required: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    required.gate_file(GATE_FILE + GATE_FILE.partition("gates:\n")[2].replace("support", "billing"))
    result = required.run("-k", "other")
    (line,) = [line for line in result.outlines if "ftgate_required" in line]
    assert line.startswith("FAILED: ftgate_required = all (pytest.ini:2) is not met: support: its test was deselected")
    assert "billing: no collected test" in line
    assert line.endswith("; for local work add --ftgate-allow-missing")
    monkeypatch.setenv("CI", "true")
    required.run("-k", "other").stdout.no_fnmatch_line("*--ftgate-allow-missing*")


def test_all_of_no_gates_is_no_way_out(required: Project) -> None:
    required.gate_file("version: 1\ndefaults: {margin: 0.05}\n")
    required.gate_test()
    report = required.report()
    assert [gate["verdict"] for gate in report["gates"]] == ["pass"]
    assert report["unjudged"] == [{"name": "all", "reason": "ftgate.yaml has no gates"}]
    assert required.result.ret == 1
