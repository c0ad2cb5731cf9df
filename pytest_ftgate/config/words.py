"""The wording that all messages about a gate share: values shown safely, the nearest valid word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_ftgate.config.source import KeyPath

LONGEST_SHOWN = 100
_SECRET = re.compile(r"key|token(?!s_per_minute)|secret|passw|credential|auth", re.IGNORECASE)
_LITERAL_KEY = re.compile(r"(api_?key|secret|password|authorization|(access|auth|bearer)_?token)$")
_NUMERAL = re.compile(r"\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*")


def cut(text: str) -> str:
    """The text, safe to print: odd characters and line breaks escaped, what is too long for a message cut."""
    shown = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in shown)


def quoted(text: str) -> str:
    """The text in quotes, safe to print."""
    return f"'{cut(text)}'"


def dotted(path: KeyPath) -> str:
    """A path as messages write it: ``require[0].metric``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{cut(part)}" if text else cut(part)
    return text


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The valid word that ``word`` was probably meant to be, whatever its case."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word[:LONGEST_SHOWN].lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def suggestion(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """A tail for a message: the nearest valid word, or else ``otherwise``."""
    near = nearest(word, known)
    return f"; did you mean '{near}'?" if near else otherwise


def holds_literal_key(key: str) -> bool:
    """Whether a key asks for a secret to be written down, as ``api_key`` does and ``api_key_env`` does not."""
    return bool(_LITERAL_KEY.search(key.lower().replace("-", "_")))


def got(value: Any, path: KeyPath) -> str:
    """A tail for a message: what stands there, unless its key looks as if it holds a secret."""
    last = next((part for part in reversed(path) if isinstance(part, str)), "")
    return "got a value that is not shown" if _SECRET.search(last) else f"got {_shown(value)}"


def is_numeral(text: str) -> bool:
    """Whether a text would be a number without its quotes."""
    return _NUMERAL.fullmatch(text) is not None


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    return _kind(value)


def _number(value: float) -> str:
    try:
        return cut(f"{value!r}")
    except ValueError:  # Python refuses to write out an integer of many thousand digits
        return "a very large number"


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a Python object of type {type(value).__name__}"
