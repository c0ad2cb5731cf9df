"""Show the progress of the models on one line of a terminal, or as a line per minute in a log."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.runs.jobs import Progress
from pytest_ftgate.text import excerpt, printable, show_seconds

EVERY_S = 60.0
_HOUR_MIN = 60
_MINUTE_S = 60
_NAME_WIDTH = 30
_SHORTEST_NAME = 4
_LOG_COLUMNS = 80

Uncaptured = Callable[[], AbstractContextManager[Any]]


@dataclass
class ProgressDisplay:
    """Show the progress of all models, on a line that is wiped in the end or as a line per minute.

    Args:
        write: writes text to the terminal, or a line to the log.
        fresh_line: ends the line that something else has begun; None for a log.
        uncaptured: a context in which pytest does not capture output.
        clock: returns seconds.
    """

    write: Callable[[str], Any]
    fresh_line: Callable[[], Any] | None = None
    uncaptured: Uncaptured = nullcontext
    clock: Callable[[], float] = clock.monotonic
    # when each model began, and its progress, by name
    _latest: dict[str, tuple[float, Progress]] = field(default_factory=dict, init=False)
    _logged: float | None = field(default=None, init=False)
    _width: int = field(default=0, init=False)

    def __call__(self, progress: Progress) -> None:
        """Record the progress of one model; also called now and then if nothing changes."""
        time = self.clock()
        began, _ = self._latest.get(progress.model, (time, progress))
        self._latest[progress.model] = began, progress
        if self.fresh_line is None:
            self._log(time)
            return

        # a captured stream does not know the terminal's width
        with self.uncaptured():
            if not self._width:
                self.fresh_line()
            # a line that wraps could not be wiped
            columns = shutil.get_terminal_size().columns - 1
            line = self._line("ftgate: ", time, columns).ljust(self._width)[:columns]
            self.write("\r" + line)

        self._width = len(line)

    def _log(self, time: float) -> None:
        """Write a line if a minute has passed since the last one."""
        if self._logged is None:
            self._logged = time
        if time - self._logged >= EVERY_S:
            self._logged = time
            first = min(began for began, _ in self._latest.values())
            with self.uncaptured():
                self.write(self._line(f"ftgate, after {_span(time - first)}: ", time, _LOG_COLUMNS))

    def wipe(self) -> None:
        """Clear the line and forget all progress."""
        if self._width:
            with self.uncaptured():
                self.write("\r" + " " * self._width + "\r")
        self._latest = {}
        self._logged = None
        self._width = 0

    def _line(self, prefix: str, time: float, columns: int) -> str:
        """Return all models on one line: first facts are left out, then names are shortened."""
        facts = {
            progress.model: _facts(progress, time - began)
            for began, progress in self._latest.values()
        }
        n_facts = max(map(len, facts.values()))
        width = _NAME_WIDTH
        while True:
            models = []
            for _, progress in self._latest.values():
                models.append(_model(progress, facts[progress.model][:n_facts], width))
            line = prefix + ", ".join(models)
            if len(line) <= columns or width == _SHORTEST_NAME:
                return line
            if n_facts:
                n_facts -= 1
            else:
                width -= 1


def _model(progress: Progress, facts: list[str], width: int) -> str:
    answered = f"{progress.done - progress.errors:,}/{progress.total:,}"
    line = f"{printable(progress.model, width)} {answered}"
    if facts:
        line += f" ({', '.join(facts)})"
    return line


def _facts(progress: Progress, seconds: float) -> list[str]:
    """Return what else is known of a model, such as ``18 s left``, the most important first."""
    facts = []
    if progress.errors:
        facts.append(f"{progress.errors:,} failed")
    if progress.retrying:
        facts.append(f"{excerpt(progress.retrying)}, retrying")
    if progress.elsewhere:
        facts.append(f"{progress.elsewhere:,} asked by another process")

    n_asked = progress.done - progress.stored
    n_open = progress.total - progress.done
    # earlier it would be a guess
    if seconds >= 1 and n_asked > 0 and n_open:
        rate = n_asked / seconds
        facts.append(f"{_span(n_open / rate)} left")
        facts.append(f"{rate:.0f}/s" if rate >= 1 else f"{rate * _MINUTE_S:.0f}/min")
    if progress.last_failure:
        facts.append(f"last failure: {excerpt(progress.last_failure)}")
    return facts


def _span(seconds: float) -> str:
    """Return ``18 s``, ``4 min`` or ``2 h 5 min``."""
    if seconds < _MINUTE_S:
        return show_seconds(float(max(1, round(seconds)))).replace(".0", "")
    minutes = round(seconds / _MINUTE_S)
    if minutes < _HOUR_MIN:
        return f"{minutes} min"
    return f"{minutes // _HOUR_MIN} h {minutes % _HOUR_MIN} min"
