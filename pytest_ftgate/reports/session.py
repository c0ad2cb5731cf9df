"""Write the reports of a session in all formats."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate import clock
from pytest_ftgate.files import write_whole
from pytest_ftgate.reports import json
from pytest_ftgate.result import GateResult
from pytest_ftgate.runs.jobs import Run


@dataclass(frozen=True)
class Outcome:
    """What a session has to report: results, runs with notes by name."""

    results: Sequence[GateResult]
    runs: Mapping[str, tuple[Mapping[str, Run], Mapping[str, str]]]
    session: json.Session

    def write(self, form: str, path: Path) -> tuple[bool, list[str]]:
        """Write one report: ``json``, ``markdown``, ``card``, ``html`` or ``recordings``.

        Raises :class:`OSError`.

        Returns:
            Whether anything was written, and sentences about the recordings that were not.
        """
        if form == "recordings":
            return self._write_recordings(path)

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
        elif form == "card":
            from pytest_ftgate.reports.card import card

            write_whole(path, [card(self.results, written_at=clock.wall())])
        else:
            from pytest_ftgate.reports.html.page import page

            write_whole(path, [page(self.results, self.session, written_at=clock.wall())])
        return True, []

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
