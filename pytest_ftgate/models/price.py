"""Price answers, by the gate or the package ``genai-prices``. An unknown price or cost is never taken for zero."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from pytest_ftgate import clock
from pytest_ftgate.config.model_keys import PER_TOKEN, mixed
from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.models.protocol import Completion, Model, Price
from pytest_ftgate.plain import Unknown
from pytest_ftgate.text import excerpt

_UNPRICED = "no price in the gate"
_KEYS = (*PER_TOKEN, "gpu_hour_usd")

PRICE_CURE = "price: {input_per_1m, output_per_1m}, or {gpu_hour_usd} for your own machine"
"""How to set the price of a model."""
UNPRICED = f"Give the model a {PRICE_CURE}."
UNCOUNTED = "Ask again with --ftgate-cache=refresh, or use an endpoint that reports token usage."


@dataclass(frozen=True, slots=True)
class Cost:
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
    missing = " and ".join(key for key in ("input_per_1m", "output_per_1m") if keys.get(key) is None)
    return Price(unknown=f"the price at {source} has no {missing}", **keys)


def price_of(model: Model) -> Price:
    """Return a model's price: a :class:`Price`, or a mapping of its keys; else raise :class:`ConfigError`."""
    given: object = model.price
    if given is None or isinstance(given, Price):
        return given or Price(unknown=_UNPRICED)
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
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and math.isfinite(value) and value >= 0):
            return f"has the {key} {value!r}"
    return mixed(given)


def cost_of(completion: Completion, price: Price, busy_s: float | None = None) -> float | None:
    """Return the US dollars for one answer; ``None`` if a price or a token count is unknown, or counts contradict."""
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
    """Return the cost of a whole run: answers (``None``: missing), each with its share of the busy seconds."""
    if not price.known:
        return Cost(None, Unknown(price.unknown or price.source, UNPRICED))
    given = [(completion, busy_s) for completion, busy_s in answers if completion is not None]
    if not given or len(given) < len(answers):
        missing = f"{len(answers) - len(given):,} of {len(answers):,} answers are missing"
        return Cost(None, Unknown(missing, UNCOUNTED))
    costs = [cost_of(completion, price, busy_s) for completion, busy_s in given]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        lacking = "have no busy time" if price.gpu_hour_usd is not None else "have no usable token counts"
        if price.gpu_hour_usd is None and price.most_input_tokens is not None:
            lacking += f", or over {price.most_input_tokens:,} input tokens, priced differently"
        return Cost(None, Unknown(f"{len(costs) - len(known):,} of {len(costs):,} answers {lacking}", UNCOUNTED))
    return Cost(round(math.fsum(known), 12))


_RATES = {
    "input_mtok": "input_per_1m",
    "output_mtok": "output_per_1m",
    "cache_read_mtok": "cached_input_per_1m",
    "cache_write_mtok": "cache_write_per_1m",
}
# A text chat without tools does not pay for these.
_NOT_OF_TEXT = re.compile(r"audio|image|video|document|searches|cache_write_1h")


class _UnknownError(Exception):
    """Report that the table does not give the price; the text says why."""


def table_price(model: str, base_url: str, params: Mapping[str, Any]) -> Price:
    """Return the price of a model that is asked with ``params`` at an endpoint; unknown if the table has none."""
    at = f"{excerpt(model)!r} at {urlsplit(base_url).netloc.rpartition('@')[2]}"
    if _is_private(base_url):  # the table takes a quarter of a second to load
        return Price(unknown=f"{_UNPRICED}, and genai-prices does not know {at}")
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return Price(unknown=f"{_UNPRICED}, and genai-prices is not installed (pip install pytest-ftgate[prices])")
    now = datetime.fromtimestamp(clock.wall(), timezone.utc)
    try:
        one = Usage(input_tokens=1, output_tokens=1)
        found = calc_price(one, model, provider_api_url=base_url, genai_request_timestamp=now)
        return _price(found, model, base_url, params)
    except LookupError:
        why = f"genai-prices does not know {at}"
    except _UnknownError as error:
        why = f"by genai-prices {at} {error}"
    except Exception as error:  # a failure of third-party code must not end the run
        why = f"genai-prices failed: {excerpt(f'{type(error).__name__}: {error}')}"
    return Price(unknown=f"{_UNPRICED}, and {why}")


def _is_private(base_url: str) -> bool:
    """Return whether a host is an address, or a name without a dot: no table can have its prices."""
    host = urlsplit(base_url).hostname or ""
    return ":" in host or host.rpartition(".")[2].isdecimal() or "." not in host


def _price(found: Any, model: str, base_url: str, params: Mapping[str, Any]) -> Price:
    if model.startswith("ft:") and not found.model.id.startswith("ft:"):
        raise LookupError  # the base model's price does not apply
    if not _is_host_of(found.provider.api_pattern, base_url):
        raise LookupError
    if params.get("service_tier") not in (None, "auto", "default"):
        raise _UnknownError("has another price with params.service_tier")
    conditional = found.model.prices if isinstance(found.model.prices, list) else []
    if any(hasattr(price.constraint, "start_time") for price in conditional):
        raise _UnknownError("has a price that changes with the time of day")
    updated = f", updated {found.auto_update_timestamp:%Y-%m-%d}" if found.auto_update_timestamp is not None else ""
    return Price(f"genai-prices {version('genai-prices')}{updated}", **_rates(found))


def _rates(found: Any) -> dict[str, Any]:
    listed = {name: rate for name, rate in vars(found.model_price).items() if rate}
    others = [name for name in listed if name not in _RATES and not _NOT_OF_TEXT.search(name)]
    if others:
        raise _UnknownError(f"is not paid by tokens alone ({excerpt(', '.join(others))})")
    # Free is written as 0; an absent rate is unknown.
    if any(getattr(found.model_price, name, None) is None for name in ("input_mtok", "output_mtok")):
        raise _UnknownError("has no price of input and output tokens")
    rates: dict[str, Any] = {
        key: float(getattr(rate, "base", rate))
        for name, key in _RATES.items()
        if (rate := getattr(found.model_price, name, None)) is not None
    }
    steps = [tier.start for rate in listed.values() for tier in getattr(rate, "tiers", ())]
    return {**rates, "most_input_tokens": min(steps) - 1} if steps else rates


def _is_host_of(pattern: str, base_url: str) -> bool:
    """Return whether the pattern matches the whole host, not only the start of ``https://api.openai.com.proxy.test``."""
    match = re.match(pattern, base_url)
    if match is None:
        return False
    rest = base_url[match.end() :]
    return not rest or rest[0] in "/:?#" or match[0][-1:] in "./"  # a dot leaves the end of the host open
