"""For how long a model was busy, spread over its answers."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter


class BusyTime:
    """The time in which at least one call was under way, given to the answers in the order of their arrival.

    The shares of all answers add up to that time, however many calls ran side by side: what a machine that is paid by
    the hour spent on them.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._calls = 0
        self._since = 0.0
        self._unspent_s = 0.0

    def begin(self) -> None:
        """A call begins."""
        if not self._calls:
            self._since = self._clock()
        self._calls += 1

    def end(self) -> None:
        """A call has ended, with an answer or without."""
        self._calls -= 1
        if not self._calls:
            self._unspent_s += self._clock() - self._since

    def share_s(self) -> float:
        """Seconds that no answer has been given yet; asked for while the call that answered is still under way."""
        now = self._clock()
        share_s, self._unspent_s = self._unspent_s + now - self._since, 0.0
        self._since = now
        return share_s
