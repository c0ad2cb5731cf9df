"""The ``ftgate`` marks of a test: which there are, which is nearest, which gate they name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, Where, shown_path


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
    for mark in marks_nearest_first(item):
        if len(mark.args) > 1 or not all(isinstance(arg, str) for arg in mark.args):
            raise ConfigError(
                "the ftgate mark takes one positional argument, the name of a gate in the gate file",
                where=Where(shown_path(item.path)),
                evidence=f"Got {', '.join(repr(arg)[:60] for arg in mark.args)}.",
                cure="Give everything else by keyword.",
            )
        if mark.args:
            return str(mark.args[0])
    return None


def marks_nearest_first(item: pytest.Item) -> Iterator[pytest.Mark]:
    """Parameter, function, derived class, base class, module, package. Two marks on one of them are an error."""
    for node in reversed(item.listchain()):
        for level in _levels(node):
            marks = [mark for mark in level if mark.name == "ftgate"]
            if len(marks) > 1:
                raise ConfigError(
                    f"two ftgate marks on one {'function' if node is item else type(node).__name__.lower()}: "
                    f"{node.name}",
                    where=Where(shown_path(item.path)),
                    cure="Keep one; a mark on the class or the module may give what they share.",
                )
            yield from marks


def _levels(node: pytest.Item | pytest.Collector | Any) -> list[list[pytest.Mark]]:
    """The marks of one node, those that were written together in one list."""
    own = list(node.own_markers)
    if isinstance(node, pytest.Class):
        return [_as_marks(vars(cls).get("pytestmark", [])) for cls in node.obj.__mro__]
    callspec = getattr(node, "callspec", None)
    if callspec is None:
        return [own]
    of_parameter = [mark for mark in own if any(mark is other for other in callspec.marks)]
    return [of_parameter, [mark for mark in own if not any(mark is other for other in of_parameter)]]


def _as_marks(written: Any) -> list[pytest.Mark]:
    listed = written if isinstance(written, list | tuple) else [written]
    marks = [mark.mark if isinstance(mark, pytest.MarkDecorator) else mark for mark in listed]
    return [mark for mark in marks if isinstance(mark, pytest.Mark)]
