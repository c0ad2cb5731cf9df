"""Nobody gets past the gate: the ways that gates for models have been got past, each closed here, in 40 rows.

Each test takes one way, and shows the same project green without it. What no plugin can close stands in
``CANNOT_BE_CLOSED`` and in docs/limits.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from gate_project import GATE, Project, because, block, check, label, passed, statuses, write_jsonl, wrong

from pytest_ftgate import metric
from pytest_ftgate.data import input_sha256

LIMITS = Path(__file__).parents[2] / "docs" / "limits.md"

CANNOT_BE_CLOSED = {
    3: "`-c another.ini`",
    4: "`-p no:pytest_ftgate`",
    14: "Paraphrases",
    17: "`training_set`",
    23: "poor prompt",
    25: "`input_sha256`",
    28: "The best of ten",
    29: "Precision",
    30: "Reusing a test set",
    31: "A test set that git does not have",
    33: "`slices` and `guards`",
    40: "right labels",
}
"""By row: what docs/limits.md names where the gate cannot look."""

NAMES = ("Anna", "Boris", "Clara", "Dmitri", "Emine", "Farid", "Greta", "Hector", "Ingrid", "Jamal")
TOWNS = ("Aberdeen", "Bologna", "Casablanca", "Dunkirk", "Edinburgh", "Florence", "Gothenburg", "Helsinki")


def add_xfail(project: Project) -> None:
    """A conftest that expects every test to fail."""
    project.file(
        "conftest.py",
        "import pytest\n\n\ndef pytest_collection_modifyitems(items):\n"
        "    for item in items:\n        item.add_marker(pytest.mark.xfail(strict=False))\n",
    )


def outputs(project: Project, name: str, *texts: str | None) -> None:
    """What a recorded model answers, example by example."""
    write_jsonl(project.path / name, [{"id": f"t{i}", "output": text} for i, text in enumerate(texts)])


def number(text: str) -> int:
    return int(text.split()[-1])


def right(text: str) -> str:
    return label(number(text))


def owed(project: Project, reason: str, *args: str, apart: bool = False) -> None:
    """The session is red because the gate was not judged, and says why; without the arguments it is green."""
    (unjudged,) = project.report(*args, apart=apart)["unjudged"]
    assert (unjudged["name"], project.result.ret) == ("support", 1)
    assert reason in unjudged["reason"]
    said = "*ftgate support: FAIL*" if reason == RED else f"*support*{reason}*"  # its block tells it
    project.result.stdout.fnmatch_lines([said])


RED = "the verdict of test_gate.py::test_gate is fail"


def test_the_required_gate_is_green(required: Project) -> None:
    """What the rows of the required gate change."""
    passed(required.gate())
    assert required.result.ret == 0


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
    required.marked(body=body)
    owed(required, "later")


@pytest.mark.parametrize("is_required", [True, False], ids=["required", "not required"])
def test_row_02_expected_to_fail(required: Project, is_required: bool) -> None:
    """An expected failure is green for pytest; here it stays an expected failure, and the session is red."""
    if not is_required:
        required.ini_file()
    add_xfail(required)
    assert required.run().ret == 0
    required.lose()
    report = required.report("test_gate.py")
    required.result.assert_outcomes(xfailed=1)
    assert (required.result.ret, report["gates"][0]["verdict"]) == (1, "fail")
    assert [one["name"] for one in report["unjudged"]] == (["support"] if is_required else [])


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["-k", "other"], "deselected"),
        (["-k", "nothing"], "deselected"),
        (["-m", "not ftgate"], "deselected"),
        (["--deselect", "test_gate.py::test_gate"], "deselected"),
        (["--ignore=test_gate.py"], "no collected test has this marker"),
        (["test_other.py"], "no collected test has this marker"),
        (["-o", "python_files=test_other.py"], "no collected test has this marker"),
        (["--collect-only"], "collected but not judged"),
        (["--setup-plan"], "collected but not judged"),
    ],
    ids=" ".join,
)
def test_row_03_left_out(required: Project, args: list[str], reason: str) -> None:
    """A gate that is not among the tests of the run is not there to say no."""
    owed(required, reason, *args)


def test_row_03_left_out_by_what_failed_before(required: Project) -> None:
    """Only what failed is run again: the green gate is not, and owes its verdict anew."""
    required.file("test_a.py", "def test_a(): assert False\n")
    assert required.report()["unjudged"] == []
    owed(required, "no collected test has this marker", "--lf")


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
    required.ini_file("required_plugins = pytest-ftgate")
    assert required.run().ret == 0
    result = required.run("-p", f"no:{name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*Missing required plugins: pytest-ftgate*"])


def test_row_04_autoload_off(required: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    required.ini_file("required_plugins = pytest-ftgate")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert required.run().ret == pytest.ExitCode.USAGE_ERROR
    required.ini_file()
    passed(required.gate("-p", "pytest_ftgate"))


def test_row_04_a_twin_of_our_name(required: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two plugins with one entry-point name pytest loads one, without a word."""
    required.ini_file("required_plugins = pytest-ftgate")
    required.file("site/twin.py", "")
    required.file("site/twin-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: twin\nVersion: 1.0\n")
    required.file("site/twin-1.0.dist-info/entry_points.txt", "[pytest11]\npytest_ftgate = twin\n")
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
    required.marked(body=body)
    result = required.run_apart("-p", "no:pytest_ftgate")
    assert result.ret not in (0, 5)
    result.stdout.fnmatch_lines([f"*{message}*"])


BODIES = (
    "@MARK\ndef test_gate(request):\n    try:\n        request.getfixturevalue('ftgate')\n"
    "    except BaseException:\n        pass\n",
    "@MARK\ndef test_gate(ftgate):\n    if ftgate.passed:\n        assert ftgate.gain > 0\n",
    "@MARK\ndef test_gate():\n    return\n    assert False\n",
    "@pytest.fixture\ndef swallowing(request):\n    try:\n        return request.getfixturevalue('ftgate')\n"
    "    except BaseException:\n        return None\n\n\n@MARK\ndef test_gate(swallowing): pass\n",
)


def test_row_05_the_verdict_is_not_looked_at(project: Project) -> None:
    """Whatever the body does with the verdict, or forgets to: the mark fails the test."""
    changes: dict[str, Any] = {"pass": {}, "fail": {"margin": 0.3}, "error": {"baseline": "recorded:x.jsonl"}}
    for i, body in enumerate(BODIES):
        for verdict, change in changes.items():
            text = body.replace("@MARK", project.mark(**change))
            project.file(f"test_{i}_{verdict}.py", f"import pytest\n{text}")
    gates = project.report()["gates"]
    assert [gate["verdict"] for gate in gates] == [re.split(r"[_.]", gate["nodeid"])[2] for gate in gates]
    project.result.assert_outcomes(passed=4, failed=4, errors=4)


# --- what was measured is no measure -------------------------------------------------------------------------


def graded(returned: Callable[[str, str], Any], *, greater_is_better: bool = True) -> dict[str, Any]:
    """Return the keys of a mark with a metric of the project's own."""
    return {"metric": metric(low=0, high=1, greater_is_better=greater_is_better)(returned)}


def equal(expected: str, answer: str) -> float:
    return float(expected == answer)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_row_06_not_a_number_for_the_candidate(project: Project, value: str) -> None:
    """Every comparison with NaN is false, so a gate that asks "is it worse?" lets it pass."""
    passed(project.judge(**graded(equal)))

    def score(expected: str, answer: str) -> float:
        return float(value) if answer == "refund" != expected else equal(expected, answer)

    project.predictions("base.jsonl", 60)
    outputs(project, "ft.jsonl", *["refund"] * 60)
    because(project.judge(**graded(score)), "error", "configuration", "score", value)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_row_07_not_a_number_for_the_baseline(project: Project, value: str) -> None:
    """The other side counts as much: a baseline of NaN is no baseline to beat."""

    def score(expected: str, answer: str) -> float:
        return float(value) if answer == "broken" else equal(expected, answer)

    passed(project.judge(**graded(score)))
    outputs(project, "base.jsonl", *("broken" if i == 7 else label(i) for i in range(60)))
    because(project.judge(**graded(score)), "error", "configuration", "test.jsonl:8", "score", value)


def test_row_07_a_missing_baseline_answer_is_never_a_zero(project: Project) -> None:
    """Scored as wrong, what the baseline failed to say would be the candidate's gain."""
    passed(project.judge(missing_answers="wrong"))
    project.predictions("base.jsonl", 59, wrong_at=range(40, 59))
    because(project.judge(missing_answers="wrong"), "error", "baseline_predictions", "1 of 60", "t59")


def test_row_08_an_empty_test_set(project: Project) -> None:
    """Nothing to be wrong about, nothing wrong."""
    project.test_set(0)
    because(project.judge(), "error", "configuration", "test.jsonl")
    project.test_set(49)
    because(project.judge(), "fail", "min_test_examples", "49", "50")
    project.test_set(50)
    passed(project.judge())


FAULTS: dict[str, Any] = {
    "lost": RuntimeError("lost"),
    "None": None,
    "SystemExit": SystemExit(0),
    "Skipped": pytest.skip.Exception("later"),
    "no answer": PermissionError("no answer"),
}


@pytest.mark.parametrize("told", FAULTS)
def test_row_09_a_lost_answer(project: Project, told: str) -> None:
    """Dropping the examples that went wrong leaves those that went right."""

    def model(text: str) -> Any:
        if number(text) == 7 and FAULTS[told]:
            raise FAULTS[told]
        return None if number(text) == 7 else right(text)

    passed(project.judge(candidate=right))
    gate = project.judge(candidate=model)
    because(gate, "error", "candidate_predictions", told, "1 of 60", "test.jsonl:8")
    assert [gate["candidate"][key] for key in ("n_expected", "n_scored", "n_errors", "value")] == [60, 59, 1, None]


def test_row_09_too_late(project: Project) -> None:
    """An answer that is not waited for any longer is missing, not wrong."""
    text = "import threading\nfrom test_catalogue import number, right\n\ndef model(text):\n"
    project.file("slow.py", text + "    number(text) == 7 and threading.Event().wait()\n    return right(text)\n")
    slow = {"provider": "python", "target": "slow:model", "timeout_s": 0.2, "retries": 0}
    because(project.judge(candidate=slow), "error", "candidate_predictions", "1 of 60", "test.jsonl:8", "0.2 s")


def test_row_09_a_row_without_an_answer(project: Project) -> None:
    """Only the rows that the candidate got right; and one whose answer is null."""
    outputs(project, "ft.jsonl", *map(label, range(59)))
    because(project.judge(), "error", "candidate_predictions", "1 of 60", "t59")
    outputs(project, "ft.jsonl", None, *map(label, range(1, 60)))
    because(project.judge(), "error", "candidate_predictions", "ft.jsonl:1", "t0")


@pytest.mark.parametrize("line", ['{"id": "t3", "inp', "# a remark", "[]", '{"id": "x", "output": NaN}'])
def test_row_10_a_broken_line(project: Project, line: str) -> None:
    """A reader that skips what it cannot read drops examples without a word."""
    for name in ("test.jsonl", "train.jsonl", "base.jsonl", "ft.jsonl"):
        before = (project.path / name).read_text(encoding="utf-8")
        lines = before.splitlines()
        project.file(name, "\n".join([*lines[:7], line, *lines[8:]]) + "\n")
        because(project.judge(), "error", "configuration", f"{name}:8: ")
        project.file(name, before)


def test_row_11_pairs_that_are_none(project: Project) -> None:
    """Predictions are joined by id whatever their order, and by what they were made for where that is known."""
    rows = [
        {"id": f"t{i}", "output": label(i), "input_sha256": input_sha256(f"customer question {i}")} for i in range(60)
    ]
    write_jsonl(project.path / "ft.jsonl", reversed(rows))
    assert passed(project.judge())["candidate"]["value"] == 1.0
    write_jsonl(project.path / "ft.jsonl", [{**row, "id": f"other{i}"} for i, row in enumerate(rows)])
    because(project.judge(), "error", "candidate_predictions", "60 of 60")
    swapped = [{**row, "input_sha256": rows[i - 1]["input_sha256"]} for i, row in enumerate(rows)]
    write_jsonl(project.path / "ft.jsonl", swapped)
    because(project.judge(), "error", "candidate_predictions", "60 of 60", "t0")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("ft.jsonl", {"id": "t0", "output": "refund"}),
        ("test.jsonl", {"id": "t0", "input": "another", "expected": "refund"}),
        ("test.jsonl", {"id": "new", "input": "Customer  question 0", "expected": "refund"}),
    ],
    ids=["prediction", "id", "content"],
)
def test_row_12_counted_twice(project: Project, name: str, row: dict[str, str]) -> None:
    """One example that is won, many times over; or a second answer in place of the first."""
    append(project, name, json.dumps(row))
    because(project.judge(), "error", "configuration", f"{name}:61", "line 1")


def append(project: Project, name: str, text: str) -> None:
    project.file(name, (project.path / name).read_text(encoding="utf-8") + text + "\n")


# --- the training set is not what it is counted as -----------------------------------------------------------


def trained(project: Project, *inputs: str, output: Callable[[int], str] = label) -> dict[str, Any]:
    """Judge with these training examples."""
    rows = [{"input": text, "expected": output(i)} for i, text in enumerate(inputs)]
    write_jsonl(project.path / "train.jsonl", rows)
    return project.judge()


def too_few(gate: dict[str, Any], usable: int) -> None:
    found = because(gate, "fail", "min_training_examples")
    assert (found["observed"], found["required"], gate["models_called"]) == (usable, 200, False)


def test_row_13_copies(project: Project) -> None:
    """3 examples 70 times are 3 examples."""
    too_few(trained(project, *(f"training question {i % 3}" for i in range(210))), 3)


def test_row_14_near_copies(project: Project) -> None:
    """Other case or spacing makes no new example, nor does a word more. A paraphrase does: its words are others."""
    asked = "training question {}".format
    passed(trained(project, *map(asked, range(200))))
    near = [str.upper, str.title, lambda text: f"  {text.replace(' ', '   ')} ", lambda text: text.replace("t", "ｔ")]
    copies = (change(asked(i)) for i in range(50) for change in near)
    too_few(trained(project, *copies, output=lambda i: "refund"), 50)
    said = ("training question {}", "question {} for training", "please: training question {}", "training, no. {}")
    gate = passed(trained(project, *(text.format(i) for i in range(50) for text in said)))
    assert gate["training"]["usable"] == 200
    said = ("where is the parcel of {}", "please: where is the parcel of {}", "where is the parcel of {}?!")
    people = (f"{name} who lives in {town}" for name in NAMES for town in TOWNS)
    gate = trained(project, *(text.format(one) for one in people for text in said), output=lambda i: "refund")
    because(gate, "fail", "near_duplicates", "train.jsonl:3", "line 1", "200")


def test_row_15_rows_that_are_no_examples(project: Project) -> None:
    """Blank rows, blank outputs and a header are counted by whoever counts lines."""
    project.training_set(199)
    blank = "\n" * 100 + '{"input": " ", "expected": "refund"}\n{"input": "what", "expected": " "}\n' * 50
    append(project, "train.jsonl", blank)
    too_few(project.judge(), 199)
    cells = [f"training question {i},{label(i)}" for i in range(199)]
    project.file("train.csv", "input,expected\n" + "\n".join(cells) + "\n")
    too_few(project.judge(training_set="train.csv"), 199)


def test_row_16_a_number_for_the_training_set(project: Project) -> None:
    """A number can be typed; examples have to be shown."""
    because(project.judge(training_set=200), "error", "configuration", "training_set")


def test_row_17_another_training_set(project: Project) -> None:
    """Which file the candidate was trained on is not seen from outside; which was counted is in the report."""
    digest = sha256((project.path / "train.jsonl").read_bytes()).hexdigest()
    gate = passed(project.judge())
    assert gate["training"]["sha256"] == digest
    assert [line for line in block(gate, verbose=True) if "train.jsonl" in line and digest in line]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("customer question 7", "invoice"),
        (" CUSTOMER question\t7", "refund"),
        ([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "customer question 7"}], "invoice"),
    ],
    ids=["word for word", "disguised", "under a system prompt"],
)
def test_row_18_taught_to_the_test(project: Project, text: Any, answer: str) -> None:
    """A test example in the training set is an answer learned by heart."""
    append(project, "train.jsonl", json.dumps({"input": text, "expected": answer}))
    gate = project.judge()
    found = because(gate, "fail", "leaked", "test.jsonl:8", "train.jsonl:201")
    assert (found["observed"], gate["models_called"]) == (1, False)


# --- the threshold is none -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("margin", 0.01, "margin: 0.05 -> 0.01"),
        ("evidence", "observed", "evidence: significant -> observed"),
        ("min_test_examples", 5, "min_test_examples: 50 -> 5"),
        ("min_training_examples", 1, "min_training_examples: 200 -> 1"),
        ("test_set", {"path": "test.jsonl", "limit": 55}, "test_set.limit: all rows -> 55"),
        ("missing_answers", "wrong", "missing_answers: error -> wrong"),
        ("metric", "f1_macro", "metric: accuracy -> f1_macro"),
    ],
)
def test_row_19_asking_for_less_than_the_file(required: Project, key: str, value: Any, reason: str) -> None:
    """The file's promise stands, and that of the defaults that it relies on; git's history: test_weakened.py."""
    assert required.judge("support", **{key: value})["loosened"] == [reason]
    if key == "margin":
        required.marked("'support', margin=0.01")
        owed(required, reason)


@pytest.mark.parametrize(
    ("fixture", "reason"),
    [
        ("def ftgate_baseline(): return 'recorded:weak.jsonl'", "baseline: recorded:base.jsonl -> recorded:weak.jsonl"),
        ("def ftgate_test_set(): return EASY", "test_set: "),
    ],
    ids=["baseline", "test set"],
)
def test_row_19_a_fixture_that_asks_for_less(required: Project, fixture: str, reason: str) -> None:
    required.predictions("weak.jsonl", 60, wrong_at=range(1, 60, 2))
    required.file(
        "conftest.py",
        "import pytest\nLABELS = ('refund', 'invoice', 'shipping')\n"
        "EASY = [{'id': f't{i}', 'input': f'easy {i}', 'expected': LABELS[i % 3]} for i in range(60)]\n"
        f"@pytest.fixture\n{fixture}\n",
    )
    owed(required, reason)


@pytest.mark.parametrize("key", ["ftgate_required=", "ftgate_config=easy.yaml"])
def test_row_19_no_threshold_on_the_command_line(required: Project, key: str) -> None:
    result = required.run("-o", key)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*-o {key.partition('=')[0]}*files under review*"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("margin", 5.0),
        ("margin", -0.01),
        ("margin", float("nan")),
        ("confidence", 95.0),
        ("confidence", 0.0),
        ("confidence", 1.0),
        ("min_test_examples", -1),
        ("min_training_examples", -1),
        ("thresholds", {"error_rate": {"max": 5.0}}),
        ("thresholds", {"accuracy": {"min": -0.8}}),
        ("thresholds", {"latency_p95_s": {"max": -1.0}}),
    ],
)
def test_row_20_a_threshold_that_holds_always_or_never(project: Project, key: str, value: Any) -> None:
    """Percent for a fraction, NaN, a negative margin: a gate that is open, or shut, by a slip of the pen."""
    part = next(iter(value)) if key == "thresholds" else key
    because(project.judge(**{key: value}), "error", "configuration", part)


def test_row_20_a_margin_of_zero_asks_for_a_gain(project: Project) -> None:
    passed(project.judge(margin=0.0))
    project.predictions("ft.jsonl", 60, wrong_at=range(20))
    found = because(project.judge(margin=0.0), "fail", "margin")
    assert (found["observed"], found["required"]) == (0, 0)


def test_row_21_another_scale(project: Project) -> None:
    """80 of 100 against 0.9 of 1 is no gain of 7910 points."""
    gate = project.judge(**graded(lambda expected, answer: 80.0 * (expected == answer)))
    because(gate, "error", "configuration", "80.0")


def test_row_22_the_wrong_direction(project: Project) -> None:
    """More of a loss is no gain; a metric that does not state its direction is none."""

    def loss(expected: str, answer: str) -> float:
        return float(expected != answer)

    less = graded(loss, greater_is_better=False)
    assert passed(project.judge(**less))["gain"] == pytest.approx(16 / 60)
    swapped = {"baseline": "recorded:ft.jsonl", "candidate": "recorded:base.jsonl"}
    assert because(project.judge(**less, **swapped), "fail", "margin")["observed"] == pytest.approx(-16 / 60)
    because(project.judge(metric=lambda expected, answer: 1.0), "error", "configuration", "metric")


# --- the comparison is none ----------------------------------------------------------------------------------


def test_row_23_a_straw_man(project: Project) -> None:
    """Anything beats a baseline that is no better than one constant answer; more on straw men: test_straw_man.py."""
    project.predictions("base.jsonl", 60, wrong_at=range(60))
    because(project.judge(), "fail", "weak_baseline", "base.jsonl", "0.0 %")


def test_row_24_one_model_twice(project: Project) -> None:
    """A copy of the baseline is no fine-tune, and neither is the baseline itself, nor the two swapped."""
    (project.path / "copy.jsonl").write_bytes((project.path / "base.jsonl").read_bytes() + b"\n")
    gate = project.judge(candidate="recorded:copy.jsonl", margin=0.0)
    because(gate, "fail", "identical_outputs", "60")
    assert statuses(gate)["margin"] == "fail"
    renamed = {"provider": "recorded", "path": "base.jsonl", "name": "tuned"}
    because(project.judge(candidate=renamed), "fail", "same_model")
    gate = project.judge(baseline="recorded:ft.jsonl", candidate="recorded:base.jsonl")
    assert because(gate, "fail", "margin")["observed"] == pytest.approx(-16 / 60)


def test_row_25_stale_answers(project: Project) -> None:
    """A stored answer is one to this very input, and its age is shown; a recorded one is called attested."""
    project.file("tuned.py", "from test_catalogue import right\n")
    project.keys["candidate"] = {"provider": "python", "target": "tuned:right", "revision": "1"}
    gate = passed(project.judge(stored=True))
    assert gate["candidate"]["n_stored"] == 0
    assert "input_sha256" in check(gate, "baseline_recording")["message"]
    gate = passed(project.judge(stored=True))
    assert gate["candidate"]["n_stored"] == 60
    assert [line for line in block(gate) if "stored" in line and "old" in line]
    rows = (project.path / "test.jsonl").read_text(encoding="utf-8")
    project.file("test.jsonl", rows.replace("customer question 9", "our customer's question 9"))
    assert passed(project.judge(stored=True))["candidate"]["n_stored"] == 59
    assert passed(project.judge(refresh=True))["candidate"]["n_stored"] == 0


def test_row_26_the_baseline_moves(project: Project) -> None:
    """No option accepts what is, or makes it the new standard; a red run leaves everything as it was."""
    options = re.findall(r"--ftgate-[\w-]+", project.run("--help").stdout.str())
    assert set(options) == {
        "--ftgate-report", "--ftgate-cache", "--ftgate-offline", "--ftgate-allow-missing",
        "--ftgate-max-cost", "--ftgate-preview", "--ftgate-plan",
    }  # fmt: skip
    project.gate_test()
    project.lose()
    before = {path: path.read_bytes() for path in project.path.glob("*.jsonl")}
    because(project.gate(), "fail", "margin")
    assert {path: path.read_bytes() for path in project.path.glob("*.jsonl")} == before


def test_row_27_until_it_passes(project: Project) -> None:
    """A candidate that is better when it is asked again: the first verdict of a test is its last."""
    project.gate_test(candidate=...)
    project.file(
        "conftest.py",
        "import pytest\nfrom itertools import count\nasked = count()\n\ndef model(text):\n"
        "    n = int(text.split()[-1])\n"
        "    return ('refund', 'invoice', 'shipping')[(n + (next(asked) < 60)) % 3]\n\n"
        "@pytest.fixture\ndef ftgate_candidate(): return model\n\n"
        "def pytest_sessionfinish(): print('asked', next(asked))\n",
    )
    result = project.run_apart("-p", "no:asyncio", "--reruns", "2", "-s", alone=False)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*asked 60", "*ftgate test_gate.py::test_gate: FAIL*"])


def test_row_28_the_best_of_several_answers(project: Project) -> None:
    """All repeats of an example count, not the first or the best. Which checkpoint is brought is not seen."""

    def repeated(name: str, output: Callable[[int, int], str]) -> None:
        rows = [{"id": f"t{i}", "output": output(i, k), "repeat": k} for i in range(60) for k in (0, 1)]
        write_jsonl(project.path / name, rows)

    repeated("base.jsonl", lambda i, repeat: label(i) if i < 40 else wrong(i))
    repeated("ft.jsonl", lambda i, repeat: label(i))
    passed(project.judge(repeats=2))
    repeated("ft.jsonl", lambda i, repeat: (label, wrong)[repeat](i))
    gate = project.judge(repeats=2)
    assert because(gate, "fail", "margin")["observed"] == pytest.approx(-1 / 6)
    assert gate["candidate"]["value"] == 0.5
    project.predictions("ft.jsonl", 60)
    because(project.judge(repeats=2), "error", "candidate_predictions", "60 of 120")


def test_row_29_the_best_of_several_metrics(project: Project) -> None:
    """One metric decides, and is named beforehand; what is required besides must hold as well."""
    passed(project.judge(metric=["accuracy", "f1_macro"], thresholds={"recall_macro": {"min": 0.9}}))
    gate = project.judge(margin=0.3, metric=["accuracy", "f1_macro", "matthews_corrcoef"])
    found = because(gate, "fail", "margin")
    assert (found["observed"], found["required"]) == (pytest.approx(16 / 60), 0.3)
    assert gate["candidate"]["metrics"]["matthews_corrcoef"] - gate["baseline"]["metrics"]["matthews_corrcoef"] > 0.3
    gate = project.judge(thresholds={"recall_macro": {"min": 0.95}})
    because(gate, "fail", "thresholds.recall_macro", "95.0")


def test_row_30_tuned_to_the_test_set(project: Project) -> None:
    """That it is this test set is in the report, and with max_attempts how many candidates it has judged."""
    digest = sha256((project.path / "test.jsonl").read_bytes()).hexdigest()
    assert passed(project.judge())["test_set"] == {
        "path": "test.jsonl",
        "sha256": digest,
        "examples": 60,
        "near_pairs": [],
    }
    assert passed(project.judge(max_attempts=3))["attempt"]["number"] == 1


def test_row_31_another_test_set(required: Project) -> None:
    """A test set that lost its hard examples has another hash; one that a mark cut short does not meet the gate."""
    before = required.judge("support")["test_set"]["sha256"]
    required.test_set(55)
    assert passed(required.judge("support"))["test_set"]["sha256"] != before
    required.marked("'support', test_set={'path': 'test.jsonl', 'limit': 50}")
    owed(required, "test_set.limit: all rows -> 50")


def test_row_32_one_answer_to_everything(project: Project) -> None:
    """A model that knows one label has learned nothing of the input; more: test_straw_man.py."""
    outputs(project, "ft.jsonl", *["invoice"] * 60)
    project.predictions("base.jsonl", 60, wrong_at=range(21, 60))
    because(project.judge(), "fail", "degenerate_candidate", "ft.jsonl")


def test_row_33_a_class_that_lost(project: Project) -> None:
    """The frequent label hides what became of the rare one, unless the gate asks for it."""
    expected = ["rare" if i < 6 else f"label {i % 2}" for i in range(60)]
    project.test_set(60, expected=expected.__getitem__)
    outputs(project, "base.jsonl", *expected[:40], *["rare"] * 20)
    outputs(project, "ft.jsonl", *["label 0"] * 6, *expected[6:])
    passed(project.judge())
    because(project.judge(metric="recall_macro"), "fail", "margin")


def test_row_34_ten_examples(project: Project) -> None:
    """On ten examples luck looks like a gain."""
    project.test_set(10)
    project.predictions("base.jsonl", 10, wrong_at=(7, 8, 9))
    project.predictions("ft.jsonl", 10)
    because(project.judge(), "fail", "min_test_examples", "10", "50")
    found = because(project.judge(min_test_examples=10), "inconclusive", "evidence", "+30.0")
    assert found["advice"]


def test_row_35_one_document_many_times(project: Project) -> None:
    """Twenty questions on one document are one document, wherever the data say so."""
    project.test_set(60, group="one document")
    because(project.judge(), "inconclusive", "groups", "1")


@pytest.mark.parametrize(("right", "verdict"), [(85, "pass"), (84, "fail")])
def test_row_36_the_margin_to_the_last_digit(project: Project, right: int, verdict: str) -> None:
    """0.85 - 0.80 is below 0.05 for a computer that does not count."""
    project.test_set(100)
    project.predictions("base.jsonl", 100, wrong_at=range(80, 100))
    project.predictions("ft.jsonl", 100, wrong_at=range(right, 100))
    assert project.judge(evidence="observed")["verdict"] == verdict


def test_row_37_a_crash_is_no_verdict(project: Project) -> None:
    """A model that fails has not lost: nothing was judged, and that is not green either. Least of all the baseline."""

    def gone(text: str) -> str:
        raise PermissionError("gone")

    gate = project.judge(baseline=gone, missing_answers="wrong")
    because(gate, "error", "baseline_predictions", "60 of 60")
    assert gate["baseline"]["value"] is None
    absent = {"provider": "python", "target": "absent:model"}
    because(project.judge(candidate=absent), "error", "configuration", "absent")


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


def test_row_38_set_up_is_enough(required: Project) -> None:
    """``--setup-only`` runs no body; the gate is judged all the same."""
    assert required.run("--setup-only").ret == 0
    required.lose()
    assert required.run("--setup-only").ret == 1


def test_row_38_in_another_process(required: Project) -> None:
    """xdist: what a worker finds out, the controller knows; more on the end of a session: test_not_judged.py."""
    add_xfail(required)
    required.lose()
    owed(required, RED, "-n1", "--dist=loadgroup", apart=True)


def test_row_38_lost_with_its_worker(required: Project) -> None:
    required.marked(body="def test_gate(crash): pass\n")
    required.file("conftest.py", "import os, pytest\n@pytest.fixture\ndef crash(): os._exit(0)\n")
    owed(required, "a worker crashed", "-n2", "--max-worker-restart=0", apart=True)


def test_row_38_two_workers_that_disagree(required: Project) -> None:
    """One test on each of two workers: the verdict that is not ``pass`` counts."""
    required.gate_file(f"version: 1\ngates:\n  support: {{{GATE.partition(', candidate')[0]}}}\n")
    add_xfail(required)
    append(
        required,
        "conftest.py",
        "import os\n@pytest.fixture\ndef ftgate_candidate():\n"
        "    return f\"recorded:{'base' if os.environ['PYTEST_XDIST_WORKER'] == 'gw1' else 'ft'}.jsonl\"\n",
    )
    assert required.run_apart("--dist=each", "--tx=2*popen").ret == 1


def test_row_39_reporters(required: Project) -> None:
    """An xfailed test is no failure in JUnit XML; its verdict stands there all the same."""
    add_xfail(required)
    required.lose()
    assert required.run("--junitxml=junit.xml").ret == 1
    text = (required.path / "junit.xml").read_text(encoding="utf-8")
    assert 'failures="0"' in text
    assert '<property name="ftgate.verdict" value="fail"' in text


def test_row_40_the_candidate_grades_itself(project: Project) -> None:
    """A judge is a third model. Whether the labels that answers are held against are right, the gate cannot see."""
    for role, path in (("candidate", "ft.jsonl"), ("baseline", "base.jsonl")):
        gate = project.judge(metric={"name": "rubric", "judge": f"recorded:{path}", "rubric": "Right?"}, margin=1)
        because(gate, "error", "configuration", "rubric", role)
        assert gate["models_called"] is False


# --- what stays open is said ---------------------------------------------------------------------------------


def test_every_row_has_a_test() -> None:
    rows = {int(found[1]) for name in globals() if (found := re.match(r"test_row_(\d\d)_", name))}
    assert rows == set(range(1, 41))


def test_what_stays_open_is_a_limit() -> None:
    limits = " ".join(LIMITS.read_text(encoding="utf-8").split()).split(" - ")
    for row, phrase in CANNOT_BE_CLOSED.items():
        assert sum(phrase in limit for limit in limits) == 1, (row, phrase)
