"""The JSON report and the JUnit properties: the same facts under the same names."""

from __future__ import annotations

import dataclasses
import json
import platform
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

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


DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SCALARS = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}

_ROLE = re.compile(r":\w+:`[~.]?([^`]*)`")


def render_report_schema() -> str:
    """The schema as text, the same for the same code. Every name is required: what was not measured is null."""
    defs: dict[str, Any] = {}
    whole = _object(Report, defs)
    whole["properties"]["version"] = {"const": REPORT_VERSION}
    whole["properties"]["gates"] = {"type": "array", "items": _of(GateResult, "Report.gates", defs)}
    _with_passed(defs[GateResult.__name__])
    head = {"$schema": DIALECT, "title": f"JSON report of pytest-ftgate, version {REPORT_VERSION}"}
    return json.dumps({**head, **whole, "$defs": dict(sorted(defs.items()))}, indent=2, ensure_ascii=False) + "\n"


def _with_passed(gate: dict[str, Any]) -> None:
    """The property that :meth:`GateResult.to_dict` tells too."""
    gate["properties"]["passed"] = {"type": "boolean", "description": _plain_text(GateResult.passed.__doc__ or "")}
    gate["required"].append("passed")


def _object(kind: type, defs: dict[str, Any]) -> dict[str, Any]:
    """An object with exactly the names of a dataclass or a TypedDict."""
    description, explained = _documented(kind)
    properties = {}
    for name, hint in get_type_hints(kind).items():
        properties[name] = _of(hint, f"{kind.__name__}.{name}", defs)
        if name in explained:
            properties[name] = {"description": explained[name], **properties[name]}
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def _of(hint: Any, place: str, defs: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type. Raises :class:`TypeError`, naming the place, for one that JSON has no word for."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return {}
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    if dataclasses.is_dataclass(hint) or is_typeddict(hint):
        return _reference(hint, defs)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return _any_of([_of(one, place, defs) for one in inner])
    if origin is tuple:
        return _tuple(inner, place, defs)
    if isinstance(origin, type) and issubclass(origin, Mapping) and inner[:1] == (str,):
        return {"type": "object", "additionalProperties": _of(inner[1], place, defs) or True}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return {"type": "array", "items": _of(inner[0], place, defs)}
    raise TypeError(f"{place}: how {hint} is told in JSON is not known")


def _reference(kind: Any, defs: dict[str, Any]) -> dict[str, Any]:
    if kind.__name__ not in defs:
        defs[kind.__name__] = {}  # a class may hold itself
        defs[kind.__name__] = _object(kind, defs)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _tuple(inner: Sequence[Any], place: str, defs: dict[str, Any]) -> dict[str, Any]:
    """``tuple[X, ...]``, or one of fixed length: a range, of which an end that is infinite is null."""
    if inner[1:] == (...,):
        return {"type": "array", "items": _of(inner[0], place, defs)}
    items = [_of(float | None if one is float else one, place, defs) for one in inner]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _any_of(parts: list[dict[str, Any]]) -> dict[str, Any]:
    if {} in parts:
        return {}
    if all(part.keys() == {"type"} for part in parts):
        return {"type": [part["type"] for part in parts]}
    return {"anyOf": parts}


def _documented(kind: type) -> tuple[str, dict[str, str]]:
    """What the docstring says of the class, and of the names that it lists one by one."""
    text, _, listed = re.sub(r"(?m)^ {4}", "", kind.__doc__ or "").partition("\nAttributes:\n")
    explained: dict[str, str] = {}
    for names, said in re.findall(r"(?m)^ {4}(\w+(?:, \w+)*): ((?:.+\n?(?: {8}.*\n?)*))", listed):
        explained |= dict.fromkeys(names.split(", "), _plain_text(said))
    return _plain_text(text), explained


def _plain_text(text: str) -> str:
    """A docstring's words without its mark-up, on one line, with JSON's word for None."""
    words = " ".join(_ROLE.sub(lambda found: found[1].rpartition(".")[2], text).replace("``", "").split())
    return re.sub(r"\bNone\b", "null", words)
