"""Compare the gates that ini ``ftgate_required`` requires with those that this session judged."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_ftgate.errors import FtgateError, shown_path
from pytest_ftgate.gate.state import sign_of_ci
from pytest_ftgate.ini_file import line_of
from pytest_ftgate.plugin import gate_files, ini_keys
from pytest_ftgate.reports.text import Line, finding
from pytest_ftgate.result import GateResult
from pytest_ftgate.text import nearest, shortened

KEY = "ftgate_required"


@dataclass
class Seen:
    """The tests with an ftgate marker that this session collected, by their ids, and why some were not judged."""

    names: dict[str, str] = field(default_factory=dict)  # of their gates
    absent: dict[str, str] = field(default_factory=dict)


DESELECTED = "was deselected (-k, -m, --deselect, --lf or the like)"
BROKEN = "was not judged, because its set-up failed"


@dataclass(frozen=True, slots=True)
class Unmet:
    """A required gate that did not pass, and why.

    ``test`` is the one that failed for that, ``meant`` the gate whose name was probably meant.
    """

    name: str
    reason: str
    test: str | None = None
    meant: str | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """What the session owes: required gates that did not pass, and what is weaker in no gate of the gate file.

    Args:
        weaker: findings of the comparison with the base branch, one a line.
        forbidden: they make the session fail.
        waived_by: the option with which required gates are listed, not enforced.
        setting: the ini key as written, and where.
    """

    unmet: Sequence[Unmet] = ()
    weaker: Sequence[str] = ()
    forbidden: bool = False
    waived_by: str | None = None
    setting: str = ""

    @property
    def red(self) -> bool:
        """Return whether the session fails."""
        return bool(self.unmet and self.waived_by is None) or bool(self.weaker and self.forbidden)

    def lines(self) -> Iterator[Line]:
        """Yield the lines for the terminal that are no errors."""
        if self.waived_by == ini_keys.ALLOW_MISSING:  # a plan has no verdict to require
            yield from (Line(f"{told}; not enforced: {self.waived_by}", "yellow") for told in self._told(()).values())
        if not self.forbidden:
            yield from (Line(text, "red") for text in self.weaker)

    def errors(self, counted: Collection[str] = ()) -> Iterator[tuple[str, str, str]]:
        """Yield what fails the session: the ini key, the reasons, and the whole text.

        What the tests in ``counted`` failed for pytest has told.
        """
        if not self.waived_by and (told := self._told(counted)):
            cure = f"for local work add {ini_keys.ALLOW_MISSING} (refused in CI)" if not sign_of_ci() else None
            meant = [f"{one.meant} in place of {one.name}" for one in self.unmet if one.meant]
            cure = f"write {', '.join(meant)} in {KEY}" if meant else cure
            whats, by = [f"ERROR {one}" for one in told.values()], f"required by {self.setting}"
            parts = [*map(finding, whats[:-1]), finding(whats[-1], by, cure)]
            yield KEY, "; ".join(told), _joined(parts)
        if self.forbidden and self.weaker:
            whole = _joined(finding(f"ERROR {one}") for one in self.weaker)
            yield "ftgate_forbid_weakening", "; ".join(self.weaker), whole

    def _told(self, counted: Collection[str]) -> dict[str, str]:
        """Return what is not met in a few words, and as a sentence."""
        names: dict[str, list[str]] = {}
        for one in self.unmet:
            if one.test is None or one.test not in counted:
                names.setdefault(one.reason, []).append(one.name)
        return {
            f"{', '.join(those)}: {reason}": f"required gate {', '.join(those)} is not met: {reason}"
            for reason, those in names.items()
        }


def _joined(findings: Iterable[Iterable[list[str]]]) -> str:
    return "\n".join(line for found in findings for part in found for line in part)


def find_owed(config: pytest.Config, files: gate_files.GateFiles, results: Sequence[GateResult], seen: Seen) -> Owed:
    """Return the required gates that did not pass in this session, and what is weaker than at the merge base."""
    unmet = _find_unmet(files, results, seen) if files.required else []
    weaker, forbidden = [], files.forbids_weakening
    if results or files.required or forbidden:
        paths = files.paths(seen.names)
        compared = [files.compared(path) for path in paths]
        forbidden = forbidden or any(one.forbade for one in compared)
        now = {name for path in paths for name in _gates_of(files, path)}
        told = bool(results or (compared[0].absent and not forbidden))
        for finding in dict.fromkeys(finding for one in compared for finding in one.findings):
            gone = finding.gate if finding.gate not in now else None
            if gone and forbidden and (finding.owed or files.requires(gone, in_file=True)):
                unmet = [*(one for one in unmet if one.name != gone), Unmet(gone, finding.text)]
            elif gone or (finding.gate is None and not told):
                weaker.append(finding.text)
    waived_by = ini_keys.ALLOW_MISSING if config.getoption(ini_keys.ALLOW_MISSING) else ini_keys.planning_option(config)
    place = f" ({line_of(config.inipath, KEY)})" if config.inipath is not None else ""
    setting = f"{KEY} = {shortened(' '.join(files.required))}{place}" if files.required else f"{KEY} of the base branch"
    return Owed(unmet, weaker, forbidden, waived_by, setting)


def _gates_of(files: gate_files.GateFiles, path: Path) -> Sequence[str]:
    """Return the gates of a file; none where it cannot be read, which the gates that need it tell."""
    try:
        file = files.load(path)
    except FtgateError:
        return ()
    return file.gate_names if file is not None else ()


def _find_unmet(files: gate_files.GateFiles, results: Sequence[GateResult], seen: Seen) -> list[Unmet]:
    """Return the required gates that did not pass, each with its first reason.

    A gate passes if each of its tests was judged and passed, and no marker or fixture required less than the file. A
    gate of a file is not replaced by one that only has the same name in a marker.
    """
    required = {one: one.removesuffix(":ready") for one in files.required}  # met before training (intents:ready)
    every, known, unmet = "all" in required.values(), dict[Path, Sequence[str]](), dict[str, Unmet]()
    for path in files.paths(seen.names, below=every):
        try:
            file = files.load(path)
            known |= {path: file.gate_names} if file is not None else {}
        except FtgateError as error:
            unmet |= {name: Unmet(name, error.headline) for name in required.values()}
    if every and not unmet and not any(known.values()):
        cure = "create it, or, for gates in markers, give each marker name=NAME and write ftgate_required = NAME"
        shown = shown_path(files.path())
        reason = f"{shown} has no gates" if known else f"it means the gates of {shown}, which does not exist: {cure}"
        unmet["all"] = Unmet("all", reason)
    judged = {result.nodeid: result for result in results}
    claims = {**{test: result.name for test, result in judged.items()}, **seen.names}
    claims |= {test: result.gate for test, result in judged.items() if result.gate is not None}
    for one, name in required.items():
        holders: list[tuple[str, Path | None]] = []
        holders += ((gate, path) for path, names in known.items() for gate in names if name in ("all", gate))
        for gate, holder in holders or ([(name, None)] if name != "all" else []):
            named = [test for test, claimed in claims.items() if claimed == gate]
            tests = {test: judged.get(test) for test in named if holder in (None, files.path_of(test))}
            found = next(_unmet(gate, tests, seen, in_file=holder is not None, ready=name != one), None)
            if found is None and not tests:
                in_files = (each for names in known.values() for each in names)
                near = nearest(gate, (*in_files, *seen.names.values())) if holder is None else None
                words = f"; did you mean '{near}'?" if near else ""
                found = Unmet(gate, f"no collected test has this marker{words}", meant=near)
            if found is not None:
                unmet.setdefault(gate, found)
    return list(unmet.values())


def _unmet(
    name: str, tests: Mapping[str, GateResult | None], seen: Seen, *, in_file: bool, ready: bool
) -> Iterator[Unmet]:
    """Yield why a gate is not met by the tests that claim its name: one of a gate file, or one of markers without."""
    for test, result in ((test, result) for test, result in tests.items() if result is not None):
        if not result.passed:
            yield Unmet(name, f"the verdict of {test} is {result.verdict}", test)
        elif in_file and result.gate != name:
            if not any(one is not None and one.gate == name for one in tests.values()):
                yield Unmet(name, f"{test} is a different gate with that name")
        elif result.loosened:
            yield Unmet(name, f"{test} requires less than the gate file: {'; '.join(result.loosened)}")
        elif result.stage == "ready" and not ready:
            yield Unmet(name, f"{test} judged no candidate (stage: ready), which counts only as {name}:ready")
    for test in (one for one, result in tests.items() if result is None or (result.passed and one in seen.absent)):
        why = seen.absent.get(test, "was collected but not judged: the run stopped early, or a worker crashed")
        yield Unmet(name, f"{test} {why}", test if why == BROKEN else None)


def unmarked(
    files: gate_files.GateFiles, results: Sequence[GateResult], seen: Seen, known: Collection[str]
) -> Iterator[str]:
    """Yield a sentence for each gate file of a judged gate that has gates without a test, but those that are known.

    Nothing is said of a file unless its whole folder was collected.
    """
    for path in dict.fromkeys(files.path_of(result.nodeid) for result in results if result.gate is not None):
        left = [name for name in _gates_of(files, path) if name not in (*seen.names.values(), *known)]
        if left and files.collects(path.parent):
            yield f"no collected test marks {', '.join(left)} of {shown_path(path)}"
