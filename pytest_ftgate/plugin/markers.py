"""The ftgate markers of a test: what each says, and the line that it is written in."""

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.ini_file import line_of

MARK = "ftgate"


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
        names = list(self.mark.args)
        if self.mark.kwargs.get("gate") is not None:
            names.append(self.mark.kwargs["gate"])
        if len(names) > 1 or not all(isinstance(name, str) for name in names):
            message = (
                'the ftgate marker takes one gate name, as ftgate("NAME") or ftgate(gate="NAME")'
            )
            got = f"Got {', '.join(repr(name)[:60] for name in names)}."
            fix = "Name one gate, and pass everything else by keyword."
            raise ConfigError(message, where=self.where, evidence=got, cure=fix)
        return names[0] if names else None

    @property
    def keys(self) -> Mapping[str, Any]:
        """Return the keys of the gate that the marker sets."""
        return {key: value for key, value in self.mark.kwargs.items() if key != "gate"}

    @cached_property
    def where(self) -> Where:
        """Return the place of the marker: the first line of its owner, which has the decorators."""
        if inspect.ismodule(self.owner):
            return line_of(self.file, "pytestmark")
        path = shown_path(self.file)
        try:
            _, line = inspect.getsourcelines(_unwrapped(self.owner))
        except (OSError, TypeError):
            return Where(path)
        return Where(path, line)


def marked_levels(item: pytest.Item) -> Iterator[Level]:
    """Yield the markers of a test, nearest first.

    That is: parameter, function, derived class, base class, module, package.

    Raises:
        ConfigError: one of these has two ftgate markers.
    """
    for node in reversed(item.listchain()):
        for owner, marks in _owners(node):
            file = _file(owner) or Path(item.config.rootpath, item.location[0])
            levels = [Level(file, mark, owner) for mark in marks if mark.name == MARK]
            if len(levels) > 1:
                kind = "function" if node is item else type(node).__name__.lower()
                message = f"two ftgate markers on one {kind}: {node.name}"
                fix = "Keep one. A marker on the class or the module can give shared keys."
                raise ConfigError(message, where=levels[0].where, cure=fix)
            yield from levels


def _owners(node: pytest.Item | pytest.Collector | Any) -> Iterator[tuple[Any, list[pytest.Mark]]]:
    """Yield the owners of one node, each with the markers that are written on it together."""
    owner = getattr(node, "obj", None)
    if not isinstance(node, pytest.Class):
        parameter_ids = set(map(id, getattr(getattr(node, "callspec", None), "marks", ())))
        of_parameter = []
        of_function = []
        for mark in node.own_markers:
            if id(mark) in parameter_ids:
                of_parameter.append(mark)
            else:
                of_function.append(mark)
        yield owner, of_parameter
        yield owner, of_function
        return

    written = [(cls, _as_marks(vars(cls).get("pytestmark", []))) for cls in node.obj.__mro__]
    in_source = set(map(id, chain.from_iterable(marks for _, marks in written)))
    # A hook or a fixture has added the others to the class.
    yield owner, [mark for mark in node.own_markers if id(mark) not in in_source]
    yield from written


def _unwrapped(owner: Any) -> Any:
    """Return a function without its decorators, and anything else as it is."""
    return inspect.unwrap(owner) if callable(owner) else owner


def _file(owner: Any) -> Path | None:
    """Return the file of a function, class or module; None without."""
    try:
        source = inspect.getsourcefile(_unwrapped(owner))
    except (OSError, TypeError, AttributeError):
        return None
    if source and os.path.isabs(source):
        return Path(source)
    return None


def _as_marks(written: Any) -> list[pytest.Mark]:
    """Return the marks of a ``pytestmark``, which may be one or several, decorators or marks."""
    marks = []
    for mark in written if isinstance(written, list | tuple) else [written]:
        if isinstance(mark, pytest.MarkDecorator):
            marks.append(mark.mark)
        elif isinstance(mark, pytest.Mark):
            marks.append(mark)
    return marks


def naming(levels: Iterable[Level]) -> Level | None:
    """Return the nearest level whose marker names a gate of the gate file.

    Raises :class:`ConfigError` for all.
    """
    named = [level for level in levels if level.gate is not None]
    return next(iter(named), None)


def claimed_name(item: pytest.Item) -> str:
    """Return the name of a marked test's gate for ``ftgate_required``, without reading any file."""
    with suppress(ConfigError):
        levels = list(marked_levels(item))
        nearest = naming(levels)
        if nearest is not None:
            return str(nearest.gate)
        name = next((level.keys["name"] for level in levels if "name" in level.keys), None)
        return str(name or id_of(item))
    return id_of(item)


def location(item: pytest.Item) -> str:
    """Return the first line of a test, such as ``tests/test_intents.py:12``.

    It is relative to pytest's rootdir.
    """
    path, line, _ = item.location
    return f"{Path(path).as_posix()}:{(line or 0) + 1}"


def id_of(item: pytest.Item) -> str:
    """Return the test's node id, the default name of its gate.

    It is not ``item.nodeid``, because xdist appends the group to that under ``--dist=loadgroup``.
    """
    if item.parent is None:
        return item.nodeid
    return f"{item.parent.nodeid}::{item.name}"
