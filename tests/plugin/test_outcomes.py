"""What a verdict does to its test: passed, FAILED in the call phase, ERROR in set-up; and what the body may do."""

from __future__ import annotations

import re

import pytest
from gate_project import Project, check, statuses

from pytest_ftgate.errors import Interrupted


def test_the_mark_alone_is_enough(project: Project) -> None:
    project.gate_test()
    gate = project.gate()
    project.result.assert_outcomes(passed=1)
    assert project.result.ret == 0
    assert gate["verdict"] == "pass"
    assert gate["passed"] is True
    project.result.stdout.fnmatch_lines(["*ftgate test_gate.py::test_gate: PASS*"])


def test_the_fixture_carries_the_facts(project: Project) -> None:
    project.gate_test(
        "def test_gate(ftgate):\n"
        "    assert ftgate.passed\n"
        "    assert ftgate.candidate.metrics['accuracy'] == 56 / 60\n"
        "    assert ftgate.baseline.value == 40 / 60\n"
        "    assert (ftgate.wins, ftgate.losses, ftgate.n) == (18, 2, 60)\n"
        "    assert ftgate.training.usable == 200\n"
    )
    project.run().assert_outcomes(passed=1)


def test_a_gain_below_the_margin_fails_in_the_call_phase(project: Project) -> None:
    project.gate_test(margin=0.3)
    gate = project.gate()
    project.result.assert_outcomes(failed=1)
    assert project.result.ret == 1
    assert gate["verdict"] == "fail"
    found = check(gate, "margin")
    assert (found["observed"], found["required"], found["source"]) == (pytest.approx(16 / 60), 0.3, "marker")


def test_thin_evidence_is_inconclusive_and_red(project: Project) -> None:
    project.predictions("ft.jsonl", 60, wrong_at=range(43, 60))
    project.gate_test()
    gate = project.gate()
    project.result.assert_outcomes(failed=1)
    assert gate["verdict"] == "inconclusive"
    assert check(gate, "evidence")["status"] == "inconclusive"


def test_too_few_training_examples_fail_before_any_model_is_called(project: Project) -> None:
    project.training_set(199)
    project.gate_test("def test_gate():\n    raise SystemExit('the body must not run')\n")
    gate = project.gate()
    project.result.assert_outcomes(failed=1)
    assert statuses(gate)["min_training_examples"] == "fail"
    assert gate["models_called"] is False
    assert gate["baseline"]["value"] is None
    project.result.stdout.fnmatch_lines(["*min_training_examples*199*200*"])


def test_the_bodys_failure_and_the_gates_are_both_shown(project: Project) -> None:
    project.gate_test("def test_gate(ftgate):\n    assert ftgate.candidate.value > 0.99, 'body says no'\n", margin=0.3)
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*body says no*", "*ftgate test_gate.py::test_gate: FAIL*", "*FAIL    margin: *"])


def test_the_body_may_fail_a_green_gate(project: Project) -> None:
    project.gate_test("def test_gate(ftgate):\n    assert ftgate.candidate.value > 0.99\n")
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ftgate test_gate.py::test_gate: PASS*"])


@pytest.mark.parametrize("escape", ["pytest.skip('later')", "pytest.xfail('known')", "return"])
def test_no_body_escapes_a_red_gate(project: Project, escape: str) -> None:
    project.gate_test(f"def test_gate():\n    {escape}\n", margin=0.3)
    result = project.run()
    result.assert_outcomes(failed=1)
    assert result.ret == 1


def test_the_short_summary_names_the_finding_and_its_source(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.gate_test(margin=0.3)
    monkeypatch.setenv("BUILD_NUMBER", "1")  # a CI, in which pytest does not cut the line
    lines = project.run().outlines
    (line,) = (line for line in lines if line.startswith("FAILED"))
    head, _, finding = line.partition(": ")
    assert head == "FAILED test_gate.py::test_gate - margin (marker)"
    assert sum(finding in line for line in lines) == 2  # here and in the block
    assert sum("ftgate test_gate.py::test_gate: FAIL" in line for line in lines) == 2  # in FAILURES and above the block


def test_an_unmarked_suite_hears_nothing_from_us(project: Project) -> None:
    project.file("test_plain.py", "def test_plain():\n    pass\n")
    result = project.run()
    result.assert_outcomes(passed=1)
    text = re.sub(r"ftgate-[\d.]+", "", result.stdout.str().replace(project.path.name, ""))  # pytest lists plugins
    assert "ftgate" not in text


def test_ctrl_c_says_how_many_answers_are_kept(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise Interrupted(("slow",), kept=(1200, 4000))

    monkeypatch.setattr("pytest_ftgate.plugin.outcome.judge_gate", interrupted)
    project.gate_test()
    result = project.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*ERROR   interrupted: *1,200 of 4,000 answers*", "*slow*"])
    result.stdout.no_fnmatch_line("*configuration*")
