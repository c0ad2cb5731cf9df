"""What calls and a fine-tune cost, and the limit on its break-even. An unknown cost is an error, never zero."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.config import EconomicsKeys
from pytest_ftgate.config.requirements import TokenCost
from pytest_ftgate.models import Model
from pytest_ftgate.models.price import PRICE_CURE, price_of, tokens_usd
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.result import Check, Economics, ModelResult, called
from pytest_ftgate.runs.measure import run_cost
from pytest_ftgate.text import plural, show_dollars, show_number, show_usd
from pytest_ftgate.unknown import Unknown, together

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


def no_price(models: Mapping[str, Model]) -> Unknown | None:
    """Return why the costs of candidate and baseline cannot be compared; None where they may be.

    Baselines count only if all of them have no price, because the best one is not known yet.
    """
    prices = {role: price_of(model) for role, model in models.items()}
    found = {
        role: Unknown(f"{called(role, models[role].name)}: {price.unknown}", _UNPRICED)
        for role, price in prices.items()
        if not price.known
    }
    baselines = [role for role in models if role != "candidate"]
    if "candidate" in found or found.keys() >= set(baselines):
        return found.get("candidate") or together(*found.values())
    return None


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
        training: of one training; a retraining costs as much.
        data, evaluation: paid once, the evaluation for all ``iterations`` of the training.
        hosting: paid by the month.
    """

    calls_per_month: float | None
    baseline: float | None
    candidate: float | None
    training: float | None
    data: float = 0.0
    hosting: float = 0.0
    retrains_per_year: float = 0.0
    iterations: int = 1
    evaluation: float = 0.0

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
        return None if self.training is None else self.iterations * self.training + self.data + self.evaluation

    def highest(self, days: float | None) -> float | None:
        """Return the cost of a candidate's call above which it does not pay for itself (within ``days``, if given).

        None if it is unknown, or if even free calls would not pay.
        """
        monthly, upfront = self.retraining, self.upfront if days is not None else 0.0
        if self.baseline is None or monthly is None or upfront is None or (upfront and not days):
            return None
        fixed = self.hosting + monthly + (upfront / days * DAYS_PER_MONTH if days else 0.0)
        if self.calls_per_month is None:
            return None if fixed else self.baseline
        highest = self.baseline - fixed / self.calls_per_month
        return highest if highest > 0 else None


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

    Before training they are those of a candidate at ``candidate_price``, or else of one whose calls are free.
    """
    spec = gate.config.economics
    if spec is None:
        return Found({})
    costs, unknown, left_out = _costs(gate, spec)
    assumed = "candidate" in gate.models or spec.candidate_price is not None
    found, highest = payback(costs) if assumed else Payback(), costs.highest(spec.max_break_even_days)
    economics = Economics(
        calls_per_month=spec.calls_per_month,
        baseline_usd_per_1000_calls=_per_1000(costs.baseline),
        candidate_usd_per_1000_calls=_per_1000(costs.candidate) if assumed else None,
        highest_usd_per_1000_calls=_per_1000(highest),
        training_cost_usd=None if spec.training_cost_usd is None else costs.training,
        training_tokens=sum(gate.audit.tokens) if isinstance(spec.training_cost_usd, TokenCost) else None,
        iterations=spec.iterations,
        evaluation_cost_usd=None if "evaluation" in left_out else round(costs.evaluation, 12),
        data_cost_usd=spec.data_cost_usd,
        hosting_usd_per_month=spec.hosting_usd_per_month,
        retrains_per_year=spec.retrains_per_year,
        retraining_usd_per_month=None if spec.training_cost_usd is None else costs.retraining,
        monthly_saving_usd=found.monthly_saving,
        breaks_even=found.breaks_even,
        break_even_days=found.days,
        break_even_calls=found.calls,
        sentence=_sentence(gate, spec, costs, unknown.why, left_out),
    )
    return Found({"economics": economics}, _within_limit(gate, spec, costs, unknown, left_out))


def _costs(gate: Context, spec: EconomicsKeys) -> tuple[Costs, Unknown, list[str]]:
    """Return the costs, what is unknown of them, and which of those paid once count as nothing."""
    baseline, candidate, trained = gate.facts_of(gate.best), gate.facts_of("candidate"), "candidate" in gate.models
    per_call, of_candidate, training = call_usd(candidate), None, spec.training_cost_usd
    if isinstance(training, TokenCost):  # by the estimated number of tokens
        training = training.usd(sum(gate.audit.tokens))
    if not trained:
        per_call, of_candidate = _expected_usd(spec, baseline)
    elif not spec.hosting_usd_per_month and (of_candidate := free(candidate, hosting=True)) is not None:
        per_call = None
    else:
        of_candidate = unknown_cost("candidate", candidate)
    evaluation = _evaluation_usd(gate, spec.iterations, per_call)
    once = {"training": training, "data preparation": spec.data_cost_usd, "evaluation": evaluation}
    unknown = together(
        _NO_CALLS if spec.calls_per_month is None else None,
        unknown_cost("baseline" if trained else gate.best, baseline),
        of_candidate,
        _NO_TRAINING if training is None and trained else None,
    )
    costs = Costs(
        spec.calls_per_month,
        call_usd(baseline),
        per_call,
        training if trained else training or 0.0,
        spec.data_cost_usd or 0.0,
        spec.hosting_usd_per_month or 0.0,
        spec.retrains_per_year or 0.0,
        spec.iterations,
        evaluation or 0.0,
    )
    return costs, unknown, [name for name, usd in once.items() if usd is None]


def _expected_usd(spec: EconomicsKeys, baseline: ModelResult) -> tuple[float | None, Unknown | None]:
    """Return the cost of a candidate's call before training, with the baseline's tokens; 0 without a price of it."""
    if spec.candidate_price is None:
        return 0.0, None
    if baseline.input_tokens is None or baseline.output_tokens is None:
        return None, Unknown(f"the tokens of a call of {baseline.name} are unknown", _UNCOUNTED)
    price = Price("candidate_price", **spec.candidate_price.written())
    usd = tokens_usd(price, baseline.input_tokens, baseline.output_tokens) or 0.0  # both prices are written
    return usd / (baseline.n_expected or 1), None


def _evaluation_usd(gate: Context, iterations: int, per_call: float | None) -> float | None:
    """Return what the answers to all test sets cost: those of baselines once, the candidate's in each iteration.

    Before training a candidate is expected to be asked as often as the best baseline. Judges are not counted.
    """
    spent = [(name.role, run_cost(run).usd) for name, run in gate.runs.items()]
    if "candidate" not in gate.models:
        calls = sum(len(run.all_predictions) for name, run in gate.runs.items() if name.role == gate.best)
        spent.append(("candidate", None if per_call is None else per_call * calls))
    known = [usd * (iterations if role == "candidate" else 1) for role, usd in spent if usd is not None]
    return math.fsum(known) if len(known) == len(spent) else None


def _per_1000(usd: float | None) -> float | None:
    return None if usd is None else round(1000 * usd, 12)


def _within_limit(
    gate: Context, spec: EconomicsKeys, costs: Costs, unknown: Unknown, left_out: Sequence[str]
) -> Iterator[Check]:
    """Check the break-even against its limit; before training, whether the candidate that is expected could meet it."""
    if spec.max_break_even_days is None:
        return
    found, most, trained = payback(costs), spec.max_break_even_days, "candidate" in gate.models
    if found.days is None and found.breaks_even is not False:
        yield _cannot_be_judged(gate, unknown)
        return
    enough = found.days is not None and round(found.days, 12) <= round(most, 12)
    after = "never pays for itself" if found.days is None else f"pays for itself after {_days(found.days, exact=True)}"
    name, advice = "economics", "Keep the baseline until there are more calls, or reduce the cost of training."
    if not trained:
        name, advice = "headroom", "Do not train: it would save too little at this number of calls."
        calls, now = costs.calls_per_month or 0.0, f"{called(gate.best)} {gate.facts_of(gate.best).name}"
        now = f"{show_number(calls)} calls per month cost {show_usd(calls * (costs.baseline or 0.0))} with {now}"
        after = f"{now}; {_subject(gate, spec)} {after}{'' if found.days is None else _not_counted(left_out)}"
    yield Check(
        name,
        "pass" if enough else "fail",
        f"{after} (limit {show_number(most)} {'day' if most == 1 else 'days'})",
        found.days,
        **gate.requirement(_LIMIT),
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


def _subject(gate: Context, spec: EconomicsKeys) -> str:
    """Return whose costs and savings these are."""
    if "candidate" in gate.models:
        return "the fine-tune"
    if spec.candidate_price is None:
        return "a candidate whose calls cost nothing"
    return "a candidate at candidate_price, with the baseline's tokens,"


def _sentence(gate: Context, spec: EconomicsKeys, costs: Costs, unknown: str, left_out: Sequence[str]) -> str:
    """Return the economics in a sentence, and before training in another the price from which on it does not pay."""
    found, calls, subject = payback(costs), costs.calls_per_month, _subject(gate, spec)
    who = subject[0].upper() + subject[1:] if calls is None else f"At {show_number(calls)} calls per month {subject}"
    if found.breaks_even is None or costs.saved_per_call is None:
        return f"The saving is unknown: {unknown}."
    if found.breaks_even is False:
        lost = found.monthly_saving
        if lost is None:
            return f"{who} never pays for itself: a call saves nothing."
        more = f"costs {show_dollars(-lost)} per month more than the baseline" if round(lost, 9) else "saves nothing"
        return f"{who} {more}: it never pays for itself."
    amount = f"{show_dollars(1000 * costs.saved_per_call)} per 1,000 calls"
    if found.monthly_saving is not None:
        amount = f"{show_dollars(found.monthly_saving)} per month"
    if found.calls is None:
        return f"{who} saves {amount}; the break-even is unknown: {unknown}."
    after = plural(_whole(found.calls), "call")
    if found.days is not None:
        after = f"{_days(found.days)} ({after})"
    after = f"and pays for itself after {after}" if costs.upfront else "from the first call on"
    if "candidate" in gate.models:
        return f"{who} saves {amount} {after}."
    return f"{who} saves {amount} {after}{_not_counted(left_out)}.{_highest(spec, costs)}"


def _highest(spec: EconomicsKeys, costs: Costs) -> str:
    """Return above which cost of its calls a candidate does not pay for itself."""
    days = spec.max_break_even_days
    highest = costs.highest(days)
    if highest is None:
        return ""
    within = "" if days is None else f" within {show_number(days)} days"
    times = f" ({highest / costs.candidate:.1f} times candidate_price)" if costs.candidate else ""
    return f" Above {show_usd(1000 * highest)} per 1,000 calls{times} it does not{within}."


def _not_counted(left_out: Sequence[str]) -> str:
    """Return which costs count as nothing, as ``(training not counted)``."""
    return f" ({' and '.join(left_out)} not counted)" if left_out else ""


def _whole(number: float) -> int:
    """Return a number of days or calls, rounded up."""
    return ceil(round(number, 6))


def _days(days: float, *, exact: bool = False) -> str:
    """Return ``157 days``, and from 1,000 days on ``47 years``, or ``exact``: ``17,267 days (47 years)``."""
    counted, years = plural(_whole(days), "day"), days / 365
    if _whole(days) < _MOST_DAYS:
        return counted
    short = f"{years:.1f} years" if years < 10 else f"{years:,.0f} years"
    return f"{counted} ({short})" if exact else short
