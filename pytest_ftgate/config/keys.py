"""The base class of all mappings in the gate file, and the value types that many keys share."""

from __future__ import annotations

import math
import os
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

from pytest_ftgate.config import forms
from pytest_ftgate.data import canonical_json
from pytest_ftgate.errors import ConfigError, Where, combined
from pytest_ftgate.secrets import holds_literal_key, may_hold_secret
from pytest_ftgate.text import (
    KeyPath,
    dotted,
    got,
    listed,
    nearest,
    suggestion,
)

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
        state = [[name, _name_of(value)] for name, value in sorted(self.parameters.items())]
        if state:
            return canonical_json(state)
        return ""

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
    """One place that sets keys of a gate.

    ``sources`` has the source of each key, or of each path if the place knows it.
    """

    values: Mapping[str, Any]
    sources: Callable[[KeyPath], Source] | Mapping[str, Source]
    parameters: Mapping[str, Any] = field(default_factory=dict)  # those of the sources

    def source(self, path: KeyPath) -> Source:
        """Return the source of the value at ``path``, whose first part is a key of the layer."""
        source = self.sources(path) if callable(self.sources) else self.sources[str(path[0])]
        return replace(source, key=dotted(path), parameters=self.parameters)

    @property
    def takes_objects(self) -> bool:
        """Return whether values may be callables and iterables: in Python code, not in a file."""
        return any(self.source((key,)).kind in ("marker", "fixture") for key in self.values)


def _name_of(parameter: Any) -> str:
    """Return a name for a parameter: its JSON, or a name for this very object."""
    try:
        return canonical_json(str(parameter) if isinstance(parameter, PurePath) else parameter)
    except (TypeError, ValueError):
        return token(parameter)


def token(value: Any) -> str:
    """Return a name for this very object: the same as long as it lives, and that of no other."""
    alive, name = _tokens.get(id(value), (lambda: None, ""))
    if alive() is not value:
        name = secrets.token_hex(16)
        _tokens[id(value)] = (_reference(value), name)
    return name


def _reference(value: Any) -> Callable[[], Any]:
    """Return a weak reference if the type allows it: a model may be large."""
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value


# --- validation, and what is said of each problem -------------------------------------------------


MISSING = "this required key is missing"
_NO_VALUE = "has no value: set one (in YAML, indented below it), or remove the key"
_IN_PLAIN_SIGHT = "do not write a secret here: name an environment variable with api_key_env"
_OWN = "ftgate"
_OWN_TYPE = "ftgate_type"
KeysT = TypeVar("KeysT", bound=BaseModel)


@dataclass(frozen=True)
class Reading:
    """Context that validators need besides the value."""

    # models of the gate file; as written while that is read
    models: Mapping[str, Any] = field(default_factory=dict)
    objects: bool = False  # whether models, metrics and data may be Python objects
    folder: Path = Path()  # where relative paths start


def reading_of(info: ValidationInfo) -> Reading:
    return cast(Reading, info.context)


def refusal(text: str) -> PydanticCustomError:
    """Return an exception for a validator to raise; the user sees its text unchanged."""
    return PydanticCustomError(_OWN, "{text}", {"text": text})


def wrong_type(must_be: str, value: Any) -> PydanticCustomError:
    """Return an exception for a value of a wrong type, to whose text the key's form is added."""
    return misread(f"must be {must_be}, {got(value, ())}")


def misread(text: str, meant: Any = None) -> PydanticCustomError:
    """Return an exception for a value, to whose text the key's form is added.

    The form has the value that is probably meant, if it is known.
    """
    return PydanticCustomError(_OWN_TYPE, "{text}", {"text": text, "meant": meant})


def refused_key(key: str, problem: str | PydanticCustomError) -> ValidationError:
    """Return an exception for what is wrong with one key below the value that is validated."""
    return refusals([((key,), problem)])


def refusals(problems: Iterable[tuple[KeyPath, str | PydanticCustomError]]) -> ValidationError:
    """Return one exception for problems, each with its path below the value that is validated."""
    lines = []
    for path, problem in problems:
        error = refusal(problem) if isinstance(problem, str) else problem
        lines.append(InitErrorDetails(type=error, loc=path, input=None))
    return ValidationError.from_exception_data(_OWN, lines)


def read_keys(
    keys: type[KeysT],
    values: Any,
    reading: Reading,
    error_at: Callable[[KeyPath, str], ConfigError],
) -> KeysT:
    """Validate one mapping of keys.

    Raises one :class:`ConfigError` with all problems, each as ``error_at`` makes it of a path and a
    text.
    """
    try:
        return keys.model_validate(values, context=reading)
    except ValidationError as error:
        problems = [error_at(path, text) for path, text in own_words(error)]
    problems.sort(key=lambda problem: (problem.where and problem.where.line) or 0)
    raise combined(problems)


def own_words(
    error: ValidationError, form_of: Callable[[ErrorDetails, KeyPath], str] | None = None
) -> list[tuple[KeyPath, str]]:
    """Return the path and the text of each problem.

    ``form_of`` returns the form to write, for a problem that has none yet.
    """
    problems = []
    for line in error.errors(include_url=False):
        if line["type"] == "too_short" and line["input"]:
            # pydantic counts only the valid items of a tuple, and reports the others one by one
            continue
        # pydantic adds it where the key itself is wrong
        path = tuple(step for step in line["loc"] if step != "[key]")
        text = _text(line, path)
        if form_of is not None and path and line["type"] != _OWN:
            text += form_of(line, path)
        problems.append((path, text))
    return problems


_QUOTE = "'"
PATTERNS = {r"\S": "must not be blank"}
"""What is said of a text that a pattern does not match."""

_MAPPINGS = ("dict_type", "model_type", "dataclass_type")
_MUST = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "finite_number": "must be a finite number",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:,.10g}",
    **dict.fromkeys(_MAPPINGS, "must be a mapping"),
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
}


def _text(line: ErrorDetails, path: KeyPath) -> str:
    """Return a problem of pydantic in our words."""
    kind = line["type"]
    value = line["input"]
    context = line.get("ctx", {})
    if kind in (_OWN, _OWN_TYPE):
        return str(context["text"])
    if kind == "missing":
        return MISSING
    if kind == "string_pattern_mismatch":
        # A text with an @ may be an address with a password.
        text = PATTERNS[context["pattern"]]
        return text if "@" in value or not value.strip() else f"{text}, {got(value, path)}"
    if kind == "literal_error":
        choices = context["expected"].replace(_QUOTE, "").replace("False", "false")
        return f"must be {choices}, {got(value, path)}"
    if kind in _MAPPINGS and value is None:
        return _NO_VALUE
    must = _MUST.get(kind, "is not valid here").format(**context)
    return f"{must}, {got(value, path)}"


# --- mappings of keys -----------------------------------------------------------------------------


class Placeable:
    """A value that knows its source."""

    def placed(self, source_at: At, name: str | None = None) -> Any:
        """Return the value with its source; ``name`` is its key in a mapping of names."""
        raise NotImplementedError


def place(value: Any, source_at: At, name: str | None = None) -> Any:
    """Return a validated value whose parts know their sources; Python objects stay unchanged."""
    if isinstance(value, Placeable):
        return value.placed(source_at, name)
    if isinstance(value, dict) and all(isinstance(entry, Placeable) for entry in value.values()):
        return {key: place(entry, partial(source_at, key), key) for key, entry in value.items()}
    if isinstance(value, tuple) and value and all(isinstance(item, Placeable) for item in value):
        return tuple(place(item, partial(source_at, index)) for index, item in enumerate(value))
    return value


class Keys(Placeable, BaseModel):
    """A mapping in which every key must be known. Its fields' defaults are the built-in defaults.

    A key without a default is None unless it is written; ``model_fields_set`` holds the written
    keys.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)
    one_at_most: ClassVar[tuple[tuple[str, str], ...]] = ()
    are_keywords: ClassVar[bool] = False
    """Whether Python code writes the keys as arguments of a call."""
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

    def placed(self, source_at: At, name: str | None = None) -> Self:  # noqa: ARG002
        """Return a copy that knows its source and those of its keys."""
        copy = self.model_copy()
        sources = {}
        for attribute, info in type(self).model_fields.items():
            key = info.alias or attribute
            is_written = attribute in self.model_fields_set
            at_key: At = partial(source_at, key) if is_written else lambda *_: BUILT_IN
            sources[key] = at_key()
            copy.__dict__[attribute] = place(getattr(self, attribute), at_key)
        copy._place = source_at()
        copy._sources = sources
        return copy

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _check_keys(
        cls, values: Any, handler: pydantic.ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        """Refuse unknown keys and pairs of keys together with what is wrong with values."""
        if not isinstance(values, Mapping):
            return handler(values)

        objections: dict[Any, str] = {}
        for key, value in values.items():
            objection = cls._objection(key, value)
            if objection is not None:
                objections[key] = objection
        problems: list[tuple[KeyPath, str]] = [
            ((str(key),), text) for key, text in objections.items()
        ]
        problems += cls._unpaired(values)

        keys: Self | None = None
        try:
            keys = handler({key: values[key] for key in values if key not in objections})
        except ValidationError as error:
            form_of = partial(cls._form_of, values, handler, reading_of(info))
            for path, text in own_words(error, form_of):
                # A missing key, or a problem with the mapping as a whole, may be a consequence of
                # a misspelled key.
                is_consequence = not path or (len(path) == 1 and text.startswith(MISSING))
                if not (objections and is_consequence):
                    problems.append((path, text))
        if keys is None or problems:
            raise refusals(problems)
        return keys

    @classmethod
    def _form_of(
        cls,
        values: Mapping[Any, Any],
        handler: Callable[[Any], Any],
        reading: Reading,
        line: ErrorDetails,
        path: KeyPath,
    ) -> str:
        """Return how to write a key: with what its value probably means, else its example."""
        is_part = len(path) > 1
        key = path[0]
        meant = line.get("ctx", {}).get("meant")
        if meant is not None:
            key = path[-1]
        elif not is_part:
            accepted = (
                value
                for value in _meanings(line, str(key))
                if _accepts(handler, {**values, key: value}, key)
            )
            meant = next(accepted, None)

        intro = "write"
        if meant is None:
            intro = "for example"
            meant = cls.example_of(str(key))
        is_keyword = cls.are_keywords and key == path[0]
        form = forms.form(str(key), meant, in_python=reading.objects, is_keyword=is_keyword)
        return f": {intro} {form}"

    @classmethod
    def example_of(cls, key: str) -> Any:
        """Return the example of a key: its default, where that says something."""
        for name, field_info in cls.model_fields.items():
            if key == (field_info.alias or name):
                return (field_info.examples or [field_info.default])[0]
        raise KeyError(key)

    @classmethod
    def _unpaired(cls, values: Mapping[Any, Any]) -> Iterator[tuple[KeyPath, str]]:
        """Yield keys that must not be written together."""
        for first, second in cls.one_at_most:
            if first in values and second in values:
                yield (second,), f"{first} and {second} are both set: keep one"

    @classmethod
    def _objection(cls, key: Any, value: Any) -> str | None:
        """Return what is wrong with a key, whatever the others are; None if it may be read."""
        if not isinstance(key, str):
            return "a key must be text"
        if holds_literal_key(key):
            return _IN_PLAIN_SIGHT

        names = [field.alias or name for name, field in cls.model_fields.items()]
        if key not in names:
            if cls.model_config["extra"] == "allow":
                return next((text for _, text in _unfit(value, (key,))), None)
            known = f"; the known keys are {listed(names, at_most=len(names))}"
            unknown = f"unknown key{suggestion(key, names, known)}"
            return cls._elsewhere(key, value) or unknown

        if value is None:
            return _NO_VALUE
        return None

    @classmethod
    def _elsewhere(cls, key: str, value: Any) -> str | None:  # noqa: ARG003
        """Return where a key belongs that is unknown here; None if that is not known."""
        return None


def _meanings(line: ErrorDetails, key: str) -> Iterator[Any]:
    """Yield what the value of a key may mean; nothing for one that may be a secret."""
    value = line["input"]
    if line["type"] == "missing" or may_hold_secret(key):
        return
    if line["type"] == "string_type" and isinstance(value, int | float):
        yield str(value)
    if line["type"] == "literal_error" and isinstance(value, str):
        # pydantic has them in this form alone: 'fail', 'warn' or 'ignore'
        choices = line["ctx"]["expected"].split(_QUOTE)[1::2]
        yield from filter(None, [nearest(value, choices)])
    yield from forms.meanings(value)


def _accepts(handler: Callable[[Any], Any], values: Mapping[Any, Any], key: str | int) -> bool:
    """Return whether nothing is wrong with the value of a key, whatever the others are."""
    try:
        handler(values)
    except ValidationError as error:
        return all(line["loc"][:1] != (key,) for line in error.errors(include_url=False))
    return True


def sources_within(value: Any, path: str) -> Iterator[tuple[str, Source]]:
    """Yield the path and the source of each value in a mapping of keys or of names."""
    sources = value.sources if isinstance(value, Keys) else {}
    for key, source in sources.items():
        yield f"{path}.{key}", source
        yield from sources_within(getattr(value, key, None), f"{path}.{key}")

    named = value if isinstance(value, Mapping) else {}
    for name, entry in named.items():
        part_source = getattr(entry, "source", None)
        if isinstance(part_source, Source):
            yield f"{path}.{name}", part_source
        yield from sources_within(entry, f"{path}.{name}")


class OpenKeys(Keys):
    """A mapping whose unknown keys are kept unchanged and validated elsewhere."""

    model_config = ConfigDict(extra="allow")


# --- types of values ------------------------------------------------------------------------------


def optional(description: str, *, example: Any) -> Any:
    """Return the field of an optional key; its description, not the schema, states the default."""
    return Field(default_factory=lambda: None, description=description, examples=[example])


def refusing(find: Callable[[dict[str, Any]], Iterable[tuple[KeyPath, str]]]) -> AfterValidator:
    """Return a validator that refuses a mapping for the problems that ``find`` finds in it."""

    def check(values: dict[str, Any]) -> dict[str, Any]:
        problems = list(find(values))
        if problems:
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
    """Yield what is never valid, even in free data: secrets, and numbers that are not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path, f"must be a finite number, {got(value, path)}"
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            if holds_literal_key(str(key)):
                yield (*path, str(key)), _IN_PLAIN_SIGHT
            else:
                yield from _unfit(entry, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            yield from _unfit(entry, (*path, index))


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
    """How the values of a key compare, declared in its type: ``Annotated[int, Weaker("lower")]``.

    Attributes:
        direction: which of two values asks for less.
        order: the allowed words, the weakest first; empty for numbers.
        unwritten: the value shown for an unset key whose absence is strictest; None if an unset key
            requires nothing.
    """

    direction: Literal["lower", "higher", "fewer"]
    order: tuple[str, ...] = ()
    unwritten: str | None = None

    def asks_less(self, old: Any, new: Any) -> bool:
        """Return whether ``new`` is weaker than ``old``. None stands for an unset key."""
        if old is None or new is None:
            if self.unwritten is None:
                return old is not None and new is None
            return old is None and new is not None
        if self.direction == "fewer":
            return not set(old) <= set(new)
        if self.order:
            return self.order.index(new) < self.order.index(old)
        return bool(new < old if self.direction == "lower" else new > old)


# none can be proven to be equal
ProvenDrop = Annotated[float, Field(gt=0, allow_inf_nan=False), Weaker("higher")]


def words(*weakest_first: str) -> Weaker:
    """Return the comparison of a key whose values are words."""
    return Weaker("lower", weakest_first)


def comparable(keys: type[BaseModel]) -> dict[str, Weaker]:
    """Return the comparable keys of a mapping, in the order of declaration."""
    comparisons = {}
    for name, info in keys.model_fields.items():
        for annotation in info.metadata:
            if isinstance(annotation, Weaker):
                comparisons[name] = annotation
    return comparisons
