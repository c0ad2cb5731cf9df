"""What is wrong with a mapping of keys, in this package's words: pydantic's never reach a user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.text import KeyPath, got, is_numeral, suggestion

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MOST_LISTED = 5
MISSING = "this key is missing"
_OWN = "ftgate"

KeysT = TypeVar("KeysT", bound=BaseModel)


@dataclass(frozen=True)
class Reading:
    """What validators must know besides the value."""

    models: Mapping[str, Any] = field(default_factory=dict)  # of the gate file, by name
    objects: bool = False  # whether Python objects may stand for models, metrics and data


def reading_of(info: ValidationInfo) -> Reading:
    """What :func:`read_keys` was told, in a validator."""
    return cast(Reading, info.context)


def refusal(text: str) -> PydanticCustomError:
    """An exception for a validator to raise: its text reaches the user as it is."""
    return PydanticCustomError(_OWN, "{text}", {"text": text})


def refusals(problems: Iterable[tuple[KeyPath, str]]) -> ValidationError:
    """Several refusals at once, each at its path below the value that is being read."""
    lines = [InitErrorDetails(type=refusal(text), loc=path, input=None) for path, text in problems]
    return ValidationError.from_exception_data(_OWN, lines)


def read_keys(
    keys: type[KeysT], values: Any, *, reading: Reading, place: Callable[[KeyPath, str], tuple[Where, str]]
) -> KeysT:
    """Validate one mapping of keys; ``place`` makes of a path and a text the place and the text of the message.

    Raises:
        ConfigError: the first problem, with up to four more as evidence; in a file, in the order of lines.
    """
    try:
        return keys.model_validate(values, context=reading)
    except ValidationError as error:
        found = [place(path, text) for path, text in own_words(error)]
    found.sort(key=lambda problem: problem[0].line or 0)
    (where, what), *others = found
    lines = [f"{where}: {what}" for where, what in others[: MOST_LISTED - 1]]
    lines += [f"and {len(others) - len(lines)} more"] if len(others) > len(lines) else []
    raise ConfigError(what, where=where, evidence="\n  ".join(lines) or None)


def own_words(error: ValidationError) -> list[tuple[KeyPath, str]]:
    """The path and text of each problem."""
    problems = []
    for line in error.errors(include_url=False):
        if line["type"] == "too_short" and line["input"]:
            continue  # pydantic counts the valid items of a tuple, and says of the others what is wrong
        path = tuple(part for part in line["loc"] if part != "[key]")  # which pydantic adds for a key itself
        problems.append((path, _text(line, path)))
    return problems


def _text(line: ErrorDetails, path: KeyPath) -> str:
    kind, value, context = line["type"], line["input"], line.get("ctx", {})
    if kind == _OWN:
        return str(context["text"])
    if kind == "missing":
        return MISSING
    if kind == "string_pattern_mismatch":
        return "must not be blank"
    must = _MUST.get(kind, "is not valid here")
    return f"{must.format(**context)}, {got(value, path)}{_cure(kind, value, context)}"


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
    "literal_error": "must be one of {expected}",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "dataclass_type": "must be a mapping",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
}


def _cure(kind: str, value: Any, context: Mapping[str, Any]) -> str:
    if kind in ("int_type", "float_type") and isinstance(value, str) and is_numeral(value):
        return ": remove the quotes"
    if kind == "string_type" and isinstance(value, int | float):
        return ": quote it"
    if kind == "less_than" and context["lt"] == 1 and 50 < value < 100:
        return f"; did you mean {value / 100:g}?"
    if kind == "literal_error" and isinstance(value, str):
        return suggestion(value, context["expected"].replace("'", "").replace(" or ", ", ").split(", "))
    return ""
