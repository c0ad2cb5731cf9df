"""Collect the verdicts of one session, of this process and of xdist's workers, and report them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate import clock, errors, plain
from pytest_ftgate.checks.freshness import filed_as
from pytest_ftgate.gate.state import DataSets, Judged, Services
from pytest_ftgate.guarded import guarded
from pytest_ftgate.plugin import STARTED, ini_keys, project, required_gates, terminal
from pytest_ftgate.plugin.markers import MARK, claimed_name, id_of, location
from pytest_ftgate.reports import json as json_report
from pytest_ftgate.reports import predictions, recordings
from pytest_ftgate.reports.session import Outcome
from pytest_ftgate.reports.text import Line, block, title
from pytest_ftgate.result import GateResult, failed_result
from pytest_ftgate.runs import budget, jobs, store
from pytest_ftgate.text import one_line, printable, shortened, show_usd

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines

_OUTCOMES = ("passed", "skipped", "failed")  # of a phase, the worst last
_GREEN = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


@dataclass(frozen=True)
class WorkerReport:
    """What an xdist worker sends at its end.

    Attributes:
        notes: lines for the end of the session.
        seen: the marked tests.
        judged: keys of stored answers that no later session may use.
        plans: as those of the session.
        predictions: as those of the session.
    """

    notes: list[Line]
    seen: required_gates.Seen
    judged: list[str]
    plans: dict[str, tuple[Sequence[Line], str]]
    predictions: dict[str, list[predictions.Row]]


@dataclass
class GateSession:
    """The state of a session, on the controller and on each xdist worker."""

    config: pytest.Config

    results: dict[str, GateResult] = field(default_factory=dict)
    """The first verdict of each test, by node id."""

    facts: dict[str, str] = field(default_factory=dict)
    """The same as JSON, of the tests of this process."""

    plans: dict[str, tuple[Sequence[Line], str]] = field(default_factory=dict)
    """By node id: lines of text, the title first, and whether the plan makes the session fail."""

    judged_with: dict[str, tuple[pytest.Mark, ...]] = field(default_factory=dict)
    """The markers of judged tests, by node id."""

    data: DataSets = field(default_factory=DataSets)
    """The data sets that were read, each once."""

    _items: dict[str, pytest.Item] = field(default_factory=dict)
    """The tests whose gates were judged in this process."""

    _outcomes: dict[str, str] = field(default_factory=dict)
    """The worst outcome of the phases of these tests so far."""

    _runs: dict[str, tuple[Mapping[str, jobs.Run], Mapping[str, str]]] = field(default_factory=dict)
    """The runs of gates, with notes, by the name under which they are recorded."""

    _predictions: dict[str, list[predictions.Row]] = field(default_factory=dict)
    """The answers of gates, by node id, if a report of them is asked for."""

    _judged: set[str] = field(default_factory=set)
    """Keys of stored answers that no later session may use."""

    _seen: required_gates.Seen = field(default_factory=required_gates.Seen)
    """The marked tests that were collected."""

    _review: required_gates.Review = field(default_factory=required_gates.Review)
    """What fails the session besides its gates."""

    _notes: list[Line] = field(default_factory=list)
    """Lines for the end of the session."""

    _finished: bool = False
    """Whether the reports are written."""

    def __post_init__(self) -> None:
        """Read the options. The start, in seconds since the epoch, is equal on all workers."""
        config = self.config
        self._worker: Mapping[str, Any] | None = getattr(config, "workerinput", None)
        self.started = config.stash.setdefault(STARTED, clock.wall())
        if self._worker is not None:
            self.started = self._worker["ftgate_started"]
        self.project = project.Project(config)
        self.planning = ini_keys.planning_option(config)
        self._refresh = config.getoption("--ftgate-cache") == "refresh"

        # Paths of the command line are relative to the folder where pytest was started.
        self._reports: list[tuple[str, Path]] = []
        for report in config.getoption("--ftgate-report"):
            form, _, target = report.partition(":")
            self._reports.append((form, project.option_path(config, target)))

        self._budget: budget.Budget | None = None
        self._limit_usd: float | None = config.getoption("--ftgate-max-cost")
        if self._limit_usd is not None:
            # Workers do not share their costs.
            n_workers = self._worker["workercount"] if self._worker else 1
            self._budget = budget.Budget(self._limit_usd, n_workers)

    def services(self, hook: Any) -> Services:
        """Return the services of this session for a gate; ``hook`` has the plugins of the test."""

        def tell(text: str) -> None:
            self.note(Line(text, "yellow"))

        return Services(
            stores=self._stores,
            load=partial(self.data.load, hook=hook),
            hook=hook,
            offline=bool(self.config.getoption("--ftgate-offline")),
            progress=terminal.display_of(self.config),
            committed=self._committed,
            tell=tell,
            budget=self._budget,
            audit=self.data.audit,
        )

    @cached_property
    def _recordings(self) -> Path | None:
        """Return the folder of committed recordings, which may not exist yet; None without one."""
        folder = self.config.getini("ftgate_recordings")
        return self.project.home / folder if folder else None

    @cached_property
    def _store(self) -> store.Store:
        """Return the store that outlives the session."""
        state = self.project.home / self.config.getini("ftgate_state")
        return store.Store(state / "predictions.sqlite3")

    @cached_property
    def _stores(self) -> jobs.Stores:
        """Return the stores on disk, in memory and in committed recordings.

        With ``refresh`` only new answers count.
        """
        answers = {}
        if self._recordings is not None and not self._refresh:
            answers = recordings.read_recordings(self._recordings)
        return jobs.Stores(
            persistent=self._store,
            session=store.Store(None),
            recordings=answers,
            refresh=self._refresh,
            started=self.started,
            judged=self._judged,
        )

    @cached_property
    def _committed(self) -> dict[str, str]:
        """Return the notes beside the committed recordings."""
        return recordings.read_notes(self._recordings) if self._recordings else {}

    def keep(self, judged: Judged, item: pytest.Item) -> None:
        """Keep a verdict for the reports, and add its main facts to the test's user properties."""
        result = replace(judged.result, location=location(item))
        self._items[item.nodeid] = item
        self.results[item.nodeid] = result
        self.facts[item.nodeid] = json.dumps(result.to_dict(whole=True), allow_nan=False)

        # A rerun of the test replaces the facts of the run before.
        prefix = f"{MARK}."
        properties = [pair for pair in item.user_properties if not pair[0].startswith(prefix)]
        item.user_properties[:] = [*properties, *json_report.junit_properties(result)]

        if judged.gate is None:
            return
        if any(form == "predictions" for form, _ in self._reports):
            self._predictions[item.nodeid] = predictions.rows_of(judged.gate)
        if judged.runs:  # the last of a name counts
            name = filed_as(judged.gate.config, id_of(item))
            self._runs[name] = judged.runs, judged.notes

    def note(self, *lines: Line) -> None:
        """Add lines for the end of the session, each once even if several workers have it."""
        for line in lines:
            if line not in self._notes:
                self._notes.append(line)

    # --- what reports and workers say -------------------------------------------------------------

    def hear_report(self, report: pytest.TestReport) -> None:
        """Add the verdict in a test report.

        It is an error if the process of a marked test gave none.
        """
        nodeid = report.nodeid
        facts: str | None = getattr(report, MARK, None)
        if facts is not None:
            self._hear(nodeid, facts)

        name = self._seen.names.get(nodeid)
        is_ended = report.when not in ("setup", "teardown")
        if name is not None and is_ended and nodeid not in self.results:
            error = errors.FtgateError(
                "the process that ran the test ended before the gate was judged"
            )
            self.results[nodeid] = failed_result(GateResult(name, nodeid, "error"), error)
        if nodeid in self.results and report.failed:
            terminal.colour_failure(report, title(self.results[nodeid]).text)
        if nodeid in self._items:
            self._hear_phase(self._items[nodeid], report)

    def _hear(self, nodeid: str, facts: str) -> None:
        """Add a verdict.

        If several workers judge one test (``--dist=each``), one that is not ``pass`` wins.
        """
        heard = json.loads(facts)
        earlier = self.results.get(nodeid)
        if earlier is None or (earlier.passed and not heard["passed"]):
            self.results[nodeid] = GateResult.from_dict(heard)

    def _hear_phase(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Note how a phase of a test ended; after the last, call the hook for finished gates."""
        nodeid = item.nodeid
        if report.when == "setup":  # perhaps of a rerun
            self._outcomes.pop(nodeid, None)

        # Other plugins have other outcomes.
        phase = report.outcome if report.outcome in _OUTCOMES else "failed"
        outcome = max(self._outcomes.get(nodeid, "passed"), phase, key=_OUTCOMES.index)
        self._outcomes[nodeid] = outcome

        if report.when != "teardown" or nodeid not in self.results:
            return
        # A report of xdist comes without its item, so only the worker calls the hook.
        try:
            name = "pytest_ftgate_gate_finished"
            hook = getattr(item.ihook, name)
            guarded(f"the hook {name}", hook, result=self.results[nodeid], outcome=outcome)
        except errors.FtgateError as error:  # it changes no verdict, but is reported
            self.note(Line(one_line(str(error)), "red"))

    def note_test(self, item: pytest.Item, *, deselected: bool = False) -> None:
        """Note that a marked test was collected or deselected, for the gates that are required."""
        self._seen.names[id_of(item)] = claimed_name(item)
        if deselected:
            self._seen.absent[id_of(item)] = required_gates.DESELECTED

    def see_absent(self, item: pytest.Item, reason: str) -> None:
        """Record why a marked test was not judged, or did not run to its end.

        A blank reason: it did, perhaps in a rerun.
        """
        self._seen.absent.pop(id_of(item), None)
        if reason:
            self._seen.absent[id_of(item)] = shortened(reason)

    def hear_worker(self, text: str) -> None:
        """Add what an xdist worker sends at its end, a :class:`WorkerReport` as JSON.

        Of two plans for one gate one that failed stays.
        """
        report = plain.from_plain(WorkerReport, json.loads(text))
        self.note(*report.notes)
        self._seen.names.update(report.seen.names)
        self._seen.absent.update(report.seen.absent)
        self._judged.update(report.judged)
        self._predictions.update(report.predictions)
        for nodeid, plan in report.plans.items():
            _, why_failed = plan
            if nodeid not in self.plans or why_failed:
                self.plans[nodeid] = plan

    # --- the end of the session -------------------------------------------------------------------

    def finish(self) -> bool:
        """Write the reports, once, and return whether the session fails.

        No test may be judged after that.

        The session fails if a gate did not pass, whatever the outcome of its test, if a required
        gate did not pass, or if a report could not be written.
        """
        if self._finished:
            return self._is_red()

        # Each step may add notes that the next one shows.
        self._finished = True
        self._note_costs()
        self._review_session()
        self._add_errors()
        self._write_reports()

        if self._worker is not None:
            judged = sorted(self._judged)
            report = WorkerReport(
                self._notes,
                seen=self._seen,
                judged=judged,
                plans=self.plans,
                predictions=self._predictions,
            )
            vars(self.config)["workeroutput"]["ftgate"] = json.dumps(asdict(report))
        return self._is_red()

    def _note_costs(self) -> None:
        if self._budget is None or not (self.results or self.plans):
            return
        text = f"{show_usd(self._budget.spent_usd)} spent of --ftgate-max-cost {self._limit_usd:g}"
        self.note(Line(text))
        if self._budget.uncounted:
            names = ", ".join(self._budget.uncounted)
            text = f"not counted by --ftgate-max-cost, because no price is known: {names}"
            self.note(Line(text, "yellow"))

    def close_store(self) -> None:
        """Close the store, and retire the answers that were for the verdicts of this session alone.

        After a kill the next session gets them.
        """
        if not self._judged and "_store" not in vars(self):
            return
        try:
            if self._worker is None:
                self._store.retire(sorted(self._judged))
            self._store.close()
        except errors.FtgateError as error:
            self.note(Line(one_line(str(error)), "red"))

    def _review_session(self) -> None:
        """Find the required gates that did not pass, on the controller only."""
        if self._worker is not None:
            return
        results = list(self.results.values())
        self._review = required_gates.review_session(self.config, self.project, results, self._seen)
        if self.planning is None:
            unmet = [gate.name for gate in self._review.unmet]
            for text in required_gates.unjudged(self.project, results, self._seen, unmet):
                self.note(Line(text, "yellow"))

    def _add_errors(self) -> None:
        """Count what fails the session, and no test, as errors of pytest."""
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is None or self._worker is not None:
            return
        failed = {nodeid for nodeid, _ in terminal.failures(reporter)}
        for key, message, text in self._review.errors(failed):
            terminal.add_error(reporter, key, message, text)

    def _is_red(self) -> bool:
        return (
            any(why_failed for _, why_failed in self.plans.values())
            or not all(result.passed for result in self.results.values())
            or self._review.red
            or bool(self._failures)
        )

    @property
    def _failures(self) -> list[str]:
        """Return the notes that fail the session."""
        return [line.text for line in self._notes if line.colour == "red"]

    def held(self, status: int | pytest.ExitCode) -> int | pytest.ExitCode:
        """Return the exit status: that of a failure if the session is red."""
        # Somebody may end the run before its tests ran.
        if not self._finished:
            self._review_session()
        return pytest.ExitCode.TESTS_FAILED if status in _GREEN and self._is_red() else status

    def summarize(self, reporter: "pytest.TerminalReporter") -> None:
        """Write a block per gate after the test results unless ``-qq``."""
        verbosity = self.config.get_verbosity()
        if verbosity <= terminal.HIDDEN:
            return
        # The block of a red gate or plan is the failure of its test.
        for nodeid, result in self.results.items():
            if not self._is_printed(reporter, nodeid, title(result)):
                terminal.show_block(reporter, title(result), block(result, verbosity=verbosity))
        for nodeid, ((heading, *lines), _) in self.plans.items():
            if not self._is_printed(reporter, nodeid, heading):
                terminal.show_block(reporter, heading, lines)
        terminal.show_lines(reporter, [*self._review.lines(), *self._notes])

    @staticmethod
    def _is_printed(reporter: "pytest.TerminalReporter", nodeid: str, heading: Line) -> bool:
        """Return whether pytest has printed the block as the failure of the test."""
        if reporter.config.option.tbstyle == "no":
            return False
        return any(
            failed == nodeid and heading.text in text
            for failed, text in terminal.failures(reporter)
        )

    def _write_reports(self) -> None:
        """Write the reports, and note each. Those after one that cannot be written say so, too.

        Workers write ``recordings``, the controller all others. A session of plans has no reports.
        """
        if self.planning is not None and self._reports:
            forms = ", ".join(sorted({form for form, _ in self._reports}))
            text = f"no report is written ({forms}): {self.planning} gives no verdict"
            self.note(Line(text, "yellow"))
            return

        session = json_report.Session(
            unjudged=[(gate.name, gate.reason) for gate in self._review.unmet],
            removed=tuple(self._review.weaker),
            remarks=[line.text for line in self._notes if line.colour != "red"],
            waived_by=self._review.waived_by,
            forbidden=self._review.forbidden,
        )
        results = list(self.results.values())
        for form, path in self._reports:
            if self._worker is not None and form != "recordings":
                continue
            so_far = replace(session, failures=self._failures)
            outcome = Outcome(
                results, runs=self._runs, session=so_far, predictions=self._predictions
            )
            try:
                is_written, remarks = outcome.write(form, path)
            except (OSError, errors.DataError) as error:
                self.note(Line(f"the {form} report could not be written: {error}", "red"))
                continue
            for remark in remarks:
                self.note(Line(printable(remark), "yellow"))
            if is_written:
                self.note(Line(f"{form} report: {errors.shown_path(path)}"))
