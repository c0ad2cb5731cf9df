"""What one pytest session shares: what gates are given, what they bring back, and what is said at its end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.face.data_sets import DataSets
from pytest_ftgate.face.gate_files import GateFiles
from pytest_ftgate.face.marks import claimed_name, function_id, location
from pytest_ftgate.face.predictions import open_stores, recorded_jobs
from pytest_ftgate.face.reporting import append_summary, write_reports, writes
from pytest_ftgate.face.required import Owed, find_owed
from pytest_ftgate.face.spending import session_budget, spent_lines
from pytest_ftgate.face.summary import annotate, show_gate, show_lines
from pytest_ftgate.face.terminal import HIDDEN, display
from pytest_ftgate.face.verdicts import Verdicts
from pytest_ftgate.foreign import guarded
from pytest_ftgate.obligations import Seen
from pytest_ftgate.pipeline import Judged, Services
from pytest_ftgate.render import json as json_report
from pytest_ftgate.render.session import Session
from pytest_ftgate.render.text import Line
from pytest_ftgate.reports import Outcome
from pytest_ftgate.result import GateResult
from pytest_ftgate.safe import one_line, shortened

__tracebackhide__ = True  # what a fixture or a body raises is shown without our lines

if TYPE_CHECKING:
    from pytest_ftgate.running.runner import Run, Stores


class GateSession:
    """Run-wide state, on the controller and on each xdist worker.

    Attributes:
        started: seconds since the epoch; the same on all workers of one run.
        files: the gate files.
        data: the data sets.
        verdicts: what was judged.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker: Mapping[str, Any] | None = getattr(config, "workerinput", None)
        self.started: float = self._worker["ftgate_started"] if self._worker else time.time()
        self.files = GateFiles(config)
        self.data = DataSets()
        self.verdicts = Verdicts()
        self._budget = session_budget(config, self._worker)
        self._runs: dict[str, tuple[Mapping[str, Run], Mapping[str, str]]] = {}
        self._seen = Seen()
        self._owed = Owed(partial=bool(config.getoption("--ftgate-partial")))
        self._notes: list[Line] = []
        self._red = False

    # --- what gates are given --------------------------------------------------------------------------------

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
    def _stores(self) -> Stores:
        return open_stores(self._config, self.started)

    @cached_property
    def _jobs(self) -> dict[str, str]:
        return recorded_jobs(self._config)

    # --- what gates bring back -------------------------------------------------------------------------------

    @property
    def results(self) -> Mapping[str, GateResult]:
        """The first verdict of each test, by node id."""
        return self.verdicts.results

    def keep(self, judged: Judged, item: pytest.Item) -> None:
        """Keep a verdict, and send it along with the test's reports."""
        judged = replace(judged, result=replace(judged.result, location=location(item)))
        properties = json_report.junit_properties(judged.result)
        self.verdicts.keep(item.nodeid, judged.result, dict(properties)["ftgate"])
        item.user_properties.extend(properties)
        if writes(self._config, "html"):
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

    def note(self, line: Line) -> None:
        """A line for the end of the session, said once however many workers have it to say."""
        if line not in self._notes:
            self._notes.append(line)

    def _note_all(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.note(line)

    def see_collected(self, item: pytest.Item) -> None:
        """A marked test that is about to run."""
        self._seen.collected.add(claimed_name(item))
        self._seen.carries(function_id(item), claimed_name(item))

    def see_deselected(self, item: pytest.Item) -> None:
        """A marked test that was taken out of the run."""
        self._seen.deselected.add(claimed_name(item))
        self._seen.carries(function_id(item), claimed_name(item))

    def see_skipped(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """A marked test that was skipped before its gate was judged."""
        self._seen.skipped[claimed_name(item)] = shortened(_why_skipped(report))

    # --- what an xdist worker says, and the controller hears -------------------------------------------------

    def _to_plain(self) -> dict[str, Any]:
        notes = [tuple(line) for line in self._notes]
        return {"notes": notes, "seen": self._seen.to_plain(), **self.verdicts.to_plain()}

    def hear_worker(self, said: Mapping[str, Any]) -> None:
        """What an xdist worker has to say at its end."""
        self._seen.add(said["seen"])
        self.verdicts.add(said)
        for text, colour in said["notes"]:
            self.note(Line(text, colour))

    # --- the session's end -----------------------------------------------------------------------------------

    def finish(self, session: pytest.Session) -> None:
        """Write the reports; anything but ``pass`` makes the session fail, whatever became of its test.

        So does an obligation that was not met, and a report that could not be written.
        """
        if self._budget is not None and self.results:
            self._note_all(spent_lines(self._config, self._budget))
        if self._worker is None:
            self._owed = find_owed(self._config, self.files, list(self.results.values()), self._seen)
        outcome = self._outcome()  # which says nothing of the reports themselves, in whatever order they are asked for
        self._note_all(write_reports(self._config, outcome, worker=self._worker is not None))
        if self._worker is None:
            self._note_all(append_summary(self._config, outcome))
        else:
            self._config.workeroutput["ftgate"] = self._to_plain()  # type: ignore[attr-defined]
        unwritten = any(line.colour == "red" for line in self._notes)
        self._red = not self.verdicts.all_passed or unwritten or self._owed.red
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
        """Of the session as it is now."""
        session = Session(
            unjudged=[(one["name"], one["reason"]) for one in self._owed.unjudged],
            removed=tuple(self._owed.removed),
            remarks=[line.text for line in self._notes],
            partial=self._owed.partial,
            config=self._config.getoption("--ftgate-config"),
        )
        gates = [(result, self.verdicts.answers.get(nodeid)) for nodeid, result in self.results.items()]
        return Outcome(gates, self._runs, session)


def _why_skipped(report: pytest.TestReport) -> str:
    """The reason as the test gives it; of xfail pytest keeps it apart, behind words of its own."""
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        given = str(expected).removeprefix("reason: ")
        mark = "xfail(run=False)" if given.startswith("[NOTRUN]") else "xfail"
        text = given.removeprefix("[NOTRUN]").strip()
        return f"{mark}: {text}" if text else mark
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")
