"""Find what a test's gate was at the merge base, from its markers of that time, which are read and not run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.weakening.review import Earlier, Past
from pytest_ftgate.config import GateKeys, Layer, Source
from pytest_ftgate.errors import HistoryError, shown_path
from pytest_ftgate.plugin.marks import MARK
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


def earlier(layers: Layers, past: Past, config: GateKeys) -> Earlier:
    """Return what a test's gate was at the merge base, by its markers and the gate file of that time.

    Raises:
        FtgateError: a file or the gate of that time cannot be read.
    """
    then, gates, unread = past.file, list[GateKeys](), dict[str, None]()
    chains = _chains(layers, past, config)
    names = set()
    today = {key: value for layer in reversed(layers.marks) for key, value in layer.values.items()}
    for chain in chains:
        named = next((one.mark.gate for one in chain if one.mark.gate is not None), None)
        marks = [one.layer(today, unread) for one in chain]
        if named is not None and then is None:
            continue  # the gate file is new
        if named is not None and then is not None and named not in then.gate_names:
            unread[f"{chain[0].place} named the gate {named}, which the gate file did not have"] = None
            continue
        names.add(named)
        gates.append(layers.resolved(then, named, marks))
        given = (key for key in ("baseline", "test_set") if gates[-1].sources[key].text == LEFT_OPEN)
        unread |= {f"{key} was given by a fixture at {past.ref}": None for key in given}  # and no fixture gives it now
    if then is not None and layers.gate in then.gate_names and layers.gate not in names:
        gates.append(layers.resolved(then, layers.gate))
    if not chains:
        unread |= dict.fromkeys(_added_by_code(layers))
    return Earlier(tuple(gates), tuple(unread))


def _chains(layers: Layers, past: Past, config: GateKeys) -> list[list[_Then]]:
    """Return the markers of this test at the merge base, nearest first.

    If the test did not exist there, those of tests with the same gate: it may have had another name or place. A gate
    without a name is found if its test was renamed within its file, or moved to another one.
    """
    if past.base is None or not layers.levels:
        return []
    sources: dict[Path, TestSource | None] = {}

    def marks(file: Path, qualname: str) -> list[WrittenMark] | None:
        if file not in sources:
            content = past.content(file)
            try:
                sources[file] = None if content is None else source_of(content)
            except ValueError as error:
                raise HistoryError(f"{shown_path(file)} cannot be read as of {past.ref}: {error}") from None
        source = sources[file]
        return None if source is None else source.marks(qualname)

    past.base.read(level.file for level in layers.levels)
    found = [(level, marks(level.file, level.qualname)) for level in layers.levels]
    if found[0][1] is not None:
        chain = []
        for level, written in found:
            now = {key: code for mark in level.written() for key, code in mark.code.items()}
            chain += [_Then(level.file, mark, now) for mark in level.own(written or ())]
        return [chain] if chain else []
    name = layers.gate or (None if config.name == layers.nodeid else config.name)
    own, own_file = layers.levels[0].qualname.rpartition(".")[2], layers.levels[0].file
    files = past.base.declaring(MARK)
    past.base.read(files)
    chains: list[tuple[str, list[_Then]]] = []
    for file in files:
        marks(file, "")
        source = sources[file]
        for function, names in source.functions() if source is not None else ():
            chain = [_Then(file, mark, {}) for one in names for mark in marks(file, one) or ()]
            if not chain or next((one.mark.named for one in chain if one.mark.named is not None), None) != name:
                continue
            if name is not None or ((function == own or file == own_file) and _is_gone(file, names[0])):
                chains.append((function, chain))
    return [chain for function, chain in chains if function == own] or [chain for _, chain in chains]


def _is_gone(file: Path, qualname: str) -> bool:
    """Return whether a file does not define this test today."""
    try:
        return source_of(file.read_bytes()).marks(qualname) is None
    except (OSError, ValueError):
        return True


def _added_by_code(layers: Layers) -> Iterator[str]:
    """Yield the markers that today's source does not show, so that they may have been others."""
    for level in layers.levels:
        if level.keys and not level.written():
            yield f"the marker of {level.qualname or shown_path(level.file)} is added by code"
