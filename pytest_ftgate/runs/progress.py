"""Show the progress of the models on one line of a terminal, or as a line per minute in a log."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.runs.jobs import Progress
from pytest_ftgate.text import excerpt, printable, show_seconds, show_usd

EVERY_S = 60.0
_HOUR_S, _MINUTE_S = 3600, 60
_NAME_WIDTH, _SHORTEST_NAME = 30, 4
_MOST_FACTS = 8  # about one model
_FAILURE_WIDTH = 60
_LOG_COLUMNS = 80
_PREFIX = "ftgate: "

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
        self._write = write
        self._fresh_line = fresh_line
        self._uncaptured = uncaptured
        self._clock = clock
        self._start()

    def _start(self) -> None:
        self._latest: dict[tuple[str, int], Progress] = {}  # a model may have several jobs of different sizes
        self._began: dict[str, float] = {}
        self._logged: float | None = None
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        """Record the progress of one job; also called now and then if nothing changes."""
        now = self._clock()
        self._latest[progress.model, progress.total] = progress
        self._began.setdefault(progress.model, now)
        jobs: dict[str, list[Progress]] = {}
        for one in self._latest.values():
            jobs.setdefault(one.model, []).append(one)
        models = [_summed(several, now - self._began[name]) for name, several in jobs.items()]
        if self._fresh_line is not None:
            self._move(self._fresh_line, models)
            return
        self._logged = now if self._logged is None else self._logged
        if now - self._logged >= EVERY_S:
            self._logged = now
            with self._uncaptured():
                after = f"ftgate, after {_span(now - min(self._began.values()))}: "
                self._write(f"{after}{_fitted(models, _LOG_COLUMNS - len(after))}")

    def wipe(self) -> None:
        """Clear the line and forget all progress."""
        if self._width:
            with self._uncaptured():
                self._write("\r" + " " * self._width + "\r")
        self._start()

    def _move(self, fresh_line: Callable[[], Any], models: "Sequence[_Model]") -> None:
        with self._uncaptured():  # a captured stream does not know the terminal's width
            if not self._width:
                fresh_line()
            columns = shutil.get_terminal_size().columns - 1  # a line that wraps could not be wiped
            line = f"{_PREFIX}{_fitted(models, columns - len(_PREFIX))}".ljust(self._width)[:columns]
            self._write("\r" + line)
        self._width = len(line)


@dataclass(frozen=True)
class _Model:
    """One model: its name, the count of its answers, and further facts, the most important first."""

    name: str
    count: str
    facts: Sequence[str]

    def text(self, facts: int, width: int) -> str:
        """Return the model with at most so many facts, its name cut to ``width``."""
        shown = ", ".join(self.facts[:facts])
        return f"{printable(self.name, width)} {self.count}" + (f" ({shown})" if shown else "")


def _fitted(models: Sequence[_Model], columns: int) -> str:
    """Return all models on one line of at most ``columns``: first facts are left out, then names are shortened."""
    sizes = [(facts, _NAME_WIDTH) for facts in range(_MOST_FACTS, -1, -1)]
    sizes += [(0, width) for width in range(_NAME_WIDTH - 1, _SHORTEST_NAME - 1, -1)]
    lines = (", ".join(model.text(*size) for model in models) for size in sizes)
    line = ""
    for line in lines:
        if len(line) <= columns:
            break
    return line


def _summed(jobs: Sequence[Progress], seconds: float) -> _Model:
    """Return the sum of a model's jobs: ``1,200/2,000 (3 failed, 18 s left, 45/s, $0.12, 61,234 tokens)``."""
    total, stored, failed = (sum(getattr(job, name) for job in jobs) for name in ("total", "stored", "errors"))
    ended = sum(job.done for job in jobs)
    asked, left, facts = ended - stored, total - ended, []
    scored = sum(job.scored for job in jobs)
    facts += [f"{100 * sum(job.right for job in jobs) / scored:.0f} % right"] if scored else []
    facts += [f"{failed:,} failed"] if failed else []
    waits = [job.retrying for job in jobs if job.retrying]
    facts += [f"{excerpt(failure, width=_FAILURE_WIDTH)}, retrying" for failure in waits[-1:]]
    if seconds >= 1 and asked > 0 and left:  # earlier it would be a guess
        rate = asked / seconds
        facts += [f"{_span(left / rate)} left", f"{rate:.0f}/s" if rate >= 1 else f"{rate * _MINUTE_S:.0f}/min"]
    usd, tokens = sum(job.usd for job in jobs), sum(job.tokens for job in jobs)
    facts += [show_usd(usd)] if usd else []
    facts += [f"{tokens:,} tokens"] if tokens else []
    failures = [job.last_failure for job in jobs if job.last_failure]
    facts += [f"last failure: {excerpt(failure, width=_FAILURE_WIDTH)}" for failure in failures[-1:]]
    return _Model(jobs[0].model, f"{ended - failed:,}/{total:,}", facts)


def _span(seconds: float) -> str:
    """Return ``18 s``, ``4 min`` or ``2 h 5 min``."""
    if seconds < _MINUTE_S:
        return show_seconds(float(round(seconds))).replace(".0", "") if seconds >= 1 else "1 s"
    minutes = round(seconds / _MINUTE_S)
    if minutes < _HOUR_S // _MINUTE_S:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
