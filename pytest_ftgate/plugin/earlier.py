"""Find what a test's gate was at the merge base, from its markers of that time, which are read and not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.weakening.past import Past
from pytest_ftgate.config import GateKeys, Layer, Source
from pytest_ftgate.errors import HistoryError, shown_path
from pytest_ftgate.plugin.marks import MARK, Level
from pytest_ftgate.plugin.written_marks import TestSource, WrittenMark, source_of

if TYPE_CHECKING:
    from pytest_ftgate.plugin.layers import Layers

LEFT_OPEN = "left open then"
"""The source of a key that only today's markers give, and that a fixture must have given at the merge base."""


@dataclass(frozen=True)
class _Then:
    """A marker at the merge base, and the source of the keys that are written there today."""

    file: Path
    mark: WrittenMark
    code_now: Mapping[str, str]

    @property
    def place(self) -> str:
        return f"{shown_path(self.file)}:{self.mark.line}"

    def layer(self, today: Mapping[str, Any], unread: dict[str, None]) -> Layer:
        """Return the marker's keys, with today's values of those that are no literals.

        They are added to ``unread``, unless they are an object by the same name: then its file is compared.
        """
        keys = dict(self.mark.keys)
        for key, code in self.mark.code.items():
            if key in today:
                keys[key] = today[key]
            if self.code_now.get(key) != code or key not in today or _is_plain(today[key]):
                unread[f"{key} of the marker at {self.place} is not a literal value: {code}"] = None
        source = Source("marker", "marker", self.file.parent, place=self.place)
        return Layer(keys, dict.fromkeys(keys, source))


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple | set):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bytes | int | float)


def earlier(layers: Layers, past: Past, config: GateKeys) -> tuple[list[GateKeys], list[str]]:
    """Return what a test's gate was at the merge base, by its markers and the gate file of that time, and what of them
    cannot be read.

    Raises:
        FtgateError: a file or the gate of that time cannot be read.
    """
    gates, unread = list[GateKeys](), dict[str, None]()
    known = past.file.gate_names if past.file else ()
    today = {key: value for layer in reversed(layers.marks) for key, value in layer.values.items()}
    chains = _chains(layers, past, config)
    judged = set()
    for chain in chains:
        named = next((one.mark.gate for one in chain if one.mark.gate is not None), None)
        marks = [one.layer(today, unread) for one in chain]
        if named is None or named in known:
            judged.add(named)
            gates.append(layers.resolved(past.file, named, marks))
            given = (key for key in ("baseline", "test_set") if gates[-1].sources[key].text == LEFT_OPEN)
            unread |= {f"{key} was given by a fixture at {past.ref}": None for key in given}  # and none gives it now
        elif past.file is not None:  # else the gate file is new
            unread[f"{chain[0].place} named the gate {named}, which the gate file did not have"] = None
    if layers.gate in known and layers.gate not in judged:
        gates.append(layers.resolved(past.file, layers.gate))
    for level in layers.levels if not chains else ():
        if level.keys and level.qualname is not None and not level.written():  # it may have been another
            unread[f"the marker of {level.qualname or shown_path(level.file)} is added by code"] = None
    return gates, list(unread)


def _chains(layers: Layers, past: Past, config: GateKeys) -> list[list[_Then]]:
    """Return the markers of this test at the merge base, nearest first.

    If the test did not exist there, those of tests with the same gate: it may have had another name or place. A gate
    without a name is found if its test was renamed within its file, or moved to another one.
    """
    levels = [level for level in layers.levels if level.qualname is not None]
    if past.base is None or not levels:
        return []
    past.base.read(level.file for level in levels)
    own, own_file = levels[0].qualname or "", levels[0].file
    if past.base.content(own_file) is not None and own in _written_then(own_file, past).marks:
        chain = []
        for level in levels:
            now = {key: code for mark in level.written() for key, code in mark.code.items()}
            written = _written_then(level.file, past).marks.get(level.qualname or "", [])
            chain += [_Then(level.file, mark, now) for mark in _of_parameter(level, written)]
        return [chain] if chain else []
    name = layers.gate or (None if config.name == layers.nodeid else config.name)
    files = past.base.declaring(MARK)
    past.base.read(files)
    chains: dict[bool, list[list[_Then]]] = {True: [], False: []}
    for file in files:
        source = _written_then(file, past)
        for qualname in source.functions:
            parts = qualname.split(".")
            outwards = [".".join(parts[:count]) for count in range(len(parts), -1, -1)]
            chain = [_Then(file, mark, {}) for one in outwards for mark in source.marks[one]]
            if not chain or next((one.mark.named for one in chain if one.mark.named is not None), None) != name:
                continue
            same_name = parts[-1] == own.rpartition(".")[2]
            if name is not None or ((same_name or file == own_file) and _is_gone(file, qualname)):
                chains[same_name].append(chain)
    return chains[True] or chains[False]


def _written_then(file: Path, past: Past) -> TestSource:
    """Return the source of a file at the merge base; an empty one if it did not exist."""
    assert past.base is not None
    try:
        return source_of(past.base.content(file) or b"")
    except ValueError as error:
        raise HistoryError(f"{shown_path(file)} cannot be read as of {past.ref}: {error}") from None


def _of_parameter(level: Level, marks: Sequence[WrittenMark]) -> list[WrittenMark]:
    """Return those of the markers that were this level's.

    Raises:
        HistoryError: several parameters had markers, and it is not known which became this one.
    """
    shared = [mark for mark in marks if not mark.of_parameter]
    single = [mark for mark in marks if mark.of_parameter]
    if level.parameter is False or not single:
        return shared
    name = level.gate or level.keys.get("name")
    alike = [mark for mark in single if mark.named == name] if len(single) > 1 else single
    unchanged = [mark for mark in alike if mark.keys == level.keys and not mark.code]
    if len(alike) > 1 and not unchanged:
        raise HistoryError(f"several parameters of {level.qualname} have markers without the name of a gate")
    return [*(unchanged or alike)[:1], *(shared if level.parameter is None else [])]


def _is_gone(file: Path, qualname: str) -> bool:
    """Return whether a file does not define this test today."""
    try:
        return qualname not in source_of(file.read_bytes()).marks
    except (OSError, ValueError):
        return True
