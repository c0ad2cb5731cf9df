"""Nobody gets past the gate: the ways that gates for models have been got past, each closed here, in 40 rows.

Each test takes one way, and shows the same project green without it. What no plugin can close stands in
``CANNOT_BE_CLOSED``, and with the same words under "Limits" in README.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from gate_project import Project, check, label, statuses, write_jsonl, wrong

from pytest_ftgate.data import input_sha256

README = Path(__file__).parents[2] / "README.md"

CANNOT_BE_CLOSED = {
    3: "Whoever decides which command CI runs can leave the gate out",
    4: "marks are just marks",
    14: "Paraphrases of one example count as several",
    17: "That `training_set` is the file the candidate was trained on is your word",
    23: "A baseline that could have been prompted better",
    25: "Recorded predictions are taken at their word",
    28: "Which of several fine-tunes you bring to the gate is your choice",
    29: "Precision looks only at what was answered",
    30: "A test set that was looked at again and again wears out",
    31: "that it is another one than at the last green verdict",
    33: "A gain on average may hide a loss for a few",
    40: "with right labels",
}
"""By row: what is said where the gate cannot look."""

NAMES = ("Anna", "Boris", "Clara", "Dmitri", "Emine", "Farid", "Greta", "Hector", "Ingrid", "Jamal")
TOWNS = ("Aberdeen", "Bologna", "Casablanca", "Dunkirk", "Edinburgh", "Florence", "Gothenburg", "Helsinki")
GATE = (
    "test_set: test.jsonl, training_set: train.jsonl, margin: 0.05, "
    "baseline: 'recorded:base.jsonl', candidate: 'recorded:ft.jsonl'"
)
METRIC = """
from pytest_ftgate import metric


@metric(low=0, high=1, greater_is_better=True)
def graded(expected, answer):
    return {returned}


def pytest_ftgate_metrics():
    return {{"graded": graded}}
"""


@pytest.fixture
def required(project: Project) -> Project:
    """The gate ``support`` in the gate file, required, on a marked test beside another test."""
    project.gate_file(f"version: 1\ngates:\n  support: {{{GATE}}}\n")
    project.file("pytest.ini", "[pytest]\nftgate_required = all\n")
    marked(project)
    project.file("test_other.py", "def test_other(): pass\n")
    return project


def marked(project: Project, mark: str = "'support'", body: str = "def test_gate(): pass\n") -> None:
    project.file("test_gate.py", f"import pytest\n@pytest.mark.ftgate({mark})\n{body}")


def lose(project: Project) -> None:
    """Make the candidate worse than the gate asks for."""
    project.predictions("ft.jsonl", 60, wrong_at=range(39, 60))


def add_xfail(project: Project) -> None:
    """A conftest that expects every test to fail."""
    project.file(
        "conftest.py",
        "import pytest\n\n\ndef pytest_collection_modifyitems(items):\n"
        "    for item in items:\n        item.add_marker(pytest.mark.xfail(strict=False))\n",
    )


def callable_candidate(project: Project, statements: str) -> dict[str, Any]:
    """A fixture for the candidate, right on all examples where ``statements`` leave it be; the keys of the mark."""
    project.file(
        "conftest.py",
        "import pytest\n\nLABELS = ('refund', 'invoice', 'shipping')\nasked = []\n\n\n"
        "def model(text):\n    n = int(text.split()[-1])\n    asked.append(n)\n"
        f"    {statements}\n    return LABELS[n % 3]\n\n\n"
        "@pytest.fixture\ndef ftgate_candidate():\n    return model\n",
    )
    return {"candidate": ...}


def accepted(project: Project, *args: str) -> dict[str, Any]:
    """The one gate of the report, which passed, in a session that did."""
    gate = project.gate(*args)
    assert (gate["verdict"], project.result.ret) == ("pass", 0), gate["checks"]
    return gate


def refused(project: Project, verdict: str, name: str, message: str, *args: str, ret: int = 1) -> dict[str, Any]:
    """The one gate of the report, which is red for this reason."""
    gate = project.gate(*args)
    found = check(gate, name)
    assert (gate["verdict"], found["status"], project.result.ret) == (verdict, verdict, ret), gate["checks"]
    assert message in found["message"]
    return gate


def owed(project: Project, reason: str, *args: str, apart: bool = False) -> None:
    """The session is red because the gate was not judged, and says why; without the arguments it is green."""
    (unjudged,) = project.report(*args, apart=apart)["unjudged"]
    assert unjudged == {"name": "support", "reason": unjudged["reason"]}
    assert reason in unjudged["reason"]
    assert project.result.ret == 1
    if reason.startswith("the verdict of "):  # its block tells it
        project.result.stdout.fnmatch_lines([f"*ftgate support: {reason.split()[-1].upper()}*"])
        project.result.stdout.no_fnmatch_line("*required gate support*")
    else:
        project.result.stdout.fnmatch_lines([f"*required gate support: *{reason}*"])


# --- the gate does not run, or its verdict does not arrive ---------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "@pytest.mark.skip(reason='later')\ndef test_gate(): pass\n",
        "@pytest.mark.skipif(True, reason='later')\ndef test_gate(): pass\n",
        "def test_gate(skipping): pass\n",
        "class TestGate:\n    pytestmark = pytest.mark.skip(reason='later')\n    def test_gate(self): pass\n",
    ],
    ids=["skip", "skipif", "fixture", "class"],
)
def test_row_01_skipped(required: Project, body: str) -> None:
    """A skipped test is green for pytest, whoever skipped it."""
    required.file("conftest.py", "import pytest\n@pytest.fixture\ndef skipping(): pytest.skip('later')\n")
    accepted(required)
    marked(required, body=body)
    owed(required, "its test was skipped: later")


@pytest.mark.parametrize("is_required", [True, False], ids=["required", "not required"])
def test_row_02_expected_to_fail(required: Project, is_required: bool) -> None:
    """An expected failure is green for pytest; here it stays an expected failure, and the session is red."""
    if not is_required:
        required.file("pytest.ini", "[pytest]\n")
    add_xfail(required)
    accepted(required)
    lose(required)
    report = required.report("test_gate.py")
    required.result.assert_outcomes(xfailed=1)
    assert required.result.ret == 1
    assert report["gates"][0]["verdict"] == "fail"
    reasons = [one["reason"] for one in report["unjudged"]]
    assert reasons == (["the verdict of test_gate.py::test_gate is fail"] if is_required else [])


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["-k", "other"], "deselected"),
        (["-k", "nothing"], "deselected"),
        (["-m", "not ftgate"], "deselected"),
        (["--deselect", "test_gate.py::test_gate"], "deselected"),
        (["--ignore=test_gate.py"], "no test of this run carries it"),
        (["test_other.py"], "no test of this run carries it"),
        (["-o", "python_files=test_other.py"], "no test of this run carries it"),
        (["--collect-only"], "collected but not judged"),
        (["--setup-plan"], "collected but not judged"),
    ],
    ids=" ".join,
)
def test_row_03_left_out(required: Project, args: list[str], reason: str) -> None:
    """A gate that is not among the tests of the run is not there to say no."""
    accepted(required)
    owed(required, reason, *args)


def test_row_03_left_out_by_what_failed_before(required: Project) -> None:
    """Only what failed is run again: the green gate is not, and owes its verdict anew."""
    required.file("test_a.py", "def test_a(): assert False\n")
    assert required.report()["unjudged"] == []
    owed(required, "no test of this run carries it", "--lf")


def test_row_03_another_ini_file_is_another_contract(required: Project) -> None:
    """What ``-c`` names holds instead of the project's ini file; no plugin can know what should have been named."""
    required.file("easy.ini", "[pytest]\n")
    owed(required, "deselected", "-k", "other")
    assert required.run("-c", "easy.ini", "-k", "other").ret == 0


@pytest.mark.parametrize("name", ["pytest_ftgate", "ftgate"])
def test_row_04_switched_off(required: Project, name: str) -> None:
    """A plugin that is not there says nothing; pytest itself can be told that it must be there.

    ``no:ftgate`` is meant for another plugin, and pytest takes it for ``no:pytest_ftgate`` too.
    """
    required.file("pytest.ini", "[pytest]\nrequired_plugins = pytest-ftgate\n")
    accepted(required)
    result = required.run("-p", f"no:{name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*Missing required plugins: pytest-ftgate*"])


def test_row_04_autoload_off(required: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    required.file("pytest.ini", "[pytest]\nrequired_plugins = pytest-ftgate\n")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert required.run().ret == pytest.ExitCode.USAGE_ERROR
    required.file("pytest.ini", "[pytest]\n")
    accepted(required, "-p", "pytest_ftgate")


def test_row_04_a_twin_of_our_name(required: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two plugins with one entry-point name pytest loads one, without a word."""
    required.file("pytest.ini", "[pytest]\nrequired_plugins = pytest-ftgate\n")
    required.file("site/twin.py", "")
    required.file("site/twin-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: twin\nVersion: 1.0\n")
    required.file("site/twin-1.0.dist-info/entry_points.txt", "[pytest11]\npytest_ftgate = twin\n")
    assert required.run_apart().ret == 0
    monkeypatch.setenv("PYTHONPATH", str(required.path / "site"))
    result = required.run_apart()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*Missing required plugins: pytest-ftgate*"])


@pytest.mark.parametrize(
    ("ini", "body", "message"),
    [
        ("addopts = --strict-markers", "def test_gate(): pass\n", "'ftgate' not found in `markers`"),
        ("", "def test_gate(ftgate): pass\n", "fixture 'ftgate' not found"),
    ],
    ids=["strict markers", "fixture"],
)
def test_row_04_without_the_plugin_the_test_breaks(required: Project, ini: str, body: str, message: str) -> None:
    """Where ``required_plugins`` is forgotten: strict markers, or the fixture, miss the plugin too."""
    required.file("pytest.ini", f"[pytest]\n{ini}\n")
    marked(required, body=body)
    accepted(required)
    result = required.run_apart("-p", "no:pytest_ftgate")
    assert result.ret not in (0, 5)
    result.stdout.fnmatch_lines([f"*{message}*"])


@pytest.mark.parametrize(
    "body",
    [
        "def test_gate(request):\n    try:\n        request.getfixturevalue('ftgate')\n"
        "    except BaseException:\n        pass\n",
        "def test_gate(ftgate):\n    if ftgate.passed:\n        assert ftgate.gain > 0\n",
        "def test_gate():\n    return\n    assert False\n",
        "@pytest.fixture\ndef swallowing(request):\n    try:\n        return request.getfixturevalue('ftgate')\n"
        "    except BaseException:\n        return None\n\n\n@MARK\ndef test_gate(swallowing): pass\n",
    ],
    ids=["try", "if", "return", "fixture"],
)
@pytest.mark.parametrize(
    ("change", "verdict"), [({"margin": 0.3}, "fail"), ({"baseline": "recorded:x.jsonl"}, "error")]
)
def test_row_05_the_verdict_is_not_looked_at(project: Project, body: str, change: Any, verdict: str) -> None:
    """Whatever the body does with the verdict, or forgets to: the mark fails the test."""

    def write(**changes: Any) -> None:
        own = project.mark(**changes)
        mark = "" if "@MARK" in body else own
        project.file("test_gate.py", f"import pytest\n{mark}\n{body.replace('@MARK', own)}")

    write()
    accepted(project)
    write(**change)
    gate = project.gate()
    assert (gate["verdict"], project.result.ret) == (verdict, 1)
    project.result.assert_outcomes(**({"failed": 1} if verdict == "fail" else {"errors": 1}))


# --- what was measured is no measure -------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_row_06_not_a_number_for_the_candidate(project: Project, value: str) -> None:
    """Every comparison with NaN is false, so a gate that asks "is it worse?" lets it pass."""
    judge_metric(project, "float(expected == answer)")
    accepted(project)
    judge_metric(project, f"float('{value}' if answer == 'refund' and expected != 'refund' else expected == answer)")
    project.predictions("base.jsonl", 60)
    write_jsonl(project.path / "ft.jsonl", [{"id": f"t{i}", "output": "refund"} for i in range(60)])
    refused(project, "error", "configuration", f"the metric graded returned {value}")


def judge_metric(project: Project, returned: str) -> None:
    """Let a metric of the project's own decide."""
    project.file("conftest.py", METRIC.format(returned=returned))
    project.gate_test(metric="graded")


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_row_07_not_a_number_for_the_baseline(project: Project, value: str) -> None:
    """The other side counts as much: a baseline of NaN is no baseline to beat."""
    judge_metric(project, f"float('{value}' if answer == 'broken' else expected == answer)")
    accepted(project)
    rows = [{"id": f"t{i}", "output": "broken" if i == 7 else label(i)} for i in range(60)]
    write_jsonl(project.path / "base.jsonl", rows)
    refused(project, "error", "configuration", f"test.jsonl:8: the metric graded returned {value}")


def test_row_07_a_missing_baseline_answer_is_never_a_zero(project: Project) -> None:
    """Scored as wrong, what the baseline failed to say would be the candidate's gain."""
    project.gate_test(errors="score_zero")
    accepted(project)
    project.predictions("base.jsonl", 59, wrong_at=range(40, 59))
    refused(project, "error", "baseline_predictions", "1 of 60 answers missing (t59)")


@pytest.mark.parametrize("rows", [0, 49], ids=["none", "too few"])
def test_row_08_an_empty_test_set(project: Project, rows: int) -> None:
    """Nothing to be wrong about, nothing wrong."""
    project.gate_test()
    accepted(project)
    project.test_set(rows)
    if rows:
        refused(project, "fail", "min_test_examples", "49 test examples, 50 needed")
    else:
        refused(project, "error", "configuration", "test.jsonl: is empty")


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ("if n == 7: raise RuntimeError('lost')", "RuntimeError: lost"),
        ("if n == 7: return None", "model returned None"),
        ("if n == 7: raise SystemExit(0)", "SystemExit: 0"),
        ("if n == 7: pytest.skip('later')", "Skipped: later"),
        ("if n == 7: raise PermissionError('no answer')", "no answer"),
    ],
    ids=["raised", "none", "exit", "skip", "refused"],
)
def test_row_09_a_lost_answer(project: Project, statements: str, message: str) -> None:
    """Dropping the examples that went wrong leaves those that went right."""
    project.gate_test(**callable_candidate(project, ""))
    accepted(project)
    callable_candidate(project, statements)
    gate = refused(project, "error", "candidate_predictions", message)
    candidate = gate["candidate"]
    assert (candidate["n_expected"], candidate["n_scored"], candidate["n_errors"]) == (60, 59, 1)
    assert candidate["value"] is None


def test_row_09_too_late(project: Project) -> None:
    """An answer that is not waited for any longer is missing, not wrong."""
    text = (
        "import threading\nLABELS = ('refund', 'invoice', 'shipping')\n\n\ndef model(text):\n"
        "    n = int(text.split()[-1])\n    {}\n    return LABELS[n % 3]\n"
    )
    project.pytester.syspathinsert()
    keys = {"provider": "python", "timeout_s": 0.2, "retries": 0}
    project.file("quick.py", text.format("pass"))
    project.gate_test(candidate={**keys, "target": "quick:model"})
    accepted(project)
    project.file("slow.py", text.format("n == 7 and threading.Event().wait()"))
    project.gate_test(candidate={**keys, "target": "slow:model"})
    refused(project, "error", "candidate_predictions", "1 of 60 answers missing (t7): no answer within 0.2 s")


def test_row_09_a_row_without_an_answer(project: Project) -> None:
    """Only the rows that the candidate got right; and one whose answer is null."""
    project.gate_test()
    accepted(project)
    write_jsonl(project.path / "ft.jsonl", [{"id": f"t{i}", "output": label(i)} for i in range(59)])
    refused(project, "error", "candidate_predictions", 'no recorded prediction for id "t59"')
    rows = [{"id": f"t{i}", "output": label(i) if i else None} for i in range(60)]
    write_jsonl(project.path / "ft.jsonl", rows)
    refused(project, "error", "candidate_predictions", 'ft.jsonl:1: the recording with id "t0" holds no answer')


@pytest.mark.parametrize("name", ["test.jsonl", "train.jsonl", "base.jsonl", "ft.jsonl"])
@pytest.mark.parametrize("line", ['{"id": "t3", "inp', "# a remark", "[]", '{"id": "x", "output": NaN}'])
def test_row_10_a_broken_line(project: Project, name: str, line: str) -> None:
    """A reader that skips what it cannot read drops examples without a word."""
    project.gate_test()
    accepted(project)
    lines = (project.path / name).read_text(encoding="utf-8").splitlines()
    project.file(name, "\n".join([*lines[:7], line, *lines[8:]]) + "\n")
    refused(project, "error", "configuration", f"{name}:8: ")


def test_row_11_pairs_that_are_none(project: Project) -> None:
    """Predictions are joined by id whatever their order, and by what they were made for where that is known."""
    rows = [
        {"id": f"t{i}", "output": label(i), "input_sha256": input_sha256(f"customer question {i}")} for i in range(60)
    ]
    project.gate_test()
    write_jsonl(project.path / "ft.jsonl", reversed(rows))
    assert accepted(project)["candidate"]["value"] == 1.0
    write_jsonl(project.path / "ft.jsonl", [{**row, "id": f"other{i}"} for i, row in enumerate(rows)])
    refused(project, "error", "candidate_predictions", "60 of 60 answers missing")
    swapped = [{**row, "input_sha256": rows[i - 1]["input_sha256"]} for i, row in enumerate(rows)]
    write_jsonl(project.path / "ft.jsonl", swapped)
    refused(project, "error", "candidate_predictions", 'the recording with id "t0" was made for another input')


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("ft.jsonl", {"id": "t0", "output": "refund"}, 'the id "t0" repeats: line 1 has it too'),
        ("test.jsonl", {"id": "t0", "input": "another", "expected": "refund"}, 'the id "t0" repeats'),
        (
            "test.jsonl",
            {"id": "new", "input": "Customer  question 0", "expected": "refund"},
            "the same as that of line",
        ),
    ],
    ids=["prediction", "id", "content"],
)
def test_row_12_counted_twice(project: Project, name: str, row: dict[str, str], message: str) -> None:
    """One example that is won, many times over; or a second answer in place of the first."""
    project.gate_test()
    accepted(project)
    lines = (project.path / name).read_text(encoding="utf-8")
    project.file(name, lines + json.dumps(row) + "\n")
    refused(project, "error", "configuration", message)


# --- the training set is not what it is counted as -----------------------------------------------------------


def write_training(project: Project, inputs: Iterable[str], output: Callable[[int], str] = label) -> None:
    rows = [{"input": text, "expected": output(i)} for i, text in enumerate(inputs)]
    write_jsonl(project.path / "train.jsonl", rows)


def test_row_13_copies(project: Project) -> None:
    """3 examples 70 times are 3 examples."""
    project.gate_test()
    accepted(project)
    write_training(project, [f"training question {i % 3}" for i in range(210)])
    gate = refused(project, "fail", "min_training_examples", "3 usable training examples, 200 needed (210 rows, less")
    assert gate["models_called"] is False


def test_row_14_near_copies(project: Project) -> None:
    """Other case or spacing makes no new example, nor does a word more. A paraphrase does: its words are others."""
    project.gate_test()
    write_training(project, [f"training question {i}" for i in range(200)])
    accepted(project)
    near = [str.upper, str.title, lambda text: f"  {text.replace(' ', '   ')} ", lambda text: text.replace("t", "ｔ")]
    write_training(
        project, [change(f"training question {i}") for i in range(50) for change in near], lambda i: "refund"
    )
    refused(project, "fail", "min_training_examples", "50 usable training examples, 200 needed")
    said = ("training question {}", "question {} for training", "please: training question {}", "training, no. {}")
    write_training(project, [text.format(i) for i in range(50) for text in said])
    assert accepted(project)["training"]["usable"] == 200
    said = ("where is the parcel of {}", "please: where is the parcel of {}", "where is the parcel of {}?!")
    people = [f"{name} who lives in {town}" for name in NAMES for town in TOWNS]
    write_training(project, [text.format(one) for one in people for text in said], lambda i: "refund")
    refused(project, "fail", "near_duplicates", "200 needed: train.jsonl:2 ~ train.jsonl:1")


def test_row_15_rows_that_are_no_examples(project: Project) -> None:
    """Blank rows, blank outputs and a header are counted by whoever counts lines."""
    project.gate_test()
    accepted(project)
    blank = "\n" * 100 + '{"input": " ", "expected": "refund"}\n{"input": "what", "expected": " "}\n' * 50
    rows = [json.dumps({"input": f"training question {i}", "expected": label(i)}) for i in range(199)]
    project.file("train.jsonl", "\n".join(rows) + "\n" + blank)
    refused(project, "fail", "min_training_examples", "199 usable training examples, 200 needed")
    cells = [f"training question {i},{label(i)}" for i in range(199)]
    project.file("train.csv", "input,expected\n" + "\n".join(cells) + "\n")
    project.gate_test(training_set="train.csv")
    refused(project, "fail", "min_training_examples", "199 usable training examples, 200 needed")


def test_row_16_a_number_for_the_training_set(project: Project) -> None:
    """A number can be typed; examples have to be shown."""
    project.gate_test()
    accepted(project)
    project.gate_test(training_set=200)
    refused(project, "error", "configuration", "a count proves nothing")


def test_row_17_another_training_set(project: Project) -> None:
    """Which file the candidate was trained on is not seen from outside; which was counted is in the report."""
    project.gate_test()
    gate = accepted(project, "-v")
    digest = sha256((project.path / "train.jsonl").read_bytes()).hexdigest()
    assert gate["training"]["sha256"] == digest
    project.result.stdout.fnmatch_lines([f"training set: train.jsonl, 200 rows, 200 usable, sha256 {digest}"])


@pytest.mark.parametrize(
    "row",
    [
        {"input": "customer question 7", "expected": "invoice"},
        {"input": " CUSTOMER question\t7", "expected": "refund"},
        {
            "input": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "customer question 7"}],
            "expected": "invoice",
        },
    ],
    ids=["word for word", "disguised", "under a system prompt"],
)
def test_row_18_taught_to_the_test(project: Project, row: dict[str, Any]) -> None:
    """A test example in the training set is an answer learned by heart."""
    project.gate_test()
    accepted(project)
    project.file("train.jsonl", (project.path / "train.jsonl").read_text(encoding="utf-8") + json.dumps(row) + "\n")
    gate = refused(project, "fail", "leaked", "1 of 60 test examples stands in the training set: test.jsonl:8 =")
    assert gate["models_called"] is False


# --- the threshold is none -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ("margin=0.01", "margin: 0.05 -> 0.01"),
        ("evidence='observed'", "evidence: significant -> observed"),
        ("min_test_examples=5", "min_test_examples: 50 -> 5"),
        ("min_training_examples=1", "min_training_examples: 200 -> 1"),
        ("test_set={'path': 'test.jsonl', 'limit': 55}", "test_set.limit: all rows -> 55"),
        ("errors='score_zero'", "errors: error -> score_zero"),
        ("metric='f1_macro'", "metric: accuracy -> f1_macro"),
    ],
    ids=lambda value: str(value).partition("=")[0],
)
def test_row_19_asking_for_less_than_the_file(required: Project, mark: str, reason: str) -> None:
    """The file's promise stands, and that of the defaults that it relies on; git's history: test_weakened.py."""
    accepted(required)
    marked(required, f"'support', {mark}")
    owed(required, f"asks for less than the file: {reason}")


@pytest.mark.parametrize(
    ("fixture", "reason"),
    [
        ("def ftgate_baseline(): return 'recorded:weak.jsonl'", "baseline: recorded:base.jsonl -> recorded:weak.jsonl"),
        ("def ftgate_test_set(): return EASY", "test_set: "),
    ],
    ids=["baseline", "test set"],
)
def test_row_19_a_fixture_that_asks_for_less(required: Project, fixture: str, reason: str) -> None:
    accepted(required)
    required.predictions("weak.jsonl", 60, wrong_at=range(1, 60, 2))
    required.file(
        "conftest.py",
        "import pytest\nLABELS = ('refund', 'invoice', 'shipping')\n"
        "EASY = [{'id': f't{i}', 'input': f'easy {i}', 'expected': LABELS[i % 3]} for i in range(60)]\n"
        f"@pytest.fixture\n{fixture}\n",
    )
    owed(required, f"asks for less than the file: {reason}")


def test_row_19_an_easier_gate_of_the_same_name(required: Project) -> None:
    """``--ftgate-config`` may name another file; what the ini's file promises stands."""
    easy = required.file(
        "easy.yaml", f"version: 1\ngates:\n  support: {{{GATE}, margin: 0.01}}\n".replace("margin: 0.05, ", "")
    )
    owed(required, "asks for less than the file: margin: 0.05 -> 0.01", "--ftgate-config=easy.yaml")
    easy.write_text((required.path / "ftgate.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    assert required.run("--ftgate-config=easy.yaml").ret == 0
    required.file("pytest.ini", "[pytest]\nftgate_required = support\n")
    required.gate_file("version: 1\ngates: {support: {margin: 0.05")
    owed(required, "ftgate.yaml:2: not valid YAML", "--ftgate-config=easy.yaml")


@pytest.mark.parametrize("key", ["ftgate_required=", "ftgate_config=easy.yaml"])
def test_row_19_no_threshold_on_the_command_line(required: Project, key: str) -> None:
    accepted(required)
    result = required.run("-o", key)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*-o {key.partition('=')[0]}*files under review*"])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"margin": 5.0}, "margin 5 (marker) is impossible: accuracy lies between 0 and 1"),
        ({"margin": -0.01}, "margin: must be at least 0"),
        ({"confidence": 95.0}, "confidence: must be below 1"),
        ({"confidence": 0.0}, "confidence: must be above 0.5"),
        ({"confidence": 1.0}, "confidence: must be below 1"),
        ({"min_test_examples": -1}, "min_test_examples: must be at least 0"),
        ({"min_training_examples": -1}, "min_training_examples: must be at least 0"),
        ({"require": [{"metric": "error_rate", "max": 5.0}]}, "max 5 (marker) is impossible: error_rate lies between"),
        ({"require": [{"metric": "accuracy", "min": -0.8}]}, "min -0.8 (marker) is impossible: accuracy lies between"),
        ({"require": [{"metric": "latency_p95_s", "max": -1.0}]}, "latency_p95_s is never below 0"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_row_20_a_threshold_that_holds_always_or_never(project: Project, keys: dict[str, Any], message: str) -> None:
    """Percent for a fraction, NaN, a negative margin: a gate that is open, or shut, by a slip of the pen."""
    project.gate_test()
    accepted(project)
    project.gate_test(**keys)
    refused(project, "error", "configuration", message)


def test_row_20_a_margin_that_is_no_number(required: Project) -> None:
    accepted(required)
    required.gate_file(f"version: 1\ngates:\n  support: {{{GATE.replace('0.05', '.nan')}}}\n")
    refused(required, "error", "configuration", "ftgate.yaml:3: gates.support.margin: must be a finite number")


def test_row_20_a_margin_of_zero_asks_for_a_gain(project: Project) -> None:
    project.gate_test(margin=0.0)
    accepted(project)
    project.predictions("ft.jsonl", 60, wrong_at=range(20))
    refused(project, "fail", "margin", "gain over the baseline +0.0 points, asked for more than 0")


def test_row_21_another_scale(project: Project) -> None:
    """80 of 100 against 0.9 of 1 is no gain of 7910 points."""
    judge_metric(project, "float(expected == answer)")
    accepted(project)
    judge_metric(project, "80.0 * (expected == answer)")
    refused(project, "error", "configuration", "the metric graded returned 80.0, which is not between 0 and 1")


def test_row_22_the_wrong_direction(project: Project) -> None:
    """More of a loss is no gain; a metric that does not state its direction is none."""
    judge_metric(project, "float(expected != answer)")
    text = (project.path / "conftest.py").read_text(encoding="utf-8")
    project.file("conftest.py", text.replace("greater_is_better=True", "greater_is_better=False"))
    assert accepted(project)["gain"] == pytest.approx(16 / 60)
    project.gate_test(metric="graded", baseline="recorded:ft.jsonl", candidate="recorded:base.jsonl")
    refused(project, "fail", "margin", "gain over the baseline -26.7 points")
    project.file("conftest.py", text.replace("@metric(low=0, high=1, greater_is_better=True)\n", ""))
    refused(project, "error", "configuration", "the metric graded does not state its range and direction")


# --- the comparison is none ----------------------------------------------------------------------------------


def test_row_23_a_straw_man(project: Project) -> None:
    """Anything beats a baseline that is no better than one constant answer; more on straw men: test_straw_man.py."""
    project.gate_test()
    accepted(project)
    project.predictions("base.jsonl", 60, wrong_at=range(60))
    refused(project, "fail", "weak_baseline", "baseline base.jsonl: accuracy 0.0 % is no better than a constant answer")


def test_row_24_one_model_twice(project: Project) -> None:
    """A copy of the baseline is no fine-tune, and neither is the baseline itself, nor the two swapped."""
    project.gate_test()
    accepted(project)
    (project.path / "copy.jsonl").write_bytes((project.path / "base.jsonl").read_bytes() + b"\n")
    project.gate_test(candidate="recorded:copy.jsonl", margin=0.0)
    message = "the candidate gave the same 60 answers as the baseline, word for word"
    assert statuses(refused(project, "fail", "identical_outputs", message))["margin"] == "fail"
    project.gate_test(candidate={"provider": "recorded", "path": "base.jsonl", "name": "tuned"})
    refused(project, "fail", "same_model", "baseline and candidate are the same model with the same prompt")
    project.gate_test(baseline="recorded:ft.jsonl", candidate="recorded:base.jsonl")
    refused(project, "fail", "margin", "gain over the baseline -26.7 points")


def test_row_25_stale_answers(project: Project) -> None:
    """A stored answer is one to this very input, and its age is shown; a recorded one is called attested."""
    project.file(
        "tuned.py",
        "LABELS = ('refund', 'invoice', 'shipping')\ndef model(text): return LABELS[int(text.split()[-1]) % 3]\n",
    )
    project.pytester.syspathinsert()
    project.gate_test(candidate={"provider": "python", "target": "tuned:model", "cache_key": "1"})
    gate = accepted(project)
    assert gate["candidate"]["n_stored"] == 0
    assert check(gate, "baseline_recording")["message"].endswith("attested, not verified (no input_sha256)")
    assert accepted(project)["candidate"]["n_stored"] == 60
    project.result.stdout.fnmatch_lines(["the oldest stored prediction is * old"])
    rows = (project.path / "test.jsonl").read_text(encoding="utf-8")
    project.file("test.jsonl", rows.replace("customer question 9", "our customer's question 9"))
    assert accepted(project)["candidate"]["n_stored"] == 59
    assert accepted(project, "--ftgate-cache=refresh")["candidate"]["n_stored"] == 0


def test_row_26_the_baseline_moves(project: Project) -> None:
    """No option accepts what is, or makes it the new standard; a red run leaves everything as it was."""
    options = re.findall(r"--ftgate-[\w-]+", project.run("--help").stdout.str())
    assert set(options) == {
        "--ftgate-config", "--ftgate-report", "--ftgate-cache", "--ftgate-offline", "--ftgate-partial",
        "--ftgate-max-cost",
    }  # fmt: skip
    project.gate_test()
    accepted(project)
    lose(project)
    before = {path: path.read_bytes() for path in project.path.glob("*.jsonl")}
    refused(project, "fail", "margin", "gain over the baseline -1.7 points")
    assert {path: path.read_bytes() for path in project.path.glob("*.jsonl")} == before


def test_row_27_until_it_passes(project: Project) -> None:
    """A candidate that is better when it is asked again: the first verdict of a test is its last."""
    pytest.importorskip("pytest_rerunfailures")
    project.gate_test(**callable_candidate(project, ""))
    accepted(project)
    callable_candidate(project, "if len(asked) <= 60: return 'refund' if n % 3 else 'invoice'")
    text = (project.path / "conftest.py").read_text(encoding="utf-8")
    project.file("conftest.py", text + "\ndef pytest_sessionfinish(): print('asked', len(asked))\n")
    result = project.run_apart("-p", "no:asyncio", "--reruns", "2", "-s", alone=False)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*asked 60", "*ftgate test_gate.py::test_gate: FAIL*"])


def test_row_28_the_best_of_several_answers(project: Project) -> None:
    """All repeats of an example count, not the first or the best. Which checkpoint is brought is not seen."""
    project.gate_test(repeats=2)
    for name, missed in (("base.jsonl", range(40, 60)), ("ft.jsonl", ())):
        again = [
            {"id": f"t{i}", "output": wrong(i) if i in missed else label(i), "repeat": repeat}
            for i in range(60)
            for repeat in (0, 1)
        ]
        write_jsonl(project.path / name, again)
    accepted(project)
    worse = [
        {"id": f"t{i}", "output": (label, wrong)[repeat](i), "repeat": repeat} for i in range(60) for repeat in (0, 1)
    ]
    write_jsonl(project.path / "ft.jsonl", worse)
    assert refused(project, "fail", "margin", "gain over the baseline -16.7")["candidate"]["value"] == 0.5
    project.predictions("ft.jsonl", 60)
    refused(project, "error", "candidate_predictions", "60 of 120 answers missing")


def test_row_29_the_best_of_several_metrics(project: Project) -> None:
    """One metric decides, and is named beforehand; what is required besides must hold as well."""
    project.gate_test(show=["f1_macro"], require=[{"metric": "recall_macro", "min": 0.9}])
    accepted(project)
    project.gate_test(margin=0.3, show=["f1_macro", "matthews_corrcoef"])
    gate = refused(project, "fail", "margin", "gain over the baseline +26.7 points, asked for +30 points")
    assert gate["candidate"]["metrics"]["matthews_corrcoef"] - gate["baseline"]["metrics"]["matthews_corrcoef"] > 0.3
    project.gate_test(require=[{"metric": "recall_macro", "min": 0.95}])
    refused(project, "fail", "require.candidate.recall_macro", "asked for at least 95.0 %")
    project.gate_test(metric=["accuracy", "matthews_corrcoef"])
    refused(project, "error", "configuration", "metric: must be a metric's name")


def test_row_30_tuned_to_the_test_set(project: Project) -> None:
    """How often a test set has judged before is not counted; that it is this one is in the report."""
    project.gate_test()
    digest = sha256((project.path / "test.jsonl").read_bytes()).hexdigest()
    assert accepted(project)["test_set"] == {"path": "test.jsonl", "sha256": digest, "examples": 60}
    project.gate_test(max_attempts=3)
    refused(project, "error", "configuration", "max_attempts is not supported yet")


def test_row_31_another_test_set(required: Project) -> None:
    """A test set that lost its hard examples has another hash; one that a mark cut short does not meet the gate."""
    before = accepted(required)["test_set"]["sha256"]
    required.test_set(55)
    assert accepted(required)["test_set"]["sha256"] != before
    marked(required, "'support', test_set={'path': 'test.jsonl', 'limit': 50}")
    owed(required, "asks for less than the file: test_set.limit: all rows -> 50")


def test_row_32_one_answer_to_everything(project: Project) -> None:
    """A model that knows one label has learned nothing of the input; more: test_straw_man.py."""
    project.gate_test()
    accepted(project)
    write_jsonl(project.path / "ft.jsonl", [{"id": f"t{i}", "output": "invoice"} for i in range(60)])
    project.predictions("base.jsonl", 60, wrong_at=range(21, 60))
    refused(project, "fail", "degenerate_candidate", "candidate ft.jsonl")


def test_row_33_a_class_that_lost(project: Project) -> None:
    """The frequent label hides what became of the rare one, unless the gate asks for it."""
    expected = ["rare" if i < 6 else f"label {i % 2}" for i in range(60)]
    write_jsonl(
        project.path / "test.jsonl",
        [{"id": f"t{i}", "input": f"customer question {i}", "expected": text} for i, text in enumerate(expected)],
    )
    rows = {
        "base.jsonl": [text if i < 40 else "rare" for i, text in enumerate(expected)],
        "ft.jsonl": ["label 0" if text == "rare" else text for text in expected],
    }
    for name, outputs in rows.items():
        write_jsonl(project.path / name, [{"id": f"t{i}", "output": text} for i, text in enumerate(outputs)])
    project.gate_test()
    accepted(project)
    project.gate_test(metric="recall_macro")
    refused(project, "fail", "margin", "gain over the baseline")


def test_row_34_ten_examples(project: Project) -> None:
    """On ten examples luck looks like a gain."""
    project.gate_test()
    accepted(project)
    project.test_set(10)
    project.predictions("base.jsonl", 10, wrong_at=(7, 8, 9))
    project.predictions("ft.jsonl", 10)
    refused(project, "fail", "min_test_examples", "10 test examples, 50 needed")
    project.gate_test(min_test_examples=10)
    gate = refused(project, "inconclusive", "evidence", "measured +30.0 points")
    assert "test examples in all" in check(gate, "evidence")["advice"]


def test_row_35_one_document_many_times(project: Project) -> None:
    """Twenty questions on one document are one document, wherever the data say so."""
    project.gate_test()
    accepted(project)
    project.test_set(60, group="one document")
    refused(project, "inconclusive", "groups", "1 group of test examples")


@pytest.mark.parametrize(("right", "verdict"), [(85, "pass"), (84, "fail")])
def test_row_36_the_margin_to_the_last_digit(project: Project, right: int, verdict: str) -> None:
    """0.85 - 0.80 is below 0.05 for a computer that does not count."""
    project.test_set(100)
    project.predictions("base.jsonl", 100, wrong_at=range(80, 100))
    project.predictions("ft.jsonl", 100, wrong_at=range(right, 100))
    project.gate_test(evidence="observed")
    assert project.gate()["verdict"] == verdict


def test_row_37_a_crash_is_no_verdict(project: Project) -> None:
    """A model that fails has not lost: nothing was judged, and that is not green either. Least of all the baseline."""
    project.gate_test(errors="score_zero", **callable_candidate(project, ""))
    accepted(project)
    text = (project.path / "conftest.py").read_text(encoding="utf-8").replace("ftgate_candidate", "ftgate_baseline")
    project.file("conftest.py", text.replace("return LABELS", "raise PermissionError('gone')"))
    project.gate_test(errors="score_zero", baseline=...)
    gate = refused(project, "error", "baseline_predictions", "60 of 60 answers missing")
    assert gate["baseline"]["value"] is None
    project.result.assert_outcomes(errors=1)
    project.gate_test(candidate={"provider": "python", "target": "absent:model"})
    refused(project, "error", "configuration", "there is no module 'absent'")


# --- the session ends before the gate is heard ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "args", "ret"),
    [
        ("assert False", ["-x"], 1),
        ("assert False", ["--maxfail=1"], 1),
        ("pytest.exit('enough')", [], 2),
        ("pytest.exit('enough', returncode=0)", [], 1),
    ],
    ids=["-x", "--maxfail", "exit", "exit 0"],
)
def test_row_38_stopped_early(required: Project, statement: str, args: list[str], ret: int) -> None:
    """What comes after the gate's absence must not make up for it."""
    required.file("test_a.py", "def test_a(): pass\n")
    report = required.report(*args)
    assert (len(report["gates"]), required.result.ret) == (1, 0)
    required.file("test_a.py", f"import pytest\ndef test_a():\n    {statement}\n")
    report = required.report(*args)
    assert required.result.ret == ret
    assert "collected but not judged" in report["unjudged"][0]["reason"]


def test_row_38_interrupted(required: Project) -> None:
    """Ctrl-C has an exit status of its own, which stays, and the report says what was not judged."""
    required.file("test_a.py", "def test_a(): raise KeyboardInterrupt\n")
    report = required.report(apart=True)
    assert required.result.ret == pytest.ExitCode.INTERRUPTED
    assert "collected but not judged" in report["unjudged"][0]["reason"]


@pytest.mark.parametrize(
    "hook",
    [
        "@pytest.hookimpl(trylast=True)\ndef pytest_sessionfinish(session): session.exitstatus = 0\n",
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_sessionfinish(session):\n"
        "    yield\n    session.exitstatus = 0\n",
        "def pytest_sessionfinish(): pytest.exit('enough', returncode=0)\n",
    ],
    ids=["last", "wrapper", "exit"],
)
@pytest.mark.parametrize("why", ["red", "absent"])
def test_row_38_the_exit_status_is_rewritten(required: Project, hook: str, why: str) -> None:
    """Plugins that decide about the exit status come after the gate, and do not have the last word."""
    required.file("conftest.py", f"import pytest\n{hook}")
    assert required.run().ret == 0
    if why == "red":
        lose(required)
    assert required.run(*(["-k", "other"] if why == "absent" else [])).ret == 1


def test_row_38_set_up_is_enough(required: Project) -> None:
    """``--setup-only`` runs no body; the gate is judged all the same."""
    assert required.run("--setup-only").ret == 0
    lose(required)
    assert required.run("--setup-only").ret == 1


@pytest.mark.parametrize("dist", ["load", "loadgroup", "worksteal"])
def test_row_38_in_another_process(required: Project, dist: str) -> None:
    """xdist: what a worker finds out, the controller knows; what none has run, it misses."""
    pytest.importorskip("xdist")
    args = ("-n2", f"--dist={dist}")
    assert required.report(*args, apart=True)["unjudged"] == []
    assert required.result.ret == 0
    add_xfail(required)
    lose(required)
    owed(required, "the verdict of test_gate.py::test_gate is fail", *args, apart=True)


def test_row_38_deselected_in_another_process(required: Project) -> None:
    pytest.importorskip("xdist")
    owed(required, "deselected", "-n2", "-k", "other", apart=True)


def test_row_38_lost_with_its_worker(required: Project) -> None:
    pytest.importorskip("xdist")
    marked(required, body="def test_gate(crash): pass\n")
    conftest = "import os, pytest\n@pytest.fixture\ndef crash(): {}\n"
    required.file("conftest.py", conftest.format("pass"))
    assert required.run_apart("-n2").ret == 0
    required.file("conftest.py", conftest.format("os._exit(0)"))
    owed(required, "a worker was lost", "-n2", "--max-worker-restart=0", apart=True)


def test_row_38_two_workers_that_disagree(required: Project) -> None:
    """One test on each of two workers: the verdict that is not ``pass`` counts."""
    pytest.importorskip("xdist")
    required.gate_file(f"version: 1\ngates:\n  support: {{{GATE.partition(', candidate')[0]}}}\n")
    conftest = (
        "import os, pytest\n@pytest.fixture\ndef ftgate_candidate():\n"
        "    return 'recorded:{}.jsonl' if os.environ['PYTEST_XDIST_WORKER'] == 'gw1' else 'recorded:ft.jsonl'\n"
    )
    add_xfail(required)
    xfail = (required.path / "conftest.py").read_text(encoding="utf-8")
    required.file("conftest.py", xfail + conftest.format("ft"))
    assert required.run_apart("--dist=each", "--tx=2*popen").ret == 0
    required.file("conftest.py", xfail + conftest.format("base"))
    assert required.run_apart("--dist=each", "--tx=2*popen").ret == 1


def test_row_39_reporters(required: Project) -> None:
    """An xfailed test is no failure in JUnit XML; its verdict stands there all the same."""
    add_xfail(required)
    assert required.run("--junitxml=junit.xml").ret == 0
    lose(required)
    assert required.run("--junitxml=junit.xml").ret == 1
    text = (required.path / "junit.xml").read_text(encoding="utf-8")
    assert 'failures="0"' in text
    assert '<property name="ftgate.verdict" value="fail"' in text


def test_row_40_the_candidate_grades_itself(project: Project) -> None:
    """A judge is a third model. Whether the labels that answers are held against are right, the gate cannot see."""
    project.gate_test()
    accepted(project)
    for role, path in (("candidate", "ft.jsonl"), ("baseline", "base.jsonl")):
        project.gate_test(metric={"name": "rubric", "judge": f"recorded:{path}", "rubric": "Is it right?"}, margin=1)
        gate = project.gate()
        assert (gate["verdict"], gate["models_called"], project.result.ret) == ("error", False, 1)
        assert f"the judge of rubric is the {role} itself" in check(gate, "configuration")["message"]


# --- what stays open is said ---------------------------------------------------------------------------------


def test_every_row_has_a_test() -> None:
    rows = {int(found[1]) for name in globals() if (found := re.match(r"test_row_(\d\d)_", name))}
    assert rows == set(range(1, 41))


def test_the_limits_are_those_of_the_readme() -> None:
    section = README.read_text(encoding="utf-8").partition("## Limits\n")[2].partition("\nThe package")[0]
    limits = [" ".join(one.split()) for one in section.strip().removeprefix("- ").split("\n- ")]
    for phrase in CANNOT_BE_CLOSED.values():
        assert sum(phrase in limit for limit in limits) == 1, phrase
    for limit in limits:
        assert any(phrase in limit for phrase in CANNOT_BE_CLOSED.values()), limit
