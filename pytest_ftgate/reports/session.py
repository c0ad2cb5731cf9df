"""Write the reports of a session in all formats."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ftgate import clock
from pytest_ftgate.files import write_whole
from pytest_ftgate.reports import json
from pytest_ftgate.reports.predictions import Row
from pytest_ftgate.result import GateResult
from pytest_ftgate.runs.jobs import Run
from pytest_ftgate.text import plural


@dataclass(frozen=True)
class Outcome:
    """What a session has to report.

    Attributes:
        results: of all gates.
        runs: with notes, by the name under which they are recorded.
        session: what it says besides its gates.
        predictions: the rows of all answers by the node id of the gate, if asked for.
    """

    results: Sequence[GateResult]
    runs: Mapping[str, tuple[Mapping[str, Run], Mapping[str, str]]]
    session: json.Session
    predictions: Mapping[str, Sequence[Row]] = field(default_factory=dict)

    def write(self, form: str, path: Path) -> tuple[bool, list[str]]:
        """Write one report in one of the formats of ``--ftgate-report``.

        Raises :class:`OSError`, or :class:`DataError` for a file that must not be written over.

        Returns:
            Whether anything was written, and sentences about what was not.
        """
        if form == "recordings":
            return self._write_recordings(path)
        if form == "predictions":
            return True, self._write_predictions(path)

        if form == "json":
            write_whole(path, [json.report(self.results, self.session, written_at=clock.wall())])
        elif form == "markdown":
            from pytest_ftgate.reports.markdown import document

            text = document(self.results, self.session)
            # All commands of a step share its summary.
            if path == Path(os.environ.get("GITHUB_STEP_SUMMARY", "")):
                with path.open("a", encoding="utf-8", newline="\n") as file:
                    file.write(text)
            else:
                write_whole(path, [text])
        elif form == "to_label":
            from pytest_ftgate.reports.to_label import write_to_label

            remarks = write_to_label(path, self.results)
            return not remarks, remarks
        elif form == "card":
            from pytest_ftgate.reports.card import card

            write_whole(path, [card(self.results, written_at=clock.wall())])
        else:
            from pytest_ftgate.reports.html.page import page

            write_whole(path, [page(self.results, self.session, written_at=clock.wall())])
        return True, []

    def _write_predictions(self, path: Path) -> list[str]:
        """Write the answers of all gates as one table, and say of which there are none, or few."""
        from pytest_ftgate.reports import predictions

        rows: list[Row] = []
        remarks = []
        for result in self.results:
            of_gate = self.predictions.get(result.nodeid, ())
            rows += of_gate
            if not of_gate:
                remarks.append(f"no predictions of {result.name} were written: none may be shown")
                if not result.models_called and not result.scored:
                    remarks[-1] = f"no predictions of {result.name}: no model was called"
            elif result.attempt is not None:
                count = plural(len({row["id"] for row in of_gate}), "example")
                remark = f"predictions of {result.name}: only the {count} that may be shown"
                remarks.append(f"{remark} (max_attempts)")
        predictions.write(path, rows)
        return remarks

    def _write_recordings(self, folder: Path) -> tuple[bool, list[str]]:
        """Write the recordings of all gates whose models gave all answers.

        The others keep the files that they have.
        """
        from pytest_ftgate.reports.recordings import missing_answers, write_recordings

        is_written = False
        kept: list[str] = []
        for name, (runs, notes) in self.runs.items():
            missing = missing_answers(runs)
            if missing:
                kept.append(
                    f"no recordings of {name} were written, and older ones are unchanged: {missing}"
                )
                continue
            write_recordings(folder, name, runs, notes)
            is_written = True
        if not self.runs:
            kept.append(
                "no recordings were written, and older ones are unchanged: no model was called"
            )
        return is_written, kept
