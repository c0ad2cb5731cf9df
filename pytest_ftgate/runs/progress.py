"""Show the progress of the models on one line of a terminal, or as a line per minute in a log."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import inf
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.runs.jobs import Progress
from pytest_ftgate.text import excerpt, printable, show_age

EVERY_S = 60.0
_NAME_WIDTH = 16
_LOG_COLUMNS = 80

Uncaptured = Callable[[], AbstractContextManager[Any]]


@dataclass
class ProgressDisplay:
    """Show the progress of all models, on a line that is wiped in the end or as a line per minute.

    Args:
        write: writes text to the terminal, or a line to the log.
        fresh_line: ends the line that something else has begun; None for a log.
        uncaptured: a context in which pytest does not capture output.
    """

    write: Callable[[str], Any]
    fresh_line: Callable[[], Any] | None = None
    uncaptured: Uncaptured = nullcontext
    # when the next line of a log is due
    _due_at: float | None = field(default=None, init=False)
    _width: int = field(default=0, init=False)

    def __call__(self, models: Sequence[Progress], seconds: float) -> None:
        """Show the progress of the models of a run, which began this many seconds ago."""
        line = _line(models, seconds)
        if self.fresh_line is None:
            self._log(line)
            return

        # a captured stream does not know the terminal's width
        with self.uncaptured():
            if not self._width:
                self.fresh_line()
            # a line that wraps could not be wiped
            columns = shutil.get_terminal_size().columns - 1
            line = line.ljust(self._width)[:columns]
            self.write(f"\r{line}")
        self._width = len(line)

    def _log(self, line: str) -> None:
        """Write a line if a minute has passed since the last one."""
        now = clock.monotonic()
        if self._due_at is None:
            self._due_at = now + EVERY_S
        if now >= self._due_at:
            self._due_at = now + EVERY_S
            with self.uncaptured():
                self.write(line[:_LOG_COLUMNS])

    def wipe(self) -> None:
        """Clear the line, and begin anew."""
        if self._width:
            with self.uncaptured():
                self.write("\r" + " " * self._width + "\r")
        self._due_at = None
        self._width = 0


def _line(models: Sequence[Progress], seconds: float) -> str:
    """Return what is known of the models, the most important first."""
    facts = []
    slowest = 0.0
    for progress in models:
        answered = f"{progress.done - progress.errors:,}/{progress.total:,}"
        fact = f"{printable(progress.model, _NAME_WIDTH)} {answered}"
        if progress.errors:
            fact += f" ({progress.errors:,} failed)"
        facts.append(fact)

        n_asked = progress.done - progress.stored
        n_open = progress.total - progress.done
        if n_open:
            slowest = max(slowest, n_open / n_asked if n_asked else inf)

    # earlier it would be a guess
    if seconds >= 1 and 0 < slowest < inf:
        facts.append(f"{show_age(seconds * slowest)} left")

    facts += [excerpt(progress.problem) for progress in models if progress.problem]
    return f"ftgate: {', '.join(facts)}"
