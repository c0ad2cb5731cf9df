"""Show the progress of the models on one line of a terminal, or as a line per minute in a log."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pytest_ftgate import clock, text
from pytest_ftgate.runs.jobs import Progress

EVERY_S = 60.0
_HOUR_S, _MINUTE_S = 3600, 60
_NAME_WIDTH, _SHORTEST_NAME, _LOG_COLUMNS = 30, 4, 80

Uncaptured = Callable[[], AbstractContextManager[Any]]


class ProgressDisplay:
    """Show the progress of all models, on a line that is wiped in the end or as a line per minute.

    Args:
        write: writes text to the terminal, or a line to the log.
        fresh_line: ends the line that something else has begun; None for a log.
        uncaptured: a context in which pytest does not capture output.
        clock: returns seconds.
    """

    def __init__(
        self,
        write: Callable[[str], Any],
        fresh_line: Callable[[], Any] | None = None,
        uncaptured: Uncaptured = nullcontext,
        clock: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._write, self._fresh_line, self._uncaptured, self._clock = (
            write,
            fresh_line,
            uncaptured,
            clock,
        )
        self._start()

    def _start(self) -> None:
        self._latest: dict[str, tuple[float, Progress]] = {}  # by model: when it began
        self._logged: float | None = None
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        """Record the progress of one model; also called now and then if nothing changes."""
        now = self._clock()
        began, _ = self._latest.get(progress.model, (now, progress))
        self._latest[progress.model] = began, progress
        if self._fresh_line is not None:
            with self._uncaptured():  # a captured stream does not know the terminal's width
                if not self._width:
                    self._fresh_line()
                # a line that wraps could not be wiped
                columns = shutil.get_terminal_size().columns - 1
                line = self._line("ftgate: ", now, columns).ljust(self._width)[:columns]
                self._write("\r" + line)
            self._width = len(line)
            return
        self._logged = now if self._logged is None else self._logged
        if now - self._logged >= EVERY_S:
            self._logged = now
            first = min(began for began, _ in self._latest.values())
            with self._uncaptured():
                self._write(self._line(f"ftgate, after {_span(now - first)}: ", now, _LOG_COLUMNS))

    def wipe(self) -> None:
        """Clear the line and forget all progress."""
        if self._width:
            with self._uncaptured():
                self._write("\r" + " " * self._width + "\r")
        self._start()

    def _line(self, prefix: str, now: float, columns: int) -> str:
        """Return all models on one line: first facts are left out, then names are shortened."""
        models = [(one, _facts(one, now - began)) for began, one in self._latest.values()]
        sizes = [(n, _NAME_WIDTH) for n in range(max(len(facts) for _, facts in models), -1, -1)]
        line = ""
        for n, width in [
            *sizes,
            *((0, width) for width in range(_NAME_WIDTH - 1, _SHORTEST_NAME - 1, -1)),
        ]:
            line = prefix + ", ".join(_model(one, facts[:n], width) for one, facts in models)
            if len(line) <= columns:
                break
        return line


def _model(one: Progress, facts: list[str], width: int) -> str:
    shown = f" ({', '.join(facts)})" if facts else ""
    return f"{text.printable(one.model, width)} {one.done - one.errors:,}/{one.total:,}{shown}"


def _facts(one: Progress, seconds: float) -> list[str]:
    """Return what else is known of a model, the most important first: ``3 failed``, ``18 s left``, ``45/s``."""
    asked, left = one.done - one.stored, one.total - one.done
    facts = [
        f"{one.errors:,} failed" if one.errors else "",
        f"{text.excerpt(one.retrying)}, retrying" if one.retrying else "",
        f"{one.elsewhere:,} asked by another process" if one.elsewhere else "",
    ]
    if seconds >= 1 and asked > 0 and left:  # earlier it would be a guess
        rate = asked / seconds
        facts += [
            f"{_span(left / rate)} left",
            f"{rate:.0f}/s" if rate >= 1 else f"{rate * _MINUTE_S:.0f}/min",
        ]
    if one.last_failure:
        facts.append(f"last failure: {text.excerpt(one.last_failure)}")
    return [fact for fact in facts if fact]


def _span(seconds: float) -> str:
    """Return ``18 s``, ``4 min`` or ``2 h 5 min``."""
    if seconds < _MINUTE_S:
        return text.show_seconds(float(max(1, round(seconds)))).replace(".0", "")
    minutes = round(seconds / _MINUTE_S)
    return (
        f"{minutes} min"
        if minutes < _HOUR_S // _MINUTE_S
        else f"{minutes // 60} h {minutes % 60} min"
    )
