"""Moments as people read them: in UTC, in one place, so that every report dates a thing alike."""

from __future__ import annotations

from datetime import date, datetime, timezone

DAY_S = 86_400.0


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as ``2026-08-01T14:05:09Z``."""
    return _utc(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def minute(seconds: float) -> str:
    """Seconds since the epoch as ``2026-08-01 14:05 UTC``."""
    return _utc(seconds).strftime("%Y-%m-%d %H:%M UTC")


def day(seconds: float) -> str:
    """Seconds since the epoch as ``2026-08-01``."""
    return date_of(seconds).isoformat()


def date_of(seconds: float) -> date:
    """The day in UTC.

    Raises:
        ValueError, OverflowError, OSError: no calendar has it.
    """
    return _utc(seconds).date()


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
