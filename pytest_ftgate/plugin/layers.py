"""Collect the keys of a test's gate from its markers, overridden fixtures and the gate file."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.checks.attempts import check_history
from pytest_ftgate.checks.weakening.comparison import Weakening, another_training_set, weakenings
from pytest_ftgate.checks.weakening.review import review_checks
from pytest_ftgate.config import GateKeys, Layer, Source, resolve_gate
from pytest_ftgate.config.files import content_hash, files_of
from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.plugin.earlier import LEFT_OPEN, earlier
from pytest_ftgate.plugin.gate_files import GateFiles
from pytest_ftgate.plugin.marks import MARK, gate_levels, gate_marks, gate_name, test_id
from pytest_ftgate.plugin.written_marks import Level
from pytest_ftgate.result import Check, InputFile

if TYPE_CHECKING:
    from pytest_ftgate.config import GateFile


__tracebackhide__ = True  # tracebacks of fixtures show none of our lines

_ANY_CANDIDATE = Layer({"candidate": str}, {"candidate": Source("fixture", "no candidate", Path())})
"""A stand-in for the candidate, which is not a requirement of a gate; at the stage ready there is none."""

_FIXTURES = {
    "ftgate_baseline": "baseline",
    "ftgate_candidate": "candidate",
    "ftgate_test_set": "test_set",
    "ftgate_training_set": "training_set",
}

UNUSED_FIXTURE = "unused_fixture"

_OBJECTIVE = ("margin", "objective", "max_drop", "cheaper_by", "faster_by")

_REQUIRED = (*_FIXTURES.values(), "baselines", "candidates", *_OBJECTIVE)
"""The keys without a default, which the file may leave to markers and fixtures."""


def layers_as_judged(request: pytest.FixtureRequest, files: GateFiles) -> Layers:
    """Return the layers of a test's gate; its overridden fixtures are set up for that."""
    remarks = tuple(unused_fixtures(request))
    layers = _layers(request.node, files, lambda given: _fixture_layer(request, given, request.getfixturevalue))
    written = [("marker", mark.place[0]) for mark in gate_marks(request.node) if mark.keys]
    overridden = filter(None, (_override(request, f"ftgate_{key}") for one in layers.fixtures for key in one.values))
    written += [("fixture", Path(code.co_filename)) for one in overridden if (code := _code(one)) is not None]
    read = [*_code_of_fixtures(request, layers), *_code_of_hooks(request.config)]
    return replace(layers, remarks=remarks, written_in=tuple(written), code=read)


def layers_as_written(request: pytest.FixtureRequest, key: str, files: GateFiles) -> Layers:
    """Return the layers without an overridden fixture for ``key``, which may be the caller.

    Other overridden fixtures are not set up. A stand-in satisfies "required": a callable, or no examples.
    """
    name = f"ftgate_{key}"
    if name in _parameters(request.node):
        cure = "Remove indirect: the parameter itself is the model or the examples."
        raise ConfigError(
            f"the fixture {name} does not take a parameter", where=Where(shown_path(request.path)), cure=cure
        )

    def fixtures(given: set[str]) -> Layer | None:
        return _fixture_layer(request, given | {key}, lambda name: () if name.endswith("_set") else str)

    return _layers(request.node, files, fixtures)


@dataclass(frozen=True)
class Layers:
    """The layers that give a gate's keys, each kind nearest first."""

    marks: Sequence[Layer]
    fixtures: Sequence[Layer]
    file: GateFile | None
    promised: GateFile | None
    gate: str | None
    nodeid: str
    root: Path
    named_at: Where | None
    remarks: tuple[Check, ...] = ()
    written_in: tuple[tuple[str, Path], ...] = ()
    levels: Sequence[Level] = ()
    code: Sequence[tuple[str, Path]] = ()

    def resolve(self) -> GateKeys:
        written = self.file.layers(self.gate, named_at=self.named_at) if self.file is not None else ()
        layers = [*self.marks, *self.fixtures, *written]
        return resolve_gate(layers, file=self.file, gate=self.gate, default_name=self.nodeid, root=self.root)

    def inputs(self, config: GateKeys) -> tuple[InputFile, ...]:
        """Return the files that the gate is judged by, as they are now; those that do not exist are left out."""
        named = {("gate_file", self.file.path)} if self.file is not None and self.gate is not None else set()
        found: dict[str, InputFile] = {}
        for key, path in (*named, *self.written_in, *files_of(config)):
            relative, digest = _relative(path, self.root), content_hash(path)
            if digest is not None and not (key.endswith(".target") and relative.startswith("..")):
                found.setdefault(relative, InputFile(key, relative, digest))
        return tuple(found.values())

    def loosened(self) -> tuple[Weakening, ...]:
        """Return where the test requires less than the gate in the file, including the file's defaults.

        Another training set is no weaker gate, but it is not the gate of the file either.
        """
        promised = self.promised or self.file
        if self.gate is None or promised is None:
            return ()
        before, after = self.resolved(promised, self.gate), self.resolve()
        places = (before.place_of, after.place_of)
        return tuple(
            replace(one, where=" -> ".join(dict.fromkeys(filter(None, (place(one.key) for place in places)))))
            for one in (*weakenings(before, after), *another_training_set(before, after))
        )

    def reviewed(self, config: GateKeys, files: GateFiles) -> tuple[Check, ...]:
        """Return remarks on the layers, and whether ``config`` requires less than at the merge base or in the file."""
        found = review_checks(
            files.past(),
            self.gate or config.name,
            earlier=lambda past: earlier(self, past, config),
            after=config,
            loosened=self.loosened(),
            code=self.code,
            forbidden=files.forbids_weakening,
            owed=files.owes,
        )
        return (*self.remarks, *check_history(config, files.base_ref), *found)

    def resolved(self, file: GateFile | None, gate: str | None, marks: Sequence[Layer] = ()) -> GateKeys:
        """Return the gate as another state of the file and the markers defines it.

        What that state leaves to fixtures is taken from today's, and so are models with names that it does not have.
        """
        now = self.file.models if self.file else {}
        then = [*marks, *(file.layers(gate) if file else ())]
        known = {key for layer in then for key in layer.values}
        left_open = set(_REQUIRED) - (set(_OBJECTIVE) if known & {*_OBJECTIVE} else set())
        given = [(key, layer) for layer in (*self.fixtures, *self.marks) for key in layer.values if key in left_open]
        required = [
            Layer({key: layer.values[key]}, {key: replace(layer.source((key,)), text=text)})
            for key, layer in given
            for text in [str(layer.source((key,))) if layer in self.fixtures else LEFT_OPEN]
        ]
        models = file or self.file
        merged = replace(models, models={**now, **models.models}) if models else None
        layers = [*then, *required, _ANY_CANDIDATE]
        return resolve_gate(layers, file=merged, gate=gate, default_name=self.nodeid)


def _layers(item: pytest.Item, files: GateFiles, fixtures: Callable[[set[str]], Layer | None]) -> Layers:
    gate, marks = gate_name(item), list(gate_marks(item))
    named_at = next((mark.where for mark in marks if mark.gate is not None), None)
    overridden = fixtures({key for mark in marks for key in mark.keys})
    sources = [Source("marker", "marker", mark.item.path.parent, place=str(mark.where)) for mark in marks]
    return Layers(
        [Layer(dict(mark.keys), dict.fromkeys(mark.keys, source)) for mark, source in zip(marks, sources, strict=True)],
        [overridden] if overridden else [],
        files.gate_file(required=gate is not None),
        files.promised(gate) if gate is not None else None,
        gate,
        test_id(item),
        item.config.rootpath,
        named_at,
        levels=list(gate_levels(item)),
    )


def _code_of_fixtures(request: pytest.FixtureRequest, layers: Layers) -> Iterator[tuple[str, Path]]:
    """Yield the names and files of the overridden fixtures that the gate uses, and of what these depend on."""
    used = {key for layer in layers.fixtures for key in layer.values}
    for name, key in _FIXTURES.items():
        if key in used and _override(request, name) is not None:
            for one in chain.from_iterable(_reached(request, name).values()):
                code = _code(one.func)
                if code is not None and Path(code.co_filename).is_relative_to(layers.root):
                    yield f"fixture {name}", Path(code.co_filename)


def _code_of_hooks(config: pytest.Config) -> Iterator[tuple[str, Path]]:
    """Yield the names and files of the project's hooks that add models, data, metrics or rules."""
    for plugin in config.pluginmanager.get_plugins():
        file = Path(getattr(plugin, "__file__", None) or "")
        for name in vars(plugin) if file.is_absolute() and file.is_relative_to(config.rootpath) else ():
            if name.startswith(f"pytest_{MARK}_") and name != "pytest_ftgate_gate_finished":
                yield f"hook {name}", file


def _fixture_layer(request: pytest.FixtureRequest, given: set[str], value_of: Callable[[str], Any]) -> Layer | None:
    """Return the keys given by overridden fixtures, or by parameters in their place, unless a marker gives them."""
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    parametrized = _parameters(request.node)
    for name, key in _FIXTURES.items():
        function = _override(request, name)
        is_parameter = function is None and name in parametrized
        if key in given or (key in ("baseline", "candidate") and f"{key}s" in given):
            continue
        if is_parameter:
            sources[key], value = Source("fixture", f"parameter {name}", request.path.parent), parametrized[name]
        elif function is not None:
            sources[key] = _fixture_source(request, name, function)
            value = value_of(name)
        else:
            continue
        if value is None:
            raise ConfigError(f"the {sources[key]} returned None", cure="Return a model, or examples.")
        values[key] = os.fspath(value) if isinstance(value, os.PathLike) else value
    return Layer(values, sources) if values else None


def unused_fixtures(request: pytest.FixtureRequest) -> Iterator[Check]:
    """Yield a warning for each overridden fixture, or parameter in its place, whose key a marker gives.

    Raises:
        ConfigError: the test requests it, so the gate would judge another value than the test is given.
    """
    given = {key: mark.where for mark in reversed(list(gate_marks(request.node))) for key in mark.keys}
    for name, key in _FIXTURES.items():
        marker = next((given[one] for one in (key, f"{key}s") if one in given), None)
        function = _override(request, name)
        if marker is None or (function is None and name not in _parameters(request.node)):
            continue
        called = f"the fixture {name}{_place(function)[1]}" if function else f"the parameter {name}"
        cure = f"Remove {key} from the marker, or {called}."
        if name in request.fixturenames:
            what = f"{key} is given twice: by the marker, and by {called}, which the test requests"
            raise ConfigError(what, where=replace(marker, key=key), cure=cure)
        message = f"{called} is not used, because the marker ({marker}) gives {key}"
        yield Check(UNUSED_FIXTURE, "warning", message, source=str(marker), advice=cure)


def _parameters(item: pytest.Item) -> Mapping[str, Any]:
    """Return the values of the test's parameters by name."""
    found: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return found


def _definitions(request: pytest.FixtureRequest, name: str) -> Sequence[Any]:
    """Return the definitions of a fixture that apply to the test, nearest last.

    pytest has no public API for this.
    """
    where: Any = request.node if pytest.version_tuple >= (8, 1) else request.node.nodeid
    return request._fixturemanager.getfixturedefs(name, where) or ()


def _override(request: pytest.FixtureRequest, name: str) -> Callable[..., Any] | None:
    """Return the function of a fixture that overrides ours, None if none does."""
    found = _definitions(request, name)
    function: Callable[..., Any] | None = found[-1].func if found else None
    return None if function is None or function.__module__ == "pytest_ftgate.plugin" else function


def _place(function: Callable[..., Any]) -> tuple[Path, str]:
    """Return the folder of a fixture's file, and its file and line as messages show them."""
    code = _code(function)
    if code is None:
        return Path.cwd(), ""
    return Path(code.co_filename).parent, f", {shown_path(code.co_filename)}:{code.co_firstlineno}"


def _code(function: Callable[..., Any]) -> CodeType | None:
    found: CodeType | None = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    return found


def _relative(path: Path, root: Path) -> str:
    try:
        return Path(os.path.relpath(path, root)).as_posix()
    except ValueError:  # on another drive
        return path.as_posix()


def _fixture_source(request: pytest.FixtureRequest, name: str, function: Callable[..., Any]) -> Source:
    """Return where an overridden fixture is defined, and the test's parameters that it depends on.

    Raises:
        ConfigError: the fixture or one that it depends on is parametrized, but the test does not request it, so that
            pytest does not run the test for each parameter.
    """
    folder, place = _place(function)
    given, reached = _parameters(request.node), _reached(request, name)
    for one, used in reached.items():
        if one not in given and any(definition.params is not None for definition in used):
            through = "" if one == name else f"needs the fixture {one}, which "
            test = getattr(request.node, "originalname", None) or request.node.name
            raise ConfigError(
                f"the fixture {name}{place} {through}is parametrized, but the test does not request it",
                where=Where(shown_path(request.path)),
                cure=f"Request it, so that the test runs for each parameter: def {test}({name}): ...",
            )
    reaching = {one: value for one, value in given.items() if one in reached}
    return Source("fixture", f"fixture {name}{place}", folder, parameters=reaching)


def _reached(request: pytest.FixtureRequest, name: str) -> dict[str, list[Any]]:
    """Return a fixture and all that it depends on, by name, with the definitions used, including extended ones."""
    found: dict[str, list[Any]] = {}
    waiting = [name]
    for one in waiting:
        if one in found:
            continue
        found[one] = []
        for definition in reversed(_definitions(request, one)):
            found[one].append(definition)
            waiting += definition.argnames
            if one not in definition.argnames:  # otherwise it extends the next definition further out
                break
    return found
