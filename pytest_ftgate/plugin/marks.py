"""Read the ftgate markers of a test, and find the file and line where each is written."""

import inspect
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, Where, shown_path

MARK = "ftgate"
GATE = "gate"
_HEAD_ENDS = re.compile(r"\s*(async\s+def|def|class)\b")


@dataclass(frozen=True)
class Level:
    """A marker of a test: on its parameter, its function, a class, or its module.

    Attributes:
        file: where it is written; that of the test if the source is not known.
        owner: the function, class or module; None for an item of another kind.
    """

    file: Path
    mark: pytest.Mark
    owner: Any = None

    @property
    def gate(self) -> str | None:
        """Return the gate in the gate file that the marker names, by position or as ``gate=``."""
        args, kwargs = self.mark.args, self.mark.kwargs
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
        return {key: value for key, value in self.mark.kwargs.items() if key != GATE}

    @cached_property
    def where(self) -> Where:
        """Return the place of the marker: its file, and its line if the source shows it."""
        values = [repr(value) for value in (*self.mark.args, *self.mark.kwargs.values())]
        likely = max(_lines_with_marks(self.owner), key=lambda line: sum(map(line[1].count, values)), default=None)
        return Where(shown_path(self.file), likely[0] if likely else None)


def _lines_with_marks(owner: Any) -> Iterator[tuple[int, str]]:
    """Yield the lines with ftgate markers in the decorators of a function or class, or in its ``pytestmark``."""
    try:
        lines, first = inspect.getsourcelines(inspect.unwrap(owner) if callable(owner) else owner)
    except (OSError, TypeError, SyntaxError):
        return
    inside = not inspect.ismodule(owner)
    for number, line in enumerate(lines, first or 1):
        if inside and _HEAD_ENDS.match(line):
            if not inspect.isclass(owner):
                return
            inside = False
        inside = inside or line.lstrip().startswith("pytestmark")
        if inside and f".{MARK}" in line:
            yield number, line


def marked_levels(item: pytest.Item) -> Iterator[Level]:
    """Yield the markers of a test, nearest first: parameter, function, derived class, base class, module, package.

    Raises:
        ConfigError: one of these has two ftgate markers.
    """
    for node in reversed(item.listchain()):
        for owner, marks in _owners(node):
            file = _file(owner) or Path(item.config.rootpath, item.location[0])
            marked = [Level(file, mark, owner) for mark in marks if mark.name == MARK]
            if len(marked) > 1:
                raise ConfigError(
                    f"two ftgate markers on one {'function' if node is item else type(node).__name__.lower()}: "
                    f"{node.name}",
                    where=max((level.where for level in marked), key=lambda where: where.line or 0),
                    cure="Keep one. A marker on the class or the module can give shared keys.",
                )
            yield from marked


def _owners(node: pytest.Item | pytest.Collector | Any) -> Iterator[tuple[Any, list[pytest.Mark]]]:
    """Yield the owners of one node, each with the markers that are written on it together."""
    own, owner = list(node.own_markers), getattr(node, "obj", None)
    callspec = getattr(node, "callspec", None)
    if isinstance(node, pytest.Class):
        written = [(cls, _as_marks(vars(cls).get("pytestmark", []))) for cls in node.obj.__mro__]
        yield owner, [mark for mark in own if not any(mark is other for _, marks in written for other in marks)]
        yield from written  # and before them those that a hook or a fixture added to the class
    else:
        on_parameter = set(map(id, callspec.marks)) if callspec is not None else set()
        yield owner, [mark for mark in own if id(mark) in on_parameter]
        yield owner, [mark for mark in own if id(mark) not in on_parameter]


def _file(owner: Any) -> Path | None:
    """Return the file of a function, class or module; None without."""
    try:
        file = Path(inspect.getsourcefile(inspect.unwrap(owner) if callable(owner) else owner) or "")
        return file if file.is_absolute() else None
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
    return f"{item.parent.nodeid}::{item.name}" if item.parent is not None else item.nodeid


test_id.__test__ = False  # type: ignore[attr-defined]  # pytest collects functions by their name


def misspelt(items: Iterable[pytest.Item], registered: Iterable[str]) -> tuple[str, str] | None:
    """Return a marker that is named nearly as ours and is not registered, and a test that has it; None without one."""
    known = {MARK, *(re.split(r"[(:]", line, maxsplit=1)[0].strip() for line in registered)}
    named = {mark.name: item.nodeid for item in items for mark in item.iter_markers()}
    close = get_close_matches(MARK, [name.lower() for name in named if name not in known], n=1, cutoff=0.81)
    return next(((name, test) for name, test in named.items() if close and name.lower() == close[0]), None)
