"""Judge the gate of a marked test in its set-up, and turn the verdict into the test's outcome."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_ftgate.checks.freshness.last_green import filed_as
from pytest_ftgate.errors import FtgateError, Interrupted
from pytest_ftgate.gate.candidates import judge_gate
from pytest_ftgate.gate.state import Judged
from pytest_ftgate.plugin.layers import layers_as_judged
from pytest_ftgate.plugin.marks import MARK, claimed_name, test_id
from pytest_ftgate.reports.sentences import headline
from pytest_ftgate.reports.text import block, title
from pytest_ftgate.result import GateResult, closed, error_check, failed_result
from pytest_ftgate.text import plural, printable

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines

if TYPE_CHECKING:
    from pytest_ftgate.plugin.session import GateSession

_SKIPPED = (pytest.skip.Exception, pytest.xfail.Exception)


def judge_in_setup(item: pytest.Item, request: pytest.FixtureRequest | None, session: GateSession) -> None:
    """Judge the gate of a marked test; if the verdict is ``error``, the test's set-up fails.

    ``request`` is None if the fixture that keeps it was not set up.
    """
    if item.config.getoption("setupplan", False):
        return
    if request is None:
        fail(
            f"ftgate: {item.nodeid} cannot judge a gate: the ftgate marker needs a test function or method, "
            "and the fixture _ftgate_request must not be overridden"
        )
    _judge(request, session)


def judged_gate(request: pytest.FixtureRequest, session: GateSession) -> GateResult:
    """Return the value of the fixture ``ftgate``."""
    if request.node.get_closest_marker(MARK) is None:
        fail("the fixture ftgate needs the marker @pytest.mark.ftgate(...) on the test")
    return _judge(request, session)


def fail(text: str) -> NoReturn:
    """Fail the test with ``text`` and without a traceback."""
    __tracebackhide__ = False  # pytest warns if a failure has no visible frame
    pytest.fail(text, pytrace=False)


def _judge(request: pytest.FixtureRequest, session: GateSession) -> GateResult:
    """Return the verdict of a test. It is computed once: a rerun of the test does not call the models again."""
    item: pytest.Item = request.node
    if session.previews.examples is not None:
        from pytest_ftgate.plugin.preview import preview_and_leave

        preview_and_leave(request, session, session.previews.examples)
    nodeid = test_id(item)
    if item.nodeid not in session.results:
        unnamed, config = GateResult(claimed_name(item), nodeid, "error"), None
        try:
            layers = layers_as_judged(request, session.files)
            unnamed = replace(unnamed, gate=layers.gate)
            config = layers.resolve()
            reviewed = layers.reviewed(config, session.files)
            judged = judge_gate(config, session.services(item.ihook), nodeid=nodeid, reviewed=reviewed)
            judged = replace(judged, result=replace(judged.result, loosened=tuple(map(str, layers.loosened()))))
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
        fail(title(result).text)
    return result


def _interruption(error: Interrupted) -> FtgateError:
    kept, total = error.kept
    counted = f": {kept:,} of {plural(total, 'answer')} are stored" if total else ""
    cure = "Run again to continue: stored answers are reused (unless --ftgate-cache=off)."
    if error.abandoned:
        cure = f"Calls to {', '.join(error.abandoned)} could not be cancelled and may still be running. {cure}"
    return FtgateError(f"stopped by Ctrl-C{counted}", cure=cure)


@contextmanager
def verdict_after_body(item: pytest.Item, session: GateSession) -> Iterator[None]:
    """Fail the test unless the gate passed, even if the body skips. A failure of the body is reported first.

    The body only runs if the models were scored.
    """
    result, skipped = session.results[item.nodeid], None
    if result.scored or result.passed:
        try:
            yield
        except _SKIPPED as error:
            skipped = error
    if not result.passed:
        fail(title(result).text)
    if skipped is not None:
        raise skipped


def hold_report(item: pytest.Item, report: pytest.TestReport, session: GateSession) -> None:
    """Make sure that the test's report shows a gate that did not pass, even if the body failed or skipped.

    pytest's FAILURES section only has the gate's title, because the gate's block follows it; the line of the short
    summary says why. User properties that a test set itself to look like the facts of a gate are removed.
    """
    known = session.verdicts.facts.get(item.nodeid)
    report.user_properties = [one for one in report.user_properties if one[0] != MARK or one[1] == known]
    result = session.results.get(item.nodeid)
    if report.when == "setup" and result is None and item.get_closest_marker(MARK) is not None:
        if report.skipped:
            session.see_skipped(item, _why_skipped(report))
        elif report.failed:
            session.see_broken(item)
    if result is None or result.passed or report.when == "teardown":
        return
    text, why = title(result).text, printable(headline(result))
    if text in report.longreprtext:
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is not None and crash.message.endswith(text):
            crash.message = why
        return
    if report.when != "call":
        return
    add_section = getattr(report.longrepr, "addsection", None)
    if report.outcome == "failed" and add_section is not None:
        add_section("ftgate", text)
    elif not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = why


def block_as_html(report: pytest.TestReport) -> str:
    """Return the block of the gate whose facts are in a test's report, escaped."""
    result = GateResult.from_dict(json.loads(str(dict(report.user_properties)[MARK])))
    return escape("\n".join(line.text for line in [title(result), *block(result)]) + "\n")


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
