"""The JSON report and the JUnit properties: the same facts under the same names."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypedDict

from pytest_ftgate.result import GateResult

REPORT_VERSION = 1
_DISTRIBUTIONS = ("pytest-ftgate", "pytest", "openai", "scikit-learn", "scipy", "numpy", "pyyaml", "genai-prices",
                  "jsonschema", "rapidfuzz", "sacrebleu")  # fmt: skip
_AS_PROPERTIES = ("verdict", "passed", "metric", "margin", "evidence", "confidence", "gain", "lower_bound",
                  "upper_bound", "margin_proven", "method", "n", "wins", "losses", "objective", "max_drop",
                  "location")  # fmt: skip


class Unjudged(TypedDict):
    """A gate that had to be judged and was not, or not with the verdict that it owes; and why."""

    name: str
    reason: str


class Report(TypedDict):
    """Everything that one pytest session knows about its gates.

    Attributes:
        version: of this format. A later one may have other names; names may be added within one.
        gates: the judged gates.
        unjudged: the obligations (ini ftgate_required) that were not met.
        partial: whether obligations were printed instead of enforced (--ftgate-partial).
        config: the gate file, where the command line named another than the ini file does.
        environment: versions of what a verdict depends on, by distribution.
    """

    version: int
    gates: list[dict[str, Any]]
    unjudged: list[Unjudged]
    partial: bool
    config: str | None
    environment: dict[str, str]


def report(
    results: Iterable[GateResult], *, unjudged: Sequence[Mapping[str, Any]], partial: bool, config: str | None
) -> str:
    """The whole report as JSON text.

    Args:
        results: the judged gates.
        unjudged: the obligations that were not met, each ``{"name", "reason"}``.
        partial: whether obligations were printed instead of enforced.
        config: the gate file, where the command line named another than the ini file does.
    """
    document: Report = {
        "version": REPORT_VERSION,
        "gates": [result.to_dict() for result in results],
        "unjudged": [{"name": one["name"], "reason": one["reason"]} for one in unjudged],
        "partial": partial,
        "config": config,
        "environment": environment(),
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def environment() -> dict[str, str]:
    """Versions of what a verdict depends on."""
    found = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def junit_properties(result: GateResult) -> list[tuple[str, str]]:
    """Properties of the test case: the main facts one by one, then all of them as JSON under ``ftgate``."""
    facts = result.to_dict()
    flat = {name: facts[name] for name in _AS_PROPERTIES}
    flat |= {"baseline": facts["baseline"]["value"], "candidate": facts["candidate"]["value"]}
    flat |= {"training_usable": facts["training"]["usable"], "test_examples": facts["test_set"]["examples"]}
    rows = [(f"ftgate.{name}", _plain(value)) for name, value in flat.items() if value is not None]
    return [*rows, ("ftgate", json.dumps(facts, allow_nan=False))]


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
