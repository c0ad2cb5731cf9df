"""Models in the configuration: the forms in which one may be written, and the validated result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import pydantic
from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo

from pytest_ftgate.config import keys, model_keys
from pytest_ftgate.text import cut, excerpt, got, quoted, suggestion

SPELLINGS = "openai:NAME, python:pkg.module:function, recorded:PATH, transformers:NAME"

_STANDARDS = {"margin", "max_drop"}
_BUILT_IN: dict[str, type[model_keys.ModelKeys]] = {
    "openai": model_keys.OpenAIKeys,
    "python": model_keys.PythonKeys,
    "recorded": model_keys.RecordedKeys,
    "transformers": model_keys.TransformersKeys,
}
_AnyKeys = model_keys.ModelKeys | model_keys.CallableKeys
_KINDS: dict[str, type[_AnyKeys]] = {**_BUILT_IN, "callable": model_keys.CallableKeys}


@dataclass(frozen=True)
class ModelSpec(keys.Placeable):
    """One validated model.

    Its name is the key ``name``, else its name under ``baselines``, else its name under ``models``,
    else a short name derived from the model.
    """

    provider: str  # "openai", "python", "recorded", "callable", or a provider of a hook
    # without ``provider``; paths are absolute; {"function": object} of "callable"
    options: Mapping[str, Any]
    # shown in reports: ``openai:gpt-5.4-mini``, ``python:pkg.mod:fn``, ``conftest.my_model``
    spelling: str
    name: str
    source: keys.Source  # where it is defined; for a named model, under ``models``

    def __str__(self) -> str:
        return self.spelling

    @property
    def kind(self) -> type[_AnyKeys]:
        """Return the keys of the model's provider, which say what is particular to it."""
        return _keys_of(self.provider)

    @property
    def has_prompt(self) -> bool:
        """Return whether the gate sets the model's prompt, which recordings and functions bring themselves."""
        return self.kind.has_prompt

    @property
    def served_model(self) -> str | None:
        """Return the name by which an endpoint knows the model; None if there is no endpoint."""
        return self.options["model"] if self.kind.is_remote else None

    @property
    def identity(self) -> tuple[Any, ...]:
        """Return what tells the model from others, beside the name that an endpoint is sent."""
        return self.provider, *self.kind.identity(self.options, self.source)

    def placed(self, at: keys.At, name: str | None = None) -> ModelSpec:
        """Return the model with its source; a named model keeps the source of its definition.

        Parameters of the test may load other weights into any model. Only an endpoint in the gate
        file that is not the candidate's is taken for the same under all of them, so that a baseline
        is asked once.
        """
        options, source, given = self.options, self.source, at()
        if self.kind.is_remote and given.kind in ("file", "defaults") and given.key != "candidate":
            given = replace(given, parameters={})
        if source is not keys.BUILT_IN:
            source = replace(source, parameters=given.parameters) if given.parameters else source
        else:
            source = given
            for key in self.kind.paths:
                if key in options:
                    options = {**options, key: source.absolute(options[key])}
        # a model object has a name, a plain function none of its own
        function = options.get("function")
        own = options.get("name") or (
            _text(function, "name") if hasattr(function, "complete") else None
        )
        return replace(self, options=options, source=source, name=own or name or self.name)


def no_candidate(source: keys.Source) -> ModelSpec:
    """Return a placeholder for a model that is not trained yet."""
    return ModelSpec("", {}, "none yet", "candidate", source)


# --- the forms in which a model may be written
# ---------------------------------------------------------------------


def read_model(value: Any, info: ValidationInfo) -> ModelSpec:
    """Return a model that is written as a name under models, a spelling or a mapping, or in Python code an object."""
    reading = keys.reading_of(info)
    if isinstance(value, str):
        return (
            reading.models[value]
            if value in reading.models
            else _from_mapping(_spelled(value, reading), reading)
        )
    if isinstance(value, Mapping):
        if (
            reading.objects
            and value.get("provider") == "python"
            and not isinstance(value.get("target"), str | None)
        ):
            return _from_python(value, reading)
        return _extended(value, reading) if "extends" in value else _from_mapping(value, reading)
    if reading.objects and value is not None:
        return _from_object(value)
    forms = f"a name under models, a string ({SPELLINGS}), or a mapping with provider or extends"
    raise keys.refusal(f"must be a model: {forms}")


def _read_definition(value: Any, info: ValidationInfo) -> ModelSpec:
    if isinstance(value, str) and value in keys.reading_of(info).models:
        raise keys.refusal(
            f"a named model must not be another name: write {{extends: {cut(value)}}}"
        )
    return read_model(value, info)


def _known(name: str, reading: keys.Reading) -> str:
    """Return the end of a message about an unknown name of a model."""
    known = cut(", ".join(sorted(reading.models)))
    return suggestion(
        name, reading.models, f"; the names under models are {known}" if known else ""
    )


def _spelled(text: str, reading: keys.Reading) -> dict[str, Any]:
    """Return the keys of a model that is written as text."""
    provider, colon, rest = text.partition(":")
    if not colon or not provider.replace("-", "_").replace(".", "_").isidentifier():
        expected = f"; expected a name under models, or one of {SPELLINGS}"
        raise keys.refusal(f"unknown model {quoted(text)}{_known(text, reading) or expected}")
    if not rest.strip():
        raise keys.refusal(f"expected a model after the colon, got {quoted(text)}")
    return {"provider": provider, _keys_of(provider).short: rest}


def _keys_of(provider: Any) -> type[_AnyKeys]:
    """Return the keys of a provider, which a hook may add; what is no text is refused with them."""
    if not isinstance(provider, str):
        return model_keys.OtherKeys
    return _KINDS.get(provider, model_keys.OtherKeys)


def _extended(values: Mapping[Any, Any], reading: keys.Reading) -> ModelSpec:
    """Return a model of the gate file with some of its keys replaced, under a name that says which."""
    name, own = values["extends"], {key: value for key, value in values.items() if key != "extends"}
    if not isinstance(name, str) or name not in reading.models:
        known = _known(name, reading) if isinstance(name, str) else ""
        raise keys.refusals(
            [(("extends",), f"must be the name of a model under models, {got(name, ())}{known}")]
        )
    if "provider" in own:
        raise keys.refusals(
            [(("provider",), "the provider is that of the model that is extended: remove this key")]
        )
    try:
        model = _from_mapping(_inherited(name, own, reading, ()), reading)
    except pydantic.ValidationError as error:
        found = [
            (path, text)
            for path, text in keys.own_words(error)
            if path and path[0] in (*own, "extends")
        ]
        raise keys.refusals(
            found or [(("extends",), f"the model {quoted(name)} is not valid")]
        ) from None
    changes = (_change(key, value) for key, value in own.items())
    return replace(model, name=model.options.get("name") or " ".join((name, *changes)))


def _change(key: Any, value: Any) -> str:
    """Return a replaced key in the name of a model."""
    if value is None:
        return f"without {key}"
    return str(key) if isinstance(value, Mapping) else f"{key} {excerpt(str(value), width=24)}"


def _inherited(
    name: str, own: Mapping[Any, Any], reading: keys.Reading, chain: tuple[str, ...]
) -> dict[Any, Any]:
    """Return the keys of a named model, ``own`` in place of some of them; ``chain`` are models that extend it.

    A key that is null removes that of the named model; where that has no such key, it is refused as
    any null is.
    """
    if name in chain:
        raise keys.refusals(
            [(("extends",), f"models extend each other: {cut(' -> '.join((*chain, name)))}")]
        )
    base = reading.models.get(name)
    merged: dict[Any, Any] = dict(base) if isinstance(base, Mapping) else {}
    if isinstance(base, ModelSpec):
        merged = {"provider": base.provider, **base.options}
    elif isinstance(base, str) and ":" in base:
        merged = _spelled(base, reading)
    elif isinstance(further := merged.pop("extends", None), str):
        merged = _inherited(further, merged, reading, (*chain, name))
    kind = _keys_of(merged.get("provider"))
    replaced = {
        other
        for pair in (*kind.one_at_most, *kind.exactly_one)
        if {*pair} & own.keys()
        for other in pair
    }
    kept = {
        key: value
        for key, value in merged.items()
        if key not in replaced and key not in own and key != "name"
    }
    changed = {key: value for key, value in own.items() if value is not None or key not in merged}
    return kept | changed


def _from_mapping(values: Mapping[Any, Any], reading: keys.Reading) -> ModelSpec:
    if (provider := values.get("provider")) is None:
        cure = f": one of {', '.join(_BUILT_IN)}, or a provider of a hook; or name a model under models with extends"
        raise keys.refusals([(("provider",), keys.MISSING + cure)])
    kind = _keys_of(provider)
    if kind.unwritable is not None:
        raise keys.refusal(kind.unwritable)
    read = kind.model_validate(values, context=reading)
    options = {key: value for key, value in read.written().items() if key != "provider"}
    options = {
        key: value.written() if isinstance(value, keys.Keys) else value
        for key, value in options.items()
    }
    options = {
        key: value for key, value in options.items() if value != 0 or key not in model_keys.COUNTS
    }
    model = options.get("adapter") if isinstance(read, model_keys.TransformersKeys) else None
    model = model or getattr(read, read.short, None)
    if model:
        spelling, short = f"{read.provider}:{model}", kind.short_name(str(model))
    else:
        spelling = short = read.provider
    return ModelSpec(read.provider, options, spelling, read.name or short, keys.BUILT_IN)


def _from_python(values: Mapping[Any, Any], reading: keys.Reading) -> ModelSpec:
    """Return a model of a mapping in a marker or fixture whose target is an object, with the other keys of its kind."""
    model = _from_object(values["target"])
    for key in ("revision", "workers"):
        if key in values:
            raise keys.refusals([((key,), "needs a target that is written as pkg.module:function")])
    read = _from_mapping({**values, "target": "callable:target"}, reading)
    options = {**read.options, **model.options}
    del options["target"]
    return replace(model, options=options, name=options.get("name") or model.name)


def _from_object(function: Any) -> ModelSpec:
    is_model = hasattr(function, "complete") and hasattr(function, "key")
    if is_model and isinstance(function, type):
        raise keys.refusal(
            f"expected a model, got the class {function.__name__}: pass an instance of it"
        )
    if not (is_model or callable(function) or callable(getattr(function, "predict", None))):
        cure = "pass a callable, an object with predict, or a string such as `openai:NAME`"
        raise keys.refusal(f"expected a model, {got(function, ())}: {cure}")
    named = getattr(function, "func", function)  # functools.partial holds the function there
    short = _text(named, "__name__") or _text(function, "name") or type(function).__name__
    qualified = _text(named, "__qualname__") or type(function).__qualname__
    module = _text(named, "__module__") or type(function).__module__
    spelling = _text(function, "spelling") or f"{module}.{qualified}"
    return ModelSpec("callable", {"function": function}, spelling, short, keys.BUILT_IN)


def _text(thing: Any, attribute: str) -> str | None:
    value = getattr(thing, attribute, None)
    return value if isinstance(value, str) and value.strip() else None


Written = str | model_keys.ModelKeys | model_keys.ExtendsKeys
ModelValue = Annotated[ModelSpec, PlainValidator(read_model, json_schema_input_type=Written)]
ModelDefinition = Annotated[
    ModelSpec, PlainValidator(_read_definition, json_schema_input_type=Written)
]


# --- baselines: models by name, some with a standard of their own
# ----------------------------------------------------


class Standard(NamedTuple):
    """Hold what the candidate must reach against one baseline, and the key that asks for it."""

    path: str  # such as ``margin`` or ``baselines.champion.max_drop``
    gain: float  # the required gain; negative where the candidate may be worse

    @property
    def key(self) -> str:
        """Return ``margin`` or ``max_drop``; ``agreement`` where the baseline need not be beaten."""
        return self.path.rpartition(".")[2]

    @property
    def drops(self) -> bool:
        """Return whether the candidate may be worse."""
        return self.key == "max_drop"


def _read_optional(value: Any, info: ValidationInfo) -> ModelSpec | None:
    return None if value is None else read_model(value, info)


class BaselineKeys(keys.Keys):
    """A baseline with its own standard, in place of the gate's margin or max_drop."""

    one_at_most = (("margin", "max_drop"),)

    model: Annotated[
        ModelSpec | None, PlainValidator(_read_optional, json_schema_input_type=Written | None)
    ] = Field(description="The model; null where there is none yet, such as no champion.")
    margin: Annotated[keys.Amount, keys.Weaker("lower")] = keys.optional(
        "How much better than this baseline the candidate must be."
    )
    max_drop: keys.ProvenDrop = keys.optional(
        "How much worse than this baseline the candidate may be: it must be proven to be worse by at most that."
    )

    def placed(self, at: keys.At, name: str | None = None) -> BaselineKeys:
        """Return a copy that knows its sources; the model goes by the baseline's name."""
        copy = super().placed(at)
        copy.__dict__["model"] = keys.place(self.model, partial(at, "model"), name)
        return copy

    @classmethod
    def _objection(cls, key: Any, value: Any) -> str | None:
        return None if key == "model" and value is None else super()._objection(key, value)

    @pydantic.model_validator(mode="after")
    def _has_standard(self) -> BaselineKeys:
        if not self.model_fields_set & _STANDARDS:
            raise keys.refusal(
                "must have margin or max_drop beside model; without either, write the model alone"
            )
        if self.model is None and self.max_drop is None:
            text = "a baseline without a model cannot be beaten: write max_drop, or a model"
            raise keys.refusals([(("margin",), text)])
        return self


def _read_entry(value: Any, info: ValidationInfo) -> ModelSpec | BaselineKeys:
    """Return a model, or an entry with its own standard: a mapping that is no model."""
    own = sorted(_STANDARDS & value.keys()) if isinstance(value, Mapping) else []
    if own and value.keys() & {"provider", "extends"}:
        raise keys.refusals(
            [((own[0],), f"put the model under model: {{model: {{...}}, {own[0]}: ...}}")]
        )
    known = {*model_keys.OpenAIKeys.model_fields, "extends"}
    if own or (isinstance(value, Mapping) and value.keys() & known == {"model"}):
        return BaselineKeys.model_validate(value, context=info.context)
    return read_model(value, info)


def _refuse_one(value: Any) -> Any:
    """Refuse a single model where a mapping of models is expected."""
    if isinstance(value, str) or (
        isinstance(value, Mapping) and value.keys() & {"provider", "extends"}
    ):
        raise keys.refusal("must be a mapping of names to models; for a single model use baseline")
    return value


_NOT_CANDIDATE = "a baseline must not be named candidate"
_NoCandidate = keys.refusing(
    lambda values: [(("candidate",), _NOT_CANDIDATE)] if "candidate" in values else []
)
_Entry = Annotated[
    ModelSpec | BaselineKeys,
    PlainValidator(_read_entry, json_schema_input_type=Written | BaselineKeys),
]

if TYPE_CHECKING:
    BaselinesValue = dict[str, ModelSpec]  # once all places are merged
else:
    BaselinesValue = Annotated[
        dict[str, _Entry],
        Field(min_length=1),
        _NoCandidate,
        keys.Named,
        BeforeValidator(_refuse_one),
    ]
