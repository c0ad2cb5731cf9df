"""From a gate's ``openai`` keys to a model: one that is asked live, or in batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import canonical_json
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.models.openai import CONCURRENCY, PUBLIC_ENDPOINT, RETRIES, TIMEOUT_S, OpenAIModel, endpoint_of
from pytest_ftgate.models.prompt import build_prompt
from pytest_ftgate.models.protocol import Model, sample_of
from pytest_ftgate.models.surroundings import Surroundings
from pytest_ftgate.money.price import Price, written_price

if TYPE_CHECKING:
    from pytest_ftgate.config import ModelSpec, Source

_OURS = {
    "model": "the model's own key names it",
    "messages": "they are made from the examples",
    "stream": "answers are read whole",
}


def build_openai(spec: ModelSpec, surroundings: Surroundings) -> Model:
    """The model of a gate's ``openai`` keys: one that is asked live, or in batches. Raises :class:`ConfigError`."""
    live = _asked_live(spec, surroundings)
    if spec.options.get("mode", "live") == "live":
        return live
    from pytest_ftgate.models.batch import BatchedModel

    return BatchedModel(
        live, surroundings.notes, newer_than=surroundings.newer_than, concurrency=spec.options.get("concurrency")
    )


def _asked_live(spec: ModelSpec, surroundings: Surroundings) -> OpenAIModel:
    options = spec.options
    endpoint = endpoint_of(spec, options["model"])
    return OpenAIModel(
        name=spec.name,
        spelling=spec.spelling,
        model=endpoint.model,
        base_url=endpoint.base_url,
        key_env=endpoint.key_env,
        prompt=build_prompt(spec, surroundings.training, surroundings.asked),
        params=_checked_params(options.get("params") or {}, spec.source),
        revision=options.get("revision"),
        concurrency=options.get("concurrency") or CONCURRENCY,
        timeout_s=options.get("timeout_s") or TIMEOUT_S,
        retries=RETRIES if options.get("retries") is None else options["retries"],
        price=price_at_endpoint(spec),
        source=spec.source.at,
        requests_per_minute=options.get("requests_per_minute"),
        tokens_per_minute=options.get("tokens_per_minute"),
        latency=sample_of(options),
    )


def price_at_endpoint(spec: ModelSpec) -> Price:
    """What the model of ``openai`` keys costs: as the gate says, else as the package ``genai-prices`` does."""
    options = spec.options
    if options.get("price") is not None:
        return written_price(options["price"], str(spec.source))
    from pytest_ftgate.money.price_table import table_price

    return table_price(
        options["model"],
        options.get("base_url") or PUBLIC_ENDPOINT,
        options.get("params") or {},
        batch=options.get("mode") == "batch",
    )


def _checked_params(params: Mapping[str, Any], source: Source) -> Mapping[str, Any]:
    for name, reason in _OURS.items():
        if name in params:
            raise ConfigError(
                f"params must not hold {name!r}",
                where=source.where(f"params.{name}"),
                cure=f"remove it: {reason}",
            )
    try:
        canonical_json(params)
    except (TypeError, ValueError) as error:
        raise ConfigError("params must be JSON values", where=source.where("params"), evidence=str(error)) from None
    return params
