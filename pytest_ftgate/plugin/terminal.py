"""Write to pytest's terminal: blocks of gates, lines on the session, errors, and progress."""

import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_ftgate.reports.text import Line
from pytest_ftgate.result import RED
from pytest_ftgate.runs.progress import ProgressDisplay
from pytest_ftgate.text import one_line, printable, wrapped

_RED = tuple(f"{status.upper()} " for status in RED)
"""How the lines of a block begin that say what does not hold."""

HIDDEN = -2
"""The verbosity of -qq, which hides everything."""


def display_of(config: pytest.Config) -> ProgressDisplay | None:
    """Return a display that updates a line on a terminal, and writes a line per minute elsewhere.

    None with ``-qq``.
    """
    if config.get_verbosity() <= HIDDEN:
        return None
    capture = config.pluginmanager.getplugin("capturemanager")
    uncaptured = capture.global_and_fixture_disabled if capture else nullcontext
    reporter = config.pluginmanager.getplugin("terminalreporter")

    def to_log(line: str) -> None:
        """Write a line to standard error, which an xdist worker inherits from the controller."""
        os.write(2, f"{line}\n".encode())

    def between_dots(line: str) -> None:
        """Write a line of its own, even between pytest's dots."""
        reporter.ensure_newline()
        apart = "\n" if config.get_terminal_writer().width_of_current_line else ""
        reporter.write(f"{apart}{line}\n", flush=True)

    def to_terminal(text: str) -> None:
        reporter.write(text, flush=True)

    # Only a terminal can wipe a line.
    if reporter is None or hasattr(config, "workerinput"):
        return ProgressDisplay(to_log, None, uncaptured)
    if not reporter.isatty or os.environ.get("TERM") == "dumb":
        return ProgressDisplay(between_dots, None, uncaptured)
    return ProgressDisplay(to_terminal, reporter.ensure_newline, uncaptured)


def show_block(reporter: "pytest.TerminalReporter", heading: Line, lines: Iterable[Line]) -> None:
    """Write lines under a heading; a line without a colour has the terminal's own."""
    reporter.write_sep("-", heading.text, bold=True, **_markup(heading))
    for line in lines:
        reporter.write_line(line.text, **_markup(line))


def _markup(line: Line) -> dict[str, bool]:
    return {line.colour: True} if line.colour else {}


def show_lines(reporter: "pytest.TerminalReporter", lines: Iterable[Line]) -> None:
    """Write lines on the session as a whole under a heading; nothing without lines.

    What is after a line break is for copying, and is not wrapped.
    """
    rows: list[Line] = []
    for line in lines:
        text, _, copied = line.text.partition("\n")
        rows += [Line(row, line.colour) for row in wrapped(text, break_words=False)]
        if copied:
            rows.append(Line(printable(copied, len(copied)), line.colour))
    if rows:
        show_block(reporter, Line("ftgate"), rows)


def failures(reporter: "pytest.TerminalReporter") -> Iterator[tuple[str, str]]:
    """Yield the node id and the text of each test that pytest counts as failed or as an error."""
    for outcome in ("failed", "error"):
        for report in reporter.stats.get(outcome, ()):
            nodeid = report.nodeid.partition("@")[0]  # xdist appends the name of a group
            yield nodeid, report.longreprtext


class _Text:
    """Stands for a traceback: a text, and its message in pytest's short summary."""

    def __init__(self, message: str, text: str) -> None:
        self.text = text
        self.reprcrash = SimpleNamespace(message=printable(one_line(message)))

    def toterminal(self, writer: Any) -> None:
        show_findings(writer, self.text)


def show_findings(writer: Any, text: str) -> None:
    """Write the lines of a failure, those with what does not hold bold and red."""
    for line in text.splitlines():
        is_red = line.startswith(_RED)
        writer.line(printable(line, len(line)), bold=is_red, red=is_red)


def colour_failure(report: pytest.TestReport, heading: str) -> None:
    """Let the failure of a test be written in colours where it is a gate's block and no more.

    pytest writes failures without a traceback as plain text, and has no hook for that.
    """
    text = str(report.longrepr)
    if text.startswith(heading) and hasattr(report.longrepr, "reprcrash"):
        vars(report.longrepr)["toterminal"] = partial(show_findings, text=text)


def add_error(reporter: "pytest.TerminalReporter", key: str, message: str, text: str) -> None:
    """Add what fails the session, and no test, to pytest's errors, by its ini key."""
    ini = reporter.config.inipath
    node = key
    if ini is not None and ini.parent == reporter.config.rootpath:
        node = f"{ini.name}::{key}"
    place = ("", None, "the session")
    traceback = cast(Any, _Text(message, text))

    # pytest has no public API for an error that belongs to no test.
    report = pytest.TestReport(
        node, location=place, keywords={}, outcome="failed", longrepr=traceback, when="teardown"
    )
    reporter._add_stats("error", [report])
