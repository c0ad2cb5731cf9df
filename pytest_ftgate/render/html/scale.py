"""From values to places on an axis, and the round values that it is labelled with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_LOG_FROM = 20.0
_MOST_TICKS = 6


@dataclass(frozen=True)
class Scale:
    """An axis from ``low`` to ``high`` (below it), drawn from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value is drawn; one that lies outside is drawn at the end it is beyond."""
        low, high, value = (self._measure(x) for x in (self.low, self.high, min(max(value, self.low), self.high)))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def edges(self, bins: int) -> list[float]:
        """The ``bins + 1`` bounds of bins that are drawn equally wide."""
        low, high = self._measure(self.low), self._measure(self.high)
        steps = [low + (high - low) * number / bins for number in range(bins + 1)]
        return [math.exp(step) for step in steps] if self.log else steps

    def ticks(self, *, whole: bool = False) -> list[float]:
        """Round values on it, at most six; ``whole`` numbers alone, where it counts things."""
        found = _log_ticks(self.low, self.high) if self.log else _ticks(self.low, self.high)
        return [tick for tick in found if not whole or round(tick, 9).is_integer()]

    def _measure(self, value: float) -> float:
        return math.log(value) if self.log else value


def scale_of(values: Sequence[float], start: float, end: float) -> Scale:
    """An axis that holds all values (at least one), logarithmic where they lie far apart.

    Args:
        values: at least one, none below 0.
        start, end: where it is drawn.
    """
    low, high = min(values), max(values)
    if low > 0 and high / low >= _LOG_FROM:
        return Scale(low, high, start, end, log=True)
    if high == low:
        return Scale(low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1), start, end)
    return Scale(low, high, start, end)


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / (_MOST_TICKS - 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [factor * 10.0**decade for decade in decades for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) <= _MOST_TICKS:
            return found
    return found[:: math.ceil(len(found) / _MOST_TICKS)]
