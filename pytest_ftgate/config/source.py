"""The sources of a gate's values, and the places (layers) that may set them."""

import os
import secrets
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Literal

from pytest_ftgate.data import canonical_json
from pytest_ftgate.errors import Where
from pytest_ftgate.text import KeyPath, dotted


@dataclass(frozen=True, slots=True)
class Source:
    """The place that set a value."""

    kind: Literal["marker", "fixture", "file", "defaults", "default"]  # "defaults" is in the file, "default" built in
    text: str  # as quoted in messages: ``marker``, ``ftgate.yaml:14``, ``default``
    base_dir: Path  # the folder that relative paths in the value start from
    # Parameters of the test, its fixtures' ones too, that may decide what a model answers.
    parameters: Mapping[str, Any] = field(default_factory=dict, compare=False)
    place: str = field(default="", compare=False)  # of a marker, whose text is only "marker": ``test_intents.py:12``
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

At = Callable[..., Source]  # returns the source of a value (no arguments), or of a part of it (the path of the part)


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
