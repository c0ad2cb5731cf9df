"""Where a value of a gate came from, and the places that may give one."""

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
    """Where a value came from; "defaults" is the section of the gate file, "default" is built in.

    ``parameters`` are what a fixture was parametrized with, itself or through the fixtures that it depends on.
    """

    kind: Literal["marker", "fixture", "file", "defaults", "default"]
    text: str  # as quoted in messages: ``marker``, ``ftgate.yaml:14``, ``default``
    base_dir: Path  # what relative paths in the value are relative to
    parameters: Mapping[str, Any] = field(default_factory=dict, compare=False)
    place: str = field(default="", compare=False)  # of a mark, which its text leaves out: ``test_intents.py:12``
    key: str = field(default="", compare=False)  # as messages name it: ``baselines.prompt``

    def where(self, key: str | None = None) -> Where:
        """The place for an error, with ``key`` where that says more than the value's own."""
        return Where(self.at, key=self.key if key is None else key)

    @property
    def at(self) -> str:
        """The place alone, which a user can open."""
        return self.place or self.text

    def absolute(self, path: str | os.PathLike[str]) -> Path:
        """Return a path that was written there, which may be relative to it."""
        return Path(os.path.abspath(self.base_dir / path))

    def __str__(self) -> str:
        return self.text


BUILT_IN = Source("default", "default", Path())

At = Callable[..., Source]
"""Tells where a value was written: called with nothing, or with the path of a part of it."""


@dataclass(frozen=True)
class Layer:
    """One place that may give keys of a gate, with the source of each, or of each path where the place knows it.

    In a list of layers the nearest stands first.
    """

    values: Mapping[str, Any]
    sources: Callable[[KeyPath], Source] | Mapping[str, Source]

    def source(self, path: KeyPath) -> Source:
        """The source of the value at ``path``, whose first part is a key of the layer."""
        found = self.sources(path) if callable(self.sources) else self.sources[str(path[0])]
        return replace(found, key=dotted(path))

    @property
    def takes_objects(self) -> bool:
        """Whether callables and iterables may stand here: in Python code they may, in a file they cannot."""
        return any(self.source((key,)).kind in ("marker", "fixture") for key in self.values)
