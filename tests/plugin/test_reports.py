"""What is written: terminal block, JSON, JUnit XML, recordings; and the same under xdist."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from gate_project import Project, check, label, write_jsonl

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
    project.gate_test(**change)
    gate = project.gate()
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
    result.stdout.fnmatch_lines(["*the json report could not be written*"])


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("markdown:", "no FORMAT:PATH"),
        ("pdf:x", "no FORMAT:PATH"),
        ("json:", "no FORMAT:PATH"),
        ("json", "no FORMAT:PATH"),
    ],
)
def test_a_bad_report_is_refused_at_once(project: Project, written: str, message: str) -> None:
    result = project.run(f"--ftgate-report={written}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}*"])


def test_two_reports_in_one_file_are_refused_at_once(project: Project) -> None:
    project.gate_test()
    result = project.run("--ftgate-report=json:out", "--ftgate-report=html:./out")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--ftgate-report=json:out: another report goes to the same file"])
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
    report = project.report("-n2", "--junitxml=junit.xml", apart=True)
    assert [gate["verdict"] for gate in report["gates"]] == ["fail"] * 4
    assert project.result.ret == 1
    project.result.stdout.fnmatch_lines(["*ftgate test_gate.py::test_gate?3?: FAIL*"])
    cases = ElementTree.parse(project.path / "junit.xml").findall(".//testcase")
    assert all(case.find("properties") is not None for case in cases)


@pytest.mark.parametrize(("flag", "shown"), [("-q", True), ("-qq", False)])
def test_the_block_is_hidden_by_qq(project: Project, flag: str, shown: bool) -> None:
    project.gate_test()
    assert ("we can be 95 % sure" in project.run(flag).stdout.str()) is shown


def test_verbose_names_the_method(project: Project) -> None:
    project.gate_test()
    result = project.run("-v")
    result.stdout.fnmatch_lines(["*method: *, p = *"])
    assert "p = " not in project.run().stdout.str()


def test_the_block_explains_itself(project: Project) -> None:
    project.gate_test()
    project.run().stdout.fnmatch_lines(
        [
            "*ftgate test_gate.py::test_gate: PASS*",
            "*model*accuracy*answered*",
            "baseline*base.jsonl*66.7 %*60/60*",
            "candidate*ft.jsonl*93.3 %*60/60*",
            "gain: +26.7 points accuracy (18 fixed, 2 broken of 60 examples)",
            "we can be 95 % sure that the real gain is at least +*points",
            "*pass*min_training_examples: 200 usable training examples, 200 needed (default)",
            "*note*reach: with 60 examples this gate needs at least * fixed and none broken*",
            "*pass*margin: gain over the baseline +26.7 points, asked for +5 points (marker)",
            "broken by the candidate (2 of 2):",
            "*t0: customer question 0*",
            "*expected 'refund', baseline 'refund', candidate 'invoice'*",
        ]
    )


def test_attested_recordings_are_called_so(project: Project) -> None:
    project.gate_test()
    project.run().stdout.fnmatch_lines(["*attested, not verified*"])


def test_case_and_punctuation_that_decide_are_called_out(project: Project) -> None:
    good = [{"id": f"t{i}", "output": ("refund", "invoice", "shipping")[i % 3]} for i in range(60)]
    shouted = [{"id": f"t{i}", "output": ("Refund.", "Invoice.", "Shipping.")[i % 3]} for i in range(60)]
    write_jsonl(project.path / "base.jsonl", shouted)
    write_jsonl(project.path / "ft.jsonl", good)
    project.gate_test(allow_weak_baseline="it writes labels as headings")
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "normalization")["message"] == (
        "ignoring case and punctuation the gain is +0.0 points instead of +100.0 points, "
        "and the verdict on it fail instead of pass"
    )
    assert gate["baseline"]["n_unknown"] == 60


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


def test_a_recording_of_another_input_is_an_error(project: Project) -> None:
    rows = [{"id": f"t{i}", "output": "refund", "input_sha256": "0" * 64} for i in range(60)]
    write_jsonl(project.path / "ft.jsonl", rows)
    project.gate_test()
    gate = project.gate()
    assert gate["verdict"] == "error"
    assert "made for another input" in check(gate, "candidate_predictions")["message"]


@pytest.mark.parametrize("names", [("old", "new"), ("new", "old")])
def test_a_recording_is_held_to_the_inputs_of_every_gate(project: Project, names: tuple[str, str]) -> None:
    """What one gate has found right says nothing of another gate's inputs under the same ids."""
    for name in ("base.jsonl", "ft.jsonl"):
        rows = [json.loads(line) for line in (project.path / name).read_text(encoding="utf-8").splitlines()]
        for row in rows:
            row["input_sha256"] = input_sha256(f"customer question {row['id'][1:]}")
        write_jsonl(project.path / name, rows)
    others = [{"id": f"t{i}", "input": f"please help: {i}", "expected": label(i)} for i in range(60)]
    write_jsonl(project.path / "new.jsonl", others)
    sets = {"old": "test.jsonl", "new": "new.jsonl"}
    tests = [f"{project.mark(test_set=sets[name])}\ndef test_{name}(): pass\n" for name in names]
    project.file("test_gate.py", "import pytest\n" + "\n\n".join(tests))
    gates = {gate["name"].rpartition("::")[2]: gate for gate in project.report()["gates"]}
    assert {name: gate["verdict"] for name, gate in gates.items()} == {"test_old": "pass", "test_new": "error"}
    assert "made for another input" in check(gates["test_new"], "candidate_predictions")["message"]


def test_a_bound_that_was_not_measured_is_an_error(project: Project) -> None:
    project.gate_test(require=[{"metric": "cost_usd", "max": 1.0}])
    gate = project.gate()
    assert (gate["verdict"], gate["models_called"]) == ("error", False)
    found = check(gate, "require.candidate.cost_usd")
    assert found["message"] == "candidate cost_usd unknown, asked for at most 1: no price in the gate"
    assert found["advice"].startswith("Give the model a price: {input_per_1m, output_per_1m}, or {gpu_hour_usd}")
    project.gate_test()
    gate = project.gate()
    assert gate["candidate"]["price"] == "unknown: no price in the gate"
    assert gate["candidate"]["cost_unknown"] == "no price in the gate"


def test_bounds_hold_or_fail(project: Project) -> None:
    bounds = [{"metric": "accuracy", "min": 56 / 60}, {"metric": "accuracy", "max": 0.5, "of": "baseline"}]
    project.gate_test(require=bounds)
    gate = project.gate()
    assert check(gate, "require.candidate.accuracy")["status"] == "pass"
    assert check(gate, "require.baseline.accuracy")["message"] == "baseline accuracy 66.7 %, asked for at most 50.0 %"
    assert gate["verdict"] == "fail"


def test_every_baseline_must_be_beaten(project: Project) -> None:
    project.predictions("strong.jsonl", 60, wrong_at=(0, 1, 2, 57, 58, 59))
    project.gate_test(baseline=..., baselines={"prompt": "recorded:base.jsonl", "few": "recorded:strong.jsonl"})
    gate = project.gate()
    assert gate["verdict"] == "fail"
    assert gate["baseline"]["name"] == gate["baselines"]["few"]["name"]
    assert gate["gain"] == pytest.approx(2 / 60)
    assert [item["status"] for item in gate["checks"] if item["name"] == "margin"] == ["pass", "fail"]


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
