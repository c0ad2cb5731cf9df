"""Find the project's Python files that a verdict depends on, and whether their code has changed."""

from __future__ import annotations

import ast
import inspect
import sys
import warnings
from collections.abc import Iterable, Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys, MetricSpec, ModelSpec


def code_files(config: GateKeys, root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the keys and files of the Python code below ``root`` that a gate runs: the functions of its models, of
    deciding metrics and of their judges."""
    for name, spec in config.baselines.items():
        yield from _of_model(baseline_key(name), spec, root)
    yield from _of_model("candidate", config.candidate, root)
    for key, metric in deciding(config):
        yield from _of_function(key, metric.options.get("function"), root)
        if "judge" in metric.options:
            yield from _of_model(f"{key}.judge", metric.options["judge"], root)


def baseline_key(name: str) -> str:
    """Return the key of a baseline by its name; the key ``baseline`` gives it that name, too."""
    return name if name == "baseline" else f"baselines.{name}"


def deciding(config: GateKeys) -> Iterator[tuple[str, MetricSpec]]:
    """Yield the keys and metrics on which the verdict depends."""
    yield "metric", config.decided_by
    for name in config.thresholds:
        yield f"thresholds.{name}", config.metric_named(name)
    for name, guard in config.guards.items():
        yield f"guards.{name}.metric", guard.metric


def _of_model(key: str, spec: ModelSpec, root: Path) -> Iterator[tuple[str, Path]]:
    if spec.provider == "callable":
        yield from _of_function(key, spec.options["function"], root)
    elif spec.provider == "python":
        try:
            found = find_spec(spec.options["target"].partition(":")[0])
        except Exception:  # a parent package raised; the model itself is reported where it is built
            return
        yield from _inside(key, found.origin if found else None, root)


def _of_function(key: str, function: Any, root: Path) -> Iterator[tuple[str, Path]]:
    if function is None:
        return
    seen = function if inspect.isroutine(function) or isinstance(function, type) else type(function)
    for one in (getattr(function, "func", None), seen):  # functools.partial holds the function there
        try:
            file = inspect.getsourcefile(inspect.unwrap(one)) if one is not None else None
        except (TypeError, OSError):
            file = None
        yield from _inside(key, file, root)


def _inside(key: str, file: str | None, root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the key and the file if it is Python code of the project."""
    path = Path(file or "").absolute()
    if path.suffix == ".py" and path.is_file() and path.is_relative_to(root) and "site-packages" not in path.parts:
        yield key, path


def with_imports(files: Iterable[tuple[str, Path]], root: Path) -> dict[Path, str]:
    """Return the files and all files below ``root`` that they import, each with the first key that leads to it."""
    modules = {_file(module): module for module in list(sys.modules.values())}
    found: dict[Path, str] = {}
    waiting = list(files)
    for key, path in waiting:
        if path not in found:
            found[path] = key
            waiting += [(key, one) for one in _imported(path, modules.get(str(path)), root)]
    return found


def _imported(path: Path, module: ModuleType | None, root: Path) -> Iterator[Path]:
    """Yield the files below ``root`` of the modules that a file imports, if they are imported already."""
    package = getattr(module, "__package__", None) or ""
    try:
        nodes = list(ast.walk(parse(path.read_bytes())))
    except ValueError:
        return
    for node in nodes:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (not node.level or package):
            origin = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        for name in names:
            yield from (one for _, one in _inside("", _file(sys.modules.get(name)), root))


def _file(module: ModuleType | None) -> str | None:
    """Return the file of a module, without asking a lazy module for it."""
    return vars(module).get("__file__") if isinstance(module, ModuleType) else None


def same_code(then: bytes, now: bytes) -> bool:
    """Return whether two versions of a file do the same, besides their tests: those are compared by their markers."""
    try:
        return then == now or _shape(parse(then)) == _shape(parse(now))
    except ValueError:
        return False


def parse(content: bytes) -> ast.Module:
    """Parse Python code. Raises :class:`ValueError` if it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of invalid escapes, which Python showed when it imported the file
        try:
            return ast.parse(content)
        except (SyntaxError, RecursionError) as error:
            raise ValueError(str(error)) from None


def _shape(tree: ast.Module) -> str:
    """Return a module without comments, and without those of its tests that nothing in it refers to."""
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef):
            node.body = [one for one in node.body if not _is_test(one, used)]
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            node.decorator_list = []
    return ast.dump(tree)


def _is_test(node: ast.stmt, used: set[str]) -> bool:
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets] == ["pytestmark"]
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return node.name.startswith("test") and node.name not in used
