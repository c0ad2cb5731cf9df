"""Price answers, by the gate or the package ``genai-prices``.

An unknown price or cost is never taken for zero.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from math import fsum, inf
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pytest_ftgate import clock, errors, text
from pytest_ftgate.config.model_keys import PER_TOKEN, mixed
from pytest_ftgate.models.protocol import Completion, Model, Price
from pytest_ftgate.plain import Unknown

_UNPRICED = "no price in the gate"
_KEYS = (*PER_TOKEN, "gpu_hour_usd")

PRICE_CURE = "price: {input_per_1m, output_per_1m}, or {gpu_hour_usd} for your own machine"
"""How to set the price of a model."""
UNPRICED = f"Give the model a {PRICE_CURE}."
UNCOUNTED = "Ask again with --ftgate-cache=refresh, or use an endpoint that reports token usage."


class Cost(NamedTuple):
    """Hold the cost of a run in US dollars; if ``usd`` is ``None``, ``unknown`` says why."""

    usd: float | None
    unknown: Unknown | None = None


def written_price(keys: Mapping[str, Any] | None, source: str) -> Price:
    """Return the price from the key ``price`` of a gate, which has been checked, and where it is written."""
    if keys is None:
        return Price(unknown=_UNPRICED)
    price = Price(source, **keys)
    if price.known:
        return price
    missing = " and ".join(
        key for key in ("input_per_1m", "output_per_1m") if keys.get(key) is None
    )
    return Price(unknown=f"the price at {source} has no {missing}", **keys)


def price_of(model: Model) -> Price:
    """Return a model's price: a :class:`Price`, or a mapping of its keys; else raise :class:`ConfigError`."""
    given: object = model.price
    if given is None or isinstance(given, Price):
        return given or Price(unknown=_UNPRICED)
    numbers = isinstance(given, Mapping) and all(
        type(one) in (int, float) and 0 <= one < inf for one in given.values()
    )
    if (
        not isinstance(given, Mapping)
        or not numbers
        or not given.keys() <= {*_KEYS}
        or mixed(given)
    ):
        cure = (
            f"a price is a mapping of {', '.join(_KEYS)} to US dollars: of tokens, or of a machine"
        )
        what = f"the price of the model {model.name} is {text.excerpt(repr(given))}"
        raise errors.ConfigError(what, where=errors.Where(key="price"), cure=cure)
    return written_price(given, f"the model {model.name}")


def cost_of(completion: Completion, price: Price, busy_s: float | None = None) -> float | None:
    """Return the US dollars for one answer; ``None`` if a price or a token count is unknown, or counts contradict."""
    if price.gpu_hour_usd is not None:
        return None if busy_s is None else price.gpu_hour_usd * busy_s / 3600
    inputs, outputs = completion.input_tokens, completion.output_tokens
    if inputs is None or outputs is None:
        return None
    cached, written = completion.cached_input_tokens or 0, completion.cache_write_tokens or 0
    return tokens_usd(price, inputs, outputs, cached=cached, written=written)


def tokens_usd(
    price: Price, inputs: int, outputs: int, *, cached: int = 0, written: int = 0
) -> float | None:
    """Return the US dollars for these tokens; ``cached`` and ``written`` (to the cache) are parts of ``inputs``."""
    plain = inputs - cached - written
    is_unpriced = price.most_input_tokens is not None and inputs > price.most_input_tokens
    if price.input_per_1m is None or price.output_per_1m is None or plain < 0 or is_unpriced:
        return None
    cached_price = (
        price.input_per_1m if price.cached_input_per_1m is None else price.cached_input_per_1m
    )
    written_at = (
        price.input_per_1m if price.cache_write_per_1m is None else price.cache_write_per_1m
    )
    usd = (
        plain * price.input_per_1m
        + cached * cached_price
        + written * written_at
        + outputs * price.output_per_1m
    )
    return usd / 1e6


def cost_of_run(answers: Sequence[tuple[Completion | None, float | None]], price: Price) -> Cost:
    """Return the cost of a whole run: answers (``None``: missing), each with its share of the busy seconds."""
    if not price.known:
        return Cost(None, Unknown(price.unknown or price.source, UNPRICED))
    costs = [None if one is None else cost_of(one, price, busy_s) for one, busy_s in answers]
    known = [cost for cost in costs if cost is not None]
    if known and len(known) == len(costs):
        return Cost(round(fsum(known), 12))
    least = (
        ""
        if price.most_input_tokens is None
        else f", or have more than {price.most_input_tokens:,} input tokens"
    )
    lacking = f"are missing, or have no usable token counts or time{least}"
    return Cost(
        None, Unknown(f"{len(costs) - len(known):,} of {len(costs):,} answers {lacking}", UNCOUNTED)
    )


_RATES = {
    "input_mtok": "input_per_1m",
    "output_mtok": "output_per_1m",
    "cache_read_mtok": "cached_input_per_1m",
    "cache_write_mtok": "cache_write_per_1m",
}
# A text chat without tools does not pay for these.
_NOT_OF_TEXT = re.compile(r"audio|image|video|document|searches|cache_write_1h")


def table_price(model: str, base_url: str, params: Mapping[str, Any]) -> Price:
    """Return the price of a model that is asked with ``params`` at an endpoint; unknown if the table has none."""
    at = f"{text.excerpt(model)!r} at {urlsplit(base_url).netloc.rpartition('@')[2]}"
    if _is_private(base_url):  # the table takes a quarter of a second to load
        return Price(unknown=f"{_UNPRICED}, and genai-prices does not know {at}")
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return Price(
            unknown=f"{_UNPRICED}, and genai-prices is not installed (pip install genai-prices)"
        )
    now = datetime.fromtimestamp(clock.wall(), timezone.utc)
    try:
        one = Usage(input_tokens=1, output_tokens=1)
        found = calc_price(one, model, provider_api_url=base_url, genai_request_timestamp=now)
        # the price is that of its base
        tuned = model.startswith("ft:") and not found.model.id.startswith("ft:")
        if tuned or not _is_host_of(found.provider.api_pattern, base_url):
            raise LookupError
        rates = _rates(found, params)
        if not isinstance(rates, str):
            at_time = found.auto_update_timestamp
            updated = f", updated {at_time:%Y-%m-%d}" if at_time is not None else ""
            return Price(f"genai-prices {version('genai-prices')}{updated}", **rates)
        why = f"by genai-prices {at} {rates}"
    except LookupError:
        why = f"genai-prices does not know {at}"
    except Exception as error:  # a failure of third-party code must not end the run
        why = f"genai-prices failed: {text.excerpt(f'{type(error).__name__}: {error}')}"
    return Price(unknown=f"{_UNPRICED}, and {why}")


def _is_private(base_url: str) -> bool:
    """Return whether a host is an address, or a name without a dot: no table can have its prices."""
    host = urlsplit(base_url).hostname or ""
    return ":" in host or host.rpartition(".")[2].isdecimal() or "." not in host


def _rates(found: Any, params: Mapping[str, Any]) -> dict[str, Any] | str:
    """Return the rates of a price of the table, or why it is not known by tokens alone."""
    if params.get("service_tier") not in (None, "auto", "default"):
        return "has another price with params.service_tier"
    conditional = found.model.prices if isinstance(found.model.prices, list) else []
    if any(hasattr(price.constraint, "start_time") for price in conditional):
        return "has a price that changes with the time of day"
    listed = {name: rate for name, rate in vars(found.model_price).items() if rate}
    others = [name for name in listed if name not in _RATES and not _NOT_OF_TEXT.search(name)]
    if others:
        return f"is not paid by tokens alone ({text.excerpt(', '.join(others))})"
    named = {key: getattr(found.model_price, name, None) for name, key in _RATES.items()}
    if named["input_per_1m"] is None or named["output_per_1m"] is None:  # free is written as 0
        return "has no price of input and output tokens"
    rates: dict[str, Any] = {
        key: float(getattr(one, "base", one)) for key, one in named.items() if one is not None
    }
    steps = [tier.start for rate in listed.values() for tier in getattr(rate, "tiers", ())]
    return {**rates, "most_input_tokens": min(steps) - 1} if steps else rates


def _is_host_of(pattern: str, base_url: str) -> bool:
    """Return whether the pattern matches the whole host, not only the start of ``https://api.openai.com.proxy.test``."""
    match = re.match(pattern, base_url)
    if match is None:
        return False
    rest = base_url[match.end() :]
    # a dot leaves the end of the host open
    return not rest or rest[0] in "/:?#" or match[0][-1:] in "./"
