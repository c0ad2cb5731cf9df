"""Price answers. An unknown price or cost is never taken for zero."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ftgate.config.model_keys import PER_TOKEN, mixed
from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.models.protocol import Price

if TYPE_CHECKING:
    from pytest_ftgate.models.protocol import Completion, Model
    from pytest_ftgate.result import PriceLack


UNPRICED = "no price in the gate"

_KEYS = (*PER_TOKEN, "training_per_1m", "gpu_hour_usd")


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold the cost of a run in US dollars; if ``usd`` is ``None``, ``unknown`` says why."""

    usd: float | None
    unknown: str | None = None


def price_cure(*lacks: PriceLack | None) -> str:
    """Return how to set the prices of models, depending on what is missing."""
    cure = "price: {input_per_1m, output_per_1m}, or {gpu_hour_usd} for your own machine"
    return f"{cure}; pip install pytest-ftgate[prices] knows the prices of many endpoints" if "table" in lacks else cure


def written_price(keys: Mapping[str, Any] | None, source: str) -> Price:
    """Return the price from the key ``price`` of a gate, which has been checked, and where it is written."""
    if keys is None:
        return Price(unknown=UNPRICED, lack="price")
    price = Price(source, **keys)
    if price.known:
        return price
    missing = " and ".join(key for key in ("input_per_1m", "output_per_1m") if keys.get(key) is None)
    return Price(unknown=f"the price at {source} has no {missing}", lack="rate", **keys)


def price_of(model: Model) -> Price:
    """Return a model's price: a :class:`Price`, or a mapping of its keys, as a custom model may have.

    Raises:
        ConfigError: the model has something else as its price.
    """
    given: object = model.price
    if given is None or isinstance(given, Price):
        return given or Price(unknown=UNPRICED, lack="price")
    flaw = _flaw(given)
    if flaw is not None:
        cure = f"a price is a mapping of {', '.join(_KEYS)} to US dollars"
        raise ConfigError(f"the price of the model {model.name} {flaw}", where=Where(key="price"), cure=cure)
    assert isinstance(given, Mapping)  # anything else has a flaw
    return written_price(given, f"the model {model.name}")


def _flaw(given: object) -> str | None:
    if not isinstance(given, Mapping):
        return f"is a value of type {type(given).__name__}"
    for key, value in given.items():
        if key not in _KEYS:
            return f"has the key {key!r}"
        if not _is_amount(value):
            return f"has the {key} {value!r}"
    return mixed(given)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def cost_of(completion: Completion, price: Price, busy_s: float | None = None) -> float | None:
    """Return the US dollars for one answer; ``None`` if a price or a token count is unknown, or counts contradict.

    ``busy_s`` is the answer's share of the seconds in which the model was busy.
    """
    if price.gpu_hour_usd is not None:
        return None if busy_s is None else price.gpu_hour_usd * busy_s / 3600
    inputs, outputs = completion.input_tokens, completion.output_tokens
    if inputs is None or outputs is None:
        return None
    cached, written = completion.cached_input_tokens or 0, completion.cache_write_tokens or 0
    return tokens_usd(price, inputs, outputs, cached=cached, written=written)


def tokens_usd(price: Price, inputs: int, outputs: int, *, cached: int = 0, written: int = 0) -> float | None:
    """Return the US dollars for these tokens; ``cached`` and ``written`` (to the cache) are parts of ``inputs``."""
    plain = inputs - cached - written
    if price.input_per_1m is None or price.output_per_1m is None or plain < 0:
        return None
    if price.most_input_tokens is not None and inputs > price.most_input_tokens:
        return None
    cached_price = price.input_per_1m if price.cached_input_per_1m is None else price.cached_input_per_1m
    written_at = price.input_per_1m if price.cache_write_per_1m is None else price.cache_write_per_1m
    return (
        plain * price.input_per_1m + cached * cached_price + written * written_at + outputs * price.output_per_1m
    ) / 1e6


def cost_of_run(answers: Sequence[tuple[Completion | None, float | None]], price: Price) -> Cost:
    """Return the cost of a whole run, stored answers included.

    Each answer comes with its share of the seconds in which the model was busy; ``None`` is a missing answer.
    """
    if not price.known:
        return Cost(None, price.unknown or price.source)
    given = [(completion, busy_s) for completion, busy_s in answers if completion is not None]
    if not given or len(given) < len(answers):
        return Cost(None, f"{len(answers) - len(given):,} of {len(answers):,} answers are missing")
    costs = [cost_of(completion, price, busy_s) for completion, busy_s in given]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return Cost(None, f"{len(costs) - len(known):,} of {len(costs):,} answers {_lacking(price)}")
    return Cost(round(math.fsum(known), 12))


def _lacking(price: Price) -> str:
    if price.gpu_hour_usd is not None:
        return "have no busy time"
    if price.most_input_tokens is not None:
        return f"have no usable token counts, or over {price.most_input_tokens:,} input tokens, priced differently"
    return "have no usable token counts"
