"""What pytest's terminal is asked for: a width, a colour, a line while tests run."""

from __future__ import annotations

import os
from contextlib import nullcontext

import pytest

from pytest_ftgate.progress import ProgressLine, ProgressLog

HIDDEN = -2
"""The verbosity of ``-qq``, with which nothing is shown."""
_STANDARD_ERROR = 2
_LOG_COLUMNS = 100


def display(config: pytest.Config) -> ProgressLine | ProgressLog | None:
    """A moving line on a terminal, beside pytest's own output; elsewhere a line a minute; nothing with ``-qq``."""
    if config.get_verbosity() <= HIDDEN:
        return None
    capture = config.pluginmanager.getplugin("capturemanager")
    uncaptured = capture.global_and_fixture_disabled if capture else nullcontext
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):  # a worker of xdist: its standard error is the controller's
        return ProgressLog(lambda line: os.write(_STANDARD_ERROR, f"{line}\n".encode()), uncaptured)
    if not reporter.isatty or os.environ.get("TERM") == "dumb":
        return ProgressLog(lambda line: _line_apart(reporter, line), uncaptured)
    return ProgressLine(lambda text: reporter.write(text, flush=True), reporter.ensure_newline, uncaptured)


def columns(reporter: pytest.TerminalReporter) -> int:
    """Of the terminal; a log has no width, and is read in windows wider than the 80 columns that pytest takes."""
    found = int(getattr(reporter._tw, "fullwidth", 80))
    return found if reporter.isatty else max(found, _LOG_COLUMNS)


def markup(colour: str) -> dict[str, bool]:
    """As pytest's terminal takes it; nothing for no colour."""
    return {colour: True} if colour else {}


def _line_apart(reporter: pytest.TerminalReporter, line: str) -> None:
    """On a line of its own, in the middle of pytest's dots too, which with ``-q`` belong to no file."""
    reporter.ensure_newline()
    if getattr(reporter._tw, "width_of_current_line", 0):
        reporter.write("\n")
    reporter.write_line(line)
    reporter.flush()
