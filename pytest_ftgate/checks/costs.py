"""Whether a fine-tune pays: what it cost, what it saves, and when it pays for itself. Unknown is never zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_ftgate.models.protocol import Price
from pytest_ftgate.result import Economics, Volume
from pytest_ftgate.text import plural, show_number, show_usd

DAYS_PER_MONTH = 365 / 12

_DAYS_SHOWN = 1000
"""So many, and more, are told in years."""

"""Why an amount is unknown that a price would tell."""


@dataclass(frozen=True, slots=True)
class Amount:
    """US dollars; where ``usd`` is ``None``, ``said`` is why it is unknown, else what it rests on.

    ``of`` is the model that the calls are of, as in ``candidate ft``; ``cure`` is what would make the amount known;
    ``unpriced``: it is unknown because the model has no price.
    """

    usd: float | None
    said: str
    of: str = ""
    cure: str = ""
    unpriced: bool = False


@dataclass(frozen=True, slots=True)
class Lack:
    """What a figure lacks, as a clause, and what would end that, as a sentence."""

    what: str
    cure: str


NO_CALLS = Lack("the number of calls is not known", "Give economics.calls_per_month.")

NO_TRAINING = Lack(
    "the training cost is not known",
    "Give economics.training_cost_usd, or with a fine-tuning job price.training_per_1m of the candidate.",
)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a decision rests on.

    Attributes:
        calls_per_month: calls that the model will answer; ``None``: unknown.
        baseline: of one call.
        candidate: of one call.
        training: of one training.
        data_usd: of preparing the data, paid once; ``None``: not declared, and counted as nothing.
        hosting_usd: of the candidate in a month, whatever it answers; ``None``: likewise.
        retrains_per_year: each at the cost of training, without data preparation; ``None``: likewise.
    """

    calls_per_month: float | None
    baseline: Amount
    candidate: Amount
    training: Amount
    data_usd: float | None = None
    hosting_usd: float | None = None
    retrains_per_year: float | None = None

    @property
    def saved_per_call(self) -> float | None:
        """Return US dollars; below zero where a call of the candidate costs more."""
        if self.baseline.usd is None or self.candidate.usd is None:
            return None
        return self.baseline.usd - self.candidate.usd

    @property
    def retraining_usd(self) -> float | None:
        """Return US dollars in a month."""
        if not self.retrains_per_year:
            return 0.0
        return None if self.training.usd is None else self.retrains_per_year * self.training.usd / 12

    @property
    def fixed_usd(self) -> float | None:
        """Return what is paid in a month, whatever is answered: hosting and retraining."""
        return None if self.retraining_usd is None else (self.hosting_usd or 0.0) + self.retraining_usd

    @property
    def upfront_usd(self) -> float | None:
        """Return the cost of training and data preparation, paid once."""
        return None if self.training.usd is None else self.training.usd + (self.data_usd or 0.0)

    def lacking(self, *, training: bool) -> list[Lack]:
        """Return what a figure lacks that rests on the calls and their cost, and, if so said, on training."""
        found = [NO_CALLS] if self.calls_per_month is None else []
        unknown = [amount for amount in (self.baseline, self.candidate) if amount.usd is None]
        for why in dict.fromkeys(amount.said for amount in unknown):
            alike = [amount for amount in unknown if amount.said == why]
            found.append(Lack(call_unknown(alike), alike[-1].cure))
        if training and self.training.usd is None:
            found.append(Lack(self.training.said, self.training.cure))
        return found

    @property
    def saving_lacks(self) -> list[Lack]:
        """Return what the saving of a month lacks: retraining is paid by the month."""
        return self.lacking(training=bool(self.retrains_per_year))

    @property
    def break_even_lacks(self) -> list[Lack]:
        """Return what the break-even lacks."""
        return self.lacking(training=True)


def training_cost(declared: float | None, source: str, *, trained_tokens: int | None, price: Price | None) -> Amount:
    """Return what training cost: as declared, else the trained tokens of a job times their price.

    Args:
        declared: US dollars.
        source: where that is written.
        trained_tokens: as the fine-tuning job counts them.
        price: of the candidate, where there is one.
    """
    if declared is not None:
        return Amount(declared, f"declared ({source})")
    if price is None or price.training_per_1m is None:
        return Amount(None, NO_TRAINING.what, cure=NO_TRAINING.cure)
    if trained_tokens is None:
        why = f"{NO_TRAINING.what}: no fine-tuning job tells how many tokens were trained"
        return Amount(None, why, cure="Give economics.training_cost_usd.")
    each = f"{show_usd(price.training_per_1m)} per 1M ({price.source})"
    return Amount(trained_tokens * price.training_per_1m / 1e6, f"{trained_tokens:,} trained tokens at {each}")


def economics_of(costs: Costs) -> Economics:
    """Return everything that follows from the costs."""
    calls = costs.calls_per_month
    stated = at_volume(costs, calls)
    volumes = () if calls is None else tuple(at_volume(costs, calls * times) for times in (0.5, 1, 2))
    return Economics(
        calls_per_month=calls,
        baseline_usd_per_1000_calls=_per_1000(costs.baseline),
        candidate_usd_per_1000_calls=_per_1000(costs.candidate),
        training_cost_usd=costs.training.usd,
        training_said=costs.training.said,
        data_cost_usd=costs.data_usd,
        hosting_usd_per_month=costs.hosting_usd,
        retrains_per_year=costs.retrains_per_year,
        retraining_usd_per_month=costs.retraining_usd,
        upfront_usd=costs.upfront_usd,
        monthly_saving_usd=stated.monthly_saving_usd,
        breaks_even=stated.breaks_even,
        break_even_days=stated.break_even_days,
        break_even_calls=stated.break_even_calls,
        volumes=volumes,
        saving_unknown=clause(costs.saving_lacks) or None,
        break_even_unknown=clause(costs.break_even_lacks) or None,
        undeclared=_undeclared(costs),
        sentence=_sentence(costs, stated),
    )


def best_case(costs: Costs) -> Costs:
    """Return what no candidate undercuts: its calls cost nothing, nor does training where its cost is not known."""
    nothing = Amount(0.0, "at best")
    return replace(costs, candidate=nothing, training=nothing if costs.training.usd is None else costs.training)


def economics_before_training(costs: Costs) -> Economics:
    """Return what is known without a candidate; its sentence is about the best that one could bring."""
    return replace(economics_of(costs), sentence=_best_sentence(costs))


def at_volume(costs: Costs, calls: float | None) -> Volume:
    """Return what so many calls in a month come to; ``None``: nobody knows how many."""
    per_call, fixed, upfront = costs.saved_per_call, costs.fixed_usd, costs.upfront_usd
    if per_call is not None and not _above_zero(per_call):
        saving = None if calls is None or fixed is None else calls * per_call - fixed
        return Volume(calls, saving, breaks_even=False)  # what is paid by the month only makes it worse
    if per_call is None or fixed is None:
        return Volume(calls)
    if calls is None:
        if fixed:
            return Volume(None)
        return Volume(None, None, True, None, None if upfront is None else upfront / per_call)
    saving = calls * per_call - fixed
    if not _above_zero(saving):
        return Volume(calls, saving, breaks_even=False)
    if upfront is None:
        return Volume(calls, saving, breaks_even=True)
    months = upfront / saving
    return Volume(calls, saving, True, months * DAYS_PER_MONTH, months * calls)


def _above_zero(usd: float) -> bool:
    return round(usd, 12) > 0


def _per_1000(call: Amount) -> float | None:
    return None if call.usd is None else round(1000 * call.usd, 12)


def clause(lacks: Sequence[Lack]) -> str:
    """Say what is lacking, in one line."""
    return "; ".join(lack.what for lack in lacks)


def call_unknown(calls: Sequence[Amount]) -> str:
    """Say why the cost of calls is unknown, of all alike: ``baseline b.jsonl and candidate h.jsonl have no price``."""
    names, first = " and ".join(call.of for call in calls if call.of), calls[0]
    if first.unpriced:
        return f"{names} {'has' if len(calls) == 1 else 'have'} no price"
    return f"{names}: {first.said}" if names else first.said


def _undeclared(costs: Costs) -> tuple[str, ...]:
    given = {
        "data preparation": costs.data_usd,
        "hosting": costs.hosting_usd,
        "retraining": costs.retrains_per_year,
    }
    return tuple(name for name, value in given.items() if value is None)


def dollars(usd: float | None) -> str:
    """Return an amount as a manager reads it: no cents from 100 dollars on, a loss with its sign, unknown as such."""
    if usd is None:
        return "unknown"
    shown = f"${abs(usd):,.0f}" if abs(usd) >= 100 else show_usd(abs(usd))
    return f"-{shown}" if usd < 0 else shown


def whole_days(days: float) -> int:
    """Return full days; the one that has begun counts."""
    return math.ceil(round(days, 6))


def show_days(days: float) -> str:
    """Return ``157 days``; from a thousand on in years, of which nobody needs the days: ``47 years``."""
    whole = whole_days(days)
    if whole < _DAYS_SHOWN:
        return plural(whole, "day")
    years = days / 365
    return f"{years:.1f} years" if years < 10 else f"{years:,.0f} years"


def whole_calls(calls: float) -> int:
    """Return full calls, rounded up."""
    return math.ceil(round(calls, 6))


def exact_days(days: float) -> str:
    """Return ``90 days``, and where nobody counts so far ``17,267 days (47 years)``."""
    exact, short = plural(whole_days(days), "day"), show_days(days)
    return exact if short == exact else f"{exact} ({short})"


def days_asked(days: float) -> str:
    """Return ``90 days``, ``1 day``, ``0.5 days``."""
    return f"{show_number(days)} {'day' if days == 1 else 'days'}"


# --- in a sentence -------------------------------------------------------------------------------------------


def _sentence(costs: Costs, volume: Volume) -> str:
    """Return what a manager needs of a fine-tune as it was measured."""
    if volume.breaks_even is False:
        if volume.monthly_saving_usd is None:
            return "The fine-tune never pays for itself: a call of it costs no less than one of the baseline."
        return _never(costs, volume, "the fine-tune")
    if volume.monthly_saving_usd is None and not volume.breaks_even:
        return f"What the fine-tune saves is unknown: {clause(costs.saving_lacks)}."
    saves = _saving(costs, volume, "the fine-tune saves")
    if volume.break_even_calls is None:
        return f"{saves}; when it pays for itself is unknown: {clause(costs.break_even_lacks)}."
    if not costs.upfront_usd:
        return f"{saves}, from the first call on{not_counted(costs)}."
    return f"{saves} and pays for itself after {_break_even(volume)}{not_counted(costs)}."


def _best_sentence(costs: Costs) -> str:
    """Return what a manager needs before training: no candidate brings more."""
    best = best_case(costs)
    volume = at_volume(best, costs.calls_per_month)
    if best.saved_per_call is None:
        return f"What a candidate can save is unknown: {clause(best.lacking(training=False))}."
    if volume.breaks_even is False:
        if volume.monthly_saving_usd is None:
            return "A call of the baseline costs nothing: no candidate can save anything."
        return _never(best, volume, "even a candidate whose calls cost nothing")
    saves = f"{_saving(best, volume, 'a candidate can save')} at most"
    if not volume.break_even_calls:
        return f"{saves}."
    return f"{saves}, and pays for itself after {_break_even(volume)} at the earliest{not_counted(costs)}."


def _at(volume: Volume) -> str:
    return f"At {show_number(volume.calls_per_month or 0.0)} calls a month "


def _saving(costs: Costs, volume: Volume, subject: str) -> str:
    """Return what is saved by the month, and with each 1,000 calls where nobody knows how many there are."""
    if volume.monthly_saving_usd is not None:
        return f"{_at(volume)}{subject} {dollars(volume.monthly_saving_usd)} a month"
    each = dollars(1000 * (costs.saved_per_call or 0.0))
    return f"{subject[0].upper()}{subject[1:]} {each} with every 1,000 calls"


def _break_even(volume: Volume) -> str:
    calls = plural(whole_calls(volume.break_even_calls or 0.0), "call")
    return calls if volume.break_even_days is None else f"{show_days(volume.break_even_days)} ({calls})"


def _never(costs: Costs, volume: Volume, subject: str) -> str:
    """Say that it never pays, and how many calls it would take to earn what is paid by the month."""
    saving, per_call, fixed = volume.monthly_saving_usd or 0.0, costs.saved_per_call, costs.fixed_usd
    lost = f"costs {dollars(-saving)} a month more than the baseline" if round(saving, 9) else "saves nothing"
    later = ""
    if per_call and _above_zero(per_call) and fixed is not None:
        later = f"; from {math.floor(round(fixed / per_call, 6)) + 1:,} calls a month on it would"
    return f"{_at(volume)}{subject} {lost}: it never pays for itself{later}."


def not_counted(costs: Costs) -> str:
    """Say what a payback leaves out: neither data preparation nor training is free."""
    left_out = ["training"] if costs.training.usd is None else []
    left_out += ["data preparation"] if costs.data_usd is None else []
    return f" ({' and '.join(left_out)} not counted)" if left_out else ""
