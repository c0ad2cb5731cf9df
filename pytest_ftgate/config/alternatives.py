"""Baselines that the gate makes of one base model: its prompt alone, with few-shot examples, with retrieval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pytest_ftgate.config.baseline_keys import EXAMPLES, PROMPT, AlternativeKeys, AlternativesKeys
from pytest_ftgate.config.gate_config import ModelSpec
from pytest_ftgate.config.source import Source
from pytest_ftgate.config.specs import model_spec
from pytest_ftgate.errors import ConfigError

_DEFAULT_K = 8


def made_baselines(
    read: AlternativesKeys, at: Callable[..., Source], models: Mapping[str, ModelSpec]
) -> tuple[dict[str, ModelSpec], tuple[str, ...]]:
    """All baselines by name, and the names of those that the gate makes; these come first.

    Args:
        read: what stands under ``baselines``.
        at: the source of a part of it.
        models: the models of the gate file, by name.

    Raises:
        ConfigError: the base model is not asked through an endpoint, so that nothing can be made from it.
    """
    base = model_spec(read.base, at("base"), models)
    if base.provider != "openai":
        raise ConfigError(
            f"alternatives are made from a model with provider openai, and base is {base.spelling}",
            where=at("base").where("baselines.base"),
            cure="give the base model itself, or name each baseline: baselines: {prompt: ..., few_shot: ...}",
        )
    made = _made(read, base, at)
    further = {name: model_spec(one, at(name), models, name=name) for name, one in read.further.items()}
    return made | further, tuple(made)


def _made(read: AlternativesKeys, base: ModelSpec, at: Callable[..., Source]) -> dict[str, ModelSpec]:
    if read.alternatives is None:
        asked: list[tuple[str, int, Source]] = [(PROMPT, 0, base.source)]
        asked += [(key, _DEFAULT_K, base.source) for key in EXAMPLES]
    else:
        asked = [(*_way(one), at("alternatives", i)) for i, one in enumerate(read.alternatives)]
    ways = Counter(key for key, _, _ in asked)
    return {key if ways[key] == 1 else f"{key}_{k}": _made_from(base, key, k, source) for key, k, source in asked}


def _way(one: AlternativeKeys | str) -> tuple[str, int]:
    """The name of an alternative, and of how many examples it is."""
    if isinstance(one, str):
        return one, 0
    (key,) = one.model_fields_set
    return key, getattr(one, key).k


def _made_from(base: ModelSpec, key: str, k: int, source: Source) -> ModelSpec:
    """The base model with the examples of one alternative in place of its own."""
    options: dict[str, Any] = {name: value for name, value in base.options.items() if name not in EXAMPLES}
    if key == PROMPT:
        return replace(base, options=options, name=f"{base.name} {PROMPT}")
    return replace(base, options={**options, key: {"k": k}}, name=f"{base.name} {key} {k}", source=source)
