"""Turn facts into JSON values and back, and hold unknown facts."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BeforeValidator, Field, TypeAdapter

from pytest_ftgate.text import LONGEST, shortened

DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""The dialect of the JSON Schemas that this package ships."""

T = TypeVar("T")

_LOW = BeforeValidator(lambda end: -math.inf if end is None else end)
_HIGH = BeforeValidator(lambda end: math.inf if end is None else end)
Range = tuple[Annotated[float, _LOW], Annotated[float, _HIGH]]
"""The lower and upper end of a range; an infinite end is null in JSON."""
Hashes = Annotated[tuple[Annotated[str, Field(pattern="^[0-9a-f]{8}$")], ...], Field(min_length=1)]
"""One hash or more, of 8 hex digits each."""


INNER = {"inner": True}
"""Marks fields that reports for people and cure need, and that the JSON report leaves out."""
UNCUT = {**INNER, "uncut": True}
"""Marks such fields whose texts are kept whole, however long they are."""


def to_plain(value: Any, *, whole: bool = True, longest: int = LONGEST) -> Any:
    """Return dataclasses and collections as JSON values.

    NaN and infinity become ``None``, and long text is cut. Without ``whole`` fields marked
    :data:`INNER` are left out.
    """
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return None
    if isinstance(value, str):
        return shortened(value, longest)
    if is_dataclass(value):
        facts = {}
        for field in fields(value):
            if whole or not field.metadata:
                limit = sys.maxsize if field.metadata == UNCUT else longest
                inner = getattr(value, field.name)
                facts[field.name] = to_plain(inner, whole=whole, longest=limit)
        return facts
    if isinstance(value, Mapping):
        return {
            str(key): to_plain(item, whole=whole, longest=longest) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [to_plain(item, whole=whole, longest=longest) for item in value]
    return value


def from_plain(kind: type[T], facts: Mapping[str, Any]) -> T:
    """Return the dataclass that these values were made from; absent values take their defaults.

    Raises:
        pydantic.ValidationError: the values do not fit the dataclass.
    """
    value: T = _adapter(kind).validate_python(facts)
    return value


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


class Unknown(NamedTuple):
    """Hold why something is unknown, as a clause, and how to supply it, as a sentence."""

    why: str
    cure: str


def together(*unknowns: Unknown | None) -> Unknown:
    """Return one unknown for several, each of whose cures is named once.

    Without any both texts are empty.
    """
    present = [unknown for unknown in unknowns if unknown is not None]
    reasons = [unknown.why for unknown in present]
    cures = dict.fromkeys(unknown.cure for unknown in present)
    return Unknown("; ".join(reasons), " ".join(cures))
