"""Judge the gate of a marked test in its set-up, and turn the verdict into the test's outcome."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

import pytest

from pytest_ftgate.checks.freshness import filed_as
from pytest_ftgate.errors import ConfigError, FtgateError, Interrupted
from pytest_ftgate.gate.run import judge_gate
from pytest_ftgate.gate.state import Judged
from pytest_ftgate.plugin.layers import MARK, claimed_name, layers_as_judged, test_id, unused_fixtures
from pytest_ftgate.plugin.obligations import BROKEN
from pytest_ftgate.plugin.session import GateSession, Planned
from pytest_ftgate.reports.sentences import headline
from pytest_ftgate.reports.text import failure_text, title
from pytest_ftgate.result import GateResult, closed, error_check, failed_result
from pytest_ftgate.text import plural, printable

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines

_SKIPPED = (pytest.skip.Exception, pytest.xfail.Exception)


def judge_in_setup(item: pytest.Item, request: pytest.FixtureRequest | None, session: GateSession) -> None:
    """Judge the gate of a marked test; if the verdict is ``error``, the test's set-up fails.

    ``request`` is None if the fixture that keeps it was not set up.
    """
    if item.config.getoption("setupplan", False):
        session.judged_with[item.nodeid] = tuple(item.iter_markers(MARK))
        return
    if item.get_closest_marker(MARK) is None:
        what = f"the ftgate marker of {item.nodeid} was removed after the test was collected"
        refused = FtgateError(what, cure="Keep it; to leave the gate out of a run, deselect the test: -m 'not ftgate'.")
    elif request is None:
        refused = FtgateError(
            f"{item.nodeid} cannot judge a gate: the ftgate marker needs a test function or method, "
            "and the fixture _ftgate_request must not be overridden"
        )
    else:
        _judge(request, session)
        return
    _refuse(item, session, refused)
    _fail_gate(item, session.results[item.nodeid])


def _refuse(item: pytest.Item, session: GateSession, error: FtgateError) -> None:
    """Make the verdict of a test ``error``, so that the session fails, whatever becomes of the test."""
    known = session.results.get(item.nodeid) or GateResult(claimed_name(item), test_id(item), "error")
    session.keep(Judged(failed_result(known, error)), item)


def refuse_late_marks(item: pytest.Item, session: GateSession) -> None:
    """Make the verdict of a test ``error`` whose markers changed after its gate was judged, or could have been."""
    session.judged_with[item.nodeid] = tuple(item.iter_markers(MARK))
    what = f"the ftgate markers of {item.nodeid} changed after its set-up, where its gate is judged"
    cure = "Put the marker on the test; a fixture may also add it, and so may pytest_collection_modifyitems."
    _refuse(item, session, FtgateError(what, cure=cure))


def judged_gate(request: pytest.FixtureRequest, session: GateSession) -> GateResult:
    if request.node.get_closest_marker(MARK) is None:
        fail("the fixture ftgate needs the marker @pytest.mark.ftgate(...) on the test")
    return _judge(request, session)


def _fail_gate(item: pytest.Item, result: GateResult) -> NoReturn:
    """Fail the test with the block of its gate."""
    __tracebackhide__ = False  # pytest warns if a failure has no visible frame
    fail(failure_text(result, item.config.get_verbosity()))


def fail(text: str) -> NoReturn:
    __tracebackhide__ = False  # pytest warns if a failure has no visible frame
    pytest.fail(text, pytrace=False)


def _judge(request: pytest.FixtureRequest, session: GateSession) -> GateResult:
    """Return the verdict of a test. It is computed once: a rerun of the test does not call the models again."""
    item: pytest.Item = request.node
    if session.planning is not None:
        _plan_and_leave(request, session)
    nodeid = test_id(item)
    if item.nodeid not in session.results:
        session.judged_with[item.nodeid] = tuple(item.iter_markers(MARK))
        unnamed, config = GateResult(claimed_name(item), nodeid, "error"), None
        try:
            layers = layers_as_judged(request, session.files)
            unnamed = replace(unnamed, gate=layers.gate)
            config = layers.config
            reviewed, services = layers.reviewed(session.files), session.services(item.ihook)
            judged = judge_gate(config, services, nodeid=nodeid, reviewed=reviewed)
            if judged.result.verdict != "error":
                services.stores.finish(judged.runs.values())
            judged = replace(judged, result=replace(judged.result, loosened=tuple(layers.loosened.values())))
            session.record(filed_as(config, nodeid), judged.runs, judged.notes)
        except FtgateError as error:
            judged = Judged(failed_result(unnamed, error))
        except Interrupted as error:
            check = error_check(_interruption(error), "interrupted")
            session.keep(Judged(closed(unnamed, (*unnamed.checks, check))), item)
            raise
        except BaseException as error:
            if config is not None or not isinstance(error, _SKIPPED):  # only a fixture may skip its test
                unexpected = FtgateError(f"{type(error).__name__}: {error}")
                session.keep(Judged(failed_result(unnamed, unexpected)), item)
            raise
        session.keep(judged, item)
    result = session.results[item.nodeid]
    if result.verdict == "error":
        _fail_gate(item, result)
    return result


def _interruption(error: Interrupted) -> FtgateError:
    kept, total = error.kept
    counted = f": {kept:,} of {plural(total, 'answer')} are stored" if total else ""
    cure = "Run again to continue: stored answers are reused."
    if error.abandoned:
        cure = f"Calls to {', '.join(error.abandoned)} could not be cancelled and may still be running. {cure}"
    return FtgateError(f"stopped by Ctrl-C{counted}", cure=cure)


def _plan_and_leave(request: pytest.FixtureRequest, session: GateSession) -> NoReturn:
    """Plan the gate of a test once, and skip the test; it fails where the plan fails."""
    __tracebackhide__ = False  # pytest warns if a failure has no visible frame
    from pytest_ftgate.gate.plan import Plan, plan_gate
    from pytest_ftgate.reports.plan import plan_lines

    item: pytest.Item = request.node
    session.see_absent(item, f"was not judged: {session.planning} gives no verdict")
    if item.nodeid not in session.plans:
        try:
            layers, few = layers_as_judged(request, session.files), item.config.getoption("--ftgate-preview") or 0
            reviewed, services = layers.reviewed(session.files), session.services(item.ihook)
            plan = plan_gate(layers.config, services, nodeid=test_id(item), reviewed=reviewed, preview=few)
        except FtgateError as error:
            plan = Plan(claimed_name(item), (error_check(error),))
        lines = plan_lines(plan, full=item.config.get_verbosity() > 0)
        session.plans[item.nodeid] = Planned(lines, plan.failed)
    if session.plans[item.nodeid].failed:
        pytest.fail(session.plans[item.nodeid].lines[0].text, pytrace=False)
    pytest.skip(f"{session.planning} gives no verdict")


@contextmanager
def verdict_after_body(
    item: pytest.Item, request: pytest.FixtureRequest | None, session: GateSession
) -> Iterator[None]:
    """Fail the test unless the gate passed, even if the body skips. A failure of the body is reported first.

    The body only runs if the models were called and scored. It may have requested a fixture that the gate did not use.
    """
    result, skipped = session.results[item.nodeid], None
    if (result.scored and result.models_called) or result.passed:
        try:
            yield
        except _SKIPPED as error:
            skipped = error
        if request is not None:
            try:
                list(unused_fixtures(request))
            except ConfigError as error:
                _refuse(item, session, error)
                result = session.results[item.nodeid]
    if not result.passed:
        _fail_gate(item, result)
    if skipped is not None:
        raise skipped


def hold_report(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, session: GateSession, *, late: bool
) -> None:
    """Make sure that the test's report shows a gate that did not pass, even if the body failed or skipped.

    The failure has the gate's block; the line of pytest's short summary says why. User properties that a test set
    itself to look like the facts of a gate are removed.

    Args:
        late: the verdict is new, because the markers changed during this phase.
    """
    known = session.facts.get(item.nodeid)
    report.user_properties = [one for one in report.user_properties if one[0] != MARK or one[1] == known]
    result = session.results.get(item.nodeid)
    if report.when == "setup" and result is None and item.get_closest_marker(MARK) is not None:
        if report.skipped and call.excinfo is not None and not isinstance(call.excinfo.value, _SKIPPED):
            cause = f"{type(call.excinfo.value).__name__}: {call.excinfo.value}"
            hidden = f"xfail hides that the set-up failed before the gate was judged: {cause}"
            _refuse(item, session, FtgateError(hidden))
        elif report.skipped:
            session.see_absent(item, f"was skipped: {_why_skipped(report)}")
        elif report.failed:
            session.see_absent(item, BROKEN)
    elif report.when == "call":
        session.see_absent(item, f"was skipped: {_why_skipped(report)}" if report.skipped else "")
    if result is None or result.passed or (report.when == "teardown" and not late):
        return
    heading, why = title(result).text, printable(headline(result))
    if heading in report.longreprtext:
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is not None and heading in crash.message:
            crash.message = why
        return
    if report.when != "call" and not late:
        return
    add_section = getattr(report.longrepr, "addsection", None)
    if report.outcome == "failed" and add_section is not None:
        add_section("ftgate", failure_text(result, item.config.get_verbosity()))
    elif not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{why}\n{failure_text(result, item.config.get_verbosity())}"


def _why_skipped(report: pytest.TestReport) -> str:
    """Return the reason that the test gives for skipping; pytest stores that of xfail elsewhere, with a prefix."""
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        given = str(expected).removeprefix("reason: ")
        mark = "xfail(run=False)" if given.startswith("[NOTRUN]") else "xfail"
        text = given.removeprefix("[NOTRUN]").strip()
        return f"{mark}: {text}" if text else mark
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")
