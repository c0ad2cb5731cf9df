"""What is written: terminal block, JSON, JUnit XML, recordings; and the same under xdist."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from gate_project import Project, because, block, check, checks, label, mentions, read_jsonl, stopped, write_jsonl

from pytest_ftgate.data import input_sha256

FACTS = {
    "name", "nodeid", "verdict", "passed", "metric", "margin", "evidence", "confidence", "baseline", "baselines",
    "candidate", "gain", "lower_bound", "upper_bound", "margin_proven", "method", "n", "wins", "losses", "training",
    "test_set", "checks",
}  # fmt: skip
MODEL_FACTS = {
    "name", "model", "value", "metrics", "n_expected", "n_scored", "n_errors", "n_stored", "n_refused",
    "latency_p50_s", "latency_p95_s", "input_tokens", "output_tokens", "cost_usd",
}  # fmt: skip


@pytest.mark.parametrize("change", [{}, {"margin": 0.3}, {"baseline": "recorded:absent.jsonl"}, {"margn": 1}])
def test_all_facts_are_always_there(project: Project, change: dict[str, object]) -> None:
    gate = project.judge(**change)
    assert gate.keys() >= FACTS
    for model in (gate["baseline"], gate["candidate"]):
        assert model.keys() >= MODEL_FACTS
    assert gate["training"].keys() >= {"path", "sha256", "rows", "usable", "duplicates", "conflicts", "leaked"}
    assert gate["test_set"].keys() >= {"path", "sha256", "examples"}
    assert all(
        item.keys() >= {"name", "status", "observed", "required", "source", "message", "advice"}
        for item in gate["checks"]
    )


def test_the_report_says_what_it_rests_on(project: Project) -> None:
    project.gate_test()
    report = project.report()
    assert report.keys() >= {"version", "gates", "unjudged", "partial", "environment"}
    assert report["environment"]["pytest"] == pytest.__version__


def test_a_report_that_cannot_be_written_fails_the_session(project: Project) -> None:
    project.gate_test()
    project.file("file", "")
    result = project.run("--ftgate-report=json:file/report.json")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*json report*: *"])


@pytest.mark.parametrize("written", ["markdown:", "pdf:x", "json:", "json"])
def test_a_bad_report_is_refused_at_once(project: Project, written: str) -> None:
    result = project.run(f"--ftgate-report={written}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--ftgate-report: *'{written.removesuffix(':x')}*'"])


def test_two_reports_in_one_file_are_refused_at_once(project: Project) -> None:
    project.gate_test()
    result = project.run("--ftgate-report=json:out", "--ftgate-report=html:./out")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--ftgate-report=json:out: *"])
    assert project.run("--ftgate-report=json:out", "--ftgate-report=json:out").ret == 0


def test_junit_properties(project: Project) -> None:
    project.gate_test(margin=0.3)
    project.run("--junitxml=junit.xml")
    case = ElementTree.parse(project.path / "junit.xml").find(".//testcase")
    assert case is not None
    assert case.find("failure") is not None
    properties = {item.get("name"): item.get("value") for item in case.iter("property")}
    assert properties["ftgate.verdict"] == "fail"
    assert float(properties["ftgate.gain"] or 0) == pytest.approx(16 / 60)
    assert json.loads(properties["ftgate"] or "")["wins"] == 18


def test_under_xdist_the_controller_hears_every_gate(project: Project) -> None:
    pytest.importorskip("xdist")
    project.gate_test("@pytest.mark.parametrize('x', range(4))\ndef test_gate(x): pass\n", margin=0.3)
    report = project.report("-n1", "--junitxml=junit.xml", apart=True)
    assert [gate["verdict"] for gate in report["gates"]] == ["fail"] * 4
    assert project.result.ret == 1
    project.result.stdout.fnmatch_lines(["*ftgate test_gate.py::test_gate?3?: FAIL*"])
    cases = ElementTree.parse(project.path / "junit.xml").findall(".//testcase")
    assert all(case.find("properties") is not None for case in cases)


@pytest.mark.parametrize(("flag", "shown"), [("-q", True), ("-qq", False)])
def test_the_block_is_hidden_by_qq(project: Project, flag: str, shown: bool) -> None:
    project.gate_test()
    assert ("95 % lower bound" in project.run(flag).stdout.str()) is shown


def test_the_block_explains_itself(project: Project) -> None:
    gate = project.judge()
    lines = [" ".join(line.split()) for line in block(gate)]
    wanted = (
        ("test_gate.py::test_gate", "PASS"),
        ("model", "accuracy", "answered"),
        ("baseline", "base.jsonl", "66.7 %", "60/60"),
        ("candidate", "ft.jsonl", "93.3 %", "60/60"),
        ("gain", "+26.7", "18", "2", "60"),
        ("8 checks passed", "4 notes", "-v"),
    )
    left = iter(lines)
    for parts in wanted:  # in this order
        assert any(all(part in line for part in parts) for line in left), parts
    assert len(lines) <= 8
    wanted = (
        ("p = ",),  # the method
        ("2 of 2",),
        ("test.jsonl:1: customer question 0",),
        ("'refund'", "'refund'", "'invoice'"),
        ("pass", "min_training_examples", "200", "(default)"),
        ("pass", "margin", "+26.7", "+5", "(marker)"),
        ("note", "reach", "60"),
        ("marker", "test_gate.py:4"),
    )
    left = iter(block(gate, verbose=True))
    for parts in wanted:
        assert any(all(part in line for part in parts) for line in left), parts
    assert check(gate, "candidate_recording")["status"] == "note"  # attested, not verified


def test_case_and_punctuation_that_decide_are_called_out(project: Project) -> None:
    project.predictions("base.jsonl", 60, output=lambda i: f"{label(i).title()}.")
    project.predictions("ft.jsonl", 60)
    found = check(project.judge(allow_weak_baseline="it writes labels as headings"), "baseline_form")
    assert found["status"] == "fail"
    mentions(found, "+0.0", "+100.0", "fail", "pass")


def test_the_folder_of_recordings_need_not_exist_where_this_run_writes_it(project: Project) -> None:
    project.file(
        "own.py", "def model(text):\n    return ('refund', 'invoice', 'shipping')[int(text.split()[-1]) % 3]\n"
    )
    project.pytester.syspathinsert()
    project.gate_test(name="support", candidate={"provider": "python", "target": "own:model", "cache_key": "1"})
    project.file("pytest.ini", "[pytest]\nftgate_recordings = recorded\n")
    assert project.gate("--ftgate-report=recordings:elsewhere")["verdict"] == "error"
    assert project.gate("--ftgate-report=recordings:recorded")["verdict"] == "pass"
    project.file("own.py", "def model(text): raise RuntimeError\n")
    project.file("pytest.ini", "[pytest]\nftgate_recordings = recorded\nftgate_state = new\n")
    assert project.gate("--ftgate-offline")["candidate"]["n_stored"] == 60


def test_refresh_asks_anew_whatever_is_recorded(project: Project) -> None:
    project.file(
        "own.py", "def model(text):\n    return ('refund', 'invoice', 'shipping')[int(text.split()[-1]) % 3]\n"
    )
    project.pytester.syspathinsert()
    project.gate_test(name="support", candidate={"provider": "python", "target": "own:model", "cache_key": "1"})
    project.run("--ftgate-report=recordings:recorded").assert_outcomes(passed=1)
    project.file("pytest.ini", "[pytest]\nftgate_recordings = recorded\nftgate_state = elsewhere\n")
    assert project.gate()["candidate"]["n_stored"] == 60
    assert project.gate("--ftgate-cache=refresh")["candidate"]["n_stored"] == 0


def test_refresh_says_that_the_recordings_hold_other_answers(project: Project) -> None:
    labels = "def model(text):\n    return ('refund', 'invoice', 'shipping')[int(text.split()[-1]) % 3]\n"
    project.file("own.py", labels)
    project.pytester.syspathinsert()
    project.gate_test(name="support", candidate={"provider": "python", "target": "own:model", "cache_key": "1"})
    project.file("pytest.ini", "[pytest]\nftgate_recordings = recorded\n")
    project.run("--ftgate-report=recordings:recorded").assert_outcomes(passed=1)

    def warned(*arguments: str) -> list[str]:
        return [line for line in project.run(*arguments).outlines if "--ftgate-report=recordings:recorded" in line]

    assert warned("--ftgate-cache=refresh") == []
    project.file("own.py", labels + "right = model\ndef model(text): return 'refund' if '7' in text else right(text)\n")
    (line,) = warned("--ftgate-cache=refresh")
    assert "4 of" in line
    assert warned() == warned("--ftgate-cache=refresh", "--ftgate-report=recordings:recorded") == []


def test_recordings_are_written_and_judged_again(project: Project) -> None:
    project.file(
        "own.py",
        "LABELS = ('refund', 'invoice', 'shipping')\n"
        "def weak(text): return LABELS[int(text.split()[-1]) % 3] if int(text.split()[-1]) < 40 else 'refund'\n"
        "def good(text): return LABELS[int(text.split()[-1]) % 3]\n",
    )
    project.pytester.syspathinsert()
    project.gate_test(name="support", baseline="python:own:weak", candidate="python:own:good")
    project.run("--ftgate-report=recordings:recorded").assert_outcomes(passed=1)
    files = sorted(path.name for path in (project.path / "recorded").iterdir())
    assert files == ["support.baseline.jsonl", "support.candidate.jsonl", "support.green.json"]
    row = json.loads((project.path / "recorded" / files[1]).read_text().splitlines()[1])
    assert row.keys() >= {"id", "output", "input_sha256", "key", "latency_s"}
    project.gate_test(
        baseline="recorded:recorded/support.baseline.jsonl", candidate="recorded:recorded/support.candidate.jsonl"
    )
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert gate["candidate"]["verified"] is True
    assert gate["candidate"]["n_stored"] == 60


OWN = """import sys
LABELS = ('refund', 'invoice', 'shipping')
def weak(text): return LABELS[int(text.split()[-1]) % 3] if int(text.split()[-1]) < 40 else 'refund'
def good(text): return LABELS[int(text.split()[-1]) % 3]
"""


def recorded_by(project: Project, *args: str, **changes: Any) -> tuple[dict[str, int], dict[str, Any]]:
    """Judge two Python models and write recordings; give the rows of each file, and the gate."""
    models = {
        role: {"provider": "python", "target": f"own:{name}", "cache_key": "1", "timeout_s": 1, "retries": 0}
        for role, name in (("baseline", "weak"), ("candidate", "good"))
    }
    project.gate_test(name="support", **{**models, **changes})
    gate = project.gate("--ftgate-report=recordings:recorded", *args, apart=True)
    return {path.name: len(read_jsonl(path)) for path in (project.path / "recorded").glob("*.jsonl")}, gate


@pytest.mark.parametrize("errors", ["error", "score_zero"])
def test_recordings_never_lose_answers(project: Project, errors: str) -> None:
    """A run whose models fail, or are asked anew while they fail, leaves the files as they are, and says so."""
    project.file("own.py", OWN)
    full, gate = recorded_by(project)
    assert (gate["verdict"], full) == ("pass", {"support.baseline.jsonl": 60, "support.candidate.jsonl": 60})
    green = (project.path / "recorded" / "support.green.json").read_bytes()
    project.file("own.py", OWN.replace("def good(text): ", "def good(text): assert '17' not in text; "))
    kept, gate = recorded_by(project, "--ftgate-cache=refresh", errors=errors)
    assert gate["verdict"] == ("error" if errors == "error" else "pass")
    assert kept == full
    assert (project.path / "recorded" / "support.green.json").read_bytes() == green
    project.result.stdout.fnmatch_lines(["*no recordings of support*1 of 60 answers of candidate*"])


def test_the_input_that_a_committed_recording_states_is_checked(project: Project) -> None:
    """Also where its key is right; an input that no row states is another one."""
    project.file("own.py", OWN)
    recorded_by(project)
    path = project.path / "recorded" / "support.candidate.jsonl"
    rows = read_jsonl(path)
    project.file("pytest.ini", "[pytest]\nftgate_recordings = recorded\nftgate_state = elsewhere\n")
    assert recorded_by(project)[1]["verdict"] == "pass"
    rows[16]["input_sha256"] = input_sha256("another question")
    write_jsonl(path, rows)
    _, gate = recorded_by(project)
    assert gate["verdict"] == "error"
    mentions(check(gate, "candidate_predictions"), "recorded/support.candidate.jsonl:17", "input_sha256")


@pytest.mark.parametrize("kind", ["ids", "hashes", "no ids"])
def test_a_recorded_candidate_can_be_called(project: Project, kind: str) -> None:
    """Without an event loop, where the answer is recorded: found by the test set, the row or the input."""
    rows = [{"id": f"t{i}", "output": f"<think>hm</think>{label(i)}"} for i in range(60)]
    if kind == "hashes":
        rows = [{**row, "input_sha256": input_sha256(f"customer question {i}")} for i, row in enumerate(rows)]
    if kind == "no ids":
        inputs = [f"customer question {i}" for i in range(60)]
        rows = [{**row, "id": input_sha256(text)[:16]} for row, text in zip(rows, inputs, strict=True)]
        write_jsonl(project.path / "test.jsonl", ({"input": x, "expected": label(i)} for i, x in enumerate(inputs)))
        weak = [{**row, "output": row["output"] if i < 40 else "refund"} for i, row in enumerate(rows)]
        write_jsonl(project.path / "base.jsonl", weak)
    write_jsonl(project.path / "ft.jsonl", rows)
    project.gate_test(
        "def test_gate(ftgate_candidate):\n    assert ftgate_candidate('customer question 4') == 'invoice'\n"
        "def test_other(ftgate_candidate):\n    ftgate_candidate('never recorded')\n"
    )
    text = (project.path / "test_gate.py").read_text(encoding="utf-8")
    project.file("test_gate.py", text.replace("def test_other", f"{project.mark()}\ndef test_other"))
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*ModelError: ft.jsonl: no recorded prediction*"])


@pytest.mark.parametrize("names", [("old", "new"), ("new", "old")])
def test_a_recording_is_held_to_the_inputs_of_every_gate(project: Project, names: tuple[str, str]) -> None:
    """What one gate has found right says nothing of another gate's inputs under the same ids."""
    for name, missed in (("base.jsonl", range(40, 60)), ("ft.jsonl", ())):
        project.predictions(name, 60, missed, input_sha256=lambda i: input_sha256(f"customer question {i}"))
    project.test_set(60, "new.jsonl", input="please help: {}".format)
    sets = {"old": "test.jsonl", "new": "new.jsonl"}
    tests = [f"{project.mark(test_set=sets[name])}\ndef test_{name}(): pass\n" for name in names]
    project.file("test_gate.py", "import pytest\n" + "\n\n".join(tests))
    gates = {gate["name"].rpartition("::")[2]: gate for gate in project.report()["gates"]}
    assert {name: gate["verdict"] for name, gate in gates.items()} == {"test_old": "pass", "test_new": "error"}
    assert check(gates["test_new"], "candidate_predictions")["status"] == "error"


def test_a_bound_that_was_not_measured_is_an_error(project: Project) -> None:
    found = stopped(project.judge(require=[{"metric": "cost_usd", "max": 1.0}]))
    assert (found["name"], found["observed"], found["required"]) == ("require.candidate.cost_usd", None, 1)
    mentions(found, "input_per_1m", "gpu_hour_usd")
    candidate = project.judge()["candidate"]
    assert candidate["price"].startswith("unknown: ")
    assert candidate["cost_unknown"]


def test_bounds_hold_or_fail(project: Project) -> None:
    bounds = [{"metric": "accuracy", "min": 56 / 60}, {"metric": "accuracy", "max": 0.5, "of": "baseline"}]
    gate = project.judge(require=bounds)
    assert check(gate, "require.candidate.accuracy")["status"] == "pass"
    because(gate, "fail", "require.baseline.accuracy", "66.7 %", "50.0 %")


def test_every_baseline_must_be_beaten(project: Project) -> None:
    project.predictions("strong.jsonl", 60, wrong_at=(0, 1, 2, 57, 58, 59))
    gate = project.judge(baseline=..., baselines={"prompt": "recorded:base.jsonl", "few": "recorded:strong.jsonl"})
    assert gate["verdict"] == "fail"
    assert gate["baseline"]["name"] == gate["baselines"]["few"]["name"]
    assert gate["gain"] == pytest.approx(2 / 60)
    assert [item["status"] for item in checks(gate, "margin")] == ["pass", "fail"]


def test_several_gates_on_one_pair_ask_each_model_once(project: Project) -> None:
    project.file(
        "conftest.py",
        "import pytest\nLABELS = ('refund', 'invoice', 'shipping')\ncalls = []\n"
        "def weak(text):\n"
        "    calls.append(text)\n    n = int(text.split()[-1])\n    return LABELS[n % 3] if n < 40 else 'refund'\n"
        "def good(text):\n    calls.append(text)\n    return LABELS[int(text.split()[-1]) % 3]\n"
        "@pytest.fixture\ndef ftgate_baseline(): return weak\n"
        "@pytest.fixture\ndef ftgate_candidate(): return good\n"
        "def pytest_sessionfinish():\n    with open('calls', 'w') as file: file.write(str(len(calls)))\n",
    )
    project.gate_test("@pytest.mark.parametrize('x', range(3))\ndef test_gate(x): pass\n", baseline=..., candidate=...)
    project.run().assert_outcomes(passed=3)
    assert (project.path / "calls").read_text() == "120"
