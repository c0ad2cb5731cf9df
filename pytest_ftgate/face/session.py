"""What one pytest session keeps: the gate file, the data, the stores, the results, and what is said at its end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.errors import ConfigError, FtgateError, Where, shown_path
from pytest_ftgate.face.marks import claimed_name, function_id, location
from pytest_ftgate.face.terminal import HIDDEN, columns, display, markup
from pytest_ftgate.foreign import guarded
from pytest_ftgate.numbers import show_usd
from pytest_ftgate.obligations import Seen, unjudged
from pytest_ftgate.pipeline import Judged, Services
from pytest_ftgate.render import json as json_report
from pytest_ftgate.render.github import Step
from pytest_ftgate.render.session import Session
from pytest_ftgate.render.text import Line, block, title
from pytest_ftgate.reports import Outcome
from pytest_ftgate.result import GateResult
from pytest_ftgate.running.budget import Budget
from pytest_ftgate.safe import one_line, printable, shortened

__tracebackhide__ = True  # what a fixture or a body raises is shown without our lines

if TYPE_CHECKING:
    from pytest_ftgate.config import DataSpec, GateFile
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.diagnosis.answers import Answers
    from pytest_ftgate.revision.review import Past
    from pytest_ftgate.running.runner import Run, Stores
    from pytest_ftgate.training import TrainingAudit


class GateSession:
    """Run-wide state, on the controller and on each xdist worker.

    Attributes:
        started: seconds since the epoch; the same on all workers of one run.
        results: the first verdict of each test, by node id.
        facts: the same as JSON, of the tests of this process.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker: Mapping[str, Any] | None = getattr(config, "workerinput", None)
        self.started: float = self._worker["ftgate_started"] if self._worker else time.time()
        self.results: dict[str, GateResult] = {}
        self.facts: dict[str, str] = {}
        self._answers: dict[str, Answers] = {}
        self._runs: dict[str, tuple[Mapping[str, Run], Mapping[str, str]]] = {}
        self._jobs: dict[str, str] | None = None
        self._files: dict[Path, GateFile] = {}
        self._stores: Stores | None = None
        self._budget = _budget(config, self._worker)
        self._data: dict[Any, tuple[Any, DataSet]] = {}
        self._audits: dict[tuple[int, int, int | None], TrainingAudit] = {}
        self._seen = Seen()
        self._unjudged: list[dict[str, str]] = []
        self._removed: list[str] = []
        self._pasts: dict[Path, Past | None] = {}
        self._notes: list[Line] = []
        self._red = False

    # --- what gates are given --------------------------------------------------------------------------------

    @property
    def _file_folder(self) -> Path:
        """What the ini file's relative paths are relative to."""
        return self._config.inipath.parent if self._config.inipath else self._config.rootpath

    def _option_path(self, text: str) -> Path:
        return Path(self._config.invocation_params.dir, text)

    def gate_file_path(self) -> Path:
        """The gate file of this session; the command line names it before the ini file does."""
        named = self._config.getoption("--ftgate-config")
        return self._option_path(named) if named else self._file_folder / self._config.getini("ftgate_config")

    def gate_file(self, *, required: bool) -> GateFile | None:
        """The gate file, read once. One that is absent is an error where it is ``required`` or was named."""
        path = self.gate_file_path()
        if path in self._files or os.path.exists(path):  # which takes a path that no file can have for an absent one
            return self._read(path)
        if required or self._config.getoption("--ftgate-config"):
            raise ConfigError(
                "there is no gate file",
                where=Where(shown_path(path)),
                cure="Write it, name another with ini ftgate_config, or give all keys in the mark.",
            )
        return None

    def _read(self, path: Path) -> GateFile:
        from pytest_ftgate.config import load_gate_file

        if path not in self._files:
            self._files[path] = load_gate_file(path)
        return self._files[path]

    def promised(self, gate: str) -> GateFile | None:
        """The ini's gate file, where it has this gate and the command line names another: its promises stay."""
        if not self._config.getoption("--ftgate-config"):
            return None
        try:
            file = self._gate_file_of_ini()
        except FtgateError:
            return None  # which the obligations say
        return file if gate in file.gate_names else None

    def past(self, path: Path | None = None) -> Past | None:
        """What ``path`` (the session's gate file) was where this change began, looked up once; None without git."""
        from pytest_ftgate.revision.review import look_back

        path = Path(os.path.abspath(path or self.gate_file_path()))
        if path not in self._pasts:
            self._pasts[path] = look_back(path, self._config.getini("ftgate_base_ref") or None)
        return self._pasts[path]

    @property
    def forbids_weakening(self) -> bool:
        """A gate that asks for less than where this change began fails."""
        return bool(self._config.getini("ftgate_forbid_weakening"))

    def services(self, hook: Any) -> Services:
        """What this session lends to a gate; ``hook`` sees the plugins that the test sees."""
        return Services(
            stores=self.stores(),
            load=lambda source, origin: self.load(source, origin, hook),
            hook=hook,
            offline=bool(self._config.getoption("--ftgate-offline")),
            progress=display(self._config),
            jobs=self._recorded_jobs(),
            tell=lambda text: self.note(Line(text, "yellow")),
            budget=self._budget,
            audit=self.audit,
        )

    def audit(self, training: DataSet, test: DataSet, *, max_tokens: int | None = None) -> TrainingAudit:
        """Audit a training set for a test set, once in a session: many gates and candidates share both."""
        from pytest_ftgate.training import audit_training_set

        key = (id(training), id(test), max_tokens)  # of sets that ``load`` has given, and keeps
        if key not in self._audits:
            self._audits[key] = audit_training_set(training, test, max_tokens=max_tokens)
        return self._audits[key]

    def _recorded_jobs(self) -> dict[str, str]:
        """What committed recordings know of fine-tuning jobs."""
        if self._jobs is None:
            from pytest_ftgate.recordings import read_job_notes

            recordings = self._config.getini("ftgate_recordings")
            self._jobs = read_job_notes(self._file_folder / recordings) if recordings else {}
        return self._jobs

    def stores(self) -> Stores:
        """Where predictions are kept: on disk, in memory for this session, and in committed recordings."""
        if self._stores is None:
            from pytest_ftgate.recordings import read_recordings
            from pytest_ftgate.running.runner import Stores
            from pytest_ftgate.running.store import Store

            mode = self._config.getoption("--ftgate-cache")
            state = self._file_folder / self._config.getini("ftgate_state")
            recordings = self._config.getini("ftgate_recordings") if mode != "refresh" else None
            self._stores = Stores(
                persistent=Store(None if mode == "off" else state / "predictions.sqlite3"),
                session=Store(None),
                recordings=read_recordings(self._file_folder / recordings) if recordings else {},
                newer_than=self.started if mode == "refresh" else None,
            )
        return self._stores

    def load(self, source: DataSpec | Iterable[Any], origin: str, hook: Any | None = None) -> DataSet:
        """Read a data source once in a session; an iterator can be consumed only once anyway."""
        from pytest_ftgate.config import DataSpec
        from pytest_ftgate.data import examples_from

        if not isinstance(source, DataSpec):
            kept = self._data.get(id(source))
            if kept is None:
                kept = self._data[id(source)] = (source, examples_from(source, origin=origin))
            return kept[1]
        key = (source.path, source.format, tuple(source.fields.items()), source.limit)
        if key not in self._data:
            self._data[key] = (source, _load_file(source, hook))
        return self._data[key][1]

    # --- what gates bring back -------------------------------------------------------------------------------

    def keep(self, judged: Judged, item: pytest.Item) -> None:
        """Keep a verdict, and send it along with the test's reports."""
        judged = replace(judged, result=replace(judged.result, location=location(item)))
        self.results[item.nodeid] = judged.result
        properties = json_report.junit_properties(judged.result)
        self.facts[item.nodeid] = dict(properties)["ftgate"]
        item.user_properties.extend(properties)
        if self._writes("html"):
            self._keep_answers(judged, item.nodeid)
        try:
            hook = item.ihook.pytest_ftgate_gate_finished
            guarded("the hook pytest_ftgate_gate_finished", hook, result=judged.result)
        except FtgateError as error:  # an observer's fault changes no verdict, and is not passed over
            self.note(Line(one_line(str(error)), "red"))

    def _keep_answers(self, judged: Judged, nodeid: str) -> None:
        """What the page shows of every example."""
        from pytest_ftgate.diagnosis.answers import side_by_side

        baselines = judged.result.baselines
        best = next((role for role, facts in baselines.items() if facts == judged.result.baseline), None)
        if judged.prepared is not None and best is not None and best in judged.scored:
            deciding = judged.prepared.deciding
            self._answers[nodeid] = side_by_side(deciding, judged.scored, judged.samples, best)

    def _writes(self, form: str) -> bool:
        return any(written.startswith(f"{form}:") for written in self._config.getoption("--ftgate-report"))

    def record(self, name: str, runs: Mapping[str, Run], jobs: Mapping[str, str]) -> None:
        """Keep what models answered, and what is known of the jobs that made them, for the report ``recordings``.

        Under one name the last with answers counts.
        """
        if runs:
            self._runs[name] = runs, jobs

    def hear(self, nodeid: str, facts: str) -> None:
        """A verdict of one of xdist's workers, out of a test report or, where a hook altered that, at its end.

        Where several workers judge one test (``--dist=each``), a verdict that is not ``pass`` counts.
        """
        import json

        heard, known = json.loads(facts), self.results.get(nodeid)
        if known is None or (known.passed and not heard["passed"]):
            self.results[nodeid] = GateResult.from_dict(heard)

    def hear_worker(self, said: Mapping[str, Any]) -> None:
        """What an xdist worker has to say at its end."""
        import json

        from pytest_ftgate.diagnosis.answers import Answers

        self._seen.add(said["seen"])
        for nodeid, facts in said["facts"].items():
            self.hear(nodeid, facts)
            if nodeid in said["answers"] and self.results[nodeid] == GateResult.from_dict(json.loads(facts)):
                self._answers[nodeid] = Answers.from_json(said["answers"][nodeid])
        for text, colour in said["notes"]:
            self.note(Line(text, colour))

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
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        self._seen.skipped[claimed_name(item)] = shortened(reason.removeprefix("Skipped: "))

    # --- the session's end -----------------------------------------------------------------------------------

    def finish(self, session: pytest.Session) -> None:
        """Write the reports; anything but ``pass`` makes the session fail, whatever became of its test.

        So does an obligation that was not met, and a report that could not be written.
        """
        self._tell_spent()
        if self._worker is None:
            self._unjudged = self._obligations()
            self._removed = self._gone()
        outcome = self._outcome()  # which says nothing of the reports themselves, in whatever order they are asked for
        for written in self._config.getoption("--ftgate-report"):
            self._write(outcome, *written.split(":", 1))
        if self._worker is None:
            self._append_summary(outcome)
        red = any(not result.passed for result in self.results.values())
        unwritten = any(line.colour == "red" for line in self._notes)
        if self._worker is not None:
            notes = [tuple(line) for line in self._notes]
            answers = {nodeid: one.to_json() for nodeid, one in self._answers.items()}
            said = {"notes": notes, "seen": self._seen.to_plain(), "facts": self.facts, "answers": answers}
            self._config.workeroutput["ftgate"] = said  # type: ignore[attr-defined]
        owed = bool(self._unjudged) and not self._partial
        self._red = red or unwritten or owed
        session.exitstatus = self.held(session.exitstatus)

    def _tell_spent(self) -> None:
        """What was spent of a limit, and what was not counted."""
        if self._budget is None or not self.results:
            return
        spent = show_usd(self._budget.spent_usd)
        self.note(Line(f"{spent} spent of --ftgate-max-cost {self._config.getoption('--ftgate-max-cost'):g}"))
        if self._budget.uncounted:
            names = ", ".join(self._budget.uncounted)
            self.note(Line(f"not counted by --ftgate-max-cost, since they have no price: {names}", "yellow"))

    def held(self, status: int | pytest.ExitCode) -> int | pytest.ExitCode:
        """The exit status; where the session is red, none that says otherwise."""
        says_otherwise = status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        return pytest.ExitCode.TESTS_FAILED if self._red and says_otherwise else status

    @property
    def _partial(self) -> bool:
        return bool(self._config.getoption("--ftgate-partial"))

    def _obligations(self) -> list[dict[str, str]]:
        required: list[str] = self._config.getini("ftgate_required")
        if not required:
            return []
        try:
            in_file = self._gate_file_of_ini().gate_names
        except FtgateError as error:
            if "all" in required or os.path.exists(self._ini_gate_file):
                return [{"name": name, "reason": str(error).splitlines()[0]} for name in required]
            in_file = ()  # gates may stand in marks alone
        if "all" in required and not in_file:
            return [{"name": "all", "reason": f"{shown_path(self._ini_gate_file)} has no gates"}]
        names = [name for one in required for name in (in_file if one == "all" else (one,))]
        return unjudged(names, list(self.results.values()), self._seen, in_file=in_file)

    def _gone(self) -> list[str]:
        """The gates that were removed from the ini's gate file since this change began.

        Where weakening is forbidden, those that are required stay an obligation.
        """
        from pytest_ftgate.revision.review import removed_gates

        required: list[str] = self._config.getini("ftgate_required")
        owed = required if self.forbids_weakening else []
        past = self.past(self._ini_gate_file) if self.results or owed else None
        if past is None or past.file is None:
            return []
        try:
            now = self._gate_file_of_ini().gate_names if self._ini_gate_file.exists() else ()
        except FtgateError:
            return []  # a file that cannot be read is said where a gate needs it
        gone = removed_gates(past, now)
        known = {one["name"] for one in self._unjudged}
        reason = f"it was removed from {shown_path(self._ini_gate_file)} since {past.ref}"
        for name in gone:
            if name not in known and ("all" in owed or name in owed):
                self._unjudged.append({"name": name, "reason": reason})
        return [f"the gate {name} was removed from {shown_path(self._ini_gate_file)} since {past.ref}" for name in gone]

    @property
    def _ini_gate_file(self) -> Path:
        return Path(self._file_folder, self._config.getini("ftgate_config"))

    def _gate_file_of_ini(self) -> GateFile:
        """The obligations are the ini's, whatever file the command line names."""
        return self._read(self._ini_gate_file)

    def _outcome(self) -> Outcome:
        """Of the session as it is now."""
        session = Session(
            unjudged=[(one["name"], one["reason"]) for one in self._unjudged],
            removed=tuple(self._removed),
            remarks=[line.text for line in self._notes],
            partial=self._partial,
            config=self._config.getoption("--ftgate-config"),
        )
        gates = [(result, self._answers.get(nodeid)) for nodeid, result in self.results.items()]
        return Outcome(gates, self._runs, session)

    def _write(self, outcome: Outcome, form: str, target: str) -> None:
        """``recordings`` where the models ran, the others where all verdicts come together."""
        path = self._option_path(target)
        if form != "recordings" and self._worker is not None:
            return
        try:
            outcome.write(form, path)
        except OSError as error:
            self.note(Line(f"the {form} report could not be written: {error}", "red"))
        else:
            self.note(Line(f"{form} report: {shown_path(path)}"))

    def note(self, line: Line) -> None:
        """A line for the end of the session, said once however many workers have it to say."""
        if line not in self._notes:
            self._notes.append(line)

    def _append_summary(self, outcome: Outcome) -> None:
        """The summary of a step of GitHub Actions. Nobody has asked for it: where it cannot be written, that is all."""
        step = Step.from_environment(os.environ)
        wanted = self._config.getini("ftgate_github_summary") and (self.results or self._unjudged)
        if step is None or step.summary is None or not wanted:
            return
        try:
            trouble = "" if outcome.append_to(step) else "there is no room left in it"
        except OSError as error:
            trouble = str(error)
        if trouble:
            self.note(Line(f"the summary of the GitHub step could not be written: {trouble}", "yellow"))

    def _annotate(self, reporter: pytest.TerminalReporter) -> None:
        """Workflow commands, each on a line of its own; their text is harmless, and they must stay commands."""
        step = Step.from_environment(os.environ)
        if step is None:
            return
        results = list(self.results.values())
        root = self._config.rootpath
        for command in step.annotations(results, self._unjudged, root=root, partial=self._partial):
            reporter.write_line(command)

    def summarize(self, reporter: pytest.TerminalReporter) -> None:
        """One block a gate, after the test results, hidden by ``-qq``; and what GitHub shows at the marks."""
        self._annotate(reporter)
        verbosity = self._config.get_verbosity()
        if verbosity <= HIDDEN:
            return
        for result in self.results.values():
            heading = title(result)
            reporter.write_sep("-", heading.text, bold=True, **markup(heading.colour))
            for line in block(result, verbosity=verbosity, width=columns(reporter), wrap=bool(reporter.isatty)):
                reporter.write_line(line.text, **markup(line.colour))
        lines = [*self._owed(), *(Line(text, "red") for text in self._removed), *self._notes]
        if lines:
            reporter.write_sep("-", "ftgate")
        for line in lines:
            reporter.write_line(printable(line.text), **markup(line.colour))

    def _owed(self) -> list[Line]:
        colour = "yellow" if self._partial else "red"
        waived = " (not enforced: --ftgate-partial)" if self._partial else ""
        return [Line(f"required gate {one['name']}: {one['reason']}{waived}", colour) for one in self._unjudged]


def _load_file(source: DataSpec, hook: Any | None) -> DataSet:
    """A file's examples: by a hook that knows its format, else by our own readers."""
    from hashlib import sha256

    from pytest_ftgate.data import examples_from, load_examples

    options = {"format": source.format, "fields": dict(source.fields), "limit": source.limit}
    rows = None
    if hook is not None:
        called = "the hook pytest_ftgate_load_examples"
        rows = guarded(called, hook.pytest_ftgate_load_examples, path=source.path, options=options)
    if rows is None:
        return load_examples(source.path, format=source.format, fields=source.fields, limit=source.limit)
    shown = shown_path(source.path)
    data = examples_from(rows, origin=shown, fields=source.fields, limit=source.limit)
    if not source.path.is_file():  # a folder of shards, or a name that the hook alone understands
        return replace(data, path=shown)
    return replace(data, path=shown, sha256=sha256(source.path.read_bytes()).hexdigest())


def _budget(config: pytest.Config, worker: Mapping[str, Any] | None) -> Budget | None:
    """What this process may spend: under xdist, where nobody knows what the others spend, an even share."""
    limit_usd = config.getoption("--ftgate-max-cost")
    return None if limit_usd is None else Budget(limit_usd, worker["workercount"] if worker else 1)
