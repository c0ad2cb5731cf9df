"""Words of a text, in any script, and how many of them two texts share."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Sequence

# Scripts that put no space between words. Each of their letters is a word: there is nothing that tells more.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x20000, 0x3FFFF),  # Han
)

_ASCII_WORD = re.compile("[a-z0-9]+")


def words(text: str) -> list[str]:
    """Lower-case runs of letters, marks and digits; in scripts without spaces one letter each, with its marks.

    For ASCII these are the tokens of rouge-score. A text without any is one word as it stands, stripped.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower()) or [text.lower().strip()]
    composed = unicodedata.normalize("NFC", text).lower()
    found: list[str] = []
    current = ""
    for character in composed:
        kind = unicodedata.category(character)[0]
        if kind == "L" and _is_unspaced(character):
            found, current = _closed(found, current), character
        elif kind == "M" or (kind in "LN" and not (current and _is_unspaced(current[0]))):
            current += character
        elif kind in "LN":
            found, current = _closed(found, current), character
        else:
            found, current = _closed(found, current), ""
    return _closed(found, current) or [composed.strip()]


def _closed(found: list[str], current: str) -> list[str]:
    if current:
        found.append(current)
    return found


def _is_unspaced(character: str) -> bool:
    return character >= "\u0e00" and any(first <= ord(character) <= last for first, last in _UNSPACED)


def n_shared(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """How many tokens the two have in common, each as often as both have it."""
    return (Counter(first) & Counter(second)).total()


def f_measure(n_common: int, n_expected: int, n_answered: int) -> float:
    """The harmonic mean of precision and recall; 0 where nothing is common."""
    return 2 * n_common / (n_expected + n_answered) if n_common else 0.0
