"""Format numbers and times, and make untrusted text safe to print in a terminal or a CI log."""

import difflib
import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from pytest_ftgate.secrets import may_hold_secret

KeyPath = tuple[str | int, ...]
"""The keys and list positions that lead to a value: ``("metric", 0, "name")``."""

LONGEST = 2000
"""The most characters of one text in a message or a report."""
EXCERPT = 60
"""The most characters of a text that a message quotes."""
NAMED = 3
"""The most rows, labels or other things that a message names; the rest is counted."""

_COMMAND_ANYWHERE = re.compile(r"##(?=\w*\[)")  # ##[error], ##vso[, ##teamcity[
_COMMAND_AT_START = re.compile(r"^\s*:(?=:)")  # ::error::, also after white space


def printable(text: str, limit: int = LONGEST) -> str:
    """Return one line that is safe to print.

    Control characters are escaped, commands of CI systems broken, and long texts cut to ``limit``.
    """
    text = _escaped(text[: limit + 1])  # cut first, because a text may have megabytes
    # GitHub, Azure and TeamCity act on such lines of a log.
    text = _COMMAND_AT_START.sub(": ", text)
    return shortened(_COMMAND_ANYWHERE.sub("## ", text), limit)


def readable(text: str, limit: int = LONGEST) -> str:
    """Return the text as :func:`printable` does, but keep line breaks.

    It is not for output that a CI log may contain.
    """
    text = text[: limit + 1].replace("\r\n", "\n")
    return shortened(_escaped(text, but="\n\t"), limit)


def _escaped(text: str, but: str = "") -> str:
    if text.isprintable():
        return text
    characters = []
    for character in text:
        if character not in but and not character.isprintable():
            character = character.encode("unicode_escape").decode()
        characters.append(character)
    return "".join(characters)


def one_line(text: str) -> str:
    """Join the lines of a text with the punctuation that sentences need."""
    joined = ""
    for number, line in enumerate(filter(str.strip, text.splitlines())):
        begins_sentence = line.strip()[:1].isupper()
        sign = "; "
        if number == 0:
            sign = ""
        elif joined.endswith("...") and not begins_sentence:
            pass  # an excerpt that was cut, which ends no sentence
        elif joined.endswith((".", "!", "?", ":", ";", ",")):
            sign = " "
        elif begins_sentence:
            sign = ". "
        joined += f"{sign}{line.strip()}"
    return joined


def shortened(text: str, limit: int = LONGEST) -> str:
    """Return the text, cut to ``limit`` characters with three dots at the end."""
    return text if len(text) <= limit else text[: max(limit - 3, 0)] + "..."


def middle(text: str, limit: int) -> str:
    """Return the text, cut to ``limit`` characters with three dots in the middle.

    So a line number at its end stays.
    """
    if len(text) <= limit:
        return text
    half = max(limit - 3, 0) // 2
    start = max(limit - 3 - half, 0)
    return f"{text[:start]}...{text[len(text) - half :]}"


def wrapped(
    text: str, first: str = "", indent: str = "  ", *, width: int = 80, break_words: bool = True
) -> list[str]:
    """Wrap a text into printable lines of ``width`` characters.

    The first line begins with ``first``, the others with ``indent``.
    """
    lines = textwrap.wrap(
        printable(text),
        width,
        initial_indent=first,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=break_words,
    )
    # a later line could begin with a command, too
    return [printable(line.rstrip()) for line in lines]


# --- numbers --------------------------------------------------------------------------------------


FARTHEST = 1e12
"""The largest absolute value at an end of a metric's range.

Sums of larger scores lose digits or overflow.
"""


def is_share(metric_range: Sequence[float] | None) -> bool:
    """Return whether the metric lies in [0, 1].

    Then values are shown in percent, and differences in points.
    """
    return metric_range is not None and tuple(metric_range) == (0.0, 1.0)


def show_value(value: float | None, *, share: bool) -> str:
    """Return 0.8125 as ``81.2 %``, or as ``0.812`` if the metric is not a share."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if share else f"{value:.3f}"


def show_difference(value: float | None, *, share: bool) -> str:
    """Return 0.059 as ``+5.9 points``, or as ``+0.059`` if the metric is not a share."""
    if value is None:
        return "unknown"
    value = value or 0.0  # no "-0.0"
    return f"{100 * value:+.1f} points" if share else f"{value:+.3f}"


def show_change(value: float | None, *, share: bool) -> str:
    """Return a difference without its unit, for a table or an axis: ``+5.9``."""
    if value is None:
        return "-"
    return show_difference(value, share=share).removesuffix(" points")


def show_percent(level: float) -> str:
    """Return a confidence as ``95 %``, ``98.75 %``, or above 99.9 % as ``99.917 %``."""
    digits = 2
    if level > 0.999:
        digits = 3
    return f"{round(100 * level, digits):g} %"


def show_amount(value: float, *, share: bool) -> str:
    """Return a margin without a sign, as it was written: ``5 points``, ``0.05``."""
    if not share:
        return f"{value:g}"
    if 100 * value == 1:
        return "1 point"
    return f"{100 * value:.4g} points"


def show_needed(margin: float, *, share: bool) -> str:
    """Return a margin with a sign and without its unit: ``+5.0``; ``above 0`` without one."""
    if not margin:
        return "above 0"
    if not share:
        return f"{margin:+g}"
    number = f"{100 * margin:+.4g}"
    return number if "." in number else f"{number}.0"


def show_seconds(value: float | None) -> str:
    """Return 0.0421 as ``42 ms``, 3.21 as ``3.2 s``."""
    if value is None:
        return "-"
    return f"{1000 * value:.0f} ms" if value < 0.9995 else f"{value:,.1f} s"


def show_usd(value: float | None) -> str:
    """Return an amount as ``$12.50``, from $100 on as ``$412``, below $1 as ``$0.0756``.

    ``unknown`` is not ``$0``.
    """
    if value is None:
        return "unknown"

    sign = ""
    if value < 0:
        sign = "-"
    amount = abs(value)
    if amount >= 100:
        return f"{sign}${amount:,.0f}"
    if round(amount, 4) >= 1:
        return f"{sign}${amount:.2f}"
    if 0 < amount < 0.00005:
        return "<$0.0001"
    return f"{sign}${amount:.4f}" if amount else "$0"


def show_count(value: int | None) -> str:
    """Return 12345 as ``12,345``."""
    return "-" if value is None else f"{value:,}"


def show_number(value: float) -> str:
    """Return a number that may be large or a fraction: ``200,000``, ``0.5``."""
    return f"{value:,.10g}"


def plain_number(value: float) -> str:
    """Return a number as a gate file has it: ``3`` for 3.0."""
    return repr(value).removesuffix(".0")


def settled_by(quantity: str, needed: int, have: int, noun: str) -> str:
    """Return the cure how many examples would settle a question with a power of 0.8.

    ``quantity`` is ``gain`` or ``difference``, ``needed`` the examples in all, ``have`` those of
    the test set.
    """
    counted = plural(max(needed - have, 1), f"more {noun}")
    decides = f"that decides with 80 % power if the true {quantity} is the measured one"
    return f"Label about {counted} ({needed:,} in all): {decides}."


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Return ``1 example`` or ``2 examples``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {nouns or noun + 's'}"


# --- times ----------------------------------------------------------------------------------------

DAY_S = 86_400.0


def show_age(seconds: float) -> str:
    """Return a duration in its largest unit: ``3 days``."""
    for unit, size in (("day", int(DAY_S)), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return plural(int(seconds // size), unit)
    return plural(int(seconds), "second")


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch as ``2026-08-01T14:05:09Z``."""
    return _utc(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def minute(seconds: float) -> str:
    """Return seconds since the epoch as ``2026-08-01 14:05 UTC``."""
    return _utc(seconds).strftime("%Y-%m-%d %H:%M UTC")


def day(seconds: float) -> str:
    """Return seconds since the epoch as ``2026-08-01``."""
    return _utc(seconds).date().isoformat()


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


# --- values in messages ---------------------------------------------------------------------------

LONGEST_SHOWN = 100


def cut(text: str) -> str:
    """Return a value for a message: control characters and line breaks escaped, a long text cut."""
    return printable(text, LONGEST_SHOWN)


def quoted(text: str) -> str:
    """Return a value for a message in quotes."""
    return f"'{cut(text)}'"


def dotted(path: KeyPath) -> str:
    """Return a path of keys as messages write it: ``metric[0].name``."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += f".{cut(key)}" if text else cut(key)
    return text


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the valid word that was probably meant, ignoring case; None if no word is similar.

    A misspelling comes first, then a word that contains the other (``max``: ``max_drop``).
    """
    word = word[:LONGEST_SHOWN].lower()

    def likeness(name: str) -> float:
        name = name.lower()
        if sorted(re.split(r"[\W_]+", word)) == sorted(name.split("_")):
            return 1.0
        short, long = sorted((word, name), key=len)
        # Very short words are in many others by chance.
        is_within = short in long
        if len(short) <= 2:
            is_within = short in re.split(r"[\W_]+", long)
        ratio = difflib.SequenceMatcher(None, name, word).ratio()
        if not is_within:
            return ratio
        # More like than the letters say, but less than a close misspelling.
        return max(ratio, min(ratio + 0.25, 0.85))

    best = max(words, key=likeness, default=None)
    if best is None or likeness(best) < 0.6:
        return None
    return best


def suggestion(word: str, words: Iterable[str], otherwise: str = "") -> str:
    """Return the end of a message that suggests the nearest valid word, or else ``otherwise``."""
    near = nearest(word, words)
    return f"; did you mean '{near}'?" if near else otherwise


def got(value: Any, path: KeyPath) -> str:
    """Return the end of a message that quotes the value found, unless its key may hold a secret."""
    last = next((key for key in reversed(path) if isinstance(key, str)), "")
    if may_hold_secret(last):
        return "got a value that is not shown"
    return f"got {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    if value is None:
        return "nothing"
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return cut(repr(value))
        except ValueError:  # Python refuses to write out an integer of many thousand digits
            return "a very large number"
    return "a mapping" if isinstance(value, Mapping) else kind_of(value)


def excerpt(text: str, position: int = 0, width: int = EXCERPT) -> str:
    """Return at most ``width`` characters around a position as one printable line."""
    # Near an end of the text the position is not in the middle.
    start = max(0, min(position - width // 2, len(text) - width))
    end = start + width
    piece = "".join(c if c.isprintable() else " " for c in text[start:end]).strip()
    if start:
        piece = f"...{piece}"
    if text[end:].strip():
        piece = f"{piece}..."
    return piece


def listed(names: Iterable[Any], at_most: int = 12) -> str:
    """Return names separated by commas, quoted if they are not identifiers."""
    all_names = [str(name) for name in names]
    if not all_names:
        return "none"
    first_names = []
    for name in all_names[:at_most]:
        first_names.append(name if name.isidentifier() else excerpt(json.dumps(name)))
    joined = ", ".join(first_names)
    n_more = len(all_names) - len(first_names)
    return f"{joined} and {n_more} more" if n_more else joined


def kind_of(value: Any) -> str:
    """Return the JSON type of a value in words; for other values the Python type."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, Mapping):
        return "an object"
    return f"a value of type {type(value).__name__}"
