"""Collect the keys of a test's gate from its markers, overridden fixtures and the gate file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.checks.attempts import check_history
from pytest_ftgate.checks.weaker.gates import Weakening
from pytest_ftgate.checks.weaker.project import Finding, as_written, loosened
from pytest_ftgate.config import GateKeys, Layer, Source, resolve_gate
from pytest_ftgate.plugin.gate_files import GateFiles
from pytest_ftgate.plugin.marks import Level, marked_levels, naming, test_id
from pytest_ftgate.plugin.overrides import given_layer, overrides, refuse_indirect, unused_fixtures
from pytest_ftgate.result import Check

if TYPE_CHECKING:
    from pytest_ftgate.config import GateFile


__tracebackhide__ = True  # tracebacks of fixtures show none of our lines

_MOVE = "Write it into the gate file: ini ftgate_forbid_weakening compares what stands there."


def layers_as_judged(request: pytest.FixtureRequest, files: GateFiles) -> Layers:
    """Return the layers of a test's gate; its overridden fixtures are set up for that."""
    remarks = tuple(unused_fixtures(request))
    return replace(_layers(request, files, request.getfixturevalue), remarks=remarks)


def layers_as_written(request: pytest.FixtureRequest, key: str, files: GateFiles) -> Layers:
    """Return the layers without an overridden fixture for ``key``, which may be the caller.

    Other overridden fixtures are not set up. A stand-in satisfies "required": a callable, or no examples.
    """
    refuse_indirect(request, f"ftgate_{key}")
    return _layers(request, files, lambda name: () if name.endswith("_set") else str, given=(key,))


def _layers(
    request: pytest.FixtureRequest, files: GateFiles, value_of: Callable[[str], Any], given: Collection[str] = ()
) -> Layers:
    """Return the layers of a test's gate; ``given`` are keys that no overridden fixture is asked for."""
    item: pytest.Item = request.node
    levels = list(marked_levels(item))
    named = naming(levels) is not None
    known = {*given, *(key for level in levels for key in level.keys)}
    used = [one for one in overrides(request) if one.given_by(known) is None]
    fixtures = given_layer(used, value_of)
    return Layers(
        levels,
        item.path.parent,
        [fixtures] if fixtures else [],
        files.gate_file(item.path.parent, required=named),
        test_id(item),
        item.config.rootpath,
    )


@dataclass(frozen=True)
class Layers:
    """The layers that give a gate's keys, each kind nearest first.

    Attributes:
        folder: where relative paths in markers start.
        nodeid: the test, whose id is the default name of its gate.
        remarks: checks of the overridden fixtures.
    """

    levels: Sequence[Level]
    folder: Path
    fixtures: Sequence[Layer]
    file: GateFile | None
    nodeid: str
    root: Path
    remarks: tuple[Check, ...] = ()

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
        sources = [Source("marker", "marker", self.folder, place=str(level.where)) for level in self.levels]
        return [
            Layer(level.keys, dict.fromkeys(level.keys, source))
            for level, source in zip(self.levels, sources, strict=True)
        ]

    @cached_property
    def config(self) -> GateKeys:
        """Return the keys of the gate, resolved. Raises :class:`ConfigError` for what is not valid."""
        where = self._naming.where if self._naming else None
        written = self.file.layers(self.gate, named_at=where) if self.file else ()
        layers = [*self.marks, *self.fixtures, *written]
        return resolve_gate(layers, file=self.file, gate=self.gate, default_name=self.nodeid, root=self.root)

    @cached_property
    def loosened(self) -> tuple[Weakening, ...]:
        """Return where the test requires less than the gate in the file, including the file's defaults.

        Another training set is no weaker gate, but it is not the gate of the file either.
        """
        if self.gate is None or self.file is None:
            return ()
        before, after = as_written(self.file, self.gate), self.config
        places = (before.place_of, after.place_of)
        return tuple(
            replace(one, where=" -> ".join(dict.fromkeys(filter(None, (place(one.key) for place in places)))))
            for one in loosened(before, after, of_marker=True)
        )

    def reviewed(self, files: GateFiles) -> tuple[Check, ...]:
        """Return remarks on the layers, and whether the gate requires less than at the merge base or in the file."""
        compared = files.compared(files.path(self.folder))
        forbidden = files.forbids_weakening or compared.forbade
        found = [*compared.of(self.gate), *self._outside(files, forbidden=forbidden)]
        if compared.absent and not (forbidden or files.required):
            found = [one for one in found if one.kind != "unread"]
        checks = (one.check(forbidden=forbidden) for one in found)
        return (*self.remarks, *check_history(self.config, files.base_ref), *checks)

    def _outside(self, files: GateFiles, *, forbidden: bool) -> Iterator[Finding]:
        """Yield what markers and fixtures require less than the gate file; where it must not be weaker, all they give.

        A required gate must then stand in the gate file, where it can be compared. Its candidate may be a fixture's.
        """
        for one in self.loosened:
            yield Finding("weaker", f"weaker than the gate file: {one}{f' ({one.where})' if one.where else ''}")
        if not forbidden or not files.requires(self.gate or self.config.name, in_file=self.gate is not None):
            return
        if self.gate is None:
            yield Finding("weaker", f"the required gate {self.config.name} is not in the gate file", cure=_MOVE)
        given = {key: layer.source((key,)) for layer in (*self.fixtures, *self.marks) for key in layer.values}
        for key, source in given.items() if self.gate is not None else ():
            if key != "candidate":
                yield Finding("weaker", f"the {source.kind} gives {key} of a required gate ({source.at})", cure=_MOVE)
