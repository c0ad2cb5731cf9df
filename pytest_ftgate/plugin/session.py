"""What was judged in one session: in this process, and by xdist's workers, whose verdicts are heard."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.errors import FtgateError, guarded, shown_path
from pytest_ftgate.gate.state import Judged, Services
from pytest_ftgate.plugin.data_sets import DataSets
from pytest_ftgate.plugin.gate_files import GateFiles, ini_path, option_path
from pytest_ftgate.plugin.marks import MARK, claimed_name, function_id, location
from pytest_ftgate.plugin.obligations import Owed, Seen, find_owed
from pytest_ftgate.plugin.terminal import HIDDEN, annotate, display, show_gate, show_lines
from pytest_ftgate.reports import json as json_report
from pytest_ftgate.reports.github import Step
from pytest_ftgate.reports.session import Outcome
from pytest_ftgate.reports.text import Line
from pytest_ftgate.result import GateResult, Session
from pytest_ftgate.text import one_line, shortened, show_usd

if TYPE_CHECKING:
    from pytest_ftgate.runs.answer_rows import Answers
    from pytest_ftgate.runs.budget import Budget
    from pytest_ftgate.runs.runner import Run, Stores


__tracebackhide__ = True  # what a fixture or a body raises is shown without our lines


class Verdicts:
    """The first verdict of each test, by node id."""

    def __init__(self) -> None:
        self.results: dict[str, GateResult] = {}
        self.facts: dict[str, str] = {}  # the same as JSON, of the tests of this process
        self.answers: dict[str, Answers] = {}  # of the models, where a report shows them

    def keep_answers(self, nodeid: str, judged: Judged) -> None:
        """Keep what a page shows of every example."""
        from pytest_ftgate.runs.answer_rows import side_by_side

        baselines = judged.result.baselines
        best = next((role for role, facts in baselines.items() if facts == judged.result.baseline), None)
        gate = judged.gate
        if gate is not None and best is not None and best in gate.scored:
            self.answers[nodeid] = side_by_side(gate.deciding, gate.scored, gate.samples, best)

    def hear_report(self, report: pytest.TestReport) -> None:
        """Hear the verdict in a test report of one of xdist's workers."""
        for name, value in report.user_properties:
            if name == MARK:
                self._hear(report.nodeid, str(value))

    def _hear(self, nodeid: str, facts: str) -> None:
        """Where several workers judge one test (``--dist=each``), a verdict that is not ``pass`` counts."""
        heard, known = json.loads(facts), self.results.get(nodeid)
        if known is None or (known.passed and not heard["passed"]):
            self.results[nodeid] = GateResult.from_dict(heard)

    def to_plain(self) -> dict[str, Any]:
        """Return what an xdist worker sends at its end."""
        return {"facts": self.facts, "answers": {nodeid: one.to_json() for nodeid, one in self.answers.items()}}

    def add(self, plain: Mapping[str, Any]) -> None:
        """Add what a worker has judged, where a hook altered its reports; answers belong to the verdict that counts."""
        from pytest_ftgate.runs.answer_rows import Answers

        for nodeid, facts in plain["facts"].items():
            self._hear(nodeid, facts)
            if nodeid in plain["answers"] and self.results[nodeid] == GateResult.from_dict(json.loads(facts)):
                self.answers[nodeid] = Answers.from_json(plain["answers"][nodeid])


class GateSession:
    """Run-wide state, on the controller and on each xdist worker."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker: Mapping[str, Any] | None = getattr(config, "workerinput", None)
        # Seconds since the epoch; the same on all workers of one run.
        self.started: float = self._worker["ftgate_started"] if self._worker else time.time()
        self.files = GateFiles(config)
        self.data = DataSets()
        self.verdicts = Verdicts()
        self._limit_usd: float | None = config.getoption("--ftgate-max-cost")
        self._runs: dict[str, tuple[Mapping[str, Run], Mapping[str, str]]] = {}
        self._seen = Seen()
        self._owed = Owed(partial=bool(config.getoption("--ftgate-partial")))
        self._notes: list[Line] = []
        self._red = False

    def services(self, hook: Any) -> Services:
        """What this session lends to a gate; ``hook`` sees the plugins that the test sees."""
        return Services(
            stores=self._stores,
            load=lambda source, origin, **asked: self.data.load(source, origin, hook, **asked),
            hook=hook,
            offline=bool(self._config.getoption("--ftgate-offline")),
            progress=display(self._config),
            jobs=self._jobs,
            tell=lambda text: self.note(Line(text, "yellow")),
            budget=self._budget,
            audit=self.data.audit,
        )

    @cached_property
    def _budget(self) -> Budget | None:
        """What this process may spend: under xdist, where nobody knows what the others spend, an even share."""
        if self._limit_usd is None:
            return None
        from pytest_ftgate.runs.budget import Budget

        return Budget(self._limit_usd, self._worker["workercount"] if self._worker else 1)

    @cached_property
    def _recordings(self) -> Path | None:
        """Return the folder of committed recordings, or None if there is none to read.

        It does not exist yet in the first run that records into it, and that is no error.
        """
        folder = self._config.getini("ftgate_recordings")
        path = ini_path(self._config, folder) if folder else None
        if path is None or (not path.exists() and path.resolve() in report_paths(self._config, "recordings")):
            return None
        return path

    @cached_property
    def _stores(self) -> Stores:
        """On disk, in memory for this session, and in committed recordings; with ``refresh`` none of them counts."""
        from pytest_ftgate.reports.recordings import read_recordings
        from pytest_ftgate.runs.runner import Stores
        from pytest_ftgate.runs.store import Store

        mode = self._config.getoption("--ftgate-cache")
        state = ini_path(self._config, self._config.getini("ftgate_state"))
        recordings = self._recordings if mode != "refresh" else None
        return Stores(
            persistent=Store(None if mode == "off" else state / "predictions.sqlite3"),
            session=Store(None),
            recordings=read_recordings(recordings) if recordings else {},
            newer_than=self.started if mode == "refresh" else None,
        )

    @cached_property
    def _jobs(self) -> dict[str, str]:
        from pytest_ftgate.reports.recordings import read_job_notes

        return read_job_notes(self._recordings) if self._recordings else {}

    @property
    def results(self) -> Mapping[str, GateResult]:
        """The first verdict of each test, by node id."""
        return self.verdicts.results

    def keep(self, judged: Judged, item: pytest.Item) -> None:
        """Keep a verdict, and send it along with the test's reports."""
        judged = replace(judged, result=replace(judged.result, location=location(item)))
        properties = json_report.junit_properties(judged.result)
        self.verdicts.results[item.nodeid] = judged.result
        self.verdicts.facts[item.nodeid] = dict(properties)["ftgate"]
        item.user_properties.extend(properties)
        if report_paths(self._config, "html"):
            self.verdicts.keep_answers(item.nodeid, judged)
        try:
            hook = item.ihook.pytest_ftgate_gate_finished
            guarded("the hook pytest_ftgate_gate_finished", hook, result=judged.result)
        except FtgateError as error:  # an observer's fault changes no verdict, and is not passed over
            self.note(Line(one_line(str(error)), "red"))

    def record(self, name: str, runs: Mapping[str, Run], jobs: Mapping[str, str]) -> None:
        """Keep what models answered, and what is known of the jobs that made them, for the report ``recordings``.

        Under one name the last with answers counts.
        """
        if runs:
            self._runs[name] = runs, jobs

    def note(self, *lines: Line) -> None:
        """Lines for the end of the session, said once however many workers have them to say."""
        self._notes += [line for line in dict.fromkeys(lines) if line not in self._notes]

    def see(self, item: pytest.Item, *, deselected: bool = False) -> None:
        """Note a marked test that is about to run, or was taken out of the run."""
        self._seen.see(function_id(item), claimed_name(item), deselected=deselected)

    def see_skipped(self, item: pytest.Item, reason: str) -> None:
        """Note a marked test that was skipped before its gate was judged."""
        self._seen.skipped[claimed_name(item)] = shortened(reason)

    def hear_worker(self, plain: Mapping[str, Any]) -> None:
        """What an xdist worker has to say at its end."""
        self._seen.add(plain["seen"])
        self.verdicts.add(plain)
        self.note(*(Line(text, colour) for text, colour in plain["notes"]))

    def finish(self, session: pytest.Session) -> None:
        """Write the reports; anything but ``pass`` makes the session fail, whatever became of its test.

        So does an obligation that was not met, and a report that could not be written.
        """
        if self._budget is not None and self.results:
            spent, limit, unsure = self._budget.spent_usd, self._limit_usd, self._budget.unsure_said
            perhaps = f", and perhaps {show_usd(self._budget.unsure_usd)} for {unsure}" if unsure else ""
            self.note(Line(f"{show_usd(spent)} spent of --ftgate-max-cost {limit:g}{perhaps}"))
            if self._budget.uncounted:
                names = ", ".join(self._budget.uncounted)
                self.note(Line(f"not counted by --ftgate-max-cost, since they have no price: {names}", "yellow"))
        if self._worker is None:
            self._owed = find_owed(self._config, self.files, list(self.results.values()), self._seen)
        outcome = self._outcome()  # which says nothing of the reports themselves, in whatever order they are asked for
        self.note(*write_reports(self._config, outcome, worker=self._worker is not None))
        if self._worker is None:
            self.note(*append_summary(self._config, outcome))
        else:
            notes = [tuple(line) for line in self._notes]
            plain = {"notes": notes, "seen": self._seen.to_plain(), **self.verdicts.to_plain()}
            self._config.workeroutput["ftgate"] = plain  # type: ignore[attr-defined]
        unwritten = any(line.colour == "red" for line in self._notes)
        self._red = unwritten or self._owed.red or not all(result.passed for result in self.results.values())
        session.exitstatus = self.held(session.exitstatus)

    def held(self, status: int | pytest.ExitCode) -> int | pytest.ExitCode:
        """The exit status; where the session is red, none that says otherwise."""
        says_otherwise = status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        return pytest.ExitCode.TESTS_FAILED if self._red and says_otherwise else status

    def summarize(self, reporter: pytest.TerminalReporter) -> None:
        """One block a gate, after the test results, hidden by ``-qq``; and what GitHub shows at the marks."""
        results, verbosity = list(self.results.values()), self._config.get_verbosity()
        annotate(reporter, results, self._owed)
        if verbosity <= HIDDEN:
            return
        for result in results:
            show_gate(reporter, result, verbosity=verbosity)
        show_lines(reporter, [*self._owed.lines(), *self._notes])

    def _outcome(self) -> Outcome:
        session = Session(
            unjudged=[(one.name, one.reason) for one in self._owed.unmet],
            removed=tuple(self._owed.removed),
            remarks=[line.text for line in self._notes],
            partial=self._owed.partial,
            config=self._config.getoption("--ftgate-config"),
        )
        gates = [(result, self.verdicts.answers.get(nodeid)) for nodeid, result in self.results.items()]
        return Outcome(gates, self._runs, session)


def report_paths(config: pytest.Config, form: str) -> list[Path]:
    """Return where reports of this form are written."""
    reports = (report.partition(":") for report in config.getoption("--ftgate-report"))
    return [option_path(config, target).resolve() for name, _, target in reports if name == form]


def write_reports(config: pytest.Config, outcome: Outcome, *, worker: bool) -> Iterator[Line]:
    """Write each report, and say how that went: ``recordings`` where the models ran, others where verdicts meet."""
    for written in config.getoption("--ftgate-report"):
        form, _, target = written.partition(":")
        if form == "recordings" or not worker:
            path = option_path(config, target)
            try:
                outcome.write(form, path)
                yield Line(f"{form} report: {shown_path(path)}")
            except OSError as error:
                yield Line(f"the {form} report could not be written: {error}", "red")


def append_summary(config: pytest.Config, outcome: Outcome) -> Iterator[Line]:
    """The summary of a step of GitHub Actions. Nobody has asked for it: where it cannot be written, that is all."""
    step = Step.from_environment(os.environ)
    wanted = config.getini("ftgate_github_summary") and (outcome.gates or outcome.session.unjudged)
    if step is None or step.summary is None or not wanted:
        return
    try:
        trouble = "" if outcome.append_to(step) else "there is no room left in it"
    except OSError as error:
        trouble = str(error)
    if trouble:
        yield Line(f"the summary of the GitHub step could not be written: {trouble}", "yellow")
