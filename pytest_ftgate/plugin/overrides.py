"""Find the project's fixtures and the test's parameters that give keys of its gate in the place of our fixtures."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from pytest_ftgate.config import Layer, Source
from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.plugin.marks import marked_levels
from pytest_ftgate.result import Check

__tracebackhide__ = True  # tracebacks of fixtures show none of our lines

FIXTURES = {
    "ftgate_baseline": "baseline",
    "ftgate_candidate": "candidate",
    "ftgate_test_set": "test_set",
    "ftgate_training_set": "training_set",
}


@dataclass(frozen=True)
class Override:
    """A fixture of the project that overrides ours, or a parameter of the test in its place.

    Attributes:
        request: of the test.
        name: of the fixture.
        key: of the gate, which it gives.
        function: of the fixture; None for a parameter.
    """

    request: pytest.FixtureRequest
    name: str
    key: str
    function: Callable[..., Any] | None

    @property
    def code(self) -> CodeType | None:
        return None if self.function is None else _code(self.function)

    def __str__(self) -> str:
        if self.function is None:
            return f"parameter {self.name}"
        place = f", {shown_path(self.code.co_filename)}:{self.code.co_firstlineno}" if self.code else ""
        return f"fixture {self.name}{place}"

    def given_by(self, keys: Collection[str]) -> str | None:
        """Return which of the keys gives the same; several models are another form of one."""
        return next((one for one in (self.key, f"{self.key}s") if one in keys), None)

    def value(self, value_of: Callable[[str], Any]) -> tuple[Any, Source]:
        """Return the value, with ``value_of`` that of a fixture, and its source.

        Raises:
            ConfigError: the value is None; or the fixture, or one that it depends on, is parametrized, but the test
                does not request it, so that pytest does not run the test for each parameter.
        """
        parameters = _parameters(self.request.node)
        if self.function is None:
            value, source = parameters[self.name], Source("fixture", str(self), self.request.path.parent)
        else:
            reached = self.reached()
            self._refuse_parametrized(reached, parameters)
            folder = Path(self.code.co_filename).parent if self.code else Path.cwd()
            # Any other parametrized fixture of the test may have changed the state of what this one gives, too.
            reaching = {
                one: value for one, value in parameters.items() if one in reached or _definitions(self.request, one)
            }
            value, source = value_of(self.name), Source("fixture", str(self), folder, parameters=reaching)
        if value is None:
            raise ConfigError(f"the {self} returned None", cure="Return a model, or examples.")
        return os.fspath(value) if isinstance(value, os.PathLike) else value, source

    def _refuse_parametrized(self, reached: Mapping[str, list[Any]], parameters: Mapping[str, Any]) -> None:
        for one, used in reached.items():
            if one not in parameters and any(definition.params is not None for definition in used):
                through = "" if one == self.name else f"needs the fixture {one}, which "
                test = getattr(self.request.node, "originalname", None) or self.request.node.name
                raise ConfigError(
                    f"the {self} {through}is parametrized, but the test does not request it",
                    where=Where(shown_path(self.request.path)),
                    cure=f"Request it, so that the test runs for each parameter: def {test}({self.name}): ...",
                )

    def reached(self) -> dict[str, list[Any]]:
        """Return the fixture and all that it depends on, by name, with the definitions used and those they extend."""
        found: dict[str, list[Any]] = {}
        waiting = [self.name]
        for one in waiting:
            if one in found:
                continue
            found[one] = []
            for definition in reversed(_definitions(self.request, one)):
                found[one].append(definition)
                waiting += definition.argnames
                if one not in definition.argnames:  # otherwise it extends the next definition further out
                    break
        return found


def overrides(request: pytest.FixtureRequest) -> Iterator[Override]:
    """Yield what gives keys of a test's gate in the place of our fixtures."""
    for name, key in FIXTURES.items():
        found = _definitions(request, name)
        function = found[-1].func if found else None
        if function is not None and function.__module__ != "pytest_ftgate.plugin":
            yield Override(request, name, key, function)
        elif name in _parameters(request.node):
            yield Override(request, name, key, None)


def given_layer(used: Collection[Override], value_of: Callable[[str], Any]) -> Layer | None:
    """Return the keys that overrides give; ``value_of`` returns the value of a fixture."""
    given = {one.key: one.value(value_of) for one in used}
    return Layer(*({key: pair[part] for key, pair in given.items()} for part in (0, 1))) if given else None


def unused_fixtures(request: pytest.FixtureRequest) -> Iterator[Check]:
    """Yield a warning for each overridden fixture, or parameter in its place, whose key a marker gives.

    Raises:
        ConfigError: the test requests it, so the gate would judge another value than the test is given.
    """
    given = {key: level.where for level in reversed(list(marked_levels(request.node))) for key in level.keys}
    for one in overrides(request):
        key = one.given_by(given)
        if key is None:
            continue
        marker, called, cure = given[key], f"the {one}", f"Remove {one.key} from the marker, or the {one}."
        if one.name in request.fixturenames:
            what = f"{one.key} is given twice: by the marker, and by {called}, which the test requests"
            raise ConfigError(what, where=replace(marker, key=one.key), cure=cure)
        message = f"{called} is not used, because the marker ({marker}) gives {one.key}"
        yield Check("configuration", "warning", message, source=str(marker), advice=cure)


def refuse_indirect(request: pytest.FixtureRequest, name: str) -> None:
    """Raise :class:`ConfigError` if the test gives a parameter to one of our fixtures."""
    if name in _parameters(request.node):
        cure = "Remove indirect: the parameter itself is the model or the examples."
        raise ConfigError(
            f"the fixture {name} does not take a parameter", where=Where(shown_path(request.path)), cure=cure
        )


def _parameters(item: pytest.Item) -> Mapping[str, Any]:
    """Return the values of the test's parameters by name."""
    found: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return found


def _definitions(request: pytest.FixtureRequest, name: str) -> list[Any]:
    """Return the definitions of a fixture that apply to the test, nearest last. pytest has no public API for this."""
    where: Any = request.node if pytest.version_tuple >= (8, 1) else request.node.nodeid
    return list(request._fixturemanager.getfixturedefs(name, where) or ())


def _code(function: Callable[..., Any]) -> CodeType | None:
    found: CodeType | None = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    return found
