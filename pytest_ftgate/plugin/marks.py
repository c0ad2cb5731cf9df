"""Where in a source file a mark stands, which Python's own marks do not know."""

from __future__ import annotations

import ast
import inspect
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, Where, shown_path

MARK = "ftgate"

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def line_of_mark(path: Path, names: Sequence[str], args: Sequence[Any], keys: Mapping[str, Any]) -> int | None:
    """The line where a mark is written; ``None`` where the source does not tell, as with one made elsewhere.

    Args:
        path: the source file.
        names: of the classes and the function that carry the mark, from the outside; none for the module's own.
        args: of the mark, which tell it apart from others on the same function.
        keys: likewise.
    """
    try:
        body: Sequence[ast.stmt] = _parsed(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    owner = None
    for name in names:
        owner = _defined(body, name)
        if owner is None:
            return None
        body = owner.body
    found = list(_marks(owner, body))
    return max(found, key=lambda call: _likeness(call, args, keys)).lineno if found else None


@lru_cache(maxsize=4)
def _parsed(source: bytes) -> ast.Module:
    """Once for all the marks of a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python has said them when it imported the file
        return ast.parse(source)


def _defined(body: Sequence[ast.stmt], name: str) -> _Definition | None:
    """The last definition of a name, also below ``if`` and ``try``."""
    found = [one for one in _statements(body) if isinstance(one, _Definition) and one.name == name]
    return found[-1] if found else None


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if not isinstance(statement, _Definition):
            yield from _statements([one for one in ast.iter_child_nodes(statement) if isinstance(one, ast.stmt)])


def _marks(owner: _Definition | None, body: Sequence[ast.stmt]) -> Iterator[ast.Call]:
    """The calls of the mark in decorators, parameters included, and in ``pytestmark``."""
    written: list[ast.expr] = [] if owner is None else list(owner.decorator_list)
    if not isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef):
        written += [one.value for one in _statements(body) if isinstance(one, ast.Assign) and _is_pytestmark(one)]
    for expression in written:
        for node in ast.walk(expression):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == MARK:
                yield node


def _is_pytestmark(statement: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in statement.targets)


def _likeness(call: ast.Call, args: Sequence[Any], keys: Mapping[str, Any]) -> int:
    """How much of a mark stands literally in a call; -1 where the call has made another one."""
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    if len(call.args) != len(args) or not given.keys() <= keys.keys():
        return -1
    pairs = [*zip(call.args, args, strict=True), *((value, keys[name]) for name, value in given.items())]
    same = [_same(expression, value) for expression, value in pairs]
    return -1 if False in same else same.count(True)


def _same(expression: ast.expr, value: Any) -> bool | None:
    """``None`` where the source does not tell."""
    try:
        return bool(ast.literal_eval(expression) == value)
    except Exception:  # not a literal, or compared by code that is not ours
        return None


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
