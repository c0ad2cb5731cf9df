"""Facts as JSON values and back, what their JSON Schema says of them, and facts that are not known."""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BeforeValidator, Field, TypeAdapter, WithJsonSchema

from pytest_ftgate.text import shortened

DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""The dialect of the JSON Schemas that this package ships."""

T = TypeVar("T")

_END = WithJsonSchema({"type": ["number", "null"]})  # JSON has no infinity
_LOW = BeforeValidator(lambda end: -math.inf if end is None else end)
_HIGH = BeforeValidator(lambda end: math.inf if end is None else end)
Range = tuple[Annotated[float, _LOW, _END], Annotated[float, _HIGH, _END]]
"""The lower and upper end of a range; an infinite end is null in JSON."""
Hashes = Annotated[tuple[Annotated[str, Field(pattern="^[0-9a-f]{8}$")], ...], Field(min_length=1)]
"""One hash or more, of 8 hex digits each."""


def about(description: str) -> Any:
    """Return the description of a field in the JSON Schema of the report."""
    return Field(description=description)


INNER = {"inner": True}
"""Marks fields that people's reports and advice need, and that the JSON report and its schema leave out."""


def to_plain(value: Any, *, whole: bool = True) -> Any:
    """Return dataclasses and collections as JSON values; NaN and infinity become ``None``, and long text is cut.

    Without ``whole`` fields marked :data:`INNER` are left out.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return shortened(value)
    if is_dataclass(value):
        shown = [one.name for one in fields(value) if whole or one.metadata != INNER]
        return {name: to_plain(getattr(value, name), whole=whole) for name in shown}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, whole=whole) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item, whole=whole) for item in value]
    return value


def from_plain(kind: type[T], facts: Mapping[str, Any]) -> T:
    """Return the dataclass that these values were made from; absent values take their defaults.

    Raises:
        pydantic.ValidationError: the values do not fit the dataclass.
    """
    found: T = _adapter(kind).validate_python(facts)
    return found


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


class Unknown(NamedTuple):
    """Hold why something is unknown, as a clause, and how to supply it, as a sentence."""

    why: str
    cure: str


def together(*several: Unknown | None) -> Unknown:
    """Return one unknown for several, each of whose cures is named once; without any both texts are empty."""
    found = [one for one in several if one is not None]
    return Unknown(
        "; ".join(one.why for one in found), " ".join(dict.fromkeys(one.cure for one in found))
    )
