"""Look up prices in the installed package ``genai-prices``; nothing is downloaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timezone
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from pytest_ftgate import clock
from pytest_ftgate.models.price import UNPRICED
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.text import excerpt

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


def table_price(model: str, base_url: str, params: Mapping[str, Any], *, batch: bool = False) -> Price:
    """Return the price of a model at an endpoint; unknown if the table does not give it.

    Args:
        model: its name at the endpoint.
        base_url: the endpoint.
        params: sent with every request; a service tier has its own price.
        batch: the calls use OpenAI's batch API, which halves the price.
    """
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return Price(unknown=f"{UNPRICED}, and genai-prices is not installed", lack="table")
    now = datetime.fromtimestamp(clock.wall(), timezone.utc)
    at = f"{excerpt(model)!r} at {urlsplit(base_url).netloc.rpartition('@')[2]}"
    try:
        one = Usage(input_tokens=1, output_tokens=1)
        found = calc_price(one, model, provider_api_url=base_url, genai_request_timestamp=now)
        return _price(found, model, base_url, params, batch, now)
    except LookupError:
        why = f"genai-prices does not know {at}"
    except _UnknownError as error:
        why = f"by genai-prices {at} {error}"
    except Exception as error:  # a failure of third-party code must not end the run
        why = f"genai-prices failed: {excerpt(f'{type(error).__name__}: {error}')}"
    return Price(unknown=f"{UNPRICED}, and {why}", lack="price")


def _price(found: Any, model: str, base_url: str, params: Mapping[str, Any], batch: bool, now: datetime) -> Price:
    if model.startswith("ft:") and not found.model.id.startswith("ft:"):
        raise LookupError  # the base model's price does not apply
    if not _is_host_of(found.provider.api_pattern, base_url):
        raise LookupError
    if params.get("service_tier") not in (None, "auto", "default"):
        raise _UnknownError("has another price with params.service_tier")
    if any(hasattr(price.constraint, "start_time") for price in _conditional(found.model.prices)):
        raise _UnknownError("has a price that changes with the time of day")
    price = Price(f"genai-prices {version('genai-prices')}, {_date(found, now)}", **_rates(found))
    return _halved(price, found.provider.id) if batch else price


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


def _halved(price: Price, provider: str) -> Price:
    """Return the price in batch mode: input and output cost half, but cached tokens are not always cheaper."""
    if provider != "openai":
        raise _UnknownError("has no price in batch mode")
    assert price.input_per_1m is not None  # checked in _rates
    assert price.output_per_1m is not None
    half, cached, written = price.input_per_1m / 2, price.cached_input_per_1m, price.cache_write_per_1m
    return replace(
        price,
        source=f"{price.source}; half price in batch mode",
        input_per_1m=half,
        output_per_1m=price.output_per_1m / 2,
        cached_input_per_1m=None if cached is None else min(cached, half),
        cache_write_per_1m=None if written is None else written / 2,
    )


def _is_host_of(pattern: str, base_url: str) -> bool:
    """Return whether the pattern matches the whole host, not only the start of ``https://api.openai.com.proxy.test``.

    A pattern that ends in a dot leaves the end of the host open.
    """
    match = re.match(pattern, base_url)
    if match is None:
        return False
    rest = base_url[match.end() :]
    return not rest or rest[0] in "/:?#" or match[0][-1:] in "./"


def _date(found: Any, now: datetime) -> str:
    """Return the age of the table: when it was updated, or else its latest date from which a price holds."""
    if found.auto_update_timestamp is not None:
        return f"updated {found.auto_update_timestamp:%Y-%m-%d}"
    return f"newest price of {max(_dates(now.date()), default='unknown date')}"


def _dates(today: date) -> Iterator[date]:
    from genai_prices.data_snapshot import get_snapshot

    for provider in get_snapshot().providers:
        for model in provider.models:
            for price in (*_conditional(model.prices), *(getattr(model, "price_variants", None) or ())):
                start: date | None = getattr(price.constraint, "start_date", None)
                if start is not None and start <= today:
                    yield start


def _conditional(prices: Any) -> list[Any]:
    return prices if isinstance(prices, list) else []
