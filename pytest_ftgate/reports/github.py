"""Output for GitHub Actions: annotations at the lines of markers, and the summary of a step."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.reports.text import failure_text
from pytest_ftgate.result import GateResult
from pytest_ftgate.text import plural, printable

MOST_ANNOTATIONS = 10
"""The most annotations of one kind and one step; GitHub drops the rest silently."""
SUMMARY_BYTES = 1_000_000
"""The most bytes of a step's summary; GitHub drops one of more than 1 MiB."""

_NAME_WIDTH = 200


@dataclass(frozen=True)
class Step:
    """The workflow step in which pytest runs."""

    workspace: Path  # the checkout; paths in annotations are relative to it
    summary: Path | None  # the file with the step's summary

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Step | None:
        """Return the step, or ``None`` outside GitHub Actions."""
        if environment.get("GITHUB_ACTIONS") != "true":
            return None
        summary = environment.get("GITHUB_STEP_SUMMARY")
        return cls(Path(environment.get("GITHUB_WORKSPACE") or Path.cwd()), Path(summary) if summary else None)

    def room(self) -> int:
        """Return the bytes left in the summary, which all commands of a step share. Raises :class:`OSError`."""
        if self.summary is None or not self.summary.exists():
            return SUMMARY_BYTES
        return max(SUMMARY_BYTES - self.summary.stat().st_size, 0)

    def append(self, text: str) -> None:
        """Append to the summary. Raises :class:`OSError`."""
        if self.summary is not None:
            with self.summary.open("a", encoding="utf-8", newline="\n") as file:
                file.write(text)

    def annotations(
        self, results: Sequence[GateResult], unjudged: Sequence[Mapping[str, str]], *, root: Path, waived: bool
    ) -> list[str]:
        """Return a workflow command for each gate that did not pass, and for each required gate without a verdict.

        ``unjudged`` has names and reasons of required gates that did not pass, which are not enforced if ``waived``.
        ``root`` is pytest's rootdir.
        """
        red = [result for result in results if not result.passed]
        explained = {name for result in red for name in (result.name, result.gate)}
        lines = []
        for result in red:
            title = f"ftgate {printable(result.name, _NAME_WIDTH)}: {result.verdict.upper()}"
            lines.append(_command("error", {**dict(self._place(result, root)), "title": title}, failure_text(result)))
        for one in unjudged:
            if one["name"] not in explained:
                title = f"ftgate: required gate {printable(one['name'], _NAME_WIDTH)}"
                kind = "warning" if waived else "error"
                lines.append(_command(kind, {"title": title}, printable(one["reason"])))
        if len(lines) <= MOST_ANNOTATIONS:
            return lines
        rest = len(lines) - MOST_ANNOTATIONS + 1
        message = f"{plural(rest, 'more finding')}: see the log, the job summary or the reports"
        return [*lines[: MOST_ANNOTATIONS - 1], _command("error", {"title": "ftgate"}, message)]

    def _place(self, result: GateResult, root: Path) -> Iterator[tuple[str, str]]:
        """Yield file and line, if the file is in the checkout."""
        file, found, line = (result.location or "").rpartition(":")
        below = os.path.relpath(os.path.realpath(root / file), os.path.realpath(self.workspace)) if found else ".."
        if not below.startswith(".."):
            yield "file", Path(below).as_posix()
            yield "line", line


def _command(kind: str, properties: Mapping[str, str], message: str) -> str:
    """Return a workflow command; its parts are escaped."""
    escapes = {"%": "%25", "\r": "%0D", "\n": "%0A"}
    data, in_property = str.maketrans(escapes), str.maketrans({**escapes, ":": "%3A", ",": "%2C"})
    listed = ",".join(f"{name}={value.translate(in_property)}" for name, value in properties.items())
    return f"::{kind} {listed}::{message.translate(data)}"
