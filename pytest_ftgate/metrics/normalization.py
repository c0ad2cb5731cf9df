"""Differences between two texts that do not count, where a gate says so."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Signs that carry meaning where they stand at the edge of a text: "C#", "5%", "-1", "@ana".
_MEANT = frozenset("#%‰&@/\\-")


def _unicode(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _whitespace(text: str) -> str:
    return " ".join(text.split())


def _is_edge(character: str) -> bool:
    if character in _MEANT:
        return False
    return character.isspace() or character == "`" or unicodedata.category(character).startswith("P")


def _punctuation(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _is_edge(text[start]):
        start += 1
    while end > start and _is_edge(text[end - 1]):
        end -= 1
    return text[start:end] or text


_STEPS: Mapping[str, Callable[[str], str]] = {
    "unicode": _unicode,
    "case": str.casefold,
    "whitespace": _whitespace,
    "punctuation": _punctuation,
}
STEPS = tuple(_STEPS)
"""The names of all steps, in the order in which they are taken."""


@dataclass(frozen=True)
class Normalization:
    """Steps that make texts equal which differ only in something that does not count.

    - ``unicode``: compatibility forms (NFKC), so that a full-width letter is its plain one;
    - ``case``: Unicode case folding;
    - ``whitespace``: each run of white space is one space;
    - ``punctuation``: punctuation, quotation marks, brackets and back-quotes around the text are removed. Inside it
      they stay, and so do the signs ``# % & @ / \\ -`` wherever they stand, and a text of nothing but punctuation.
    """

    steps: frozenset[str] = frozenset()

    def __call__(self, text: str) -> str:
        for name, step in _STEPS.items():
            if name in self.steps:
                text = step(text)
        return text

    @property
    def full(self) -> bool:
        return self.steps.issuperset(STEPS)


AS_WRITTEN = Normalization()
FULL = Normalization(frozenset(STEPS))
