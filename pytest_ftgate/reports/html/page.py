"""The page: what is written at its top, its rules on what may load, and the templates that make it."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pytest_ftgate.reports.html.gate import summary, view
from pytest_ftgate.reports.html.plots import Drawn, pair_bars
from pytest_ftgate.reports.json import environment
from pytest_ftgate.result import GateResult, Session, Verdict
from pytest_ftgate.runs.answer_rows import Answers
from pytest_ftgate.text import minute, plural, readable

if TYPE_CHECKING:
    from jinja2 import Environment

_SYMBOLS = {
    "pass": "\u2713",
    "fail": "\u2717",
    "inconclusive": "?",
    "error": "!",
    "warning": "\u25b2",
    "note": "\u2022",
}

_SECTIONS = (
    ("checks", "Checks"),
    ("parts", "Part by part"),
    ("mistakes", "Mistakes"),
    ("confusions", "Confusion"),
    ("spreads", "Time and tokens"),
    ("economics", "Economics"),
    ("training", "Training set"),
    ("examples", "Examples"),
)
"""Parts that are led to at a gate's top, by their names in its view."""


def page(gates: Sequence[tuple[GateResult, Answers | None]], session: Session, *, written_at: float) -> Iterator[str]:
    """The whole page, piece by piece: one file that loads nothing; ``written_at`` is in seconds since the epoch."""
    folder = files("pytest_ftgate.reports.html") / "templates"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in (style, script)]
    policy = "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
    counts = Counter(result.verdict for result, _ in gates)
    template = _templates().get_template("page.html")
    pieces: Iterator[str] = template.generate(
        policy=policy.format(*hashes),
        style=Drawn(style),
        script=Drawn(script),
        title=_title(counts, len(gates), 0 if session.partial else len(session.unjudged)),
        session=session,
        written=minute(written_at),
        gates=(view(result, answers, number) for number, (result, answers) in enumerate(gates, 1)),
        summary=[summary(result) for result, _ in gates],
        environment=environment(),
    )
    return pieces


def _title(counts: Mapping[Verdict, int], total: int, owed: int) -> str:
    """What became of the session; ``owed`` required gates were not met, which counts whatever was judged."""
    red = [f"{count:,} {verdict}" for verdict, count in sorted(counts.items()) if verdict != "pass"]
    if not total:
        told = "no gate was judged"
    elif total == 1:
        told = f"1 gate: {next(iter(counts))}"
    else:
        told = f"{counts.get('pass', 0):,} of {plural(total, 'gate')} pass" if red else f"all {total:,} gates pass"
        told = ", ".join([told, *red])
    return f"{told}, {plural(owed, 'required gate')} not met" if owed else told


def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("pytest_ftgate.reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    templates.globals |= {"symbols": _SYMBOLS, "sections": _SECTIONS, "pair_bars": pair_bars}
    return templates


def _harmless(value: Any) -> Any:
    """Whatever a template writes: what is no markup of ours is text, and has no character that is not seen."""
    return value if hasattr(value, "__html__") else readable(str(value))
