"""The package is written for a reader: few things a line, names that say what they hold."""

import ast
from functools import cache
from pathlib import Path

import pytest_ftgate

PACKAGE = Path(pytest_ftgate.__file__).parent
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
NOT_READ = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
VAGUE_NAMES = """
    one found given told asked own known both each other others then now there those kept shown held
    owed left rest made said seen wanted what why at of by thing after before again part parts
    same most more
"""
VAGUE = frozenset(VAGUE_NAMES.split())


@cache
def trees():
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def functions():
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}", path, node


def has_docstring(function):
    return ast.get_docstring(function, clean=False) is not None


def nodes_a_line(path, function):
    """Return the syntax nodes of a written line, or 0 for a function of fewer than eight lines."""
    body = function.body[has_docstring(function) :]
    if not body:
        return 0.0

    lines = path.read_text(encoding="utf-8").splitlines()[body[0].lineno - 1 : body[-1].end_lineno]
    written = [line for line in lines if line.strip()]
    if len(written) < 8:
        return 0.0

    nodes = [
        node for statement in body for node in ast.walk(statement) if not isinstance(node, NOT_READ)
    ]
    return len(nodes) / len(written)


def names():
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.arg) and node.arg not in ("self", "cls"):
                yield node.arg


def is_nested(function):
    comprehensions = [node for node in ast.walk(function) if isinstance(node, COMPREHENSIONS)]
    return any(
        inner is not outer and isinstance(inner, COMPREHENSIONS)
        for outer in comprehensions
        for inner in ast.walk(outer)
    )


def test_no_function_has_more_than_twelve_nodes_a_line():
    assert [
        place for place, path, function in functions() if nodes_a_line(path, function) > 12
    ] == []


def test_at_most_three_names_in_a_hundred_are_vague():
    every = list(names())
    assert sum(name in VAGUE for name in every) <= 0.03 * len(every)


def test_comprehensions_are_rarely_nested():
    every = [is_nested(function) for _, _, function in functions()]
    assert sum(every) <= 0.01 * len(every)
