"""Whether what a call costs can be known, and is a price at all: one rule for all that rests on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.models.price import price_cure, price_of
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.result import ModelResult, called

if TYPE_CHECKING:
    from pytest_ftgate.models import Model
    from pytest_ftgate.result import PriceLack


UNTIMED_CURE = "Ask the model live, or record latency_s with each answer."

UNCOUNTED_CURE = "Ask again (--ftgate-cache=refresh), or an endpoint that reports usage."

_FREE = "A machine of your own is not free: price: {gpu_hour_usd}"
FREE_CURE = f"{_FREE}."
FREE_TO_HOST_CURE = f"{_FREE}, or economics.hosting_usd_per_month."


def unpriced_cure(*lacks: PriceLack | None) -> str:
    """Return what to do where the price of a model is unknown, by what is lacking."""
    return f"Give the model a {price_cure(*lacks)}."


def lacks_of(models: Mapping[str, Model]) -> Iterator[PriceLack | None]:
    """Return what is lacking of the prices that :func:`why_unpriced` tells of."""
    return (price.lack for price in _blind(models).values())


def call_usd(model: ModelResult) -> float | None:
    """Return what one call cost on the test set; None where that is unknown."""
    return None if model.cost_usd is None or not model.n_expected else model.cost_usd / model.n_expected


def unpriced_models(models: Mapping[str, Model]) -> dict[str, Price]:
    """Return the models whose cost cannot be known, whatever is answered, by role; none where it may be known.

    The baseline that counts is the best one, which nobody knows yet: one with a price is enough.
    """
    unknown = {role: price for role, model in models.items() if not (price := price_of(model)).known}
    baselines = [role for role in models if role != "candidate"]
    blind = baselines if all(role in unknown for role in baselines) else []
    return {role: price for role, price in unknown.items() if role == "candidate" or role in blind}


def why_unpriced(models: Mapping[str, Model]) -> str | None:
    """Return why no cost of a candidate can be compared with one of a baseline; ``None`` where it may be known."""
    told = [f"{called(role, models[role].name)}: {price.unknown}" for role, price in _blind(models).items()]
    return "; ".join(told) or None


def _blind(models: Mapping[str, Model]) -> dict[str, Price]:
    unknown = unpriced_models(models)
    return {"candidate": unknown["candidate"]} if "candidate" in unknown else unknown


def why_priced_at_nothing(models: Mapping[str, Model]) -> str | None:
    """Return why no cost can be compared where the candidate's price is nothing, whatever is answered."""
    candidate = models.get("candidate")
    price = price_of(candidate) if candidate is not None else None
    return _costs_nothing(candidate.name, price.source) if candidate is not None and price and price.is_free else None


def why_free(candidate: ModelResult) -> str | None:
    """Return the same by what was measured: answers without a token that is paid for cost nothing, too."""
    return _costs_nothing(candidate.name, candidate.price) if candidate.cost_usd == 0 else None


def _costs_nothing(name: str, source: str | None) -> str:
    return f"one of candidate {name} costs nothing by its price ({source})"
