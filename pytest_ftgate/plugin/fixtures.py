"""The fixtures of a project, and parameters of a test, that give keys of its gate."""

import inspect
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from pytest_ftgate.config import Source
from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.plugin.markers import marked_levels

__tracebackhide__ = True  # tracebacks of fixtures show none of our lines

FIXTURES = {f"ftgate_{key}": key for key in ("baseline", "candidate", "test_set", "training_set")}
OURS = ("ftgate_evaluate", *FIXTURES)


@dataclass(frozen=True)
class Override:
    """A fixture of the project that overrides ours, or a parameter of the test in its place.

    Attributes:
        request: of the test.
        name: of the fixture.
        key: of the gate, which it gives.
        definition: of the fixture; None for a parameter.
    """

    request: pytest.FixtureRequest
    name: str
    key: str
    definition: Any = None

    @property
    def _code(self) -> CodeType | None:
        """Return the code of the fixture's function, if there is one."""
        if self.definition is None:
            return None
        return getattr(inspect.unwrap(self.definition.func), "__code__", None)

    def __str__(self) -> str:
        if self.definition is None:
            return f"parameter {self.name}"
        code = self._code
        place = f", {shown_path(code.co_filename)}:{code.co_firstlineno}" if code else ""
        return f"fixture {self.name}{place}"

    def given_by(self, keys: Collection[str]) -> str | None:
        """Return which of the keys gives the same; several models are another form of one."""
        for key in (self.key, f"{self.key}s"):
            if key in keys:
                return key
        return None

    def value(self, value_of: Callable[[str], Any]) -> tuple[Any, Source]:
        """Return the value, with ``value_of`` that of a fixture, and its source.

        Raises :class:`ConfigError` for None.
        """
        # A parameter of the test stands for the fixture of its name.
        folder = self.request.path.parent
        if self.definition is None:
            value = parameters_of(self.request.node)[self.name]
        else:
            value = value_of(self.name)
            if self._code is not None:
                folder = Path(self._code.co_filename).parent

        if value is None:
            raise ConfigError(f"the {self} returned None", cure="Return a model, or examples.")
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        return value, Source("fixture", str(self), folder)


def overrides(request: pytest.FixtureRequest) -> Iterator[Override]:
    """Yield the fixtures and parameters of a test that replace our fixtures."""
    for name, key in FIXTURES.items():
        definition = _definition(request.node, name)
        if definition is not None and definition.func.__module__ != "pytest_ftgate.plugin":
            yield Override(request, name=name, key=key, definition=definition)
        elif name in parameters_of(request.node):
            yield Override(request, name, key)


def refuse_misspelt_fixtures(request: pytest.FixtureRequest) -> None:
    """Refuse a fixture whose name is nearly that of one of ours: it would give nothing."""
    modules = [
        getattr(request.node, "module", None),
        *request.config.pluginmanager.get_plugins(),
    ]  # also conftest.py
    names = {name for module in modules for name in getattr(module, "__dict__", ())}
    for name in sorted(name for name in names if name.startswith("ftgate")):
        meant = get_close_matches(name, OURS, n=1, cutoff=0.9)
        definition = _definition(request.node, name) if meant else None
        if definition is None or name in OURS:
            continue
        code = inspect.unwrap(definition.func).__code__
        where = Where(shown_path(code.co_filename), code.co_firstlineno)
        cure = f"Rename it: {meant[0]}."
        raise ConfigError(f"the plugin has no fixture {name}", where=where, cure=cure)


def refuse_unused_fixtures(request: pytest.FixtureRequest) -> None:
    """Refuse an overridden fixture that the test requests, and whose key a marker gives.

    The gate would judge another value than the test is given. The fixture may be a parameter.
    """
    markers: dict[str, Where] = {}
    for level in marked_levels(request.node):
        for marked_key in level.keys:
            markers.setdefault(marked_key, level.where)

    for override in overrides(request):
        key = override.given_by(markers)
        if key is not None and override.name in request.fixturenames:
            where = replace(markers[key], key=override.key)
            places = f"by the marker, and by the {override}, which the test requests"
            message = f"given twice: {places}"
            fix = f"Remove {override.key} from the marker, or the {override}."
            raise ConfigError(message, where=where, cure=fix)


def _definition(item: pytest.Item, name: str) -> Any:
    """Return the definition of a fixture as a test sees it; None without one.

    pytest has no public API for this.
    """
    manager: Any = item.session._fixturemanager
    where = item if pytest.version_tuple >= (8, 1) else item.nodeid
    definitions = manager.getfixturedefs(name, where)
    return definitions[-1] if definitions else None


def parameters_of(item: pytest.Item) -> Mapping[str, Any]:
    """Return the values of the test's parameters by name."""
    parameters: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters
