"""Read ftgate markers from the source of a test file, without running it: as they were written at the merge base."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_ftgate.checks.weakening.code import parse
from pytest_ftgate.errors import HistoryError

MARK = "ftgate"
GATE = "gate"
_DEEPEST = 20
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


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
    """The source of a file with tests. Raises :class:`ValueError` if it is no Python."""

    __test__ = False

    def __init__(self, content: bytes) -> None:
        self._tree = parse(content)
        written = [
            (target.id, node.value)
            for node in _statements(self._tree.body)
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        ]
        changed = (node.target for node in ast.walk(self._tree) if isinstance(node, ast.AugAssign))
        names = [name for name, _ in written] + [target.id for target in changed if isinstance(target, ast.Name)]
        self._constants = {name: value for name, value in written if names.count(name) == 1}

    def marks(self, qualname: str) -> list[WrittenMark] | None:
        """Return the markers of a function, class or, for "", the module itself; None if it does not exist."""
        found: Any = self._tree
        for part in qualname.split(".") if qualname else ():
            inside = [one for one in _statements(found.body) if isinstance(one, _Definition) and one.name == part]
            if not inside:
                return None
            found = inside[-1]
        return list(self._marks_of(found))

    def functions(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the names of all functions, each with the qualified names of what has its markers, nearest first."""
        waiting: list[tuple[Any, list[str]]] = [(self._tree, [""])]
        for node, outer in waiting:
            for one in _statements(node.body):
                if isinstance(one, _Definition):
                    name = f"{outer[0]}.{one.name}".lstrip(".")
                    if isinstance(one, ast.ClassDef):
                        waiting.append((one, [name, *outer]))
                    else:
                        yield one.name, [name, *outer]

    def _marks_of(self, node: Any) -> Iterator[WrittenMark]:
        direct = list(getattr(node, "decorator_list", []))
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assigned = (one for one in _statements(node.body) if isinstance(one, ast.Assign | ast.AnnAssign))
            for one in assigned:
                targets = one.targets if isinstance(one, ast.Assign) else [one.target]
                if "pytestmark" in map(ast.unparse, targets) and one.value is not None:
                    value = self._behind(one.value)
                    direct += value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
        for expression in direct:
            mark = self._mark(expression)
            if mark is not None:
                yield mark
                continue
            for inner in ast.walk(self._behind(expression)):
                if isinstance(inner, ast.keyword) and inner.arg == "marks":
                    value = self._behind(inner.value)
                    parts = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
                    yield from (mark for part in parts if (mark := self._mark(part, of_parameter=True)))

    def _mark(self, expression: ast.expr, *, of_parameter: bool = False) -> WrittenMark | None:
        line, expression = expression.lineno, self._behind(expression)
        function = self._behind(expression.func) if isinstance(expression, ast.Call) else expression
        if not isinstance(function, ast.Attribute) or function.attr != MARK:
            return None
        gate, keys, code = None, dict[str, Any](), dict[str, str]()
        if isinstance(expression, ast.Call):
            named = [(GATE, one) for one in expression.args] + [(one.arg, one.value) for one in expression.keywords]
            for key, value in named:
                try:
                    read = ast.literal_eval(self._resolved(value))
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    code[key or "**"] = ast.unparse(value)
                    continue
                keys |= {key: read} if key is not None else dict(read) if isinstance(read, Mapping) else {}
            gate = keys.pop(GATE, None)
        return WrittenMark(gate, keys, code, line, of_parameter)

    def _behind(self, expression: ast.expr) -> ast.expr:
        """Return what a name of this file stands for, if it is assigned once; else the expression itself."""
        for _ in range(_DEEPEST):
            if not isinstance(expression, ast.Name) or expression.id not in self._constants:
                break
            expression = self._constants[expression.id]
        return expression

    def _resolved(self, expression: ast.expr, depth: int = 0) -> ast.expr:
        """Return the expression with the names of this file replaced by what they stand for."""
        if depth > _DEEPEST:
            return expression
        outer, behind = self, self._behind(expression)

        class Resolver(ast.NodeTransformer):
            def visit_Name(self, node: ast.Name) -> ast.expr:  # ast calls it so
                return outer._resolved(node, depth + 1) if node.id in outer._constants else node

        copied = ast.parse(ast.unparse(behind), mode="eval").body
        result: ast.expr = Resolver().visit(copied)
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


@dataclass(frozen=True)
class Level:
    """One place that may have markers of a test: its function, a class, or its module.

    Attributes:
        file: where it is defined.
        qualname: its name in the file; empty for a module.
        keys: the keys that its markers give today.
        gate: the gate that they name today.
        parameter: whether the markers are those of a parameter; None for a test without parameters.
    """

    file: Path
    qualname: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    gate: str | None = None
    parameter: bool | None = None

    def written(self) -> list[WrittenMark]:
        """Return the markers that the source of today shows there."""
        try:
            return source_of(self.file.read_bytes()).marks(self.qualname) or []
        except (OSError, ValueError):
            return []

    def own(self, marks: Sequence[WrittenMark]) -> list[WrittenMark]:
        """Return those of the markers that were this test's.

        Raises:
            HistoryError: several parameters had markers, and it is not known which became this one.
        """
        shared = [mark for mark in marks if not mark.of_parameter]
        single = [mark for mark in marks if mark.of_parameter]
        if self.parameter is False or not single:
            return shared
        name = self.gate or self.keys.get("name")
        alike = [mark for mark in single if mark.named == name] if len(single) > 1 else single
        unchanged = [mark for mark in alike if mark.keys == self.keys and not mark.code]
        if len(alike) > 1 and not unchanged:
            raise HistoryError(f"several parameters of {self.qualname} have markers without the name of a gate")
        return [*(unchanged or alike)[:1], *(shared if self.parameter is None else [])]
