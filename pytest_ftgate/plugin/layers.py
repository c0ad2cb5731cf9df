"""Collect the keys of a test's gate from its markers, the project's fixtures and parameters, and the gate file."""

import inspect
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from pytest_ftgate import errors, result
from pytest_ftgate.checks import attempts, weaker
from pytest_ftgate.config import (
    GateFile,
    GateKeys,
    Layer,
    Source,
    as_written,
    resolve_gate,
    weakenings,
)
from pytest_ftgate.plugin.project import Project

MARK = "ftgate"
_HEAD_ENDS = re.compile(r"\s*(async\s+def|def|class)\b")


@dataclass(frozen=True)
class Level:
    """A marker of a test: on its parameter, its function, a class, or its module.

    Attributes:
        file: where it is written; that of the test if the source is not known.
        owner: the function, class or module; None for an item of another kind.
    """

    file: Path
    mark: pytest.Mark
    owner: Any = None

    @property
    def gate(self) -> str | None:
        """Return the gate in the gate file that the marker names, by position or as ``gate=``."""
        args, kwargs = self.mark.args, self.mark.kwargs
        named = [
            *args,
            *(value for key, value in kwargs.items() if key == "gate" and value is not None),
        ]
        if len(named) > 1 or not all(isinstance(name, str) for name in named):
            what = 'the ftgate marker takes one gate name, as ftgate("NAME") or ftgate(gate="NAME")'
            got = f"Got {', '.join(repr(name)[:60] for name in named)}."
            cure = "Name one gate, and pass everything else by keyword."
            raise errors.ConfigError(what, where=self.where, evidence=got, cure=cure)
        return named[0] if named else None

    @property
    def keys(self) -> Mapping[str, Any]:
        """Return the keys of the gate that the marker sets."""
        return {key: value for key, value in self.mark.kwargs.items() if key != "gate"}

    @cached_property
    def where(self) -> errors.Where:
        """Return the place of the marker: its file, and its line if the source shows it."""
        values = [repr(value) for value in (*self.mark.args, *self.mark.kwargs.values())]
        likely = max(
            _lines_with_marks(self.owner),
            key=lambda line: sum(map(line[1].count, values)),
            default=None,
        )
        return errors.Where(errors.shown_path(self.file), likely[0] if likely else None)


def _lines_with_marks(owner: Any) -> Iterator[tuple[int, str]]:
    """Yield the lines with ftgate markers in the decorators of a function or class, or in its ``pytestmark``."""
    try:
        lines, first = inspect.getsourcelines(inspect.unwrap(owner) if callable(owner) else owner)
    except (OSError, TypeError, SyntaxError):
        return
    inside = not inspect.ismodule(owner)
    for number, line in enumerate(lines, first or 1):
        if inside and _HEAD_ENDS.match(line):
            if not inspect.isclass(owner):
                return
            inside = False
        inside = inside or line.lstrip().startswith("pytestmark")
        if inside and f".{MARK}" in line:
            yield number, line


def marked_levels(item: pytest.Item) -> Iterator[Level]:
    """Yield the markers of a test, nearest first: parameter, function, derived class, base class, module, package.

    Raises:
        ConfigError: one of these has two ftgate markers.
    """
    for node in reversed(item.listchain()):
        for owner, marks in _owners(node):
            file = _file(owner) or Path(item.config.rootpath, item.location[0])
            marked = [Level(file, mark, owner) for mark in marks if mark.name == MARK]
            if len(marked) > 1:
                what = f"two ftgate markers on one {'function' if node is item else type(node).__name__.lower()}"
                where = max((level.where for level in marked), key=lambda where: where.line or 0)
                cure = "Keep one. A marker on the class or the module can give shared keys."
                raise errors.ConfigError(f"{what}: {node.name}", where=where, cure=cure)
            yield from marked


def _owners(node: pytest.Item | pytest.Collector | Any) -> Iterator[tuple[Any, list[pytest.Mark]]]:
    """Yield the owners of one node, each with the markers that are written on it together."""
    own, owner = list(node.own_markers), getattr(node, "obj", None)
    if isinstance(node, pytest.Class):
        written = [(cls, _as_marks(vars(cls).get("pytestmark", []))) for cls in node.obj.__mro__]
        yield (
            owner,
            [
                mark
                for mark in own
                if not any(mark is other for _, marks in written for other in marks)
            ],
        )
        yield from written  # and before them those that a hook or a fixture added to the class
    else:
        on_parameter = set(map(id, getattr(getattr(node, "callspec", None), "marks", ())))
        yield owner, [mark for mark in own if id(mark) in on_parameter]
        yield owner, [mark for mark in own if id(mark) not in on_parameter]


def _file(owner: Any) -> Path | None:
    """Return the file of a function, class or module; None without."""
    try:
        file = Path(
            inspect.getsourcefile(inspect.unwrap(owner) if callable(owner) else owner) or ""
        )
        return file if file.is_absolute() else None
    except (OSError, TypeError, AttributeError):
        return None


def _as_marks(written: Any) -> list[pytest.Mark]:
    listed = written if isinstance(written, list | tuple) else [written]
    marks = [mark.mark if isinstance(mark, pytest.MarkDecorator) else mark for mark in listed]
    return [mark for mark in marks if isinstance(mark, pytest.Mark)]


def naming(levels: Iterable[Level]) -> Level | None:
    """Return the nearest level whose marker names a gate of the gate file.

    Raises :class:`ConfigError` for all.
    """
    named = [level for level in levels if level.gate is not None]
    return named[0] if named else None


def claimed_name(item: pytest.Item) -> str:
    """Return the name of a marked test's gate for ``ftgate_required``, without reading any file."""
    with suppress(errors.ConfigError):
        named = next(
            (level.keys["name"] for level in marked_levels(item) if "name" in level.keys), None
        )
        nearest = naming(marked_levels(item))
        return str((nearest and nearest.gate) or named or id_of(item))
    return id_of(item)


def location(item: pytest.Item) -> str:
    """Return the line of the nearest marker, ``tests/test_intents.py:12``, relative to pytest's rootdir.

    If the line of the marker is unknown, return that of the test.
    """
    path, first, _ = item.location
    with suppress(errors.ConfigError):
        nearest = next(marked_levels(item), None)
        if nearest is not None and nearest.where.line is not None:
            return f"{Path(os.path.relpath(nearest.file, item.config.rootpath)).as_posix()}:{nearest.where.line}"
    return f"{Path(path).as_posix()}:{(first or 0) + 1}"


def id_of(item: pytest.Item) -> str:
    """Return the test's node id, the default name of its gate.

    It is not ``item.nodeid``, because xdist appends the group to that under ``--dist=loadgroup``.
    """
    return f"{item.parent.nodeid}::{item.name}" if item.parent is not None else item.nodeid


__tracebackhide__ = True  # tracebacks of fixtures show none of our lines

FIXTURES = {f"ftgate_{key}": key for key in ("baseline", "candidate", "test_set", "training_set")}
_MOVE = "Write it into the gate file, so that it can be compared with the base branch."


def layers_of(request: pytest.FixtureRequest, project: Project, *, but: str = "") -> "Layers":
    """Return the layers of a test's gate; its overridden fixtures are set up for that.

    With the key ``but`` no fixture that overrides it is used, which may be the caller, and others
    are not set up. A stand-in satisfies "required": a callable, or no examples. Raise
    :class:`ConfigError` if the test gives that fixture a parameter.
    """
    item: pytest.Item = request.node
    if but and f"ftgate_{but}" in _parameters(item):
        what = f"the fixture ftgate_{but} does not take a parameter"
        cure = "Remove indirect: the parameter itself is the model or the examples."
        raise errors.ConfigError(
            what, where=errors.Where(errors.shown_path(request.path)), cure=cure
        )
    if not but:
        refuse_unused_fixtures(request)

    def value_of(name: str) -> Any:
        return request.getfixturevalue(name) if not but else () if name.endswith("_set") else str

    levels, given = list(marked_levels(item)), list(overrides(request))
    known = {but, *(key for level in levels for key in level.keys)}
    used = {one.key: one.value(value_of) for one in given if one.given_by(known) is None}
    values, sources = ({key: pair[part] for key, pair in used.items()} for part in (0, 1))
    themselves = {one.name for one in given if one.definition is None}
    return Layers(
        levels,
        item.path.parent,
        [Layer(values, sources)] if used else [],
        project.gate_file(required=naming(levels) is not None),
        id_of(item),
        item.config.rootpath,
        {name: value for name, value in _parameters(item).items() if name not in themselves},
    )


@dataclass(frozen=True)
class Layers:
    """The layers that give a gate's keys, each kind nearest first.

    Attributes:
        folder: where relative paths in markers start.
        nodeid: the test, whose id is the default name of its gate.
        parameters: of the test, without those that are a model or examples themselves.
    """

    levels: Sequence[Level]
    folder: Path
    fixtures: Sequence[Layer]
    file: GateFile | None
    nodeid: str
    root: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _naming(self) -> Level | None:
        return naming(self.levels)

    @property
    def gate(self) -> str | None:
        """Return the gate in the gate file that the nearest marker names."""
        return self._naming.gate if self._naming else None

    @cached_property
    def marks(self) -> list[Layer]:
        """Return the keys that markers give."""
        pairs = (
            (one.keys, Source("marker", "marker", self.folder, place=str(one.where)))
            for one in self.levels
        )
        return [Layer(keys, dict.fromkeys(keys, source)) for keys, source in pairs]

    @cached_property
    def config(self) -> GateKeys:
        """Return the keys of the gate, resolved.

        Raises :class:`ConfigError` for what is not valid.
        """
        where = self._naming.where if self._naming else None
        written = self.file.layers(self.gate, named_at=where) if self.file else ()
        layers = [
            replace(one, parameters=self.parameters)
            for one in (*self.marks, *self.fixtures, *written)
        ]
        return resolve_gate(
            layers, file=self.file, gate=self.gate, default_name=self.nodeid, root=self.root
        )

    @cached_property
    def _in_file(self) -> GateKeys | None:
        """Return the gate as the file alone defines it, including the file's defaults."""
        return (
            as_written(self.file, self.gate)
            if self.gate is not None and self.file is not None
            else None
        )

    @cached_property
    def loosened(self) -> Mapping[str, str]:
        """Return where the test requires less than the gate in the file, by key.

        Another training set is no weaker gate, but it is not the gate of the file either.
        """
        if self._in_file is None:
            return {}
        return weakenings(self._in_file, self.config, of_marker=True)

    def reviewed(self, project: Project) -> tuple[result.Check, ...]:
        """Return checks of whether the gate requires less than at the merge base or in the file."""
        compared = project.compared
        forbidden = project.forbids_weakening or compared.forbade

        findings: list[weaker.Finding] = []
        if forbidden or not compared.absent:
            findings += [found for found in compared.findings if found.gate in (None, self.gate)]
        findings += self._weaker_than_file()
        if forbidden and project.requires(self.gate or self.config.name, in_file=bool(self.gate)):
            findings += self._outside_file()

        checks = weaker.checks_of(findings, forbidden=forbidden)
        return (*attempts.check_history(self.config, project.base_ref), *checks)

    def _weaker_than_file(self) -> Iterator[weaker.Finding]:
        """Yield what markers and fixtures require less than the gate file."""
        for key, values in self.loosened.items():
            in_file = self._in_file.place_of(key) if self._in_file is not None else ""
            places = dict.fromkeys((in_file, self.config.place_of(key)))
            where = " -> ".join(filter(None, places))
            yield weaker.Finding.weaker("the gate file", f"{key}: {values}", where, self.gate)

    def _outside_file(self) -> Iterator[weaker.Finding]:
        """Yield what a required gate has outside of the gate file, where it could not be compared.

        Its candidate may be a fixture's.
        """
        if self.gate is None:
            text = f"the required gate {self.config.name} is not in the gate file"
            yield weaker.Finding("not_compared", None, text, _MOVE)
            return

        sources: dict[str, Source] = {}
        for layer in (*self.fixtures, *self.marks):
            sources.update({key: layer.source((key,)) for key in layer.values})
        sources.pop("candidate", None)
        for key, source in sources.items():
            text = f"the {source.kind} gives {key} of a required gate ({source.at})"
            yield weaker.Finding("not_compared", None, text, _MOVE)


# --- fixtures of the project, and parameters in their place
# ----------------------------------------------------


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
        function = getattr(self.definition, "func", None)
        plain_function: Any = getattr(function, "__func__", function)
        code: CodeType | None = getattr(inspect.unwrap(plain_function), "__code__", None)
        return code

    def __str__(self) -> str:
        if self.definition is None:
            return f"parameter {self.name}"
        place = (
            f", {errors.shown_path(self.code.co_filename)}:{self.code.co_firstlineno}"
            if self.code
            else ""
        )
        return f"fixture {self.name}{place}"

    def given_by(self, keys: Collection[str]) -> str | None:
        """Return which of the keys gives the same; several models are another form of one."""
        return next((one for one in (self.key, f"{self.key}s") if one in keys), None)

    def value(self, value_of: Callable[[str], Any]) -> tuple[Any, Source]:
        """Return the value, with ``value_of`` that of a fixture, and its source.

        Raises:
            ConfigError: the value is None; or the fixture is parametrized, but the test does not
                request it, so that pytest does not run the test for each parameter.
        """
        parameters = _parameters(self.request.node)
        if self.definition is None:
            value, folder = parameters[self.name], self.request.path.parent
        elif self.definition.params is not None and self.name not in parameters:
            what = f"the {self} is parametrized, but the test does not request it"
            cure = f"Request it, so that the test runs for each parameter: def test_gate({self.name}): ..."
            raise errors.ConfigError(
                what, where=errors.Where(errors.shown_path(self.request.path)), cure=cure
            )
        else:
            value, folder = (
                value_of(self.name),
                Path(self.code.co_filename).parent if self.code else Path.cwd(),
            )
        if value is None:
            raise errors.ConfigError(
                f"the {self} returned None", cure="Return a model, or examples."
            )
        return os.fspath(value) if isinstance(value, os.PathLike) else value, Source(
            "fixture", str(self), folder
        )


def overrides(request: pytest.FixtureRequest) -> Iterator[Override]:
    """Yield what gives keys of a test's gate in the place of our fixtures."""
    where: Any = request.node if pytest.version_tuple >= (8, 1) else request.node.nodeid
    for name, key in FIXTURES.items():
        # pytest has no public API for this
        found = request._fixturemanager.getfixturedefs(name, where)
        if found and found[-1].func.__module__ != "pytest_ftgate.plugin":
            yield Override(request, name, key, found[-1])
        elif name in _parameters(request.node):
            yield Override(request, name, key)


def refuse_unused_fixtures(request: pytest.FixtureRequest) -> None:
    """Raise :class:`ConfigError` if the test requests an overridden fixture whose key a marker gives.

    The gate would judge another value than the test is given. The fixture may be a parameter.
    """
    markers: dict[str, errors.Where] = {}
    for level in marked_levels(request.node):
        for marked_key in level.keys:
            markers.setdefault(marked_key, level.where)

    for override in overrides(request):
        key = override.given_by(markers)
        if key is not None and override.name in request.fixturenames:
            where = replace(markers[key], key=override.key)
            what = f"{override.key} is given twice: by the marker, and by the {override}, which the test requests"
            cure = f"Remove {override.key} from the marker, or the {override}."
            raise errors.ConfigError(what, where=where, cure=cure)


def _parameters(item: pytest.Item) -> Mapping[str, Any]:
    """Return the values of the test's parameters by name."""
    found: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return found
