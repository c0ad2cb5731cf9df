"""The form in which near copies are told: words without case and sentence marks, and the answer beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_ftgate.data import Input, normalized_input

SHINGLE = 4
"""Characters of a shingle."""

_SIGNS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese and Japanese: nearly a word each
_MARKS = ".,;:!?'\"…“”‘’„«»¿¡。、，！？；：؟،।"
_TOKEN = re.compile(rf"[^\W{_SIGNS}]+|[^\s{_MARKS}]")
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Wording:
    """A row as near copies are told: the words of its input, its numbers, and the words of its output."""

    words: str
    numbers: str
    output: str

    @classmethod
    def of(cls, given: Input, output: str) -> Wording:
        tokens = _TOKEN.findall(normalized_input(given))
        numbers = sorted(token for token in tokens if not token.isalpha() and _DIGIT.search(token))
        return cls(" ".join(tokens), " ".join(numbers), output)


def words_of(text: str) -> str:
    """Return the words of a text with one space between them; marks that end or divide sentences do not count."""
    return " ".join(_TOKEN.findall(normalized_input(text)))


def shingles(words: str) -> frozenset[str]:
    """Return all runs of four characters, also across words, so that languages without spaces have them too."""
    return frozenset(words[at : at + SHINGLE] for at in range(max(len(words) - SHINGLE, 0) + 1))


def resemblance(one: frozenset[str], other: frozenset[str]) -> float:
    """Return Broder's resemblance, also called the Jaccard index: shared shingles by all of both."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
