"""One marked test: its gate is judged in set-up, and the verdict becomes the test's outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_ftgate.checks.freshness.last_green import filed_as
from pytest_ftgate.errors import FtgateError, Interrupted
from pytest_ftgate.gate.candidates import judge_gate
from pytest_ftgate.gate.state import Judged
from pytest_ftgate.plugin.layers import layers_as_judged
from pytest_ftgate.plugin.marks import MARK, gate_name, test_id
from pytest_ftgate.reports.text import failure_text
from pytest_ftgate.result import GateResult, failed_result

__tracebackhide__ = True  # what a fixture or a body raises is shown without our lines

if TYPE_CHECKING:
    from pytest_ftgate.plugin.session import GateSession

_SKIPPED = (pytest.skip.Exception, pytest.xfail.Exception)


def judge_in_setup(item: pytest.Item, request: pytest.FixtureRequest | None, session: GateSession) -> None:
    """Judge the gate of a marked test; in error, the test is in error too.

    ``request`` is None where the fixture that keeps it was not set up.
    """
    if item.config.getoption("setupplan", False):
        return
    if request is None:
        fail(
            f"ftgate: {item.nodeid} cannot judge a gate: the mark works on test functions and methods, "
            "and the fixture _ftgate_request must not be overridden"
        )
    _judge(request, session)


def judged_gate(request: pytest.FixtureRequest, session: GateSession) -> GateResult:
    """What the fixture ``ftgate`` gives."""
    if request.node.get_closest_marker(MARK) is None:
        fail("the fixture ftgate needs the mark: @pytest.mark.ftgate(...)")
    return _judge(request, session)


def fail(text: str) -> NoReturn:
    """Fail the test with nothing but ``text``."""
    __tracebackhide__ = False  # pytest remarks on it where a failure leaves no line to show
    pytest.fail(text, pytrace=False)


def _judge(request: pytest.FixtureRequest, session: GateSession) -> GateResult:
    """The first verdict of a test is kept: a rerun of the test does not ask the models again."""
    item: pytest.Item = request.node
    nodeid = test_id(item)
    if item.nodeid not in session.results:
        unnamed, config = GateResult(nodeid, nodeid, "error"), None
        try:
            unnamed = GateResult(gate_name(item) or nodeid, nodeid, "error")
            layers = layers_as_judged(request, session.files)
            unnamed = replace(unnamed, gate=layers.gate)
            config = layers.resolve()
            reviewed = layers.reviewed(config, session.files)
            judged = judge_gate(config, session.services(item.ihook), nodeid=nodeid, reviewed=reviewed)
            judged = replace(judged, result=replace(judged.result, loosened=tuple(map(str, layers.loosened()))))
            session.record(filed_as(config, nodeid), judged.runs, judged.notes)
        except FtgateError as error:
            judged = Judged(failed_result(unnamed, error))
        except BaseException as error:
            if config is not None or not isinstance(error, _SKIPPED):  # only a fixture may skip its test
                session.keep(Judged(failed_result(unnamed, _ended_by(error))), item)
            raise
        session.keep(judged, item)
    result = session.results[item.nodeid]
    if result.verdict == "error":
        fail(failure_text(result))
    return result


def _ended_by(error: BaseException) -> FtgateError:
    """What keeps the gate from being judged, in our terms."""
    if not isinstance(error, Interrupted):
        return FtgateError(f"{type(error).__name__}: {error}")
    kept, total = error.kept
    cure = f"{kept:,} of {total:,} answers are stored; run again to ask for the rest"
    if error.abandoned:
        cure = f"calls of {', '.join(error.abandoned)} could not be cancelled and were abandoned; {cure}"
    return FtgateError("interrupted while the models were asked", cure=cure)


@contextmanager
def verdict_after_body(item: pytest.Item, session: GateSession) -> Iterator[None]:
    """Fail the test unless the gate passed, also where its body skips; a failure of the body goes first.

    Where the models were not scored there is nothing that a body could look at.
    """
    result, skipped = session.results[item.nodeid], None
    if result.scored or result.passed:
        try:
            yield
        except _SKIPPED as error:
            skipped = error
    if not result.passed:
        fail(failure_text(result))
    if skipped is not None:
        raise skipped


def hold_report(item: pytest.Item, report: pytest.TestReport, session: GateSession) -> None:
    """A gate that is not green shows in the report, whatever the body did: a failure of its own, or a skip.

    No test can give itself the facts of a gate.
    """
    known = session.verdicts.facts.get(item.nodeid)
    report.user_properties = [one for one in report.user_properties if one[0] != MARK or one[1] == known]
    result = session.results.get(item.nodeid)
    if report.when == "setup" and report.skipped and result is None and item.get_closest_marker(MARK) is not None:
        session.see_skipped(item, _why_skipped(report))
    if report.when != "call" or result is None or result.passed:
        return
    text = failure_text(result)
    if text in report.longreprtext:
        return
    add_section = getattr(report.longrepr, "addsection", None)
    if report.outcome == "failed" and add_section is not None:
        add_section("ftgate", text)
    elif not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = text


def _why_skipped(report: pytest.TestReport) -> str:
    """The reason as the test gives it; of xfail pytest keeps it apart, behind words of its own."""
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        given = str(expected).removeprefix("reason: ")
        mark = "xfail(run=False)" if given.startswith("[NOTRUN]") else "xfail"
        text = given.removeprefix("[NOTRUN]").strip()
        return f"{mark}: {text}" if text else mark
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")
