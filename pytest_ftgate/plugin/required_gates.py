"""Compare the gates that ini ``ftgate_required`` requires with those that this session judged."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from pytest_ftgate.errors import FtgateError, shown_path
from pytest_ftgate.ini_file import line_of
from pytest_ftgate.plugin import ini_keys
from pytest_ftgate.plugin.project import Project
from pytest_ftgate.reports.text import Line, finding
from pytest_ftgate.result import GateResult
from pytest_ftgate.text import one_line, shortened

KEY = "ftgate_required"
DESELECTED = "was deselected (-k, -m, --deselect, --lf or the like)"
SKIPPED = "was skipped"
BROKEN = "was not judged, because its set-up failed"

_READY = ":ready"  # after the name of a gate that is met before its model is trained
_NOT_JUDGED = "was collected but not judged: the run stopped early, or a worker crashed"
_OTHERWISE = "was not judged as required"
_MOVE_IT = "write the key into the gate file, or remove it from the test"
_NO_SKIP = "remove the skip or xfail from the body of the test"
_NO_TEST = "no collected test has this marker"
_RUN_IT = f"run the gates, or add {ini_keys.ALLOW_MISSING} to a command without them"
_CORRECT_IT = f"correct the name in {KEY}, or run the test whose marker has it"
_ADD_GATES = (
    f"add the gates to it, or, for gates in markers, give each marker name=NAME and write {KEY} = "
    "NAME"
)


@dataclass
class Seen:
    """The tests with an ftgate marker that this session collected.

    Attributes:
        names: the names of their gates, by the ids of the tests.
        absent: why a test was not judged, by its id.
    """

    names: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unmet:
    """A required gate that did not pass.

    Attributes:
        name: of the gate.
        reason: why, as the end of a sentence.
        cure: what to do.
        verb: what became of the gate.
        test: the test that failed for that.
    """

    name: str
    reason: str
    cure: str | None = _RUN_IT
    verb: str = "did not run"
    test: str | None = None

    @property
    def sentence(self) -> str:
        return f"required gate {self.name} {self.verb}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Review:
    """What fails a session, or is to be said of it, besides its single gates.

    Attributes:
        unmet: the required gates that did not pass.
        weaker: what is weaker than at the merge base, in no gate of today, with what to do.
        forbidden: whether that fails the session.
        waived_by: the option with which required gates are listed, not enforced.
        setting: the ini key as written, and where.
    """

    unmet: Sequence[Unmet] = ()
    weaker: Mapping[str, str | None] = field(default_factory=dict)
    forbidden: bool = False
    waived_by: str | None = None
    setting: str = ""

    @property
    def red(self) -> bool:
        """Return whether the session fails."""
        if self.unmet and self.waived_by is None:
            return True
        return bool(self.weaker) and self.forbidden

    def lines(self) -> Iterator[Line]:
        """Yield the lines for the terminal that are no errors; a plan has no verdict to require."""
        if self.waived_by == ini_keys.ALLOW_MISSING:
            # A red gate is red in any case.
            for gate in self.unmet:
                if gate.test is None:
                    yield Line(f"{gate.sentence}; not enforced: {self.waived_by}", "yellow")
        if not self.forbidden:
            for text in self.weaker:
                yield Line(text, "red")

    def errors(self, counted: Collection[str]) -> Iterator[tuple[str, str, str]]:
        """Yield what fails the session: the ini key, the reasons, and the whole text.

        Reasons for which the tests in ``counted`` failed are left out: pytest has shown them.
        """
        missing = [gate for gate in self.unmet if gate.test not in counted]
        if missing and not self.waived_by:
            reasons = [f"{gate.name}: {gate.reason}" for gate in missing]
            yield KEY, "; ".join(reasons), _joined(self._findings(missing))

        if self.weaker and self.forbidden:
            findings = [finding(f"ERROR {text}", cure=cure) for text, cure in self.weaker.items()]
            yield "ftgate_forbid_weakening", "; ".join(self.weaker), _joined(findings)

    def _findings(self, missing: Sequence[Unmet]) -> Iterator[Iterable[list[str]]]:
        """Yield the lines on each gate, and once what requires them and what cures them."""
        by_cure: dict[str | None, list[Unmet]] = {}
        for gate in missing:
            by_cure.setdefault(gate.cure, []).append(gate)

        for cure, (*others, last) in by_cure.items():
            for gate in others:
                yield finding(f"ERROR {gate.sentence}")
            yield finding(f"ERROR {last.sentence}", f"required by {self.setting}", cure=cure)


def _joined(findings: Iterable[Iterable[list[str]]]) -> str:
    """Return the lines of findings as one text."""
    lines = []
    for rows in findings:
        for row in rows:
            lines += row
    return "\n".join(lines)


def review_session(
    config: pytest.Config,
    project: Project,
    results: Sequence[GateResult],
    marked_tests: Seen,
) -> Review:
    """Return the required gates that did not pass, and what is weaker than at the merge base."""
    unmet = _find_unmet(project, results, marked_tests) if project.required else []
    weaker: dict[str, str | None] = {}
    forbidden = project.forbids_weakening
    if results or project.required or forbidden:
        forbidden = forbidden or project.compared.forbade
        removed, weaker = _findings_on_none(project, results, forbidden=forbidden)
        names = [gate.name for gate in removed]
        unmet = [gate for gate in unmet if gate.name not in names] + removed

    waived_by = ini_keys.planning_option(config)
    if config.getoption(ini_keys.ALLOW_MISSING):
        waived_by = ini_keys.ALLOW_MISSING

    setting = f"{KEY} of the base branch"
    if project.required:
        setting = f"{KEY} = {shortened(' '.join(project.required))}"
        if config.inipath is not None:
            setting += f" ({line_of(config.inipath, KEY)})"
    return Review(unmet, weaker=weaker, forbidden=forbidden, waived_by=waived_by, setting=setting)


def _findings_on_none(
    project: Project,
    results: Sequence[GateResult],
    *,
    forbidden: bool,
) -> tuple[list[Unmet], dict[str, str | None]]:
    """Return the findings that no gate of today shows: required gates that are gone, and others."""
    compared = project.compared
    judged = {result.gate for result in results}
    is_silent = bool(results) or (compared.absent and not forbidden)  # each judged gate shows them

    removed = []
    weaker: dict[str, str | None] = {}
    for remark in compared.findings:
        if remark.gate is None:
            if not is_silent:
                weaker[remark.text] = remark.cure
        elif remark.gate not in project.gate_names:
            is_required = remark.was_required or project.requires(remark.gate, in_file=True)
            if forbidden and is_required:
                removed.append(Unmet(remark.gate, remark.text, remark.cure))
            else:
                weaker[remark.text] = remark.cure
        elif remark.name == "weakened" and remark.gate not in judged:
            weaker[f"{remark.gate}: {remark.text}"] = remark.cure
    return removed, weaker


def _find_unmet(project: Project, results: Sequence[GateResult], marked_tests: Seen) -> list[Unmet]:
    """Return the required gates that did not pass, each with its first reason."""
    # A gate may be required as NAME and as NAME:ready.
    names = list(dict.fromkeys(name.removesuffix(_READY) for name in project.required))
    try:
        file = project.load()
    except FtgateError as error:
        fix = one_line(error.cure_shown) or None
        test = _test_with(error, results)
        return [Unmet(name, error.headline, fix, test=test) for name in names]

    unmet: dict[str, Unmet] = {}
    if "all" in names and not project.gate_names:
        lack, cure, test = "has no gates", _ADD_GATES, None
        if file is None:
            lost = project.missing()
            lack, test = "does not exist", _test_with(lost, results)
            if project.other_files:
                cure = lost.cure_shown
        reason = f"{shown_path(project.path)} {lack}"
        unmet["all"] = Unmet("all", reason=reason, cure=cure, verb="names no gate", test=test)

    tests_of = _tests_by_gate(results, marked_tests)
    for required in project.required:
        name = required.removesuffix(_READY)
        gates = project.gate_names if name == "all" else (name,)
        for gate in gates:
            tests = tests_of.get(gate, {})
            gate_unmet = _why_unmet(project, gate, tests, marked_tests, ready=required != name)
            if gate_unmet is not None:
                unmet.setdefault(gate, gate_unmet)
    return list(unmet.values())


def _test_with(error: FtgateError, results: Iterable[GateResult]) -> str | None:
    """Return a test whose gate has this error, which its own block shows; None without one."""
    for result in results:
        if any(check.message.startswith(error.headline) for check in result.checks):
            return result.nodeid
    return None


def _tests_by_gate(
    results: Sequence[GateResult],
    marked_tests: Seen,
) -> dict[str, dict[str, GateResult | None]]:
    """Return the tests by the name that they give their gate, with their results.

    The gate of the file that a test names counts before a name in its marker.
    """
    judged = {}
    names = dict(marked_tests.names)
    for result in results:
        judged[result.nodeid] = result
        names.setdefault(result.nodeid, result.name)
        if result.gate is not None:
            names[result.nodeid] = result.gate

    # A gate may have several tests, such as the cases of a parametrized one.
    tests: dict[str, dict[str, GateResult | None]] = {}
    for test, name in names.items():
        tests.setdefault(name, {})[test] = judged.get(test)
    return tests


def _why_unmet(
    project: Project,
    name: str,
    tests: Mapping[str, GateResult | None],
    marked_tests: Seen,
    *,
    ready: bool,
) -> Unmet | None:
    """Return why a gate is not met, or None.

    It is met if each of its tests was judged and passed, and no marker or fixture required less
    than the file. A gate of the file is not met by one that only has its name in a marker.
    """
    in_file = name in project.gate_names
    if not tests:
        if in_file or not project.gate_names:
            return Unmet(name, _NO_TEST)
        names = shortened(", ".join(project.gate_names))
        lack = f"{shown_path(project.path)} has no gate {name} (it has {names})"
        return Unmet(name, f"{_NO_TEST}, and {lack}", _CORRECT_IT)

    for test, result in tests.items():
        if result is None:
            continue
        if in_file and result.gate != name and result.passed:
            return Unmet(name, f"{test} is a different gate with that name")

        gate_unmet = _why_failed(name, test, result, ready=ready)
        if gate_unmet is not None:
            return gate_unmet

    # A verdict that is red says more than a test that is missing, so it comes first.
    for test, result in tests.items():
        reason = marked_tests.absent.get(test, _NOT_JUDGED if result is None else "")
        if result is not None and reason:
            reason = f"{test} {reason} after its gate passed"
            return Unmet(name, reason=reason, cure=_NO_SKIP, verb="was not met")
        if reason:
            return Unmet(name, f"{test} {reason}", test=test if reason == BROKEN else None)
    return None


def _why_failed(name: str, test: str, result: GateResult, *, ready: bool) -> Unmet | None:
    """Return why the result of one test does not meet a gate, or None."""
    if not result.passed:
        reason = f"the verdict of {test} is {result.verdict}"
        return Unmet(name, reason=reason, cure=None, verb="did not pass", test=test)
    if result.loosened:
        reason = f"{test} requires less than the gate file: {'; '.join(result.loosened)}"
        return Unmet(name, reason=reason, cure=_MOVE_IT, verb=_OTHERWISE)
    if result.stage == "ready" and not ready:
        reason = f"{test} has no candidate yet (stage: ready)"
        fix = f"add the candidate, or write {name}{_READY} in {KEY}"
        return Unmet(name, reason=reason, cure=fix, verb=_OTHERWISE)
    return None


def unjudged(
    project: Project,
    results: Sequence[GateResult],
    marked_tests: Seen,
    unmet: Collection[str],
) -> Iterator[str]:
    """Yield a sentence on each skipped gate, and one on the gates of the file without a test.

    Those that are ``unmet`` are left out. The second needs the whole folder of the file collected.
    """
    judged = {result.nodeid for result in results}
    for test, reason in marked_tests.absent.items():
        name = marked_tests.names.get(test)
        if not reason.startswith(SKIPPED) or name in unmet:
            continue
        if test in judged:
            yield f"gate {name} passed, but the body of its test {reason}"
        else:
            yield f"gate {name} was not judged: its test {reason}"

    known = {*marked_tests.names.values(), *unmet}
    unmarked = [name for name in project.gate_names if name not in known]
    if unmarked and project.collects_all():
        yield f"no collected test marks {', '.join(unmarked)} of {shown_path(project.path)}"
