"""Text from models, data and other people's code is not trusted: none of it commands a terminal or a CI log."""

from __future__ import annotations

import difflib
import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timezone
from typing import Any

KeyPath = tuple[str | int, ...]
"""The keys and list positions that lead to a value: ``("require", 0, "metric")``."""

LONGEST = 2000
"""Characters of one text in a message or a report; what is longer is cut there."""

_COMMAND_ANYWHERE = re.compile(r"##(?=\w*\[)")  # ##[error], ##vso[, ##teamcity[
_SENTENCE = re.compile(r"[A-Z][a-z]*,? ")  # and no name of an error, as in "ValueError: no such label"
_COMMAND_AT_START = re.compile(r"^\s*:(?=:)")  # ::error::, which some runners also find behind white space


def printable(text: str, most: int = LONGEST) -> str:
    """One line of harmless text: control characters escaped, CI commands broken, at most ``most`` characters."""
    text = text[: most + 1]  # no work on megabytes
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escaped(char) for char in text)
    return shortened(_COMMAND_ANYWHERE.sub("## ", _COMMAND_AT_START.sub(": ", text)), most)


def readable(text: str, most: int = LONGEST) -> str:
    """As :func:`printable`, for places that no CI log is read from: its lines stay lines."""
    text = text[: most + 1].replace("\r\n", "\n")
    return shortened("".join(char if char in "\n\t" or char.isprintable() else _escaped(char) for char in text), most)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def one_line(text: str) -> str:
    """The lines of a text on one: a line that begins a sentence stays one."""
    first, *rest = [line.strip() for line in text.splitlines()] or [""]
    return first + "".join(
        f"{_between(before, line)}{line}" for before, line in zip([first, *rest], rest, strict=False)
    )


def _between(before: str, line: str) -> str:
    if before.endswith((".", "!", "?", ":", ";", ",")):
        return " "
    return ". " if _SENTENCE.match(line) else "; "


def shortened(text: str, most: int = LONGEST) -> str:
    """The text, or its beginning and three dots."""
    return text if len(text) <= most else text[: max(most - 3, 0)] + "..."


def wrapped(text: str, first: str = "", then: str = "  ", *, width: int = 80, break_words: bool = True) -> list[str]:
    """Break a text between words into printable lines of ``width`` characters, which fit a CI log.

    The first line begins with ``first``, all others with ``then``.
    """
    lines = textwrap.wrap(
        printable(text), width, initial_indent=first, subsequent_indent=then,
        break_on_hyphens=False, break_long_words=break_words,
    )  # fmt: skip
    return [printable(line.rstrip()) for line in lines]  # no line of them begins with a command either


# --- numbers -------------------------------------------------------------------------------------------------

_SMALLEST_P = 1e-6

FARTHEST = 1e12
"""From 0, of the ends of a range of scores: with what is beyond, sums of differences lose their digits or overflow."""


def is_share(metric_range: Sequence[float] | None) -> bool:
    """A metric on [0, 1] is shown in percent and its differences in points."""
    return metric_range is not None and tuple(metric_range) == (0.0, 1.0)


def show_value(value: float | None, *, share: bool) -> str:
    """``0.8125`` as ``81.2 %``, or as ``0.812`` where the metric is no share."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if share else f"{value:.3f}"


def show_difference(value: float | None, *, share: bool) -> str:
    """``0.059`` as ``+5.9 points``, or as ``+0.059`` where the metric is no share."""
    if value is None:
        return "unknown"
    value = value or 0.0  # no "-0.0"
    return f"{100 * value:+.1f} points" if share else f"{value:+.3f}"


def show_distance(value: float, *, share: bool) -> str:
    """The same without its sign: ``5.9 points``, ``0.059``."""
    return f"{abs(100 * value):.1f} points" if share else f"{abs(value):.3f}"


def show_change(value: float | None, *, share: bool) -> str:
    """The same without its unit, where a table or an axis has one: ``+5.9``."""
    return "-" if value is None else show_difference(value, share=share).removesuffix(" points")


def show_percent(level: float) -> str:
    """A confidence: ``95 %``, ``99.5 %``."""
    return f"{100 * level:g} %"


def show_p_value(p: float) -> str:
    """``p = 0.0048``, ``p < 1e-06``."""
    return f"p = {p:.2g}" if p >= _SMALLEST_P else f"p < {_SMALLEST_P:g}"


def show_amount(value: float, *, share: bool) -> str:
    """A margin or a distance, without sign: ``5 points``, ``0.05``."""
    if not share:
        return f"{value:g}"
    return f"{100 * value:.4g} {'point' if 100 * value == 1 else 'points'}"


def sure_of_drop(lower: float, confidence: float, *, share: bool) -> str:
    """The lower bound of the gain in words: ``95 % sure of at most 1.3 points``."""
    sure = f"{show_percent(confidence)} sure"
    if lower > 0:
        return f"{sure} that it is better by at least {show_distance(lower, share=share)}"
    return f"{sure} of at most {show_distance(lower, share=share)}"


def show_seconds(value: float | None) -> str:
    """``0.0421`` as ``42 ms``, ``3.2`` as ``3.2 s``."""
    if value is None:
        return "-"
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"


def show_usd(value: float | None) -> str:
    """Money with enough digits that little does not look like nothing; unknown is not zero."""
    if value is None:
        return "unknown"
    if round(value, 4) >= 1:
        return f"${value:,.2f}"
    return "$0" if not value else f"${value:.4f}" if value >= 0.001 else f"${value:.2g}"


def show_count(value: int | None) -> str:
    """``12345`` as ``12,345``."""
    return "-" if value is None else f"{value:,}"


def show_number(value: float) -> str:
    """A large number, whole or not: ``200,000``, ``0.5``."""
    return f"{value:,.10g}"


def plain_number(value: float) -> str:
    """A number as it would be written in a gate file: ``3`` for 3.0."""
    return repr(value).removesuffix(".0")


def settled_by(what: str, needed: int, have: int, noun: str) -> str:
    """How many examples in all, ``needed`` for a power of 0.8, would settle a question, as advice says it.

    ``what`` (``gain``, ``difference``) is taken to be as it was measured.
    """
    return (
        f"If the {what} is really what was seen, about {plural(needed, noun)} in all "
        f"({max(needed - have, 1):,} more) would settle it, 4 times out of 5."
    )


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """``1 example``, ``2 examples``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


# --- times ---------------------------------------------------------------------------------------------------

DAY_S = 86_400.0


def show_age(seconds: float) -> str:
    """How long ago, in one unit: ``3 days``."""
    for unit, size in (("day", int(DAY_S)), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return plural(int(seconds // size), unit)
    return plural(int(seconds), "second")


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as ``2026-08-01T14:05:09Z``."""
    return _utc(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def minute(seconds: float) -> str:
    """Seconds since the epoch as ``2026-08-01 14:05 UTC``."""
    return _utc(seconds).strftime("%Y-%m-%d %H:%M UTC")


def day(seconds: float) -> str:
    """Seconds since the epoch as ``2026-08-01``."""
    return date_of(seconds).isoformat()


def date_of(seconds: float) -> date:
    """The day in UTC. Raises ValueError, OverflowError or OSError where no calendar has it."""
    return _utc(seconds).date()


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


# --- values in messages --------------------------------------------------------------------------------------

LONGEST_SHOWN = 100
_SECRET = re.compile(r"key|token(?!s_per_minute)|secret|passw|credential|auth", re.IGNORECASE)
_LITERAL_KEY = re.compile(r"(api_?key|secret|password|authorization|(access|auth|bearer)_?token)$")
_NUMERAL = re.compile(r"\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*")


def cut(text: str) -> str:
    """The text, safe to print: odd characters and line breaks escaped, what is too long for a message cut."""
    shown = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
    return "".join(char if char.isprintable() else _escaped(char) for char in shown)


def quoted(text: str) -> str:
    """The text in quotes, safe to print."""
    return f"'{cut(text)}'"


def dotted(path: KeyPath) -> str:
    """A path as messages write it: ``require[0].metric``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{cut(part)}" if text else cut(part)
    return text


_TYPO = 0.8
"""Similarity (0 to 1) from which two words differ by a slip of the keyboard."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the valid word that was probably meant, ignoring case; None if no word is similar.

    A misspelling comes first, then a word that contains the other (``zero``: ``score_zero``), then a similar one.
    """
    word, by_lower = word[:LONGEST_SHOWN].lower(), {name.lower(): name for name in known}
    typo = difflib.get_close_matches(word, by_lower, n=1, cutoff=_TYPO)
    holding = [name for name in by_lower if _one_holds_other(word, name)]
    found = typo or difflib.get_close_matches(word, holding, n=1, cutoff=0) or difflib.get_close_matches(word, by_lower)
    return by_lower[found[0]] if found else None


def _one_holds_other(one: str, other: str) -> bool:
    """Return whether the shorter word is a part of the longer one: three letters, or all between two separators."""
    short, long = sorted((one, other), key=len)
    return short in long if len(short) > 2 else len(short) == 2 and short in re.split(r"[\W_]+", long)


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
        try:
            return cut(f"{value!r}")
        except ValueError:  # Python refuses to write out an integer of many thousand digits
            return "a very large number"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a Python object of type {type(value).__name__}"


def excerpt(text: str, at: int = 0, width: int = 60) -> str:
    """At most ``width`` characters of the text around position ``at``, on one printable line."""
    start = max(0, min(at - width // 2, len(text) - width))
    piece = "".join(c if c.isprintable() else " " for c in text[start : start + width]).strip()
    rest = text[start + width :].strip()
    return ("..." if start else "") + piece + ("..." if rest else "")


def listed(names: Iterable[Any], at_most: int = 12) -> str:
    """Names with commas between them; those that could be misread stand in quotes."""
    all_names = [str(name) for name in names]
    shown = [name if name.isidentifier() else excerpt(json.dumps(name)) for name in all_names[:at_most]]
    more = len(all_names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") if shown else "none"


def kind_of(value: Any) -> str:
    """What a value is, in JSON's words; in Python's where JSON has none."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds = ((str, "text"), (int | float, "a number"), (list | tuple, "a list"), (Mapping, "an object"))
    for kind, words in kinds:
        if isinstance(value, kind):
            return words
    return f"a value of type {type(value).__name__}"
