"""The sources of a gate's values, and the places (layers) that may set them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pytest_ftgate.errors import Where
from pytest_ftgate.text import KeyPath, dotted


@dataclass(frozen=True, slots=True)
class Source:
    """The place that set a value; "defaults" is the section of the gate file, "default" is built in.

    ``parameters`` are the test's parameters that reach a fixture, directly or through the fixtures it depends on.
    """

    kind: Literal["marker", "fixture", "file", "defaults", "default"]
    text: str  # as quoted in messages: ``marker``, ``ftgate.yaml:14``, ``default``
    base_dir: Path  # the folder that relative paths in the value start from
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

    def absolute(self, path: str | os.PathLike[str]) -> Path:
        """Return the absolute form of a path that was written there."""
        return Path(os.path.abspath(self.base_dir / path))

    def __str__(self) -> str:
        return self.text


BUILT_IN = Source("default", "default", Path())

At = Callable[..., Source]
"""Returns the source of a value (no arguments), or of a part of it (the path of the part)."""


@dataclass(frozen=True)
class Layer:
    """One place that sets keys of a gate, and the source of each key, or of each path if the place knows it.

    Lists of layers are ordered from the nearest to the farthest.
    """

    values: Mapping[str, Any]
    sources: Callable[[KeyPath], Source] | Mapping[str, Source]

    def source(self, path: KeyPath) -> Source:
        """Return the source of the value at ``path``, whose first part is a key of the layer."""
        found = self.sources(path) if callable(self.sources) else self.sources[str(path[0])]
        return replace(found, key=dotted(path))

    @property
    def takes_objects(self) -> bool:
        """Return whether values may be callables and iterables: in Python code, not in a file."""
        return any(self.source((key,)).kind in ("marker", "fixture") for key in self.values)
