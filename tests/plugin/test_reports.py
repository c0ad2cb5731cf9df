"""What is written: terminal block, reports, recordings; under xdist: test_distribution.py."""

import re
from typing import Any

import pytest
from gate_project import (
    OWN,
    Project,
    block,
    check,
    ends,
    label,
    mentions,
    read_jsonl,
    words,
    write_jsonl,
)

from pytest_ftgate import read_report
from pytest_ftgate.data import input_sha256


def test_a_report_that_cannot_be_written_fails_the_session(project: Project) -> None:
    project.gate_test()
    project.file("file", "")
    forms = ("json", "markdown", "html")
    result = project.run(*(f"--ftgate-report={form}:file/{form}" for form in forms))
    assert result.ret == 1
    for form in forms:
        result.stdout.fnmatch_lines([f"*{form} report*: *"])


def test_a_report_after_one_that_cannot_be_written_is_not_green(project: Project) -> None:
    project.gate_test()
    project.file("file", "")
    project.run("--ftgate-report=html:file/html", "--ftgate-report=json:report.json")
    report = read_report(project.path / "report.json")
    assert [gate.verdict for gate in report] == ["pass"]
    assert not report.passed
    assert report.unjudged[0].reason.startswith("the html report could not be written: ")


@pytest.mark.parametrize("report", ["markdown:", "pdf:x", "json:", "json", "predictions:x.txt"])
def test_a_bad_report_is_refused_at_once(project: Project, report: str) -> None:
    project.gate_test()
    result = project.run(f"--ftgate-report={report}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--ftgate-report: *'{report}'"])


def test_the_job_summary_of_github_is_shared_with_other_commands(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = project.file("summary.md", "of another command\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    project.gate_test(name="intents")
    for _ in range(2):
        assert project.run(f"--ftgate-report=markdown:{summary}").ret == 0
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("of another command\n## ")
    assert text.count("intents: PASS") == 2


def test_the_block_is_hidden_by_qq(project: Project) -> None:
    project.gate_test()
    assert ["95 % lower bound" in project.run(flag).stdout.str() for flag in ("-q", "-qq")] == [
        True,
        False,
    ]


def test_the_folder_of_recordings_need_not_exist(project: Project) -> None:
    project.own()
    project.gate_test(
        name="support", candidate={"provider": "python", "target": "own:good", "revision": "1"}
    )
    project.ini_file("ftgate_recordings = recorded")
    assert project.gate("--ftgate-report=recordings:elsewhere")["verdict"] == "pass"
    assert project.gate("--ftgate-report=recordings:recorded")["verdict"] == "pass"
    project.file("own.py", "def good(text): raise RuntimeError\n")
    project.ini_file("ftgate_recordings = recorded", "ftgate_state = new")
    assert project.gate("--ftgate-offline")["candidate"]["n_stored"] == 60
    project.own()
    assert project.gate("--ftgate-cache=refresh")["candidate"]["n_stored"] == 0


def recorded_by(
    project: Project, *args: str, **changes: Any
) -> tuple[dict[str, int], dict[str, Any]]:
    """Judge two Python models and write recordings; give the rows of each file, and the gate."""
    models = {
        role: {
            "provider": "python",
            "target": f"own:{name}",
            "revision": "1",
            "timeout_s": 1,
            "retries": 0,
        }
        for role, name in (("baseline", "weak"), ("candidate", "good"))
    }
    project.gate_test(name="support", **{**models, **changes})
    gate = project.gate("--ftgate-report=recordings:recorded", *args, apart=True)
    return {
        path.name: len(read_jsonl(path)) for path in (project.path / "recorded").glob("*.jsonl")
    }, gate


@pytest.mark.parametrize("missing", ["error", "wrong"])
def test_recordings_never_lose_answers(project: Project, missing: str) -> None:
    """A run whose models fail, or are asked anew while they fail, leaves the files as they are, and says so."""
    project.own()
    full, gate = recorded_by(project)
    assert (gate["verdict"], full) == (
        "pass",
        {"support.baseline.jsonl": 60, "support.candidate.jsonl": 60},
    )
    green = (project.path / "recorded" / "support.green.json").read_bytes()
    project.file(
        "own.py", OWN.replace("def good(text): ", "def good(text): assert '17' not in text; ")
    )
    recording, gate = recorded_by(project, "--ftgate-cache=refresh", missing_answers=missing)
    assert (gate["verdict"], recording) == ("error" if missing == "error" else "pass", full)
    assert (project.path / "recorded" / "support.green.json").read_bytes() == green
    assert re.search(
        "no recordings of support .* 1 of 60 answers of candidate", words(project.result)
    )


def test_the_input_that_a_committed_recording_states_is_checked(project: Project) -> None:
    """Also where its key is right; an input that no row states is another one."""
    project.own()
    recorded_by(project)
    path = project.path / "recorded" / "support.candidate.jsonl"
    rows = read_jsonl(path)
    project.file("pytest.ini", "[pytest]\nftgate_recordings = recorded\nftgate_state = elsewhere\n")
    assert recorded_by(project)[1]["verdict"] == "pass"
    rows[16]["input_sha256"] = input_sha256("another question")
    write_jsonl(path, rows)
    _, gate = recorded_by(project)
    assert gate["verdict"] == "error"
    mentions(
        check(gate, "candidate_answers"), "recorded/support.candidate.jsonl:17", "input_sha256"
    )
    write_jsonl(path.with_name("other.jsonl"), [{**rows[0], "output": "another"}])
    _, gate = recorded_by(project)
    mentions(check(gate, "configuration"), "different answer", "recorded/", "key")


@pytest.mark.parametrize("kind", ["ids", "hashes", "no ids"])
def test_a_recorded_candidate_can_be_called(project: Project, kind: str) -> None:
    """Without an event loop, where the answer is recorded: found by the test set, the row or the input."""
    inputs = [f"customer question {i}" for i in range(60)]
    for name, n_right in (("base.jsonl", 40), ("ft.jsonl", 60)):
        outputs = [f"<think>hm</think>{label(i) if i < n_right else 'refund'}" for i in range(60)]
        rows = [{"id": f"t{i}", "output": text} for i, text in enumerate(outputs)]
        if kind == "hashes":
            rows = [
                {**row, "input_sha256": input_sha256(text)}
                for row, text in zip(rows, inputs, strict=True)
            ]
        if kind == "no ids":
            rows = [
                {**row, "id": input_sha256(text)[:16]}
                for row, text in zip(rows, inputs, strict=True)
            ]
            write_jsonl(
                project.path / "test.jsonl",
                ({"input": x, "expected": label(i)} for i, x in enumerate(inputs)),
            )
        write_jsonl(project.path / name, rows)
    bodies = (
        "def test_gate(ftgate_candidate):\n    assert ftgate_candidate('customer question 4') == 'invoice'\n",
        "def test_other(ftgate_candidate):\n    ftgate_candidate('never recorded')\n",
    )
    project.file(
        "test_gate.py",
        "import pytest\n" + "\n".join(f"{project.mark()}\n{body}" for body in bodies),
    )
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*ModelError: ft.jsonl: no recorded answer*"])


@pytest.mark.parametrize("names", [("old", "new"), ("new", "old")])
def test_a_recording_is_held_to_the_inputs_of_every_gate(
    project: Project, names: tuple[str, str]
) -> None:
    """What one gate has found right says nothing of another gate's inputs under the same ids."""

    def hashed(i: int) -> str:
        return input_sha256(f"customer question {i}")

    project.predictions("base.jsonl", 60, range(40, 60), input_sha256=hashed)
    project.predictions("ft.jsonl", 60, input_sha256=hashed)
    project.test_set(60, "new.jsonl", input="please help: {}".format)
    sets = {"old": "test.jsonl", "new": "new.jsonl"}
    source = "import pytest\n"
    for name in names:
        source += f"{project.mark(test_set=sets[name])}\ndef test_{name}(): pass\n\n\n"
    project.file("test_gate.py", source)

    gates = {}
    for gate in project.report()["gates"]:
        gates[gate["name"].rpartition("::")[2]] = gate
    assert gates["test_old"]["verdict"] == "pass"
    assert gates["test_new"]["verdict"] == "error"
    assert check(gates["test_new"], "baseline_answers")["status"] == "error"


def test_a_secondary_metric_in_another_unit_is_no_percentage(project: Project) -> None:
    """A mean error of 0.888 minutes is not 88.8 %, in whatever report."""
    project.test_set(60, expected=lambda i: str(i % 7))
    for name, error in (("base.jsonl", 2.5), ("ft.jsonl", 0.888)):
        project.predictions(
            name, 60, output=lambda i, error=error: str(i % 7 + (0 if i % 2 else error))
        )
    metrics = [
        {"name": "within", "tolerance": 0.9},
        {"name": "absolute_error", "cap": 10},
    ]
    project.gate_test(metric=metrics)
    printed = project.run("--ftgate-report=markdown:report.md", "--ftgate-report=json:report.json")
    printed.assert_outcomes(passed=1)
    markdown = (project.path / "report.md").read_text(encoding="utf-8")
    (gate,) = read_report(project.path / "report.json")
    assert gate.candidate.score("absolute_error") == pytest.approx(0.444)
    for text in (markdown, str(gate), printed.stdout.str()):
        assert "0.444" in text
        assert "44.4 %" not in text


@pytest.mark.parametrize("red", [True, False])
def test_recordings_are_named_only_where_some_were_written(project: Project, red: bool) -> None:
    project.own()
    project.training_set(10 if red else 200)
    project.gate_test(baseline="python:own:weak", candidate="python:own:good")
    lines = project.run("--ftgate-report=recordings:kept").outlines
    assert (project.path / "kept").exists() is not red
    assert ("recordings report: kept" in lines) is not red
    assert any("no recordings" in line and "no model was called" in line for line in lines) is red


def test_wrong_answers_beside_a_limit_name_the_metric_that_finds_them(project: Project) -> None:
    project.predictions("ft.jsonl", 60, wrong_at=(0,))
    thresholds = {"exact_match": {"min": 1}}
    gate = ends(project.judge(metric="accuracy", thresholds=thresholds), "fail")
    assert "wrong answers of the candidate by accuracy (1 of 1):" in block(gate)
