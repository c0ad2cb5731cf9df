"""The key ``baselines``: models by name, or one base model and the alternatives built from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from pytest_ftgate.config.keys import Keys, Listed, names, optional
from pytest_ftgate.config.model_keys import FewShot, Retrieval
from pytest_ftgate.config.models import ModelSpec, ModelValue, refuse_one
from pytest_ftgate.config.problems import refusal, refusals
from pytest_ftgate.config.source import At, Source
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.text import got

PROMPT = "prompt"
EXAMPLES = ("few_shot", "retrieval")  # the keys of a model that add training examples to its prompt
_DEFAULT_K = 8
_WAYS = "prompt, {few_shot: {k: 8}}, {retrieval: {k: 8}}"


class AlternativeKeys(Keys):
    """The base model with training examples: the same for every input, or chosen for each input."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    few_shot: FewShot = optional("Training examples sent before every input, always the same.")
    retrieval: Retrieval = optional("Training examples sent before each input, chosen by similarity to it.")

    @model_validator(mode="after")
    def _one_way(self) -> AlternativeKeys:
        if len(self.model_fields_set) != 1:
            raise refusal(f"must be one of {_WAYS}")
        return self


def _read_alternative(value: Any, info: ValidationInfo) -> AlternativeKeys | str:
    if isinstance(value, Mapping):
        return AlternativeKeys.model_validate(value, context=info.context)
    if value == PROMPT:
        return PROMPT
    if value in EXAMPLES:
        raise refusal(f"needs a count: write {{{value}: {{k: 8}}}}")
    raise refusal(f"must be one of {_WAYS}, {got(value, ())}")


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    seen = [str(value) for value in values]
    twice = [i for i, text in enumerate(seen) if text in seen[:i]]
    if twice:
        raise refusals(((i,), "this alternative is listed twice") for i in twice)
    return values


_Written = Literal["prompt"] | AlternativeKeys
Alternative = Annotated[AlternativeKeys | str, PlainValidator(_read_alternative, json_schema_input_type=_Written)]


class AlternativesKeys(Keys):
    """Baselines built from one base model and the training set, and further ones by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, ModelValue] = Field(init=False)

    base: ModelValue = Field(description="The model that the alternatives are built from, with its best prompt.")
    alternatives: Annotated[tuple[Alternative, ...], Field(min_length=1), Listed, AfterValidator(_distinct)] = optional(
        "The alternatives to build. prompt: without examples. few_shot and retrieval: with examples from the "
        "training set, which replace the model's own. Default: all three, with k: 8."
    )

    @property
    def further(self) -> Mapping[str, ModelSpec]:
        return self.model_extra or {}

    @model_validator(mode="after")
    def _names_apart(self) -> AlternativesKeys:
        _read_names(dict(self.further))
        made = Counter(_name(one) for one in self.alternatives or (PROMPT, *EXAMPLES))
        taken = [name for name in self.further if any(name == way or name.startswith(f"{way}_") for way in made)]
        if taken:
            raise refusals(
                ((name,), "this is the name of an alternative: give the model another name") for name in taken
            )
        return self


def _name(one: AlternativeKeys | str) -> str:
    return one if isinstance(one, str) else next(iter(one.model_fields_set))


def _read_names(values: dict[str, Any]) -> dict[str, Any]:
    if "candidate" in values:
        raise refusals([(("candidate",), "a baseline must not be named candidate")])
    return names(values)


def _read_baselines(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    if isinstance(value, Mapping) and ("alternatives" in value or value.keys() == {"base"}):
        return AlternativesKeys.model_validate(value, context=info.context)
    return handler(refuse_one(value, "baseline"))


_Named = Annotated[dict[str, ModelValue], Field(min_length=1)]
BaselinesValue = Annotated[
    _Named,
    AfterValidator(_read_names),
    WrapValidator(_read_baselines, json_schema_input_type=_Named | AlternativesKeys),
]


def made_baselines(read: AlternativesKeys, at: At) -> tuple[dict[str, ModelSpec], tuple[str, ...]]:
    """Return all baselines by name, and the names of those that the gate builds, which come first."""
    base = read.base.placed(partial(at, "base"))
    if base.provider != "openai":
        raise ConfigError(
            f"alternatives need a base model with provider: openai, and base is {base.spelling}",
            where=at("base").where("baselines.base"),
            cure="Use such a base model, or list the baselines by name: baselines: {prompt: ..., few_shot: ...}.",
        )
    if read.alternatives is None:
        asked = [(PROMPT, 0, base.source), *((key, _DEFAULT_K, base.source) for key in EXAMPLES)]
    else:
        counts = [0 if isinstance(one, str) else int(getattr(one, _name(one)).k) for one in read.alternatives]
        asked = [(_name(one), counts[i], at("alternatives", i)) for i, one in enumerate(read.alternatives)]
    ways = Counter(key for key, _, _ in asked)
    made = {key if ways[key] == 1 else f"{key}_{k}": _made_from(base, key, k, source) for key, k, source in asked}
    further = {name: model.placed(partial(at, name), name) for name, model in read.further.items()}
    return made | further, tuple(made)


def _made_from(base: ModelSpec, key: str, k: int, source: Source) -> ModelSpec:
    """Return the base model with the examples of one alternative in place of its own."""
    options: dict[str, Any] = {name: value for name, value in base.options.items() if name not in EXAMPLES}
    if key == PROMPT:
        return replace(base, options=options, name=f"{base.name} {PROMPT}")
    return replace(base, options={**options, key: {"k": k}}, name=f"{base.name} {key} {k}", source=source)
