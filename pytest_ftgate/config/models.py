"""Models in the configuration: the forms in which one may be written, and the validated result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import pydantic
from pydantic import Field, PlainValidator, ValidationError, ValidationInfo

from pytest_ftgate.config import forms, model_keys
from pytest_ftgate.config.keys import (
    BUILT_IN,
    MISSING,
    Amount,
    At,
    Keys,
    Named,
    Placeable,
    ProvenDrop,
    Reading,
    Source,
    Weaker,
    misread,
    optional,
    own_words,
    place,
    reading_of,
    refusal,
    refused_key,
    refusing,
    wrong_type,
)
from pytest_ftgate.text import cut, got, listed, nearest, plural, quoted, suggestion

SPELLINGS = "openai:NAME, python:pkg.module:function, recorded:PATH, transformers:NAME"

_STANDARDS = {"margin", "max_drop"}
PROVIDERS: dict[str, type[model_keys.ModelKeys]] = {
    "openai": model_keys.OpenAIKeys,
    "python": model_keys.PythonKeys,
    "recorded": model_keys.RecordedKeys,
    "transformers": model_keys.TransformersKeys,
}
_AnyKeys = model_keys.ModelKeys | model_keys.CallableKeys | model_keys.GivenKeys
_KINDS: dict[str, type[_AnyKeys]] = {
    **PROVIDERS,
    "callable": model_keys.CallableKeys,
    "given": model_keys.GivenKeys,
}


@dataclass(frozen=True, eq=False)
class Given:
    """Hold answers that Python code has already.

    Attributes:
        answers: in the order of the test set, or by id.
        index: that of a series of pandas.
    """

    answers: Sequence[Any] | Mapping[str, Any]
    index: Sequence[Any] | None = None


@dataclass(frozen=True)
class ModelSpec(Placeable):
    """One validated model.

    Its name is the key ``name``, else its name under ``baselines``, else its name under ``models``,
    else a short name derived from the model.
    """

    provider: str  # "openai", "python", "recorded", "callable", "given", or that of a hook
    # without ``provider``; paths are absolute; {"function": object} of "callable", {"answers":
    # Given} of "given"
    options: Mapping[str, Any]
    # shown in reports: ``openai:gpt-5.4-mini``, ``python:pkg.mod:fn``, ``conftest.my_model``
    spelling: str
    name: str
    source: Source  # where it is defined; for a named model, under ``models``

    def __str__(self) -> str:
        return self.spelling

    @property
    def kind(self) -> type[_AnyKeys]:
        """Return the keys of the model's provider, which say what is particular to it."""
        return _keys_of(self.provider)

    @property
    def served_model(self) -> str | None:
        """Return the name by which an endpoint knows the model; None if there is no endpoint."""
        return self.options["model"] if self.kind.is_remote else None

    @property
    def identity(self) -> tuple[str, Mapping[str, Any]]:
        """Return what tells the model from others: its provider, and the keys that choose it."""
        keys = {}
        for key, value in self.options.items():
            if key not in model_keys.NOT_IDENTIFYING:
                keys[key] = value

        # The function of a marker is one of the keys, too.
        return self.provider, keys

    def placed(self, source_at: At, name: str | None = None) -> ModelSpec:
        """Return the model with its source; a named model keeps the source of its definition.

        Parameters of the test may load other weights into any model. Only an endpoint in the gate
        file that is not the candidate's is taken for the same under all of them, so that a baseline
        is asked once.
        """
        use = source_at()
        is_in_file = use.kind in ("file", "defaults")
        if self.kind.is_remote and is_in_file and use.key != "candidate":
            use = replace(use, parameters={})

        source = use
        options = dict(self.options)
        if self.source is not BUILT_IN:
            source = self.source
            if use.parameters:
                source = replace(source, parameters=use.parameters)
        else:
            for key in self.kind.paths:
                if key in options:
                    options[key] = source.absolute(options[key])

        # a model object has a name, a plain function none of its own
        function = options.get("function")
        written = options.get("name")
        if not written and hasattr(function, "complete"):
            written = _text(function, "name")
        return replace(self, options=options, source=source, name=written or name or self.name)


def no_candidate(source: Source) -> ModelSpec:
    """Return a placeholder for a model that is not trained yet."""
    return ModelSpec("", options={}, spelling="none yet", name="candidate", source=source)


# --- the forms in which a model may be written ----------------------------------------------------


def read_model(value: Any, info: ValidationInfo) -> ModelSpec:
    """Return a model that is written as a name, a spelling or a mapping, or an object."""
    reading = reading_of(info)
    if isinstance(value, str):
        if value in reading.models:
            model: ModelSpec = reading.models[value]
            return model
        return _from_text(value, reading)

    if isinstance(value, Mapping):
        target = value.get("target")
        is_object = target is not None and not isinstance(target, str)
        if reading.objects and value.get("provider") == "python" and is_object:
            return _from_python(value, reading)
        if "extends" in value:
            return _extended(value, reading)
        if reading.objects and _holds_answers(value):
            return _from_answers(value)
        return _from_mapping(value, reading)

    if reading.objects and _holds_answers(value):
        return _from_answers(value)
    if reading.objects and value is not None:
        return _from_object(value)
    ways = f"a name under models, a string ({SPELLINGS}), or a mapping with provider or extends"
    raise wrong_type(f"a model, which is {ways}", value)


def _read_definition(value: Any, info: ValidationInfo) -> ModelSpec:
    if isinstance(value, str) and value in reading_of(info).models:
        raise refusal(f"a named model must not be another name: write {{extends: {cut(value)}}}")
    return read_model(value, info)


def _from_text(text: str, reading: Reading) -> ModelSpec:
    """Return a model that is written as text, or refuse it with the spelling that is meant."""
    try:
        return _from_mapping(_spelled(text, reading), reading)
    except ValidationError as error:
        # What is wrong with its only key is wrong with the whole text.
        _, problem = own_words(error)[0]
        function = forms.function_in(text.removeprefix("python:"))
        example = PROVIDERS["python"].example_of("target")
        raise misread(problem.partition(": ")[0], f"python:{function or example}") from None


def _spelled(text: str, reading: Reading) -> dict[str, Any]:
    """Return the keys of a model that is written as text."""
    provider, colon, name = text.partition(":")
    is_provider = provider.replace("-", "_").replace(".", "_").isidentifier()
    meant = None
    if provider not in PROVIDERS and nearest(text, reading.models) is None:
        meant = forms.model_in(text, reading.folder)
    if meant is not None:
        raise misread(f"unknown model {quoted(text)}", meant)
    if not (colon and is_provider):
        names = listed(sorted(reading.models))
        expected = f"; expected one of {SPELLINGS}, or a name under models: {names}"
        raise refusal(f"unknown model {quoted(text)}{suggestion(text, reading.models, expected)}")
    if not name.strip():
        raise wrong_type("a model with its name after the colon", text)
    return {"provider": provider, _keys_of(provider).short: name}


def _keys_of(provider: Any) -> type[_AnyKeys]:
    """Return the keys of a provider, which a hook may add; these refuse what is no text."""
    if not isinstance(provider, str):
        return model_keys.OtherKeys
    return _KINDS.get(provider, model_keys.OtherKeys)


def _extended(values: Mapping[Any, Any], reading: Reading) -> ModelSpec:
    """Return a model of the gate file with some of its keys replaced."""
    name = values["extends"]
    changes = {key: value for key, value in values.items() if key != "extends"}
    if not isinstance(name, str) or name not in reading.models:
        text = f"must be the name of a model under models, {got(name, ())}"
        names = f"; the names under models are: {listed(sorted(reading.models))}"
        meant = suggestion(name, reading.models, names) if isinstance(name, str) else ""
        raise refused_key("extends", text + meant)

    # What is wrong with an inherited key is told here and where it is written.
    return _from_mapping(_inherited(name, changes, reading, ()), reading)


def _inherited(
    name: str, changes: Mapping[Any, Any], reading: Reading, chain: tuple[str, ...]
) -> dict[Any, Any]:
    """Return the keys of a named model with some of them replaced.

    A key that is null removes that of the named model; where that has no such key, it is refused as
    any null is.

    Args:
        name: the model.
        changes: the keys that are replaced.
        reading: the models of the file.
        chain: models that extend this one.
    """
    if name in chain:
        circle = cut(" -> ".join((*chain, name)))
        raise refused_key("extends", f"models extend each other: {circle}")

    model = reading.models.get(name)
    inherited: dict[Any, Any] = {}
    if isinstance(model, ModelSpec):
        inherited = {"provider": model.provider, **model.options}
    elif isinstance(model, str) and ":" in model:
        inherited = _spelled(model, reading)
    elif isinstance(model, Mapping):
        inherited = dict(model)
        further = inherited.pop("extends", None)
        if isinstance(further, str):
            inherited = _inherited(further, inherited, reading, (*chain, name))

    # A key also replaces the one that must not be set beside it: system that of system_file.
    replaced = {"name", *changes}
    for pair in _keys_of(inherited.get("provider")).one_at_most:
        if not changes.keys().isdisjoint(pair):
            replaced.update(pair)

    merged = {key: value for key, value in inherited.items() if key not in replaced}
    for key, value in changes.items():
        # null removes a key; where there is none it stays, and is refused
        if value is not None or key not in inherited:
            merged[key] = value
    return merged


def _from_mapping(values: Mapping[Any, Any], reading: Reading) -> ModelSpec:
    provider = values.get("provider")
    if provider is None:
        raise _without_provider(values)
    kind = _keys_of(provider)
    if kind.unwritable is not None:
        raise refusal(kind.unwritable)

    read = kind.model_validate(values, context=reading)
    options = {}
    for key, value in read.written().items():
        is_unset = key in model_keys.COUNTS and value == 0
        if key != "provider" and not is_unset:
            options[key] = value.written() if isinstance(value, Keys) else value

    model = options.get("adapter") if kind is model_keys.TransformersKeys else None
    model = model or getattr(read, kind.short, None)
    spelling = short = read.provider
    if model:
        spelling = f"{read.provider}:{model}"
        short = kind.short_name(str(model))
    return ModelSpec(
        read.provider, options=options, spelling=spelling, name=read.name or short, source=BUILT_IN
    )


def _without_provider(values: Mapping[Any, Any]) -> ValidationError:
    """Return the exception for a mapping without a provider, with the one that its keys tell."""
    ways = f"one of {', '.join(PROVIDERS)}, or a provider of a hook"
    problem = f"{MISSING}, {ways}; or name a model under models with extends"
    meant = None
    for provider, kind in PROVIDERS.items():
        if provider in values:
            problem += f"; {provider} is a provider, not a key"
        if provider in values or kind.short in values:
            meant = provider
            break
    return refused_key("provider", misread(problem, meant))


def _from_python(values: Mapping[Any, Any], reading: Reading) -> ModelSpec:
    """Return a model whose target is an object, with the other keys of a marker or fixture."""
    model = _from_object(values["target"])
    for key in ("revision", "workers"):
        if key in values:
            raise refused_key(key, "needs a target that is written as pkg.module:function")
    # The other keys are validated beside a stand-in for the object.
    read = _from_mapping({**values, "target": "callable:target"}, reading)
    options = {**read.options, **model.options}
    del options["target"]
    return replace(model, options=options, name=options.get("name") or model.name)


def _from_object(function: Any) -> ModelSpec:
    is_model = hasattr(function, "complete") and hasattr(function, "key")
    predicts = callable(getattr(function, "predict", None))
    if not (is_model or predicts or callable(function)):
        cure = "pass a callable, an object with predict, or a string such as `openai:NAME`"
        raise refusal(f"expected a model, {got(function, ())}: {cure}")

    named = _function_in(function)
    qualified = _text(named, "__qualname__") or type(function).__qualname__
    module = _text(named, "__module__") or type(function).__module__
    spelling = _text(function, "spelling") or f"{module}.{qualified}"
    return ModelSpec(
        "callable",
        options={"function": function},
        spelling=spelling,
        name=name_of(function),
        source=BUILT_IN,
    )


def _holds_answers(value: Any) -> bool:
    """Return whether a value holds answers: a list, an array, a series, or a dict by id."""
    if isinstance(value, Mapping):
        keys = {"provider", "extends", *PROVIDERS, *_STANDARDS}
        for kind in PROVIDERS.values():
            keys.update(kind.model_fields)
        return bool(value) and keys.isdisjoint(value)
    if isinstance(value, list | tuple):
        # one answer serves no test set
        return len(value) > 1
    is_model = callable(value) or hasattr(value, "predict")
    return hasattr(value, "__len__") and not is_model and _listing(value) is not None


def _listing(value: Any) -> Any:
    """Return the method of an array or a series that lists its values."""
    return getattr(value, "tolist", None) or getattr(value, "to_list", None)


def _from_answers(value: Any) -> ModelSpec:
    """Return the model that gives these answers."""
    index = None
    if isinstance(value, Mapping):
        given = Given({str(id_): answer for id_, answer in value.items()})
    elif isinstance(value, list | tuple):
        given = Given(tuple(value))
    else:
        if hasattr(value, "index") and not callable(value.index):  # of pandas
            index = tuple(value.index.tolist())
        given = Given(tuple(_listing(value)()), index)

    kind = type(value).__name__
    spelling = f"{kind} of {plural(len(given.answers), 'answer')}"
    name = _text(value, "name") or kind
    return ModelSpec(
        "given", options={"answers": given}, spelling=spelling, name=name, source=BUILT_IN
    )


def name_of(value: Any) -> str:
    """Return the name of an object that Python code gives in place of a name."""
    name = _text(_function_in(value), "__name__") or _text(value, "name")
    if name is not None:
        return name

    # A pipeline of scikit-learn is known by its last step.
    steps = getattr(value, "steps", None)
    if isinstance(steps, list) and steps and isinstance(steps[-1], tuple):
        return name_of(steps[-1][-1])
    return type(value).__name__


def _function_in(value: Any) -> Any:
    """Return the function that a :class:`functools.partial` holds; another object as it is."""
    return getattr(value, "func", value)


def _text(owner: Any, attribute: str) -> str | None:
    value = getattr(owner, attribute, None)
    if isinstance(value, str) and value.strip():
        return value
    return None


Written = str | model_keys.ModelKeys | model_keys.ExtendsKeys
ModelValue = Annotated[ModelSpec, PlainValidator(read_model, json_schema_input_type=Written)]
ModelDefinition = Annotated[
    ModelSpec, PlainValidator(_read_definition, json_schema_input_type=Written)
]


# --- baselines: models by name, some with a standard of their own ---------------------------------


class Standard(NamedTuple):
    """Hold what the candidate must reach against one baseline, and the key that asks for it."""

    path: str  # such as ``margin`` or ``baselines.champion.max_drop``
    gain: float  # the required gain; negative where the candidate may be worse

    @property
    def key(self) -> str:
        """Return ``margin``, ``max_drop``, or ``agreement``: the baseline need not be beaten."""
        return self.path.rpartition(".")[2]

    @property
    def drops(self) -> bool:
        """Return whether the candidate may be worse."""
        return self.key == "max_drop"


def _read_optional(value: Any, info: ValidationInfo) -> ModelSpec | None:
    if value is None:
        return None
    return read_model(value, info)


class BaselineKeys(Keys):
    """A baseline with its own standard, in place of the gate's margin or max_drop."""

    one_at_most = (("margin", "max_drop"),)

    model: Annotated[
        ModelSpec | None, PlainValidator(_read_optional, json_schema_input_type=Written | None)
    ] = Field(
        description="The model; null where there is none yet, such as no champion.",
        examples=["openai:gpt-4.1-mini"],
    )
    margin: Annotated[Amount, Weaker("lower")] = optional(
        "How much better than this baseline the candidate must be.", example=0.05
    )
    max_drop: ProvenDrop = optional(
        "How much worse than this baseline the candidate may be: it must be proven to be worse by "
        "at most that.",
        example=0.02,
    )

    def placed(self, source_at: At, name: str | None = None) -> BaselineKeys:
        """Return a copy that knows its sources; the model goes by the baseline's name."""
        copy = super().placed(source_at)
        copy.__dict__["model"] = place(self.model, partial(source_at, "model"), name)
        return copy

    @classmethod
    def _objection(cls, key: Any, value: Any) -> str | None:
        if key == "model" and value is None:
            return None
        return super()._objection(key, value)

    @pydantic.model_validator(mode="after")
    def _has_standard(self) -> BaselineKeys:
        if not self.model_fields_set & _STANDARDS:
            raise refusal(
                "must have margin or max_drop beside model; without either, write the model alone"
            )
        if self.model is None and self.max_drop is None:
            text = "a baseline without a model cannot be beaten: write max_drop, or a model"
            raise refused_key("margin", text)
        return self


def _read_entry(value: Any, info: ValidationInfo) -> ModelSpec | BaselineKeys:
    """Return a model, or an entry with its own standard: a mapping without a provider."""
    if isinstance(value, Mapping) and not value.keys() & {"provider", "extends"}:
        if reading_of(info).objects and "model" not in value and _holds_answers(value):
            return _from_answers(value)
        return BaselineKeys.model_validate(value, context=info.context)
    if isinstance(value, Mapping):
        for key in value.keys() & _STANDARDS:
            raise refused_key(key, f"put the model under model: {{model: {{...}}, {key}: ...}}")
    return read_model(value, info)


_NOT_CANDIDATE = "a baseline must not be named candidate"
_NoCandidate = refusing(
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
        Named,
    ]
