"""The page of a session: one file that loads nothing; and one gate of it, for a notebook."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any

from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.json import Session, environment
from pytest_ftgate.result import PROBLEMS_FIRST, GateResult, MoreData
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import (
    is_share,
    minute,
    readable,
    show_change,
)

_SYMBOLS = {"pass": "\u2713", "fail": "\u2717", "inconclusive": "?", "error": "!"}
_SYMBOLS |= {"warning": "\u25b2", "note": "\u2022"}
_POLICY = "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
_SIDE = 8.0  # percent of a chart's width that stay free at each side
_AIR = 0.12  # the share of the width of its values that stays free around them


def page(results: Sequence[GateResult], session: Session, *, written_at: float) -> str:
    """Return the page, red gates first."""
    results = sorted(results, key=lambda result: PROBLEMS_FIRST.index(result.verdict))
    style = _style()
    text: str = (
        _templates()
        .get_template("page.html")
        .render(
            policy=_POLICY.format(_hashed(style)),
            style=style,
            session=session,
            green=session.passed(results),
            missing=session.missing(results),
            title=session.counted(results),
            written=minute(written_at),
            results=results,
            gates=[_view(result, f"gate-{number}") for number, result in enumerate(results, 1)],
            environment=environment(),
        )
    )
    return text


def notebook(result: GateResult) -> str:
    """Return one gate as a part of another page, whose style it leaves as it is."""
    # Nested in the rule of the block, where :root and body are the block itself.
    style = _style().replace(":root", "&").replace("body {", "& {")
    gate = _view(result, f"ftgate-{result.name}")
    text: str = _templates().get_template("notebook.html").render(style=style, gate=gate)
    return text


def _templates() -> Any:
    """Return the environment in which our templates find what they show."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    def harmless(value: Any) -> Any:
        """Return our own markup as it is, all else as text without invisible characters."""
        return value if hasattr(value, "__html__") else readable(str(value))

    templates = Environment(
        loader=PackageLoader("pytest_ftgate.reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=harmless,
    )
    templates.globals |= {
        "symbols": _SYMBOLS,
        "sentences": sentences,
        "tables": tables,
    }
    return templates


def _style() -> str:
    folder = files("pytest_ftgate.reports.html") / "templates"
    return (folder / "style.css").read_text(encoding="utf-8")


def _hashed(text: str) -> str:
    """Return the SHA-256 of a style as a content security policy writes it."""
    return b64encode(sha256(text.encode()).digest()).decode()


def _view(result: GateResult, anchor: str) -> Mapping[str, Any]:
    """Return what the page shows of one gate, by the names in its template."""
    # What passed hides nothing of a red gate, where it is folded.
    open_statuses = ("warning", "pass", "note") if result.passed else ("warning",)
    shown = sentences.with_status(result.checks, *open_statuses)
    folded = () if result.passed else sentences.with_status(result.checks, "pass", "note")
    inputs = (*sentences.price_sentences(result), *sentences.input_sentences(result))
    sections = [
        ("Checks", (tables.checks(shown),)),
        ("Examples", list(map(tables.examples, sentences.examples(result)))),
        *tables.sections(result),
        ("Inputs", inputs),
    ]
    caption = list(sentences.upper_bound_sentence(result))
    if sentences.tells_gain(result):
        caption = [*sentences.bounds_sentence(result), sentences.changed(result)]
    methods = (*sentences.method_sentence(result), *sentences.detectable_sentence(result))
    return {
        "anchor": anchor,
        "result": result,
        "headline": "; ".join(sentences.outcome_sentences(result)),
        "plot": _plot(result),
        "doubling": _doubling(result),
        "caption": "; ".join(caption),
        "methods": "; ".join(methods),
        "models": tables.models(result),
        "sections": [section for section in sections if any(section[1])],
        "folded": tables.checks(folded),
    }


def _plot(result: GateResult) -> Mapping[str, Any] | None:
    """Return the chart of the gain over each baseline, with its bounds; None without a gain."""
    if result.gain is None:
        return None

    compared: dict[str, Comparison | MoreData] = {}
    for role, comparison in result.gains.items():
        compared[f"over {role}"] = comparison
    if len(compared) <= 1:
        compared = {"": result}

    required = result.margin or 0.0
    if result.max_drop is not None:
        required = -result.max_drop
    return _chart(compared, required, share=is_share(result.metric_range))


def _doubling(result: GateResult) -> Mapping[str, Any] | None:
    """Return the chart of what the last doubling of the training set brought, beside what is
    missing; None without ``candidate_half``.
    """
    if result.more_data is None:
        return None
    share = is_share(result.metric_range)
    return _chart({"": result.more_data}, result.more_data.missing or 0.0, share=share)


def _chart(
    compared: Mapping[str, Comparison | MoreData], required: float, *, share: bool
) -> Mapping[str, Any]:
    """Return gains and their bounds as places in percent of a chart's width."""
    values = [0.0, required]
    for comparison in compared.values():
        for value in (comparison.gain, comparison.lower_bound, comparison.upper_bound):
            if value is not None:
                values.append(value)
    # The chart has a width also where nothing was gained and nothing is required.
    least = min(values)
    width = (max(values) - least) or 1.0

    def place(value: float | None) -> float | None:
        if value is None:
            return None
        share_of_width = ((value - least) / width + _AIR) / (1 + 2 * _AIR)
        return round(_SIDE + (100 - 2 * _SIDE) * share_of_width, 2)

    rows = []
    for name, comparison in compared.items():
        gain = comparison.gain or 0.0
        row = {
            "name": name,
            "gain": place(gain),
            "low": place(comparison.lower_bound),
            "high": place(comparison.upper_bound),
            "label": show_change(comparison.gain, share=share),
        }
        rows.append(row)
    return {"rows": rows, "zero": place(0.0), "required": place(required)}
