"""The ``ftgate`` marks of a test: which there are, which is nearest, which gate they name."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.face.mark_line import line_of_mark


def claimed_name(item: pytest.Item) -> str:
    """What obligations call the gate of a marked test, without reading any file."""
    try:
        named = next((mark.kwargs["name"] for mark in marks_nearest_first(item) if "name" in mark.kwargs), None)
        return str(gate_name(item) or named or test_id(item))
    except ConfigError:
        return test_id(item)


def test_id(item: pytest.Item) -> str:
    """The test's node id, by which its gate goes where nothing names it.

    Under ``--dist=loadgroup`` xdist appends the group to ``item.nodeid``; a name must not depend on how tests are run.
    """
    return _called(item, item.name)


def function_id(item: pytest.Item) -> str:
    """The same without the test's parameters."""
    return _called(item, getattr(item, "originalname", None) or item.name)


def _called(item: pytest.Item, name: str) -> str:
    return f"{item.parent.nodeid}::{name}" if item.parent is not None else item.nodeid


test_id.__test__ = False  # type: ignore[attr-defined]  # pytest collects functions by their name


def gate_name(item: pytest.Item) -> str | None:
    """The gate that the nearest mark names."""
    for owner, mark in _owned_marks(item):
        if len(mark.args) > 1 or not all(isinstance(arg, str) for arg in mark.args):
            raise ConfigError(
                "the ftgate mark takes one positional argument, the name of a gate in the gate file",
                where=_where(item, owner, mark),
                evidence=f"Got {', '.join(repr(arg)[:60] for arg in mark.args)}.",
                cure="Give everything else by keyword.",
            )
        if mark.args:
            return str(mark.args[0])
    return None


def marks_nearest_first(item: pytest.Item) -> Iterator[pytest.Mark]:
    """Parameter, function, derived class, base class, module, package. Two marks on one of them are an error."""
    yield from (mark for _, mark in _owned_marks(item))


def location(item: pytest.Item) -> str:
    """The line of the nearest mark, as ``tests/test_intents.py:12``, relative to pytest's rootdir.

    It is that of the test itself where the mark's cannot be told: one that a hook added, or that has another name.
    """
    path, first, _ = item.location
    owner, mark = _nearest(item)
    if mark is not None:
        file, line = _place(item, owner, mark)
        if line is not None:
            return f"{_below(item.config.rootpath, file)}:{line}"
    return f"{Path(path).as_posix()}:{(first or 0) + 1}"


def placed_marks(item: pytest.Item) -> Iterator[tuple[pytest.Mark, Where]]:
    """Each mark, the nearest first, with the place of it for errors: that of its file where the line is not known."""
    yield from ((mark, _where(item, owner, mark)) for owner, mark in _owned_marks(item))


def _where(item: pytest.Item, owner: Any, mark: pytest.Mark) -> Where:
    file, line = _place(item, owner, mark)
    return Where(shown_path(file), line)


def _place(item: pytest.Item, owner: Any, mark: pytest.Mark) -> tuple[Path, int | None]:
    source = inspect.getmodule(owner) if inspect.isclass(owner) or inspect.ismodule(owner) else None
    file = Path(getattr(source, "__file__", None) or Path(item.config.rootpath, item.location[0]))
    return file, line_of_mark(file, _names(owner), mark.args, mark.kwargs)


def _nearest(item: pytest.Item) -> tuple[Any, pytest.Mark | None]:
    try:
        return next(_owned_marks(item), (None, None))
    except ConfigError:
        return None, None


def _names(owner: Any) -> list[str]:
    """Of a function or class, and of the classes around it; none of a module."""
    written = getattr(inspect.unwrap(owner) if callable(owner) else owner, "__qualname__", "")
    return [name for name in written.split(".") if name and name != "<locals>"]


def _below(root: Path, file: Path) -> str:
    """As pytest writes it: relative to the root folder where that is possible."""
    try:
        return Path(os.path.relpath(file, root)).as_posix()
    except ValueError:  # on another drive
        return file.as_posix()


def _owned_marks(item: pytest.Item) -> Iterator[tuple[Any, pytest.Mark]]:
    """Each mark with the function, class, or module that carries it."""
    for node in reversed(item.listchain()):
        for owner, level in _levels(node):
            marks = [mark for mark in level if mark.name == "ftgate"]
            if len(marks) > 1:
                raise ConfigError(
                    f"two ftgate marks on one {'function' if node is item else type(node).__name__.lower()}: "
                    f"{node.name}",
                    where=max((_where(item, owner, mark) for mark in marks), key=lambda place: place.line or 0),
                    cure="Keep one; a mark on the class or the module may give what they share.",
                )
            yield from ((owner, mark) for mark in marks)


def _levels(node: pytest.Item | pytest.Collector | Any) -> list[tuple[Any, list[pytest.Mark]]]:
    """The marks of one node, those that were written together in one list, with what carries them."""
    own, owner = list(node.own_markers), getattr(node, "obj", None)
    if isinstance(node, pytest.Class):
        return [(cls, _as_marks(vars(cls).get("pytestmark", []))) for cls in node.obj.__mro__]
    callspec = getattr(node, "callspec", None)
    if callspec is None:
        return [(owner, own)]
    of_parameter = [mark for mark in own if any(mark is other for other in callspec.marks)]
    of_function = [mark for mark in own if not any(mark is other for other in of_parameter)]
    return [(owner, of_parameter), (owner, of_function)]


def _as_marks(written: Any) -> list[pytest.Mark]:
    listed = written if isinstance(written, list | tuple) else [written]
    marks = [mark.mark if isinstance(mark, pytest.MarkDecorator) else mark for mark in listed]
    return [mark for mark in marks if isinstance(mark, pytest.Mark)]
