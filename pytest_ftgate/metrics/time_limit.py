"""A limit on what reading one answer may take: a pattern can backtrack for years, and a CI job must not hang."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TypeVar

from pytest_ftgate.errors import MetricError
from pytest_ftgate.text import printable

LIMIT_S = 30.0
"""Seconds of this process's own work; waiting does not count, so that a loaded machine changes no verdict."""

_SHOWN = 60
_T = TypeVar("_T")


class _OutOfTimeError(BaseException):
    """No ``Exception``: whoever runs below us must not take it for a fault of their own."""


def within_limit(what: str, work: Callable[[], _T], text: str) -> _T:
    """Return what ``work()`` gives; give up after :data:`LIMIT_S`: then neither right nor wrong, the gate is in error.

    Python's regular expressions look for signals while they search, so that a timer can end them: the one that counts
    the time of the process, which test runners and their time-out plugins leave alone. There is no limit where signals
    cannot be had: outside of the main thread, on Windows, or where somebody else uses that timer. ``what`` was tried
    and ``text`` are for the message.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
        or signal.getitimer(signal.ITIMER_VIRTUAL)[0] != 0
        or signal.getsignal(signal.SIGVTALRM) is None  # a handler that was not set by Python cannot be put back
    ):
        return work()
    before = signal.signal(signal.SIGVTALRM, _out_of_time)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
        return work()
    except _OutOfTimeError:
        raise MetricError(
            f"{what} was given up after {LIMIT_S:g} s of work on one answer",
            evidence=f"The answer: {printable(text, _SHOWN)!r}",
            cure="Write it so that a part cannot match the same text in many ways, as (a+)+ can.",
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _out_of_time(*_: object) -> None:
    raise _OutOfTimeError
