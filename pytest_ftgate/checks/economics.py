"""What a gate asks of the economics of a fine-tune. What cannot be known is an error, before any call if possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.checks.pricing import FREE_CURE, why_free, why_priced_at_nothing, why_unpriced
from pytest_ftgate.money.economics import (
    CALLS_CURE,
    TRAINING_CURE,
    Amount,
    Costs,
    Economics,
    dollars,
    economics_of,
    training_cost,
    whole_days,
)
from pytest_ftgate.money.price import PRICE_CURE, UNKNOWN, price_of
from pytest_ftgate.numbers import plural, show_number
from pytest_ftgate.result import Check, ModelResult

if TYPE_CHECKING:
    from pytest_ftgate.config import EconomicsSpec
    from pytest_ftgate.models import Model

_DAYS, _SAVING = "max_break_even_days", "min_monthly_saving_usd"
LIMITS = (_DAYS, _SAVING)


def free_economics_checks(spec: EconomicsSpec | None, models: Mapping[str, Model]) -> list[Check]:
    """Limits of which is known before any call that they cannot be judged."""
    if spec is None:
        return []
    found = []
    for limit in LIMITS:
        lacking = [] if spec.calls_per_month is not None else [f"the number of calls ({CALLS_CURE})"]
        no_price = why_unpriced(models)
        lacking += [f"the cost of a call ({no_price}; give the model a {PRICE_CURE})"] if no_price else []
        free = None if spec.hosting_usd_per_month else why_priced_at_nothing(models)
        lacking += [f"the cost of a call ({_unbelieved(free)})"] if free else []
        paid = limit == _DAYS or bool(spec.retrains_per_year)
        untold = spec.training_cost_usd is None and price_of(models["candidate"]).training_per_1m is None
        lacking += [f"what training cost ({TRAINING_CURE})"] if paid and untold else []
        if getattr(spec, limit) is not None and lacking:
            found.append(_unknown(spec, limit, "; ".join(lacking)))
    return found


def measured_economics(
    spec: EconomicsSpec, baseline: ModelResult, candidate: ModelResult, models: Mapping[str, Model]
) -> Economics:
    """The economics by what both models cost on the test set.

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
    costs = Costs(
        spec.calls_per_month,
        per_call("baseline", baseline),
        _of_candidate(candidate, hosted=bool(spec.hosting_usd_per_month)),
        training,
        spec.data_cost_usd,
        spec.hosting_usd_per_month,
        spec.retrains_per_year,
    )
    return economics_of(costs)


def per_call(role: str, model: ModelResult) -> Amount:
    """What one call cost on the test set."""
    if model.cost_usd is None or not model.n_expected:
        reason = model.cost_unknown or "nothing was measured"
        cure = f" (give it a {PRICE_CURE})" if (model.price or "").startswith(UNKNOWN) else ""
        return Amount(None, f"what a call of the {role} {model.name} costs: {reason}{cure}")
    return Amount(model.cost_usd / model.n_expected, "measured")


def _of_candidate(candidate: ModelResult, *, hosted: bool) -> Amount:
    """What a call of the candidate cost: nothing only where its machine is paid by the month."""
    free = None if hosted else why_free(candidate)
    return Amount(None, f"what a call costs: {_unbelieved(free)}") if free else per_call("candidate", candidate)


def _unbelieved(free: str) -> str:
    return f"{free}. {FREE_CURE.removesuffix('.')}, or economics.hosting_usd_per_month"


def economics_checks(spec: EconomicsSpec, economics: Economics) -> list[Check]:
    """The limits of the gate, and what they leave out."""
    found = []
    if spec.max_break_even_days is not None:
        found.append(_break_even_check(spec, economics, spec.max_break_even_days))
    if spec.min_monthly_saving_usd is not None:
        found.append(_saving_check(spec, economics, spec.min_monthly_saving_usd))
    if spec.max_break_even_days is not None and economics.data_cost_usd is None:
        found.append(
            Check(
                "economics.data_cost_usd",
                "warning",
                "what preparing the data cost is not declared, and not counted",
                source=str(spec.sources[_DAYS]),
                advice="Give economics.data_cost_usd; 0 where it cost nothing.",
            )
        )
    return found


def _break_even_check(spec: EconomicsSpec, economics: Economics, most: float) -> Check:
    asked = f"asked for at most {_days(most)}"
    if economics.breaks_even is False:
        message, held = f"never pays for itself, {asked}", False
    elif economics.break_even_days is None:
        return _unknown(spec, _DAYS, economics.break_even_unknown or "")
    else:
        message = f"pays for itself after {plural(whole_days(economics.break_even_days), 'day')}, {asked}"
        held = round(economics.break_even_days, 12) <= round(most, 12)
    advice = None if held else "Wait for more calls, train for less, or keep the prompted model."
    return _limit_check(spec, _DAYS, message, held=held, observed=economics.break_even_days, advice=advice)


def _saving_check(spec: EconomicsSpec, economics: Economics, least: float) -> Check:
    saving = economics.monthly_saving_usd
    if saving is None:
        return _unknown(spec, _SAVING, economics.saving_unknown or "")
    held = round(saving, 12) >= round(least, 12)
    message = f"saves {dollars(saving)} a month, asked for at least {dollars(least)}"
    advice = None if held else "Keep the prompted model until there are more calls."
    return _limit_check(spec, _SAVING, message, held=held, observed=saving, advice=advice)


def _days(days: float) -> str:
    """``90 days``, ``1 day``, ``0.5 days``."""
    return f"{show_number(days)} {'day' if days == 1 else 'days'}"


def _limit_check(
    spec: EconomicsSpec, limit: str, message: str, *, held: bool, observed: float | None, advice: str | None
) -> Check:
    return Check(
        f"economics.{limit}",
        "pass" if held else "fail",
        message,
        observed=observed,
        required=getattr(spec, limit),
        source=str(spec.sources[limit]),
        advice=advice,
    )


def _unknown(spec: EconomicsSpec, limit: str, lacking: str) -> Check:
    return Check(
        f"economics.{limit}",
        "error",
        f"{limit} cannot be judged; unknown is {lacking}",
        required=getattr(spec, limit),
        source=str(spec.sources[limit]),
        advice="Give what is unknown: nothing is taken to cost nothing.",
    )
