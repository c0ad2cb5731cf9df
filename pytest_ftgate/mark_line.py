"""Where in a source file a mark stands, which Python's own marks do not know."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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
        body: Sequence[ast.stmt] = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    owner = None
    for name in names:
        owner = _defined(body, name)
        if owner is None:
            return None
        body = owner.body
    found = list(_marks(owner, body))
    fitting = [call for call in found if _fits(call, args, keys)]
    return next((call.lineno for call in (*fitting, *found)), None)


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


def _fits(call: ast.Call, args: Sequence[Any], keys: Mapping[str, Any]) -> bool:
    """Whether a call may have made the mark: what stands there literally is what the mark has."""
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    if len(call.args) != len(args) or not given.keys() <= keys.keys():
        return False
    pairs = [*zip(call.args, args, strict=True), *((value, keys[name]) for name, value in given.items())]
    return all(_may_be(expression, value) for expression, value in pairs)


def _may_be(expression: ast.expr, value: Any) -> bool:
    try:
        return bool(ast.literal_eval(expression) == value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return True
