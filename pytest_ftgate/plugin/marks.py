"""Read the ftgate markers of a test, and find the file and line where each is written."""

from __future__ import annotations

import ast
import inspect
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, Where, shown_path

MARK = "ftgate"
_GATE = "gate"


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
            *(value for key, value in self.mark.kwargs.items() if key == _GATE and value is not None),
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
        return {key: value for key, value in self.mark.kwargs.items() if key != _GATE}

    @property
    def where(self) -> Where:
        """Return the place of the marker for errors: its file, and its line if known."""
        file, line = self.place
        return Where(shown_path(file), line)

    @cached_property
    def place(self) -> tuple[Path, int | None]:
        """Return the file, and the line if the source shows it: not if a hook or a variable added the marker."""
        owner = inspect.unwrap(self.owner) if callable(self.owner) else self.owner
        try:
            file = Path(inspect.getsourcefile(owner) or "")
            calls = list(_calls_in(owner))
        except (OSError, TypeError, SyntaxError):  # no source
            return Path(self.item.config.rootpath, self.item.location[0]), None
        return file, max(calls, key=self._likeness).lineno if calls else None

    def _likeness(self, call: ast.Call) -> tuple[bool, int]:
        """Return how well a call in the source matches the marker; parameters may have several calls side by side."""
        args, keys = self.mark.args, self.mark.kwargs
        fits = (len(call.args), len(call.keywords)) == (len(args), len(keys))
        values = [*zip(call.args, args, strict=False), *((one.value, keys.get(one.arg or "")) for one in call.keywords)]
        return fits, sum(_is_literal(expression, value) for expression, value in values)


def _is_literal(expression: ast.expr, value: Any) -> bool:
    try:
        return bool(ast.literal_eval(expression) == value)
    except Exception:  # not a literal, or its comparison raised
        return False


def _calls_in(owner: Any) -> Iterator[ast.Call]:
    """Yield the calls of the marker in decorators, also of parameters, and in ``pytestmark``, with their lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python showed them when it imported the file
        lines, first = inspect.getsourcelines(owner)
        indented = lines[0][:1].isspace()
        tree = ast.parse("".join(["if True:\n"] * indented + lines))
    ast.increment_lineno(tree, max(first, 1) - 1 - indented)
    body = tree.body[0].body if indented and isinstance(tree.body[0], ast.If) else tree.body
    written: list[ast.expr] = []
    if not inspect.ismodule(owner) and isinstance(body[0], ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        written, body = list(body[0].decorator_list), body[0].body
    if inspect.isclass(owner) or inspect.ismodule(owner):
        assigned = (one for one in body if isinstance(one, ast.Assign))
        written += [one.value for one in assigned if "pytestmark" in map(ast.unparse, one.targets)]
    for expression in written:
        for node in ast.walk(expression):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == MARK:
                yield node


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
        return [(cls, _as_marks(vars(cls).get("pytestmark", []))) for cls in node.obj.__mro__]
    callspec = getattr(node, "callspec", None)
    if callspec is None:
        return [(owner, own)]
    of_parameter = [mark for mark in own if any(mark is other for other in callspec.marks)]
    of_function = [mark for mark in own if not any(mark is other for other in of_parameter)]
    return [(owner, of_parameter), (owner, of_function)]


def gate_levels(item: pytest.Item) -> Iterator[tuple[Path, str, Mapping[str, Any], str | None]]:
    """Yield the places that may have markers of a test, nearest first: file, qualified name ("" for a module), and the
    keys and the gate that its markers give. A place without source is left out."""
    for node in reversed(item.listchain()):
        for owner, level in _levels(node):
            plain = inspect.unwrap(owner) if callable(owner) else owner
            try:
                file = Path(inspect.getsourcefile(plain) or "") if plain is not None else Path()
            except (OSError, TypeError):
                continue
            if file.is_absolute():
                marks = [GateMark(item, owner, mark) for mark in level if mark.name == MARK]
                keys = {key: value for mark in marks for key, value in mark.keys.items()}
                named = next((mark.gate for mark in marks if mark.gate is not None), None)
                yield file, "" if inspect.ismodule(plain) else plain.__qualname__, keys, named


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
