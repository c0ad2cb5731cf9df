"""Read ftgate markers from the source of a test file, without running it: as they were written at the merge base."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_ftgate.checks.weakening.code import parse

MARK = "ftgate"
GATE = "gate"
_DEEPEST = 20
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = _Function | ast.ClassDef


@dataclass(frozen=True)
class WrittenMark:
    """One marker in source code.

    Attributes:
        gate: the gate that it names.
        keys: the keys whose values are literals, or names of literals in the same file.
        code: the source of the other keys; "**" stands for unpacked keys that are no literal.
        line: where it is written.
        of_parameter: it belongs to one parameter of the test.
    """

    gate: Any
    keys: Mapping[str, Any]
    code: Mapping[str, str]
    line: int
    of_parameter: bool = False

    @property
    def named(self) -> Any:
        """Return the gate in the file, or else the name that the marker gives its own gate."""
        return self.gate if self.gate is not None else self.keys.get("name")


class TestSource:
    """The source of a file with tests. Raises :class:`ValueError` if it is no Python.

    Attributes:
        marks: the markers of each function and class, by its qualified name; those of the module by "".
        functions: the qualified names of the functions.
    """

    __test__ = False

    def __init__(self, content: bytes) -> None:
        tree = parse(content)
        assigned = list(_assigned(tree.body))
        changed = (node.target for node in ast.walk(tree) if isinstance(node, ast.AugAssign))
        names = [name for name, _ in assigned] + [target.id for target in changed if isinstance(target, ast.Name)]
        self._constants = {name: value for name, value in assigned if names.count(name) == 1}
        self.marks: dict[str, list[WrittenMark]] = {}
        self.functions: list[str] = []
        waiting: list[tuple[Any, str]] = [(tree, "")]
        for node, name in waiting:
            self.marks[name] = list(self._marks_of(node))
            if isinstance(node, _Function):
                self.functions.append(name)
            else:
                inside = {one.name: one for one in _statements(node.body) if isinstance(one, _Definition)}
                waiting += [(one, f"{name}.{own}".lstrip(".")) for own, one in inside.items()]

    def _marks_of(self, node: Any) -> Iterator[WrittenMark]:
        direct = list(getattr(node, "decorator_list", []))
        if not isinstance(node, _Function):
            for name, value in _assigned(node.body):
                direct += self._parts(value) if name == "pytestmark" else ()
        for expression in direct:
            mark = self._mark(expression)
            if mark is not None:
                yield mark
                continue
            for inner in ast.walk(self._behind(expression)):
                if isinstance(inner, ast.keyword) and inner.arg == "marks":
                    yield from filter(None, (self._mark(one, of_parameter=True) for one in self._parts(inner.value)))

    def _parts(self, expression: ast.expr) -> list[ast.expr]:
        value = self._behind(expression)
        return value.elts if isinstance(value, ast.List | ast.Tuple) else [value]

    def _mark(self, expression: ast.expr, *, of_parameter: bool = False) -> WrittenMark | None:
        line, expression = expression.lineno, self._behind(expression)
        function = self._behind(expression.func) if isinstance(expression, ast.Call) else expression
        if not isinstance(function, ast.Attribute) or function.attr != MARK:
            return None
        keys, code = dict[str, Any](), dict[str, str]()
        if isinstance(expression, ast.Call):
            named = [(GATE, one) for one in expression.args] + [(one.arg, one.value) for one in expression.keywords]
            for key, value in named:
                try:
                    read = ast.literal_eval(self._resolved(value))
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    code[key or "**"] = ast.unparse(value)
                    continue
                keys |= {key: read} if key is not None else dict(read) if isinstance(read, Mapping) else {}
        return WrittenMark(keys.pop(GATE, None), keys, code, line, of_parameter)

    def _behind(self, expression: ast.expr) -> ast.expr:
        """Return what a name of this file stands for, if it is assigned once; else the expression itself."""
        for _ in range(_DEEPEST):
            if not isinstance(expression, ast.Name) or expression.id not in self._constants:
                break
            expression = self._constants[expression.id]
        return expression

    def _resolved(self, expression: ast.expr, depth: int = 0) -> ast.expr:
        """Return the expression with the names of this file replaced by what they stand for."""
        outer = self

        class Resolver(ast.NodeTransformer):
            def visit_Name(self, node: ast.Name) -> ast.expr:  # ast calls it so
                known = outer._constants.get(node.id) if depth < _DEEPEST else None
                return node if known is None else outer._resolved(known, depth + 1)

        result: ast.expr = Resolver().visit(deepcopy(expression))
        return result


@lru_cache(maxsize=32)
def source_of(content: bytes) -> TestSource:
    """Return the source of a file with tests, parsed once. Raises :class:`ValueError` if it is no Python."""
    return TestSource(content)


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, also those in ``if``, ``try`` and ``with``."""
    for node in body:
        yield node
        if not isinstance(node, _Definition):
            for name in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, name, []))
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler.body)


def _assigned(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that are assigned there, each with its value."""
    for node in _statements(body):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
