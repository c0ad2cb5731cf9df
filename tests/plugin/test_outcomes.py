"""What a verdict does to its test: passed, FAILED in the call phase, ERROR in set-up; and what bodies, hooks, fixtures
and parameters can do to it."""

import re
from typing import Any

import pytest
from gate_project import Project, because, checks, write_jsonl


@pytest.fixture
def red(green: Project) -> Project:
    green.lose()
    return green


def test_the_bodys_failure_and_the_gates_are_both_shown_where_a_model_was_called(
    project: Project,
) -> None:
    project.gate_test(
        "def test_gate(): raise SystemExit('the body must not run')\n", min_training_examples=201
    )
    because(project.gate(), "fail", "min_training_examples")
    project.result.assert_outcomes(failed=1)
    project.gate_test(
        "def test_gate(ftgate):\n    assert ftgate.candidate.value > 0.99, 'body says no'\n",
        margin=0.3,
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*body says no*", "*ftgate test_gate.py::test_gate: FAIL*", "FAIL  margin: *"]
    )


def test_the_short_summary_begins_with_the_number(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.gate_test(margin=0.3)
    monkeypatch.setenv("BUILD_NUMBER", "1")  # a CI, in which pytest does not cut the line
    lines = project.run().outlines
    (line,) = (line for line in lines if line.startswith("FAILED"))
    finding = line.removeprefix("FAILED test_gate.py::test_gate - ").removesuffix(" (margin)")
    assert finding.startswith("gain +")
    assert sum(finding in line for line in lines) == 2  # here and in the block
    assert sum("ftgate test_gate.py::test_gate: FAIL" in line for line in lines) == 1


@pytest.mark.parametrize("args", [(), ("-n1",)])
def test_what_fails_a_gate_is_bold_and_red_on_a_terminal(
    project: Project, args: tuple[str, ...]
) -> None:
    project.gate_test(margin=0.3)
    lines = project.run("--color=yes", *args).outlines
    assert sum(line.startswith("\x1b[1m\x1b[31mFAIL  margin: ") for line in lines) == 1


def test_an_unmarked_suite_hears_nothing_from_us(project: Project) -> None:
    project.file("test_plain.py", "def test_plain():\n    pass\n")
    result = project.run()
    result.assert_outcomes(passed=1)
    # pytest lists plugins
    text = re.sub(r"ftgate-[\d.]+", "", result.stdout.str().replace(project.path.name, ""))
    assert "ftgate" not in text


def test_ctrl_c_says_that_answers_are_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(KeyboardInterrupt):
        """Ctrl-C that pytester does not raise again."""

    def interrupted(*_: object, **__: object) -> None:
        raise Interrupted

    monkeypatch.setattr("pytest_ftgate.plugin.outcome.judge_gate", interrupted)
    project.gate_test()
    result = project.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*ERROR interrupted: Interrupted", "*stored answers*"])
    result.stdout.no_fnmatch_line("*configuration*")


BODIES = (
    "@MARK\ndef test_gate(request):\n    try:\n        request.getfixturevalue('ftgate')\n"
    "    except BaseException:\n        pass\n",
    "@MARK\ndef test_gate(ftgate):\n    if ftgate.passed:\n        assert ftgate.gain > 0\n",
    *(
        f"@MARK\ndef test_gate():\n    {end}\n    assert False\n"
        for end in ("return", "pytest.skip()", "pytest.xfail()")
    ),
    "@pytest.fixture\ndef swallowing(request):\n    try:\n        return request.getfixturevalue('ftgate')\n"
    "    except BaseException:\n        return None\n\n\n@MARK\ndef test_gate(swallowing): pass\n",
)


def test_the_verdict_is_not_looked_at(project: Project) -> None:
    """Whatever the body does with the verdict, or forgets to: the mark fails the test."""
    changes: dict[str, Any] = {
        "pass": {},
        "fail": {"margin": 0.3},
        "error": {"baseline": "recorded:x.jsonl"},
    }
    for i, body in enumerate(BODIES):
        for verdict, change in changes.items():
            text = body.replace("@MARK", project.mark(**change))
            project.file(f"test_{i}_{verdict}.py", f"import pytest\n{text}")
    gates = project.report()["gates"]
    assert [gate["verdict"] for gate in gates] == [
        re.split(r"[_.]", gate["nodeid"])[2] for gate in gates
    ]
    project.result.assert_outcomes(passed=4, skipped=1, xfailed=1, failed=6, errors=6)


# --- what a test report says, and what is heard of it --------------------------------------------------------


SILENCED = """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome, report.longrepr, report.user_properties = "passed", None, []
    return report
"""


@pytest.mark.parametrize(
    "args", [(), ("-n1", "-pno:pytest_ftgate_reports")], ids=["one process", "workers"]
)
def test_a_report_that_was_emptied(red: Project, args: tuple[str, ...]) -> None:
    """A hook may make a report say anything; the verdict comes another way too, which has no name to switch off."""
    red.file("conftest.py", f"import pytest\n{SILENCED}")
    report = red.report(*args, "--trace-config", apart=bool(args))
    red.result.assert_outcomes(passed=2)
    assert red.result.ret == 1
    assert [gate["verdict"] for gate in report["gates"]] == ["fail"]
    red.result.stdout.no_fnmatch_line("*pytest_ftgate_reports*: <*")


# --- parameters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("indirect", [False, True])
def test_a_parameter_in_place_of_a_fixture_is_what_is_judged(
    green: Project, indirect: bool
) -> None:
    """pytest lets a parameter take a fixture's place: the model that the test sees is the one that the gate judges."""
    write_jsonl(green.path / "few.jsonl", [{"input": "a question", "expected": "refund"}])
    (green.path / "test_gate.py").unlink()
    verdicts = {
        "ftgate_baseline": ("recorded:ft.jsonl", "fail"),
        "ftgate_candidate": ("recorded:base.jsonl", "fail"),
        "ftgate_test_set": ("absent.jsonl", "error"),
        "ftgate_training_set": ("few.jsonl", "fail"),
    }
    for name, (value, _) in verdicts.items():
        code = f"@pytest.mark.parametrize({name!r}, [{value!r}], indirect={indirect})\n"
        code += f"def test_gate({name}): pass\n"
        green.file(f"test_{name}.py", f"import pytest\n@pytest.mark.ftgate('support')\n{code}")
    assert [gate["verdict"] for gate in green.report()["gates"]] == [
        verdict for _, verdict in verdicts.values()
    ]
    assert green.result.ret == 1


def test_a_parameter_that_a_mark_gives_too(green: Project) -> None:
    """Which of the two is meant is not said."""
    code = "@pytest.mark.parametrize('ftgate_candidate', ['recorded:base.jsonl'])\n"
    code += "def test_gate(ftgate_candidate): pass"
    green.marked("'support', candidate='recorded:ft.jsonl'", code)
    because(green.gate(), "error", "configuration", "candidate", "ftgate_candidate")


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


def test_a_mark_that_a_fixture_adds_is_judged(green: Project) -> None:
    (green.path / "test_gate.py").unlink()
    for fixture in ("to_test", "to_class", "to_module"):
        text = f"class TestGate:\n    def test_gate(self, {fixture}): pass\n"
        green.file(f"test_{fixture}.py", f"{ADDING}{text}")
    assert ([gate["verdict"] for gate in green.report()["gates"]], green.result.ret) == (
        ["pass"] * 3,
        0,
    )
    green.lose()
    assert ([gate["verdict"] for gate in green.report()["gates"]], green.result.ret) == (
        ["fail"] * 3,
        1,
    )


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
def test_a_mark_that_comes_after_the_set_up_fails_the_test(
    green: Project, args: tuple[str, ...]
) -> None:
    (green.path / "test_gate.py").unlink()
    for number, body in enumerate(LATE.values()):
        green.file(
            f"test_{number}.py", f"import pytest\nMARK = pytest.mark.ftgate('support')\n{body}\n"
        )
    report = green.report(*args, apart=bool(args))
    assert [gate["verdict"] for gate in report["gates"]] == ["error"] * len(LATE)
    assert ["changed" in gate["checks"][-1]["message"] for gate in report["gates"]] == [True] * len(
        LATE
    )
    assert green.result.ret == 1
    green.result.assert_outcomes(failed=4, passed=2, errors=1, xfailed=1)


CRASHED = """
def pytest_runtest_protocol(item):
    if "gate" in item.name:
        report = pytest.TestReport.from_item_and_call(item, pytest.CallInfo.from_call(lambda: 0 / 0, "???"))
        report.outcome, report.wasxfail = "skipped", "reason: it crashes"
        item.config.hook.pytest_runtest_logreport(report=report)
        return True
"""
XFAIL = "@pytest.mark.xfail\n@pytest.mark.ftgate('support')\ndef test_gate"
UNJUDGED = {  # a file with which a gate cannot be judged, and what pytest says of its test
    "xfail": ("test_gate.py", f"@pytest.fixture\ndef broken(): 1 / 0\n{XFAIL}(broken): pass\n", "xfailed"),
    "xfail, and a fixture of ours is another": (
        "test_gate.py", f"@pytest.fixture(autouse=True)\ndef _ftgate_request(): pass\n{XFAIL}(): pass\n", "xfailed",
    ),
    # pytest-forked runs each test in a child process, and reports one that crashed in its place
    "crashed": ("conftest.py", CRASHED, "xfailed"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "text", "outcome"), UNJUDGED.values(), ids=UNJUDGED)
def test_what_could_not_be_judged_is_an_error(
    green: Project, file: str, text: str, outcome: str
) -> None:
    assert green.run().ret == 0
    green.file(file, f"import pytest\n{text}")
    assert (green.gate()["verdict"], green.result.ret) == ("error", 1)
    green.result.assert_outcomes(passed=1, **{outcome: 1})


# --- a fixture and a mark that give the same key -------------------------------------------------------------

OVERRIDES = {
    "overridden": "@pytest.fixture\ndef {name}(): return {value!r}\n",
    "parametrized": "@pytest.fixture(params=[{value!r}, 'recorded:x.jsonl'])\n"
    "def {name}(request): return request.param\n",
    "extended": "@pytest.fixture\ndef {name}({name}): return {name}\n",
}
GIVEN = ("baseline", "candidate", "test_set", "training_set")


@pytest.mark.parametrize(
    ("key", "how"),
    [
        *((key, "overridden") for key in GIVEN),
        ("candidate", "parametrized"),
        ("test_set", "extended"),
    ],
)
def test_a_fixture_and_a_mark_that_give_one_key(green: Project, key: str, how: str) -> None:
    """Where the test requests the fixture it would see another value than the gate judges; else it has no use."""
    name, value = f"ftgate_{key}", green.keys[key]
    green.file("conftest.py", f"import pytest\n{OVERRIDES[how].format(name=name, value=value)}")
    mark = f"@pytest.mark.ftgate('support', {key}={value!r})\n"
    tests = {
        "requested": f"def test_gate({name}): pass",
        "used": f"@pytest.mark.usefixtures({name!r})\ndef test_gate(): pass",
        "by_the_body": f"def test_gate(request): request.getfixturevalue({name!r})",
        "unused": "def test_gate(): pass",
    }
    (green.path / "test_gate.py").unlink()
    for which, test in tests.items():
        green.file(f"test_{which}.py", f"import pytest\n{mark}{test}\n")
    gates = green.report()["gates"]
    assert green.result.ret == 1
    judged = [gate["nodeid"].partition(".")[0].removeprefix("test_") for gate in gates]
    assert set(judged) == set(tests)
    for which, gate in zip(judged, gates, strict=True):
        if which in ("requested", "used"):
            because(
                gate,
                "error",
                "configuration",
                f"test_{which}.py:2: {key}: given twice",
                name,
                "conftest.py:",
            )
        elif which == "by_the_body":
            assert gate["verdict"] == "error" or how == "parametrized"
        else:
            assert (gate["verdict"], checks(gate, "configuration")) == ("pass", [])


def test_the_built_in_fixtures_stay_usable_beside_any_mark(green: Project) -> None:
    (green.path / "test_gate.py").unlink()
    for key in GIVEN:
        mark = f"@pytest.mark.ftgate('support', {key}={green.keys[key]!r})"
        test = f"def test_gate(ftgate_{key}): assert ftgate_{key}"
        green.file(f"test_{key}.py", f"import pytest\n{mark}\n{test}\n")
    gates = green.report()["gates"]
    assert [(gate["verdict"], checks(gate, "configuration")) for gate in gates] == [
        ("pass", [])
    ] * len(GIVEN)
    assert green.result.ret == 0
