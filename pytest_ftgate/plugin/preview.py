"""Preview the gate of a marked test in its set-up (``--ftgate-preview``), and skip the test."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.preview import Preview, preview_gate
from pytest_ftgate.plugin.layers import layers_as_judged
from pytest_ftgate.plugin.marks import gate_name, test_id
from pytest_ftgate.reports.preview import preview_lines, preview_title
from pytest_ftgate.result import error_check

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines

if TYPE_CHECKING:
    from pytest_ftgate.plugin.session import GateSession

NO_VERDICT = "--ftgate-preview gives no verdict"


def preview_and_leave(request: pytest.FixtureRequest, session: GateSession, examples: int) -> NoReturn:
    """Preview the gate of a test once, and skip the test; it fails where a call failed or the gate is unusable."""
    __tracebackhide__ = False  # pytest warns if a failure has no visible frame
    item: pytest.Item = request.node
    session.see_skipped(item, NO_VERDICT)
    if item.nodeid not in session.previews.lines:
        preview = _preview(request, session, examples)
        heading, lines = preview_title(preview), preview_lines(preview)
        session.previews.add(item.nodeid, [heading, *lines], failed=preview.failed)
    if item.nodeid in session.previews.failed:
        pytest.fail(session.previews.lines[item.nodeid][0].text, pytrace=False)
    pytest.skip(NO_VERDICT)


def _preview(request: pytest.FixtureRequest, session: GateSession, examples: int) -> Preview:
    item: pytest.Item = request.node
    nodeid = test_id(item)
    name = nodeid
    try:
        name = gate_name(item) or nodeid
        layers = layers_as_judged(request, session.files)
        config = layers.resolve()
        reviewed = layers.reviewed(config, session.files)
        services = session.services(item.ihook)
        return preview_gate(config, services, nodeid=nodeid, examples=examples, reviewed=reviewed)
    except FtgateError as error:
        return Preview(name, checks=(error_check(error),))
