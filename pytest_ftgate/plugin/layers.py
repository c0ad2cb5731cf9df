"""Collect the keys of a test's gate from its markers, overridden fixtures and the gate file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.checks.attempts import check_history
from pytest_ftgate.checks.weakening.comparison import Weakening, another_training_set, weakenings
from pytest_ftgate.checks.weakening.review import review_checks
from pytest_ftgate.config import GateKeys, Layer, Source, resolve_gate
from pytest_ftgate.config.resolve import STANDARDS
from pytest_ftgate.plugin.gate_files import GateFiles
from pytest_ftgate.plugin.marks import Level, marked_levels, naming, test_id
from pytest_ftgate.plugin.overrides import FIXTURES, given_layer, overrides, refuse_indirect, unused_fixtures
from pytest_ftgate.result import Check

if TYPE_CHECKING:
    from pytest_ftgate.config import GateFile


__tracebackhide__ = True  # tracebacks of fixtures show none of our lines

_ANY_CANDIDATE = Layer({"candidate": str}, {"candidate": Source("fixture", "no candidate", Path())})
"""A stand-in for the candidate, which is not a requirement of a gate; at the stage ready there is none."""


_REQUIRED = (*FIXTURES.values(), "baselines", *STANDARDS)
"""The keys without a default, which the file may leave to markers and fixtures."""


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
    nearest = naming(levels)
    gate = nearest.gate if nearest else None
    known = {*given, *(key for level in levels for key in level.keys)}
    used = [one for one in overrides(request) if one.given_by(known) is None]
    fixtures = given_layer(used, value_of)
    return Layers(
        levels,
        item.path.parent,
        [fixtures] if fixtures else [],
        files.gate_file(required=gate is not None),
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

    @property
    def gate(self) -> str | None:
        """Return the gate in the gate file that the nearest marker names."""
        nearest = naming(self.levels)
        return nearest.gate if nearest else None

    @cached_property
    def marks(self) -> list[Layer]:
        """Return the keys that markers give."""
        sources = [Source("marker", "marker", self.folder, place=str(level.where)) for level in self.levels]
        return [
            Layer(level.keys, dict.fromkeys(level.keys, source))
            for level, source in zip(self.levels, sources, strict=True)
        ]

    def resolve(self) -> GateKeys:
        nearest = naming(self.levels)
        written = self.file.layers(self.gate, named_at=nearest.where if nearest else None) if self.file else ()
        layers = [*self.marks, *self.fixtures, *written]
        return resolve_gate(layers, file=self.file, gate=self.gate, default_name=self.nodeid, root=self.root)

    def loosened(self) -> tuple[Weakening, ...]:
        """Return where the test requires less than the gate in the file, including the file's defaults.

        Another training set is no weaker gate, but it is not the gate of the file either.
        """
        if self.gate is None or self.file is None:
            return ()
        before, after = self.in_file(self.file), self.resolve()
        places = (before.place_of, after.place_of)
        return tuple(
            replace(one, where=" -> ".join(dict.fromkeys(filter(None, (place(one.key) for place in places)))))
            for one in (*weakenings(before, after), *another_training_set(before, after))
        )

    def reviewed(self, config: GateKeys, files: GateFiles) -> tuple[Check, ...]:
        """Return remarks on the layers, and whether the gate requires less than at the merge base or in the file."""
        found = review_checks(
            files.past,
            self.gate,
            in_file=self.in_file,
            now=self.file,
            loosened=self.loosened(),
            forbidden=files.forbids_weakening,
            owed=files.owes,
        )
        return (*self.remarks, *check_history(config, files.base_ref), *found)

    def in_file(self, file: GateFile) -> GateKeys:
        """Return the gate as a gate file defines it, which may be that of the merge base.

        What that file leaves to markers and fixtures is taken from today's, and so are models that it does not have.
        """
        then = file.layers(self.gate)
        has_standard = any(key in STANDARDS for layer in then for key in layer.values)
        left_open = {*_REQUIRED} - {*(STANDARDS if has_standard else ())}
        required = [
            Layer({key: value for key, value in layer.values.items() if key in left_open}, layer.sources)
            for layer in (*self.marks, *self.fixtures)
        ]
        models = {**(self.file.models if self.file else {}), **file.models}
        layers = [*then, *required, _ANY_CANDIDATE]
        return resolve_gate(layers, file=replace(file, models=models), gate=self.gate, default_name=self.nodeid)
