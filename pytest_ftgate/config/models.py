"""How a model may be written, wherever a gate asks for one, and what becomes of it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import PlainValidator, ValidationInfo

from pytest_ftgate.config.keys import Keys, Placeable
from pytest_ftgate.config.model_keys import ModelKeys, OpenAIKeys, OtherKeys, PythonKeys, RecordedKeys, TransformersKeys
from pytest_ftgate.config.problems import Reading, reading_of, refusal, refusals
from pytest_ftgate.config.source import BUILT_IN, At, Source
from pytest_ftgate.text import cut, quoted, suggestion

SPELLINGS = "openai:NAME, python:pkg.module:function, recorded:PATH"

_SPELLING = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*):(.*)", re.DOTALL)
_PATHS = {("openai", "system_file"), ("transformers", "system_file"), ("recorded", "path")}
_BUILT_IN: dict[str, type[OpenAIKeys | PythonKeys | RecordedKeys | TransformersKeys]] = {
    "openai": OpenAIKeys,
    "python": PythonKeys,
    "recorded": RecordedKeys,
    "transformers": TransformersKeys,
}


@dataclass(frozen=True)
class ModelSpec(Placeable):
    """One model as written, checked.

    Its name is the key ``name``, else its name under ``baselines`` or ``candidates``, else that under ``models``, else
    the model's own short name.
    """

    provider: str  # "openai", "python", "recorded", "callable", or one that a hook knows
    options: Mapping[str, Any]  # without ``provider``; paths are absolute; {"function": object} of "callable"
    spelling: str  # for reports: ``openai:gpt-4.1-mini``, ``python:pkg.mod:fn``, ``conftest.my_model``
    name: str
    source: Source  # where it is described; of a named model that is under ``models``

    def __str__(self) -> str:
        return self.spelling

    def placed(self, at: At, name: str | None = None) -> ModelSpec:
        """Return the model as it stands at a place; one that is named there keeps the source of its description."""
        options, source = self.options, self.source
        if source is BUILT_IN:
            source = at()
            options = {
                key: source.absolute(value) if (self.provider, key) in _PATHS else value
                for key, value in options.items()
            }
        own = options.get("name") or _own_name(options.get("function"))
        return replace(self, options=options, source=source, name=own or name or self.name)


def no_candidate(source: Source) -> ModelSpec:
    """Return what stands for the model that has not been trained yet."""
    return ModelSpec("", {}, "none yet", "candidate", source)


def refuse_one(value: Any, key: str) -> Any:
    """Refuse a model where models by name are asked for; ``key`` takes one."""
    if isinstance(value, str) or (isinstance(value, Mapping) and "provider" in value):
        raise refusal(f"must be a mapping of names to models; for one model use {key}")
    return value


def _read_model(value: Any, info: ValidationInfo) -> ModelSpec:
    reading = reading_of(info)
    if isinstance(value, str):
        return reading.models[value] if value in reading.models else _from_spelling(value, reading)
    if isinstance(value, Mapping):
        return _from_mapping(value, reading)
    if reading.objects and value is not None:
        return _from_object(value)
    raise refusal(f"must be a model: a name under models, {SPELLINGS}, or a mapping with a provider")


def _read_definition(value: Any, info: ValidationInfo) -> ModelSpec:
    if isinstance(value, str) and value in reading_of(info).models:
        raise refusal("a named model cannot be another name: write its spelling here")
    return _read_model(value, info)


def _from_spelling(text: str, reading: Reading) -> ModelSpec:
    found = _SPELLING.fullmatch(text)
    if not found:
        names = f"; under models are {cut(', '.join(sorted(reading.models)))}" if reading.models else ""
        near = suggestion(text, reading.models, f"{names}; a model may be spelled {SPELLINGS}")
        raise refusal(f"{quoted(text)} is no known model{near}")
    provider, rest = found.groups()
    if not rest.strip():
        raise refusal(f"{quoted(text)} names no model after the colon")
    return _from_mapping({"provider": provider, _BUILT_IN.get(provider, OtherKeys).short: rest}, reading)


def _from_mapping(values: Mapping[Any, Any], reading: Reading) -> ModelSpec:
    provider = values.get("provider")
    if provider is None:
        raise refusals([(("provider",), "this key is missing" + _meant_as_spelling(values))])
    if provider == "callable":
        raise refusal("a callable cannot be written: give the function itself in a marker or fixture")
    keys = _BUILT_IN.get(provider, OtherKeys) if isinstance(provider, str) else OtherKeys
    read = keys.model_validate(values, context=reading)
    spelling, short = _spelling(read)
    options = {key: value for key, value in read.written().items() if key != "provider"}
    options = {key: value.written() if isinstance(value, Keys) else value for key, value in options.items()}
    return ModelSpec(read.provider, options, spelling, read.name or short, BUILT_IN)


def _meant_as_spelling(values: Mapping[Any, Any]) -> str:
    """``openai: gpt-4.1-mini`` is a mapping to YAML; its author meant no space."""
    (key, rest), *further = values.items() or [(None, None)]
    if not further and key in _BUILT_IN and isinstance(rest, str):
        return f": for the short spelling write {key}:{cut(rest)}, without a space"
    return ": one of openai, python, recorded, or a provider that a hook brings"


def _spelling(read: ModelKeys) -> tuple[str, str]:
    """Return the model's spelling and its own short name."""
    if isinstance(read, OpenAIKeys):
        return (f"openai:{read.model}", read.model) if read.model else (f"openai job {read.job}", read.job)
    if isinstance(read, PythonKeys):
        return f"python:{read.target}", read.target.rpartition(":")[2]
    if isinstance(read, TransformersKeys):
        return f"transformers:{read.adapter or read.model}", os.path.basename(read.adapter or read.model)
    if isinstance(read, RecordedKeys):
        return f"recorded:{read.path}", os.path.basename(read.path)
    model = (read.model_extra or {}).get("model")
    return (f"{read.provider}:{model}", str(model)) if model else (read.provider, read.provider)


def _from_object(function: Any) -> ModelSpec:
    is_model = hasattr(function, "complete") and hasattr(function, "key")
    if is_model and isinstance(function, type):
        raise refusal(f"the class {function.__name__} is no model: give an instance of it")
    if not (is_model or callable(function)):
        raise refusal(f"an object of type {type(function).__name__} is no model: give a callable or a spelling")
    named = getattr(function, "func", function)  # functools.partial keeps the function there
    short = _text(named, "__name__") or _text(function, "name") or type(function).__name__
    qualified = _text(named, "__qualname__") or type(function).__qualname__
    module = _text(named, "__module__") or type(function).__module__
    spelling = _text(function, "spelling") or f"{module}.{qualified}"
    return ModelSpec("callable", {"function": function}, spelling, short, BUILT_IN)


def _own_name(function: Any) -> str | None:
    """Return the name of a model that Python code gave; that of a plain function is none of its own."""
    return _text(function, "name") if hasattr(function, "complete") else None


def _text(thing: Any, attribute: str) -> str | None:
    value = getattr(thing, attribute, None)
    return value if isinstance(value, str) and value.strip() else None


_Written = str | OpenAIKeys | PythonKeys | RecordedKeys | TransformersKeys | OtherKeys
ModelValue = Annotated[ModelSpec, PlainValidator(_read_model, json_schema_input_type=_Written)]
ModelDefinition = Annotated[ModelSpec, PlainValidator(_read_definition, json_schema_input_type=_Written)]
