"""The JSON report and the JUnit properties: the same facts under the same names."""

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, overload

from pytest_ftgate import errors, text
from pytest_ftgate.config.keys import own_words
from pytest_ftgate.data import lines, strict_json
from pytest_ftgate.result import GateResult

REPORT_VERSION = 1
_CURE = "Write one: python -m pytest --ftgate-report=json:PATH"

_DISTRIBUTIONS = (
    "pytest-ftgate",
    "pytest",
    "openai",
    "scikit-learn",
    "scipy",
    "numpy",
    "pyyaml",
    "genai-prices",
    "jsonschema",
    "rapidfuzz",
)
_AS_PROPERTIES = (
    "verdict",
    "passed",
    "metric",
    "margin",
    "evidence",
    "confidence",
    "gain",
    "lower_bound",
    "upper_bound",
    "margin_proven",
    "method",
    "n",
    "fixed",
    "broken",
    "max_drop",
    "location",
)


@dataclass(frozen=True)
class Session:
    """What reports show about the session as a whole.

    Attributes:
        unjudged: the required gates that did not pass, as name and reason.
        removed: sentences about what is weaker than at the merge base, in no gate of today.
        remarks: further lines at the end of the session.
        waived_by: the option because of which required gates are not enforced.
        forbidden: whether ``removed`` fails the session.
        failures: what else fails it, such as the fault of a hook, as sentences.
    """

    unjudged: Sequence[tuple[str, str]] = ()
    removed: Sequence[str] = ()
    remarks: Sequence[str] = ()
    waived_by: str | None = None
    forbidden: bool = False
    failures: Sequence[str] = ()

    @property
    def violations(self) -> Sequence[str]:
        """Return the sentences of ``removed`` if they fail the session."""
        return self.removed if self.forbidden else ()

    def missing(self, results: Sequence[GateResult]) -> Sequence[tuple[str, str]]:
        """Return the required gates that did not pass, but those that are red among the results."""
        red = {result.name for result in results if not result.passed}
        missing = []
        for name, reason in self.unjudged:
            if name not in red:
                missing.append((name, reason))
        return missing

    def passed(self, results: Sequence[GateResult]) -> bool:
        """Return whether gates were judged, all passed, and nothing else fails the session."""
        if self.violations or self.failures or (self.unjudged and not self.waived_by):
            return False
        return bool(results) and all(result.passed for result in results)

    def counted(self, results: Sequence[GateResult]) -> str:
        """Return the outcome: ``2 of 3 gates passed, 1 required gate not met``."""
        sentence = "no gate was judged"
        if results:
            passed = sum(result.passed for result in results)
            sentence = f"{passed:,} of {text.plural(len(results), 'gate')} passed"
        missing = self.missing(results)
        if missing and not self.waived_by:
            sentence += f", {text.plural(len(missing), 'required gate')} not met"
        if self.violations:
            sentence += f", {text.plural(len(self.violations), 'forbidden change')}"
        if self.failures:
            sentence += f", {text.plural(len(self.failures), 'error')}"
        return sentence


@dataclass(frozen=True)
class Unjudged:
    """A required gate that did not pass, a forbidden change, or an error of the session."""

    name: str
    reason: str


@dataclass(frozen=True)
class Report(Sequence[GateResult]):
    """The results of one pytest session.

    Names may be added within a version; a later version may change them.

    Attributes:
        gates: the judged gates.
        unjudged: required gates (ini ftgate_required) that did not pass; under the name
            ftgate_forbid_weakening what is weaker than on the main branch in no judged gate; under
            the name session what else failed it, such as a hook that raised.
        allowed_missing: required gates were listed, not enforced (--ftgate-allow-missing).
        environment: when the report was written, in UTC, and the versions of the packages that
            a verdict depends on.
    """

    version: Literal[1]
    gates: tuple[GateResult, ...]
    unjudged: tuple[Unjudged, ...] = ()
    allowed_missing: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Return whether gates were judged, all of them passed, and every required gate was met.

        It is false where ``--ftgate-allow-missing`` only listed a required gate, and where another
        error failed the session.
        """
        return bool(self.gates) and all(gate.passed for gate in self.gates) and not self.unjudged

    def __bool__(self) -> bool:
        """Refuse to be a condition: a report of failed gates is not empty, but not green."""
        raise TypeError("a Report has no truth value: use report.passed, or len(report)")

    def __len__(self) -> int:
        return len(self.gates)

    @overload
    def __getitem__(self, index: int) -> GateResult: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[GateResult]: ...

    def __getitem__(self, index: int | slice) -> GateResult | Sequence[GateResult]:
        return self.gates[index]


def report(
    results: Iterable[GateResult], session: Session, *, written_at: float | None = None
) -> str:
    """Return the JSON report of the judged gates as text.

    ``written_at`` is in seconds since the epoch.
    """
    unjudged = []
    for name, reason in session.unjudged:
        unjudged.append({"name": name, "reason": reason})
    for reason in session.violations:
        unjudged.append({"name": "ftgate_forbid_weakening", "reason": reason})
    for reason in session.failures:
        unjudged.append({"name": "session", "reason": reason})

    written = {} if written_at is None else {"written": text.timestamp(written_at)}
    document = {
        "version": REPORT_VERSION,
        "gates": [result.to_dict() for result in results],
        "unjudged": unjudged,
        "allowed_missing": session.waived_by is not None,
        "environment": {**written, **environment()},
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def read_report(path: Path) -> Report:
    """Read a report, in which names may be absent.

    Raise :class:`DataError` if it cannot be read.
    """
    from pydantic import TypeAdapter, ValidationError

    key = None
    try:
        with lines.open_lines(path) as rows:
            document = strict_json.parse_json("".join(rows))
        # To Python true and 1.0 equal 1.
        if isinstance(document, dict) and type(document.get("version", 1)) is not int:
            document["version"] = None
        # As JSON, which has no tuples. A lone surrogate, which an answer may contain, is replaced.
        written = json.dumps(document, ensure_ascii=False).encode(errors="replace")
        return TypeAdapter(Report).validate_json(written, strict=True)
    except lines.UnopenedError as error:
        message = error.what
    except ValidationError as error:
        places, problem = own_words(error)[0]
        if places == ("version",):
            problem = f"must be {REPORT_VERSION}, the only supported version"
        key = text.dotted(places) or None
        message = f"not a report: {problem}"
    except ValueError as error:
        message = f"not a report: {text.one_line(str(error))}"
    where = errors.Where(errors.shown_path(path), key=key)
    raise errors.DataError(message, where=where, cure=_CURE)


def environment() -> dict[str, str]:
    """Return the versions of the packages that a verdict depends on."""
    versions = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def junit_properties(result: GateResult) -> list[tuple[str, str]]:
    """Return the main facts as properties of the test case, numbers with ten digits."""
    facts = result.to_dict()
    values = {}
    for name in _AS_PROPERTIES:
        values[name] = facts[name]
    values["baseline"] = facts["baseline"]["value"]
    values["candidate"] = facts["candidate"]["value"]
    values["training_usable"] = facts["training"]["usable"]
    values["test_examples"] = facts["test_set"]["examples"]

    properties = []
    for name, value in values.items():
        if isinstance(value, bool):
            value = json.dumps(value)
        # The last digits differ between processors.
        if isinstance(value, float):
            value = f"{value:.10g}"
        if value is not None:
            properties.append((f"ftgate.{name}", str(value)))
    return properties
