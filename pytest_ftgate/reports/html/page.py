"""The page of a session."""

from __future__ import annotations

import os
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import HistoryError
from pytest_ftgate.git import git_lines
from pytest_ftgate.reports.html.evidence import Evidence
from pytest_ftgate.reports.html.gate import summary, view
from pytest_ftgate.reports.html.plots import Drawn, pair_bars
from pytest_ftgate.reports.json import Session, environment
from pytest_ftgate.reports.sentences import with_source
from pytest_ftgate.result import PROBLEMS_FIRST, GateResult, Verdict
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

_CI_BRANCHES = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME")
"""Environment variables that name the branch where a CI job checks out a commit alone."""


def page(gates: Sequence[tuple[GateResult, Evidence | None]], session: Session, *, written_at: float) -> Iterator[str]:
    """Yield the page piece by piece, red gates first: one file that loads nothing."""
    gates = sorted(gates, key=lambda gate: PROBLEMS_FIRST.index(gate[0].verdict))
    style, script = asset("style.css"), asset("script.js")
    counts = Counter(result.verdict for result, _ in gates)
    template = templates().get_template("page.html")
    pieces: Iterator[str] = template.generate(
        policy=policy(style, script),
        style=Drawn(style),
        script=Drawn(script),
        title=_title(counts, len(gates), 0 if session.waived_by else len(session.unjudged)),
        red=not gates or set(counts) != {"pass"} or bool(session.unjudged and not session.waived_by),
        session=session,
        written=minute(written_at),
        revision=_revision(session.root),
        gates=(view(result, evidence or Evidence(), number) for number, (result, evidence) in enumerate(gates, 1)),
        summary=[summary(result) for result, _ in gates],
        environment=environment(),
    )
    return pieces


def _title(counts: Mapping[Verdict, int], total: int, owed: int) -> str:
    """Return the outcome of the session; ``owed`` is the number of required gates that were not met."""
    red = [f"{count:,} {verdict}" for verdict, count in sorted(counts.items()) if verdict != "pass"]
    if not total:
        title = "no gate was judged"
    elif total == 1:
        title = f"1 gate: {next(iter(counts))}"
    else:
        title = f"{counts.get('pass', 0):,} of {plural(total, 'gate')} pass" if red else f"all {total:,} gates pass"
        title = ", ".join([title, *red])
    return f"{title}, {plural(owed, 'required gate')} not met" if owed else title


def _revision(root: Path | None) -> str | None:
    """Return the commit and the branch that were judged, if git says: ``commit 1a2b3c4d5e6f on main``."""
    lines: list[str] = []
    with suppress(HistoryError):
        lines = git_lines(root, "status", "--porcelain=v2", "--branch", "--untracked-files=no") if root else []
    facts = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    commit, branch = (facts.get(f"branch.{name}", "(") for name in ("oid", "head"))
    if commit.startswith("("):  # initial
        return None
    if branch.startswith("("):  # detached
        branch = next((os.environ[name] for name in _CI_BRANCHES if os.environ.get(name)), "")
    changed = any(not line.startswith("# ") for line in lines)
    return f"commit {commit[:12]}{f' on {branch}' if branch else ''}{' with uncommitted changes' if changed else ''}"


def asset(name: str) -> str:
    """Return the text of a style, a script or a template."""
    return (files("pytest_ftgate.reports.html") / "templates" / name).read_text(encoding="utf-8")


def policy(style: str, script: str) -> str:
    """Return a content security policy that allows this style and this script, and nothing else."""
    hashes = (b64encode(sha256(text.encode()).digest()).decode() for text in (style, script))
    form = "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
    return form.format(*hashes)


def templates() -> Environment:
    """Return the environment of the templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("pytest_ftgate.reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    found.globals |= {"symbols": _SYMBOLS, "pair_bars": pair_bars, "told": with_source}
    return found


def _harmless(value: Any) -> Any:
    """Return what a template writes: our own markup as it is, all else as text without invisible characters."""
    return value if hasattr(value, "__html__") else readable(str(value))
