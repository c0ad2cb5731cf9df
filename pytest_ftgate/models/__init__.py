"""Provide models, which complete examples; the model that a gate's keys describe is built here.

Built-in providers are registered like those of others. Modules of this package do not use these
names.
"""

from importlib import import_module
from typing import Any

from pytest_ftgate.config import ModelSpec
from pytest_ftgate.config.models import PROVIDERS
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.guarded import guarded
from pytest_ftgate.models.protocol import (
    Completion,
    Model,
    Prediction,
    Question,
    Surroundings,
    key_of,
)
from pytest_ftgate.text import nearest

__all__ = ["Completion", "Model", "Prediction", "Question", "Surroundings", "build_model", "key_of"]

_BUILDERS = {
    "openai": "pytest_ftgate.models.openai_api.model:build_openai",
    "callable": "pytest_ftgate.models.python:build_callable",
    "given": "pytest_ftgate.models.given:build_given",
    "python": "pytest_ftgate.models.python:build_target",
    "recorded": "pytest_ftgate.models.recorded:build_recorded",
    "transformers": "pytest_ftgate.models.transformers:build_transformers",
}

_KNOWN_AS = {
    "huggingface": "transformers",
    "hugging_face": "transformers",
    "hf": "transformers",
    "peft": "transformers",
    "local": "transformers",
    "gpt": "openai",
    "chatgpt": "openai",
    "function": "python",
    "file": "recorded",
}
"""What other tools call our providers."""


def unknown_provider(spec: ModelSpec) -> ConfigError:
    """Return the error about a provider that is not built in, where no hook knows it."""
    providers = list(PROVIDERS)
    meant = _KNOWN_AS.get(spec.provider.lower()) or nearest(spec.provider, providers)
    cure = (
        "for an endpoint that speaks OpenAI's API, such as vLLM, Ollama or Anthropic's, write "
        "{provider: openai, base_url: http://localhost:8000/v1, model: NAME}; for a function "
        "python:pkg.module:function; any other provider comes from a hook pytest_ftgate_model in "
        "conftest.py or a plugin"
    )
    if meant is not None:
        cure = f"write provider: {meant}, or {meant}:{spec.options.get('model', 'NAME')}"
    elif spec.source.absolute(f"{spec.provider}.py").exists():
        cure = f"write python:{spec.spelling}"
    return ConfigError(
        f"unknown provider {spec.provider!r}",
        where=spec.source.where(),
        evidence=f"built in are {', '.join(providers)}",
        cure=cure,
    )


def build_model(spec: ModelSpec, surroundings: Surroundings, hook: Any | None = None) -> Model:
    """Return the model of a gate; ``hook`` (pluggy's) is asked for other providers.

    Raises :class:`ConfigError`.
    """
    builder = _BUILDERS.get(spec.provider)
    if builder is not None:
        module, _, name = builder.partition(":")
        model: Model = getattr(import_module(module), name)(spec, surroundings)
        return model

    made = None
    if hook is not None:
        made = guarded("the hook pytest_ftgate_model", hook.pytest_ftgate_model, spec=spec)
    if made is None:
        raise unknown_provider(spec)
    from pytest_ftgate.models.python import adopt

    return adopt(made, spec, surroundings)
