"""Price answers, by the gate or the package ``genai-prices``.

An unknown price or cost is never taken for zero.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from math import fsum
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pytest_ftgate import clock, text
from pytest_ftgate.config import model_keys
from pytest_ftgate.config.keys import Reading, read_keys
from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.models.protocol import Completion, Model, Price
from pytest_ftgate.plain import Unknown
from pytest_ftgate.text import KeyPath, dotted

_UNPRICED = "no price in the gate"

PRICE_CURE = "price: {input_per_1m, output_per_1m}, or {gpu_hour_usd} for your own machine"
"""How to set the price of a model."""
UNPRICED = f"Give the model a {PRICE_CURE}."
UNCOUNTED = "Ask again with --ftgate-cache=refresh, or use an endpoint that reports token usage."


class Cost(NamedTuple):
    """Hold the cost of a run in US dollars; if ``usd`` is ``None``, ``unknown`` says why."""

    usd: float | None
    unknown: Unknown | None = None


def written_price(keys: Mapping[str, Any] | None, source: str) -> Price:
    """Return the price from the checked key ``price`` of a gate, written at ``source``."""
    if keys is None:
        return Price(unknown=_UNPRICED)
    price = Price(source, **keys)
    if price.known:
        return price
    missing = [key for key in ("input_per_1m", "output_per_1m") if keys.get(key) is None]
    return Price(unknown=f"the price at {source} has no {' and '.join(missing)}", **keys)


def price_of(model: Model) -> Price:
    """Return a model's price: a :class:`Price`, or a mapping of its keys.

    Raise :class:`ConfigError` for other values.
    """
    if model.price is None:
        return Price(unknown=_UNPRICED)
    if isinstance(model.price, Price):
        return model.price

    def error_at(path: KeyPath, text: str) -> ConfigError:
        where = Where(key=dotted(("price", *path)))
        return ConfigError(f"{text} (the model {model.name})", where=where)

    # A model of a hook or a fixture gives its price unchecked.
    keys = read_keys(model_keys.Price, model.price, Reading(), error_at)
    return written_price(keys.written(), f"the model {model.name}")


def cost_of(completion: Completion, price: Price, busy_s: float | None = None) -> float | None:
    """Return the US dollars for one answer.

    ``None`` if a price or a token count is unknown, or counts contradict.
    """
    if price.gpu_hour_usd is not None:
        return None if busy_s is None else price.gpu_hour_usd * busy_s / 3600

    if completion.input_tokens is None or completion.output_tokens is None:
        return None
    return tokens_usd(
        price,
        completion.input_tokens,
        completion.output_tokens,
        cached=completion.cached_input_tokens or 0,
        written=completion.cache_write_tokens or 0,
    )


def tokens_usd(
    price: Price, inputs: int, outputs: int, *, cached: int = 0, written: int = 0
) -> float | None:
    """Return the US dollars for these tokens.

    ``cached`` and ``written`` (to the cache) are parts of ``inputs``.
    """
    plain = inputs - cached - written
    if price.input_per_1m is None or price.output_per_1m is None or plain < 0:
        return None
    # Longer prompts have another rate, which is not known here.
    if price.most_input_tokens is not None and inputs > price.most_input_tokens:
        return None

    cached_price = price.cached_input_per_1m
    if cached_price is None:
        cached_price = price.input_per_1m
    write_price = price.cache_write_per_1m
    if write_price is None:
        write_price = price.input_per_1m
    usd = plain * price.input_per_1m + cached * cached_price + written * write_price
    return (usd + outputs * price.output_per_1m) / 1e6


def cost_of_run(answers: Sequence[tuple[Completion | None, float | None]], price: Price) -> Cost:
    """Return the cost of a run: answers (or None), each with its share of the busy seconds."""
    if not price.known:
        return Cost(None, Unknown(price.unknown or price.source, UNPRICED))

    costs = []
    for answer, busy_s in answers:
        usd = None if answer is None else cost_of(answer, price, busy_s)
        if usd is not None:
            costs.append(usd)
    if costs and len(costs) == len(answers):
        return Cost(round(fsum(costs), 12))

    uncounted = len(answers) - len(costs)
    message = (
        f"{uncounted:,} of {len(answers):,} answers are missing, or have no usable token counts, "
        "time or price"
    )
    return Cost(None, Unknown(message, UNCOUNTED))


_RATES = {
    "input_mtok": "input_per_1m",
    "output_mtok": "output_per_1m",
    "cache_read_mtok": "cached_input_per_1m",
    "cache_write_mtok": "cache_write_per_1m",
}
# A text chat without tools does not pay for these.
_NOT_OF_TEXT = re.compile(r"audio|image|video|document|searches|cache_write_1h")


def table_price(model: str, base_url: str, params: Mapping[str, Any]) -> Price:
    """Return the price of a model that is asked with ``params`` at an endpoint.

    Return an unknown price if the table has none.
    """
    label = f"{text.excerpt(model)!r} at {urlsplit(base_url).netloc.rpartition('@')[2]}"
    if _is_private(base_url):  # the table takes a quarter of a second to load
        return Price(unknown=f"{_UNPRICED}, and genai-prices does not know {label}")
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        reason = "genai-prices is not installed (pip install genai-prices)"
        return Price(unknown=f"{_UNPRICED}, and {reason}")

    moment = datetime.fromtimestamp(clock.wall(), timezone.utc)
    try:
        entry = calc_price(
            Usage(input_tokens=1, output_tokens=1),
            model,
            provider_api_url=base_url,
            genai_request_timestamp=moment,
        )
        # Of a fine-tune that the table does not have, the price is that of its base.
        is_base = model.startswith("ft:") and not entry.model.id.startswith("ft:")
        if is_base:
            raise LookupError
        rates = _rates(entry, params)
        if not isinstance(rates, str):
            return Price(f"genai-prices {version('genai-prices')}", **rates)
        reason = f"by genai-prices {label} {rates}"
    except LookupError:
        reason = f"genai-prices does not know {label}"
    except Exception as error:  # a failure of third-party code must not end the run
        failure = text.excerpt(f"{type(error).__name__}: {error}")
        reason = f"genai-prices failed: {failure}"
    return Price(unknown=f"{_UNPRICED}, and {reason}")


def _is_private(base_url: str) -> bool:
    """Return whether a host is an address, or a name without a dot, which no table has."""
    host = urlsplit(base_url).hostname or ""
    return ":" in host or host.rpartition(".")[2].isdecimal() or "." not in host


def _rates(entry: Any, params: Mapping[str, Any]) -> dict[str, Any] | str:
    """Return the rates of an entry of the table, or why the price is not known by tokens alone."""
    if params.get("service_tier") not in (None, "auto", "default"):
        return "has another price with params.service_tier"
    # A rate of zero is listed for what is free.
    table = {name: rate for name, rate in vars(entry.model_price).items() if rate is not None}
    paid = {name: rate for name, rate in table.items() if rate}
    by_other_units = [name for name in paid if name not in _RATES and not _NOT_OF_TEXT.search(name)]
    # Requests, searches or reasoning are paid apart, so tokens alone tell too little.
    if by_other_units:
        return f"is not paid by tokens alone ({text.excerpt(', '.join(by_other_units))})"

    rates: dict[str, Any] = {}
    for name, key in _RATES.items():
        if name in table:
            rates[key] = float(getattr(table[name], "base", table[name]))
    if "input_per_1m" not in rates or "output_per_1m" not in rates:  # free is written as 0
        return "has no price of input and output tokens"
    steps: list[int] = []
    for rate in paid.values():
        steps += [tier.start for tier in getattr(rate, "tiers", ())]
    if steps:
        rates["most_input_tokens"] = min(steps) - 1
    return rates
