"""Options, hooks and fixtures. Every body delegates; nothing heavy loads before a gate exists."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

__tracebackhide__ = True  # what a fixture or a body raises is shown without our lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_ftgate.data import Example
    from pytest_ftgate.plugin.fixtures import CallableModel
    from pytest_ftgate.plugin.session import GateSession
    from pytest_ftgate.result import GateResult
    from pytest_ftgate.runs.runner import Run

SESSION: pytest.StashKey[GateSession] = pytest.StashKey()
REQUEST: pytest.StashKey[pytest.FixtureRequest] = pytest.StashKey()

_FORMATS = ("html", "json", "markdown", "recordings")
_MARK_HELP = (
    "ftgate(gate=None, *, test_set, training_set, baseline, candidate, metric='accuracy', margin, ...): "
    "fail the run unless the candidate beats the baseline by the margin; `gate` names one in ftgate.yaml."
)


# --- options -------------------------------------------------------------------------------------------------


def _report(text: str) -> str:
    from pytest_ftgate.text import suggestion

    form, _, path = text.partition(":")
    if not path:
        raise ArgumentTypeError(f"expected FORMAT:PATH, got {text!r}")
    if form not in _FORMATS:
        near = suggestion(form, _FORMATS)
        raise ArgumentTypeError(f"the format must be one of {', '.join(_FORMATS)}, got {form!r}{near}")
    return text


def _usd(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise ArgumentTypeError(f"must be a positive number of US dollars, got {text!r}")
    return amount


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pytest-ftgate", "fine-tuning gate (pytest-ftgate)")
    group.addoption("--ftgate-config", metavar="PATH", help="another gate file than the ini's")
    group.addoption(
        "--ftgate-report", metavar="FORMAT:PATH", action="append", default=[], type=_report,
        help="write a report: html:PATH, json:PATH, markdown:PATH for a pull request, or recordings:FOLDER with one "
        "JSONL per gate and model; repeatable",
    )  # fmt: skip
    group.addoption(
        "--ftgate-cache", choices=("reuse", "refresh", "off"), default="reuse",
        help="what happens to stored predictions (default: reuse); refresh asks anew, whatever is stored or recorded",
    )  # fmt: skip
    group.addoption(
        "--ftgate-offline", action="store_true",
        help="call no endpoint: a prediction that is not stored or recorded is an error",
    )  # fmt: skip
    group.addoption(
        "--ftgate-partial", action="store_true",
        help="print the gates that ini ftgate_required asks for instead of enforcing them; refused where CI is set",
    )  # fmt: skip
    group.addoption(
        "--ftgate-max-cost", metavar="USD", type=_usd,
        help="stop, with everything stored, before the estimate of what is spent passes so many US dollars",
    )  # fmt: skip
    parser.addini("ftgate_config", "the gate file (default: ftgate.yaml)", default="ftgate.yaml")
    parser.addini("ftgate_state", "the folder of stored predictions (default: .ftgate)", default=".ftgate")
    parser.addini("ftgate_recordings", "a folder of committed predictions, looked up before any model is called")
    parser.addini("ftgate_base_ref", "the branch that changes go to (default: origin's, main or master)")
    parser.addini(
        "ftgate_forbid_weakening", "fail a gate that asks for less than where this change began",
        type="bool", default=False,
    )  # fmt: skip
    parser.addini(
        "ftgate_github_summary", "under GitHub Actions, add the gates to the summary of the step",
        type="bool", default=True,
    )  # fmt: skip
    parser.addini("ftgate_required", "gates that must be judged and pass: names, or all", type="args", default=[])


def _check_options(config: pytest.Config) -> None:
    """Refuse options that no run may have, before any test is collected."""
    import os
    from importlib.util import find_spec

    for name in config.getoption("override_ini") or ():
        if name.startswith("ftgate_"):
            raise pytest.UsageError(
                f"-o {name}: what a gate asks for comes from files under review, not from the command line"
            )
    reports = list(dict.fromkeys(config.getoption("--ftgate-report")))
    paths = [os.path.realpath(report.partition(":")[2]) for report in reports]
    for report, path in zip(reports, paths, strict=True):
        if paths.count(path) > 1:  # the second would take the place of the first, and nobody would know
            raise pytest.UsageError(f"--ftgate-report={report}: another report goes to the same file")
        if report.startswith("html:") and find_spec("jinja2") is None:
            raise pytest.UsageError(
                "--ftgate-report=html needs Jinja2, which is not installed: pip install 'pytest-ftgate[report]'"
            )
    if config.getoption("--ftgate-partial") and os.environ.get("CI"):
        raise pytest.UsageError("--ftgate-partial is for local work; CI is set here")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_ftgate import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


# --- the session ---------------------------------------------------------------------------------------------


def gate_session(config: pytest.Config) -> GateSession:
    """The session's gates; made when the first one is met."""
    if SESSION not in config.stash:
        from pytest_ftgate.plugin.session import GateSession

        config.stash[SESSION] = GateSession(config)
    return config.stash[SESSION]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK_HELP)
    config.pluginmanager.register(_WorkerReports(config))  # without a name, which -p no: could switch off
    if any(config.getoption(name) for name in ("override_ini", "--ftgate-report", "--ftgate-partial")):
        _check_options(config)


class _WorkerReports:
    """Hears the reports of xdist's workers: a gate's facts travel in the user properties."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "node") and _claims(report):  # in this process the verdict itself is at hand
            gate_session(self._config).verdicts.hear_report(report)


def _claims(report: pytest.TestReport) -> bool:
    """Whether a report holds what may be the facts of a gate."""
    return any(one[0] == "ftgate" for one in report.user_properties)


def pytest_report_header(config: pytest.Config) -> str | None:
    named = config.getoption("--ftgate-config")
    return f"ftgate: gate file {named}, named on the command line" if named else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: the workers share the moment from which on a stored prediction counts as fresh."""
    node.workerinput["ftgate_started"] = gate_session(node.config).started


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """xdist: what a worker has to say at the session's end; one that crashed says nothing."""
    said = getattr(node, "workeroutput", {}).get("ftgate")
    if said:
        gate_session(node.config).hear_worker(said)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in filter(_marked, items):
        gate_session(item.config).see(item, deselected=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    for item in filter(_marked, session.items):
        gate_session(item.config).see(item)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """After all others' and before the terminal's summary, also where one of them raises."""
    config = session.config
    try:
        return (yield)
    finally:
        if SESSION in config.stash or config.getoption("--ftgate-report") or config.getini("ftgate_required"):
            gate_session(config).finish(session)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """The last word: plugins may rewrite the exit status until everything is closed down."""
    status = yield
    return gate_session(config).held(status) if SESSION in config.stash else status


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if SESSION in config.stash:
        gate_session(config).summarize(terminalreporter)


# --- a test with the mark ------------------------------------------------------------------------------------


def _marked(item: pytest.Item) -> bool:
    return item.get_closest_marker("ftgate") is not None


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """After all of the test's own fixtures: judge the gate, in error where that is not possible."""
    outcome = yield
    if _marked(item):
        from pytest_ftgate.plugin.outcome import judge_in_setup

        judge_in_setup(item, item.stash.get(REQUEST, None), gate_session(item.config))
    return outcome


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """The verdict fails the test in its call phase."""
    if not _marked(item):
        return (yield)
    from pytest_ftgate.plugin.outcome import verdict_after_body

    with verdict_after_body(item, gate_session(item.config)):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _marked(item) or _claims(report):
        from pytest_ftgate.plugin.outcome import hold_report

        hold_report(item, report, gate_session(item.config))
    return report


# --- fixtures ------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _ftgate_request(request: pytest.FixtureRequest) -> None:
    """Keeps the way to a marked test's fixtures, so that the mark alone is enough."""
    if _marked(request.node):
        request.node.stash[REQUEST] = request


@pytest.fixture
def ftgate(request: pytest.FixtureRequest) -> GateResult:
    """The judged gate of this test: verdict, both models, gain and its bounds, every check."""
    from pytest_ftgate.plugin.outcome import judged_gate

    return judged_gate(request, gate_session(request.config))


@pytest.fixture
def ftgate_baseline(request: pytest.FixtureRequest) -> CallableModel:
    """The baseline of this test's gate, to be called with one input. Override it to give a model of your own."""
    from pytest_ftgate.plugin.fixtures import configured_model

    return configured_model(request, "baseline", gate_session(request.config))


@pytest.fixture
def ftgate_candidate(request: pytest.FixtureRequest) -> CallableModel:
    """The candidate of this test's gate, to be called with one input. Override it to give a model of your own."""
    from pytest_ftgate.plugin.fixtures import configured_model

    return configured_model(request, "candidate", gate_session(request.config))


@pytest.fixture
def ftgate_test_set(request: pytest.FixtureRequest) -> tuple[Example, ...]:
    """The examples that both models are judged on. Override it with any iterable of examples, or a path."""
    from pytest_ftgate.plugin.fixtures import configured_data

    return configured_data(request, "test_set", gate_session(request.config))


@pytest.fixture
def ftgate_training_set(request: pytest.FixtureRequest) -> tuple[Example, ...]:
    """The examples that the candidate was trained on. Override it with any iterable of examples, or a path."""
    from pytest_ftgate.plugin.fixtures import configured_data

    return configured_data(request, "training_set", gate_session(request.config))


@pytest.fixture
def ftgate_evaluate(request: pytest.FixtureRequest) -> Callable[..., Run]:
    """``ftgate_evaluate(model, test_set, metric="accuracy")``: run any model over any labeled examples."""
    from pytest_ftgate.plugin.fixtures import evaluator

    return evaluator(request, gate_session(request.config))
