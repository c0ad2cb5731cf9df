"""One thing that was looked at, and the verdict that all of them add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["pass", "fail", "inconclusive", "error"]
Status = Literal["pass", "fail", "inconclusive", "error", "warning", "note"]

STATUS_AT: Mapping[str, Status] = {"ignore": "note", "warn": "warning", "fail": "fail"}
"""Of a check that did not hold, at the level that the gate gives it."""

_SEVERITY: tuple[Verdict, ...] = ("pass", "inconclusive", "fail", "error")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was seen, what was asked for, and what to do about it.

    Attributes:
        name: the key of the gate that it holds to, or the name of a finding.
        status: the four verdicts, or ``warning`` and ``note``, which change none.
        observed: the value seen, ``None`` where it could not be measured.
        required: the value asked for, ``None`` where nothing is asked.
        source: where the required value was written, such as ``ftgate.yaml:14``.
        message: one sentence that stands alone.
        advice: what to do, ``None`` where nothing is to be done.
    """

    name: str
    status: Status
    message: str
    observed: Any = None
    required: Any = None
    source: str | None = None
    advice: str | None = None


def verdict_of(checks: tuple[Check, ...]) -> Verdict:
    """The worst status counts: error > fail > inconclusive > pass. Warnings and notes change nothing."""
    statuses = {check.status for check in checks}
    return next(verdict for verdict in reversed(_SEVERITY) if verdict in statuses or verdict == "pass")
