"""Detect that models or the test set have changed since the last green verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.checks.freshness.last_green import beneath, check_name, kept_role, today_models
from pytest_ftgate.result import STATUS_AT, Check, called
from pytest_ftgate.text import day, excerpt

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

_REBASED = (
    "Use the earlier model again. If the change is intended, judge the gate once with clock: {base_changed: warn}; "
    "that green verdict becomes the new reference."
)


def check(gate: Context) -> Iterator[Check]:
    """Check that the base models are those of the last green verdict, and report a changed test set."""
    last, clock = gate.last_green, gate.config.clock
    if last is None:
        return
    fails = clock.base_changed == "fail"
    for role, model in today_models(gate).items() if clock.base_changed != "ignore" else ():
        then, now = beneath(role, last.models.get(kept_role(gate.config, role))), beneath(role, model)
        if then is None or now is None or then == now:
            continue
        what = f"the base model of {called(role)}" if role == "candidate" else called(role)
        yield Check(
            check_name("base_changed", role),
            STATUS_AT[clock.base_changed],
            f"{what} is {excerpt(now)}, but was {excerpt(then)} at the last green verdict ({day(last.judged_at)})",
            observed=now,
            required=then,
            source=clock.source("base_changed"),
            advice=_REBASED if fails else None,
            action="measure_again" if fails else None,
        )
    if (last.test_set, last.whole or last.examples) != (gate.test.sha256, gate.n_whole):
        message = f"the test set has changed since the last green verdict ({day(last.judged_at)})"
        yield Check("test_set_changed", "note", message, observed=gate.test.sha256, required=last.test_set)
