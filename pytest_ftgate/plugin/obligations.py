"""Gates that must be judged: what ini ``ftgate_required`` asks for, against what this session has seen."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from pytest_ftgate.errors import FtgateError, shown_path
from pytest_ftgate.plugin.gate_files import GateFiles
from pytest_ftgate.reports.text import Line
from pytest_ftgate.result import GateResult
from pytest_ftgate.text import suggestion


@dataclass
class Seen:
    """What became of the tests that carry a gate, by the gate's name."""

    collected: set[str] = field(default_factory=set)
    deselected: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)  # with the reason
    tests: dict[str, set[str]] = field(default_factory=dict)  # all of them, their parameters aside

    def see(self, test: str, name: str, *, deselected: bool = False) -> None:
        """Note that a test, by its id without parameters, carries a gate."""
        (self.deselected if deselected else self.collected).add(name)
        self.tests.setdefault(name, set()).add(test)

    def to_plain(self) -> dict[str, Any]:
        """Return what an xdist worker sends."""
        return asdict(self)

    def add(self, plain: Mapping[str, Any]) -> None:
        """Add what another process has seen."""
        self.collected |= plain["collected"]
        self.deselected |= plain["deselected"]
        self.skipped |= plain["skipped"]
        for name, tests in plain["tests"].items():
            self.tests.setdefault(name, set()).update(tests)


@dataclass(frozen=True, slots=True)
class Unmet:
    """The name of a gate that had to be judged and was not, and why."""

    name: str
    reason: str
    told: bool = False  # by the block of the gate


@dataclass(frozen=True, slots=True)
class Owed:
    """What has to be said of gates that were not judged."""

    unmet: Sequence[Unmet] = ()
    removed: Sequence[str] = ()  # sentences on gates that are gone since this change began
    partial: bool = False  # obligations are printed instead of enforced

    @property
    def red(self) -> bool:
        return bool(self.unmet) and not self.partial

    def lines(self) -> Iterator[Line]:
        """As the terminal shows it, below the blocks of the gates."""
        colour, waived = ("yellow", " (not enforced: --ftgate-partial)") if self.partial else ("red", "")
        for one in self.unmet:
            if not one.told:
                yield Line(f"required gate {one.name}: {one.reason}{waived}", colour)
        yield from (Line(text, "red") for text in self.removed)


def find_owed(config: pytest.Config, files: GateFiles, results: Sequence[GateResult], seen: Seen) -> Owed:
    """Hold what the ini asks for against what this session has judged and seen.

    The obligations are those of the ini's gate file, whatever file the command line names. Where weakening is
    forbidden, gates that are required and were removed stay an obligation.
    """
    required: list[str] = config.getini("ftgate_required")
    unmet = _unmet_of_file(required, files, results, seen) if required else []
    forbidden = required if files.forbids_weakening else []
    ref, gone = _removed(files) if results or forbidden else ("", [])
    known = {one.name for one in unmet}
    since = f"was removed from {shown_path(files.ini_path)} since {ref}"
    unmet += [
        Unmet(name, f"it {since}") for name in gone if name not in known and not {"all", name}.isdisjoint(forbidden)
    ]
    partial = bool(config.getoption("--ftgate-partial"))
    return Owed(unmet, [f"the gate {name} {since}" for name in gone], partial)


def _unmet_of_file(required: Sequence[str], files: GateFiles, results: Sequence[GateResult], seen: Seen) -> list[Unmet]:
    try:
        in_file = files.ini_file().gate_names
    except FtgateError as error:
        if "all" in required or os.path.exists(files.ini_path):
            return [Unmet(name, error.headline) for name in required]
        in_file = ()  # gates may stand in marks alone
    if "all" in required and not in_file:
        return [Unmet("all", f"{shown_path(files.ini_path)} has no gates")]
    names = [name for one in required for name in (in_file if one == "all" else (one,))]
    return find_unmet(names, results, seen, in_file=in_file)


def _removed(files: GateFiles) -> tuple[str, Sequence[str]]:
    """Where this change began, and the gates that were removed from the ini's gate file since."""
    from pytest_ftgate.checks.weakening.review import removed_gates

    past = files.past(files.ini_path)
    if past is None or past.file is None:
        return "", []
    try:
        now = files.ini_file().gate_names if files.ini_path.exists() else ()
    except FtgateError:
        return "", []  # a file that cannot be read is said where a gate needs it
    return past.ref, removed_gates(past, now)


def find_unmet(
    required: Sequence[str], results: Sequence[GateResult], seen: Seen, *, in_file: Collection[str]
) -> list[Unmet]:
    """Return the obligations that are not met, each with its first reason.

    An obligation is met where the gate was judged at least once, every time with ``pass``, and no mark and no fixture
    asked for less than the file. A gate of the file is not met by another that a mark gives its name; where marks alone
    give a name, every test that carries it must have been judged, since each may be a gate of its own.
    """
    firsts = (next(_unmet(name, results, seen, in_file), None) for name in dict.fromkeys(required))
    return [one for one in firsts if one is not None]


def _unmet(name: str, results: Sequence[GateResult], seen: Seen, in_file: Collection[str]) -> Iterator[Unmet]:
    judged = [result for result in results if (result.gate if name in in_file else result.name) == name]
    if not judged:
        namesake = next((result for result in results if result.name == name), None)
        yield Unmet(
            name, f"{namesake.nodeid} is another gate of that name" if namesake else _absence(name, seen, in_file)
        )
    for result in judged:
        if not result.passed:
            yield Unmet(name, f"the verdict of {result.nodeid} is {result.verdict}", told=True)
        elif result.loosened:
            yield Unmet(name, f"{result.nodeid} asks for less than the file: {'; '.join(result.loosened)}")
    if name not in in_file:
        tests = {result.nodeid for result in judged}
        for test in sorted(seen.tests.get(name, ())):
            if not any(nodeid == test or nodeid.startswith(f"{test}[") for nodeid in tests):
                yield Unmet(name, f"{test} carries it too, and was not judged")


def _absence(name: str, seen: Seen, in_file: Collection[str]) -> str:
    if name in seen.skipped:
        return f"its test was skipped: {seen.skipped[name]}"
    if name in seen.deselected:
        return "its test was deselected (-k, -m, --deselect, --lf or the like)"
    if name in seen.collected:
        return "its test was collected but not judged: the run stopped early, or a worker was lost"
    return "no collected test has this marker" + ("" if name in in_file else suggestion(name, (*in_file, *seen.tests)))
