"""Write to pytest's terminal: the blocks of gates, lines on the session, progress while tests run."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_ftgate.reports.text import Line, block, title
from pytest_ftgate.result import GateResult
from pytest_ftgate.runs.progress import ProgressDisplay
from pytest_ftgate.text import one_line, printable, wrapped

HIDDEN = -2
"""The verbosity of ``-qq``, which hides everything."""


def display(config: pytest.Config) -> ProgressDisplay | None:
    """Return a display that updates a line on a terminal, and writes a line per minute elsewhere; None with ``-qq``."""
    if config.get_verbosity() <= HIDDEN:
        return None
    capture = config.pluginmanager.getplugin("capturemanager")
    uncaptured = capture.global_and_fixture_disabled if capture else nullcontext
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):  # an xdist worker inherits the controller's standard error
        return ProgressDisplay(lambda line: os.write(2, f"{line}\n".encode()), None, uncaptured)
    if not reporter.isatty or os.environ.get("TERM") == "dumb":

        def write(line: str) -> None:
            """Write a line of its own, even between pytest's dots."""
            reporter.ensure_newline()
            apart = "\n" if config.get_terminal_writer().width_of_current_line else ""
            reporter.write(f"{apart}{line}\n", flush=True)

        return ProgressDisplay(write, None, uncaptured)
    return ProgressDisplay(lambda text: reporter.write(text, flush=True), reporter.ensure_newline, uncaptured)


def show_gates(reporter: "pytest.TerminalReporter", results: Mapping[str, GateResult], *, verbosity: int) -> None:
    """Write the blocks of gates by node id, but those that pytest has printed as failures of their tests."""
    printed = [] if reporter.config.option.tbstyle == "no" else list(failures(reporter))
    for nodeid, result in results.items():
        if not any(node == nodeid and title(result).text in text for node, text in printed):
            show_block(reporter, title(result), block(result, verbosity=verbosity))


def show_block(reporter: "pytest.TerminalReporter", heading: Line, lines: Iterable[Line]) -> None:
    """Write lines under a heading; a line without a colour has the terminal's own."""
    reporter.write_sep("-", heading.text, bold=True, **({heading.colour: True} if heading.colour else {}))
    for line in lines:
        reporter.write_line(line.text, **({line.colour: True} if line.colour else {}))


def failures(reporter: "pytest.TerminalReporter") -> Iterator[tuple[str, str]]:
    """Yield the node id and the text of each test that pytest counts as failed or as an error."""
    for report in (one for outcome in ("failed", "error") for one in reporter.stats.get(outcome, ())):
        yield report.nodeid.partition("@")[0], report.longreprtext  # xdist appends the name of a group


class _Told:
    """Stands for a traceback: a text, and its message in pytest's short summary."""

    def __init__(self, message: str, text: str) -> None:
        self.text = text
        self.reprcrash = SimpleNamespace(message=printable(one_line(message)))

    def toterminal(self, writer: Any) -> None:
        for line in self.text.splitlines():
            writer.line(printable(line), red=True)


def add_error(reporter: "pytest.TerminalReporter", key: str, message: str, text: str) -> None:
    """Add what fails the session, and no test, to the errors in pytest's summary and count, by its ini key."""
    ini = reporter.config.inipath
    node = f"{ini.name}::{key}" if ini is not None and ini.parent == reporter.config.rootpath else key
    location = ("", None, "the session")
    report = pytest.TestReport(node, location, {}, "failed", cast(Any, _Told(message, text)), "teardown")
    reporter._add_stats("error", [report])


def show_lines(reporter: "pytest.TerminalReporter", lines: Iterable[Line]) -> None:
    """Write lines on the session as a whole under a heading; nothing without lines.

    What is after a line break is for copying, and is not wrapped.
    """
    shown: list[Line] = []
    for line in lines:
        text, _, copied = line.text.partition("\n")
        shown += [Line(part, line.colour) for part in wrapped(text, break_words=False)]
        shown += [Line(printable(copied, len(copied)), line.colour)] if copied else []
    if shown:
        show_block(reporter, Line("ftgate"), shown)
