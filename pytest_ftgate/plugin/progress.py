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


class _Jobs:
    """What is known of the jobs under way, as one line.

    Args:
        clock: seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._latest: dict[tuple[str, int], Progress] = {}  # a model may have several, told apart by their size
        self._began: dict[tuple[str, int], float] = {}

    def note(self, progress: Progress) -> None:
        job = (progress.model, progress.total)
        self._latest[job] = progress
        self._began.setdefault(job, self._clock())

    def told(self) -> str:
        now = self._clock()
        return ", ".join(_shown(progress, now - self._began[job]) for job, progress in self._latest.items())

    def clear(self) -> None:
        self._latest, self._began = {}, {}


class ProgressLine:
    """Writes over itself, and wipes itself away in the end.

    Args:
        write: puts text on the terminal as it is, at once.
        fresh_line: ends the line that something else has begun.
        uncaptured: a context in which what is written is seen.
        clock: seconds that never run backwards.
    """

    def __init__(
        self,
        write: Callable[[str], Any],
        fresh_line: Callable[[], Any],
        uncaptured: Uncaptured = nullcontext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._fresh_line = fresh_line
        self._uncaptured = uncaptured
        self._jobs = _Jobs(clock)
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        """Called as answers arrive."""
        self._jobs.note(progress)
        text = "ftgate: " + self._jobs.told()
        with self._uncaptured():  # the terminal's width is not known to a captured stream
            if not self._width:
                self._fresh_line()
            line = text.ljust(self._width)[: _columns()]
            self._write("\r" + line)
        self._width = len(line)

    def wipe(self) -> None:
        """Leave the terminal as it was."""
        if self._width:
            with self._uncaptured():
                self._write("\r" + " " * self._width + "\r")
        self._jobs.clear()
        self._width = 0


class ProgressLog:
    """A line in a log whenever a minute has passed, so that a long run is seen to live; a short one says nothing.

    Args:
        write: puts one line into the log, at once.
        uncaptured: a context in which what is written is seen.
        clock: seconds that never run backwards.
    """

    def __init__(
        self,
        write: Callable[[str], Any],
        uncaptured: Uncaptured = nullcontext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._uncaptured = uncaptured
        self._clock = clock
        self._jobs = _Jobs(clock)
        self._began: float | None = None
        self._said = 0.0

    def __call__(self, progress: Progress) -> None:
        """Called as answers arrive, and now and then while none do."""
        now = self._clock()
        if self._began is None:
            self._began = self._said = now
        self._jobs.note(progress)
        if now - self._said < EVERY_S:
            return
        self._said = now
        with self._uncaptured():
            self._write(f"ftgate, after {_span(now - self._began)}: {self._jobs.told()}")

    def wipe(self) -> None:
        """The next run starts anew."""
        self._jobs.clear()
        self._began = None


def _columns() -> int:
    """One column less than the terminal has: a line that wraps could not be wiped."""
    return shutil.get_terminal_size().columns - 1


def _shown(progress: Progress, seconds: float) -> str:
    """``tuned 1,200/2,000 (45/s, 18 s left, 3 failed, 61,234 tokens, $0.12)``."""
    facts = [*_pace(progress, seconds)]
    facts += [f"{progress.errors:,} failed"] if progress.errors else []
    facts += [f"batch: {progress.in_batch[0]:,}/{progress.in_batch[1]:,}"] if progress.in_batch else []
    facts += [f"{progress.tokens:,} tokens"] if progress.tokens else []
    facts += [show_usd(progress.usd)] if progress.usd else []
    more = f" ({', '.join(facts)})" if facts else ""
    return f"{printable(progress.model, 30)} {progress.done:,}/{progress.total:,}{more}"


def _pace(progress: Progress, seconds: float) -> list[str]:
    """Answers a second, and how long the rest takes at that; nothing where that would be a guess."""
    asked, left = progress.done - progress.stored, progress.total - progress.done
    if seconds < 1 or asked <= 0 or not left:
        return []
    rate = asked / seconds
    shown = f"{rate:.0f}/s" if rate >= 1 else f"{rate * _MINUTE_S:.0f}/min"
    return [shown, f"{_span(left / rate)} left"]


def _span(seconds: float) -> str:
    """``18 s``, ``4 min``, ``2 h 5 min``."""
    if seconds < _MINUTE_S:
        return show_seconds(float(round(seconds))).replace(".0", "") if seconds >= 1 else "1 s"
    minutes = round(seconds / _MINUTE_S)
    if minutes < _HOUR_S // _MINUTE_S:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
