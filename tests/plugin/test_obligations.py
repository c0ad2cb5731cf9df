"""What meets a required gate: a row for each way to be green without it, and the ends that say 0 for a red one.

Each test shows the same project green without the bypass, or another way to see that only the bypass is refused.
"""

from __future__ import annotations

import pytest
from gate_project import GATE, Project, passed

from pytest_ftgate.gate.state import SIGNS_OF_CI, sign_of_ci

GATE_FILE = f"version: 1\ngates:\n  support: {{{GATE}}}\n"
HEAD = "import pytest\n"
MARK = "@pytest.mark.ftgate('support')\n"
NOT_COLLECTED = "no collected test has this marker"
TEST = "def test_gate(): pass"
CONTRADICTED = GATE_FILE.replace("margin", "max_drop: 0.02, faster_by: 2, margin")
INFORMS = (
    "--help", "--version", "--markers", "--collect-only", "--fixtures", "--fixtures-per-test", "--setup-plan",
    "--cache-show",
)  # fmt: skip
CONFTEST = f"""{HEAD}LABELS = ('refund', 'invoice', 'shipping')
EASY = [{{'id': f't{{i}}', 'input': f'easy {{i}}', 'expected': LABELS[i % 3]}} for i in range(60)]
@pytest.fixture
def skipping(): pytest.skip('later')
@pytest.fixture
def broken(): 1 / 0
"""


def fixture(key: str, value: str) -> tuple[str, str]:
    return "", f"from conftest import EASY\n@pytest.fixture\ndef ftgate_{key}(): return {value}\n@MARK\n{TEST}"


LATER = "@pytest.mark.skip(reason='later')\n@MARK\n"
PART = {"path": "test.jsonl", "limit": 55}
MODULES: dict[str, tuple[str, str, str]] = {  # keys of the mark, what carries it, and why its gate is not met
    # skipped: green for pytest, whoever skipped it
    "skip": ("", f"{LATER}{TEST}", "was skipped: later"),
    "skipif": ("", f"@pytest.mark.skipif(True, reason='later')\n@MARK\n{TEST}", "was skipped: later"),
    "skip by a fixture": ("", "@MARK\ndef test_gate(skipping): pass", "was skipped: later"),
    "skip of the class": ("", f"{LATER}class TestGate:\n    def test_gate(self): pass", "skipped: later"),
    "xfail, not run": ("", f"@pytest.mark.xfail(run=False)\n@MARK\n{TEST}", "skipped: xfail(run=False)"),
    "a reason": ("", f"@pytest.mark.xfail(run=False, reason='slow')\n@MARK\n{TEST}", "xfail(run=False): slow"),
    "skip in the body": ("", "@MARK\ndef test_gate(): pytest.skip('later')", "was skipped: later"),
    "xfail in the body": ("", "@MARK\ndef test_gate(): pytest.xfail('later')", "was skipped: xfail: later"),
    "a broken set-up": ("", "@MARK\ndef test_gate(broken): pass", "set-up failed"),
    # another gate than the one in the file; what each key asks for: tests/unit/weaker/test_weaker_gates.py
    "a smaller margin": ("margin=0.01", "", "margin: 0.05 -> 0.01"),
    "a part of it": (f"test_set={PART}", "", "test_set.limit: all rows -> 55"),
    "another metric": ("metric='f1_macro'", "", "metric: accuracy -> f1_macro"),
    "another training set": ("training_set='other.jsonl'", "", "train.jsonl -> other.jsonl"),
    "a fixture with another one": (*fixture("training_set", "'other.jsonl'"), "train.jsonl -> other.jsonl"),
    "a fixture with another test set": (*fixture("test_set", "EASY"), "test_set: "),
    "a fixture with a weaker baseline": (*fixture("baseline", "'recorded:weak.jsonl'"), "-> recorded:weak.jsonl"),
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
    required.gate_file("version: 1\ngates:\n" + "".join(f"  {gate}: {{{GATE}}}\n" for gate in gates.values()))
    for name, (keys, body, _) in MODULES.items():
        mark = f"pytest.mark.ftgate({gates[name]!r}, {keys})"
        required.file(f"test_{gates[name]}.py", f"{HEAD}{body or f'@MARK{chr(10)}{TEST}'}\n".replace("MARK", mark))
    found = {one["name"]: one["reason"] for one in required.report()["unjudged"]}
    expected = {name: reason for name, (*_, reason) in MODULES.items() if reason}
    assert found.keys() == {gates[name] for name in expected}
    assert {name: found[gates[name]] for name in expected if expected[name] not in found[gates[name]]} == {}
    required.result.assert_outcomes(passed=10, skipped=5, xfailed=3, xpassed=1, failed=1, errors=3)
    text = " ".join(required.result.stdout.str().split())
    for name, reason in expected.items():
        if "set-up" not in reason and "::" not in reason:  # what pytest tells is not told twice
            assert f"ERROR required gate {gates[name]} is not met: {found[gates[name]][:40]}" in text


KEYS = "test_set='test.jsonl', training_set='train.jsonl', margin=0, " + ", ".join(
    f"{role}='recorded:{name}.jsonl'" for role, name in (("baseline", "base"), ("candidate", "ft"))
)
OWN = f"{HEAD}@pytest.mark.ftgate(name='orders', {KEYS})\n{TEST}\n"
Row = tuple[dict[str, str | None], tuple[str, ...], str]
TWICE: dict[str, str | None] = {
    "pytest.ini": "[pytest]\nftgate_required = orders\n", "test_easy.py": OWN.replace("test_gate", "test_easy"),
}  # fmt: skip
DESELECTED = "support: test_gate.py::test_gate was deselected"
OWED: dict[str, Row] = {
    # left out: not among the tests of the run
    "-k": ({}, ("-k", "nothing"), DESELECTED),
    "-m": ({}, ("-m", "not ftgate"), DESELECTED),
    "--deselect": ({}, ("--deselect", "test_gate.py::test_gate"), DESELECTED),
    "--ignore": ({}, ("--ignore=test_gate.py",), f"support: {NOT_COLLECTED}"),
    "another file": ({}, ("test_other.py",), f"support: {NOT_COLLECTED}"),
    "python_files": ({}, ("-o", "python_files=test_other.py"), f"support: {NOT_COLLECTED}"),
    # the names
    "a name that the file lacks": (
        {"pytest.ini": "[pytest]\nftgate_required = support billing\n"}, (), f"billing: {NOT_COLLECTED}",
    ),
    "a name nearly in the file": (
        {"pytest.ini": "[pytest]\nftgate_required = supprt\n"}, (), f"supprt: {NOT_COLLECTED}; did you mean 'support'?",
    ),
    "another gate of that name": (
        {"test_gate.py": OWN.replace("orders", "support")}, (), "support: test_gate.py::test_gate is a different gate",
    ),
    "an easier gate of that name in another file": (
        {**TWICE, "test_gate.py": OWN.replace("def", "@pytest.mark.skip(reason='later')\ndef")}, (),
        "orders: test_gate.py::test_gate was skipped",
    ),
    "an easier gate of that name alone": (
        {**TWICE, "test_gate.py": OWN}, ("-k", "easy"), "orders: test_gate.py::test_gate was deselected",
    ),
    "no gate file and no test": (
        {"ftgate.yaml": None, "test_gate.py": None}, (), "all: it means the gates of ftgate.yaml, which does not exist",
    ),
    "another suffix": (
        {"ftgate.yaml": None, "ftgate.yml": GATE_FILE}, (),
        "all: it means the gates of ftgate.yaml, which does not exist",
    ),
    "no gates in the file": ({"ftgate.yaml": "version: 1\n"}, (), "all: ftgate.yaml has no gates"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "args", "told"), OWED.values(), ids=OWED)
def test_what_does_not_meet_it(
    required: Project, files: dict[str, str | None], args: tuple[str, ...], told: str
) -> None:
    """The session is red with one error, and the report says which gate was not met."""
    for name, text in files.items():
        if text is None:
            (required.path / name).unlink()
        else:
            required.file(name, text)
    (unjudged,) = required.report(*args)["unjudged"]
    assert f"{unjudged['name']}: {unjudged['reason']}".startswith(told)
    assert (required.result.ret, required.result.parseoutcomes().get("errors", 0) >= 1) == (1, True)
    required.result.stdout.fnmatch_lines([f"ERROR pytest.ini::ftgate_required - {unjudged['name']}: *"])


def test_a_gate_of_a_mark_that_is_named_may_be_required(required: Project) -> None:
    required.ini_file("ftgate_required = orders")
    required.file("test_gate.py", OWN)
    assert required.run().ret == 0


def test_gates_and_other_tests_in_different_jobs(required: Project) -> None:
    """A folder with an ini file of its own holds the gates, and owes their verdicts alone."""
    for name in ("pytest.ini", "ftgate.yaml", "test_gate.py", "test.jsonl", "train.jsonl", "base.jsonl", "ft.jsonl"):
        (required.path / "gates").mkdir(exist_ok=True)
        (required.path / name).rename(required.path / "gates" / name)
    required.file("pytest.ini", "[pytest]\n")
    assert required.run("test_other.py").ret == 0
    passed(required.gate("gates"))
    assert required.report("gates", "-k", "nothing")["unjudged"][0]["name"] == "support"


@pytest.mark.parametrize("left_out", ["skip", "-k"])
def test_every_case_of_a_required_gate_counts(required: Project, left_out: str) -> None:
    skip = ", marks=pytest.mark.skip(reason='later')" if left_out == "skip" else ""
    cases = f"@pytest.mark.parametrize('name', [pytest.param('ft'), pytest.param('bad'{skip})])\n"
    fixture = "@pytest.fixture\ndef ftgate_candidate(name): return f'recorded:{name}.jsonl'\n"
    text = f"{HEAD}{fixture}{MARK}{cases}def test_gate(name, ftgate_candidate): pass\n"
    required.gate_file(f"version: 1\ngates:\n  support: {{{GATE.partition(', candidate')[0]}}}\n")
    required.file("test_gate.py", text)
    required.predictions("bad.jsonl", 60, wrong_at=range(30, 60))
    (unjudged,) = required.report(*(["-k", "not bad"] if left_out == "-k" else []))["unjudged"]
    assert unjudged["reason"].startswith("test_gate.py::test_gate[bad] was ")
    assert required.result.ret == 1
    required.predictions("bad.jsonl", 60)
    required.file("test_gate.py", text.replace(skip, ""))
    assert required.run().ret == 0


def test_two_projects_under_one_root(required: Project) -> None:
    """Each test has the nearest gate file in its folder or above, and ``all`` means the gates of each."""
    for name in ("test_gate.py", "test.jsonl", "train.jsonl", "base.jsonl", "ft.jsonl", "ftgate.yaml"):
        (required.path / "b/tests").mkdir(exist_ok=True, parents=True)
        text = (required.path / name).read_text()
        required.file(f"b/{'tests/test_b.py' if name == 'test_gate.py' else name}", text)
    required.file("b/ftgate.yaml", GATE_FILE.replace("margin: 0.05", "margin: 0.9"))
    assert [one["verdict"] for one in required.report()["gates"]] == ["fail", "pass"]
    required.file("b/ftgate.yaml", GATE_FILE)
    assert ([one["passed"] for one in required.report()["gates"]], required.result.ret) == ([True, True], 0)
    (required.path / "b/tests/test_b.py").unlink()
    assert [one["reason"] for one in required.report()["unjudged"]] == [NOT_COLLECTED]
    (required.path / "ftgate.yaml").rename(required.path / "b/ftgate.yaml")
    (check,) = required.gate()["checks"]
    assert "searched for ftgate.yaml in ." in check["message"]
    assert "Found b/ftgate.yaml" in check["advice"]


@pytest.mark.parametrize("option", ["--ftgate-allow-missing", "--collect-only", "--setup-plan"])
def test_no_ini_file_leaves_gates_out(required: Project, option: str) -> None:
    required.ini_file("ftgate_required = all", f"addopts = -q {option}")
    result = required.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{option} is refused in addopts*"])


@pytest.mark.parametrize("name", ["ftgte", "FTGate"])
def test_a_misspelt_marker_is_an_error(required: Project, name: str) -> None:
    required.ini_file()
    required.file("test_gate.py", f"{HEAD}@pytest.mark.{name}('support')\n{TEST}\n")
    result = required.run_apart()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*unknown marker {name} on test_gate.py::test_gate; did you mean 'ftgate'?*"])
    required.ini_file(f"markers = {name}: another one, which is registered")
    assert required.run_apart().ret == 0


# --- said, and allowed ---------------------------------------------------------------------------------------


def test_a_misspelt_name_is_to_be_corrected_and_not_waived(required: Project) -> None:
    required.file("pytest.ini", "[pytest]\nftgate_required = supprt\n")
    result = required.run()
    result.stdout.fnmatch_lines(["fix:  write support in place of supprt in ftgate_required"])
    result.stdout.no_fnmatch_line("*--ftgate-allow-missing*")


ALLOWED = "fix:  for local work add --ftgate-allow-missing (refused in CI)"


def test_the_end_says_once_what_fails_the_run_and_the_local_way_out(
    required: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    required.gate_file(GATE_FILE + GATE_FILE.partition("gates:\n")[2].replace("support", "billing"))
    result = required.run("-k", "other")
    place, short = [line for line in result.outlines if "ftgate_required" in line]
    first = result.outlines.index("ERROR required gate support is not met: test_gate.py::test_gate was deselected")
    assert max(map(len, result.outlines[first : first + 6])) <= 80
    assert result.outlines[first + 3 : first + 5] == [place, ALLOWED]
    assert place == "      required by ftgate_required = all (pytest.ini:2)"
    assert short.startswith("ERROR pytest.ini::ftgate_required - support: test_gate.py::test_gate was des")
    quiet = required.run("-k", "other", "-q").outlines
    assert quiet[-1].startswith("1 passed, 1 deselected, 1 error")
    assert f"ERROR required gate billing is not met: {NOT_COLLECTED}" in result.outlines
    monkeypatch.setenv("CI", "true")
    required.run("-k", "other").stdout.no_fnmatch_line("*--ftgate-allow-missing*")


def test_missing_gates_may_be_allowed_and_no_red_one(required: Project) -> None:
    report = required.report("--ftgate-allow-missing", "-k", "other")
    assert (required.result.ret, report["allowed_missing"]) == (0, True)
    required.result.stdout.fnmatch_lines(
        ["required gate support is not met: *", "*not enforced: --ftgate-allow-missing"]
    )
    required.lose()
    assert required.run("--ftgate-allow-missing").ret == 1


def test_gates_may_be_missing_on_no_ci(required: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert required.run("--ftgate-allow-missing", "--co", "-q").ret == 0
    for name in SIGNS_OF_CI:
        with monkeypatch.context() as ci:
            ci.setenv(name, "1")
            assert sign_of_ci() == name
    monkeypatch.setenv("BUILDKITE", "1")
    result = required.run("--ftgate-allow-missing", "--co", "-q")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--ftgate-allow-missing*BUILDKITE*"])


@pytest.mark.parametrize("key", ["ftgate_required=", "ftgate_config=easy.yaml", "ftgate_base_ref=work"])
def test_no_threshold_on_the_command_line(required: Project, key: str) -> None:
    result = required.run("-o", key)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*-o {key.partition('=')[0]}*files under review*"])


@pytest.mark.parametrize("args", [*((one,) for one in INFORMS), ("--collect-only", "-k", "nothing")], ids=" ".join)
def test_a_run_that_only_informs_owes_nothing(required: Project, args: tuple[str, ...]) -> None:
    """It exits as pytest does, for editors that collect tests."""
    with_us = required.run(*args, "-q")
    required.ini_file()
    required.file("test_gate.py", TEST)
    assert with_us.ret == required.run(*args, "-q").ret
    assert "ftgate_required =" not in with_us.stdout.str()


# --- the plugin is switched off ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["-pno:pytest_ftgate", "-pno:ftgate", "autoload off"])
def test_switched_off(required: Project, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """pytest can be told that the plugin must be there. ``no:ftgate`` is meant for another one, and takes ours."""
    required.ini_file("required_plugins = pytest-ftgate")
    assert required.run().ret == 0
    if how == "autoload off":
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = required.run_apart(*([how] if how.startswith("-p") else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*Missing required plugins: pytest-ftgate*"])
    if how == "autoload off":
        required.ini_file()
        passed(required.gate("-p", "pytest_ftgate"))


# --- the session ends early, or with another status ----------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "args", "ret"),
    [
        ("assert False", ["-x"], 1),
        ("assert False", ["--maxfail=1"], 1),
        ("pytest.exit('enough')", [], 2),
        ("pytest.exit('enough', returncode=0)", [], 1),
        ("raise KeyboardInterrupt", [], 2),
    ],
    ids=["-x", "--maxfail", "exit", "exit 0", "Ctrl-C"],
)
def test_stopped_early(required: Project, statement: str, args: list[str], ret: int) -> None:
    """What comes after the gate's absence must not make up for it."""
    required.file("test_a.py", f"{HEAD}def test_a():\n    {statement}\n")
    report = required.report(*args, apart="Keyboard" in statement)
    assert required.result.ret == ret
    assert "collected but not judged" in report["unjudged"][0]["reason"]


@pytest.mark.parametrize("how", ["crashed", "disagreeing"])
def test_in_other_processes(required: Project, how: str) -> None:
    """What a worker of xdist finds out, the controller knows; of two verdicts the one that is not ``pass`` counts."""
    expect_failures(required)
    if how == "crashed":
        required.marked(body="def test_gate(crash): pass\n")
        required.file("conftest.py", "import os, pytest\n@pytest.fixture\ndef crash(): os._exit(0)\n")
        (unjudged,) = required.report("-n2", "--max-worker-restart=0", apart=True)["unjudged"]
        assert (required.result.ret, "a worker crashed" in unjudged["reason"]) == (1, True)
    else:
        required.gate_file(f"version: 1\ngates:\n  support: {{{GATE.partition(', candidate')[0]}}}\n")
        conftest = (required.path / "conftest.py").read_text(encoding="utf-8")
        own = "return f\"recorded:{'base' if os.environ['PYTEST_XDIST_WORKER'] == 'gw1' else 'ft'}.jsonl\""
        required.file("conftest.py", f"import os\n{conftest}@pytest.fixture\ndef ftgate_candidate():\n    {own}\n")
        assert required.run_apart("--dist=each", "--tx=2*popen").ret == 1


def expect_failures(project: Project) -> None:
    body = "    for item in items: item.add_marker(pytest.mark.xfail(strict=False))\n"
    project.file("conftest.py", f"import pytest\ndef pytest_collection_modifyitems(items):\n{body}")


@pytest.mark.parametrize("is_required", [True, False], ids=["required", "not required"])
def test_expected_to_fail(required: Project, is_required: bool) -> None:
    """It stays an expected failure, also in JUnit XML, where the verdict is; and the session is red."""
    if not is_required:
        required.ini_file()
    expect_failures(required)
    assert required.run().ret == 0
    required.lose()
    report = required.report("test_gate.py", "--junitxml=junit.xml")
    required.result.assert_outcomes(xfailed=1, errors=int(is_required))
    assert (required.result.ret, report["gates"][0]["verdict"]) == (1, "fail")
    assert [one["name"] for one in report["unjudged"]] == (["support"] if is_required else [])
    text = (required.path / "junit.xml").read_text(encoding="utf-8")
    assert 'failures="0"' in text
    assert '<property name="ftgate.verdict" value="fail"' in text


def test_set_up_is_enough(required: Project) -> None:
    """``--setup-only`` runs no body; the gate is judged all the same."""
    assert required.run("--setup-only").ret == 0
    required.lose()
    assert required.run("--setup-only").ret == 1


ENDS = {
    "configure": "def pytest_configure(): pytest.exit('enough', returncode=0)",
    "collection": "def pytest_collection(): pytest.exit('enough', returncode=0)",
    "modifyitems": "def pytest_collection_modifyitems(): pytest.exit('enough', returncode=5)",
    "loop": "def pytest_runtestloop(): return True",
    "runtest": "def pytest_runtest_setup(): pytest.exit('enough', returncode=0)",
    "sessionfinish": "def pytest_sessionfinish(exitstatus): os._exit(exitstatus)",
    "sessionfinish, first": "@pytest.hookimpl(tryfirst=True, wrapper=True)\n"
    "def pytest_sessionfinish(exitstatus):\n    os._exit(exitstatus)\n    yield",
    "unconfigure": "SESSIONS = []\ndef pytest_sessionstart(session): SESSIONS.append(session)\n"
    "def pytest_unconfigure(): os._exit(SESSIONS[0].exitstatus)",
    "a status that is changed": "SESSIONS = []\ndef pytest_unconfigure(): os._exit(SESSIONS[0].exitstatus)\n"
    "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n    SESSIONS.append(session)",
    "main, last": "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_cmdline_main():\n    yield\n    return 0",
    "main, instead": "def pytest_cmdline_main(): return 0",
    "SystemExit": "def pytest_sessionfinish(): raise SystemExit",
    "SystemExit at import": "raise SystemExit(0)",
    "sessionfinish, exit": "def pytest_sessionfinish(): pytest.exit('enough', returncode=0)",
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
    apart = "_exit" in ENDS[end] or "SystemExit" in end
    assert (required.run_apart if apart else required.run)("-k", "other").ret in (1, 4)
    if not apart:
        required.ini_file()
        assert required.run("-k", "other").ret in (0, 5)


def test_an_early_end_says_what_is_owed_and_writes_the_report(required: Project) -> None:
    required.file("conftest.py", f"import pytest\n{ENDS['configure']}\n")
    (unjudged,) = required.report(apart=True)["unjudged"]
    assert (unjudged["name"], required.result.ret) == ("support", 1)
    required.result.stderr.fnmatch_lines(["ERROR required gate support is not met: *"])


@pytest.mark.parametrize("end", ["a status that is changed", "rewritten everywhere"])
def test_a_red_gate_that_is_not_required(green: Project, end: str) -> None:
    green.file("conftest.py", f"import os, pytest\n{ENDS[end]}\n")
    green.marked(body="@pytest.mark.xfail\ndef test_gate(): pass")
    green.lose()
    assert green.run_apart().ret == 1


def test_a_plugin_that_a_conftest_loads_has_the_last_word_too(
    required: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    required.file("conftest.py", f"import pytest\npytest_plugins = ['pytest_ftgate.plugin']\n{ENDS['configure']}\n")
    assert required.run_apart("-k", "other").ret == 1


CRASHED = """import pytest

def pytest_runtest_protocol(item):
    if "gate" in item.name:
        report = pytest.TestReport.from_item_and_call(item, pytest.CallInfo.from_call(lambda: 0 / 0, "???"))
        report.outcome, report.wasxfail = "skipped", "reason: it crashes"
        item.config.hook.pytest_runtest_logreport(report=report)
        return True
"""


def test_a_test_whose_process_crashed_is_an_error(required: Project) -> None:
    """pytest-forked runs each test in a child process, and reports one that crashed in its place."""
    required.ini_file()
    assert required.run().ret == 0
    required.file("conftest.py", CRASHED)
    assert (required.gate()["verdict"], required.result.ret) == ("error", 1)
    required.result.assert_outcomes(passed=1, xfailed=1)
