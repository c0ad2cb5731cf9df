"""The rules for the limits under ``economics``. An unknown cost is an error, found before any call where possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.checks.costs import (
    NO_CALLS,
    NO_TRAINING,
    Amount,
    Costs,
    at_volume,
    best_case,
    clause,
    days_asked,
    dollars,
    economics_before_training,
    economics_of,
    exact_days,
    not_counted,
    training_cost,
)
from pytest_ftgate.checks.pricing import (
    FREE_TO_HOST_CURE,
    Lack,
    call_usd,
    cost_cure,
    no_price,
    why_free,
    why_priced_at_nothing,
)
from pytest_ftgate.result import Check, ModelResult, called
from pytest_ftgate.text import show_number, show_usd

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import EconomicsKeys
    from pytest_ftgate.result import Economics

DAYS, SAVING = "max_break_even_days", "min_monthly_saving_usd"
_JUDGED = {DAYS: "the break-even", SAVING: "the monthly saving"}
_TOO_LITTLE = {
    DAYS: "Keep the prompted model until there are more calls, or reduce the cost of training.",
    SAVING: "Keep the prompted model until there are more calls.",
}
_NO_HEADROOM = "Do not train: even a free candidate would save too little at this number of calls."


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that the limits of the gate can be judged."""
    spec, models = gate.config.economics, gate.models
    if spec is None:
        return
    unpriced = no_price(models)
    free = None if spec.hosting_usd_per_month else why_priced_at_nothing(models)
    lacks = [NO_CALLS] if spec.calls_per_month is None else []
    lacks += [unpriced] if unpriced else []
    lacks += [_unbelieved(free)] if free else []
    # Without a candidate the training cost may still be unknown.
    training_unknown = spec.training_cost_usd is None and gate.accepts
    for limit in _limits(spec):
        paid = training_unknown and (limit == DAYS or spec.retrains_per_year)
        lacking = [*lacks, NO_TRAINING] if paid else lacks
        if lacking:
            yield _unknown(gate, limit, lacking)


def facts(gate: Context) -> dict[str, Economics | None]:
    """Return the costs and savings of the fine-tune, as far as they are known."""
    if gate.config.economics is None:
        return {"economics": None}
    return {"economics": (economics_of if gate.accepts else economics_before_training)(costs_of(gate))}


def check(gate: Context) -> Iterator[Check]:
    """Check the limits of the gate; before training, whether any candidate could meet them."""
    spec = gate.config.economics
    if spec is None:
        return
    costs = costs_of(gate)
    for limit in _limits(spec):
        yield (_limit_check if gate.accepts else _headroom_check)(gate, limit, costs)
    if gate.accepts and spec.max_break_even_days is not None and costs.data_usd is None:
        yield Check(
            "economics.data_cost_usd",
            "warning",
            "the cost of preparing the data is not declared and counts as $0",
            source=gate.source(f"economics.{DAYS}"),
            advice="Set economics.data_cost_usd, to 0 if it cost nothing.",
        )


def _limits(spec: EconomicsKeys) -> list[str]:
    return [limit for limit in (DAYS, SAVING) if getattr(spec, limit) is not None]


# --- costs ---------------------------------------------------------------------------------------


def costs_of(gate: Context) -> Costs:
    """Return the measured costs of both models on the test set, and the costs that the gate declares."""
    spec, baseline, candidate = gate.config.economics, gate.result.baseline, gate.result.candidate
    declared, source = spec.training_cost_usd, gate.source("economics.training_cost_usd")
    if gate.accepts:
        role, called_at = "baseline", _of_candidate(candidate, hosted=bool(spec.hosting_usd_per_month))
    else:
        role, called_at = gate.best, Amount(None, "there is no candidate yet")
    return Costs(
        spec.calls_per_month,
        _per_call(role, baseline),
        called_at,
        training_cost(declared, source),
        spec.data_cost_usd,
        spec.hosting_usd_per_month,
        spec.retrains_per_year,
    )


def _per_call(role: str, model: ModelResult) -> Amount:
    usd, name = call_usd(model), f"{called(role)} {model.name}"
    if usd is not None:
        return Amount(usd, "measured", name)
    unpriced = model.price_lack in ("price", "table")
    why = "no price" if unpriced else model.cost_unknown or "nothing was measured"
    return Amount(None, why, name, cost_cure(model), unpriced)


def _of_candidate(candidate: ModelResult, *, hosted: bool) -> Amount:
    """Return the cost of a call of the candidate; $0 is only accepted where hosting is declared."""
    free = None if hosted else why_free(candidate)
    if free is None:
        return _per_call("candidate", candidate)
    lack = _unbelieved(free)
    return Amount(None, lack.what, cure=lack.cure)


def _unbelieved(free: str) -> Lack:
    return Lack(f"the cost of a call is unknown: {free}", FREE_TO_HOST_CURE)


# --- the limits ----------------------------------------------------------------------------------------------


def _limit_check(gate: Context, limit: str, costs: Costs) -> Check:
    """Check the fine-tune against a limit. An unknown cost is an error, never $0."""
    volume = at_volume(costs, costs.calls_per_month)
    if limit == DAYS and volume.break_even_days is None and volume.breaks_even is not False:
        return _unknown(gate, limit, costs.lacking(training=True))
    if limit == SAVING and volume.monthly_saving_usd is None:
        return _unknown(gate, limit, costs.saving_lacks)
    observed, enough, message = _outcome(gate, limit, costs)
    return Check(
        f"economics.{limit}",
        "pass" if enough else "fail",
        message,
        observed,
        **gate.requirement(f"economics.{limit}"),
        advice=None if enough else _TOO_LITTLE[limit],
        action="cut_costs",
    )


def _headroom_check(gate: Context, limit: str, costs: Costs) -> Check:
    """Check before training that the best possible candidate, whose calls are free, would meet a limit."""
    best = best_case(costs)
    if lacking := best.lacking(training=False):
        return _unknown(gate, limit, lacking)
    observed, enough, message = _outcome(gate, limit, best, best_of=costs)
    calls, usd, fixed = best.calls_per_month or 0.0, best.baseline.usd or 0.0, best.fixed_usd
    fixed_note = f", hosting and retraining cost {dollars(fixed)}" if fixed else ""
    rests_on = f"{show_number(calls)} calls per month cost {show_usd(calls * usd)} with {best.baseline.of}{fixed_note}"
    return Check(
        "room",
        "pass" if enough else "fail",
        f"{rests_on}; a candidate {message}",
        observed,
        **gate.requirement(f"economics.{limit}"),
        advice=None if enough else _NO_HEADROOM,
        action="stop",
    )


def _outcome(
    gate: Context, limit: str, costs: Costs, *, best_of: Costs | None = None
) -> tuple[float | None, bool, str]:
    """Return the value that a limit bounds, whether it meets the limit, and both in words.

    ``best_of`` are the costs of which ``costs`` is the best case.
    """
    volume, value = at_volume(costs, costs.calls_per_month), getattr(gate.config.economics, limit)
    if limit == SAVING:
        saving, at_most = volume.monthly_saving_usd or 0.0, " at most" if best_of else ""
        verb = "saves" if saving >= 0 else "loses"
        message = f"{verb} {dollars(abs(saving))} per month{at_most} (at least {dollars(value)} required)"
        return saving, round(saving, 12) >= round(value, 12), message
    days, asked = volume.break_even_days, f"(limit {days_asked(value)})"
    if days is None:
        return None, False, f"never pays for itself {asked}"
    earliest = f" at the earliest{not_counted(best_of)}" if best_of else ""
    message = f"pays for itself after {exact_days(days)}{earliest} {asked}"
    return days, round(days, 12) <= round(value, 12), message


def _unknown(gate: Context, limit: str, lacking: Sequence[Lack]) -> Check:
    """Return the error of a limit that depends on an unknown cost."""
    return Check(
        f"economics.{limit}",
        "error",
        f"{_JUDGED[limit]} cannot be calculated: {clause(lacking)}",
        **gate.requirement(f"economics.{limit}"),
        advice=" ".join(dict.fromkeys(lack.cure for lack in lacking)) or None,
    )
