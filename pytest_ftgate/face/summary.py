"""What the terminal shows after the test results: a block a gate, what the session owes, and GitHub's annotations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import pytest

from pytest_ftgate.face.required import Owed
from pytest_ftgate.face.terminal import columns, markup
from pytest_ftgate.render.github import Step
from pytest_ftgate.render.text import Line, block, title
from pytest_ftgate.result import GateResult
from pytest_ftgate.safe import printable


def annotate(reporter: pytest.TerminalReporter, results: Sequence[GateResult], owed: Owed) -> None:
    """Workflow commands, each on a line of its own; their text is harmless, and they must stay commands."""
    step = Step.from_environment(os.environ)
    if step is None:
        return
    root = reporter.config.rootpath
    for command in step.annotations(results, owed.unjudged, root=root, partial=owed.partial):
        reporter.write_line(command)


def show_gate(reporter: pytest.TerminalReporter, result: GateResult, *, verbosity: int) -> None:
    """The block of one gate."""
    heading = title(result)
    reporter.write_sep("-", heading.text, bold=True, **markup(heading.colour))
    for line in block(result, verbosity=verbosity, width=columns(reporter), wrap=bool(reporter.isatty)):
        reporter.write_line(line.text, **markup(line.colour))


def show_lines(reporter: pytest.TerminalReporter, lines: Iterable[Line]) -> None:
    """What is said of the session as a whole; nothing where that is nothing."""
    for number, line in enumerate(lines):
        if number == 0:
            reporter.write_sep("-", "ftgate")
        reporter.write_line(printable(line.text), **markup(line.colour))
