"""What calls and a fine-tune cost, and the limit on its break-even. An unknown cost is an error, never zero."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_ftgate.checks.context import Found
from pytest_ftgate.models.price import PRICE_CURE, price_of
from pytest_ftgate.result import Check, Economics, ModelResult, called
from pytest_ftgate.text import plural, show_dollars, show_number, show_usd
from pytest_ftgate.unknown import Unknown, together

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import EconomicsKeys
    from pytest_ftgate.models import Model

DAYS_PER_MONTH = 365 / 12

_LIMIT = "economics.max_break_even_days"
_MOST_DAYS = 1000
"""From so many days on, a time is shown in years."""

_FREE = "Your own hardware is not free: set price: {gpu_hour_usd}"
_UNPRICED = f"Give the model a {PRICE_CURE}."
_UNCOUNTED = "Ask again with --ftgate-cache=refresh, or use an endpoint that reports token usage."
_NO_CALLS = Unknown("the number of calls is unknown", "Set economics.calls_per_month.")
_NO_TRAINING = Unknown("the training cost is unknown", "Set economics.training_cost_usd.")


# --- the cost of a call --------------------------------------------------------------------------------------


def call_usd(model: ModelResult) -> float | None:
    """Return the mean cost of a call on the test set in US dollars; None where it is unknown."""
    return None if model.cost_usd is None or not model.n_expected else model.cost_usd / model.n_expected


def unknown_cost(role: str, model: ModelResult) -> Unknown | None:
    """Return why the cost of a call of a model is unknown after it answered; None where it is known."""
    if call_usd(model) is not None:
        return None
    cure = _UNCOUNTED if model.price_unknown is None else _UNPRICED
    return Unknown(f"{called(role, model.name)}: {model.cost_unknown or 'no cost was measured'}", cure)


def unpriced(models: Mapping[str, Model]) -> dict[str, Unknown]:
    """Return by role the models whose cost will be unknown, known before any call.

    Baselines only if all of them have no price, because the best one is not known yet.
    """
    prices = {role: price_of(model) for role, model in models.items()}
    found = {
        role: Unknown(f"{called(role, models[role].name)}: {price.unknown}", _UNPRICED)
        for role, price in prices.items()
        if not price.known
    }
    if any(role not in found for role in models if role != "candidate"):
        return {role: one for role, one in found.items() if role == "candidate"}
    return found


def no_price(models: Mapping[str, Model]) -> Unknown | None:
    """Return why the costs of candidate and baseline cannot be compared; None where they may be."""
    unknown = unpriced(models)
    several = [unknown["candidate"]] if "candidate" in unknown else list(unknown.values())
    return together(*several) if several else None


def free(candidate: Model | ModelResult | None, *, hosting: bool = False) -> Unknown | None:
    """Return why costs cannot be compared where a call of the candidate costs $0; None where it does not.

    ``hosting``: the cost of hosting can be declared in place of a price.
    """
    if candidate is None:
        return None
    if isinstance(candidate, ModelResult):
        costs_nothing, source = candidate.cost_usd == 0, candidate.price
    else:
        price = price_of(candidate)
        costs_nothing, source = price.is_free, price.source
    if not costs_nothing:
        return None
    why = f"a call of candidate {candidate.name} costs nothing by its price ({source})"
    if hosting:
        return Unknown(f"the cost of a call is unknown: {why}", f"{_FREE}, or economics.hosting_usd_per_month.")
    return Unknown(why, f"{_FREE}.")


# --- saving and break-even -----------------------------------------------------------------------------------


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
    never = per_call is not None and round(per_call, 12) <= 0
    if per_call is None or retraining is None:
        return Payback(breaks_even=False if never else None)
    fixed = costs.hosting + retraining
    if calls is None:
        if never or fixed:
            return Payback(breaks_even=False if never else None)
        return Payback(None, True, None, None if upfront is None else upfront / per_call)
    saving = calls * per_call - fixed
    if never or round(saving, 12) <= 0:
        return Payback(saving, breaks_even=False)
    if upfront is None:
        return Payback(saving, breaks_even=True)
    return Payback(saving, True, upfront / saving * DAYS_PER_MONTH, upfront / saving * calls)


# --- the rule ------------------------------------------------------------------------------------------------


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that the limit can be judged."""
    spec, models = gate.config.economics, gate.models
    if spec is None or spec.max_break_even_days is None:
        return
    candidate = None if spec.hosting_usd_per_month else models.get("candidate")
    unknown = together(
        _NO_CALLS if spec.calls_per_month is None else None,
        no_price(models),
        free(candidate, hosting=True),
        _NO_TRAINING if spec.training_cost_usd is None and "candidate" in models else None,
    )
    if unknown.why:
        yield _cannot_be_judged(gate, unknown)


def check(gate: Context) -> Found:
    """Find what the fine-tune costs and saves, as far as that is known, and check the break-even against its limit.

    Before training they are those of the best possible candidate, whose calls are free.
    """
    spec = gate.config.economics
    if spec is None:
        return Found({})
    costs, unknown = _costs(gate, spec)
    trained = "candidate" in gate.models
    found = payback(costs) if trained else Payback()
    economics = Economics(
        calls_per_month=spec.calls_per_month,
        baseline_usd_per_1000_calls=_per_1000(costs.baseline),
        candidate_usd_per_1000_calls=_per_1000(costs.candidate) if trained else None,
        training_cost_usd=spec.training_cost_usd,
        data_cost_usd=spec.data_cost_usd,
        hosting_usd_per_month=spec.hosting_usd_per_month,
        retrains_per_year=spec.retrains_per_year,
        retraining_usd_per_month=None if spec.training_cost_usd is None else costs.retraining,
        monthly_saving_usd=found.monthly_saving,
        breaks_even=found.breaks_even,
        break_even_days=found.days,
        break_even_calls=found.calls,
        sentence=_sentence(costs, unknown.why, None if trained else _not_counted(spec)),
    )
    return Found({"economics": economics}, _within_limit(gate, spec, costs, unknown))


def _costs(gate: Context, spec: EconomicsKeys) -> tuple[Costs, Unknown]:
    """Return the costs, and what is unknown of them."""
    baseline, candidate, trained = gate.facts_of(gate.best), gate.facts_of("candidate"), "candidate" in gate.models
    per_call, training, of_candidate = call_usd(candidate), spec.training_cost_usd, None
    if not trained:
        per_call, training = 0.0, training or 0.0
    elif not spec.hosting_usd_per_month and (of_candidate := free(candidate, hosting=True)) is not None:
        per_call = None
    else:
        of_candidate = unknown_cost("candidate", candidate)
    unknown = together(
        _NO_CALLS if spec.calls_per_month is None else None,
        unknown_cost("baseline" if trained else gate.best, baseline),
        of_candidate,
        _NO_TRAINING if training is None else None,
    )
    declared = (spec.data_cost_usd or 0.0, spec.hosting_usd_per_month or 0.0, spec.retrains_per_year or 0.0)
    return Costs(spec.calls_per_month, call_usd(baseline), per_call, training, *declared), unknown


def _per_1000(usd: float | None) -> float | None:
    return None if usd is None else round(1000 * usd, 12)


def _within_limit(gate: Context, spec: EconomicsKeys, costs: Costs, unknown: Unknown) -> Iterator[Check]:
    """Check the break-even against its limit; before training, whether any candidate could meet it."""
    if spec.max_break_even_days is None:
        return
    found, most, required = payback(costs), spec.max_break_even_days, gate.requirement(_LIMIT)
    if found.days is None and found.breaks_even is not False:
        yield _cannot_be_judged(gate, unknown)
        return
    enough, trained = found.days is not None and round(found.days, 12) <= round(most, 12), "candidate" in gate.models
    name, advice = "economics", "Keep the prompted model until there are more calls, or reduce the cost of training."
    after = "never pays for itself" if found.days is None else f"pays for itself after {_days(found.days, exact=True)}"
    if not trained:
        name, advice = "headroom", "Do not train: even a free candidate would save too little at this number of calls."
        after += "" if found.days is None else f" at the earliest{_not_counted(spec)}"
        calls, monthly = costs.calls_per_month or 0.0, costs.hosting + (costs.retraining or 0.0)
        cost = f"{show_usd(calls * (costs.baseline or 0.0))} with {called(gate.best)} {gate.facts_of(gate.best).name}"
        cost += f", hosting and retraining cost {show_dollars(monthly)}" if monthly else ""
        after = f"{show_number(calls)} calls per month cost {cost}; a candidate {after}"
    yield Check(
        name,
        "pass" if enough else "fail",
        f"{after} (limit {show_number(most)} {'day' if most == 1 else 'days'})",
        found.days,
        **required,
        advice=None if enough else advice,
        action="cut_costs" if trained else "stop",
    )
    if trained and spec.data_cost_usd is None:
        message = "the cost of preparing the data is not declared and counts as $0"
        advice = "Set economics.data_cost_usd, to 0 if it cost nothing."
        yield Check("economics", "warning", message, source=gate.source(_LIMIT), advice=advice)


def _cannot_be_judged(gate: Context, unknown: Unknown) -> Check:
    message = f"the break-even cannot be calculated: {unknown.why}"
    return Check("economics", "error", message, **gate.requirement(_LIMIT), advice=unknown.cure or None)


# --- in words ------------------------------------------------------------------------------------------------


def _sentence(costs: Costs, unknown: str, not_counted: str | None) -> str:
    """Return the economics in one sentence: of a measured fine-tune, or of the best possible candidate.

    ``not_counted`` names what is not declared of the latter's costs; None: the fine-tune was measured.
    """
    found, calls, best = payback(costs), costs.calls_per_month, not_counted is not None
    at = "" if calls is None else f"At {show_number(calls)} calls per month "
    if costs.saved_per_call is None or (found.breaks_even is None and not best):
        return f"The saving is unknown: {unknown}."
    if found.breaks_even is False:
        subject = "even a candidate whose calls cost nothing" if best else "the fine-tune"
        lost = found.monthly_saving
        if lost is None:
            return _begun(f"{subject} never pays for itself: a call saves nothing.")
        more = f"costs {show_dollars(-lost)} per month more than the baseline" if round(lost, 9) else "saves nothing"
        return f"{at}{subject} {more}: it never pays for itself."
    amount = f"{show_dollars(1000 * costs.saved_per_call)} per 1,000 calls"
    if found.monthly_saving is not None:
        amount = f"{show_dollars(found.monthly_saving)} per month"
    saves = _begun(f"{at}{f'a candidate can save {amount} at most' if best else f'the fine-tune saves {amount}'}")
    if found.calls is None:
        return f"{saves}." if best else f"{saves}; the break-even is unknown: {unknown}."
    if not costs.upfront:
        return f"{saves}." if best else f"{saves} from the first call on."
    after = plural(_whole(found.calls), "call")
    if found.days is not None:
        after = f"{_days(found.days)} ({after})"
    comma, earliest = (",", f" at the earliest{not_counted}") if best else ("", "")
    return f"{saves}{comma} and pays for itself after {after}{earliest}."


def _begun(text: str) -> str:
    return text[0].upper() + text[1:]


def _not_counted(spec: EconomicsKeys) -> str:
    """Return which costs are not declared, as ``(training not counted)``."""
    declared = {"training": spec.training_cost_usd, "data preparation": spec.data_cost_usd}
    left_out = [name for name, usd in declared.items() if usd is None]
    return f" ({' and '.join(left_out)} not counted)" if left_out else ""


def _whole(number: float) -> int:
    """Return a number of days or calls, rounded up."""
    return math.ceil(round(number, 6))


def _days(days: float, *, exact: bool = False) -> str:
    """Return ``157 days``, and from 1,000 days on ``47 years``, or ``exact``: ``17,267 days (47 years)``."""
    counted, years = plural(_whole(days), "day"), days / 365
    if _whole(days) < _MOST_DAYS:
        return counted
    short = f"{years:.1f} years" if years < 10 else f"{years:,.0f} years"
    return f"{counted} ({short})" if exact else short
