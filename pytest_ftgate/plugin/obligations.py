"""Gates that must be judged: what ini ``ftgate_required`` asks for, against what this session has seen."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_ftgate.errors import FtgateError, shown_path
from pytest_ftgate.plugin.gate_files import GateFiles
from pytest_ftgate.reports.text import Line
from pytest_ftgate.result import GateResult


@dataclass
class Seen:
    """What became of the tests that carry a gate, by the gate's name.

    Attributes:
        collected: gates that a test was collected for.
        deselected: gates that a test was taken out of the run for.
        skipped: gates that a test was skipped for, with the reason.
        tests: the tests that carry each gate, their parameters aside, whatever became of them.
    """

    collected: set[str] = field(default_factory=set)
    deselected: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)
    tests: dict[str, set[str]] = field(default_factory=dict)

    def carries(self, test: str, name: str) -> None:
        """A test, by its id without parameters, carries a gate."""
        self.tests.setdefault(name, set()).add(test)

    def to_plain(self) -> dict[str, Any]:
        """For an xdist worker's output."""
        return {
            "collected": sorted(self.collected),
            "deselected": sorted(self.deselected),
            "skipped": dict(self.skipped),
            "tests": {name: sorted(tests) for name, tests in self.tests.items()},
        }

    def add(self, plain: dict[str, Any]) -> None:
        """What another process has seen."""
        self.collected.update(plain["collected"])
        self.deselected.update(plain["deselected"])
        self.skipped.update(plain["skipped"])
        for name, tests in plain["tests"].items():
            self.tests.setdefault(name, set()).update(tests)


def unjudged(
    required: Sequence[str], results: Sequence[GateResult], seen: Seen, *, in_file: Collection[str]
) -> list[dict[str, str]]:
    """The obligations that are not met, each with the reason: ``[{"name": ..., "reason": ...}]``.

    An obligation is met where the gate was judged at least once, every time with ``pass``, and no mark and no fixture
    asked for less than the file. A gate of the file is not met by another that a mark gives its name; where marks alone
    give a name, every test that carries it must have been judged, since each may be a gate of its own.

    Args:
        required: names of gates.
        results: what was judged.
        seen: what became of the tests that carry a gate.
        in_file: the gates of the gate file.
    """
    reasons = {}
    for name in dict.fromkeys(required):
        judged = [result for result in results if (result.gate if name in in_file else result.name) == name]
        namesake = next((result for result in results if result.name == name and result not in judged), None)
        reasons[name] = _reason(name, judged, namesake, seen)
        if reasons[name] is None and name not in in_file:
            reasons[name] = _left_out(name, judged, seen)
    return [{"name": name, "reason": reason} for name, reason in reasons.items() if reason is not None]


def not_passed(result: GateResult) -> str:
    """Why an obligation is not met by a gate that was judged, and is not green."""
    return f"the verdict of {result.nodeid} is {result.verdict}"


def _reason(name: str, judged: Sequence[GateResult], namesake: GateResult | None, seen: Seen) -> str | None:
    if not judged:
        return f"{namesake.nodeid} is another gate of that name" if namesake else _absence(name, seen)
    for result in judged:
        if not result.passed:
            return not_passed(result)
        if result.loosened:
            return f"{result.nodeid} asks for less than the file: {'; '.join(result.loosened)}"
    return None


def _left_out(name: str, judged: Sequence[GateResult], seen: Seen) -> str | None:
    missing = [
        test
        for test in sorted(seen.tests.get(name, ()))
        if not any(result.nodeid == test or result.nodeid.startswith(f"{test}[") for result in judged)
    ]
    return f"{missing[0]} carries it too, and was not judged" if missing else None


def _absence(name: str, seen: Seen) -> str:
    if name in seen.skipped:
        return f"its test was skipped: {seen.skipped[name]}"
    if name in seen.deselected:
        return "its test was deselected (-k, -m, --deselect, --lf or the like)"
    if name in seen.collected:
        return "its test was collected but not judged: the run stopped early, or a worker was lost"
    return "no test of this run carries it"


@dataclass(frozen=True)
class Owed:
    """What has to be said of gates that were not judged.

    Attributes:
        unjudged: the obligations that were not met, as ``{"name": ..., "reason": ...}``.
        removed: sentences on gates that are gone since this change began.
        partial: obligations are printed instead of enforced.
        told: reasons that the block of a gate has told already.
    """

    unjudged: Sequence[dict[str, str]] = ()
    removed: Sequence[str] = ()
    partial: bool = False
    told: frozenset[str] = frozenset()

    @property
    def red(self) -> bool:
        return bool(self.unjudged) and not self.partial

    def lines(self) -> Iterator[Line]:
        """As the terminal shows it, below the blocks of the gates."""
        colour = "yellow" if self.partial else "red"
        waived = " (not enforced: --ftgate-partial)" if self.partial else ""
        for one in self.unjudged:
            if one["reason"] in self.told:
                continue
            yield Line(f"required gate {one['name']}: {one['reason']}{waived}", colour)
        yield from (Line(text, "red") for text in self.removed)


def find_owed(config: pytest.Config, files: GateFiles, results: Sequence[GateResult], seen: Seen) -> Owed:
    """Hold what the ini asks for against what this session has judged and seen.

    Where weakening is forbidden, gates that are required and were removed stay an obligation.
    """
    required: list[str] = config.getini("ftgate_required")
    unmet = _unmet(required, files, results, seen)
    owed = required if files.forbids_weakening else []
    ref, gone = _removed(files) if results or owed else ("", [])
    known = {one["name"] for one in unmet}
    since = f"was removed from {shown_path(files.ini_path)} since {ref}"
    for name in gone:
        if name not in known and ("all" in owed or name in owed):
            unmet.append({"name": name, "reason": f"it {since}"})
    return Owed(
        unmet,
        [f"the gate {name} {since}" for name in gone],
        bool(config.getoption("--ftgate-partial")),
        told=frozenset(not_passed(result) for result in results if not result.passed),
    )


def _unmet(
    required: Sequence[str], files: GateFiles, results: Sequence[GateResult], seen: Seen
) -> list[dict[str, str]]:
    """The obligations are those of the ini's gate file, whatever file the command line names."""
    if not required:
        return []
    try:
        in_file = files.ini_file().gate_names
    except FtgateError as error:
        if "all" in required or os.path.exists(files.ini_path):
            return [{"name": name, "reason": str(error).splitlines()[0]} for name in required]
        in_file = ()  # gates may stand in marks alone
    if "all" in required and not in_file:
        return [{"name": "all", "reason": f"{shown_path(files.ini_path)} has no gates"}]
    names = [name for one in required for name in (in_file if one == "all" else (one,))]
    return unjudged(names, results, seen, in_file=in_file)


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
