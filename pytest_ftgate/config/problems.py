"""Problems in a mapping of keys, in this package's words: pydantic's own messages never reach a user."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from pytest_ftgate.errors import ConfigError, Where, combined
from pytest_ftgate.text import KeyPath, got, is_numeral, suggestion

MISSING = "this required key is missing"
_OWN = "ftgate"
KeysT = TypeVar("KeysT", bound=BaseModel)


@dataclass(frozen=True)
class Reading:
    """Context that validators need besides the value."""

    models: Mapping[str, Any] = field(default_factory=dict)  # models of the gate file; as written while that is read
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


def read_keys(
    keys: type[KeysT], values: Any, *, reading: Reading, place: Callable[[KeyPath, str], tuple[Where, str]]
) -> KeysT:
    """Validate one mapping of keys. Raise one :class:`ConfigError` with all problems, as ``place`` puts each."""
    try:
        return keys.model_validate(values, context=reading)
    except ValidationError as error:
        found = sorted((place(*problem) for problem in own_words(error)), key=lambda one: one[0].line or 0)
    raise combined([ConfigError(text, where=where) for where, text in found])


def own_words(error: ValidationError) -> list[tuple[KeyPath, str]]:
    """Return the path and the text of each problem."""
    problems = []
    for line in error.errors(include_url=False):
        if line["type"] == "too_short" and line["input"]:
            continue  # pydantic counts only the valid items of a tuple, and reports the others one by one
        path = tuple(part for part in line["loc"] if part != "[key]")  # pydantic adds it where the key itself is wrong
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
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "dataclass_type": "must be a mapping",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
}


def _text(line: ErrorDetails, path: KeyPath) -> str:
    """Return a problem of pydantic in our words, with what was probably meant."""
    kind, value, context, cure = line["type"], line["input"], line.get("ctx", {}), ""
    if kind == _OWN:
        return str(context["text"])
    if kind == "missing":
        return MISSING
    if kind == "string_pattern_mismatch":
        return PATTERNS[context["pattern"]]
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"])  # pydantic has them in this form alone
        return f"must be one of {', '.join(choices)}, {got(value, path)}{suggestion(str(value), choices)}"
    if kind in ("int_type", "float_type") and isinstance(value, str) and is_numeral(value.removesuffix("%")):
        cure = f"; did you mean {float(value[:-1]) / 100:g}?" if value.endswith("%") else ": remove the quotes"
    elif kind == "string_type" and isinstance(value, int | float):
        cure = ": quote it"
    elif kind in ("dict_type", "model_type") and isinstance(value, list) and value and isinstance(value[0], Mapping):
        cure = ": write a name and a colon in place of each dash"
    elif kind == "less_than" and context["lt"] == 1 and 50 < value < 100:
        cure = f"; did you mean {value / 100:g}?"
    return f"{_MUST.get(kind, 'is not valid here').format(**context)}, {got(value, path)}{cure}"
