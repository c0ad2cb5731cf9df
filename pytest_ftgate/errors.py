"""What can go wrong, said once and well: what, where, the evidence, the cure."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_ftgate.safe import printable

_MOST_LINES = 10


def shown_path(path: str | os.PathLike[str]) -> str:
    """The path as a user knows it: relative to the working folder where it lies inside, else absolute."""
    absolute = Path(os.path.abspath(path))
    try:
        return absolute.relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return absolute.as_posix()


@dataclass(frozen=True, slots=True)
class Where:
    """A place that a user can open: ``file:line: key``. Every part may be absent."""

    path: str | None = None
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        place = self.path or ""
        if place and self.line is not None:
            place = f"{place}:{self.line}"
        return ": ".join(part for part in (place, self.key) if part)


class FtgateError(Exception):
    """Base of all errors of this package. The first line of the text stands alone; evidence and cure follow.

    What it quotes may come from anywhere: the text is harmless to print, and each of its lines has a limit.

    Args:
        what: what is wrong, one sentence without a final stop.
        where: the file, line and key it is wrong in.
        evidence: what was found, where ``what`` does not say it.
        cure: what to do about it.
    """

    def __init__(
        self, what: str, *, where: Where | None = None, evidence: str | None = None, cure: str | None = None
    ) -> None:
        self.what = what
        self.where = where
        self.evidence = evidence
        self.cure = cure
        super().__init__(what)

    def __str__(self) -> str:
        place = str(self.where) if self.where is not None else ""
        head = f"{place}: {self.what}" if place else self.what
        more = [line for text in (self.evidence, self.cure) if text for line in _first_lines(text)]
        return "\n".join([printable(head), *(f"  {printable(line.strip())}" for line in more)])


def _first_lines(text: str) -> list[str]:
    return text.split("\n", _MOST_LINES)[:_MOST_LINES]


class ConfigError(FtgateError):
    """The gate, its marker or an option does not say something that can be judged."""


class DataError(FtgateError):
    """A data file or an iterable of examples cannot be read as asked."""


class StoreError(FtgateError):
    """Predictions cannot be kept or read back."""


Trouble = Literal["busy", "unreachable", "other"]


class ModelError(FtgateError):
    """A model gave no answer.

    Args:
        retryable: the same call may succeed later.
        retry_after_s: how many seconds the endpoint asked to wait.
        trouble: of what kind it is, as far as that matters to how the call is tried again. ``busy``: it was one too
            many for the endpoint; ``unreachable``: there was no connection; ``other``.
        fatal: no other call can succeed either (a wrong key, an unknown model): the run stops at once.
        unpaid: the call has surely cost nothing: it never left, or was turned away.
    """

    def __init__(
        self,
        what: str,
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
        trouble: Trouble = "other",
        fatal: bool = False,
        unpaid: bool = False,
        where: Where | None = None,
        evidence: str | None = None,
        cure: str | None = None,
    ) -> None:
        super().__init__(what, where=where, evidence=evidence, cure=cure)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.trouble: Trouble = trouble
        self.fatal = fatal
        self.unpaid = unpaid


class Interrupted(KeyboardInterrupt):  # it is no error
    """Ctrl-C while models were asked.

    Args:
        abandoned: names of the models whose calls go on in threads that nobody waits for.
    """

    def __init__(self, abandoned: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.abandoned = abandoned


class MetricError(FtgateError):
    """A metric has no value that could be judged: it is undefined for these answers, or broke its own promise.

    Args:
        example: the index of the example whose score is at fault, where it is one.
    """

    def __init__(
        self,
        what: str,
        *,
        example: int | None = None,
        where: Where | None = None,
        evidence: str | None = None,
        cure: str | None = None,
    ) -> None:
        super().__init__(what, where=where, evidence=evidence, cure=cure)
        self.example = example


class HistoryError(FtgateError):
    """Git does not tell what a file was where this change began."""
