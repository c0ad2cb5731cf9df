"""Compare the gates that ini ``ftgate_required`` requires with those that this session judged."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from pytest_ftgate.errors import FtgateError, shown_path
from pytest_ftgate.ini_file import line_of
from pytest_ftgate.plugin.gate_files import GateFiles
from pytest_ftgate.plugin.planning import planning_option
from pytest_ftgate.reports.text import Line
from pytest_ftgate.result import GateResult
from pytest_ftgate.text import shortened, suggestion

KEY = "ftgate_required"

SIGNS_OF_CI = (
    "CI", "BUILD_NUMBER", "JENKINS_URL", "TF_BUILD", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID", "GITHUB_ACTIONS",
    "GITLAB_CI", "BUILDKITE", "CIRCLECI", "TRAVIS", "APPVEYOR", "DRONE", "BITBUCKET_BUILD_NUMBER", "bamboo_buildKey",
    "GO_PIPELINE_NAME", "CIRRUS_CI", "SEMAPHORE",
)  # fmt: skip


def sign_of_ci(environment: Mapping[str, str]) -> str | None:
    """Return the environment variable that shows that this is a CI job: one that is set and not empty."""
    return next((name for name in SIGNS_OF_CI if environment.get(name)), None)


@dataclass
class Seen:
    """The tests with an ftgate marker that this session collected, deselected or skipped, by the gate's name."""

    collected: set[str] = field(default_factory=set)
    deselected: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)  # by name, with the reason
    tests: dict[str, set[str]] = field(default_factory=dict)  # ids of all tests, without parameters
    broken: set[str] = field(default_factory=set)  # the set-up failed before the gate was judged

    def see(self, test: str, name: str, *, deselected: bool = False) -> None:
        """Record a test with a gate by its id without parameters."""
        (self.deselected if deselected else self.collected).add(name)
        self.tests.setdefault(name, set()).add(test)

    def absence(self, name: str, in_file: Collection[str]) -> str:
        """Return why a gate was not judged; ``in_file`` are the gates of the gate file."""
        if name in self.skipped:
            return f"its test was skipped: {self.skipped[name]}"
        if name in self.broken:
            return "the set-up of its test failed before the gate was judged: its error is above"
        if name in self.deselected:
            return "its test was deselected (-k, -m, --deselect, --lf or the like)"
        if name in self.collected:
            return "its test was collected but not judged: the run stopped early, or a worker crashed"
        near = "" if name in in_file else suggestion(name, (*in_file, *self.tests))
        return f"no collected test has this marker{near}"

    def to_plain(self) -> dict[str, Any]:
        """Return the data that an xdist worker sends."""
        return asdict(self)

    def add(self, plain: Mapping[str, Any]) -> None:
        """Add the data of an xdist worker."""
        self.collected |= plain["collected"]
        self.deselected |= plain["deselected"]
        self.skipped |= plain["skipped"]
        self.broken |= plain["broken"]
        for name, tests in plain["tests"].items():
            self.tests.setdefault(name, set()).update(tests)


@dataclass(frozen=True, slots=True)
class Unmet:
    """A required gate that did not pass, and why."""

    name: str
    reason: str
    shown: bool = False  # by the gate's block


@dataclass(frozen=True, slots=True)
class Owed:
    """Required gates that did not pass, and removed gates.

    Args:
        removed: sentences about gates that were removed since the merge base.
        waived_by: the option with which required gates are listed, not enforced.
        setting: the ini key as written, and where.
        waivable: whether ``--ftgate-allow-missing`` is allowed here.
    """

    unmet: Sequence[Unmet] = ()
    removed: Sequence[str] = ()
    waived_by: str | None = None
    setting: str = ""
    waivable: bool = False

    @property
    def red(self) -> bool:
        """Return whether the session fails."""
        return bool(self.unmet) and self.waived_by is None

    def lines(self) -> Iterator[Line]:
        """Yield the lines for the terminal that no block has."""
        names: dict[str, list[str]] = {}
        for one in self.unmet:
            if not one.shown:
                names.setdefault(one.reason, []).append(one.name)
        told = "; ".join(f"{', '.join(those)}: {reason}" for reason, those in names.items())
        if told and self.waived_by:
            yield Line(f"{self.setting} is not met: {told}; not enforced: {self.waived_by}", "yellow")
        elif told:
            way_out = "; for local work add --ftgate-allow-missing" if self.waivable else ""
            yield Line(f"FAILED: {self.setting} is not met: {told}{way_out}", "red")
        yield from (Line(text, "red") for text in self.removed)


def find_owed(config: pytest.Config, files: GateFiles, results: Sequence[GateResult], seen: Seen) -> Owed:
    """Return the required gates that did not pass in this session, and the gates that were removed.

    If weakening is forbidden, a required gate that was removed still counts.
    """
    required = config.getini(KEY)
    unmet = _unmet_of_file(required, files, results, seen) if required else []
    forbidden = [name_and_stage(one)[0] for one in required] if files.forbids_weakening else []
    ref, gone = _removed(files) if results or forbidden else ("", [])
    since = f"was removed from {shown_path(files.path)} since {ref}"
    known = {one.name for one in unmet}
    owed = [name for name in gone if name not in known and not {"all", name}.isdisjoint(forbidden)]
    unmet += [Unmet(name, f"it {since}") for name in owed]
    removed = [f"the gate {name} {since}" for name in gone if name not in owed]
    place = f" ({line_of(config.inipath, KEY)})" if config.inipath is not None else ""
    setting = f"ftgate_required = {shortened(' '.join(required))}{place}"
    waivable = not sign_of_ci(os.environ)
    return Owed(unmet, removed, waived_by(config), setting, waivable)


def waived_by(config: pytest.Config) -> str | None:
    """Return the option with which required gates are listed, not enforced; None without one."""
    return "--ftgate-allow-missing" if config.getoption("--ftgate-allow-missing") else planning_option(config)


def _unmet_of_file(required: Sequence[str], files: GateFiles, results: Sequence[GateResult], seen: Seen) -> list[Unmet]:
    bare = [name_and_stage(one)[0] for one in required]
    try:
        file = files.gate_file(required=False)
    except FtgateError as error:
        if os.path.exists(files.path):
            return [Unmet(name, error.headline) for name in bare]
        file = None
    in_file: Collection[str] = () if file is None else file.gate_names
    if file is None:
        if "all" in bare:
            cure = files.renaming or (
                "create it, or, for gates in markers, give each marker name=NAME and write ftgate_required = NAME"
            )
            return [Unmet("all", f"it means the gates of {shown_path(files.path)}, which does not exist: {cure}")]
    elif "all" in bare and not in_file:
        return [Unmet("all", f"{shown_path(files.path)} has no gates")]
    names = [
        name + ":ready" * ready
        for one, ready in map(name_and_stage, required)
        for name in (in_file if one == "all" else (one,))
    ]
    return find_unmet(names, results, seen, in_file=in_file)


def _removed(files: GateFiles) -> tuple[str, Sequence[str]]:
    """Return the merge base, and the gates that were removed from the ini's gate file since."""
    from pytest_ftgate.checks.weakening.past import removed_gates

    past = files.past
    if past.file is None:
        return "", []
    try:
        now = files.gate_file(required=False)
    except FtgateError:
        return "", []  # reported by the gates that need the file
    return past.ref, removed_gates(past, now.gate_names if now else ())


def find_unmet(
    required: Sequence[str], results: Sequence[GateResult], seen: Seen, *, in_file: Collection[str]
) -> list[Unmet]:
    """Return the required gates that did not pass, each with its first reason.

    A gate passes if it was judged at least once, every time with ``pass``, and no marker or fixture required less than
    the file. A gate of the file is not replaced by one that only has the same name in a marker. If only markers give a
    name, every test with it must have been judged, because each may be a different gate.
    """
    firsts = (next(_unmet(name, results, seen, in_file), None) for name in dict.fromkeys(required))
    return [one for one in firsts if one is not None]


def name_and_stage(required: str) -> tuple[str, bool]:
    """Return the name of a required gate, and whether it is met before training (``intents:ready``)."""
    name = required.removesuffix(":ready")
    return name, name != required


def unmarked(in_file: Collection[str], results: Sequence[GateResult], seen: Seen) -> list[str]:
    """Return the gates of the file that no test marks, if another gate of the file was judged."""
    judged = any(result.gate in in_file for result in results)
    return [name for name in in_file if judged and name not in seen.tests]


def _unmet(required: str, results: Sequence[GateResult], seen: Seen, in_file: Collection[str]) -> Iterator[Unmet]:
    name, may_be_ready = name_and_stage(required)
    judged = [result for result in results if (result.gate if name in in_file else result.name) == name]
    if not judged:
        namesake = next((result for result in results if result.name == name), None)
        yield Unmet(
            name,
            f"{namesake.nodeid} is a different gate with that name" if namesake else seen.absence(name, in_file),
        )
    for result in judged:
        if not result.passed:
            yield Unmet(name, f"the verdict of {result.nodeid} is {result.verdict}", shown=True)
        elif result.loosened:
            yield Unmet(name, f"{result.nodeid} requires less than the gate file: {'; '.join(result.loosened)}")
        elif result.stage == "ready" and not may_be_ready:
            yield Unmet(name, f"{result.nodeid} judged no candidate (stage: ready), which counts only as {name}:ready")
    if name not in in_file:
        tests = {result.nodeid for result in judged}
        for test in sorted(seen.tests.get(name, ())):
            if not any(nodeid == test or nodeid.startswith(f"{test}[") for nodeid in tests):
                yield Unmet(name, f"{test} has this gate too and was not judged")
