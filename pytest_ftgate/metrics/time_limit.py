"""A time limit for matching one answer: a pattern can backtrack for years, and a CI job must not hang."""

import signal
import threading
from collections.abc import Callable
from typing import TypeVar

from pytest_ftgate.errors import MetricError
from pytest_ftgate.text import printable

LIMIT_S = 30.0
"""CPU seconds of this process; waiting does not count, so a busy machine does not change the verdict."""

_SHOWN = 60
_T = TypeVar("_T")


class _OutOfTimeError(BaseException):
    """Not an ``Exception``, so that the code that runs does not catch it."""


def within_limit(what: str, work: Callable[[], _T], text: str) -> _T:
    """Return ``work()``; raise :class:`MetricError` after :data:`LIMIT_S`. ``what`` and ``text`` are for the message.

    Python's regular expressions check for signals while they search, so a timer can end them. It is the virtual timer,
    which test runners and timeout plugins do not use. There is no limit where signals are not available: outside the
    main thread, on Windows, or if other code uses the timer.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
        or signal.getitimer(signal.ITIMER_VIRTUAL)[0] != 0
        or signal.getsignal(signal.SIGVTALRM) is None  # a handler that Python did not set cannot be restored
    ):
        return work()
    before = signal.signal(signal.SIGVTALRM, _out_of_time)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
        return work()
    except _OutOfTimeError:
        raise MetricError(
            f"{what} did not finish within {LIMIT_S:g} s on one answer",
            evidence=f"The answer: {printable(text, _SHOWN)!r}",
            cure="Avoid nested repetition such as (a+)+, which can match the same text in many ways.",
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _out_of_time(*_: object) -> None:
    raise _OutOfTimeError
