"""How far the models are, on one moving line of a terminal."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from pytest_ftgate.safe import printable

if TYPE_CHECKING:
    from pytest_ftgate.runner import Progress


class ProgressLine:
    """Writes over itself, and wipes itself away in the end.

    Args:
        write: puts text on the terminal as it is, at once.
        fresh_line: ends the line that something else has begun.
        uncaptured: a context in which what is written is seen.
    """

    def __init__(
        self,
        write: Callable[[str], Any],
        fresh_line: Callable[[], Any],
        uncaptured: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._write = write
        self._fresh_line = fresh_line
        self._uncaptured = uncaptured
        self._jobs: dict[tuple[str, int], Progress] = {}  # a model may have several, told apart by their size
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        """Called as answers arrive."""
        self._jobs[progress.model, progress.total] = progress
        text = "ftgate: " + ", ".join(map(_shown, self._jobs.values()))
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
        self._jobs, self._width = {}, 0


def _columns() -> int:
    """One column less than the terminal has: a line that wraps could not be wiped."""
    return shutil.get_terminal_size().columns - 1


def _shown(progress: Progress) -> str:
    failed = f" ({progress.errors:,} failed)" if progress.errors else ""
    batch = f" (batch: {progress.in_batch[0]:,}/{progress.in_batch[1]:,})" if progress.in_batch else ""
    return f"{printable(progress.model, 30)} {progress.done:,}/{progress.total:,}{failed}{batch}"
