"""Define the options, hooks and fixtures.

Their bodies delegate, so that heavy modules load only if a gate exists.
"""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentTypeError
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate import clock

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_ftgate.data import Example
    from pytest_ftgate.plugin import clean_exit as _clean_exit
    from pytest_ftgate.plugin import ini_keys as _ini_keys
    from pytest_ftgate.plugin import outcome as _outcome
    from pytest_ftgate.plugin import session as _session
    from pytest_ftgate.plugin import values as _values
    from pytest_ftgate.plugin.values import CallableModel
    from pytest_ftgate.result import GateResult
    from pytest_ftgate.runs.jobs import Run
else:

    class _OnFirstUse:
        """Stands for a module of this folder, and imports it where one of its names is used."""

        def __init__(self, name: str) -> None:
            self._module = f"pytest_ftgate.plugin.{name}"

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):  # pytest asks each name of a plugin for marks of a fixture
                raise AttributeError(name)
            return getattr(import_module(self._module), name)

    _clean_exit = _OnFirstUse("clean_exit")
    _ini_keys = _OnFirstUse("ini_keys")
    _outcome = _OnFirstUse("outcome")
    _session = _OnFirstUse("session")
    _values = _OnFirstUse("values")

SESSION: pytest.StashKey[_session.GateSession] = pytest.StashKey()
STARTED: pytest.StashKey[float] = pytest.StashKey()  # in seconds since the epoch
REQUEST: pytest.StashKey[pytest.FixtureRequest] = pytest.StashKey()
# the tests that had the marker before all hooks
MARKED: pytest.StashKey[list[pytest.Item]] = pytest.StashKey()
SET_UP: pytest.StashKey[bool] = pytest.StashKey()  # the set-up of the test has ended
IN_CALL: pytest.StashKey[bool] = pytest.StashKey()  # the body of the test is running

_LIKE_OURS = 0.8  # the similarity from which a marker is taken for a misspelt one of ours
_FORMATS = ("card", "html", "json", "markdown", "predictions", "recordings", "to_label")
_TABLES = {"predictions": (".csv", ".jsonl", ".parquet"), "to_label": (".csv", ".jsonl")}
_MARK_HELP = (
    "ftgate(gate=None, *, test_set, training_set, baseline, candidate, metric='accuracy', "
    "margin, ...): fail the run unless the candidate beats the baseline by the margin; `gate` is "
    "the name of a gate in ftgate.yaml."
)


# --- options --------------------------------------------------------------------------------------


def _report(text: str) -> str:
    form, _, path = text.partition(":")
    if form not in _FORMATS or not path:
        message = f"expected FORMAT:PATH with a format of {', '.join(_FORMATS)}"
        raise ArgumentTypeError(f"{message}, got {text!r}")
    suffixes = _TABLES.get(form, ())
    if suffixes and not path.lower().endswith(suffixes):
        message = f"expected {form}:FILE with a suffix of {', '.join(suffixes)}"
        raise ArgumentTypeError(f"{message}, got {text!r}")
    return text


def _amount(text: str) -> float:
    """Return an option's number of US dollars."""
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"must be a positive number of US dollars, got {text!r}")
    return number


def _count(text: str) -> int:
    """Return an option's number of examples."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"must be a number of examples, at least 1, got {text!r}")
    return int(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pytest-ftgate", "fine-tuning gate (pytest-ftgate)")
    group.addoption(
        "--ftgate-report",
        metavar="FORMAT:PATH",
        action="append",
        default=[],
        type=_report,
        help="write a report: html:PATH, json:PATH, markdown:PATH for a pull request, card:PATH "
        "for a model card, predictions:FILE (.csv, .jsonl, .parquet) with all answers and their "
        "scores, to_label:FILE (.csv, .jsonl) with the inputs of unlabeled_set that need a label, "
        "or recordings:FOLDER with one JSONL file per gate and model; repeatable",
    )
    group.addoption(
        "--ftgate-cache",
        choices=("reuse", "refresh"),
        default="reuse",
        help="use of stored answers (default: reuse); refresh ignores all that are stored or "
        "recorded",
    )
    group.addoption(
        "--ftgate-offline",
        action="store_true",
        help="call no endpoint; an answer that is neither stored nor recorded is an error",
    )
    group.addoption(
        "--ftgate-allow-missing",
        action="store_true",
        help="list required gates that did not run instead of failing, for a command without the "
        "gates",
    )
    group.addoption(
        "--ftgate-max-cost",
        metavar="USD",
        type=_amount,
        help="stop before the estimated cost exceeds this amount in US dollars; all answers so far "
        "are stored",
    )
    group.addoption(
        "--ftgate-plan",
        action="store_true",
        help="in place of a verdict, show per gate the calls, tokens and cost, how likely each "
        "verdict is, and the first prompt of each model (-v: whole); no model is called; exit "
        "status 1 where a free check fails",
    )
    group.addoption(
        "--ftgate-preview",
        metavar="N",
        type=_count,
        help="show the same plan, and ask each model about the first N test examples: answers, "
        "expected outputs, right or wrong, and the cost projected from them",
    )

    parser.addini("ftgate_config", "gate file (default: ftgate.yaml)", default="ftgate.yaml")
    parser.addini("ftgate_state", "folder of stored answers (default: .ftgate)", default=".ftgate")
    parser.addini(
        "ftgate_recordings",
        "folder of committed answers, which are used before any model is called",
    )
    parser.addini(
        "ftgate_base_ref",
        "branch that changes are merged into (default: origin's default branch, main or master)",
    )
    parser.addini(
        "ftgate_forbid_weakening",
        "fail a gate that requires less than it did at the merge base",
        type="bool",
        default=False,
    )
    parser.addini(
        "ftgate_required", "gates that must run and pass: names, or all", type="args", default=[]
    )


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_ftgate import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


# --- the session ----------------------------------------------------------------------------------


def gate_session(config: pytest.Config) -> _session.GateSession:
    """Return the session's gates, created on first use."""
    if SESSION not in config.stash:
        _find_installed_byte_code()
        config.stash[SESSION] = _session.GateSession(config)
        config.pluginmanager.register(_clean_exit.CleanExit())
    return config.stash[SESSION]


class _InstalledByteCode:
    """Find our modules before pytest's finder does.

    That would compile each of them again, to rewrite its asserts: 0.4 s in each job of a CI, where
    pytest has compiled none of them yet (benchmarks/startup.py, ``first``).
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _target: Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, path) if name.startswith("pytest_ftgate.") else None


def _find_installed_byte_code() -> None:
    """Add the finder of our modules, once and only in a session that has a gate."""
    if _InstalledByteCode not in sys.meta_path:
        sys.meta_path.insert(0, _InstalledByteCode)


def pytest_configure(config: pytest.Config) -> None:
    # before the tests are collected: sessions that overlap share answers
    config.stash[STARTED] = clock.wall()
    config.addinivalue_line("markers", _MARK_HELP)
    # without a name, so that -p no: cannot disable it
    config.pluginmanager.register(_ReportsOfOthers(config))
    check_ini(config)

    # The module that checks options is loaded only where there is something to check.
    checked = (
        "override_ini",
        "--ftgate-report",
        "--ftgate-allow-missing",
        "--ftgate-plan",
        "--ftgate-preview",
    )
    if any(config.getoption(name) for name in checked) or config.getini("ftgate_required"):
        _ini_keys.check_options(config)


def check_ini(config: pytest.Config) -> None:
    """Refuse unknown keys, impossible values, and keys that pytest does not read."""
    paths = {path for path in config.rootpath.iterdir() if path.suffix in (".ini", ".toml", ".cfg")}
    if config.inipath is not None:
        paths.add(config.inipath)

    with_keys = []
    for path in sorted(paths):
        is_readable = path.is_file() and os.access(path, os.R_OK)
        if is_readable and b"ftgate" in path.read_bytes().lower():
            with_keys.append(path)
    if with_keys:
        _ini_keys.check_ini_keys(config, with_keys)


class _ReportsOfOthers:
    """Collects verdicts from the reports of other processes (pytest-xdist, pytest-forked).

    They travel as an attribute of the report; those of this process are known.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if SESSION in self._config.stash or hasattr(report, "ftgate"):
            gate_session(self._config).hear_report(report)


def _takes_part(config: pytest.Config) -> bool:
    """Return whether tests are run, and there are gates, required gates, or reports to write."""
    is_needed = (
        SESSION in config.stash
        or config.getoption("--ftgate-report")
        or config.getini("ftgate_required")
        or config.getini("ftgate_forbid_weakening")
    )
    return bool(is_needed) and not _ini_keys.runs_no_test(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell xdist's workers when the run started: answers that are younger are fresh."""
    node.workerinput["ftgate_started"] = gate_session(node.config).started


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the results of an xdist worker that ends; a worker that crashed has none."""
    if output := getattr(node, "workeroutput", {}).get("ftgate"):
        gate_session(node.config).hear_worker(output)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, object, object]:
    """Note the marked tests before a hook takes one away, and refuse a misspelt marker.

    With such a marker pytest would run its test and judge no gate.
    """
    tests = {}
    for item in items:
        for mark in item.iter_markers():
            tests[mark.name] = item.nodeid

    lines: list[str] = config.getini("markers")
    registered = {re.split(r"[(:]", line, maxsplit=1)[0].strip() for line in lines}
    for name in tests.keys() - registered:
        if _is_like_ours(name):
            message = f"unknown marker {name} on {tests[name]}; did you mean 'ftgate'?"
            raise pytest.UsageError(message)

    config.stash[MARKED] = list(filter(_marked, items))
    return (yield)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in filter(_marked, items):
        gate_session(item.config).note_test(item, deselected=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    # Other plugins may take tests away without calling pytest_deselected.
    selected = set(map(id, session.items))
    marked = session.config.stash.get(MARKED, ())
    pytest_deselected([item for item in marked if id(item) not in selected])
    for item in filter(_marked, session.items):
        gate_session(item.config).note_test(item)


@contextmanager
def _exit_held(session: pytest.Session) -> Generator[None]:
    """Change the status of ``pytest.exit`` if it says green and a gate does not."""
    try:
        yield
    except pytest.exit.Exception as stop:
        if stop.returncode is not None and _takes_part(session.config):
            stop.returncode = int(gate_session(session.config).held(stop.returncode))
        raise


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    with _exit_held(session):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Add a failure if a gate failed the run, so that every later hook is given that status."""
    with _exit_held(session):
        result = yield
    if _takes_part(session.config) and gate_session(session.config).finish():
        session.testsfailed = session.testsfailed or 1
    return result


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Finish a session whose tests did not run, and set the status again.

    Other plugins may have changed it.
    """
    try:
        with _exit_held(session):
            return (yield)
    finally:
        if _takes_part(session.config):
            gates = gate_session(session.config)
            gates.finish()
            gates.close_store()
            session.exitstatus = gates.held(session.exitstatus)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if SESSION in config.stash:
        gate_session(config).summarize(terminalreporter)


# --- a test with the mark -------------------------------------------------------------------------


def _is_like_ours(marker: str) -> bool:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, "ftgate", marker.lower()).ratio() > _LIKE_OURS


def _marked(item: pytest.Item) -> bool:
    return item.get_closest_marker("ftgate") is not None


def _remarked(item: pytest.Item) -> bool:
    """Return whether the markers of the test are not those that its gate was judged with."""
    judged_with: Sequence[pytest.Mark] = ()
    if SESSION in item.config.stash:
        judged_with = gate_session(item.config).judged_with.get(item.nodeid, ())
    return list(map(id, item.iter_markers("ftgate"))) != list(map(id, judged_with))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Judge the gate after all fixtures of the test were set up."""
    result = yield

    if _marked(item):
        _outcome.judge_in_setup(item, item.stash.get(REQUEST, None), gate_session(item.config))
    item.stash[SET_UP] = True
    return result


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail the test in its call phase if its gate did not pass."""
    if SESSION not in item.config.stash or item.nodeid not in gate_session(item.config).results:
        return (yield)
    request = item.stash.get(REQUEST, None)
    item.stash[IN_CALL] = True
    try:
        with _outcome.verdict_after_body(item, request, gate_session(item.config)):
            return (yield)
    finally:
        item.stash[IN_CALL] = False


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    # A report that is made while the test still runs is that of a subtest.
    if item.stash.get(IN_CALL, False):
        return (yield)

    # A fixture may add a marker in the set-up, but then it is too late.
    late = call.when != "setup" and SET_UP in item.stash and _remarked(item)
    if late:
        _outcome.refuse_late_marks(item, gate_session(item.config))
    report = yield
    if late or _marked(item):
        _outcome.hold_report(item, call, report, gate_session(item.config), late=late)
    return report


# --- fixtures -------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _ftgate_request(request: pytest.FixtureRequest) -> None:
    """Keep the request of the test, so that a marker alone is enough to judge its gate.

    A fixture may add the marker later.
    """
    request.node.stash[REQUEST] = request


@pytest.fixture
def ftgate(request: pytest.FixtureRequest) -> GateResult:
    """Return the result of this test's gate: verdict, both models, gain, bounds, all checks."""
    return _outcome.judged_gate(request, gate_session(request.config))


@pytest.fixture
def ftgate_baseline(request: pytest.FixtureRequest) -> CallableModel:
    """Return the baseline of this test's gate, a callable with one input.

    Override it to supply your own model.
    """
    return _values.configured_model(request, "baseline", gate_session(request.config))


@pytest.fixture
def ftgate_candidate(request: pytest.FixtureRequest) -> CallableModel:
    """Return the candidate of this test's gate, a callable with one input.

    Override it to supply your own model.
    """
    return _values.configured_model(request, "candidate", gate_session(request.config))


@pytest.fixture
def ftgate_test_set(request: pytest.FixtureRequest) -> tuple[Example, ...]:
    """Return the examples of the test set. Override it with any iterable of examples, or a path."""
    return _values.configured_data(request, "test_set", gate_session(request.config))


@pytest.fixture
def ftgate_training_set(request: pytest.FixtureRequest) -> tuple[Example, ...]:
    """Return the examples of the training set.

    Override it with any iterable of examples, or a path.
    """
    return _values.configured_data(request, "training_set", gate_session(request.config))


@pytest.fixture
def ftgate_evaluate(request: pytest.FixtureRequest) -> Callable[..., Run]:
    """Return ``(model, test_set, metric="accuracy") -> Run``, which scores any model."""
    return _values.evaluator(request, gate_session(request.config))
