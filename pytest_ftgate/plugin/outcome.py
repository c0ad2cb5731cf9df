"""Judge the gate of a marked test in its set-up, and turn the verdict into the test's outcome."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

import pytest

from pytest_ftgate.errors import ConfigError, FtgateError
from pytest_ftgate.gate import state
from pytest_ftgate.gate.run import judge_gate
from pytest_ftgate.plugin.fixtures import refuse_unused_fixtures
from pytest_ftgate.plugin.layers import Layers, layers_of
from pytest_ftgate.plugin.markers import MARK, claimed_name, id_of
from pytest_ftgate.plugin.required_gates import BROKEN, SKIPPED
from pytest_ftgate.plugin.session import GateSession
from pytest_ftgate.reports.sentences import headline
from pytest_ftgate.reports.text import failure_text, title
from pytest_ftgate.result import Check, GateResult, closed, error_check, failed_result
from pytest_ftgate.text import one_line, printable

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines

_SKIPS = (pytest.skip.Exception, pytest.xfail.Exception)


def judge_in_setup(
    item: pytest.Item, request: pytest.FixtureRequest | None, session: GateSession
) -> None:
    """Judge the gate of a marked test; if the verdict is ``error``, the test's set-up fails.

    ``request`` is None if the fixture that keeps it was not set up.
    """
    # pytest --setup-plan sets nothing up, so there is nothing to judge.
    if item.config.getoption("setupplan", False):
        session.judged_with[item.nodeid] = tuple(item.iter_markers(MARK))
        return
    if request is not None:
        _judge(request, session)
        return

    needs = "a test function or method, and the fixture _ftgate_request must not be overridden"
    message = f"{item.nodeid} cannot judge a gate: the ftgate marker needs {needs}"
    _refuse(item, session, FtgateError(message))
    _fail_gate(item, session.results[item.nodeid])


def _refuse(item: pytest.Item, session: GateSession, error: FtgateError) -> None:
    """Make the verdict of a test ``error``: the session fails, whatever becomes of the test."""
    result = session.results.get(item.nodeid)
    if result is None:
        result = GateResult(claimed_name(item), id_of(item), "error")
    session.keep(state.Judged(failed_result(result, error)), item)


def refuse_late_marks(item: pytest.Item, session: GateSession) -> None:
    """Make the verdict ``error`` of a test whose markers changed after its set-up."""
    session.judged_with[item.nodeid] = tuple(item.iter_markers(MARK))
    change = "changed after its set-up, where its gate is judged"
    message = f"the ftgate markers of {item.nodeid} {change}"
    hook = "pytest_collection_modifyitems"
    fix = f"Put the marker on the test; a fixture may also add it, and so may {hook}."
    _refuse(item, session, FtgateError(message, cure=fix))


def judged_gate(request: pytest.FixtureRequest, session: GateSession) -> GateResult:
    """Return the result for the fixture ``ftgate``."""
    refuse_unmarked(request, "ftgate")
    return _judge(request, session)


def refuse_unmarked(request: pytest.FixtureRequest, fixture: str) -> None:
    """Fail a test that requests a fixture of its gate, and has no marker that defines one."""
    if request.node.get_closest_marker(MARK) is None:
        fail(f"the fixture {fixture} needs the marker @pytest.mark.ftgate(...) on the test")


def _fail_gate(item: pytest.Item, result: GateResult) -> NoReturn:
    """Fail the test with the block of its gate."""
    fail(failure_text(result, item.config.get_verbosity()))


def fail(text: str) -> NoReturn:
    """Fail the test with a text in place of a traceback."""
    __tracebackhide__ = False  # pytest warns if a failure has no visible frame
    pytest.fail(text, pytrace=False)


def _judge(request: pytest.FixtureRequest, session: GateSession) -> GateResult:
    """Return the verdict of a test.

    It is computed once: a rerun of the test does not call the models again.
    """
    item: pytest.Item = request.node
    if session.planning is not None:
        _plan_and_leave(request, session)
    if item.nodeid not in session.results:
        session.judged_with[item.nodeid] = tuple(item.iter_markers(MARK))
        _judge_once(request, session)

    result = session.results[item.nodeid]
    if result.verdict == "error":
        _fail_gate(item, result)
    return result


def _judge_once(request: pytest.FixtureRequest, session: GateSession) -> None:
    """Judge the gate of a test, and keep the verdict.

    What ends the test, such as a skip of a fixture, Ctrl-C or a timeout, is raised again.
    """
    item: pytest.Item = request.node
    result = GateResult(claimed_name(item), id_of(item), "error")
    config = None

    try:
        layers = layers_of(request, session.project)
        result = replace(result, gate=layers.gate)
        config = layers.config
        judged = _judged(layers, item, session)
    except FtgateError as error:
        judged = state.Judged(failed_result(result, error))
    except BaseException as error:
        is_judging = config is not None

        # Only a fixture may skip its test.
        if is_judging or not isinstance(error, _SKIPS):
            check = _check_of(error, is_judging=is_judging)
            session.keep(state.Judged(closed(result, [check])), item)
        if is_judging and isinstance(error, pytest.fail.Exception):
            error.pytrace = False  # of pytest-timeout: the frames are ours
        raise
    session.keep(judged, item)


def _judged(layers: Layers, item: pytest.Item, session: GateSession) -> state.Judged:
    reviewed = layers.reviewed(session.project)
    services = session.services(item.ihook)
    judged = judge_gate(layers.config, services, nodeid=id_of(item), reviewed=reviewed)

    # After an error the next run uses the answers that there are.
    if judged.result.verdict != "error":
        services.stores.finish(judged.runs.values())
    loosened = tuple(f"{key}: {values}" for key, values in layers.loosened.items())
    return replace(judged, result=replace(judged.result, loosened=loosened))


def _check_of(error: BaseException, *, is_judging: bool) -> Check:
    """Return the check for what ended the test before its gate was judged."""
    problem = one_line(f"{type(error).__name__}: {error}").rstrip(": ")
    if isinstance(error, pytest.FixtureLookupError):  # whose text is a repr
        problem = f"there is no fixture {error.argname!r}, which another fixture takes"
        cure = "A fixture such as ftgate_candidate takes no input: return the function."
        return error_check(FtgateError(problem, cure=cure))
    if is_judging and not isinstance(error, Exception):  # such as Ctrl-C, or pytest-timeout's
        cure = "Run again to continue: stored answers are reused."
        return error_check(FtgateError(problem, cure=cure), "interrupted")
    return error_check(FtgateError(problem))


def _plan_and_leave(request: pytest.FixtureRequest, session: GateSession) -> NoReturn:
    """Plan the gate of a test once, and skip the test; it fails where the plan fails."""
    __tracebackhide__ = False  # pytest warns if a failure has no visible frame
    item: pytest.Item = request.node
    session.see_absent(item, f"was not judged: {session.planning} gives no verdict")
    if item.nodeid not in session.plans:
        _plan(request, session)

    lines, why_failed = session.plans[item.nodeid]
    if why_failed:
        pytest.fail("\n".join(line.text for line in lines), pytrace=False)
    pytest.skip(f"{session.planning} gives no verdict")


def _plan(request: pytest.FixtureRequest, session: GateSession) -> None:
    from pytest_ftgate.gate.plan import Plan, plan_gate
    from pytest_ftgate.reports.plan import plan_headline, plan_lines

    item: pytest.Item = request.node
    try:
        layers = layers_of(request, session.project)
        plan = plan_gate(
            layers.config,
            session.services(item.ihook),
            nodeid=id_of(item),
            reviewed=layers.reviewed(session.project),
            preview=item.config.getoption("--ftgate-preview") or 0,
        )
    except FtgateError as error:
        plan = Plan(claimed_name(item), (error_check(error),))
    lines = plan_lines(plan, full=item.config.get_verbosity() > 0)
    session.plans[item.nodeid] = lines, plan_headline(plan)


@contextmanager
def verdict_after_body(
    item: pytest.Item, request: pytest.FixtureRequest | None, session: GateSession
) -> Iterator[None]:
    """Fail the test unless the gate passed, even if the body skips.

    A failure of the body is reported first.

    The body only runs if the models were called and scored. It may have requested a fixture that
    the gate did not use.
    """
    # A failure of the body passes through the yield; a skip must not hide a red gate.
    result = session.results[item.nodeid]
    skip = None
    if (result.scored and result.models_called) or result.passed:
        try:
            yield
        except _SKIPS as error:
            skip = error
        if request is not None:
            try:
                refuse_unused_fixtures(request)
            except ConfigError as error:
                _refuse(item, session, error)
                result = session.results[item.nodeid]

    if not result.passed:
        _fail_gate(item, result)
    if skip is not None:
        raise skip


def hold_report(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    session: GateSession,
    *,
    late: bool,
) -> None:
    """Make sure that the test's report shows a gate that did not pass.

    That is so even if the body failed or skipped. The failure has the gate's block; the line of
    pytest's short summary says why. The verdict reaches xdist's controller as an attribute of the
    report.

    Args:
        late: the verdict is new, because the markers changed during this phase.
    """
    _note_absence(item, call, report, session)

    # xdist sends attributes of reports that are text.
    if item.nodeid in session.facts:
        vars(report)[MARK] = session.facts[item.nodeid]
    _, why_failed = session.plans.get(item.nodeid, ((), ""))
    crash = getattr(report.longrepr, "reprcrash", None)
    if why_failed and crash is not None:
        crash.message = printable(why_failed)

    result = session.results.get(item.nodeid)
    if result is not None and not result.passed and (report.when != "teardown" or late):
        is_new = report.when == "call" or late
        _show_verdict(result, report, item.config.get_verbosity(), is_new=is_new)


def _note_absence(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    session: GateSession,
) -> None:
    """Record that the test was skipped, or that its set-up failed before its gate was judged."""
    reason = f"{SKIPPED}: {_why_skipped(report)}" if report.skipped else ""
    if report.when == "call":
        session.see_absent(item, reason)
        return
    is_unjudged = item.nodeid not in session.results and item.get_closest_marker(MARK) is not None
    if report.when != "setup" or not is_unjudged:
        return

    if reason and call.excinfo is not None and not isinstance(call.excinfo.value, _SKIPS):
        cause = f"{type(call.excinfo.value).__name__}: {call.excinfo.value}"
        hidden = f"xfail hides that the set-up failed before the gate was judged: {cause}"
        _refuse(item, session, FtgateError(hidden))
    elif reason or report.failed:
        session.see_absent(item, reason or BROKEN)


def _show_verdict(
    result: GateResult, report: pytest.TestReport, verbosity: int, *, is_new: bool
) -> None:
    """Put the gate's block and headline into a report of the test, unless it has them."""
    heading = title(result).text
    message = printable(headline(result.checks))

    # The failure is ours: only its line in pytest's short summary is missing.
    if heading in report.longreprtext:
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is not None and heading in crash.message:
            crash.message = message
        return
    if not is_new:
        return

    block = failure_text(result, verbosity)
    add_section = getattr(report.longrepr, "addsection", None)
    if report.outcome == "failed" and add_section is not None:
        add_section("ftgate", block)
    elif not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{message}\n{block}"


def _why_skipped(report: pytest.TestReport) -> str:
    """Return the reason of a skip, which pytest stores elsewhere for xfail."""
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        reason = str(expected).removeprefix("reason: ")
        return f"xfail: {reason}".rstrip(": ")

    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")
