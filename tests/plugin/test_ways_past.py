"""Nobody gets past the gate: ways in which gates for models were got past, each closed here, most of them in a row.

Each test takes one way, and shows the same project green without it. What no plugin can close stands in
``CANNOT_BE_CLOSED`` and in docs/limits.md. Gates that are not judged: test_obligations.py; what tests, hooks and
fixtures do to a verdict: test_outcomes.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from gate_project import Project, because, block, check, label, mentions, passed, statuses, write_jsonl, wrong
from loopback import LoopbackServer

from pytest_ftgate import metric
from pytest_ftgate.data import input_sha256

LIMITS = Path(__file__).parents[2] / "docs" / "limits.md"

CANNOT_BE_CLOSED = (
    "`-c another.ini`", "`-p no:pytest_ftgate`", "Paraphrases", "`training_set`", "poor prompt", "`input_sha256`",
    "The best of ten", "Precision", "Reusing a test set", "A test set that git does not have", "`slices` and `guards`",
    "right labels",
)  # fmt: skip
"""What docs/limits.md names, because the gate cannot look there."""

NAMES = ("Anna", "Boris", "Clara", "Dmitri", "Emine", "Farid", "Greta", "Hector", "Ingrid", "Jamal")
TOWNS = ("Aberdeen", "Bologna", "Casablanca", "Dunkirk", "Edinburgh", "Florence", "Gothenburg", "Helsinki")


def outputs(project: Project, name: str, *texts: str | None) -> None:
    """What a recorded model answers, example by example."""
    write_jsonl(project.path / name, [{"id": f"t{i}", "output": text} for i, text in enumerate(texts)])


def number(text: str) -> int:
    return int(text.split()[-1])


def right(text: str) -> str:
    return label(number(text))


def equal(expected: str, answer: str) -> float:
    return float(expected == answer)


def graded(returned: Callable[[str, str], Any], *, greater_is_better: bool = True) -> dict[str, Any]:
    """Return the keys of a mark with a metric of the project's own."""
    return {"metric": metric(low=0, high=1, greater_is_better=greater_is_better)(returned)}


def append(project: Project, name: str, text: str) -> None:
    project.file(name, (project.path / name).read_text(encoding="utf-8") + text + "\n")


def added(name: str, **row: str) -> Callable[[Project], None]:
    return lambda project: append(project, name, json.dumps(row))


def predicted(name: str, n: int, **fields: Any) -> Callable[[Project], None]:
    return lambda project: project.predictions(name, n, **fields)


def scored(value: str, *, of: str) -> dict[str, Any]:
    """Return a metric that gives this value for one answer, where it is wrong."""
    return graded(lambda expected, answer: float(value) if answer == of != expected else equal(expected, answer))


def always(project: Project) -> None:
    """Let the candidate answer one label to everything."""
    outputs(project, "ft.jsonl", *["refund"] * 60)
    project.predictions("base.jsonl", 60)


def broken_once(project: Project) -> None:
    outputs(project, "base.jsonl", *("broken" if i == 7 else label(i) for i in range(60)))


def swapped_hashes(project: Project) -> None:
    """Let the answers be those of other examples, which their hashes tell."""
    hashes = [input_sha256(f"customer question {i}") for i in range(60)]
    write_jsonl(
        project.path / "ft.jsonl",
        [{"id": f"t{i}", "output": label(i), "input_sha256": hashes[i - 1]} for i in range(60)],
    )


def nothing(project: Project) -> None:
    pass


def gone(text: str) -> str:
    raise PermissionError("gone")


def answered(*texts: str | None) -> Callable[[Project], None]:
    return lambda project: outputs(project, "ft.jsonl", *texts)


def with_examples(n: int, **fields: Any) -> Callable[[Project], None]:
    return lambda project: project.test_set(n, **fields)


def one_answer(project: Project) -> None:
    outputs(project, "ft.jsonl", *["invoice"] * 60)
    project.predictions("base.jsonl", 60, wrong_at=range(21, 60))


def judged_by(path: str) -> dict[str, Any]:
    return {"metric": {"name": "rubric", "judge": f"recorded:{path}", "rubric": "Right?"}, "margin": 1}


ROLES = {"candidate": "ft.jsonl", "baseline": "base.jsonl"}
SWAPPED = {role: f"recorded:{path}" for role, path in zip(("baseline", "candidate"), ROLES.values(), strict=True)}
LEAK = ("test.jsonl:8", "train.jsonl:201")
IMPOSSIBLE = (
    *(("margin", value, "margin") for value in (5.0, -0.01, float("nan"))),
    *(("confidence", value, "confidence") for value in (95.0, 0.0, 1.0)),
    *((key, -1, key) for key in ("min_test_examples", "min_training_examples")),
    *(("thresholds", {name: {end: value}}, name) for name, end, value in (
        ("error_rate", "max", 5.0), ("accuracy", "min", -0.8), ("latency_p95_s", "max", -1.0),
    )),
)  # fmt: skip
Row = tuple[Callable[[Project], None], dict[str, Any], str, str, tuple[str, ...]]
CONFIG, BASE, CAND = "configuration", "baseline_answers", "candidate_answers"
RED: dict[str, Row] = {
    # what was measured is no measure
    "NaN for the candidate": (always, scored("nan", of="refund"), "error", CONFIG, ("test.jsonl:2", "nan")),
    "infinity for the candidate": (always, scored("inf", of="refund"), "error", CONFIG, ("test.jsonl:2", "inf")),
    "NaN for the baseline": (broken_once, scored("nan", of="broken"), "error", CONFIG, ("test.jsonl:8", "nan")),
    "a missing baseline answer": (
        predicted("base.jsonl", 59, wrong_at=range(40, 59)), {"missing_answers": "wrong"}, "error", BASE, ("1 of 60",),
    ),
    "a baseline that crashes": (nothing, {"baseline": gone, "missing_answers": "wrong"}, "error", BASE, ("60 of 60",)),
    "a model that is absent": (
        nothing, {"candidate": {"provider": "python", "target": "absent:model"}}, "error", CONFIG, ("absent",),
    ),
    "only the rows that it got right": (answered(*map(label, range(59))), {}, "error", CAND, ("1 of 60", "t59")),
    "null for an answer": (answered(None, *map(label, range(1, 60))), {}, "error", CAND, ("ft.jsonl:1", "t0")),
    "answers to other inputs": (swapped_hashes, {}, "error", CAND, ("60 of 60", "t0")),
    "an empty test set": (with_examples(0), {}, "error", CONFIG, ("test.jsonl",)),
    "49 examples": (with_examples(49), {}, "fail", "min_test_examples", ("49", "50")),
    "a second answer": (added("ft.jsonl", id="t0", output="refund"), {}, "error", CONFIG, ("ft.jsonl:61", "line 1")),
    "an id again": (
        added("test.jsonl", id="t0", input="another", expected="x"), {}, "error", CONFIG, ("test.jsonl:61", "line 1"),
    ),
    "an input again": (
        added("test.jsonl", id="n", input="Customer  question 0", expected="x"), {}, "error", CONFIG, ("jsonl:61",),
    ),
    # the training set
    "a number": (nothing, {"training_set": 200}, "error", CONFIG, ("training_set",)),
    "a test example": (
        added("train.jsonl", input="customer question 7", expected="invoice"), {}, "fail", "leaked", LEAK,
    ),
    "a test example in disguise": (
        added("train.jsonl", input=" CUSTOMER question	7", expected="refund"), {}, "fail", "leaked", LEAK,
    ),
    # the threshold is none
    **{f"{key} {value}": (nothing, {key: value}, "error", CONFIG, (word,)) for key, value, word in IMPOSSIBLE},
    "a margin of zero": (predicted("ft.jsonl", 60, wrong_at=range(20)), {"margin": 0.0}, "fail", "margin", ()),
    "another scale": (nothing, graded(lambda e, a: 80.0 * (e == a)), "error", CONFIG, ("80.0",)),
    "no direction": (nothing, {"metric": lambda expected, answer: 1.0}, "error", CONFIG, ("metric",)),
    "the wrong direction": (nothing, graded(lambda e, a: float(e != a)), "fail", "margin", ()),
    "a threshold beside the metric": (
        nothing, {"thresholds": {"recall_macro": {"min": 0.95}}}, "fail", "thresholds.recall_macro", ("95.0",),
    ),
    # the comparison is none; more on straw men: test_straw_man.py
    "a straw man": (predicted("base.jsonl", 60, wrong_at=range(60)), {}, "fail", "weak_baseline", ("0.0 %",)),
    "the baseline under another name": (
        nothing,
        {"candidate": {"provider": "recorded", "path": "base.jsonl", "name": "t"}},
        *("fail", "identical_outputs", ()),
    ),
    "the two swapped": (nothing, SWAPPED, "fail", "margin", ()),
    "one answer to everything": (one_answer, {}, "fail", "degenerate_candidate", ("ft.jsonl",)),
    "one document": (with_examples(60, group="one document"), {}, "inconclusive", "min_wins", ("1",)),
    **{f"{role} as judge": (nothing, judged_by(path), "error", CONFIG, (role,)) for role, path in ROLES.items()},
}  # fmt: skip


@pytest.mark.parametrize(("change", "keys", "verdict", "name", "parts"), RED.values(), ids=RED)
def test_what_is_red(
    project: Project,
    change: Callable[[Project], None],
    keys: dict[str, Any],
    verdict: str,
    name: str,
    parts: tuple[str, ...],
) -> None:
    passed(project.judge())
    change(project)
    gate = project.judge(**keys)
    because(gate, verdict, name, *parts)
    if name in ("configuration", "leaked", "min_test_examples") and parts[0] not in (
        "test.jsonl:2",
        "test.jsonl:8",
        "80.0",
    ):
        assert gate["models_called"] is False


GREEN: dict[str, tuple[Callable[[Project], None], dict[str, Any]]] = {
    "scores of one's own": (nothing, graded(equal)),
    "a missing answer may be wrong": (nothing, {"missing_answers": "wrong"}),
    "50 examples": (lambda project: project.test_set(50), {}),
    "a margin of zero": (nothing, {"margin": 0.0}),
    "less of a loss": (nothing, graded(lambda e, a: float(e != a), greater_is_better=False)),
    "further metrics": (nothing, {"metric": ["accuracy", "f1_macro"], "thresholds": {"recall_macro": {"min": 0.9}}}),
}


@pytest.mark.parametrize(("change", "keys"), GREEN.values(), ids=GREEN)
def test_what_is_green(project: Project, change: Callable[[Project], None], keys: dict[str, Any]) -> None:
    change(project)
    passed(project.judge(**keys))


FAULTS: dict[str, Any] = {
    "lost": RuntimeError("lost"),
    "None": None,
    "SystemExit": SystemExit(0),
    "Skipped": pytest.skip.Exception("later"),
    "no answer": PermissionError("no answer"),
}


@pytest.mark.parametrize("told", FAULTS)
def test_a_lost_answer(project: Project, told: str) -> None:
    """Dropping the examples that went wrong leaves those that went right."""

    def model(text: str) -> Any:
        if number(text) == 7 and FAULTS[told]:
            raise FAULTS[told]
        return None if number(text) == 7 else right(text)

    passed(project.judge(candidate=right))
    gate = project.judge(candidate=model)
    because(gate, "error", "candidate_answers", told, "1 of 60", "test.jsonl:8")
    assert [gate["candidate"][key] for key in ("n_expected", "n_scored", "n_errors", "value")] == [60, 59, 1, None]


def test_an_answer_that_comes_too_late(project: Project) -> None:
    """An answer that is not waited for any longer is missing, not wrong."""
    text = "import threading\nfrom test_ways_past import number, right\n\ndef model(text):\n"
    project.file("slow.py", text + "    number(text) == 7 and threading.Event().wait()\n    return right(text)\n")
    slow = {"provider": "python", "target": "slow:model", "timeout_s": 0.2, "retries": 0}
    because(project.judge(candidate=slow), "error", "candidate_answers", "1 of 60", "test.jsonl:8", "0.2 s")


@pytest.mark.parametrize("line", ['{"id": "t3", "inp', "# a remark", "[]", '{"id": "x", "output": NaN}'])
def test_a_broken_line(project: Project, line: str) -> None:
    """A reader that skips what it cannot read drops examples without a word."""
    for name in ("test.jsonl", "train.jsonl", "base.jsonl", "ft.jsonl"):
        before = (project.path / name).read_text(encoding="utf-8")
        lines = before.splitlines()
        project.file(name, "\n".join([*lines[:7], line, *lines[8:]]) + "\n")
        because(project.judge(), "error", "configuration", f"{name}:8: ")
        project.file(name, before)


# --- the training set is not what it is counted as -----------------------------------------------------------


def trained(project: Project, *inputs: str, output: Callable[[int], str] = label) -> dict[str, Any]:
    """Judge with these training examples."""
    rows = [{"input": text, "expected": output(i)} for i, text in enumerate(inputs)]
    write_jsonl(project.path / "train.jsonl", rows)
    return project.judge()


def too_few(gate: dict[str, Any], usable: int) -> None:
    found = because(gate, "fail", "min_training_examples")
    assert (found["observed"], found["required"], gate["models_called"]) == (usable, 200, False)


def test_copies(project: Project) -> None:
    """3 examples 70 times are 3 examples."""
    too_few(trained(project, *(f"training question {i % 3}" for i in range(210))), 3)


def test_near_copies(project: Project) -> None:
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


def test_rows_that_are_no_examples(project: Project) -> None:
    """Blank rows, blank outputs and a header are counted by whoever counts lines."""
    project.training_set(199)
    blank = "\n" * 100 + '{"input": " ", "expected": "refund"}\n{"input": "what", "expected": " "}\n' * 50
    append(project, "train.jsonl", blank)
    too_few(project.judge(), 199)
    cells = [f"training question {i},{label(i)}" for i in range(199)]
    project.file("train.csv", "input,expected\n" + "\n".join(cells) + "\n")
    too_few(project.judge(training_set="train.csv"), 199)


def test_which_training_set_was_counted(project: Project) -> None:
    """Which file the candidate was trained on is not seen from outside; which was counted is in the report."""
    digest = sha256((project.path / "train.jsonl").read_bytes()).hexdigest()
    gate = passed(project.judge())
    assert gate["training"]["sha256"] == digest
    assert [line for line in block(gate, verbose=True) if "train.jsonl" in line and digest in line]


INVISIBLE = ("\u200b", "\u200d", "\u00ad", "\ufeff", "\u2060", "\u180e", "\ufe0f", "\u034f", "\U000e0041")


def leaked(gate: dict[str, Any]) -> None:
    assert because(gate, "fail", "leaked", "test.jsonl:8")["observed"] == 1


@pytest.mark.parametrize("mark", INVISIBLE, ids=ascii)
def test_invisible_characters_make_no_new_example(project: Project, mark: str) -> None:
    """Neither for the training set, which they would fill, nor for a test example in it, which they would hide."""
    rows = [{"input": f"training question {i % 5}{mark * (i // 5)}", "expected": label(i % 5)} for i in range(200)]
    write_jsonl(project.path / "train.jsonl", rows)
    too_few(project.judge(), 5)
    project.training_set(200, [{"input": f"custo{mark}mer question 7", "expected": "refund"}])
    leaked(project.judge())


def test_what_is_invisible_is_blank(project: Project) -> None:
    for blank in ({"input": "\u200b \u2060", "expected": "refund"}, {"input": "a question", "expected": "\u200b"}):
        project.training_set(199, [blank])
        too_few(project.judge(), 199)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"limit": 200}, "training_set.limit: all rows -> 200"),
        ({"fields": {"input": "key"}}, "training_set.fields: not given -> input: key"),
    ],
    ids=["limit", "fields"],
)
def test_a_mark_that_hides_a_part_of_the_training_set(green: Project, keys: dict[str, Any], told: str) -> None:
    """Read in another way, the same file shows no leak. Another file is another training set, and no bypass."""
    rows = [{"key": f"k{i}", "input": f"training question {i}", "expected": label(i)} for i in range(200)]
    leak = {"key": "k200", "input": "customer question 7", "expected": label(7)}
    write_jsonl(green.path / "train.jsonl", [*rows, leak])
    leaked(green.judge("support"))
    gate = green.judge("support", training_set={"path": "train.jsonl", **keys})
    assert (statuses(gate)["leaked"], gate["loosened"]) == ("pass", [told])


def test_a_file_that_is_read_in_part_says_so(project: Project) -> None:
    limits = {"test_set": {"path": "test.jsonl", "limit": 55}, "training_set": {"path": "train.jsonl", "limit": 200}}
    gate = passed(project.judge(**limits))
    assert (statuses(gate)["min_test_examples"], statuses(gate)["min_training_examples"]) == ("note", "warning")
    mentions(check(gate, "min_test_examples"), "test.jsonl", "55")
    mentions(check(gate, "min_training_examples"), "train.jsonl", "200")


@pytest.mark.parametrize("name", ["input", "hint"])
def test_one_column_is_not_question_and_answer(project: Project, name: str) -> None:
    for column, fields in (("expected", {name: "expected"}), ("intent", {"expected": "intent", name: "intent"})):
        gate = project.judge(test_set={"path": "test.jsonl", "fields": fields})
        because(gate, "error", "configuration", repr(name), repr(column))


# --- the comparison is none ----------------------------------------------------------------------------------


def test_a_copy_of_the_baseline(project: Project) -> None:
    """A copy of the baseline is no fine-tune, and neither is the baseline itself, nor the two swapped."""
    (project.path / "copy.jsonl").write_bytes((project.path / "base.jsonl").read_bytes() + b"\n")
    gate = project.judge(candidate="recorded:copy.jsonl", margin=0.0)
    because(gate, "fail", "identical_outputs", "60")
    assert statuses(gate)["margin"] == "fail"
    renamed = {"provider": "recorded", "path": "base.jsonl", "name": "tuned"}
    because(project.judge(candidate=renamed), "fail", "identical_outputs")
    gate = project.judge(baseline="recorded:ft.jsonl", candidate="recorded:base.jsonl")
    assert because(gate, "fail", "margin")["observed"] == pytest.approx(-16 / 60)


def test_stale_answers(project: Project) -> None:
    """A stored answer is one to this very input, and its age is shown; a recorded one is called attested."""
    project.file("tuned.py", "from test_ways_past import right\n")
    project.keys["candidate"] = {"provider": "python", "target": "tuned:right", "revision": "1"}
    gate = passed(project.judge(stored=True))
    assert gate["candidate"]["n_stored"] == 0
    assert "input_sha256" in check(gate, "baseline_answers")["message"]
    gate = passed(project.judge(stored=True))
    assert gate["candidate"]["n_stored"] == 60
    assert [line for line in block(gate) if "stored" in line and "old" in line]
    rows = (project.path / "test.jsonl").read_text(encoding="utf-8")
    project.file("test.jsonl", rows.replace("customer question 9", "our customer's question 9"))
    assert passed(project.judge(stored=True))["candidate"]["n_stored"] == 59
    assert passed(project.judge(refresh=True))["candidate"]["n_stored"] == 0


def test_no_option_accepts_what_is(project: Project) -> None:
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


def test_the_first_verdict_is_the_last(project: Project) -> None:
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


def test_all_repeats_of_an_example_count(project: Project) -> None:
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
    because(project.judge(repeats=2), "error", "candidate_answers", "60 of 120")


def test_one_metric_decides(project: Project) -> None:
    """One metric decides, and is named beforehand; what is required besides must hold as well."""
    passed(project.judge(metric=["accuracy", "f1_macro"], thresholds={"recall_macro": {"min": 0.9}}))
    gate = project.judge(margin=0.3, metric=["accuracy", "f1_macro", "matthews_corrcoef"])
    found = because(gate, "fail", "margin")
    assert (found["observed"], found["required"]) == (pytest.approx(16 / 60), 0.3)
    assert gate["candidate"]["metrics"]["matthews_corrcoef"] - gate["baseline"]["metrics"]["matthews_corrcoef"] > 0.3
    gate = project.judge(thresholds={"recall_macro": {"min": 0.95}})
    because(gate, "fail", "thresholds.recall_macro", "95.0")


def test_which_test_set_it_was(project: Project) -> None:
    """That it is this test set is in the report, and with max_attempts how many candidates it has judged."""
    digest = sha256((project.path / "test.jsonl").read_bytes()).hexdigest()
    assert passed(project.judge())["test_set"] == {
        "path": "test.jsonl",
        "sha256": digest,
        "examples": 60,
        "near_pairs": [],
    }
    assert passed(project.judge(max_attempts=3))["attempt"]["number"] == 1


def test_a_class_that_lost(project: Project) -> None:
    """The frequent label hides what became of the rare one, unless the gate asks for it."""
    expected = ["rare" if i < 6 else f"label {i % 2}" for i in range(60)]
    project.test_set(60, expected=expected.__getitem__)
    outputs(project, "base.jsonl", *expected[:40], *["rare"] * 20)
    outputs(project, "ft.jsonl", *["label 0"] * 6, *expected[6:])
    passed(project.judge())
    because(project.judge(metric="recall_macro"), "fail", "margin")


def test_ten_examples(project: Project) -> None:
    """On ten examples luck looks like a gain."""
    project.test_set(10)
    project.predictions("base.jsonl", 10, wrong_at=(7, 8, 9))
    project.predictions("ft.jsonl", 10)
    because(project.judge(), "fail", "min_test_examples", "10", "50")
    found = because(project.judge(min_test_examples=10), "inconclusive", "evidence", "+30.0")
    assert found["advice"]


@pytest.mark.parametrize(("right", "verdict"), [(85, "pass"), (84, "fail")])
def test_the_margin_to_the_last_digit(project: Project, right: int, verdict: str) -> None:
    """0.85 - 0.80 is below 0.05 for a computer that does not count."""
    project.test_set(100)
    project.predictions("base.jsonl", 100, wrong_at=range(80, 100))
    project.predictions("ft.jsonl", 100, wrong_at=range(right, 100))
    assert project.judge(evidence="observed")["verdict"] == verdict


@pytest.fixture
def reader(no_ambient_settings: None) -> Any:
    """Yield a model that knows nothing but what it is sent: it repeats the last word of the question."""
    with LoopbackServer(lambda body: body["messages"][-1]["content"].split()[-1]) as server:
        yield server


def test_a_template_that_tells_the_answer(project: Project, reader: LoopbackServer) -> None:
    """A further column that holds the expected output is no part of a question."""
    project.test_set(
        60,
        hint=lambda i: f" {label(i)}",
        place="x",
        meta=lambda i: {"label": label(i) if i else "another", "id": i},
        code=lambda i: 17 + len(label(i)),
    )
    model = {"provider": "openai", "model": "m", "base_url": reader.url}
    gate = project.judge(candidate={**model, "template": "{input} {hint}"})
    because(gate, "fail", "prompt_leak", "{hint}")
    assert (gate["models_called"], reader.requests) == (False, [])
    gate = project.judge(candidate={**model, "template": "{input} {meta}"})
    because(gate, "fail", "prompt_leak", "{meta}", "59", "60", "test.jsonl:2")
    gate = project.judge(candidate={**model, "template": "{input} {code}"})
    because(gate, "fail", "prompt_leak", "{code}", "23", "refund")
    assert project.judge(candidate={**model, "template": "{place} {input}"})["models_called"] is True


def test_a_system_message_that_holds_the_test_set(project: Project, reader: LoopbackServer) -> None:
    """Answers that stand in the prompt are looked up, not learned."""
    told = "Answer like this:\n" + "\n".join(f"Customer  question {i} -> {label(i)}" for i in range(60))
    project.file("prompt.md", told)
    model = {"provider": "openai", "model": "m", "base_url": reader.url}
    for keys in ({"system": told}, {"system_file": "prompt.md"}):
        gate = project.judge(candidate={**model, **keys})
        because(gate, "fail", "prompt_leak", "60 of 60", "test.jsonl:1")
        assert gate["models_called"] is False
    assert project.judge(candidate={**model, "system": "Name the topic."})["models_called"] is True


@pytest.mark.parametrize("metric", ["precision_macro", "precision_micro", "precision_weighted"])
def test_a_missing_answer_is_wrong_for_precision_too(project: Project, metric: str) -> None:
    """Precision looks at what was said: an answer that never came would raise it."""
    project.predictions("ft.jsonl", 60, output=lambda i: label(i) if i < 20 else None)
    for keys in ({"metric": metric}, {"metric": "f1_macro", "thresholds": {metric: {"min": 0.9}}}):
        because(project.judge(missing_answers="wrong", **keys), "error", "configuration", "missing_answers", metric)
    because(project.judge(metric=metric), "error", "candidate_answers", "40 of 60")


# --- what stays open is said ---------------------------------------------------------------------------------


def test_what_stays_open_is_a_limit() -> None:
    limits = " ".join(LIMITS.read_text(encoding="utf-8").split()).split(" - ")
    for phrase in CANNOT_BE_CLOSED:
        assert sum(phrase in limit for limit in limits) == 1, phrase
