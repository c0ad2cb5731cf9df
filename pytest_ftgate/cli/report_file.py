"""Read a JSON report, which may be written by hand: keys may be absent, but types must be right."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.config.problems import own_words
from pytest_ftgate.data.lines import UnopenedError, open_lines
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.reports.json import REPORT_VERSION, Report
from pytest_ftgate.text import dotted, kind_of


class ForeignError(DataError):
    """A JSON file is something else than a report."""


# What tells a report that was cut off; an empty file and a pointer of Git LFS stand for a report that was lost.
_OF_REPORT = re.compile(r'"version"\s*:\s*\d|"gates"|\A\s*\Z|\Aversion https://git-lfs')
_CURE = "Write one: python -m pytest --ftgate-report=json:PATH"


@dataclass(frozen=True, kw_only=True)
class ReportFile(Report):
    """A report and its path as messages show it."""

    path: str

    @property
    def reasons(self) -> dict[str, str]:
        """Return why required gates did not pass, by their names."""
        return {one.name: one.reason for one in self.unjudged}


def read_report(path: Path) -> ReportFile:
    """Read a report. Raise :class:`DataError` if it cannot be read, :class:`ForeignError` if it is no report."""
    from pydantic import TypeAdapter, ValidationError

    shown = shown_path(path)

    def unusable(what: str, key: str | None = None, cure: str | None = _CURE) -> DataError:
        return DataError(what, where=Where(shown, key=key), cure=cure)

    def foreign(what: str) -> DataError:
        """Return the error of a text that cannot be read: a report that was cut off or not fetched, or another file."""
        return (DataError if _OF_REPORT.search(text) else ForeignError)(what, where=Where(shown), cure=_CURE)

    try:
        with open_lines(path) as lines:
            text = "".join(lines)
    except UnopenedError as error:
        raise unusable(error.what) from None
    try:
        document = parse_json(text)
    except json.JSONDecodeError:
        raise foreign("not a report: it is not JSON") from None
    except ValueError as error:
        raise foreign(f"not a report: {error}") from None
    if not isinstance(document, dict):
        raise ForeignError(f"not a report: it is {kind_of(document)}", where=Where(shown), cure=_CURE)
    version = document.get("version")
    if type(version) is not int or "gates" not in document:
        raise ForeignError("not a report of pytest-ftgate", where=Where(shown), cure=_CURE)
    if version != REPORT_VERSION:
        cure = "Upgrade pytest-ftgate, which is older than this report." if version > REPORT_VERSION else _CURE
        raise unusable(f"must be {REPORT_VERSION}, the only supported version, got {version}", "version", cure)
    try:
        # As JSON, which has no tuples. A lone surrogate, which an answer may contain, is replaced.
        written = json.dumps(document, ensure_ascii=False).encode(errors="replace")
        report = TypeAdapter(Report).validate_json(written, strict=True)
    except ValidationError as error:
        at, what = own_words(error)[0]
        raise unusable(f"not a report: {what}", dotted(at), None) from None
    return ReportFile(**vars(report), path=shown)
