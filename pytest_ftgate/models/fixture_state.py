"""Name the parameters of the fixture that gives a model: each may stand for another state of it."""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import canonical_json

if TYPE_CHECKING:
    from pytest_ftgate.config import Source


def state_of(source: Source) -> str:
    """Return the parameters that reach the fixture, as text; empty if there are none."""
    state = [[name, _value(value)] for name, value in sorted(source.parameters.items())]
    return canonical_json(state) if state else ""


def _value(parameter: Any) -> str:
    """Return a name for a parameter: its JSON, or a name for this very object."""
    try:
        return canonical_json(str(parameter) if isinstance(parameter, PurePath) else parameter)
    except (TypeError, ValueError):
        return token(parameter)


_tokens: dict[int, tuple[Callable[[], Any], str]] = {}


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
