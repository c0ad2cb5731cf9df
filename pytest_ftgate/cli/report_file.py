"""A JSON report as it was written, perhaps by another version or hand: names may be absent, types may not be wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pytest_ftgate.data.lines import UnopenedError, open_lines
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.reports.json import REPORT_VERSION
from pytest_ftgate.text import kind_of

_CURE = "Write one: python -m pytest --ftgate-report=json:PATH"


@dataclass(frozen=True)
class Facts:
    """One object of a report. A name that is absent is like null: an earlier version did not know it.

    Attributes:
        values: by name.
        path: the file.
        place: where in it the object stands, as ``gates[0].baseline``.
    """

    values: Mapping[str, Any]
    path: str
    place: str = ""

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        return value if value is None or isinstance(value, str) else self._refuse(name, "text", value)

    def number(self, name: str) -> float | None:
        value = self.values.get(name)
        if isinstance(value, bool) or not (value is None or isinstance(value, int | float)):
            self._refuse(name, "a number", value)
        if value is not None and not abs(value) <= sys.float_info.max:
            self._refuse(name, "a number that is no larger than floats are", value)
        return value

    def part(self, name: str) -> Facts:
        """The object under a name; an empty one where there is none."""
        value = self.values.get(name)
        return self._below(name, {} if value is None else value)

    def parts(self, name: str) -> list[Facts]:
        """The objects of a list; none where there is no list."""
        value = self.values.get(name)
        if not (value is None or isinstance(value, list)):
            self._refuse(name, "a list", value)
        return [self._below(f"{name}[{index}]", one) for index, one in enumerate(value or ())]

    def named_parts(self, name: str) -> dict[str, Facts]:
        """The objects of a mapping by their names."""
        part = self.part(name)
        return {key: part.part(key) for key in part.values}

    def range(self, name: str) -> tuple[float, float] | None:
        """The two ends of a range, where both are known."""
        value = self.values.get(name)
        ends = value if isinstance(value, list) and len(value) == 2 else ()
        known = [float(end) for end in ends if isinstance(end, int | float) and abs(end) <= sys.float_info.max]
        return (known[0], known[1]) if len(known) == 2 else None

    def _below(self, name: str, value: Any) -> Facts:
        if not isinstance(value, dict):
            self._refuse(name, "an object", value)
        return Facts(value, self.path, self._key(name))

    def _key(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def _refuse(self, name: str, wanted: str, value: Any) -> NoReturn:
        raise DataError(
            f"is not a report: must be {wanted}, is {kind_of(value)}", where=Where(self.path, key=self._key(name))
        )


@dataclass(frozen=True)
class ReportFile:
    """A report that was read.

    Attributes:
        path: as messages show it.
        gates: in their order; each has a name, a node id and a verdict.
        unjudged: reasons by name.
        partial: obligations were printed instead of enforced.
        environment: versions by distribution.
    """

    path: str
    gates: tuple[Facts, ...]
    unjudged: Mapping[str, str]
    partial: bool
    environment: Mapping[str, str]


def read_report(path: Path) -> ReportFile:
    """Read a report.

    Raises:
        DataError: the file cannot be read, is no report, or one of a later version.
    """
    document = _document(path)
    gates = tuple(document.parts("gates"))
    for gate in gates:
        for name in ("name", "nodeid", "verdict"):
            if gate.text(name) is None:
                raise DataError(
                    "is not a report: a gate lacks this", where=Where(document.path, key=f"{gate.place}.{name}")
                )
    environment = document.part("environment")
    return ReportFile(
        document.path,
        gates,
        {one.text("name") or "": one.text("reason") or "" for one in document.parts("unjudged")},
        document.values.get("partial") is True,
        {name: environment.text(name) or "" for name in environment.values},
    )


def _document(path: Path) -> Facts:
    """Return the whole report, which is of the version that is known here."""
    try:
        with open_lines(path) as lines:
            value = parse_json("".join(lines))
    except UnopenedError as error:
        raise DataError(error.what, where=error.where, cure=_CURE) from None
    except json.JSONDecodeError:
        raise DataError("is not a report: it is not JSON", where=Where(shown_path(path)), cure=_CURE) from None
    except ValueError as error:
        raise DataError(f"is not a report: {error}", where=Where(shown_path(path)), cure=_CURE) from None
    if not isinstance(value, dict):
        what = f"is not a report: it is {kind_of(value)}"
        raise DataError(what, where=Where(shown_path(path)), cure=_CURE)
    document = Facts(value, shown_path(path))
    _check_version(document)
    return document


def _check_version(document: Facts) -> None:
    version = document.values.get("version")
    where = Where(document.path, key="version")
    if not isinstance(version, int) or isinstance(version, bool) or "gates" not in document.values:
        raise DataError("is not a report of pytest-ftgate", where=Where(document.path), cure=_CURE)
    if version != REPORT_VERSION:
        newer = version > REPORT_VERSION
        raise DataError(
            f"is {version}, and only {REPORT_VERSION} is known here",
            where=where,
            cure="Upgrade pytest-ftgate: a later one wrote this report." if newer else _CURE,
        )


def roles(gate: Facts) -> Iterator[tuple[str, Facts]]:
    """The models of a gate by their roles."""
    yield from gate.named_parts("baselines").items()
    yield "candidate", gate.part("candidate")
