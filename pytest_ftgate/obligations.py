"""Gates that must be judged: what ini ``ftgate_required`` asks for, against what this session has seen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

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
