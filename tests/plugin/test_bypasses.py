"""Further ways past the gate, beside the catalogue's: what hooks, properties, parameters and characters can do.

Each test shows the same project green, or red, without the bypass.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from gate_project import Project, check, label, write_jsonl
from loopback import LoopbackServer

from pytest_ftgate.result import GateResult

KEYS = (
    "test_set: test.jsonl, training_set: train.jsonl, margin: 0.05, "
    "baseline: 'recorded:base.jsonl', candidate: 'recorded:ft.jsonl'"
)
EXPECTED_TO_FAIL = (
    "import pytest\n\n\ndef pytest_collection_modifyitems(items):\n"
    "    for item in items:\n        item.add_marker(pytest.mark.xfail(strict=False))\n"
)


@pytest.fixture
def green(project: Project) -> Project:
    """The gate ``support`` of the gate file, on a marked test; nothing is required."""
    project.gate_file(f"version: 1\ngates:\n  support: {{{KEYS}}}\n")
    project.file("pytest.ini", "[pytest]\n")
    project.file("test_gate.py", "import pytest\n@pytest.mark.ftgate('support')\ndef test_gate(): pass\n")
    return project


@pytest.fixture
def red(green: Project) -> Project:
    green.predictions("ft.jsonl", 60, wrong_at=range(39, 60))
    return green


def refused(project: Project, verdict: str, name: str, message: str) -> dict[str, Any]:
    gate = project.gate()
    found = check(gate, name)
    assert (gate["verdict"], found["status"], project.result.ret) == (verdict, verdict, 1), gate["checks"]
    assert message in found["message"]
    return gate


# --- what a test report says, and what is heard of it --------------------------------------------------------


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["one process", "workers"])
def test_a_forged_verdict_is_not_heard(green: Project, args: tuple[str, ...]) -> None:
    """``record_property`` is open to every test, and the facts of a gate travel in properties."""
    if args:
        pytest.importorskip("xdist")
    green.file("pytest.ini", "[pytest]\nftgate_required = all\n")
    forged = json.dumps(GateResult("support", "test_forged.py::test_forged", "pass", gate="support").to_dict())
    green.file("test_forged.py", f"def test_forged(record_property):\n    record_property('ftgate', {forged!r})\n")
    assert green.run_apart(*args).ret == 0
    report = green.report("-k", "forged", *args, apart=True)
    assert green.result.ret == 1
    assert (report["gates"], [one["name"] for one in report["unjudged"]]) == ([], ["support"])


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["one process", "workers"])
def test_a_property_of_our_name_does_no_harm(green: Project, args: tuple[str, ...]) -> None:
    if args:
        pytest.importorskip("xdist")
    green.file("test_other.py", "def test_other(record_property):\n    record_property('ftgate', 'of another')\n")
    result = green.run_apart(*args)
    assert result.ret == 0
    result.assert_outcomes(passed=2)


SILENCED = """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome, report.longrepr, report.user_properties = "passed", None, []
    return report
"""


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["one process", "workers"])
def test_a_report_that_was_emptied(red: Project, args: tuple[str, ...]) -> None:
    """A hook may make a report say anything; the verdict comes another way too."""
    if args:
        pytest.importorskip("xdist")
    red.file("conftest.py", f"import pytest\n{SILENCED}")
    report = red.report(*args, apart=True)
    red.result.assert_outcomes(passed=1)
    assert red.result.ret == 1
    assert [gate["verdict"] for gate in report["gates"]] == ["fail"]


def test_our_ears_cannot_be_switched_off(red: Project) -> None:
    """What a plugin registers can be named with ``-p no:``, where it has a name."""
    pytest.importorskip("xdist")
    red.file("conftest.py", EXPECTED_TO_FAIL)
    names = red.run("--trace-config").stdout.str()
    assert "pytest_ftgate_reports" not in names
    report = red.report("-n2", "-pno:pytest_ftgate_reports", apart=True)
    assert red.result.ret == 1
    assert [gate["verdict"] for gate in report["gates"]] == ["fail"]


@pytest.mark.parametrize(
    "hook",
    [
        "def pytest_configure(config):\n    config.add_cleanup(rewrite)\n",
        "def pytest_unconfigure():\n    rewrite()\n",
        "@pytest.hookimpl(trylast=True)\ndef pytest_unconfigure():\n    rewrite()\n",
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_unconfigure():\n    yield\n    rewrite()\n",
        "@pytest.hookimpl(wrapper=True)\ndef pytest_cmdline_main():\n    yield\n    return 0\n",
    ],
    ids=["cleanup", "unconfigure", "unconfigure last", "unconfigure around", "main around"],
)
@pytest.mark.parametrize("why", ["red", "absent"])
def test_the_exit_status_is_rewritten_at_the_very_end(green: Project, hook: str, why: str) -> None:
    green.file("pytest.ini", "[pytest]\nftgate_required = all\n")
    green.file("test_other.py", "def test_other(): pass\n")
    green.file(
        "conftest.py",
        "import pytest\nsessions = []\n\n\ndef pytest_sessionstart(session):\n    sessions.append(session)\n\n\n"
        f"def rewrite():\n    for session in sessions:\n        session.exitstatus = 0\n\n\n{hook}",
    )
    assert green.run().ret == 0
    if why == "red":
        green.predictions("ft.jsonl", 60, wrong_at=range(39, 60))
    assert green.run(*(["-k", "other"] if why == "absent" else [])).ret == 1


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
    green.file(
        "test_gate.py",
        f"import pytest\n@pytest.mark.ftgate('support')\n"
        f"@pytest.mark.parametrize({name!r}, [{value!r}])\ndef test_gate({name}): pass\n",
    )
    gate = green.gate()
    assert (gate["verdict"], green.result.ret) == (verdict, 1), gate["checks"]


def test_a_parameter_for_a_fixture_that_takes_none(green: Project) -> None:
    """Our own fixtures would pass it over without a word."""
    green.file(
        "test_gate.py",
        "import pytest\n@pytest.mark.ftgate('support')\n"
        "@pytest.mark.parametrize('ftgate_candidate', ['recorded:ft.jsonl'], indirect=True)\n"
        "def test_gate(ftgate_candidate): pass\n",
    )
    result = green.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the fixture ftgate_candidate takes no parameter*"])


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
    green.file(
        "test_gate.py",
        "import pytest\n@pytest.mark.ftgate('support', candidate='recorded:ft.jsonl')\n"
        "@pytest.mark.parametrize('ftgate_candidate', ['recorded:base.jsonl'])\n"
        "def test_gate(ftgate_candidate): pass\n",
    )
    refused(green, "error", "configuration", "candidate is given by a mark and by the parameter ftgate_candidate")


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
    assert owed == {"name": "orders", "reason": "test_gate.py::test_gate carries it too, and was not judged"}
    (red.path / "test_gate.py").unlink()
    assert red.run().ret == 0


# --- data and prompts ----------------------------------------------------------------------------------------


INVISIBLE = ("\u200b", "\u200d", "\u00ad", "\ufeff", "\u2060", "\u180e", "\ufe0f", "\u034f", "\U000e0041")


@pytest.mark.parametrize("mark", INVISIBLE, ids=ascii)
def test_invisible_characters_make_no_new_example(green: Project, mark: str) -> None:
    """Neither for the training set, which they would fill, nor for a test example in it, which they would hide."""
    assert green.run().ret == 0
    rows = [{"input": f"training question {i % 5}{mark * (i // 5)}", "expected": label(i % 5)} for i in range(200)]
    write_jsonl(green.path / "train.jsonl", rows)
    refused(green, "fail", "min_training_examples", "5 usable training examples, 200 needed")
    green.training_set(200)
    with (green.path / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"input": f"custo{mark}mer question 7", "expected": "refund"}) + "\n")
    refused(green, "fail", "leaked", "1 of 60 test examples stands in the training set")


def test_what_is_invisible_is_blank(green: Project) -> None:
    rows = [{"input": f"training question {i}", "expected": label(i)} for i in range(199)]
    write_jsonl(green.path / "train.jsonl", [*rows, {"input": "\u200b \u2060", "expected": "refund"}])
    refused(green, "fail", "min_training_examples", "199 usable training examples, 200 needed")
    write_jsonl(green.path / "train.jsonl", [*rows, {"input": "a question", "expected": "\u200b"}])
    refused(green, "fail", "min_training_examples", "199 usable training examples, 200 needed")


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
    green.file("pytest.ini", "[pytest]\nftgate_required = all\n")
    rows = [{"key": f"k{i}", "input": f"training question {i}", "expected": label(i)} for i in range(200)]
    leak = {"key": "k200", "input": "customer question 7", "expected": label(7)}
    write_jsonl(green.path / "train.jsonl", [*rows, leak])
    refused(green, "fail", "leaked", "1 of 60 test examples stands in the training set")
    mark = f"@pytest.mark.ftgate('support', training_set={ ({'path': 'train.jsonl', **keys})!r})"
    green.file("test_gate.py", f"import pytest\n{mark}\ndef test_gate(): pass\n")
    (owed,) = green.report()["unjudged"]
    assert (owed["reason"], green.result.ret) == (f"test_gate.py::test_gate asks for less than the file: {told}", 1)


def test_a_file_that_is_read_in_part_says_so(green: Project) -> None:
    green.gate_test(test_set={"path": "test.jsonl", "limit": 55}, training_set={"path": "train.jsonl", "limit": 200})
    gate = green.gate()
    assert gate["verdict"] == "pass"
    told = {name: (check(gate, name)["status"], check(gate, name)["message"]) for name in LIMITS}
    assert told == LIMITS


LIMITS = {
    "test_set_limit": ("note", "of test.jsonl no more than the first 55 rows count"),
    "training_set_limit": ("warning", "of train.jsonl no more than the first 200 rows were looked at"),
}


@pytest.mark.parametrize("name", ["input", "hint"])
def test_one_column_is_not_question_and_answer(green: Project, name: str) -> None:
    green.gate_test(test_set={"path": "test.jsonl", "fields": {name: "expected"}})
    refused(green, "error", "configuration", f"{name!r} is the column 'expected', which is the expected output")
    fields = {"expected": "intent", name: "intent"}
    green.gate_test(test_set={"path": "test.jsonl", "fields": fields})
    refused(green, "error", "configuration", f"{name!r} is the column 'intent', which is the expected output")


@pytest.fixture
def reader(no_ambient_settings: None) -> Any:
    """A model that knows nothing but what it is sent: it repeats the last word of the question."""
    with LoopbackServer(lambda body: body["messages"][-1]["content"].split()[-1]) as server:
        yield server


def test_a_template_that_tells_the_answer(green: Project, reader: LoopbackServer) -> None:
    """A further column that holds the expected output is no part of a question."""
    rows = [
        {"id": f"t{i}", "input": f"customer question {i}", "expected": label(i), "hint": f" {label(i)}", "place": "x"}
        for i in range(60)
    ]
    for i, row in enumerate(rows):
        row["meta"] = {"label": label(i) if i else "another", "id": i}
    write_jsonl(green.path / "test.jsonl", rows)
    model = {"provider": "openai", "model": "m", "base_url": reader.url}
    green.gate_test(candidate={**model, "template": "{input} {hint}"})
    gate = refused(green, "fail", "leaked_prompt", "the template of the candidate m holds {hint}")
    assert (gate["models_called"], reader.requests) == (False, [])
    green.gate_test(candidate={**model, "template": "{input} {meta}"})
    message = "holds {meta}, which is the expected output of 59 of 60 test examples, first test.jsonl:2"
    refused(green, "fail", "leaked_prompt", message)
    green.gate_test(candidate={**model, "template": "{place} {input}"})
    assert green.gate()["models_called"] is True


def test_a_system_message_that_holds_the_test_set(green: Project) -> None:
    """Answers that stand in the prompt are looked up, not learned."""
    told = "Answer like this:\n" + "\n".join(f"Customer  question {i} -> {label(i)}" for i in range(60))

    def look_up(body: dict[str, Any]) -> str:
        question = body["messages"][-1]["content"]
        lines = body["messages"][0]["content"].splitlines()
        return next((line.split()[-1] for line in lines if line.startswith(question.title() + " ")), "refund")

    with LoopbackServer(look_up) as server:
        model = {"provider": "openai", "model": "m", "base_url": server.url}
        green.gate_test(candidate={**model, "system": told})
        message = "60 of 60 test examples stand in the prompt of the candidate m, first test.jsonl:1"
        assert refused(green, "fail", "leaked_prompt", message)["models_called"] is False
        green.file("prompt.md", told)
        green.gate_test(candidate={**model, "system_file": "prompt.md"})
        refused(green, "fail", "leaked_prompt", message)
        green.gate_test(candidate={**model, "system": "Name the topic."})
        assert green.gate()["models_called"] is True


# --- metrics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["precision_macro", "precision_micro", "precision_weighted"])
def test_a_missing_answer_is_wrong_for_precision_too(green: Project, metric: str) -> None:
    """Precision looks at what was said: an answer that never came would raise it."""
    rows = [{"id": f"t{i}", "output": label(i) if i < 20 else None} for i in range(60)]
    write_jsonl(green.path / "ft.jsonl", rows)
    green.gate_test(metric=metric, errors="score_zero")
    refused(green, "error", "configuration", f"errors: score_zero has no meaning for {metric}")
    green.gate_test(metric="f1_macro", errors="score_zero", require=[{"metric": metric, "min": 0.9}])
    refused(green, "error", "configuration", f"errors: score_zero has no meaning for {metric}")
    green.gate_test(metric=metric)
    refused(green, "error", "candidate_predictions", "40 of 60 answers missing")
