"""What the pages are made of: files beside this module, their content security policy, and Jinja2's environment."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pytest_ftgate.reports.html.plots import Drawn, pair_bars
from pytest_ftgate.text import readable

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


def asset(name: str) -> str:
    """Return the text of a style, a script or a template."""
    return (files("pytest_ftgate.reports.html") / "templates" / name).read_text(encoding="utf-8")


def policy(style: str, script: str) -> str:
    """Return a content security policy that allows this style and this script, and nothing else."""
    hashes = (b64encode(sha256(text.encode()).digest()).decode() for text in (style, script))
    form = "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
    return form.format(*hashes)


def script_data(text: str) -> Drawn:
    """Return JSON for a ``<script>``, which none of its characters can end."""
    return Drawn(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def templates(**shared: Any) -> Environment:
    """Return the environment of the templates; ``shared`` values are known to all of them."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("pytest_ftgate.reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    found.globals |= {"symbols": _SYMBOLS, "pair_bars": pair_bars, **shared}
    return found


def _harmless(value: Any) -> Any:
    """Return what a template writes: our own markup as it is, all else as text without invisible characters."""
    return value if hasattr(value, "__html__") else readable(str(value))
