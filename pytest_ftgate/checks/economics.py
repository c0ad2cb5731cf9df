"""What a gate asks of the economics of a fine-tune. What cannot be known is an error, before any call if possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.checks.costs import (
    NO_CALLS,
    NO_PRICE,
    NO_TRAINING,
    Amount,
    Costs,
    Lack,
    at_volume,
    best_case,
    dollars,
    economics_before_training,
    economics_of,
    not_counted,
    said,
    show_days,
    training_cost,
    whole_days,
)
from pytest_ftgate.checks.pricing import FREE_CURE, unpriced_cure, why_free, why_priced_at_nothing, why_unpriced
from pytest_ftgate.models.price import UNPRICED, price_of
from pytest_ftgate.result import Check, ModelResult, called
from pytest_ftgate.text import plural, show_number, show_usd

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import EconomicsKeys
    from pytest_ftgate.models import Model
    from pytest_ftgate.result import Economics

DAYS, SAVING = "max_break_even_days", "min_monthly_saving_usd"
LIMITS = (DAYS, SAVING)
_NOT_COUNTED = "Ask again (--ftgate-cache=refresh), or an endpoint that reports usage."


def check_free(gate: Context) -> list[Check]:
    """Check that the limits of the gate can be judged at all."""
    return free_economics_checks(gate.config.economics, gate.models)


def facts(gate: Context) -> dict[str, Economics | None]:
    """Return what the fine-tune costs and saves, as far as it is known."""
    costs = _costs(gate)
    if costs is None:
        return {"economics": None}
    return {"economics": economics_of(costs) if gate.accepts else economics_before_training(costs)}


def check(gate: Context) -> list[Check]:
    """Check the limits of the gate; before training, whether any candidate could hold them."""
    spec, costs = gate.config.economics, _costs(gate)
    if spec is None or costs is None:
        return []
    return economics_checks(spec, costs) if gate.accepts else money_room_checks(spec, costs)


def _costs(gate: Context) -> Costs | None:
    spec, result = gate.config.economics, gate.result
    if spec is None:
        return None
    if not gate.accepts:
        return known_costs(spec, gate.best, result.baseline)
    return measured_costs(spec, result.baseline, result.candidate, gate.models)


def free_economics_checks(spec: EconomicsKeys | None, models: Mapping[str, Model]) -> list[Check]:
    """Limits of which is known before any call that they cannot be judged."""
    if spec is None:
        return []
    found = []
    for limit in LIMITS:
        lacking = [NO_CALLS] if spec.calls_per_month is None else []
        no_price = why_unpriced(models)
        lacking += [Lack(no_price, unpriced_cure(no_price))] if no_price else []
        free = None if spec.hosting_usd_per_month else why_priced_at_nothing(models)
        lacking += [_unbelieved(free)] if free else []
        paid = limit == DAYS or bool(spec.retrains_per_year)
        lacking += [NO_TRAINING] if paid and _untold(spec, models) else []
        if getattr(spec, limit) is not None and lacking:
            found.append(unknown_check(spec, limit, lacking))
    return found


def _untold(spec: EconomicsKeys, models: Mapping[str, Model]) -> bool:
    """Whether nothing will say what training cost; before there is a candidate it need not be known."""
    candidate = models.get("candidate")
    return spec.training_cost_usd is None and candidate is not None and price_of(candidate).training_per_1m is None


def measured_costs(
    spec: EconomicsKeys, baseline: ModelResult, candidate: ModelResult, models: Mapping[str, Model]
) -> Costs:
    """What the economics rest on, by what both models cost on the test set.

    Args:
        spec: what the gate declares.
        baseline: the one that is reported.
        candidate: the fine-tuned model.
        models: by role; of the candidate the price of training counts.
    """
    training = training_cost(
        spec.training_cost_usd,
        str(spec.sources["training_cost_usd"]),
        trained_tokens=candidate.trained_tokens,
        price=price_of(models["candidate"]),
    )
    return Costs(
        spec.calls_per_month,
        per_call("baseline", baseline),
        _of_candidate(candidate, hosted=bool(spec.hosting_usd_per_month)),
        training,
        spec.data_cost_usd,
        spec.hosting_usd_per_month,
        spec.retrains_per_year,
    )


def per_call(role: str, model: ModelResult) -> Amount:
    """What one call cost on the test set."""
    if model.cost_usd is None or not model.n_expected:
        unpriced = model.price_unknown
        why = NO_PRICE if (unpriced or "").startswith(UNPRICED) else model.cost_unknown or "nothing was measured"
        cure = _NOT_COUNTED if unpriced is None else unpriced_cure(unpriced)
        return Amount(None, why, f"{called(role)} {model.name}", cure)
    return Amount(model.cost_usd / model.n_expected, "measured", f"{called(role)} {model.name}")


def _of_candidate(candidate: ModelResult, *, hosted: bool) -> Amount:
    """What a call of the candidate cost: nothing only where its machine is paid by the month."""
    free = None if hosted else why_free(candidate)
    if free is None:
        return per_call("candidate", candidate)
    lack = _unbelieved(free)
    return Amount(None, lack.what, cure=lack.cure)


def _unbelieved(free: str) -> Lack:
    cure = f"{FREE_CURE.removesuffix('.')}, or economics.hosting_usd_per_month."
    return Lack(f"the cost of a call cannot be told: {free}", cure)


def economics_checks(spec: EconomicsKeys, costs: Costs) -> list[Check]:
    """The limits of the gate, and what they leave out."""
    found = []
    if spec.max_break_even_days is not None:
        found.append(_break_even_check(spec, costs, spec.max_break_even_days))
    if spec.min_monthly_saving_usd is not None:
        found.append(_saving_check(spec, costs, spec.min_monthly_saving_usd))
    if spec.max_break_even_days is not None and costs.data_usd is None:
        found.append(
            Check(
                "economics.data_cost_usd",
                "warning",
                "what preparing the data cost is not declared, and not counted",
                source=str(spec.sources[DAYS]),
                advice="Give economics.data_cost_usd; 0 where it cost nothing.",
            )
        )
    return found


def _break_even_check(spec: EconomicsKeys, costs: Costs, most: float) -> Check:
    stated = at_volume(costs, costs.calls_per_month)
    asked = f"asked for at most {days_asked(most)}"
    if stated.breaks_even is False:
        message, held = f"never pays for itself, {asked}", False
    elif stated.break_even_days is None:
        return unknown_check(spec, DAYS, costs.break_even_lacks)
    else:
        message = f"pays for itself after {exact_days(stated.break_even_days)}, {asked}"
        held = round(stated.break_even_days, 12) <= round(most, 12)
    advice = None if held else "Wait for more calls, train for less, or keep the prompted model."
    return _limit_check(spec, DAYS, message, held=held, observed=stated.break_even_days, advice=advice)


def _saving_check(spec: EconomicsKeys, costs: Costs, least: float) -> Check:
    saving = at_volume(costs, costs.calls_per_month).monthly_saving_usd
    if saving is None:
        return unknown_check(spec, SAVING, costs.saving_lacks)
    held = round(saving, 12) >= round(least, 12)
    message = f"saves {dollars(saving)} a month, asked for at least {dollars(least)}"
    advice = None if held else "Keep the prompted model until there are more calls."
    return _limit_check(spec, SAVING, message, held=held, observed=saving, advice=advice)


def exact_days(days: float) -> str:
    """``90 days``, and where nobody counts so far ``17,267 days (47 years)``."""
    exact, short = plural(whole_days(days), "day"), show_days(days)
    return exact if short == exact else f"{exact} ({short})"


def days_asked(days: float) -> str:
    """``90 days``, ``1 day``, ``0.5 days``."""
    return f"{show_number(days)} {'day' if days == 1 else 'days'}"


def _limit_check(
    spec: EconomicsKeys, limit: str, message: str, *, held: bool, observed: float | None, advice: str | None
) -> Check:
    return Check(
        f"economics.{limit}",
        "pass" if held else "fail",
        message,
        observed=observed,
        required=getattr(spec, limit),
        source=str(spec.sources[limit]),
        advice=advice,
        action="cut_costs",
    )


def unknown_check(spec: EconomicsKeys, limit: str, lacking: Sequence[Lack]) -> Check:
    """A limit that rests on something unknown: nothing is taken to cost nothing."""
    judged = "the break-even" if limit == DAYS else "the saving"
    return Check(
        f"economics.{limit}",
        "error",
        f"{judged} cannot be judged: {said(lacking)}",
        required=getattr(spec, limit),
        source=str(spec.sources[limit]),
        advice=" ".join(dict.fromkeys(lack.cure for lack in lacking)) or None,
    )


# --- before training -----------------------------------------------------------------------------------------

_ADVICE = "Do not train: there is too little to be saved. Wait for more calls, or ask for less."


def known_costs(spec: EconomicsKeys, role: str, baseline: ModelResult) -> Costs:
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


def money_room_checks(spec: EconomicsKeys, costs: Costs) -> list[Check]:
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


def _break_even_room(spec: EconomicsKeys, costs: Costs, best: Costs) -> Check:
    most = spec.max_break_even_days or 0.0
    days = at_volume(best, best.calls_per_month).break_even_days
    held = days is not None and round(days, 12) <= round(most, 12)
    seen = "never pays for itself" if days is None else f"pays for itself after {exact_days(days)} at the earliest"
    seen += "" if days is None else not_counted(costs)
    return _room(spec, DAYS, best, f"a candidate {seen}, asked for at most {days_asked(most)}", days, held=held)


def _saving_room(spec: EconomicsKeys, costs: Costs, best: Costs) -> Check:
    least = spec.min_monthly_saving_usd or 0.0
    saving = at_volume(best, costs.calls_per_month).monthly_saving_usd or 0.0
    held = round(saving, 12) >= round(least, 12)
    seen = f"a candidate saves {dollars(saving)} a month at most, asked for at least {dollars(least)}"
    return _room(spec, SAVING, best, seen, saving, held=held)


def _room(spec: EconomicsKeys, limit: str, best: Costs, seen: str, observed: float | None, *, held: bool) -> Check:
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
        "stop",
    )
