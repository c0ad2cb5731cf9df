"""The last green verdict and what it stood on, in two lines."""

from __future__ import annotations

from pytest_ftgate.numbers import plural
from pytest_ftgate.result import Clock, GateResult

_SPEAKING = ("max_age_days", "alias_", "base_changed_", "shutdown_", "drift")


def clock_lines(result: GateResult, *, full: bool) -> list[str]:
    """``last green 2026-08-01 (115 days ago)``, where the clock has something to say; always where ``full``."""
    clock = result.clock
    if clock is None or not (full or any(_speaks(check.name, check.status) for check in result.checks)):
        return []
    lines = [] if clock.last_green is None else [_last(clock.last_green, clock.last_green_age_days)]
    return lines + ([f"  {_dates(clock)}"] if full and clock.shutdown_dates else [])


def _speaks(name: str, status: str) -> bool:
    return status != "pass" and name.startswith(_SPEAKING)


def _last(at: str, age_days: float | None) -> str:
    ago = "" if age_days is None else f" ({plural(int(age_days), 'day')} ago)" if age_days >= 1 else " (today)"
    return f"last green {at[:10]}{ago}"


def _dates(clock: Clock) -> str:
    return "shutdown dates: " + ", ".join(f"{model} {day}" for model, day in sorted(clock.shutdown_dates.items()))
