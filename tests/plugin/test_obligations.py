"""What meets a required gate: a row for each way to be green without it, and the ends that say 0 for a red one.

Each test shows the same project green without the bypass, or another way to see that only the bypass is refused.
"""

from fnmatch import fnmatch

import pytest
from gate_project import GATE, KEYS, Files, Project, passed, write_files

from pytest_ftgate.gate.state import SIGNS_OF_CI, sign_of_ci

GATE_FILE = f"version: 1\ngates:\n  support: {{{GATE}}}\n"
HEAD = "import pytest\n"
MARK = "@pytest.mark.ftgate('support')\n"
WAIVERS = ("--ftgate-allow-missing", "--ftgate-plan", "--ftgate-preview=1")
OVERRIDDEN = ("ftgate_required=", "ftgate_config=easy.yaml", "ftgate_base_ref=work")
NOT_COLLECTED = "no collected test has this marker"
TEST = "def test_gate(): pass"
INFORMS = (
    "--help",
    "--version",
    "--markers",
    "--collect-only",
    "--fixtures",
    "--fixtures-per-test",
    "--setup-plan",
)
INFORMS += ("--cache-show", "--collect-only -k nothing")
CONFTEST = f"""{HEAD}LABELS = ('refund', 'invoice', 'shipping')
EASY = [{{'id': f't{{i}}', 'input': f'easy {{i}}', 'expected': LABELS[i % 3]}} for i in range(60)]
@pytest.fixture
def skipping(): pytest.skip('later')
@pytest.fixture
def broken(): 1 / 0
"""


def fixture(key: str, value: str) -> tuple[str, str]:
    return (
        "",
        f"from conftest import EASY\n@pytest.fixture\ndef ftgate_{key}(): return {value}\n@MARK\n{TEST}",
    )


LATER = "@pytest.mark.skip(reason='later')\n@MARK\n"
PART = {"path": "test.jsonl", "limit": 55}
# keys of the mark, what carries it, and why its gate is not met
MODULES: dict[str, tuple[str, str, str]] = {
    # skipped: green for pytest, whoever skipped it
    "skip": ("", f"{LATER}{TEST}", "was skipped: later"),
    "skipif": (
        "",
        f"@pytest.mark.skipif(True, reason='later')\n@MARK\n{TEST}",
        "was skipped: later",
    ),
    "skip by a fixture": ("", "@MARK\ndef test_gate(skipping): pass", "was skipped: later"),
    "skip of the class": (
        "",
        f"{LATER}class TestGate:\n    def test_gate(self): pass",
        "skipped: later",
    ),
    "xfail, not run": (
        "",
        f"@pytest.mark.xfail(run=False)\n@MARK\n{TEST}",
        "skipped: xfail: [NOTRUN]",
    ),
    "a reason": (
        "",
        f"@pytest.mark.xfail(run=False, reason='slow')\n@MARK\n{TEST}",
        "xfail: [NOTRUN] slow",
    ),
    "skip in the body": ("", "@MARK\ndef test_gate(): pytest.skip('later')", "was skipped: later"),
    "xfail in the body": (
        "",
        "@MARK\ndef test_gate(): pytest.xfail('later')",
        "was skipped: xfail: later",
    ),
    "a broken set-up": ("", "@MARK\ndef test_gate(broken): pass", "set-up failed"),
    # another gate than the one in the file; what each key asks for: tests/unit/weaker/test_weaker_gates.py
    "a smaller margin": ("margin=0.01", "", "margin: 0.05 -> 0.01"),
    "a part of it": (f"test_set={PART}", "", "test_set.limit: all rows -> 55"),
    "another metric": ("metric='f1_macro'", "", "metric: accuracy -> f1_macro"),
    "another training set": ("training_set='other.jsonl'", "", "train.jsonl -> other.jsonl"),
    "a fixture with another one": (
        *fixture("training_set", "'other.jsonl'"),
        "train.jsonl -> other.jsonl",
    ),
    "a fixture with another test set": (*fixture("test_set", "EASY"), "test_set: "),
    "a fixture with a weaker baseline": (
        *fixture("baseline", "'recorded:weak.jsonl'"),
        "-> recorded:weak.jsonl",
    ),
    "red": ("margin=0.9", "", "::test_gate is fail"),
    "an error": ("max_drop=0.02", "", "::test_gate is error"),
    # what meets it
    "as it is": ("", "", ""),
    "a stricter mark": ("margin=0.1", "", ""),
    "an expected failure": ("", f"@pytest.mark.xfail\n@MARK\n{TEST}", ""),
}


def test_what_tests_may_do_to_their_gate(required: Project) -> None:
    """All in one session: each module has a gate of its own, and all of them are required."""
    required.predictions("weak.jsonl", 60, wrong_at=range(1, 60, 2))
    required.file("other.jsonl", (required.path / "train.jsonl").read_text(encoding="utf-8"))
    required.file("conftest.py", CONFTEST)
    (required.path / "test_gate.py").unlink()
    gates = {name: f"g{number}" for number, name in enumerate(MODULES)}
    required.gate_file(
        "version: 1\ngates:\n" + "".join(f"  {gate}: {{{GATE}}}\n" for gate in gates.values())
    )
    for name, (keys, body, _) in MODULES.items():
        mark = f"pytest.mark.ftgate({gates[name]!r}, {keys})"
        required.file(
            f"test_{gates[name]}.py",
            f"{HEAD}{body or f'@MARK{chr(10)}{TEST}'}\n".replace("MARK", mark),
        )
    reasons = {gate["name"]: gate["reason"] for gate in required.report()["unjudged"]}
    expected = {name: reason for name, (*_, reason) in MODULES.items() if reason}
    assert reasons.keys() == {gates[name] for name in expected}
    assert {
        name: reasons[gates[name]]
        for name in expected
        if expected[name] not in reasons[gates[name]]
    } == {}
    required.result.assert_outcomes(passed=10, skipped=5, xfailed=3, xpassed=1, failed=1, errors=3)
    text = " ".join(required.result.stdout.str().split())
    for name, reason in expected.items():
        is_weaker = "->" in reason or reason.startswith("test_set")
        verb = "was not judged as required" if is_weaker else "did not run"
        if reasons[gates[name]].endswith("after its gate passed"):
            verb = "was not met"
        expected_line = f"ERROR required gate {gates[name]} {verb}: {reasons[gates[name]][:40]}"
        assert (expected_line in text) is (
            "set-up" not in reason and "::" not in reason
        )  # what pytest tells is not told twice


OWN = f"{HEAD}@pytest.mark.ftgate(name='orders', {KEYS})\n{TEST}\n"
Row = tuple[Files, tuple[str, ...], str]
REQUIRED, NO_FILE = "[pytest]\nftgate_required = ", "all: ftgate.yaml does not exist"
TWICE = {"pytest.ini": f"{REQUIRED}orders\n", "test_easy.py": OWN.replace("test_gate", "test_easy")}
DESELECTED = "support: test_gate.py::test_gate was deselected"
OWED: dict[str, Row] = {
    # left out: not among the tests of the run
    "-k": ({}, ("-k", "nothing"), DESELECTED),
    "-m": ({}, ("-m", "not ftgate"), DESELECTED),
    "--ignore": ({}, ("--ignore=test_gate.py",), f"support: {NOT_COLLECTED}"),
    "another file": ({}, ("test_other.py",), f"support: {NOT_COLLECTED}"),
    "python_files": ({}, ("-o", "python_files=test_other.py"), f"support: {NOT_COLLECTED}"),
    # the names
    "a name that the file lacks": ({"pytest.ini": f"{REQUIRED}support billing\n"},
        (), f"billing: {NOT_COLLECTED}, and ftgate.yaml has no gate billing (it has support)"),
    "another gate of that name": ({"test_gate.py": OWN.replace("orders", "support")}, (), "support: *a different gate"),
    "an easier gate of that name in another file": (
        {**TWICE, "test_gate.py": OWN.replace("def", "@pytest.mark.skip(reason='later')\ndef")}, (),
        "orders: test_gate.py::test_gate was skipped"),
    "an easier gate of that name alone": (
        {**TWICE, "test_gate.py": OWN}, ("-k", "easy"), "orders: test_gate.py::test_gate was deselected"),
    "no gate file and no test": ({"ftgate.yaml": None, "test_gate.py": None}, (), NO_FILE),
    "no gates in the file": ({"ftgate.yaml": "version: 1\n"}, (), "all: ftgate.yaml has no gates"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "args", "unmet"), OWED.values(), ids=OWED)
def test_what_does_not_meet_it(
    required: Project, files: Files, args: tuple[str, ...], unmet: str
) -> None:
    """The session is red with one error, and the report says which gate was not met."""
    write_files(required.path, files)
    (unjudged,) = required.report(*args)["unjudged"]
    assert fnmatch(f"{unjudged['name']}: {unjudged['reason']}", f"{unmet}*")
    assert (required.result.ret, required.result.parseoutcomes().get("errors", 0) >= 1) == (1, True)
    required.result.stdout.fnmatch_lines(
        [f"ERROR pytest.ini::ftgate_required - {unjudged['name']}: *"]
    )


def test_all_without_a_gate_file_names_no_gate(required: Project) -> None:
    write_files(required.path, {"ftgate.yaml": None, "test_gate.py": OWN})
    required.run().stdout.fnmatch_lines(
        ["ERROR required gate all names no gate: ftgate.yaml does not exist"]
    )


def test_a_gate_of_a_mark_that_is_named_may_be_required(required: Project) -> None:
    required.ini_file("ftgate_required = orders")
    required.file("test_gate.py", OWN)
    assert required.run().ret == 0


def test_gates_and_other_tests_in_different_jobs(required: Project) -> None:
    """A folder with an ini file of its own holds the gates, and owes their verdicts alone."""
    for name in (
        "pytest.ini",
        "ftgate.yaml",
        "test_gate.py",
        "test.jsonl",
        "train.jsonl",
        "base.jsonl",
        "ft.jsonl",
    ):
        (required.path / "gates").mkdir(exist_ok=True)
        (required.path / name).rename(required.path / "gates" / name)
    required.file("pytest.ini", "[pytest]\n")
    assert required.run("test_other.py").ret == 0
    passed(required.gate("gates"))
    assert required.report("gates", "-k", "nothing")["unjudged"][0]["name"] == "support"


@pytest.mark.parametrize(
    "left_out", ["skip", "-k", "", "import pytest\n@pytest.hookimpl(wrapper=True)\n"]
)
def test_every_case_of_a_required_gate_counts(required: Project, left_out: str) -> None:
    skip = ", marks=pytest.mark.skip(reason='later')" if left_out == "skip" else ""
    cases = f"@pytest.mark.parametrize('name', [pytest.param('ft'), pytest.param('bad'{skip})])\n"
    fixture = "@pytest.fixture\ndef ftgate_candidate(name): return f'recorded:{name}.jsonl'\n"
    text = f"{HEAD}{fixture}{MARK}{cases}def test_gate(name, ftgate_candidate): pass\n"
    required.gate_file(f"version: 1\ngates:\n  support: {{{GATE.partition(', candidate')[0]}}}\n")
    required.file("test_gate.py", text)
    required.predictions("bad.jsonl", 60, wrong_at=range(30, 60))
    hook = f"def pytest_collection_modifyitems(items): {'yield; ' * ('wrapper' in left_out)}del items[1:]\n"
    required.file("conftest.py", f"{left_out}{hook}" if left_out not in ("skip", "-k") else "")
    (unjudged,) = required.report(*(["-k", "not bad"] if left_out == "-k" else []))["unjudged"]
    assert unjudged["reason"].startswith("test_gate.py::test_gate[bad] was ")
    assert required.result.ret == 1
    required.predictions("bad.jsonl", 60)
    required.file("test_gate.py", text.replace(skip, ""))
    assert required.run().ret == (left_out not in ("skip", "-k"))


ALL = ("ftgate_required = all",)
# ini lines, options, and what is told
REFUSED: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    **{
        waiver: ((*ALL, f"addopts = -q {waiver}"), (), f"{waiver} is refused in addopts")
        for waiver in WAIVERS
    },
    **{
        line: (ALL, ("-o", line), f"-o {line.partition('=')[0]}*files under review")
        for line in OVERRIDDEN
    },
}


@pytest.mark.parametrize(("lines", "args", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(
    required: Project, lines: tuple[str, ...], args: tuple[str, ...], message: str
) -> None:
    """No ini file and no command line leaves gates out or moves a threshold."""
    required.ini_file(*lines)
    result = required.run(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}*"])


def test_the_end_says_once_what_fails_the_run(required: Project) -> None:
    """What a misspelt name needs is a correction; the rest: tests/golden."""
    quiet = required.run("-k", "other", "-q").outlines
    assert quiet[-1].startswith("1 passed, 1 deselected, 1 error")
    required.ini_file("ftgate_required = supprt")
    result = required.run()
    result.stdout.fnmatch_lines(
        ["fix:  correct the name in ftgate_required, or run the test whose marker has it"]
    )
    result.stdout.no_fnmatch_line("*--ftgate-allow-missing*")


@pytest.mark.parametrize("is_ci", [False, True])
def test_missing_gates_may_be_allowed_and_no_red_one(
    required: Project, monkeypatch: pytest.MonkeyPatch, is_ci: bool
) -> None:
    """Also in the command of a CI job that runs the other tests."""
    if is_ci:
        monkeypatch.setenv("BUILDKITE", "1")
    report = required.report("--ftgate-allow-missing", "-k", "other")
    assert (required.result.ret, report["allowed_missing"]) == (0, True)
    patterns = ["required gate support did not run: *", "*not enforced: --ftgate-allow-missing"]
    required.result.stdout.fnmatch_lines(patterns)
    required.lose()
    assert required.run("--ftgate-allow-missing").ret == 1


def test_every_sign_of_ci_is_one(
    monkeypatch: pytest.MonkeyPatch, no_ambient_settings: None
) -> None:
    for name in SIGNS_OF_CI:
        with monkeypatch.context() as ci:
            ci.setenv(name, "1")
            assert sign_of_ci() == name


@pytest.mark.parametrize("option", INFORMS)
def test_a_run_that_only_informs_owes_nothing(required: Project, option: str) -> None:
    """It exits as pytest does, for editors that collect tests."""
    args = option.split()
    with_us = required.run(*args, "-q")
    required.ini_file()
    required.file("test_gate.py", TEST)
    assert with_us.ret == required.run(*args, "-q").ret
    assert "ftgate_required =" not in with_us.stdout.str()


STOPPED: dict[str, tuple[str, tuple[str, ...], int]] = {
    "-x": ("assert False", ("-x",), 1), "exit": ("pytest.exit('enough')", (), 2),
    "exit 0": ("pytest.exit('enough', returncode=0)", (), 1), "Ctrl-C": ("raise KeyboardInterrupt", (), 2),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "args", "ret"), STOPPED.values(), ids=STOPPED)
def test_stopped_early(required: Project, statement: str, args: tuple[str, ...], ret: int) -> None:
    """What comes after the gate's absence must not make up for it."""
    required.file("test_a.py", f"{HEAD}def test_a():\n    {statement}\n")
    report = required.report(*args, apart="Keyboard" in statement)
    assert required.result.ret == ret
    assert "collected but not judged" in report["unjudged"][0]["reason"]


EXPECTED_TO_FAIL = f"""{HEAD}
def pytest_collection_modifyitems(items):
    for item in items: item.add_marker(pytest.mark.xfail(strict=False))
"""


def test_of_the_verdicts_of_two_workers_the_one_that_is_no_pass_counts(required: Project) -> None:
    required.gate_file(f"version: 1\ngates:\n  support: {{{GATE.partition(', candidate')[0]}}}\n")
    code = "return f\"recorded:{'base' if os.environ['PYTEST_XDIST_WORKER'] == 'gw1' else 'ft'}.jsonl\""
    code = f"import os\n{EXPECTED_TO_FAIL}@pytest.fixture\ndef ftgate_candidate():\n    {code}\n"
    required.file("conftest.py", code)
    assert required.run_apart("--dist=each", "--tx=2*popen").ret == 1


def test_expected_to_fail(required: Project) -> None:
    """It stays an expected failure, also in JUnit XML, where the verdict is; and the session is red."""
    required.file("conftest.py", EXPECTED_TO_FAIL)
    assert required.run().ret == 0
    required.lose()
    report = required.report("test_gate.py", "--junitxml=junit.xml")
    required.result.assert_outcomes(xfailed=1, errors=1)
    assert (required.result.ret, report["gates"][0]["verdict"]) == (1, "fail")
    assert [gate["name"] for gate in report["unjudged"]] == ["support"]
    text = (required.path / "junit.xml").read_text(encoding="utf-8")
    assert 'failures="0"' in text
    assert '<property name="ftgate.verdict" value="fail"' in text


def test_set_up_is_enough(required: Project) -> None:
    """``--setup-only`` runs no body; the gate is judged all the same."""
    assert required.run("--setup-only").ret == 0
    required.lose()
    assert required.run("--setup-only").ret == 1


ENDS = {
    "collection": "def pytest_collection(): pytest.exit('enough', returncode=0)",
    "modifyitems": "def pytest_collection_modifyitems(): pytest.exit('enough', returncode=5)",
    "loop": "def pytest_runtestloop(): return True",
    "runtest": "def pytest_runtest_setup(): pytest.exit('enough', returncode=0)",
    "sessionfinish": "def pytest_sessionfinish(): pytest.exit('enough', returncode=0)",
    "a status that is changed": "def pytest_sessionfinish(session): session.exitstatus = 0",
}


@pytest.mark.parametrize("end", ENDS)
def test_an_end_that_says_green(required: Project, end: str) -> None:
    """A required gate that did not run is part of the status that pytest ends with."""
    required.file("conftest.py", f"import pytest\n{ENDS[end]}\n")
    assert required.run("-k", "other").ret == 1
    required.ini_file()
    assert required.run("-k", "other").ret in (0, 5)


def test_a_red_gate_that_is_not_required(green: Project) -> None:
    """Plugins that change the status, such as pytest-custom-exit-code, do not make it green."""
    green.file("conftest.py", f"import pytest\n{ENDS['a status that is changed']}\n")
    green.marked(body="@pytest.mark.xfail\ndef test_gate(): pass")
    green.lose()
    assert green.run_apart().ret == 1


def test_a_missing_gate_file_is_said_once(required: Project) -> None:
    write_files(required.path, {"ftgate.yaml": None, "ftgate.yml": GATE_FILE})
    (unjudged,) = required.report()["unjudged"]
    assert unjudged["reason"] == "ftgate.yaml does not exist"
    required.result.assert_outcomes(passed=1, errors=1)
    assert required.result.stdout.str().count("fix:") == 1


def test_an_error_of_the_gate_file_is_said_once(required: Project) -> None:
    required.gate_file("version: 1\ngates: {support: {margn: 1}}\n")
    result = required.run()
    result.assert_outcomes(passed=1, errors=1)
    assert sum("unknown key;" in line for line in result.outlines) == 1  # in the block
    result = required.run("-k", "nothing")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ERROR required gate * did not run: ftgate.yaml:2: *"])
    result.stdout.no_fnmatch_line("*--ftgate-allow-missing*")
