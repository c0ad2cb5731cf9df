"""The base class of all mappings in the gate file, and the value types that many keys share."""

from __future__ import annotations

import math
import os
import re
import secrets
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, cast

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from pytest_ftgate.data import canonical_json
from pytest_ftgate.errors import ConfigError, Where, combined
from pytest_ftgate.text import KeyPath, dotted, got, holds_literal_key, is_numeral, suggestion

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class Source:
    """The place that set a value."""

    # "defaults" is in the file, "default" built in
    kind: Literal["marker", "fixture", "file", "defaults", "default"]
    text: str  # as quoted in messages: ``marker``, ``ftgate.yaml:14``, ``default``
    base_dir: Path  # the folder that relative paths in the value start from
    # Parameters of the test, its fixtures' ones too, that may decide what a model answers.
    parameters: Mapping[str, Any] = field(default_factory=dict, compare=False)
    # of a marker, whose text is only "marker": ``test_intents.py:12``
    place: str = field(default="", compare=False)
    key: str = field(default="", compare=False)  # the value's key in messages: ``baselines.prompt``

    def where(self, key: str | None = None) -> Where:
        """Return the place for an error; ``key`` replaces the value's own key."""
        return Where(self.at, key=self.key if key is None else key)

    @property
    def at(self) -> str:
        """Return the file and line, without the key."""
        return self.place or self.text

    @property
    def state(self) -> str:
        """Return the parameters as text: each may stand for another state of the model."""
        state = [[name, _value(value)] for name, value in sorted(self.parameters.items())]
        return canonical_json(state) if state else ""

    def absolute(self, path: str | os.PathLike[str]) -> Path:
        """Return the absolute form of a path that was written there."""
        return Path(os.path.abspath(self.base_dir / path))

    def __str__(self) -> str:
        return self.text


BUILT_IN = Source("default", "default", Path())
# a key that the gate file leaves to markers
LEFT_OPEN = Source("fixture", "not in the gate file", Path())
_tokens: dict[int, tuple[Callable[[], Any], str]] = {}

# returns the source of a value (no arguments), or of a part of it (the path of the part)
At = Callable[..., Source]


@dataclass(frozen=True)
class Layer:
    """One place that sets keys of a gate, and the source of each key, or of each path if the place knows it."""

    values: Mapping[str, Any]
    sources: Callable[[KeyPath], Source] | Mapping[str, Source]
    parameters: Mapping[str, Any] = field(default_factory=dict)  # those of the sources

    def source(self, path: KeyPath) -> Source:
        """Return the source of the value at ``path``, whose first part is a key of the layer."""
        found = self.sources(path) if callable(self.sources) else self.sources[str(path[0])]
        return replace(found, key=dotted(path), parameters=self.parameters)

    @property
    def takes_objects(self) -> bool:
        """Return whether values may be callables and iterables: in Python code, not in a file."""
        return any(self.source((key,)).kind in ("marker", "fixture") for key in self.values)


def _value(parameter: Any) -> str:
    """Return a name for a parameter: its JSON, or a name for this very object."""
    try:
        return canonical_json(str(parameter) if isinstance(parameter, PurePath) else parameter)
    except (TypeError, ValueError):
        return token(parameter)


def token(thing: Any) -> str:
    """Return a name for this very object: the same as long as it lives, and never given to another."""
    alive, name = _tokens.get(id(thing), (lambda: None, ""))
    if alive() is not thing:
        name = secrets.token_hex(16)
        _tokens[id(thing)] = (_reference(thing), name)
    return name


def _reference(value: Any) -> Callable[[], Any]:
    """Return a weak reference if the type allows it: a model may be large."""
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value


MISSING = "this required key is missing"
_IN_PLAIN_SIGHT = "do not write a secret here: name an environment variable with api_key_env"
_PROSE = ("system", "template", "rubric", "hypothesis", "because", "name")
_VARIABLE = re.compile(r"\$\{\w+\}|\$[A-Z_]{2,}")
_OWN = "ftgate"
KeysT = TypeVar("KeysT", bound=BaseModel)
Place = Callable[[KeyPath, str], tuple[Where, str]]


@dataclass(frozen=True)
class Reading:
    """Context that validators need besides the value."""

    # models of the gate file; as written while that is read
    models: Mapping[str, Any] = field(default_factory=dict)
    objects: bool = False  # whether models, metrics and data may be Python objects


def reading_of(info: ValidationInfo) -> Reading:
    return cast(Reading, info.context)


def refusal(text: str) -> PydanticCustomError:
    """Return an exception for a validator to raise; the user sees its text unchanged."""
    return PydanticCustomError(_OWN, "{text}", {"text": text})


def refusals(problems: Iterable[tuple[KeyPath, str]]) -> ValidationError:
    """Return one exception for several problems, each with its path below the value that is validated."""
    lines = [InitErrorDetails(type=refusal(text), loc=path, input=None) for path, text in problems]
    return ValidationError.from_exception_data(_OWN, lines)


def read_keys(keys: type[KeysT], values: Any, reading: Reading, place: Place) -> KeysT:
    """Validate one mapping of keys.

    Raise one :class:`ConfigError` with all problems, as ``place`` puts each.
    """
    try:
        return keys.model_validate(values, context=reading)
    except ValidationError as error:
        found = sorted(
            (place(*problem) for problem in own_words(error)), key=lambda one: one[0].line or 0
        )
    raise combined([ConfigError(text, where=where) for where, text in found])


def own_words(error: ValidationError) -> list[tuple[KeyPath, str]]:
    """Return the path and the text of each problem."""
    problems = []
    for line in error.errors(include_url=False):
        if line["type"] == "too_short" and line["input"]:
            # pydantic counts only the valid items of a tuple, and reports the others one by one
            continue
        # pydantic adds it where the key itself is wrong
        path = tuple(part for part in line["loc"] if part != "[key]")
        problems.append((path, _text(line, path)))
    return problems


PATTERNS = {r"\S": "must not be blank"}
"""What is said of a text that a pattern does not match."""

_MUST = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "finite_number": "must be a finite number",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:,}",
    **dict.fromkeys(("dict_type", "model_type", "dataclass_type"), "must be a mapping"),
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
}


def _text(line: ErrorDetails, path: KeyPath) -> str:
    """Return a problem of pydantic in our words, with what was probably meant."""
    kind = line["type"]
    value = line["input"]
    context = line.get("ctx", {})
    if kind == _OWN:
        return str(context["text"])
    if kind == "missing":
        return MISSING
    if kind == "string_pattern_mismatch":
        return PATTERNS[context["pattern"]]
    if kind == "literal_error":
        # pydantic has them in this form alone
        choices = re.findall(r"'([^']*)'", context["expected"])
        return f"must be one of {', '.join(choices)}, {got(value, path)}{suggestion(str(value), choices)}"
    must = _MUST.get(kind, "is not valid here").format(**context)
    return f"{must}, {got(value, path)}{_cure(kind, value, context)}"


def _cure(kind: str, value: Any, context: Mapping[str, Any]) -> str:
    """Return what was probably meant by a value of a wrong type or size; empty where nothing suggests it."""
    is_number = kind in ("int_type", "float_type")
    if is_number and isinstance(value, str) and is_numeral(value.removesuffix("%")):
        return (
            f"; did you mean {float(value[:-1]) / 100:g}?"
            if value.endswith("%")
            else ": remove the quotes"
        )
    if kind == "string_type" and isinstance(value, int | float):
        return ": quote it"
    if (
        kind in ("dict_type", "model_type")
        and isinstance(value, list)
        and value
        and isinstance(value[0], Mapping)
    ):
        return ": write a name and a colon in place of each dash"
    if kind == "less_than" and context["lt"] == 1 and 50 < value < 100:
        return f"; did you mean {value / 100:g}?"
    return ""


class Placeable:
    """A value that knows its source."""

    def placed(self, at: At, name: str | None = None) -> Any:
        """Return the value with its source; ``name`` is its key in a mapping of names."""
        raise NotImplementedError


def place(value: Any, at: At, name: str | None = None) -> Any:
    """Return a validated value whose parts know their sources; Python objects stay unchanged."""
    if isinstance(value, Placeable):
        return value.placed(at, name)
    if isinstance(value, dict) and all(isinstance(part, Placeable) for part in value.values()):
        return {key: place(part, partial(at, key), key) for key, part in value.items()}
    if isinstance(value, tuple) and value and all(isinstance(part, Placeable) for part in value):
        return tuple(place(part, partial(at, index)) for index, part in enumerate(value))
    return value


class Keys(Placeable, BaseModel):
    """A mapping in which every key must be known. Its fields' defaults are the built-in defaults.

    A key without a default is None unless it is written; ``model_fields_set`` holds the written
    keys.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)
    one_at_most: ClassVar[tuple[tuple[str, str], ...]] = ()
    exactly_one: ClassVar[tuple[tuple[str, str], ...]] = ()
    _place: Source = pydantic.PrivateAttr(default_factory=lambda: BUILT_IN)
    _sources: Mapping[str, Source] = pydantic.PrivateAttr(
        default_factory=lambda: MappingProxyType({})
    )

    @property
    def source(self) -> Source:
        return self._place

    @property
    def sources(self) -> Mapping[str, Source]:
        return self._sources

    def written(self) -> dict[str, Any]:
        """Return the written keys with their values, in the order of declaration."""
        declared = (*type(self).model_fields, *(self.model_extra or {}))
        return {key: getattr(self, key) for key in declared if key in self.model_fields_set}

    def placed(self, at: At, name: str | None = None) -> Self:  # noqa: ARG002  # a mapping of keys has no name
        """Return a copy that knows its source and those of its keys."""
        copy, sources = self.model_copy(), {}
        for own, info in type(self).model_fields.items():
            key = info.alias or own
            below: At = partial(at, key) if own in self.model_fields_set else lambda *_: BUILT_IN
            sources[key] = below()
            copy.__dict__[own] = place(getattr(self, own), below)
        copy._place, copy._sources = at(), sources
        return copy

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _check_keys(cls, values: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse unknown keys and pairs of keys together with what is wrong with values, in one error."""
        if not isinstance(values, Mapping):
            return handler(values)
        objections = {key: text for key in values if (text := cls._objection(key, values[key]))}
        problems: list[tuple[KeyPath, str]] = [
            ((str(key),), text) for key, text in objections.items()
        ]
        for a, b in (*cls.one_at_most, *cls.exactly_one):
            problems += (
                [((b,), f"{a} and {b} are both set: keep one")] if {a, b} <= values.keys() else []
            )
        problems += [((a,), MISSING) for a, b in cls.exactly_one if not {a, b} & values.keys()]
        try:
            read = handler({key: value for key, value in values.items() if key not in objections})
        except pydantic.ValidationError as error:
            # A missing key, or a problem with the mapping as a whole, may be a consequence of a
            # misspelled key.
            found = own_words(error)
            problems += [
                (at, text)
                for at, text in found
                if not objections or at[1:] or (at and text != MISSING)
            ]
        if problems:
            raise refusals(problems)
        return read

    @classmethod
    def _objection(cls, key: Any, value: Any) -> str | None:
        if not isinstance(key, str):
            return "a key must be text"
        if holds_literal_key(key):
            return _IN_PLAIN_SIGHT
        known = [field.alias or name for name, field in cls.model_fields.items()]
        if key in known:
            if (
                isinstance(value, str)
                and key not in _PROSE
                and (variable := _VARIABLE.search(value))
            ):
                return f"variables such as {variable[0]} are not expanded: write the value"
            return (
                "has no value: set one (in YAML, indented below it), or remove the key"
                if value is None
                else None
            )
        if cls.model_config["extra"] == "allow":
            return next((text for _, text in _unfit(value, (key,))), None)
        return "unknown key" + suggestion(key, known, f"; the known keys are {', '.join(known)}")


def sources_within(value: Any, path: str) -> Iterator[tuple[str, Source]]:
    """Yield the path and the source of each value in a mapping of keys, or in a mapping of names."""
    sources = value.sources if isinstance(value, Keys) else {}
    for key, source in sources.items():
        yield f"{path}.{key}", source
        yield from sources_within(getattr(value, key, None), f"{path}.{key}")

    parts = value if isinstance(value, Mapping) else {}
    for name, part in parts.items():
        own_source = getattr(part, "source", None)
        if isinstance(own_source, Source):
            yield f"{path}.{name}", own_source
        yield from sources_within(part, f"{path}.{name}")


class OpenKeys(Keys):
    """A mapping whose unknown keys are kept unchanged and validated elsewhere."""

    model_config = ConfigDict(extra="allow")


def optional(description: str, meaning: Any = None, **more: Any) -> Any:
    """Return the field of an optional key; its description, not the schema, states the default."""
    return Field(default_factory=lambda: meaning, description=description, **more)


def refusing(find: Callable[[dict[str, Any]], Iterable[tuple[KeyPath, str]]]) -> AfterValidator:
    """Return a validator that refuses a mapping for the problems that ``find`` finds in it."""

    def check(values: dict[str, Any]) -> dict[str, Any]:
        if problems := list(find(values)):
            raise refusals(problems)
        return values

    return AfterValidator(check)


Named = refusing(
    lambda values: [((name,), "a name must not be blank") for name in values if not name.strip()]
)
# to a tuple
Listed = pydantic.BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)


def matching(pattern: str, must: str) -> Any:
    """Return the form of a text; messages do not quote another text, which may be a secret."""
    PATTERNS[pattern] = f"must be {must}"
    return Field(pattern=pattern)


def _unfit(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield values that are never valid, even in free data: literal secrets, and numbers that are not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path, f"must be a finite number, {got(value, path)}"
    elif isinstance(value, Mapping):
        for key, part in value.items():
            below = (*path, str(key))
            yield from (
                [(below, _IN_PLAIN_SIGHT)] if holds_literal_key(str(key)) else _unfit(part, below)
            )
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _unfit(part, (*path, index))


Text = Annotated[str, Field(pattern=r"\S")]
_PlainPath = pydantic.BeforeValidator(
    lambda value: os.fspath(value) if isinstance(value, os.PathLike) else value
)
PathText = Annotated[Text, _PlainPath]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
# far beyond any use, and within the native integer range
Positive = Annotated[int, Field(ge=1, le=10**9)]
AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FreeData = Annotated[dict[str, Any], refusing(lambda values: _unfit(values, ()))]


@dataclass(frozen=True, slots=True)
class Weaker:
    """How the values of a key compare, declared in its type: ``Annotated[int, Weaker("lower")]``."""

    direction: Literal["lower", "higher", "fewer"]
    order: tuple[str, ...] = ()  # the allowed words, the weakest first; empty for numbers
    unwritten: str | None = None
    """The value shown for an unset key whose absence is strictest; None if an unset key requires nothing."""

    def asks_less(self, before: Any, after: Any) -> bool:
        """Return whether ``after`` is weaker than ``before``. None stands for an unset key."""
        if before is None or after is None:
            if self.unwritten is None:
                return before is not None and after is None
            return before is None and after is not None
        if self.direction == "fewer":
            return not set(before) <= set(after)
        old, new = (self.order.index(value) if self.order else value for value in (before, after))
        return bool(new < old if self.direction == "lower" else new > old)


# none can be proven to be equal
ProvenDrop = Annotated[float, Field(gt=0, allow_inf_nan=False), Weaker("higher")]


def words(*weakest_first: str) -> Weaker:
    """Return the comparison of a key whose values are words."""
    return Weaker("lower", weakest_first)


def comparable(keys: type[BaseModel]) -> dict[str, Weaker]:
    """Return the comparable keys of a mapping, in the order of declaration."""
    fields = keys.model_fields.items()
    return {name: one for name, info in fields for one in info.metadata if isinstance(one, Weaker)}
