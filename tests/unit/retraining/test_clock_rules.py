"""The clock in reports: as JSON and back, and the lines of the block; what a green verdict is filed under."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gate_context import config, context

from pytest_ftgate.checks.freshness.last_green import note_name
from pytest_ftgate.checks.freshness.shutdown import shutdown_check, unknown_check
from pytest_ftgate.reports.text import block
from pytest_ftgate.result import Check, Clock, Drift, GateResult, Threshold

NOON = 1_785_585_600.0  # 2026-08-01T12:00:00Z
CLOCK = Clock(
    last_green="2026-08-01T12:00:00Z",
    last_green_age_days=115.2,
    last_measured="2026-07-30T12:00:00Z",
    evidence_age_days=117.0,
    base_models={"candidate": "mini"},
    last_base_models={"candidate": "nano"},
    shutdown_dates={"mini": "2027-01-14"},
    drift=(Drift("candidate", 0.9, 0.8, -0.1, 6, 0, beyond_noise=True), Drift("baseline", 0.5, 0.5, 0.0, 0, 0)),
)


def lines(*checks: Check, verbosity: int = 0, clock: Clock | None = CLOCK) -> list[str]:
    result = GateResult("a", "a", "pass", clock=clock, checks=checks)
    return [
        line.text for line in block(result, verbosity=verbosity) if "last green" in line.text or "dates" in line.text
    ]


def test_the_last_green_verdict_is_shown_where_it_matters() -> None:
    assert lines() == lines(Check("max_age_days", "pass", "x")) == []
    shown = "last green 2026-08-01 (115 days ago)"
    assert lines(Check("max_age_days", "fail", "x")) == lines(Check("drift_candidate", "note", "x")) == [shown]
    assert lines(verbosity=1) == [shown, "  shutdown dates: mini 2027-01-14"]
    assert lines(verbosity=1, clock=Clock()) == lines(verbosity=1, clock=None) == []


@pytest.mark.parametrize(
    ("shutdown", "when", "status"),
    [
        ("2026-08-31", "in 30 days", "warning"),
        ("2026-09-01", "in 31 days", "note"),
        ("2026-08-02", "in 1 day", "warning"),
        ("2026-08-01", "today", "warning"),
        ("2026-07-31", "1 day ago", "warning"),
        ("2020-08-01", "2,191 days ago", "warning"),
    ],
)
def test_days_are_counted_by_the_calendar(shutdown: str, when: str, status: str) -> None:
    gate = context({"clock": {"shutdown_within_days": 30}}, now=NOON)
    check = shutdown_check(gate, "candidate", "ft", "ft", shutdown)
    assert (check.status, check.required, check.source) == (status, 30, "default")
    assert check.threshold == Threshold("clock.shutdown_within_days", 30, "lower")
    assert check.observed == shutdown
    assert when in check.message
    assert shutdown_check(replace(gate, now=NOON + 11 * 3600), "candidate", "ft", "ft", shutdown) == check


def test_before_and_after_training_are_filed_apart() -> None:
    assert note_name(config({}), "test_a.py::test") == "green: accept x"
    assert note_name(config({"stage": "ready"}), "test_a.py::test") == "green: ready x"


@pytest.mark.parametrize(
    ("role", "day", "late", "cure"),
    [
        ("candidate", "2026-08-02", False, "another base model"),
        ("candidate", "2026-08-01", False, "another base model"),
        ("candidate", "2026-07-08", True, "another base model"),
        ("baseline", "2026-08-02", False, "successor"),
        ("baseline", "2026-07-08", True, "successor"),
    ],
)
def test_what_to_do_about_a_shutdown_depends_on_whether_it_is_past(role: str, day: str, late: bool, cure: str) -> None:
    advice = shutdown_check(context(now=NOON), role, "m", "m", day).advice or ""
    assert (cure in advice, "has passed" in advice) == (True, late)


def test_two_models_are_about_to_be_shut_down() -> None:
    one, two = (unknown_check("candidate", names).message for names in (["ft"], ["ft", "mini"]))
    assert ("ft" in one, "mini" in one) == (True, False)
    assert "ft and mini" in two
