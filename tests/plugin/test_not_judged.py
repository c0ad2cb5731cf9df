"""A gate that is not judged, or whose verdict is not heard, in a run that would be green without it.

Marks that come late, ends of the session that say 0, verdicts of other processes, fixtures and marks that contradict
each other, and jobs of a CI.

Each test shows the same project green without the bypass, or another way to see that only the bypass is refused.
"""

from __future__ import annotations

import pytest
from gate_project import Project, because, check, checks

from pytest_ftgate.plugin.obligations import SIGNS_OF_CI

# --- marks that are added or taken away while the test runs --------------------------------------------------

ADDING = """import pytest
MARK = pytest.mark.ftgate('support')

@pytest.fixture
def to_test(request): request.node.add_marker(MARK)

@pytest.fixture(scope='class')
def to_class(request): request.node.add_marker(MARK)

@pytest.fixture(scope='module')
def to_module(request): request.node.add_marker(MARK)
"""


@pytest.mark.parametrize("fixture", ["to_test", "to_class", "to_module"])
def test_a_mark_that_a_fixture_adds_is_judged(green: Project, fixture: str) -> None:
    green.file("test_gate.py", f"{ADDING}class TestGate:\n    def test_gate(self, {fixture}): pass\n")
    assert (green.gate()["verdict"], green.result.ret) == ("pass", 0)
    green.lose()
    assert (green.gate()["verdict"], green.result.ret) == ("fail", 1)


LATE = {
    "by the body": "def test_gate(request): request.node.add_marker(MARK)",
    "by the body, skipped": "def test_gate(request):\n    request.node.add_marker(MARK)\n    pytest.skip('later')",
    "by the body, xfail": "@pytest.mark.xfail\n"
    "def test_gate(request):\n    request.node.add_marker(MARK)\n    assert 0",
    "in tear-down": "@pytest.fixture\ndef late(request):\n    yield\n    request.node.add_marker(MARK)\n\n"
    "def test_gate(late): pass",
    "after it was judged": "@MARK\ndef test_gate(request, ftgate):\n"
    "    request.node.parent.add_marker(pytest.mark.ftgate(margin=0.5))",
    "taken away by the body": "@MARK\ndef test_gate(request): request.node.own_markers.clear()",
}


@pytest.mark.parametrize("args", [(), ("-n1",)], ids=["one process", "workers"])
def test_a_mark_that_comes_after_the_set_up_fails_the_test(green: Project, args: tuple[str, ...]) -> None:
    (green.path / "test_gate.py").unlink()
    for number, body in enumerate(LATE.values()):
        green.file(f"test_{number}.py", f"import pytest\nMARK = pytest.mark.ftgate('support')\n{body}\n")
    report = green.report(*args, apart=bool(args))
    assert [gate["verdict"] for gate in report["gates"]] == ["error"] * len(LATE)
    assert ["changed" in gate["checks"][-1]["message"] for gate in report["gates"]] == [True] * len(LATE)
    assert green.result.ret == 1
    green.result.assert_outcomes(failed=4, passed=2, errors=1, xfailed=1)


def test_a_mark_that_is_taken_away_before_the_set_up(green: Project) -> None:
    green.lose()
    green.file("conftest.py", "def pytest_runtest_setup(item): item.own_markers.clear()\n")
    assert (green.gate()["verdict"], green.result.ret) == ("error", 1)
    green.result.assert_outcomes(passed=1, errors=1)


@pytest.mark.parametrize(
    "broken", ["@pytest.fixture\ndef broken(): 1 / 0\n", "@pytest.fixture(autouse=True)\ndef _ftgate_request(): pass\n"]
)
def test_xfail_does_not_hide_that_the_gate_could_not_be_judged(green: Project, broken: str) -> None:
    given = "broken" if "broken" in broken else ""
    text = f"import pytest\n{broken}@pytest.mark.xfail\n@pytest.mark.ftgate('support')\ndef test_gate({given}): pass\n"
    green.file("test_gate.py", text)
    assert (green.gate()["verdict"], green.result.ret) == ("error", 1)
    green.result.assert_outcomes(passed=1, xfailed=1)


# --- the session ends with another status --------------------------------------------------------------------

ENDS = {
    "configure": "def pytest_configure(): pytest.exit('enough', returncode=0)",
    "sessionstart": "def pytest_sessionstart(): pytest.exit('enough', returncode=0)",
    "collection": "def pytest_collection(): pytest.exit('enough', returncode=0)",
    "modifyitems": "def pytest_collection_modifyitems(): pytest.exit('enough', returncode=5)",
    "loop": "def pytest_runtestloop(): return True",
    "runtest": "def pytest_runtest_setup(): pytest.exit('enough', returncode=0)",
    "sessionfinish": "def pytest_sessionfinish(exitstatus): os._exit(exitstatus)",
    "sessionfinish, first": "@pytest.hookimpl(tryfirst=True, wrapper=True)\n"
    "def pytest_sessionfinish(exitstatus):\n    os._exit(exitstatus)\n    yield",
    "unconfigure": "SESSIONS = []\ndef pytest_sessionstart(session): SESSIONS.append(session)\n"
    "def pytest_unconfigure(): os._exit(SESSIONS[0].exitstatus)",
    "main, last": "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_cmdline_main():\n    yield\n    return 0",
    "main, instead": "def pytest_cmdline_main(): return 0",
    "SystemExit": "def pytest_sessionfinish(): raise SystemExit",
    "SystemExit at import": "raise SystemExit(0)",
    "sessionfinish, exit": "def pytest_sessionfinish(): pytest.exit('enough', returncode=0)",
    "rewritten": "@pytest.hookimpl(trylast=True)\ndef pytest_sessionfinish(session): session.exitstatus = 0",
    "rewritten everywhere": """
sessions = []

def pytest_configure(config):
    config.add_cleanup(rewrite)
    config.pluginmanager.register(Around())

def pytest_sessionstart(session): sessions.append(session)

def rewrite():
    for session in sessions: session.exitstatus = 0

@pytest.hookimpl(trylast=True)
def pytest_unconfigure(): rewrite()

class Around:
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self):
        yield
        rewrite()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self):
        yield
        rewrite()
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_an_end_that_says_green(required: Project, end: str) -> None:
    """The obligation is part of the status that later hooks see, and of the last one where no hook sees any."""
    required.file("conftest.py", f"import os, pytest\n{ENDS[end]}\n")
    run = required.run_apart if "_exit" in ENDS[end] or "SystemExit" in end else required.run
    assert run("-k", "other").ret in (1, 4)
    required.ini_file()
    assert run("-k", "other").ret in (0, 5)


def test_an_early_end_says_what_is_owed_and_writes_the_report(required: Project) -> None:
    required.file("conftest.py", f"import pytest\n{ENDS['configure']}\n")
    (owed,) = required.report(apart=True)["unjudged"]
    assert (owed["name"], required.result.ret) == ("support", 1)
    required.result.stderr.fnmatch_lines(["FAILED: ftgate_required = all (pytest.ini:2) is not met: support: *"])


@pytest.mark.parametrize("end", ["sessionfinish", "unconfigure", "main, last", "rewritten", "rewritten everywhere"])
def test_a_red_gate_that_is_not_required(green: Project, end: str) -> None:
    green.file("conftest.py", f"import os, pytest\n{ENDS[end]}\n")
    xfail = "@pytest.mark.xfail\ndef test_gate(): pass"
    green.marked(body=xfail)
    assert green.run_apart().ret == 0
    green.lose()
    assert green.run_apart().ret == 1


def test_a_plugin_that_a_conftest_loads_has_the_last_word_too(
    required: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    required.file("conftest.py", f"import pytest\npytest_plugins = ['pytest_ftgate.plugin']\n{ENDS['configure']}\n")
    assert required.run_apart("-k", "other").ret == 1


@pytest.mark.parametrize("option", ["--help", "--version", "--markers"])
def test_a_run_that_only_informs_owes_nothing(required: Project, option: str) -> None:
    assert required.run(option, "-q").ret == 0


FORKED = """import os, pickle, pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    item.config.hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    here, there = os.pipe()
    if os.fork() == 0:
        reports = [report._to_json() for report in runtestprotocol(item, log=False)]
        os.write(there, pickle.dumps(reports))
        os._exit(0)
    os.close(there)
    with open(here, "rb") as pipe:
        data = pipe.read()
    reports = [pytest.TestReport._from_json(one) for one in pickle.loads(data)] if data else [crashed(item)]
    for report in reports:
        item.config.hook.pytest_runtest_logreport(report=report)
    os.wait()
    return True
"""
CRASHED = """
def crashed(item):
    report = pytest.TestReport.from_item_and_call(item, pytest.CallInfo.from_call(lambda: 0 / 0, "???"))
    report.outcome, report.wasxfail = "skipped", "reason: it crashes"
    return report
"""


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')")
def test_a_verdict_of_a_forked_process_is_heard(required: Project) -> None:
    """pytest-forked runs each test in a child process, and gives the parent its reports."""
    required.file("conftest.py", FORKED)
    required.marked(body="@pytest.mark.xfail\ndef test_gate(): pass")
    assert (required.gate(apart=True)["verdict"], required.result.ret) == ("pass", 0)
    required.lose()
    required.ini_file()
    assert (required.gate(apart=True)["verdict"], required.result.ret) == ("fail", 1)
    required.result.assert_outcomes(passed=1, xfailed=1)
    required.file("conftest.py", f"{FORKED}\n\n@pytest.fixture\ndef crash(): os._exit(0)\n{CRASHED}")
    required.marked(body="@pytest.mark.xfail\ndef test_gate(crash): pass")
    assert (required.gate(apart=True)["verdict"], required.result.ret) == ("error", 1)
    required.result.assert_outcomes(passed=1, xfailed=1)


# --- a fixture and a mark that give the same key -------------------------------------------------------------

OVERRIDES = {
    "overridden": "@pytest.fixture\ndef {name}(): return {value!r}\n",
    "parametrized": "@pytest.fixture(params=[{value!r}, 'recorded:x.jsonl'])\n"
    "def {name}(request): return request.param\n",
    "extended": "@pytest.fixture\ndef {name}({name}): return {name}\n",
}
VALUES = {
    "baseline": "recorded:base.jsonl",
    "candidate": "recorded:ft.jsonl",
    "test_set": "test.jsonl",
    "training_set": "train.jsonl",
}


@pytest.mark.parametrize(
    ("key", "how"), [*((key, "overridden") for key in VALUES), ("candidate", "parametrized"), ("test_set", "extended")]
)
def test_a_fixture_and_a_mark_that_give_one_key(green: Project, key: str, how: str) -> None:
    """Where the test requests the fixture it would see another value than the gate judges; else it has no use."""
    name = f"ftgate_{key}"
    green.file("conftest.py", f"import pytest\n{OVERRIDES[how].format(name=name, value=VALUES[key])}")
    mark = f"'support', {key}={VALUES[key]!r}"
    green.marked(mark, f"@pytest.fixture\ndef through({name}): pass\n")
    for body in (f"def test_gate({name}): pass", f"@pytest.mark.usefixtures({name!r})\ndef test_gate(): pass"):
        green.marked(mark, body)
        for gate in green.report()["gates"]:
            because(gate, "error", "configuration", "test_gate.py:2", key, name, "conftest.py:")
        assert green.result.ret == 1
    green.marked(mark, f"def test_gate(request): request.getfixturevalue({name!r})")
    gates = green.report()["gates"]
    assert (gates[0]["verdict"], green.result.ret) == ("error", 1) or how == "parametrized"
    green.marked(mark)
    found = check(green.gate(), "unused_fixture")
    assert (found["status"], found["source"], green.result.ret) == ("warning", "test_gate.py:2", 0)
    assert name in found["message"]
    assert "conftest.py:" in found["message"]


@pytest.mark.parametrize("place", ["class", "module"])
def test_a_mark_of_the_class_or_module_is_no_way_out(green: Project, place: str) -> None:
    override = OVERRIDES["parametrized"].format(name="ftgate_candidate", value="recorded:ft.jsonl")
    green.file("conftest.py", f"import pytest\n{override}")
    mark = "pytest.mark.ftgate('support', candidate='recorded:ft.jsonl')"
    head = f"@{mark}\n" if place == "class" else f"pytestmark = {mark}\n"
    green.file(
        "test_gate.py", f"import pytest\n{head}class TestGate:\n    def test_gate(self, ftgate_candidate): pass\n"
    )
    assert [gate["verdict"] for gate in green.report()["gates"]] == ["error", "error"]


@pytest.mark.parametrize("key", VALUES)
def test_the_built_in_fixtures_stay_usable_beside_any_mark(green: Project, key: str) -> None:
    green.marked(f"'support', {key}={VALUES[key]!r}", f"def test_gate(ftgate_{key}): assert ftgate_{key}")
    gate = green.gate()
    assert (gate["verdict"], green.result.ret, checks(gate, "unused_fixture")) == ("pass", 0, [])


# --- another gate than the one in the file -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "told", "how"),
    [
        ("training_set", "other.jsonl", "training_set: train.jsonl -> other.jsonl", "mark"),
        ("training_set", "other.jsonl", "training_set: train.jsonl -> other.jsonl", "fixture"),
        ("test_set", "other_test.jsonl", "test_set: test.jsonl -> other_test.jsonl", "fixture"),
        ("metric", "f1_macro", "metric: accuracy -> f1_macro", "mark"),
    ],
)
def test_another_gate_does_not_meet_the_obligation(
    required: Project, key: str, value: str, told: str, how: str
) -> None:
    """The files are copies: what is judged passes, and is not what the file requires."""
    for name, copy in (("train.jsonl", "other.jsonl"), ("test.jsonl", "other_test.jsonl")):
        required.file(copy, (required.path / name).read_text(encoding="utf-8"))
    required.marked(f"'support', {key}={value!r}" if how == "mark" else "'support'")
    if how == "fixture":
        required.file("conftest.py", f"import pytest\n@pytest.fixture\ndef ftgate_{key}(): return {value!r}\n")
    report = required.report()
    assert ([gate["verdict"] for gate in report["gates"]], required.result.ret) == (["pass"], 1)
    assert told in report["unjudged"][0]["reason"]


# --- where obligations are enforced --------------------------------------------------------------------------


def test_gates_may_be_missing_on_no_ci(required: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert required.run("--ftgate-allow-missing", "--co", "-q").ret == 0
    for name in SIGNS_OF_CI:
        with monkeypatch.context() as ci:
            ci.setenv(name, "1")
            result = required.run("--ftgate-allow-missing", "--co", "-q")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"*--ftgate-allow-missing*{name}*"])
