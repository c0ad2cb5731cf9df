"""What pytest's terminal is asked for: a width, a colour, a line while tests run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import nullcontext

import pytest

from pytest_ftgate.plugin.obligations import Owed
from pytest_ftgate.plugin.progress import ProgressDisplay
from pytest_ftgate.reports.github import Step
from pytest_ftgate.reports.text import Line, block, title
from pytest_ftgate.result import GateResult
from pytest_ftgate.text import printable

HIDDEN = -2
"""The verbosity of ``-qq``, with which nothing is shown."""

_STANDARD_ERROR = 2
_LOG_COLUMNS = 100


def display(config: pytest.Config) -> ProgressDisplay | None:
    """A moving line on a terminal, beside pytest's own output; elsewhere a line a minute; nothing with ``-qq``."""
    if config.get_verbosity() <= HIDDEN:
        return None
    capture = config.pluginmanager.getplugin("capturemanager")
    uncaptured = capture.global_and_fixture_disabled if capture else nullcontext
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):  # a worker of xdist: its standard error is the controller's
        return ProgressDisplay(lambda line: os.write(_STANDARD_ERROR, f"{line}\n".encode()), None, uncaptured)
    if not reporter.isatty or os.environ.get("TERM") == "dumb":
        return ProgressDisplay(lambda line: _line_apart(reporter, line), None, uncaptured)
    return ProgressDisplay(lambda text: reporter.write(text, flush=True), reporter.ensure_newline, uncaptured)


def _markup(colour: str) -> dict[str, bool]:
    return {colour: True} if colour else {}


def _line_apart(reporter: pytest.TerminalReporter, line: str) -> None:
    """On a line of its own, in the middle of pytest's dots too, which with ``-q`` belong to no file."""
    reporter.ensure_newline()
    if reporter.config.get_terminal_writer().width_of_current_line:
        reporter.write("\n")
    reporter.write_line(line)
    reporter.flush()


def annotate(reporter: pytest.TerminalReporter, results: Sequence[GateResult], owed: Owed) -> None:
    """Workflow commands, each on a line of its own; their text is harmless, and they must stay commands."""
    step = Step.from_environment(os.environ)
    if step is None:
        return
    unjudged = [{"name": one.name, "reason": one.reason} for one in owed.unmet]
    for command in step.annotations(results, unjudged, root=reporter.config.rootpath, partial=owed.partial):
        reporter.write_line(command)


def show_gate(reporter: pytest.TerminalReporter, result: GateResult, *, verbosity: int) -> None:
    """The block of one gate."""
    heading = title(result)
    reporter.write_sep("-", heading.text, bold=True, **_markup(heading.colour))
    columns = reporter.config.get_terminal_writer().fullwidth
    if not reporter.isatty:  # a log has no width, and is read in windows wider than the 80 columns that pytest takes
        columns = max(columns, _LOG_COLUMNS)
    for line in block(result, verbosity=verbosity, width=columns, wrap=bool(reporter.isatty)):
        reporter.write_line(line.text, **_markup(line.colour))


def show_lines(reporter: pytest.TerminalReporter, lines: Iterable[Line]) -> None:
    """What is said of the session as a whole; nothing where that is nothing."""
    for number, line in enumerate(lines):
        if number == 0:
            reporter.write_sep("-", "ftgate")
        reporter.write_line(printable(line.text), **_markup(line.colour))
