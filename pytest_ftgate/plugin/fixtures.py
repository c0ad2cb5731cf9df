"""The fixtures of a project, and parameters of a test, that give keys of its gate."""

import difflib
import inspect
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from traceback import walk_tb
from types import CodeType
from typing import Any

import pytest

from pytest_ftgate.config import Source
from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.plugin.markers import marked_levels

__tracebackhide__ = True  # tracebacks of fixtures show none of our lines

FIXTURES = {f"ftgate_{key}": key for key in ("baseline", "candidate", "test_set", "training_set")}
_LIKE_OURS = 0.85  # the similarity from which a fixture is taken for a misspelt one of ours


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
    def code(self) -> CodeType | None:
        """Return the code of the fixture's function, if there is one."""
        return _code_of(getattr(self.definition, "func", None))

    def __str__(self) -> str:
        if self.definition is None:
            return f"parameter {self.name}"
        return f"fixture {self.name}{_place_of(self.code, ', {}')}"

    def given_by(self, keys: Collection[str]) -> str | None:
        """Return which of the keys gives the same; several models are another form of one."""
        for key in (self.key, f"{self.key}s"):
            if key in keys:
                return key
        return None

    def value(self, value_of: Callable[[str], Any]) -> tuple[Any, Source]:
        """Return the value, with ``value_of`` that of a fixture, and its source.

        Raises:
            ConfigError: the value is None; or the fixture is parametrized, but the test does not
                request it, so that pytest does not run the test for each parameter.
        """
        # A parameter of the test stands for the fixture of its name.
        parameters = parameters_of(self.request.node)
        if self.definition is None:
            value = parameters[self.name]
            folder = self.request.path.parent
        elif self.definition.params is not None and self.name not in parameters:
            message = f"the {self} is parametrized, but the test does not request it"
            example = f"def test_gate({self.name}): ..."
            fix = f"Request it, so that the test runs for each parameter: {example}"
            raise ConfigError(message, where=Where(shown_path(self.request.path)), cure=fix)
        else:
            value = self._set_up(value_of)
            folder = Path(self.code.co_filename).parent if self.code else Path.cwd()

        if value is None:
            raise ConfigError(f"the {self} returned None", cure="Return a model, or examples.")
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        return value, Source("fixture", str(self), folder)

    def _set_up(self, value_of: Callable[[str], Any]) -> Any:
        """Return the value of the fixture.

        Raises:
            ConfigError: it requests a fixture that does not exist.
        """
        try:
            return value_of(self.name)
        except pytest.FixtureLookupError as error:
            name = error.request.fixturename or self.name
            message = f"the fixture {name} requests {error.argname!r}, and no fixture has that name"
            fix = "Correct the name."
            if name == self.name and not self.key.endswith("_set"):
                example = f"def {name}(): return FUNCTION"
                fix = f"A fixture returns the model, and takes no input: {example}"
            where = Where(_place_of(self.code, "{}") or None)
            raise ConfigError(message, where=where, cure=fix) from None


def _code_of(function: Any) -> CodeType | None:
    plain_function: Any = getattr(function, "__func__", function)
    code: CodeType | None = getattr(inspect.unwrap(plain_function), "__code__", None)
    return code


def _place_of(code: CodeType | None, form: str) -> str:
    """Return the file and line of a function in this form; empty without a function."""
    place = f"{shown_path(code.co_filename)}:{code.co_firstlineno}" if code else ""
    return place and form.format(place)


def overrides(request: pytest.FixtureRequest) -> Iterator[Override]:
    """Yield the fixtures and parameters of a test that replace our fixtures."""
    for name, key in FIXTURES.items():
        definition = _definition(request.node, name)
        if definition is not None and definition.func.__module__ != "pytest_ftgate.plugin":
            yield Override(request, name, key, definition)
        elif name in parameters_of(request.node):
            yield Override(request, name, key)


def raising_override(request: pytest.FixtureRequest, error: BaseException) -> Override | None:
    """Return the overriding fixture whose function an exception passed; None if it is no such."""
    codes = {frame.f_code for frame, _ in walk_tb(error.__traceback__)}
    for override in overrides(request):
        if override.code in codes:
            return override
    return None


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


def almost_given(item: pytest.Item, keys: Iterable[str]) -> Iterator[str]:
    """Yield a cure for each of the missing keys that a fixture was probably meant to give.

    Its name is misspelt, or lacks ``ftgate_``; or it is a plain function.
    """
    for name, key in FIXTURES.items():
        if key not in keys:
            continue

        # pytest would have taken the name for a fixture if it were decorated.
        function = _plain_function(item, name)
        if function is not None:
            place = _place_of(_code_of(function), " ({})")
            yield f"Decorate the function {name}{place} with @pytest.fixture."
            continue

        close = difflib.get_close_matches(name, _fixture_names(item), cutoff=_LIKE_OURS)
        for similar in (key, *close):
            definition = _definition(item, similar)
            if definition is not None and similar not in FIXTURES:
                place = _place_of(_code_of(definition.func), " ({})")
                yield f"Rename the fixture {similar}{place} to {name}."
                break


def _plain_function(item: pytest.Item, name: str) -> Any:
    """Return what is callable by a name in the test's module, or in a conftest.py that it sees."""
    modules: list[Any] = [getattr(item, "module", None)]
    for plugin in item.config.pluginmanager.get_plugins():
        path = Path(getattr(plugin, "__file__", None) or "")
        if path.name == "conftest.py" and item.path.is_relative_to(path.parent):
            modules.append(plugin)

    functions = [getattr(module, name, None) for module in modules]
    return next(filter(callable, functions), None)


def _definition(item: pytest.Item, name: str) -> Any:
    """Return the definition of a fixture as a test sees it; None without one.

    pytest has no public API for this.
    """
    manager: Any = item.session._fixturemanager
    where = item if pytest.version_tuple >= (8, 1) else item.nodeid
    definitions = manager.getfixturedefs(name, where)
    return definitions[-1] if definitions else None


def _fixture_names(item: pytest.Item) -> list[str]:
    """Return the names of all fixtures of the session."""
    names: set[str] = set()
    for attribute, by_name in vars(item.session._fixturemanager).items():
        if attribute.startswith("_arg2"):
            names.update(by_name)
    return sorted(names)


def parameters_of(item: pytest.Item) -> Mapping[str, Any]:
    """Return the values of the test's parameters by name."""
    parameters: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters
