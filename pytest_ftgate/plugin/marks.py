"""Read the ftgate markers of a test, and find the file and line where each is written."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.plugin.written_marks import GATE, Level, WrittenMark, source_of
from pytest_ftgate.plugin.written_marks import MARK as MARK


@dataclass(frozen=True)
class GateMark:
    """One ftgate marker of a test."""

    item: pytest.Item
    owner: Any  # the function, class or module with the marker
    mark: pytest.Mark

    @property
    def gate(self) -> str | None:
        """Return the gate in the gate file that the mark names, by position or as ``gate=``."""
        named = [
            *self.mark.args,
            *(value for key, value in self.mark.kwargs.items() if key == GATE and value is not None),
        ]
        if len(named) > 1 or not all(isinstance(name, str) for name in named):
            raise ConfigError(
                'the ftgate marker takes one gate name, as ftgate("NAME") or ftgate(gate="NAME")',
                where=self.where,
                evidence=f"Got {', '.join(repr(name)[:60] for name in named)}.",
                cure="Name one gate, and pass everything else by keyword.",
            )
        return named[0] if named else None

    @property
    def keys(self) -> Mapping[str, Any]:
        """Return the keys of the gate that the mark sets."""
        return {key: value for key, value in self.mark.kwargs.items() if key != GATE}

    @property
    def where(self) -> Where:
        """Return the place of the marker for errors: its file, and its line if known."""
        file, line = self.place
        return Where(shown_path(file), line)

    @cached_property
    def place(self) -> tuple[Path, int | None]:
        """Return the file, and the line if the source shows it: not if a hook or a variable added the marker."""
        file, name = _source(self.owner) or (None, "")
        try:
            written = source_of(file.read_bytes()).marks(name) or [] if file is not None else []
        except (OSError, ValueError):
            file = None
        if file is None:
            return Path(self.item.config.rootpath, self.item.location[0]), None
        return file, max(written, key=self._likeness).line if written else None

    def _likeness(self, written: WrittenMark) -> int:
        """Return how well a marker in the source matches; parameters may have several side by side."""
        given = {"gate": written.gate, **written.keys}
        own = {"gate": self.mark.args[0] if self.mark.args else None, **self.mark.kwargs}
        others = {*given, *written.code} ^ own.keys()
        return sum(_equal(value, own[key]) for key, value in given.items() if key in own) - len(others)


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # a comparison of other code
        return False


def gate_marks(item: pytest.Item) -> Iterator[GateMark]:
    """Yield the markers, nearest first: parameter, function, derived class, base class, module, package.

    Raises:
        ConfigError: one of these has two ftgate markers.
    """
    for node in reversed(item.listchain()):
        for owner, level in _levels(node):
            marks = [GateMark(item, owner, mark) for mark in level if mark.name == MARK]
            if len(marks) > 1:
                raise ConfigError(
                    f"two ftgate markers on one {'function' if node is item else type(node).__name__.lower()}: "
                    f"{node.name}",
                    where=max((mark.where for mark in marks), key=lambda place: place.line or 0),
                    cure="Keep one. A marker on the class or the module can give shared keys.",
                )
            yield from marks


def _levels(node: pytest.Item | pytest.Collector | Any) -> list[tuple[Any, list[pytest.Mark]]]:
    """Return the levels of one node: each with its owner and the markers that were written on it together."""
    own, owner = list(node.own_markers), getattr(node, "obj", None)
    if isinstance(node, pytest.Class):
        written = [(cls, _as_marks(vars(cls).get("pytestmark", []))) for cls in node.obj.__mro__]
        added = [mark for mark in own if not any(mark is other for _, marks in written for other in marks)]
        return [(owner, added), *written]  # a hook or a fixture added these to the class
    callspec = getattr(node, "callspec", None)
    if callspec is None:
        return [(owner, own)]
    of_parameter = [mark for mark in own if any(mark is other for other in callspec.marks)]
    of_function = [mark for mark in own if not any(mark is other for other in of_parameter)]
    return [(owner, of_parameter), (owner, of_function)]


def _source(owner: Any) -> tuple[Path, str] | None:
    """Return the file of a function, class or module, and its qualified name there, "" for a module; None without."""
    plain = inspect.unwrap(owner) if callable(owner) else owner
    try:
        file = Path(inspect.getsourcefile(plain) or "")
        return (file, "" if inspect.ismodule(plain) else plain.__qualname__) if file.is_absolute() else None
    except (OSError, TypeError, AttributeError):
        return None


def gate_levels(item: pytest.Item) -> Iterator[Level]:
    """Yield the places that may have markers of a test, nearest first; those without source are left out."""
    for node in reversed(item.listchain()):
        levels = _levels(node)
        for place, (owner, level) in enumerate(levels):
            if (source := _source(owner)) is not None:
                marks = [GateMark(item, owner, mark) for mark in level if mark.name == MARK]
                keys = {key: value for mark in marks for key, value in mark.keys.items()}
                named = next((mark.gate for mark in marks if mark.gate is not None), None)
                yield Level(*source, keys, named, place == 0 if node is item and len(levels) > 1 else None)


def _as_marks(written: Any) -> list[pytest.Mark]:
    listed = written if isinstance(written, list | tuple) else [written]
    marks = [mark.mark if isinstance(mark, pytest.MarkDecorator) else mark for mark in listed]
    return [mark for mark in marks if isinstance(mark, pytest.Mark)]


def gate_name(item: pytest.Item) -> str | None:
    """Return the name of the gate that the nearest marker gives."""
    return next((gate for mark in gate_marks(item) if (gate := mark.gate) is not None), None)


def claimed_name(item: pytest.Item) -> str:
    """Return the name of a marked test's gate for ``ftgate_required``, without reading any file."""
    try:
        named = next((mark.keys["name"] for mark in gate_marks(item) if "name" in mark.keys), None)
        return str(gate_name(item) or named or test_id(item))
    except ConfigError:
        return test_id(item)


def location(item: pytest.Item) -> str:
    """Return the line of the nearest marker, ``tests/test_intents.py:12``, relative to pytest's rootdir.

    If the line of the marker is unknown, return that of the test.
    """
    path, first, _ = item.location
    try:
        file, line = next(gate_marks(item)).place
    except (ConfigError, StopIteration):
        line = None
    if line is None:
        return f"{Path(path).as_posix()}:{(first or 0) + 1}"
    return f"{Path(os.path.relpath(file, item.config.rootpath)).as_posix()}:{line}"


def test_id(item: pytest.Item) -> str:
    """Return the test's node id, the default name of its gate.

    It is not ``item.nodeid``, because xdist appends the group to that under ``--dist=loadgroup``.
    """
    return _called(item, item.name)


def function_id(item: pytest.Item) -> str:
    """Return the node id without the test's parameters."""
    return _called(item, getattr(item, "originalname", None) or item.name)


def _called(item: pytest.Item, name: str) -> str:
    return f"{item.parent.nodeid}::{name}" if item.parent is not None else item.nodeid


test_id.__test__ = False  # type: ignore[attr-defined]  # pytest collects functions by their name
