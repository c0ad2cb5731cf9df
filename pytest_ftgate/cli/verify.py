"""The command ``verify``: whether required gates passed in a report, and were judged by the files that are here now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pytest_ftgate.cli.report_file import ReportFile, read_report
from pytest_ftgate.config.files import content_hash
from pytest_ftgate.errors import DataError
from pytest_ftgate.plugin.configured import read_configuration
from pytest_ftgate.plugin.gate_files import GateFiles
from pytest_ftgate.plugin.obligations import KEY, Owed, Seen, Unmet, find_owed
from pytest_ftgate.result import GateResult, ModelResult, verdict_of
from pytest_ftgate.text import one_line, printable

_CHANGES_SHOWN = 3


@dataclass(frozen=True)
class Verified:
    """The outcome: the gates that passed, each with its report, what is not met, and reports that cannot be read."""

    passed: Sequence[tuple[GateResult, str]]
    owed: Owed
    unreadable: Sequence[str] = ()

    @property
    def holds(self) -> bool:
        """Return whether every required gate passed, and all reports could be read."""
        return not (self.unreadable or self.owed.unmet or self.owed.removed)

    def lines(self) -> Iterator[str]:
        """Yield a line for each gate that passed, and for everything that is missing."""
        for result, path in self.passed:
            model = result.candidate.model or result.candidate.name
            judged = "no candidate (stage: ready)" if result.stage == "ready" else f"candidate {model}"
            yield printable(f"passed: {result.name}, {judged} ({path}, {result.nodeid})")
        yield from (f"FAILED: {text}" for text in self.unreadable)
        yield from (printable(f"FAILED: {one.name}: {one.reason}") for one in self.owed.unmet)
        yield from (f"FAILED: {text}" for text in self.owed.removed)


def verify(paths: Sequence[Path], *, gates: Sequence[str] = (), model: str | None = None) -> Verified:
    """Return which required gates passed in one of the reports on the files as they are now.

    Required are ``gates``, else those of ini ``ftgate_required``, here and when the reports were written. Every test of
    a gate that the reports have must have passed in one of them. ``model`` is the name of a candidate that each of
    ``gates`` must have judged, or else at least one required gate.
    """
    config = read_configuration()
    files = GateFiles(config)
    reports, unreadable = _read(paths)
    required = gates or list(dict.fromkeys([*config.getini(KEY), *(name for one in reports for name in one.required)]))
    reader = _Reader(config.rootpath, files.ini_path)
    for report in reports:
        reader.add(report)
    counted = list(reader.results.values())
    owed = find_owed(config, files, [result for result, _ in counted], reader.seen, required)
    unmet = list(owed.unmet)
    if not required:
        unmet.append(Unmet(KEY, "nothing is required: set it in pytest's ini file, or name gates with --gate"))
    failed = {one.name for one in unmet}
    passed = [
        (result, path)
        for result, path in counted
        if result.passed and not result.loosened and failed.isdisjoint((result.name, result.gate))
    ]
    if gates:
        passed = [(result, path) for result, path in passed if {result.name, result.gate} & {*gates}]
    if model is not None:
        unmet += _without_model(model, passed, [name for name in gates if name not in failed])
    return Verified(passed, Owed(unmet, owed.removed), unreadable)


def _read(paths: Sequence[Path]) -> tuple[list[ReportFile], list[str]]:
    """Return the reports, and why others cannot be read."""
    reports, unreadable = [], []
    for path in paths:
        try:
            reports.append(read_report(path))
        except DataError as error:
            unreadable.append(one_line(str(error)))
    return reports, unreadable


@dataclass
class _Reported(Seen):
    """The tests and gates of all reports; ``flaws`` says by gate why results do not count."""

    flaws: dict[str, list[str]] = field(default_factory=dict)

    def absence(self, name: str, in_file: Collection[str]) -> str:  # noqa: ARG002
        """Return why no result of the gate counts."""
        return "; ".join(self.flaws.get(name, ())) or "no report has a result of this gate"


@dataclass
class _Reader:
    """Collects the results that count: complete, of the project's gate file, and of files that have not changed."""

    root: Path
    gate_file: Path
    seen: _Reported = field(default_factory=_Reported)
    results: dict[str, tuple[GateResult, str]] = field(default_factory=dict)
    hash_of: Callable[[Path], str | None] = field(default_factory=lambda: cache(content_hash))

    def add(self, report: ReportFile) -> None:
        """Add the results of a report; one that passed replaces one of the same test that did not."""
        for name, tests in report.tests.items():
            self.seen.tests.setdefault(name, set()).update(tests)
        for result in report.gates:
            flaw = next(self._flaws(result, report), None)
            known = self.results.get(result.nodeid)
            if flaw is not None:
                for name in {result.name, result.gate or result.name}:
                    self.seen.flaws.setdefault(name, []).append(f"{report.path}: {flaw}")
            elif known is None or not known[0].passed:
                self.results[result.nodeid] = result, report.path

    def _flaws(self, result: GateResult, report: ReportFile) -> Iterator[str]:
        """Yield why a result does not count."""
        if report.partial:
            yield "a partial report (--ftgate-partial) meets no gate"
        if result.verdict != verdict_of(result.checks) or (result.passed and not _gained(result)):
            yield f"the verdict {result.verdict} contradicts the checks and figures of the report"
        if not result.inputs:
            if not result.passed:
                return  # it could not be judged at all
            yield "it has no hashes of the gate's files; write it with this version of pytest-ftgate"
        if result.gate is not None and not any(
            one.key == "gate_file" and (self.root / one.path).resolve() == self.gate_file.resolve()
            for one in result.inputs
        ):
            yield f"it is of another gate file than {self.gate_file.name}"
        now = [(one, self.hash_of(self.root / one.path)) for one in result.inputs]
        changed = [f"{one.path} ({one.key})" for one, digest in now if digest != one.sha256]
        if changed:
            more = f" and {len(changed) - _CHANGES_SHOWN:,} more" if len(changed) > _CHANGES_SHOWN else ""
            yield f"changed or missing since the gate was judged: {', '.join(changed[:_CHANGES_SHOWN])}{more}"


def _gained(result: GateResult) -> bool:
    """Return whether the figures of a result that passed allow that."""
    if not result.checks or not result.scored:
        return False
    if result.stage == "ready" or result.margin is None:
        return True
    bound = {"significant": 0.0, "proven": result.margin}.get(result.evidence or "")
    proven = bound is None or (result.lower_bound is not None and round(result.lower_bound - bound, 12) >= 0)
    return proven and result.gain is not None and round(result.gain - result.margin, 12) >= 0


def _without_model(model: str, passed: Sequence[tuple[GateResult, str]], gates: Sequence[str]) -> Iterator[Unmet]:
    """Yield the gates that passed with another candidate; without names, that none passed with this one."""
    having = [result for result, _ in passed if result.stage != "ready" and _is_named(result.candidate, model)]
    others = sorted({result.candidate.model or result.candidate.name for result, _ in passed})
    told = f"passed with {', '.join(others)}, not with {model}" if others else f"no gate passed with {model}"
    if not gates and not having:
        yield Unmet("--model", told)
    for name in gates:
        if not any(name in (result.name, result.gate) for result in having):
            yield Unmet(name, told)


def _is_named(candidate: ModelResult, model: str) -> bool:
    """Return whether this is the model's name, with or without its provider, or its name in the gate."""
    spelling = candidate.model or ""
    return model in (candidate.name, spelling, spelling.partition(":")[2])
