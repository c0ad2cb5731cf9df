"""Collect the keys of a test's gate from its markers, the project's fixtures, and the gate file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate import result
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
from pytest_ftgate.plugin.fixtures import (
    overrides,
    parameters_of,
    refuse_misspelt_fixtures,
    refuse_unused_fixtures,
)
from pytest_ftgate.plugin.markers import Level, id_of, marked_levels, naming
from pytest_ftgate.plugin.project import Project
from pytest_ftgate.text import listed

__tracebackhide__ = True  # tracebacks of fixtures show none of our lines

_MOVE = "Write {} into the gate file, so that it can be compared with the base branch."


def layers_of(request: pytest.FixtureRequest, project: Project, *, but: str = "") -> "Layers":
    """Return the layers of a test's gate; its overridden fixtures are set up for that.

    With the key ``but`` no fixture that overrides it is used, which may be the caller, and others
    are not set up. A stand-in satisfies "required": a callable, or no examples.
    """
    item: pytest.Item = request.node
    if not but:
        refuse_misspelt_fixtures(request)
        refuse_unused_fixtures(request)

    def value_of(name: str) -> Any:
        if not but:
            return request.getfixturevalue(name)
        if name.endswith("_set"):
            return ()
        return str

    levels = list(marked_levels(item))
    marked_keys = {but}
    for level in levels:
        marked_keys.update(level.keys)

    values = {}
    sources = {}
    for override in overrides(request):
        if override.given_by(marked_keys) is None:
            values[override.key], sources[override.key] = override.value(value_of)
    fixtures = [Layer(values, sources)] if values else []

    # A parameter that is a model or examples itself names no file.
    parametrized = {override.name for override in overrides(request) if override.definition is None}
    parameters = {
        name: value for name, value in parameters_of(item).items() if name not in parametrized
    }
    names_gate = naming(levels) is not None
    if names_gate:
        project.refuse_nearer_file(item.path)
    file = project.gate_file(required=names_gate)
    return Layers(
        levels,
        folder=item.path.parent,
        fixtures=fixtures,
        file=file,
        nodeid=id_of(item),
        parameters=parameters,
    )


@dataclass(frozen=True)
class Layers:
    """The layers that give a gate's keys, each kind nearest first.

    Attributes:
        levels: the markers of the test.
        folder: where relative paths in markers start.
        fixtures: the keys that fixtures give.
        file: the gate file, if there is one.
        nodeid: the test, whose id is the default name of its gate.
        parameters: of the test, without those that are a model or examples themselves.
    """

    levels: Sequence[Level]
    folder: Path
    fixtures: Sequence[Layer]
    file: GateFile | None
    nodeid: str
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
        layers = []
        for level in self.levels:
            source = Source("marker", "marker", self.folder, place=str(level.where))
            layers.append(Layer(level.keys, dict.fromkeys(level.keys, source)))
        return layers

    @cached_property
    def config(self) -> GateKeys:
        """Return the keys of the gate, resolved.

        Raises :class:`ConfigError` for what is not valid.
        """
        layers = [*self.marks, *self.fixtures]
        if self.file is not None:
            where = self._naming.where if self._naming else None
            layers += self.file.layers(self.gate, named_at=where)
        layers = [replace(layer, parameters=self.parameters) for layer in layers]

        return resolve_gate(
            layers,
            file=self.file,
            gate=self.gate,
            default_name=self.nodeid,
            named_at=self.levels[0].where,
        )

    @cached_property
    def _in_file(self) -> GateKeys | None:
        """Return the gate as the file alone defines it, including the file's defaults."""
        if self.gate is None or self.file is None:
            return None
        return as_written(self.file, self.gate)

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

        # Without a history nothing is said, unless the comparison is required.
        findings: list[weaker.Finding] = []
        if forbidden or not compared.absent:
            findings += [
                finding for finding in compared.findings if finding.gate in (None, self.gate)
            ]
        findings += self._weaker_than_file()
        if forbidden and project.requires(self.gate or self.config.name, in_file=bool(self.gate)):
            findings += self._outside_file()

        checks = [finding.check(forbidden=forbidden) for finding in findings]
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
            yield weaker.Finding("weakened", gate=None, text=text, cure=_MOVE.format("it"))
            return

        # The layers that are nearer come later, and replace the others.
        sources: dict[str, Source] = {}
        for layer in (*self.fixtures, *self.marks):
            for key in layer.values:
                sources[key] = layer.source((key,))
        sources.pop("candidate", None)

        # What is looser than the file is reported as that: written into the file it still would be.
        for key in self.loosened:
            sources.pop(key.partition(".")[0], None)

        cure = _MOVE.format(listed(sources))
        for key, source in sources.items():
            text = f"the {source.kind} gives {key} of a required gate ({source.at})"
            yield weaker.Finding("weakened", gate=None, text=text, cure=cure)
