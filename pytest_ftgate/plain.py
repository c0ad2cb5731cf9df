"""Dataclasses as plain JSON values, and back: their annotations say what each value was."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pytest_ftgate.safe import shortened

T = TypeVar("T")

_hints: Callable[[Any], dict[str, Any]] = cache(get_type_hints)


def to_plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What ``asdict`` gives, for JSON: a number that it cannot say becomes ``None``, and long text is cut."""
    return {str(key): _written(value) for key, value in facts.items()}


def _written(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, Mapping):
        return to_plain(value)
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    return value


def from_plain(kind: type[T], facts: Mapping[str, Any]) -> T:
    """The inverse of ``asdict``, after JSON.

    Args:
        kind: a dataclass, whose annotations can be looked up when the program runs.
        facts: its values by name. A name that is not there takes its default.
    """
    found: T = _read(kind, facts)
    return found


def _read(hint: Any, value: Any) -> Any:
    """A value as its annotation has it; as it is, where that says nothing of dataclasses or tuples."""
    if value is None:
        return None
    if isinstance(hint, type) and is_dataclass(hint):
        hints = _hints(hint)
        return hint(**{name: _read(hints[name], item) for name, item in value.items()})
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        kinds = [one for one in inner if one is not NoneType]
        return _read(kinds[0], value) if len(kinds) == 1 else value
    if origin is tuple:
        kinds = list(inner[:1]) * len(value) if inner[1:] == (...,) else list(inner)
        return tuple(_read(one, item) for one, item in zip(kinds, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _read(inner[1], item) for key, item in value.items()}
    return value
