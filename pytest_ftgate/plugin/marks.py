"""Read the ftgate markers of a test, and find the file and line where each is written."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.plugin.written_marks import GATE, WrittenMark, source_of
from pytest_ftgate.plugin.written_marks import MARK as MARK


@dataclass(frozen=True)
class Level:
    """One place that may have a marker of a test: its parameter, its function, a class, or its module.

    Attributes:
        file: where it is defined; that of the test if the source is not known.
        qualname: its name in the file, "" for a module; None if the source is not known.
        mark: its ftgate marker.
        parameter: whether the marker is that of a parameter; None for a test without parameters.
    """

    file: Path
    qualname: str | None
    mark: pytest.Mark | None = None
    parameter: bool | None = None

    @property
    def gate(self) -> str | None:
        """Return the gate in the gate file that the marker names, by position or as ``gate=``."""
        args, kwargs = (self.mark.args, self.mark.kwargs) if self.mark else ((), {})
        named = [*args, *(value for key, value in kwargs.items() if key == GATE and value is not None)]
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
        """Return the keys of the gate that the marker sets."""
        return {key: value for key, value in self.mark.kwargs.items() if key != GATE} if self.mark else {}

    def written(self) -> list[WrittenMark]:
        """Return the markers that the source shows there; none that a hook or a variable added."""
        try:
            return [] if self.qualname is None else source_of(self.file.read_bytes()).marks.get(self.qualname, [])
        except (OSError, ValueError):
            return []

    @cached_property
    def where(self) -> Where:
        """Return the place of the marker: its file, and its line if the source shows it."""
        likely = max(self.written(), key=self._likeness, default=None)
        return Where(shown_path(self.file), likely.line if likely else None)

    def _likeness(self, written: WrittenMark) -> int:
        """Return how well a marker in the source matches; parameters may have several side by side."""
        assert self.mark is not None
        given = {GATE: written.gate, **written.keys}
        own = {GATE: self.mark.args[0] if self.mark.args else None, **self.mark.kwargs}
        others = {*given, *written.code} ^ own.keys()
        return sum(_equal(value, own[key]) for key, value in given.items() if key in own) - len(others)


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # a comparison of other code
        return False


def levels_of(item: pytest.Item) -> Iterator[Level]:
    """Yield the levels of a test, nearest first: parameter, function, derived class, base class, module, package.

    Raises:
        ConfigError: one of these has two ftgate markers.
    """
    for node in reversed(item.listchain()):
        for owner, marks, parameter in _owners(node):
            file, name = _source(owner) or (Path(item.config.rootpath, item.location[0]), None)
            marked = [Level(file, name, mark, parameter) for mark in marks if mark.name == MARK]
            if len(marked) > 1:
                raise ConfigError(
                    f"two ftgate markers on one {'function' if node is item else type(node).__name__.lower()}: "
                    f"{node.name}",
                    where=max((level.where for level in marked), key=lambda where: where.line or 0),
                    cure="Keep one. A marker on the class or the module can give shared keys.",
                )
            yield from marked or [Level(file, name, None, parameter)]


def marked_levels(item: pytest.Item) -> Iterator[Level]:
    """Yield the levels that have an ftgate marker. Raises :class:`ConfigError` if one has two."""
    return (level for level in levels_of(item) if level.mark is not None)


def _owners(node: pytest.Item | pytest.Collector | Any) -> Iterator[tuple[Any, list[pytest.Mark], bool | None]]:
    """Yield the levels of one node: its owner, the markers written on it together, and whether on a parameter."""
    own, owner = list(node.own_markers), getattr(node, "obj", None)
    callspec = getattr(node, "callspec", None)
    if isinstance(node, pytest.Class):
        written = [(cls, _as_marks(vars(cls).get("pytestmark", []))) for cls in node.obj.__mro__]
        added = [mark for mark in own if not any(mark is other for _, marks in written for other in marks)]
        yield owner, added, None  # a hook or a fixture added these to the class
        yield from ((cls, marks, None) for cls, marks in written)
    elif callspec is None:
        yield owner, own, None
    else:
        on_parameter = set(map(id, callspec.marks))
        yield owner, [mark for mark in own if id(mark) in on_parameter], True
        yield owner, [mark for mark in own if id(mark) not in on_parameter], False


def _source(owner: Any) -> tuple[Path, str] | None:
    """Return the file of a function, class or module, and its qualified name there, "" for a module; None without."""
    plain = inspect.unwrap(owner) if callable(owner) else owner
    try:
        file = Path(inspect.getsourcefile(plain) or "")
        return (file, "" if inspect.ismodule(plain) else plain.__qualname__) if file.is_absolute() else None
    except (OSError, TypeError, AttributeError):
        return None


def _as_marks(written: Any) -> list[pytest.Mark]:
    listed = written if isinstance(written, list | tuple) else [written]
    marks = [mark.mark if isinstance(mark, pytest.MarkDecorator) else mark for mark in listed]
    return [mark for mark in marks if isinstance(mark, pytest.Mark)]


def naming(levels: Iterable[Level]) -> Level | None:
    """Return the nearest level whose marker names a gate of the gate file. Raises :class:`ConfigError` for all."""
    named = [level for level in levels if level.gate is not None]
    return named[0] if named else None


def claimed_name(item: pytest.Item) -> str:
    """Return the name of a marked test's gate for ``ftgate_required``, without reading any file."""
    try:
        named = next((level.keys["name"] for level in marked_levels(item) if "name" in level.keys), None)
        nearest = naming(marked_levels(item))
        return str((nearest and nearest.gate) or named or test_id(item))
    except ConfigError:
        return test_id(item)


def location(item: pytest.Item) -> str:
    """Return the line of the nearest marker, ``tests/test_intents.py:12``, relative to pytest's rootdir.

    If the line of the marker is unknown, return that of the test.
    """
    path, first, _ = item.location
    try:
        nearest = next(marked_levels(item), None)
    except ConfigError:
        nearest = None
    if nearest is None or nearest.where.line is None:
        return f"{Path(path).as_posix()}:{(first or 0) + 1}"
    return f"{Path(os.path.relpath(nearest.file, item.config.rootpath)).as_posix()}:{nearest.where.line}"


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
