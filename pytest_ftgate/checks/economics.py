"""What calls and a fine-tune cost, and the limit on its break-even. An unknown cost is an error, never zero."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil, isnan, nan

from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.config import EconomicsKeys
from pytest_ftgate.config.requirements import TokenCost
from pytest_ftgate.models import Model
from pytest_ftgate.models.price import UNCOUNTED, UNPRICED, price_of, tokens_usd
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.plain import Unknown, together
from pytest_ftgate.result import Check, Economics, ModelResult, Status, called
from pytest_ftgate.runs.measure import run_cost
from pytest_ftgate.text import plural, show_dollars, show_number, show_usd

DAYS_PER_MONTH = 365 / 12

_LIMIT = "economics.max_break_even_days"
_MOST_DAYS = 1000
"""From so many days on, a time is shown in years."""

_FREE = "Your own hardware is not free: set price: {gpu_hour_usd}"
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
    why, cure = model.cost_unknown or Unknown("no cost was measured", UNCOUNTED)
    return Unknown(f"{called(role, model.name)}: {why}", cure)


def no_price(models: Mapping[str, Model]) -> Unknown | None:
    """Return why the costs of candidate and baseline cannot be compared; None where they may be.

    Baselines count only if all of them have no price, because the best one is not known yet.
    """
    prices = {role: price_of(model) for role, model in models.items()}
    found = {
        role: Unknown(f"{called(role, models[role].name)}: {price.unknown}", UNPRICED)
        for role, price in prices.items()
        if not price.known
    }
    if "candidate" in found:
        return found["candidate"]
    return together(*found.values()) if found.keys() >= models.keys() - {"candidate"} else None


def free(candidate: Model | ModelResult | None, *, hosting: bool = False) -> Unknown | None:
    """Return why costs cannot be compared where a call of the candidate costs $0; None where it does not.

    ``hosting``: the cost of hosting can be declared in place of a price.
    """
    if isinstance(candidate, ModelResult):
        costs_nothing, source = candidate.cost_usd == 0, candidate.price
    else:
        price = Price() if candidate is None else price_of(candidate)
        costs_nothing, source = price.is_free, price.source
    if candidate is None or not costs_nothing:
        return None
    why = f"a call of candidate {candidate.name} costs nothing by its price ({source})"
    if hosting:
        return Unknown(f"the cost of a call is unknown: {why}", f"{_FREE}, or economics.hosting_usd_per_month.")
    return Unknown(why, f"{_FREE}.")


# --- saving and break-even -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Costs:
    """Hold the costs from which saving and break-even follow, in US dollars; NaN where unknown.

    Attributes:
        baseline, candidate: of one call.
        training: of one training; a retraining costs as much.
        data, evaluation: paid once, the evaluation for all ``iterations`` of the training.
        hosting: paid by the month.
    """

    calls_per_month: float
    baseline: float
    candidate: float
    training: float
    data: float = 0.0
    hosting: float = 0.0
    retrains_per_year: float = 0.0
    iterations: int = 1
    evaluation: float = 0.0

    @property
    def saved_per_call(self) -> float:
        """Return the saving per call, negative where the candidate costs more."""
        return self.baseline - self.candidate

    @property
    def retraining(self) -> float:
        """Return the monthly cost of retraining."""
        return self.retrains_per_year * self.training / 12 if self.retrains_per_year else 0.0

    @property
    def upfront(self) -> float:
        return self.iterations * self.training + self.data + self.evaluation

    @property
    def saving(self) -> float:
        """Return what a month saves, negative where it costs more."""
        return self.calls_per_month * self.saved_per_call - self.hosting - self.retraining

    @property
    def breaks_even(self) -> bool | None:
        """Return whether the fine-tune ever pays for itself; without a number of calls that may be known, too."""
        if round(self.saved_per_call, 12) <= 0 or round(self.saving, 12) <= 0:
            return False
        by_call = self.saved_per_call > 0 and isnan(self.calls_per_month) and self.hosting == self.retraining == 0
        return True if self.saving > 0 or by_call else None

    @property
    def break_even_calls(self) -> float:
        """Return after how many calls the fine-tune has paid for itself."""
        if not self.breaks_even:
            return nan
        by_call = isnan(self.calls_per_month)
        return self.upfront / (self.saved_per_call if by_call else self.saving / self.calls_per_month)

    @property
    def break_even_days(self) -> float:
        return self.upfront / self.saving * DAYS_PER_MONTH if self.breaks_even else nan

    def highest(self, days: float | None) -> float:
        """Return the cost of a candidate's call above which it does not pay for itself (within ``days``, if given).

        NaN if it is unknown, or if even free calls would not pay.
        """
        upfront = 0.0 if days is None else self.upfront
        fixed = self.hosting + self.retraining + (upfront and (upfront / days * DAYS_PER_MONTH if days else nan))
        if isnan(self.calls_per_month):
            return nan if fixed else self.baseline
        highest = self.baseline - fixed / self.calls_per_month
        return highest if highest > 0 else nan


# --- the rule ------------------------------------------------------------------------------------------------


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that the limit can be judged."""
    spec, models = gate.config.economics, gate.models
    if spec is None or spec.max_break_even_days is None:
        return
    unknown = together(
        _NO_CALLS if spec.calls_per_month is None else None,
        no_price(models),
        None if spec.hosting_usd_per_month else free(models.get("candidate"), hosting=True),
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
    assumed, declared = "candidate" in gate.models or spec.candidate_price is not None, spec.training_cost_usd
    shown = costs if assumed else replace(costs, candidate=nan)
    economics = Economics(
        baseline_usd_per_1000_calls=_known(1000 * costs.baseline),
        candidate_usd_per_1000_calls=_known(1000 * shown.candidate),
        highest_usd_per_1000_calls=_known(1000 * costs.highest(spec.max_break_even_days)),
        training_cost_usd=None if declared is None else _known(costs.training),
        iterations=spec.iterations,
        evaluation_cost_usd=None if "evaluation" in left_out else _known(costs.evaluation),
        monthly_saving_usd=_known(shown.saving),
        breaks_even=shown.breaks_even,
        break_even_days=_known(shown.break_even_days),
        break_even_calls=_known(shown.break_even_calls),
        sentence=_sentence(gate, spec, costs, unknown.why, left_out),
    )
    facts = {"economics": replace(economics, costs=_in_words(gate, spec, economics, costs))}
    return Found(facts, _within_limit(gate, spec, costs, unknown, left_out))


def _costs(gate: Context, spec: EconomicsKeys) -> tuple[Costs, Unknown, str]:
    """Return the costs, what is unknown of them, and in words which of those paid once count as nothing."""
    baseline, candidate, trained = gate.facts_of(gate.best), gate.facts_of("candidate"), "candidate" in gate.models
    per_call, of_candidate, training = call_usd(candidate), unknown_cost("candidate", candidate), spec.training_cost_usd
    if isinstance(training, TokenCost):  # by the estimated number of tokens
        training = training.usd(sum(gate.audit.tokens))
    if not trained:
        per_call, of_candidate = _expected_usd(spec, baseline)
    elif not spec.hosting_usd_per_month and (costs_nothing := free(candidate, hosting=True)) is not None:
        per_call, of_candidate = None, costs_nothing
    evaluation = _evaluation_usd(gate, spec.iterations, per_call)
    once = {"training": training, "data preparation": spec.data_cost_usd, "evaluation": evaluation}
    unknown = together(
        _NO_CALLS if spec.calls_per_month is None else None,
        unknown_cost("baseline" if trained else gate.best, baseline),
        of_candidate,
        _NO_TRAINING if training is None and trained else None,
    )
    costs = Costs(
        _or_nan(spec.calls_per_month),
        _or_nan(call_usd(baseline)),
        _or_nan(per_call),
        _or_nan(training) if trained else training or 0.0,
        spec.data_cost_usd or 0.0,
        spec.hosting_usd_per_month or 0.0,
        spec.retrains_per_year or 0.0,
        spec.iterations,
        evaluation or 0.0,
    )
    return costs, unknown, " and ".join(name for name, usd in once.items() if usd is None)


def _expected_usd(spec: EconomicsKeys, baseline: ModelResult) -> tuple[float | None, Unknown | None]:
    """Return the cost of a candidate's call before training, with the baseline's tokens; 0 without a price of it."""
    if spec.candidate_price is None:
        return 0.0, None
    if baseline.input_tokens is None or baseline.output_tokens is None:
        return None, Unknown(f"the tokens of a call of {baseline.name} are unknown", UNCOUNTED)
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


def _known(value: float) -> float | None:
    """Return a number, None where it is unknown."""
    return None if isnan(value) else round(value, 12)


def _or_nan(value: float | None) -> float:
    return nan if value is None else value


def _within_limit(gate: Context, spec: EconomicsKeys, costs: Costs, unknown: Unknown, left_out: str) -> Iterator[Check]:
    """Check the break-even against its limit; before training, whether the candidate that is expected could meet it."""
    days, most, trained = costs.break_even_days, spec.max_break_even_days, "candidate" in gate.models
    if most is None:
        return
    if isnan(days) and costs.breaks_even is not False:
        yield _cannot_be_judged(gate, unknown)
        return
    status: Status = "pass" if round(days, 12) <= round(most, 12) else "fail"
    after = "never pays for itself" if isnan(days) else f"pays for itself after {_days(days, exact=True)}"
    limit, required = f"(limit {show_number(most)} {'day' if most == 1 else 'days'})", gate.requirement(_LIMIT)
    if not trained:
        calls, now = spec.calls_per_month or 0.0, f"{called(gate.best)} {gate.facts_of(gate.best).name}"
        now = f"{show_number(calls)} calls per month cost {show_usd(calls * costs.baseline)} with {now}"
        after = f"{now}; {_subject(gate, spec)} {after}{'' if isnan(days) else _not_counted(left_out)}"
        advice = None if status == "pass" else "Do not train: it would save too little at this number of calls."
        yield Check("economics", status, f"{after} {limit}", _known(days), **required, advice=advice, action="stop")
        return
    advice = "Keep the baseline until there are more calls, or reduce the cost of training."
    advice = None if status == "pass" else advice
    yield Check("economics", status, f"{after} {limit}", _known(days), **required, advice=advice, action="cut_costs")
    if spec.data_cost_usd is None:
        message = "the cost of preparing the data is not declared and counts as $0"
        advice = "Set economics.data_cost_usd, to 0 if it cost nothing."
        yield Check("economics", "warning", message, source=gate.source(_LIMIT), advice=advice)


def _cannot_be_judged(gate: Context, unknown: Unknown) -> Check:
    message = f"the break-even cannot be calculated: {unknown.why}"
    return Check("economics", "error", message, **gate.requirement(_LIMIT), advice=unknown.cure or None)


# --- in words ------------------------------------------------------------------------------------------------


def _in_words(gate: Context, spec: EconomicsKeys, found: Economics, costs: Costs) -> tuple[str, ...]:
    """Return three lines: the cost of calls, the one-time cost, and the monthly cost."""
    each = [show_usd(cost) for cost in (found.baseline_usd_per_1000_calls, found.candidate_usd_per_1000_calls)]
    training = f"training {show_dollars(found.training_cost_usd)}"
    if isinstance(spec.training_cost_usd, TokenCost):
        training += f" (about {sum(gate.audit.tokens):,} tokens an epoch, estimated as UTF-8 bytes / 4)"
    training += f" in each of {spec.iterations} iterations" if spec.iterations > 1 else ""
    retraining = None if spec.training_cost_usd is None else _known(costs.retraining)

    def declared(name: str, value: float | None, usd: float | None) -> str:
        return f"{name} not declared" if value is None else f"{name} {show_dollars(usd)}"

    data = declared("data preparation", spec.data_cost_usd, spec.data_cost_usd)
    hosting = declared("hosting", spec.hosting_usd_per_month, spec.hosting_usd_per_month)
    return (
        f"1,000 calls cost {each[0]} (baseline), {each[1]} (candidate)",
        f"once: {training}, {data}, evaluation {show_dollars(found.evaluation_cost_usd)}",
        f"per month: {hosting}, {declared('retraining', spec.retrains_per_year, retraining)}",
    )


def _subject(gate: Context, spec: EconomicsKeys) -> str:
    """Return whose costs and savings these are."""
    if "candidate" in gate.models:
        return "the fine-tune"
    if spec.candidate_price is None:
        return "a candidate whose calls cost nothing"
    return "a candidate at candidate_price, with the baseline's tokens,"


def _sentence(gate: Context, spec: EconomicsKeys, costs: Costs, unknown: str, left_out: str) -> str:
    """Return the economics in a sentence, and before training in another the price from which on it does not pay."""
    calls, saving, subject = spec.calls_per_month, _known(costs.saving), _subject(gate, spec)
    who = subject[0].upper() + subject[1:] if calls is None else f"At {show_number(calls)} calls per month {subject}"
    if costs.breaks_even is None:
        return f"The saving is unknown: {unknown}."
    if costs.breaks_even is False:
        if saving is None:
            return f"{who} never pays for itself: a call saves nothing."
        more = (
            f"costs {show_dollars(-saving)} per month more than the baseline" if round(saving, 9) else "saves nothing"
        )
        return f"{who} {more}: it never pays for itself."
    per_1000 = f"{show_dollars(1000 * costs.saved_per_call)} per 1,000 calls"
    amount = per_1000 if saving is None else f"{show_dollars(saving)} per month"
    if isnan(costs.upfront):
        return f"{who} saves {amount}; the break-even is unknown: {unknown}."
    after = plural(_whole(costs.break_even_calls), "call")
    if saving is not None:
        after = f"{_days(costs.break_even_days)} ({after})"
    after = f"and pays for itself after {after}" if costs.upfront else "from the first call on"
    if "candidate" in gate.models:
        return f"{who} saves {amount} {after}."
    return f"{who} saves {amount} {after}{_not_counted(left_out)}.{_highest(spec, costs)}"


def _highest(spec: EconomicsKeys, costs: Costs) -> str:
    """Return above which cost of its calls a candidate does not pay for itself."""
    days = spec.max_break_even_days
    highest = costs.highest(days)
    if isnan(highest):
        return ""
    within = "" if days is None else f" within {show_number(days)} days"
    times = f" ({highest / costs.candidate:.1f} times candidate_price)" if costs.candidate else ""
    return f" Above {show_usd(1000 * highest)} per 1,000 calls{times} it does not{within}."


def _not_counted(left_out: str) -> str:
    return f" ({left_out} not counted)" if left_out else ""


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
