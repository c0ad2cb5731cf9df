"""Where in a source file a mark stands, which Python's own marks do not know."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
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
