"""How far the models are: on one moving line of a terminal, or as a line a minute in a log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from pytest_ftgate.text import printable, show_seconds, show_usd

if TYPE_CHECKING:
    from pytest_ftgate.runs.run_state import Progress

EVERY_S = 60.0
_HOUR_S, _MINUTE_S = 3600, 60

Uncaptured = Callable[[], AbstractContextManager[Any]]


class ProgressDisplay:
    """Show how far the models are: on a moving line that wipes itself away in the end, or as a line a minute.

    ``fresh_line`` ends the line of a terminal that something else has begun; without it ``write`` writes a log.
    What is written in the context ``uncaptured`` is seen.
    """

    def __init__(
        self,
        write: Callable[[str], Any],
        fresh_line: Callable[[], Any] | None = None,
        uncaptured: Uncaptured = nullcontext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._fresh_line = fresh_line
        self._uncaptured = uncaptured
        self._clock = clock
        self._start()

    def _start(self) -> None:
        self._latest: dict[tuple[str, int], Progress] = {}  # a model may have several jobs, told apart by their size
        self._began: dict[tuple[str, int], float] = {}
        self._logged: float | None = None
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        """Take note of what has arrived; called now and then while nothing does, too."""
        job, now = (progress.model, progress.total), self._clock()
        self._latest[job] = progress
        self._began.setdefault(job, now)
        text = ", ".join(_shown(one, now - self._began[job]) for job, one in self._latest.items())
        if self._fresh_line is not None:
            self._move(self._fresh_line, text)
            return
        self._logged = now if self._logged is None else self._logged
        if now - self._logged >= EVERY_S:
            self._logged = now
            with self._uncaptured():
                self._write(f"ftgate, after {_span(now - min(self._began.values()))}: {text}")

    def wipe(self) -> None:
        """Leave a terminal as it was, and begin anew."""
        if self._width:
            with self._uncaptured():
                self._write("\r" + " " * self._width + "\r")
        self._start()

    def _move(self, fresh_line: Callable[[], Any], text: str) -> None:
        with self._uncaptured():  # the terminal's width is not known to a captured stream
            if not self._width:
                fresh_line()
            # One column less than the terminal has: a line that wraps could not be wiped.
            line = f"ftgate: {text}".ljust(self._width)[: shutil.get_terminal_size().columns - 1]
            self._write("\r" + line)
        self._width = len(line)


def _shown(progress: Progress, seconds: float) -> str:
    """``tuned 1,200/2,000 (45/s, 18 s left, 3 failed, 61,234 tokens, $0.12)``."""
    asked, left, facts = progress.done - progress.stored, progress.total - progress.done, []
    if seconds >= 1 and asked > 0 and left:  # else it would be a guess
        rate = asked / seconds
        pace = f"{rate:.0f}/s" if rate >= 1 else f"{rate * _MINUTE_S:.0f}/min"
        facts = [pace, f"{_span(left / rate)} left"]
    facts += [f"{progress.errors:,} failed"] if progress.errors else []
    facts += [f"batch: {progress.in_batch[0]:,}/{progress.in_batch[1]:,}"] if progress.in_batch else []
    facts += [f"{progress.tokens:,} tokens"] if progress.tokens else []
    facts += [show_usd(progress.usd)] if progress.usd else []
    more = f" ({', '.join(facts)})" if facts else ""
    return f"{printable(progress.model, 30)} {progress.done:,}/{progress.total:,}{more}"


def _span(seconds: float) -> str:
    """``18 s``, ``4 min``, ``2 h 5 min``."""
    if seconds < _MINUTE_S:
        return show_seconds(float(round(seconds))).replace(".0", "") if seconds >= 1 else "1 s"
    minutes = round(seconds / _MINUTE_S)
    if minutes < _HOUR_S // _MINUTE_S:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
