"""Further ways past the gate, beside the catalogue's: what hooks, properties, parameters and characters can do.

Each test shows the same project green, or red, without the bypass.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from gate_project import Project, because, check, label, mentions, passed, statuses, write_jsonl
from loopback import LoopbackServer

from pytest_ftgate.result import GateResult


@pytest.fixture
def red(green: Project) -> Project:
    green.lose()
    return green


# --- what a test report says, and what is heard of it --------------------------------------------------------


@pytest.mark.parametrize("args", [(), ("-n1",)], ids=["one process", "workers"])
def test_a_forged_verdict_is_not_heard(green: Project, args: tuple[str, ...]) -> None:
    """``record_property`` is open to every test, and the facts of a gate travel in properties."""
    green.ini_file("ftgate_required = all")
    forged = json.dumps(GateResult("support", "test_forged.py::test_forged", "pass", gate="support").to_dict())
    green.file(
        "test_forged.py",
        f"def test_forged(record_property): record_property('ftgate', {forged!r})\n"
        "def test_of_another(record_property): record_property('ftgate', 'of another')\n",
    )
    result = green.run_apart(*args)
    result.assert_outcomes(passed=4)
    assert result.ret == 0
    report = green.report("-k", "forged", *args, apart=True)
    assert green.result.ret == 1
    assert (report["gates"], [one["name"] for one in report["unjudged"]]) == ([], ["support"])


SILENCED = """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome, report.longrepr, report.user_properties = "passed", None, []
    return report
"""


@pytest.mark.parametrize("args", [(), ("-n1", "-pno:pytest_ftgate_reports")], ids=["one process", "workers"])
def test_a_report_that_was_emptied(red: Project, args: tuple[str, ...]) -> None:
    """A hook may make a report say anything; the verdict comes another way too, which has no name to switch off."""
    red.file("conftest.py", f"import pytest\n{SILENCED}")
    report = red.report(*args, "--trace-config", apart=True)
    red.result.assert_outcomes(passed=2)
    assert red.result.ret == 1
    assert [gate["verdict"] for gate in report["gates"]] == ["fail"]
    red.result.stdout.no_fnmatch_line("*pytest_ftgate_reports*: <*")


# --- parameters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("ftgate_candidate", "recorded:base.jsonl", "fail"),
        ("ftgate_baseline", "recorded:ft.jsonl", "fail"),
        ("ftgate_test_set", "absent.jsonl", "error"),
        ("ftgate_training_set", "few.jsonl", "fail"),
    ],
)
def test_a_parameter_in_place_of_a_fixture_is_what_is_judged(
    green: Project, name: str, value: str, verdict: str
) -> None:
    """pytest lets a parameter take a fixture's place: the model that the test sees is the one that the gate judges."""
    write_jsonl(green.path / "few.jsonl", [{"input": "a question", "expected": "refund"}])
    green.marked("'support'", f"@pytest.mark.parametrize({name!r}, [{value!r}])\ndef test_gate({name}): pass")
    gate = green.gate()
    assert (gate["verdict"], green.result.ret) == (verdict, 1), gate["checks"]


def test_a_parameter_for_a_fixture_that_takes_none(green: Project) -> None:
    """Our own fixtures would pass it over without a word."""
    given = "@pytest.mark.parametrize('ftgate_candidate', ['recorded:ft.jsonl'], indirect=True)\n"
    green.marked("'support'", f"{given}def test_gate(ftgate_candidate): pass")
    result = green.run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture ftgate_candidate*"])


def test_several_candidates_as_parameters(green: Project) -> None:
    """Each is judged, also a callable; one that is as good as the file's passes."""
    green.file(
        "test_gate.py",
        "import pytest\nLABELS = ('refund', 'invoice', 'shipping')\n\n\n"
        "def model(text): return LABELS[int(text.split()[-1]) % 3]\n\n\n"
        "@pytest.mark.ftgate('support')\n"
        "@pytest.mark.parametrize('ftgate_candidate', ['recorded:ft.jsonl', model, lambda text: 'refund'])\n"
        "def test_gate(ftgate_candidate, ftgate):\n    assert ftgate.n == 60\n",
    )
    gates = green.report()["gates"]
    assert [gate["verdict"] for gate in gates] == ["pass", "pass", "fail"]
    assert [gate["candidate"]["name"] for gate in gates] == ["ft.jsonl", "model", "<lambda>"]


def test_a_parameter_beside_the_same_key_of_a_mark(green: Project) -> None:
    """Which of the two is meant is not said; neither is taken."""
    given = "@pytest.mark.parametrize('ftgate_candidate', ['recorded:base.jsonl'])\n"
    green.marked("'support', candidate='recorded:ft.jsonl'", f"{given}def test_gate(ftgate_candidate): pass")
    because(green.gate(), "error", "configuration", "candidate", "ftgate_candidate")


# --- two tests, one name -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["skipped", "deselected"])
def test_an_easier_gate_of_that_name_in_another_file(red: Project, how: str) -> None:
    """A required name that stands in marks alone is owed by every test that carries it."""
    red.file("pytest.ini", "[pytest]\nftgate_required = orders\n")
    red.gate_file("version: 1\n")
    red.predictions("good.jsonl", 60)
    skip = "@pytest.mark.skip(reason='later')\n" if how == "skipped" else ""
    red.file("test_gate.py", f"import pytest\n{red.mark(name='orders')}\n{skip}def test_gate(): pass\n")
    easy = red.mark(name="orders", candidate="recorded:good.jsonl")
    body = "@pytest.mark.parametrize('x', [0, pytest.param(1, marks=pytest.mark.skip)])\ndef test_easy(x): pass\n"
    red.file("test_easy.py", f"import pytest\n{easy}\n{body}")
    (owed,) = red.report(*(["-k", "easy"] if how == "deselected" else []))["unjudged"]
    assert red.result.ret == 1
    assert owed["name"] == "orders"
    assert "test_gate.py::test_gate" in owed["reason"]
    (red.path / "test_gate.py").unlink()
    assert red.run().ret == 0


# --- data and prompts ----------------------------------------------------------------------------------------


INVISIBLE = ("\u200b", "\u200d", "\u00ad", "\ufeff", "\u2060", "\u180e", "\ufe0f", "\u034f", "\U000e0041")


def leaked(gate: dict[str, Any]) -> None:
    assert because(gate, "fail", "leaked", "test.jsonl:8")["observed"] == 1


def too_few(gate: dict[str, Any], usable: int) -> None:
    assert because(gate, "fail", "min_training_examples")["observed"] == usable


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
    assert (statuses(gate)["test_set_limit"], statuses(gate)["training_set_limit"]) == ("note", "warning")
    mentions(check(gate, "test_set_limit"), "test.jsonl", "55")
    mentions(check(gate, "training_set_limit"), "train.jsonl", "200")


@pytest.mark.parametrize("name", ["input", "hint"])
def test_one_column_is_not_question_and_answer(project: Project, name: str) -> None:
    for column, fields in (("expected", {name: "expected"}), ("intent", {"expected": "intent", name: "intent"})):
        gate = project.judge(test_set={"path": "test.jsonl", "fields": fields})
        because(gate, "error", "configuration", repr(name), repr(column))


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


# --- metrics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["precision_macro", "precision_micro", "precision_weighted"])
def test_a_missing_answer_is_wrong_for_precision_too(project: Project, metric: str) -> None:
    """Precision looks at what was said: an answer that never came would raise it."""
    project.predictions("ft.jsonl", 60, output=lambda i: label(i) if i < 20 else None)
    for keys in ({"metric": metric}, {"metric": "f1_macro", "thresholds": {metric: {"min": 0.9}}}):
        because(project.judge(missing_answers="wrong", **keys), "error", "configuration", "missing_answers", metric)
    because(project.judge(metric=metric), "error", "candidate_predictions", "40 of 60")
