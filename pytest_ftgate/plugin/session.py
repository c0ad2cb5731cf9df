"""Collect the verdicts of one session, of this process and of xdist's workers, and report them."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_ftgate import clock, errors
from pytest_ftgate.checks.freshness import filed_as
from pytest_ftgate.gate.state import DataSets, Judged, Services
from pytest_ftgate.plugin import ini_keys, project, required_gates
from pytest_ftgate.plugin.markers import MARK, claimed_name, id_of, location
from pytest_ftgate.reports import json as json_report
from pytest_ftgate.reports import recordings
from pytest_ftgate.reports.html.evidence import Evidence, collect
from pytest_ftgate.reports.session import Outcome
from pytest_ftgate.reports.text import Line, block, title
from pytest_ftgate.result import GateResult, failed_result
from pytest_ftgate.runs import budget, jobs, progress, store
from pytest_ftgate.text import one_line, printable, shortened, show_usd, wrapped

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines

_OUTCOMES = ("passed", "skipped", "failed")  # of a phase, the worst last
_GREEN = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
_HIDDEN = -2  # the verbosity of -qq, which hides everything


# --- what is written to pytest's terminal: the blocks of gates, lines on the session, progress
# while tests run ---


def _display(config: pytest.Config) -> progress.ProgressDisplay | None:
    """Return a display that updates a line on a terminal, and writes a line per minute elsewhere; None with ``-qq``."""
    if config.get_verbosity() <= _HIDDEN:
        return None
    capture = config.pluginmanager.getplugin("capturemanager")
    uncaptured = capture.global_and_fixture_disabled if capture else nullcontext
    reporter = config.pluginmanager.getplugin("terminalreporter")
    # an xdist worker inherits the controller's standard error
    if reporter is None or hasattr(config, "workerinput"):
        return progress.ProgressDisplay(
            lambda line: os.write(2, f"{line}\n".encode()), None, uncaptured
        )
    if not reporter.isatty or os.environ.get("TERM") == "dumb":

        def write(line: str) -> None:
            """Write a line of its own, even between pytest's dots."""
            reporter.ensure_newline()
            apart = "\n" if config.get_terminal_writer().width_of_current_line else ""
            reporter.write(f"{apart}{line}\n", flush=True)

        return progress.ProgressDisplay(write, None, uncaptured)
    return progress.ProgressDisplay(
        lambda text: reporter.write(text, flush=True), reporter.ensure_newline, uncaptured
    )


def _show_block(reporter: "pytest.TerminalReporter", heading: Line, lines: Iterable[Line]) -> None:
    """Write lines under a heading; a line without a colour has the terminal's own."""
    reporter.write_sep(
        "-", heading.text, bold=True, **({heading.colour: True} if heading.colour else {})
    )
    for line in lines:
        reporter.write_line(line.text, **({line.colour: True} if line.colour else {}))


def _failures(reporter: "pytest.TerminalReporter") -> Iterator[tuple[str, str]]:
    """Yield the node id and the text of each test that pytest counts as failed or as an error."""
    for report in (
        one for outcome in ("failed", "error") for one in reporter.stats.get(outcome, ())
    ):
        # xdist appends the name of a group
        yield report.nodeid.partition("@")[0], report.longreprtext


class _Told:
    """Stands for a traceback: a text, and its message in pytest's short summary."""

    def __init__(self, message: str, text: str) -> None:
        self.text = text
        self.reprcrash = SimpleNamespace(message=printable(one_line(message)))

    def toterminal(self, writer: Any) -> None:
        for line in self.text.splitlines():
            writer.line(printable(line), red=True)


def _add_error(reporter: "pytest.TerminalReporter", key: str, message: str, text: str) -> None:
    """Add what fails the session, and no test, to the errors in pytest's summary and count, by its ini key."""
    ini = reporter.config.inipath
    node = (
        f"{ini.name}::{key}" if ini is not None and ini.parent == reporter.config.rootpath else key
    )
    location = ("", None, "the session")
    report = pytest.TestReport(
        node, location, {}, "failed", cast(Any, _Told(message, text)), "teardown"
    )
    reporter._add_stats("error", [report])


def _show_lines(reporter: "pytest.TerminalReporter", lines: Iterable[Line]) -> None:
    """Write lines on the session as a whole under a heading; nothing without lines.

    What is after a line break is for copying, and is not wrapped.
    """
    shown: list[Line] = []
    for line in lines:
        text, _, copied = line.text.partition("\n")
        shown += [Line(part, line.colour) for part in wrapped(text, break_words=False)]
        shown += [Line(printable(copied, len(copied)), line.colour)] if copied else []
    if shown:
        _show_block(reporter, Line("ftgate"), shown)


# --- the session
# ---------------------------------------------------------------------------------------------


class GateSession:
    """The state of a session, on the controller and on each xdist worker.

    Attributes:
        started: seconds since the epoch, equal on all workers.
        results: the first verdict of each test, by node id.
        facts: the same as JSON, of the tests of this process.
        planning: the option with which gates are planned and not judged.
        plans: lines of text, the title first, and whether the plan makes the session fail, by the
            test's node id.
        judged_with: the markers of judged tests, by node id.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker: Mapping[str, Any] | None = getattr(config, "workerinput", None)
        self.started: float = self._worker["ftgate_started"] if self._worker else clock.wall()
        self.project = project.Project(config)
        self.data = DataSets()
        self.results: dict[str, GateResult] = {}
        self.facts: dict[str, str] = {}
        self.planning = ini_keys.planning_option(config)
        self.plans: dict[str, tuple[Sequence[Line], bool]] = {}
        self.judged_with: dict[str, tuple[pytest.Mark, ...]] = {}
        self._evidence: dict[str, Evidence] = {}  # of the results, where a report shows it
        # the tests whose gates were judged in this process
        self._items: dict[str, pytest.Item] = {}
        self._outcomes: dict[str, str] = {}  # the worst of their phases so far
        reports = (report.partition(":") for report in config.getoption("--ftgate-report"))
        self._reports = [(form, project.option_path(config, target)) for form, _, target in reports]
        self._refresh = config.getoption("--ftgate-cache") == "refresh"
        self._limit_usd: float | None = config.getoption("--ftgate-max-cost")
        # they do not share their costs
        workers = self._worker["workercount"] if self._worker else 1
        self._budget = None if self._limit_usd is None else budget.Budget(self._limit_usd, workers)
        self._runs: dict[str, tuple[Mapping[str, jobs.Run], Mapping[str, str]]] = {}
        self._judged: set[str] = set()  # keys of stored answers that no later session may use
        self._seen = required_gates.Seen()
        self._marked: dict[str, str] = {}  # the names of gates by node id
        self._review = required_gates.Review()
        self._notes: list[Line] = []
        self._finished = False

    def services(self, hook: Any) -> Services:
        """Return the services of this session for a gate; ``hook`` has the plugins of the test."""
        return Services(
            stores=self._stores,
            load=lambda source, origin, **asked: self.data.load(source, origin, hook, **asked),
            hook=hook,
            offline=bool(self._config.getoption("--ftgate-offline")),
            progress=_display(self._config),
            committed=self._committed,
            tell=lambda text: self.note(Line(text, "yellow")),
            budget=self._budget,
            audit=self.data.audit,
        )

    @cached_property
    def _recordings(self) -> Path | None:
        """Return the folder of committed recordings, or None if there is none to read.

        It does not exist yet in the first run that records into it, and that is no error.
        """
        folder = self._config.getini("ftgate_recordings")
        path = self.project.home / folder if folder else None
        if path is None or path.exists():
            return path

        written = [target.resolve() for form, target in self._reports if form == "recordings"]
        return None if path.resolve() in written else path

    @cached_property
    def _store(self) -> store.Store:
        """Return the store that outlives the session."""
        state = self.project.home / self._config.getini("ftgate_state")
        project.refuse_tracked(state)
        return store.Store(state / "predictions.sqlite3")

    @cached_property
    def _stores(self) -> jobs.Stores:
        """Return the stores on disk, in memory and in committed recordings; with ``refresh`` only new answers count."""
        return jobs.Stores(
            persistent=self._store,
            session=store.Store(None),
            recordings=recordings.read_recordings(self._recordings)
            if self._recordings and not self._refresh
            else {},
            refresh=self._refresh,
            started=self.started,
            judged=self._judged,
        )

    @cached_property
    def _committed(self) -> dict[str, str]:
        return recordings.read_notes(self._recordings) if self._recordings else {}

    def keep(self, judged: Judged, item: pytest.Item) -> None:
        """Keep a verdict for the reports, and add it to the test's user properties."""
        result = replace(judged.result, location=location(item))
        self._items[item.nodeid], self.results[item.nodeid] = item, result
        self.facts[item.nodeid] = json.dumps(result.to_dict(whole=True), allow_nan=False)
        others = [one for one in item.user_properties if not one[0].startswith(f"{MARK}.")]
        item.user_properties[:] = [*others, *json_report.junit_properties(result)]
        if judged.gate is not None and any(form == "html" for form, _ in self._reports):
            self._evidence[item.nodeid] = collect(judged.gate)
        if judged.gate is not None and judged.runs:  # the last of a name counts
            self._runs[filed_as(judged.gate.config, id_of(item))] = judged.runs, judged.notes

    def note(self, *lines: Line) -> None:
        """Add lines for the end of the session, each once even if several workers have it."""
        self._notes += [line for line in dict.fromkeys(lines) if line not in self._notes]

    # --- what reports and workers say
    # ---------------------------------------------------------------------------

    def hear_report(self, report: pytest.TestReport) -> None:
        """Add the verdict in a test report, or an error if a marked test ran in a process that gave none."""
        if facts := getattr(report, "ftgate", None):
            self._hear(report.nodeid, facts)
        marked = self._marked.get(report.nodeid)
        if (
            marked is not None
            and report.when not in ("setup", "teardown")
            and report.nodeid not in self.results
        ):
            ended = errors.FtgateError(
                "the process that ran the test ended before the gate was judged"
            )
            self.results[report.nodeid] = failed_result(
                GateResult(marked, report.nodeid, "error"), ended
            )
        if report.nodeid in self._items:
            self._tell_end(self._items[report.nodeid], report)

    def _hear(self, nodeid: str, facts: str) -> None:
        """Add a verdict.

        If several workers judge one test (``--dist=each``), one that is not ``pass`` wins.
        """
        heard, known = json.loads(facts), self.results.get(nodeid)
        if known is None or (known.passed and not heard["passed"]):
            self.results[nodeid] = GateResult.from_dict(heard)

    def _tell_end(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Note how a phase of a test ended; after the last, call the hook ``pytest_ftgate_gate_finished``."""
        before = "passed" if report.when == "setup" else self._outcomes.get(item.nodeid, "passed")
        # other plugins have other outcomes
        ended = report.outcome if report.outcome in _OUTCOMES else "failed"
        self._outcomes[item.nodeid] = outcome = max(before, ended, key=_OUTCOMES.index)
        if report.when == "teardown" and (result := self.results.get(item.nodeid)) is not None:
            try:
                hook = item.ihook.pytest_ftgate_gate_finished
                errors.guarded(
                    "the hook pytest_ftgate_gate_finished", hook, result=result, outcome=outcome
                )
            except errors.FtgateError as error:  # it changes no verdict, but is reported
                self.note(Line(one_line(str(error)), "red"))

    def see(self, item: pytest.Item, *, deselected: bool = False) -> None:
        """Record a marked test that was collected or deselected."""
        self._seen.names[id_of(item)] = name = claimed_name(item)
        if deselected:
            self._seen.absent[id_of(item)] = required_gates.DESELECTED
        else:
            self._marked[item.nodeid] = name

    def see_absent(self, item: pytest.Item, why: str) -> None:
        """Record why a marked test was not judged, or did not run to its end; blank: it did, perhaps in a rerun."""
        self._seen.absent.pop(id_of(item), None)
        if why:
            self._seen.absent[id_of(item)] = shortened(why)

    def hear_worker(self, said: str) -> None:
        """Add the results that an xdist worker sends at its end.

        It judged the gates of reports that a hook altered, too. Evidence belongs to the verdict
        that counts, and of two plans for one gate one that failed stays.
        """
        notes, seen, judged, plans, verdicts, evidence = json.loads(said)
        self.note(*(Line(*line) for line in notes))
        self._seen.names |= seen["names"]
        self._seen.absent |= seen["absent"]
        self._judged.update(judged)
        for nodeid, (lines, failed) in plans.items():
            if nodeid not in self.plans or failed:
                self.plans[nodeid] = [Line(*line) for line in lines], failed
        for nodeid, facts in verdicts.items():
            self._hear(nodeid, facts)
            if nodeid in evidence and self.results[nodeid] == GateResult.from_dict(
                json.loads(facts)
            ):
                self._evidence[nodeid] = Evidence.from_json(evidence[nodeid])

    # --- the end of the session
    # -----------------------------------------------------------------------------------

    def finish(self) -> bool:
        """Write the reports, once, and return whether the session fails.

        No test may be judged after that.

        The session fails if a gate did not pass, whatever the outcome of its test, if a required
        gate did not pass, or if a report could not be written.
        """
        if self._finished:
            return self._red()
        self._finished = True
        self._note_costs()
        self._review_session()
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and self._worker is None:
            for error in self._review.errors({nodeid for nodeid, _ in _failures(reporter)}):
                _add_error(reporter, *error)
        self.note(*self._write_reports())
        if self._worker is not None:
            evidence = {nodeid: one.to_json() for nodeid, one in self._evidence.items()}
            said = [
                self._notes,
                asdict(self._seen),
                sorted(self._judged),
                self.plans,
                self.facts,
                evidence,
            ]
            self._config.workeroutput["ftgate"] = json.dumps(said)  # type: ignore[attr-defined]
        return self._red()

    def _note_costs(self) -> None:
        if self._budget is None or not (self.results or self.plans):
            return
        spent, unsure = self._budget.spent_usd, self._budget.unsure_usd
        perhaps = (
            f", and perhaps {show_usd(unsure)} for calls whose cost is unknown" if unsure else ""
        )
        self.note(
            Line(f"{show_usd(spent)} spent of --ftgate-max-cost {self._limit_usd:g}{perhaps}")
        )
        if self._budget.uncounted:
            names = ", ".join(self._budget.uncounted)
            self.note(
                Line(
                    f"not counted by --ftgate-max-cost, because no price is known: {names}",
                    "yellow",
                )
            )

    def close_store(self) -> None:
        """Delete the stored answers that may not outlive the verdicts of this session (a kill leaves them); close."""
        if not self._judged and "_store" not in self.__dict__:
            return
        try:
            if self._worker is None:
                self._store.drop(sorted(self._judged))
            self._store.close()
        except errors.FtgateError as error:
            self.note(Line(one_line(str(error)), "red"))

    def _review_session(self) -> None:
        """Find the required gates that did not pass, on the controller only."""
        if self._worker is not None:
            return
        results = list(self.results.values())
        review = required_gates.review_session(self._config, self.project, results, self._seen)
        self._review = review

        if self.planning is None:
            names = [gate.name for gate in review.unmet]
            for text in required_gates.unjudged(self.project, results, self._seen, names):
                self.note(Line(text, "yellow"))

    def _red(self) -> bool:
        failed = [
            *(failed for _, failed in self.plans.values()),
            *(not one.passed for one in self.results.values()),
        ]
        return any(failed) or self._review.red or any(line.colour == "red" for line in self._notes)

    def held(self, status: int | pytest.ExitCode) -> int | pytest.ExitCode:
        """Return the exit status: that of a failure if the session is red, even if pytest found none."""
        if not self._finished:
            self._review_session()
        return pytest.ExitCode.TESTS_FAILED if status in _GREEN and self._red() else status

    def summarize(self, reporter: "pytest.TerminalReporter") -> None:
        """Write a block per gate after the test results unless ``-qq``."""
        verbosity = self._config.get_verbosity()
        if verbosity <= _HIDDEN:
            return
        printed = [] if reporter.config.option.tbstyle == "no" else list(_failures(reporter))
        # but those that pytest has printed as failures of their tests
        for nodeid, result in self.results.items():
            if not any(node == nodeid and title(result).text in text for node, text in printed):
                _show_block(reporter, title(result), block(result, verbosity=verbosity))
        for (heading, *lines), _ in self.plans.values():
            _show_block(reporter, heading, lines)
        _show_lines(reporter, [*self._review.lines(), *self._notes])

    def _write_reports(self) -> Iterator[Line]:
        """Write the reports, and yield a line for each.

        Workers write ``recordings``, the controller all others. A session of plans has no reports.
        """
        if self.planning is not None and self._reports:
            unwritten = ", ".join(sorted({form for form, _ in self._reports}))
            yield Line(
                f"no report is written ({unwritten}): {self.planning} gives no verdict", "yellow"
            )
            return
        session = json_report.Session(
            unjudged=[(gate.name, gate.reason) for gate in self._review.unmet],
            removed=self._review.weaker,
            remarks=[line.text for line in self._notes],
            waived_by=self._review.waived_by,
            forbidden=self._review.forbidden,
        )
        gates = [(result, self._evidence.get(nodeid)) for nodeid, result in self.results.items()]
        outcome = Outcome(gates, self._runs, session)
        for form, path in self._reports:
            if form == "recordings" or self._worker is None:
                try:
                    is_written, kept = outcome.write(form, path)
                except OSError as error:
                    yield Line(f"the {form} report could not be written: {error}", "red")
                    continue
                yield from (Line(printable(text), "yellow") for text in kept)
                if is_written:
                    yield Line(f"{form} report: {errors.shown_path(path)}")
