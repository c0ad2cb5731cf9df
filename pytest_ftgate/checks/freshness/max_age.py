"""Check the age of the answers, and collect what is known about the last green verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks.freshness.last_green import answer_times, beneath, kept_role, oldest_answer, today_models
from pytest_ftgate.result import Check, Clock, called
from pytest_ftgate.runs.measure import made_at
from pytest_ftgate.text import DAY_S, day, plural, timestamp

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

_AGAIN = "Ask the models again with --ftgate-cache=refresh, or record them again. If the gate then fails, retrain."
_UNDATED = (
    "Record them with --ftgate-report=recordings:FOLDER, which writes created_at, or ask the models instead of using "
    "recorded predictions."
)
_FUTURE = "Correct the clock of this machine, or record the predictions again."


def facts(gate: Context) -> dict[str, Clock | None]:
    """Return the clock with the age of the oldest answer in days."""
    oldest = oldest_answer(gate)
    age = None if oldest is None else _days(gate.now - oldest)
    return {"clock": replace(gate.result.clock or Clock(), evidence_age_days=age)}


def check(gate: Context) -> list[Check]:
    """Check that no answer is older than ``max_age_days``; an unknown age is an error."""
    return [] if gate.config.max_age_days is None or not gate.scored else [_age_check(gate)]


def known_clock(gate: Context) -> Clock:
    """Return the clock as far as it is known before any model is called."""
    last = gate.last_green
    today = {role: known for role, one in today_models(gate).items() if (known := beneath(role, one))}
    clock = Clock(base_models=today)
    if last is None:
        return clock
    then = {role: beneath(role, last.models.get(kept_role(gate.config, role))) for role in gate.models}
    return replace(
        clock,
        last_green=timestamp(last.judged_at),
        last_green_age_days=_days(gate.now - last.judged_at),
        last_measured=None if last.measured_at is None else timestamp(last.measured_at),
        last_base_models={role: known for role, known in then.items() if known},
    )


def _days(seconds: float) -> float:
    return round(max(seconds, 0.0) / DAY_S, 3)


def _age_check(gate: Context) -> Check:
    oldest, now, required = oldest_answer(gate), gate.now, gate.requirement("max_age_days")
    unknown = "the age of the predictions is unknown: "
    if oldest is None:
        undated = {role for role, run in gate.all_runs() if any(at is None for _, at in made_at(run))}
        models = [called(role) for role in gate.runs if role in undated]
        roles = ", ".join([*models, *(["the judge"] if undated.intersection(gate.judge_run.runs) else [])])
        message = f"{unknown}those of {roles} have no created_at"
        return Check("max_age_days", "error", message, **required, advice=_UNDATED)
    if (newest := max(at for at in answer_times(gate) if at is not None)) > now + DAY_S:
        message = f"{unknown}one is dated {day(newest)}, but today is {day(now)}"
        return Check("max_age_days", "error", message, **required, advice=_FUTURE)
    age, most = max(now - oldest, 0.0) / DAY_S, required["required"]
    fresh = age <= most
    return Check(
        "max_age_days",
        "pass" if fresh else "fail",
        f"the oldest prediction is {plural(int(age), 'day')} old ({day(oldest)}; limit {most:g} days)",
        observed=round(age, 3),
        **required,
        advice=None if fresh else _AGAIN,
        action="measure_again",
    )
