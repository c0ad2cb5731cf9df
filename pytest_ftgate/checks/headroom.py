"""Before training: whether any candidate could save what the gate asks for, by what the baseline costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.checks.costs import NO_TRAINING, Amount, Costs, at_volume, best_case, dollars, not_counted
from pytest_ftgate.checks.economics import DAYS, SAVING, days_asked, exact_days, per_call, unknown_check
from pytest_ftgate.result import Check, ModelResult
from pytest_ftgate.text import show_number, show_usd

if TYPE_CHECKING:
    from pytest_ftgate.config import EconomicsSpec

_ADVICE = "Do not train: there is too little to be saved. Wait for more calls, or ask for less."


def known_costs(spec: EconomicsSpec, role: str, baseline: ModelResult) -> Costs:
    """What is known before training.

    Args:
        spec: what the gate declares.
        role: of the baseline.
        baseline: the one that is reported.
    """
    declared, source = spec.training_cost_usd, spec.sources["training_cost_usd"]
    training = Amount(None, NO_TRAINING.what, cure=NO_TRAINING.cure)
    return Costs(
        spec.calls_per_month,
        per_call(role, baseline),
        Amount(None, "there is no candidate yet"),
        training if declared is None else Amount(declared, f"declared ({source})"),
        spec.data_cost_usd,
        spec.hosting_usd_per_month,
        spec.retrains_per_year,
    )


def money_room_checks(spec: EconomicsSpec, costs: Costs) -> list[Check]:
    """What the baseline costs bounds what can be saved: no candidate costs less than nothing.

    Args:
        spec: what the gate asks for.
        costs: as they are known before training.
    """
    best = best_case(costs)
    lacking = best.lacking(training=False)
    found = []
    for limit, check in ((DAYS, _break_even_room), (SAVING, _saving_room)):
        if getattr(spec, limit) is not None:
            found.append(unknown_check(spec, limit, lacking) if lacking else check(spec, costs, best))
    return found


def _break_even_room(spec: EconomicsSpec, costs: Costs, best: Costs) -> Check:
    most = spec.max_break_even_days or 0.0
    days = at_volume(best, best.calls_per_month).break_even_days
    held = days is not None and round(days, 12) <= round(most, 12)
    seen = "never pays for itself" if days is None else f"pays for itself after {exact_days(days)} at the earliest"
    seen += "" if days is None else not_counted(costs)
    return _room(spec, DAYS, best, f"a candidate {seen}, asked for at most {days_asked(most)}", days, held=held)


def _saving_room(spec: EconomicsSpec, costs: Costs, best: Costs) -> Check:
    least = spec.min_monthly_saving_usd or 0.0
    saving = at_volume(best, costs.calls_per_month).monthly_saving_usd or 0.0
    held = round(saving, 12) >= round(least, 12)
    seen = f"a candidate saves {dollars(saving)} a month at most, asked for at least {dollars(least)}"
    return _room(spec, SAVING, best, seen, saving, held=held)


def _room(spec: EconomicsSpec, limit: str, best: Costs, seen: str, observed: float | None, *, held: bool) -> Check:
    calls, usd = best.calls_per_month or 0.0, best.baseline.usd or 0.0
    fixed = best.fixed_usd
    beside = f", and {dollars(fixed)} are paid for hosting and retraining" if fixed else ""
    rests_on = f"{show_number(calls)} calls a month cost {show_usd(calls * usd)} with {best.baseline.of}{beside}"
    return Check(
        "room",
        "pass" if held else "fail",
        f"{'' if held else 'no room: '}{rests_on}: {seen}",
        observed,
        getattr(spec, limit),
        str(spec.sources[limit]),
        None if held else _ADVICE,
    )
