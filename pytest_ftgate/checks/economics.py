"""What a fine-tune costs and saves, and the limit on its break-even. An unknown cost is an error, never zero."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_ftgate.checks.context import Found
from pytest_ftgate.checks.pricing import (
    FREE_TO_HOST_CURE,
    Lack,
    call_usd,
    cost_cure,
    no_price,
    why_free,
    why_priced_at_nothing,
)
from pytest_ftgate.result import Check, Economics, ModelResult, Status, called
from pytest_ftgate.text import plural, show_dollars, show_number, show_usd

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import EconomicsKeys

DAYS_PER_MONTH = 365 / 12

_LIMIT = "economics.max_break_even_days"
_MOST_DAYS = 1000
"""From so many days on, a time is shown in years."""

_NO_CALLS = Lack("the number of calls is unknown", "Set economics.calls_per_month.")
_NO_TRAINING = Lack("the training cost is unknown", "Set economics.training_cost_usd.")


@dataclass(frozen=True, slots=True)
class Costs:
    """Hold the costs from which saving and break-even follow, in US dollars; None where unknown.

    Attributes:
        baseline, candidate: of one call.
        training, data: paid once; a retraining costs as much as ``training``, without the data.
        hosting: paid by the month.
    """

    calls_per_month: float | None
    baseline: float | None
    candidate: float | None
    training: float | None
    data: float = 0.0
    hosting: float = 0.0
    retrains_per_year: float = 0.0

    @property
    def saved_per_call(self) -> float | None:
        """Return the saving per call, negative where the candidate costs more."""
        return None if self.baseline is None or self.candidate is None else self.baseline - self.candidate

    @property
    def retraining(self) -> float | None:
        """Return the monthly cost of retraining."""
        if not self.retrains_per_year:
            return 0.0
        return None if self.training is None else self.retrains_per_year * self.training / 12

    @property
    def upfront(self) -> float | None:
        return None if self.training is None else self.training + self.data


class Payback(NamedTuple):
    """Hold what a month saves, and when the fine-tune has paid for itself; None where unknown.

    Attributes:
        breaks_even: False if it never pays for itself.
    """

    monthly_saving: float | None = None
    breaks_even: bool | None = None
    days: float | None = None
    calls: float | None = None


def payback(costs: Costs) -> Payback:
    """Return saving and break-even. Without a number of calls the break-even in calls may be known."""
    per_call, calls, upfront, retraining = costs.saved_per_call, costs.calls_per_month, costs.upfront, costs.retraining
    fixed = None if retraining is None else costs.hosting + retraining
    saving = None if None in (per_call, calls, fixed) else (calls or 0.0) * (per_call or 0.0) - (fixed or 0.0)
    if per_call is None or fixed is None:
        never = per_call is not None and not _above_zero(per_call)
        return Payback(breaks_even=False if never else None)
    if not _above_zero(per_call) or (saving is not None and not _above_zero(saving)):
        return Payback(saving, breaks_even=False)
    if saving is None or calls is None:
        if fixed:
            return Payback()
        return Payback(None, True, None, None if upfront is None else upfront / per_call)
    if upfront is None:
        return Payback(saving, breaks_even=True)
    return Payback(saving, True, upfront / saving * DAYS_PER_MONTH, upfront / saving * calls)


def _above_zero(usd: float) -> bool:
    return round(usd, 12) > 0


# --- the costs of a gate -------------------------------------------------------------------------------------


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that the limit can be judged."""
    spec, models = gate.config.economics, gate.models
    if spec is None or spec.max_break_even_days is None:
        return
    unpriced = no_price(models)
    free = None if spec.hosting_usd_per_month else why_priced_at_nothing(models)
    lacks = [_NO_CALLS] if spec.calls_per_month is None else []
    lacks += [unpriced] if unpriced else []
    lacks += [_unbelieved(free)] if free else []
    lacks += [_NO_TRAINING] if spec.training_cost_usd is None and "candidate" in models else []
    if lacks:
        yield _unknown(gate, lacks)


def check(gate: Context) -> Found:
    """Find what the fine-tune costs and saves, as far as that is known, and check the break-even against its limit."""
    spec = gate.config.economics
    if spec is None:
        return Found({})
    costs, lacks = _costs_of(gate, spec)
    found = payback(costs) if gate.accepts else Payback()
    unknown, not_counted = _clause(lacks), "" if gate.accepts else _not_counted(spec)
    economics = Economics(
        calls_per_month=spec.calls_per_month,
        baseline_usd_per_1000_calls=_per_1000(costs.baseline),
        candidate_usd_per_1000_calls=_per_1000(costs.candidate) if gate.accepts else None,
        training_cost_usd=spec.training_cost_usd,
        data_cost_usd=spec.data_cost_usd,
        hosting_usd_per_month=spec.hosting_usd_per_month,
        retrains_per_year=spec.retrains_per_year,
        retraining_usd_per_month=None if spec.training_cost_usd is None else costs.retraining,
        monthly_saving_usd=found.monthly_saving,
        breaks_even=found.breaks_even,
        break_even_days=found.days,
        break_even_calls=found.calls,
        sentence=_sentence(costs, unknown, not_counted, best=not gate.accepts),
    )
    return Found({"economics": economics}, _within_limit(gate, spec, costs, lacks))


def _costs_of(gate: Context, spec: EconomicsKeys) -> tuple[Costs, list[Lack]]:
    """Return the costs, and what is unknown. Before training they are those of the best possible candidate."""
    baseline, candidate = gate.facts_of(gate.best), gate.facts_of("candidate")
    lacks = [_NO_CALLS] if spec.calls_per_month is None else []
    lacks += _lack("baseline" if gate.accepts else gate.best, baseline)
    per_call, training = call_usd(candidate), spec.training_cost_usd
    if not gate.accepts:
        per_call, training = 0.0, training or 0.0
    elif (free := why_free(candidate)) and not spec.hosting_usd_per_month:
        per_call, lacks = None, [*lacks, _unbelieved(free)]
    else:
        lacks += _lack("candidate", candidate)
    lacks += [_NO_TRAINING] if training is None else []
    once_and_monthly = (spec.data_cost_usd, spec.hosting_usd_per_month, spec.retrains_per_year)
    declared = (amount or 0.0 for amount in once_and_monthly)
    return Costs(spec.calls_per_month, call_usd(baseline), per_call, training, *declared), lacks


def _lack(role: str, model: ModelResult) -> list[Lack]:
    if call_usd(model) is not None:
        return []
    return [Lack(f"{called(role)} {model.name}: {model.cost_unknown or 'nothing was measured'}", cost_cure(model))]


def _unbelieved(free: str) -> Lack:
    return Lack(f"the cost of a call is unknown: {free}", FREE_TO_HOST_CURE)


def _per_1000(usd: float | None) -> float | None:
    return None if usd is None else round(1000 * usd, 12)


# --- the limit -----------------------------------------------------------------------------------------------


def _within_limit(gate: Context, spec: EconomicsKeys, costs: Costs, lacks: Sequence[Lack]) -> Iterator[Check]:
    """Check the break-even against its limit; before training, whether any candidate could meet it."""
    if spec.max_break_even_days is None:
        return
    found, most, required = payback(costs), spec.max_break_even_days, gate.requirement(_LIMIT)
    if found.days is None and found.breaks_even is not False:
        yield _unknown(gate, lacks)
        return
    enough = found.days is not None and round(found.days, 12) <= round(most, 12)
    earliest = "" if gate.accepts else f" at the earliest{_not_counted(spec)}"
    after = (
        "never pays for itself" if found.days is None else f"pays for itself after {_exact_days(found.days)}{earliest}"
    )
    message = f"{after} (limit {show_number(most)} {'day' if most == 1 else 'days'})"
    if not gate.accepts:
        yield _headroom(gate, costs, Check("headroom", "pass" if enough else "fail", message, found.days, **required))
        return
    advice = None if enough else "Keep the prompted model until there are more calls, or reduce the cost of training."
    status: Status = "pass" if enough else "fail"
    yield Check("economics", status, message, found.days, **required, advice=advice, action="cut_costs")
    if spec.data_cost_usd is None:
        yield Check(
            "economics",
            "warning",
            "the cost of preparing the data is not declared and counts as $0",
            source=gate.source(_LIMIT),
            advice="Set economics.data_cost_usd, to 0 if it cost nothing.",
        )


def _headroom(gate: Context, costs: Costs, outcome: Check) -> Check:
    """Return the check that the best possible candidate, whose calls are free, would meet the limit."""
    calls, baseline = costs.calls_per_month or 0.0, gate.facts_of(gate.best)
    monthly = costs.hosting + (costs.retraining or 0.0)
    fixed = f", hosting and retraining cost {show_dollars(monthly)}" if monthly else ""
    cost = f"{show_usd(calls * (costs.baseline or 0.0))} with {called(gate.best)} {baseline.name}{fixed}"
    failed = outcome.status == "fail"
    return replace(
        outcome,
        message=f"{show_number(calls)} calls per month cost {cost}; a candidate {outcome.message}",
        advice="Do not train: even a free candidate would save too little at this number of calls." if failed else None,
        action="stop" if failed else None,
    )


def _unknown(gate: Context, lacks: Sequence[Lack]) -> Check:
    """Return the error of a limit that depends on an unknown cost."""
    message = f"the break-even cannot be calculated: {_clause(lacks)}"
    cure = " ".join(dict.fromkeys(lack.cure for lack in lacks))
    return Check("economics", "error", message, **gate.requirement(_LIMIT), advice=cure or None)


# --- in words ------------------------------------------------------------------------------------------------


def _clause(lacks: Sequence[Lack]) -> str:
    return "; ".join(lack.what for lack in lacks)


def _sentence(costs: Costs, unknown: str, not_counted: str, *, best: bool) -> str:
    """Return the economics in one sentence: of a measured fine-tune, or of the ``best`` possible candidate."""
    found, calls = payback(costs), costs.calls_per_month
    at = "" if calls is None else f"At {show_number(calls)} calls per month "
    if costs.saved_per_call is None or (found.breaks_even is None and not best):
        return f"The saving is unknown: {unknown}."
    if found.breaks_even is False:
        subject = "even a candidate whose calls cost nothing" if best else "the fine-tune"
        lost = found.monthly_saving
        if lost is None:
            return f"{subject[0].upper()}{subject[1:]} never pays for itself: a call saves nothing."
        costs_more = (
            f"costs {show_dollars(-lost)} per month more than the baseline" if round(lost, 9) else "saves nothing"
        )
        return f"{at}{subject} {costs_more}: it never pays for itself."
    amount = f"{show_dollars(1000 * costs.saved_per_call)} per 1,000 calls"
    if found.monthly_saving is not None:
        amount = f"{show_dollars(found.monthly_saving)} per month"
    saves = f"a candidate can save {amount} at most" if best else f"the fine-tune saves {amount}"
    saves = f"{at}{saves}" if at else f"{saves[0].upper()}{saves[1:]}"
    if found.calls is None:
        return f"{saves}." if best else f"{saves}; the break-even is unknown: {unknown}."
    if not costs.upfront:
        return f"{saves}." if best else f"{saves} from the first call on."
    after = plural(_whole(found.calls), "call")
    if found.days is not None:
        after = f"{_days(found.days)} ({after})"
    if best:
        return f"{saves}, and pays for itself after {after} at the earliest{not_counted}."
    return f"{saves} and pays for itself after {after}."


def _not_counted(spec: EconomicsKeys) -> str:
    """Return which costs are not declared, as ``(training not counted)``."""
    declared = {"training": spec.training_cost_usd, "data preparation": spec.data_cost_usd}
    left_out = [name for name, usd in declared.items() if usd is None]
    return f" ({' and '.join(left_out)} not counted)" if left_out else ""


def _whole(number: float) -> int:
    """Return a number of days or calls, rounded up."""
    return math.ceil(round(number, 6))


def _days(days: float) -> str:
    """Return ``157 days``, and from 1,000 days on ``47 years``."""
    if _whole(days) < _MOST_DAYS:
        return plural(_whole(days), "day")
    years = days / 365
    return f"{years:.1f} years" if years < 10 else f"{years:,.0f} years"


def _exact_days(days: float) -> str:
    """Return ``90 days``, and from 1,000 days on ``17,267 days (47 years)``."""
    exact, short = plural(_whole(days), "day"), _days(days)
    return exact if short == exact else f"{exact} ({short})"
