"""What calls and a fine-tune cost, and the limit on its break-even.

An unknown cost is an error, never zero.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil, fsum, isnan, nan

from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.config import EconomicsKeys
from pytest_ftgate.config.requirements import TokenCost
from pytest_ftgate.models import Model
from pytest_ftgate.models.price import UNCOUNTED, UNPRICED, price_of, tokens_usd
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.plain import Unknown, together
from pytest_ftgate.result import Check, Economics, ModelResult, called
from pytest_ftgate.runs.measure import run_cost
from pytest_ftgate.text import plural, show_number, show_usd

DAYS_PER_MONTH = 365 / 12

_LIMIT = "economics.max_break_even_days"


# --- the cost of a call ---------------------------------------------------------------------------


def call_usd(model: ModelResult) -> float | None:
    """Return the mean cost of a call on the test set in US dollars; None where it is unknown."""
    if model.cost_usd is None or not model.n_expected:
        return None
    return model.cost_usd / model.n_expected


def unknown_cost(role: str, model: ModelResult) -> Unknown | None:
    """Return why the cost of a call is unknown after a model answered; None where it is known."""
    if call_usd(model) is not None:
        return None
    why, cure = model.cost_unknown or Unknown("no cost was measured", UNCOUNTED)
    return Unknown(f"{called(role, model.name)}: {why}", cure)


def no_price(models: Mapping[str, Model]) -> Unknown | None:
    """Return why the costs of candidate and baseline cannot be compared; None where they may be.

    Baselines count only if all of them have no price, because the best one is not known yet.
    """
    unknown: dict[str, Unknown] = {}
    for role, model in models.items():
        price = price_of(model)
        if not price.known:
            why = f"{called(role, model.name)}: {price.unknown}"
            unknown[role] = Unknown(why, UNPRICED)

    if "candidate" in unknown:
        return unknown["candidate"]
    # Which baseline is the best is not known before the answers.
    baselines = models.keys() - {"candidate"}
    return together(*unknown.values()) if unknown.keys() >= baselines else None


def free(candidate: Model | ModelResult | None) -> Unknown | None:
    """Return why costs cannot be compared with a candidate whose calls cost $0; None else."""
    if candidate is None:
        return None
    if isinstance(candidate, ModelResult):
        is_free = candidate.cost_usd == 0
        source = candidate.price
    else:
        price = price_of(candidate)
        is_free = price.is_free
        source = price.source
    if not is_free:
        return None

    why = f"a call of candidate {candidate.name} costs nothing by its price ({source})"
    cure = "Your own hardware is not free: set price: {gpu_hour_usd}. Economics also take "
    return Unknown(why, f"{cure}economics.hosting_usd_per_month in its place.")


# --- saving and break-even ------------------------------------------------------------------------


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
    evaluation: float = 0.0
    iterations: float = 1

    @property
    def retraining(self) -> float:
        """Return the monthly cost of retraining."""
        # Without any, the cost of a training need not be known.
        if not self.retrains_per_year:
            return 0.0
        return self.retrains_per_year * self.training / 12

    @property
    def upfront(self) -> float:
        """Return what is paid once.

        An evaluation of unknown cost counts as $0: it is little beside the training.
        """
        evaluation = 0.0 if isnan(self.evaluation) else self.evaluation
        return self.iterations * self.training + self.data + evaluation

    @property
    def saving(self) -> float:
        """Return what a month saves, negative where it costs more."""
        calls = self.calls_per_month * (self.baseline - self.candidate)
        return calls - self.hosting - self.retraining

    @property
    def breaks_even(self) -> bool | None:
        """Return whether the fine-tune ever pays for itself; None if that is unknown."""
        if round(self.baseline - self.candidate, 12) <= 0 or round(self.saving, 12) <= 0:
            return False
        return None if isnan(self.saving) else True

    @property
    def break_even_days(self) -> float:
        if not self.breaks_even:
            return nan
        return self.upfront / self.saving * DAYS_PER_MONTH


# --- the rule -------------------------------------------------------------------------------------


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that the limit can be judged."""
    spec = gate.config.economics
    if spec is None or spec.max_break_even_days is None:
        return
    costs_nothing = None if spec.hosting_usd_per_month else free(gate.models.get("candidate"))
    unknown = together(*_not_written(spec), no_price(gate.models), costs_nothing)
    if unknown.why:
        yield _cannot_be_judged(gate, unknown)


def check(gate: Context) -> Found:
    """Find what the fine-tune costs and saves, and check the break-even against its limit.

    Before training they are those of a candidate at ``candidate_price``, or else of one whose calls
    are free.
    """
    spec = gate.config.economics
    if spec is None:
        return Found({})

    costs, unknown = _costs(gate, spec)
    known_costs = costs
    if "candidate" not in gate.models and spec.candidate_price is None:
        known_costs = replace(costs, candidate=nan)  # free calls are only assumed
    facts = Economics(
        baseline_usd_per_1000_calls=_known(1000 * costs.baseline),
        candidate_usd_per_1000_calls=_known(1000 * known_costs.candidate),
        training_cost_usd=_known(costs.training),
        iterations=spec.iterations,
        evaluation_cost_usd=_known(costs.evaluation),
        monthly_saving_usd=_known(known_costs.saving),
        breaks_even=known_costs.breaks_even,
        break_even_days=_known(known_costs.break_even_days),
        sentence=_sentence(gate, spec, costs, unknown.why),
    )
    return Found({"economics": facts}, _within_limit(gate, spec, costs, unknown))


def _not_written(spec: EconomicsKeys) -> Iterator[Unknown]:
    if spec.calls_per_month is None:
        yield Unknown("the number of calls is unknown", "Set economics.calls_per_month.")
    if spec.training_cost_usd is None:
        yield Unknown("the training cost is unknown", "Set economics.training_cost_usd.")


def _costs(gate: Context, spec: EconomicsKeys) -> tuple[Costs, Unknown]:
    """Return the costs, and what is unknown of them."""
    baseline = gate.facts_of(gate.best)
    candidate = gate.facts_of("candidate")
    training = spec.training_cost_usd
    if isinstance(training, TokenCost):  # by the estimated number of tokens
        training = training.usd(sum(gate.audit.tokens))

    per_call = call_usd(candidate)
    unknown = unknown_cost("candidate", candidate)
    if "candidate" not in gate.models:
        per_call, unknown = _expected_usd(spec, baseline)
    elif not spec.hosting_usd_per_month and free(candidate):
        # Hardware that seems to cost nothing would always pay for itself.
        per_call = None
        unknown = free(candidate)

    costs = Costs(
        calls_per_month=_number(spec.calls_per_month),
        baseline=_number(call_usd(baseline)),
        candidate=_number(per_call),
        training=_number(training),
        data=spec.data_cost_usd or 0.0,
        hosting=spec.hosting_usd_per_month or 0.0,
        retrains_per_year=spec.retrains_per_year or 0.0,
        evaluation=_evaluation_usd(gate, spec.iterations, per_call),
        iterations=spec.iterations,
    )
    return costs, together(*_not_written(spec), unknown_cost(gate.best, baseline), unknown)


def _expected_usd(
    spec: EconomicsKeys, baseline: ModelResult
) -> tuple[float | None, Unknown | None]:
    """Return the cost of a candidate's call with the baseline's tokens; 0 without a price."""
    if spec.candidate_price is None:
        return 0.0, None
    if baseline.input_tokens is None or baseline.output_tokens is None:
        return None, Unknown(f"the tokens of a call of {baseline.name} are unknown", UNCOUNTED)
    price = Price("candidate_price", **spec.candidate_price.written())
    # both prices are written
    usd = tokens_usd(price, baseline.input_tokens, baseline.output_tokens) or 0.0
    return usd / (baseline.n_expected or 1), None


def _evaluation_usd(gate: Context, iterations: int, per_call: float | None) -> float:
    """Return what the answers cost: of baselines once, of the candidate in each iteration.

    Before training a candidate is expected to be asked as often as the best baseline. Judges are
    not counted.
    """
    spent = []
    for name, run in gate.runs.items():
        # The candidate is evaluated again after each training.
        times = iterations if name.role == "candidate" else 1
        spent.append(times * _number(run_cost(run).usd))
    if "candidate" not in gate.models:
        runs = [run for name, run in gate.runs.items() if name.role == gate.best]
        calls = sum(len(run.all_predictions) for run in runs)
        spent.append(iterations * (_number(per_call) * calls))
    return fsum(spent)


def _number(value: float | None) -> float:
    """Return a number, NaN where it is unknown."""
    if value is None:
        return nan
    return value


def _known(value: float) -> float | None:
    """Return a number, None where it is unknown."""
    if isnan(value):
        return None
    return round(value, 12)


def _within_limit(
    gate: Context, spec: EconomicsKeys, costs: Costs, unknown: Unknown
) -> Iterator[Check]:
    """Check the break-even, of the expected candidate before training, against its limit."""
    days = costs.break_even_days
    limit = spec.max_break_even_days
    if limit is None:
        return
    # An unknown cost is an error, unless the candidate saves nothing whatever it is.
    if isnan(days) and costs.breaks_even is not False:
        yield _cannot_be_judged(gate, unknown)
        return

    # NaN, where it never pays for itself, compares as more than every limit.
    outcome = "never pays for itself"
    if not isnan(days):
        outcome = f"pays for itself after {_whole_days(days)}"
    message = f"{outcome} (limit {show_number(limit)} {'day' if limit == 1 else 'days'})"
    required = gate.requirement(_LIMIT)
    if not round(days, 12) <= round(limit, 12):
        cure = "Keep the baseline until there are more calls, or reduce the cost of training."
        yield Check("economics", "fail", message, observed=_known(days), **required, cure=cure)
        return

    yield Check("economics", "pass", message, observed=_known(days), **required)
    if spec.data_cost_usd is None:
        message = "preparing the data counts as $0"
        cure = "Set economics.data_cost_usd, to 0 if it cost nothing."
        source = gate.source(_LIMIT)
        yield Check("economics", "warning", message, source=source, cure=cure)


def _cannot_be_judged(gate: Context, unknown: Unknown) -> Check:
    message = f"the break-even cannot be calculated: {unknown.why}"
    required = gate.requirement(_LIMIT)
    return Check("economics", "error", message, **required, cure=unknown.cure or None)


# --- in words -------------------------------------------------------------------------------------


def _sentence(gate: Context, spec: EconomicsKeys, costs: Costs, unknown: str) -> str:
    """Return the economics in words."""
    if costs.breaks_even is None:
        return f"The saving is unknown: {unknown}."
    if isnan(costs.saving):
        return "The fine-tune never pays for itself: a call saves nothing."

    subject = "the fine-tune"
    if "candidate" not in gate.models:
        subject = "a candidate at candidate_price"
        if spec.candidate_price is None:
            subject = "a candidate whose calls cost nothing"
    start = f"At {show_number(costs.calls_per_month)} calls per month {subject}"
    amount = f"{show_usd(abs(round(costs.saving, 9)))} per month"
    if not costs.breaks_even:
        return f"{start} costs {amount} more than the baseline: it never pays for itself."
    start += f" saves {amount}"
    if isnan(costs.upfront):
        return f"{start}; the break-even is unknown: {unknown}."

    return f"{start} and pays for itself after {_whole_days(costs.break_even_days)}."


def _whole_days(days: float) -> str:
    """Return a number of days, rounded up."""
    return plural(ceil(round(days, 6)), "day")
