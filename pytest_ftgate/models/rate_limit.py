"""What the headers of an answer say about the next one: how many requests and tokens are left, and until when."""

from __future__ import annotations

import re
from collections.abc import Mapping

_KINDS = ("requests", "tokens")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def pause_s(headers: Mapping[str, str]) -> float:
    """Seconds until the endpoint takes another request; 0 where it does now, or does not say.

    Read are ``x-ratelimit-remaining-requests`` and ``x-ratelimit-reset-requests``, likewise of ``tokens``, as OpenAI
    and servers after its example send them.
    """
    waits_s = (_reset_s(headers.get(f"x-ratelimit-reset-{kind}")) for kind in _KINDS if _is_used_up(headers, kind))
    return max(waits_s, default=0.0)


def _is_used_up(headers: Mapping[str, str], kind: str) -> bool:
    remaining = headers.get(f"x-ratelimit-remaining-{kind}")
    return remaining is not None and remaining.strip().isdecimal() and int(remaining) == 0


def _reset_s(text: str | None) -> float:
    """A duration as ``1s``, ``6m0s``, ``88ms``, or a bare number of seconds."""
    if text is None:
        return 0.0
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text.strip():
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return float(text) if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) else 0.0
