"""The page of a session: one file that loads nothing."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any

from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.html.evidence import Evidence
from pytest_ftgate.reports.json import Session, environment
from pytest_ftgate.result import PROBLEMS_FIRST, GateResult
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import is_share, minute, readable, show_change, show_difference, show_percent

_SYMBOLS = {"pass": "\u2713", "fail": "\u2717", "inconclusive": "?", "error": "!"}
_SYMBOLS |= {"warning": "\u25b2", "note": "\u2022"}
_POLICY = "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
_SIDE, _AIR = 8.0, 0.12  # of a chart: percent left free at each side, share of the values' width around them


def page(gates: Sequence[tuple[GateResult, Evidence | None]], session: Session, *, written_at: float) -> Iterator[str]:
    """Yield the page piece by piece, red gates first."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    def asset(name: str) -> str:
        return (files("pytest_ftgate.reports.html") / "templates" / name).read_text(encoding="utf-8")

    def script_data(value: Any) -> str:
        """Return JSON for a ``<script>``, which none of its characters can end."""
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

    def harmless(value: Any) -> Any:
        """Return our own markup as it is, all else as text without invisible characters."""
        return value if hasattr(value, "__html__") else readable(str(value))

    gates = sorted(gates, key=lambda gate: PROBLEMS_FIRST.index(gate[0].verdict))
    results = [result for result, _ in gates]
    style, script = asset("style.css"), asset("script.js")
    hashes = (b64encode(sha256(text.encode()).digest()).decode() for text in (style, script))
    made = Environment(
        loader=PackageLoader("pytest_ftgate.reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=harmless,
    )
    made.globals |= {"symbols": _SYMBOLS, "sentences": sentences, "tables": tables, "script_data": script_data}
    pieces: Iterator[str] = made.get_template("page.html").generate(
        policy=_POLICY.format(*hashes),
        style=style,
        script=script,
        session=session,
        green=session.passed(results),
        title=session.counted(results),
        written=minute(written_at),
        results=results,
        gates=(_view(result, evidence or Evidence(), f"gate-{n}") for n, (result, evidence) in enumerate(gates, 1)),
        environment=environment(),
    )
    return pieces


def _view(result: GateResult, evidence: Evidence, anchor: str) -> Mapping[str, Any]:
    """Return what the page shows of one gate, by the names in its template; sections without facts are left out."""
    models = (tables.models(result), *sentences.price_sentences(result), *sentences.detectable_sentence(result))
    near = tuple(tables.row_pairs(result))
    first = [("Checks", (tables.checks(result),)), ("Models", models)]
    told = [
        *first,
        *tables.sections(result),
        ("Near duplicates", near),
        ("Inputs", tuple(sentences.input_sentences(result))),
    ]
    reached = [check.message for check in result.checks if (check.kind, check.status) == ("cost", "pass")]
    return {
        "anchor": anchor,
        "result": result,
        "headline": [
            *sentences.gain_sentence(result),
            *sentences.agreement_sentence(result),
            *sentences.champion_sentences(result),
            *reached,
        ],
        "plot": None if result.gain is None else _plot(result),
        "sections": [(title, content) for title, content in told if any(content)],
        "rows": evidence.rows,
        "repeats": evidence.repeats,
        "counts": Counter(row[3] for row in evidence.rows),
    }


def _plot(result: GateResult) -> Mapping[str, Any]:
    """Return the gain over each baseline as places on a chart, in percent of its width, and in words."""
    share = is_share(result.metric_range)
    compared: Mapping[str, Comparison] = {"": result}
    if len(result.gains) > 1:
        drops = {role: " (max_drop)" if (one.required or 0) < 0 else "" for role, one in result.gains.items()}
        compared = {f"over {role}{drops[role]}": one for role, one in result.gains.items()}
    asked = (result.margin or 0.0) if result.max_drop is None else -result.max_drop
    known = ((one.gain, one.lower_bound, one.upper_bound) for one in compared.values())
    values = [0.0, asked, *(value for row in known for value in row if value is not None)]
    least, width = min(values), (max(values) - min(values)) or 1.0

    def at(value: float | None) -> float | None:
        if value is None:
            return None
        return round(_SIDE + (100 - 2 * _SIDE) * ((value - least) / width + _AIR) / (1 + 2 * _AIR), 2)

    rows, words = [], []
    for name, one in compared.items():
        gain, low, high = at(one.gain or 0.0), at(one.lower_bound), at(one.upper_bound)
        rows.append({"name": name, "gain": gain, "low": low, "high": high, "shown": show_change(one.gain, share=share)})
        bounds = (("lower bound", one.lower_bound), ("upper bound", one.upper_bound))
        said = [f"{word} {show_change(bound, share=share)}" for word, bound in bounds if bound is not None]
        words.append(", ".join([f"{name} {show_difference(one.gain, share=share)}".strip(), *said]))
    level = f"each bound one-sided at {show_percent(result.confidence or 0)}"
    return {"rows": rows, "zero": at(0.0), "asked": at(asked), "words": "; ".join([*words, level])}
