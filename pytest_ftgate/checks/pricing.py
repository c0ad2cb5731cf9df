"""Whether the cost of a call is known, shared by all rules that depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from pytest_ftgate.models.price import PRICE_CURE, price_of
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.result import ModelResult, called

if TYPE_CHECKING:
    from pytest_ftgate.models import Model


UNTIMED_CURE = "Call the model live, or record latency_s with each answer."

UNCOUNTED_CURE = "Ask again with --ftgate-cache=refresh, or use an endpoint that reports token usage."

_FREE = "Your own hardware is not free: set price: {gpu_hour_usd}"
FREE_CURE = f"{_FREE}."
UNPRICED_CURE = f"Give the model a {PRICE_CURE}."
FREE_TO_HOST_CURE = f"{_FREE}, or economics.hosting_usd_per_month."


class Lack(NamedTuple):
    """Hold what is missing to calculate a figure, as a clause, and how to supply it, as a sentence."""

    what: str
    cure: str


def cost_cure(*models: ModelResult) -> str:
    """Return how to make the unknown costs of these models known."""
    return UNPRICED_CURE if any(model.price_unknown is not None for model in models) else UNCOUNTED_CURE


def call_usd(model: ModelResult) -> float | None:
    """Return the mean cost of a call on the test set in US dollars; None where it is unknown."""
    return None if model.cost_usd is None or not model.n_expected else model.cost_usd / model.n_expected


def unpriced_models(models: Mapping[str, Model]) -> dict[str, Price]:
    """Return by role the models whose cost will be unknown, known before any call.

    Baselines only if all of them have no price, because the best one is not known yet.
    """
    unknown = {role: price for role, model in models.items() if not (price := price_of(model)).known}
    baselines = [role for role in models if role != "candidate"]
    blind = baselines if all(role in unknown for role in baselines) else []
    return {role: price for role, price in unknown.items() if role == "candidate" or role in blind}


def no_price(models: Mapping[str, Model]) -> Lack | None:
    """Return why the costs of candidate and baseline cannot be compared; None where they may be."""
    unknown = unpriced_models(models)
    unknown = {"candidate": unknown["candidate"]} if "candidate" in unknown else unknown
    if not unknown:
        return None
    reasons = (f"{called(role, models[role].name)}: {price.unknown}" for role, price in unknown.items())
    return Lack("; ".join(reasons), UNPRICED_CURE)


def why_priced_at_nothing(models: Mapping[str, Model]) -> str | None:
    """Return why costs cannot be compared where the candidate's price is $0; None where it is not."""
    candidate = models.get("candidate")
    price = price_of(candidate) if candidate is not None else None
    return _costs_nothing(candidate.name, price.source) if candidate is not None and price and price.is_free else None


def why_free(candidate: ModelResult) -> str | None:
    """Return why costs cannot be compared where the candidate's measured cost is $0; None where it is not."""
    return _costs_nothing(candidate.name, candidate.price) if candidate.cost_usd == 0 else None


def _costs_nothing(name: str, source: str | None) -> str:
    return f"a call of candidate {name} costs nothing by its price ({source})"
