"""The arithmetic of a fine-tune's cost, saving and break-even. An unknown amount is never zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_ftgate.checks.pricing import Lack
from pytest_ftgate.result import Economics, Volume
from pytest_ftgate.text import plural, show_number, show_usd

DAYS_PER_MONTH = 365 / 12

_DAYS_SHOWN = 1000
"""From so many days on, a time is shown in years."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Hold an amount of US dollars.

    Attributes:
        usd: the amount; None where it is unknown.
        said: how it is known, or why it is unknown.
        of: the model whose calls it is for, such as ``candidate ft``.
        cure: what would make an unknown amount known.
        unpriced: whether it is unknown because the model has no price.
    """

    usd: float | None
    said: str
    of: str = ""
    cure: str = ""
    unpriced: bool = False


NO_CALLS = Lack("the number of calls is unknown", "Set economics.calls_per_month.")

NO_TRAINING = Lack(
    "the training cost is unknown",
    "Set economics.training_cost_usd.",
)


@dataclass(frozen=True, slots=True)
class Costs:
    """Hold the costs from which saving and break-even are calculated; models by the cost of one call.

    ``calls_per_month`` is None where unknown; the last three, where they are not declared, which counts as 0. Data is
    paid for once, hosting by the month; a retraining costs as much as ``training``, without the data.
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
        """Return the saving per call in US dollars, negative where the candidate costs more; None where unknown."""
        if self.baseline.usd is None or self.candidate.usd is None:
            return None
        return self.baseline.usd - self.candidate.usd

    @property
    def retraining_usd(self) -> float | None:
        """Return the monthly cost of retraining in US dollars; None where unknown."""
        if not self.retrains_per_year:
            return 0.0
        return None if self.training.usd is None else self.retrains_per_year * self.training.usd / 12

    @property
    def fixed_usd(self) -> float | None:
        """Return the monthly cost of hosting and retraining, which does not depend on calls; None where unknown."""
        return None if self.retraining_usd is None else (self.hosting_usd or 0.0) + self.retraining_usd

    @property
    def upfront_usd(self) -> float | None:
        """Return the cost of training and data preparation, paid once; None where unknown."""
        return None if self.training.usd is None else self.training.usd + (self.data_usd or 0.0)

    def lacking(self, *, training: bool) -> list[Lack]:
        """Return what is missing to know the calls and their cost, and with ``training`` the training cost."""
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
        """Return what is missing to know the monthly saving, which includes retraining."""
        return self.lacking(training=bool(self.retrains_per_year))


def training_cost(declared: float | None, source: str) -> Amount:
    """Return the declared cost of training."""
    if declared is not None:
        return Amount(declared, f"declared ({source})")
    return Amount(None, NO_TRAINING.what, cure=NO_TRAINING.cure)


def economics_of(costs: Costs) -> Economics:
    """Return all figures that follow from the costs."""
    calls = costs.calls_per_month
    declared = {"data preparation": costs.data_usd, "hosting": costs.hosting_usd, "retraining": costs.retrains_per_year}
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
        break_even_unknown=clause(costs.lacking(training=True)) or None,
        undeclared=tuple(name for name, value in declared.items() if value is None),
        sentence=_sentence(costs, stated),
    )


def best_case(costs: Costs) -> Costs:
    """Return the costs of the best possible candidate: calls are free, and so is training of unknown cost."""
    free = Amount(0.0, "at best")
    return replace(costs, candidate=free, training=free if costs.training.usd is None else costs.training)


def economics_before_training(costs: Costs) -> Economics:
    """Return what is known without a candidate; the sentence is about the best possible one."""
    return replace(economics_of(costs), sentence=_best_sentence(costs))


def at_volume(costs: Costs, calls: float | None) -> Volume:
    """Return saving and break-even at a number of calls per month; None: the number is unknown."""
    per_call, fixed, upfront = costs.saved_per_call, costs.fixed_usd, costs.upfront_usd
    if per_call is not None and not _above_zero(per_call):
        saving = None if calls is None or fixed is None else calls * per_call - fixed
        return Volume(calls, saving, breaks_even=False)  # monthly costs only make it worse
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
    """Return what is missing as one line."""
    return "; ".join(lack.what for lack in lacks)


def call_unknown(calls: Sequence[Amount]) -> str:
    """Return why the cost of several calls is unknown: ``baseline b.jsonl and candidate h.jsonl have no price``."""
    names, first = " and ".join(call.of for call in calls if call.of), calls[0]
    if first.unpriced:
        return f"{names} {'has' if len(calls) == 1 else 'have'} no price"
    return f"{names}: {first.said}" if names else first.said


def dollars(usd: float | None) -> str:
    """Return an amount for people: without cents from $100 on, a loss as ``-$5.00``, or ``unknown``."""
    if usd is None:
        return "unknown"
    shown = f"${abs(usd):,.0f}" if abs(usd) >= 100 else show_usd(abs(usd))
    return f"-{shown}" if usd < 0 else shown


def _whole(number: float) -> int:
    """Return a number of days or calls, rounded up."""
    return math.ceil(round(number, 6))


def show_days(days: float) -> str:
    """Return ``157 days``, and from 1,000 days on ``47 years``."""
    if _whole(days) < _DAYS_SHOWN:
        return plural(_whole(days), "day")
    years = days / 365
    return f"{years:.1f} years" if years < 10 else f"{years:,.0f} years"


def exact_days(days: float) -> str:
    """Return ``90 days``, and from 1,000 days on ``17,267 days (47 years)``."""
    exact, short = plural(_whole(days), "day"), show_days(days)
    return exact if short == exact else f"{exact} ({short})"


def days_asked(days: float) -> str:
    """Return ``90 days``, ``1 day``, ``0.5 days``."""
    return f"{show_number(days)} {'day' if days == 1 else 'days'}"


# --- in a sentence -------------------------------------------------------------------------------------------


def _sentence(costs: Costs, volume: Volume) -> str:
    """Return the economics of a measured fine-tune in one sentence."""
    if volume.breaks_even is False:
        if volume.monthly_saving_usd is None:
            return "The fine-tune never pays for itself: its calls cost at least as much as the baseline's."
        return _never(costs, volume, "the fine-tune")
    if volume.monthly_saving_usd is None and not volume.breaks_even:
        return f"The saving is unknown: {clause(costs.saving_lacks)}."
    saves = _saving(costs, volume, "the fine-tune saves")
    if volume.break_even_calls is None:
        return f"{saves}; the break-even is unknown: {clause(costs.lacking(training=True))}."
    if not costs.upfront_usd:
        return f"{saves} from the first call on{not_counted(costs)}."
    return f"{saves} and pays for itself after {show_break_even(volume)}{not_counted(costs)}."


def _best_sentence(costs: Costs) -> str:
    """Return the economics of the best possible candidate in one sentence, before training."""
    best = best_case(costs)
    volume = at_volume(best, costs.calls_per_month)
    if best.saved_per_call is None:
        return f"The possible saving is unknown: {clause(best.lacking(training=False))}."
    if volume.breaks_even is False:
        if volume.monthly_saving_usd is None:
            return "The baseline's calls cost nothing, so no candidate can save money."
        return _never(best, volume, "even a candidate whose calls cost nothing")
    saves = f"{_saving(best, volume, 'a candidate can save')} at most"
    if not volume.break_even_calls:
        return f"{saves}."
    return f"{saves}, and pays for itself after {show_break_even(volume)} at the earliest{not_counted(costs)}."


def _at(volume: Volume) -> str:
    return f"At {show_number(volume.calls_per_month or 0.0)} calls per month "


def _saving(costs: Costs, volume: Volume, subject: str) -> str:
    """Return the saving per month, or per 1,000 calls where their number is unknown."""
    if volume.monthly_saving_usd is not None:
        return f"{_at(volume)}{subject} {dollars(volume.monthly_saving_usd)} per month"
    each = dollars(1000 * (costs.saved_per_call or 0.0))
    return f"{subject[0].upper()}{subject[1:]} {each} per 1,000 calls"


def show_break_even(volume: Volume) -> str:
    """Return ``157 days (52,000 calls)``, or the calls alone where their number per month is unknown."""
    calls = plural(_whole(volume.break_even_calls or 0.0), "call")
    return calls if volume.break_even_days is None else f"{show_days(volume.break_even_days)} ({calls})"


def _never(costs: Costs, volume: Volume, subject: str) -> str:
    """Say that it never pays for itself, and from how many calls per month on it would."""
    saving, per_call, fixed = volume.monthly_saving_usd or 0.0, costs.saved_per_call, costs.fixed_usd
    lost = f"costs {dollars(-saving)} per month more than the baseline" if round(saving, 9) else "saves nothing"
    later = ""
    if per_call and _above_zero(per_call) and fixed is not None:
        later = f"; from {math.floor(round(fixed / per_call, 6)) + 1:,} calls per month on it would"
    return f"{_at(volume)}{subject} {lost}: it never pays for itself{later}."


def not_counted(costs: Costs) -> str:
    """Return which costs a payback leaves out, as ``(training not counted)``."""
    left_out = ["training"] if costs.training.usd is None else []
    left_out += ["data preparation"] if costs.data_usd is None else []
    return f" ({' and '.join(left_out)} not counted)" if left_out else ""
