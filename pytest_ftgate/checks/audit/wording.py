"""The form in which rows are compared for near duplicates, and excerpts of what differs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ftgate.data import Input, normalized_input
from pytest_ftgate.text import excerpt

SHINGLE = 4
"""Characters of a shingle, a run of consecutive characters."""

SIGNS = (
    "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese and Japanese: each sign is about a word
)
_MARKS = ".,;:!?'\"…“”‘’„«»¿¡。、，！？；：؟،।_*`~"  # punctuation, and emphasis of Markdown
TOKEN = re.compile(rf"[^\W_{SIGNS}]+|[^\s{_MARKS}]")
_DIGIT = re.compile(r"\d")
_EXCERPT = 40  # characters
_CONTEXT = 2  # words before the difference


@dataclass(frozen=True, slots=True)
class Wording:
    """A row as it is compared: the words of its input, the numbers among them, and its output."""

    words: str
    numbers: str
    output: str

    @classmethod
    def of(cls, content: str, output: str) -> Wording:
        """Return the form of a row with this normalised input and this output."""
        words = words_of(content)
        numbers = sorted(word for word in words.split() if not word.isalpha() and _DIGIT.search(word))
        return cls(words, " ".join(numbers), output)


def words_of(text: str) -> str:
    """Return the words and signs of a normalised text, separated by single spaces, without punctuation."""
    return " ".join(TOKEN.findall(text))


def shingles(words: str) -> frozenset[str]:
    """Return all runs of ``SHINGLE`` characters; they cross words, so that languages without spaces have them too."""
    return frozenset(words[at : at + SHINGLE] for at in range(max(len(words) - SHINGLE, 0) + 1))


def resemblance(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of common shingles, from 0 to 1: Broder's resemblance, also called the Jaccard index.

    Source: A. Broder, On the resemblance and containment of documents (1997).
    """
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def shared_start(texts: Sequence[str]) -> int:
    """Return where an excerpt begins that shows what differs: after the shared start, without its last words."""
    shared = os.path.commonprefix([min(texts), max(texts)])  # noqa: RUF071  # of texts: no paths
    words = shared.split(" ")
    return max(sum(len(word) + 1 for word in words[: -1 - _CONTEXT]), len(shared) - _EXCERPT // 2)


def differing(one: Input, other: Input) -> tuple[str, str]:
    """Return two inputs; long ones as excerpts from where the two differ."""
    texts = [normalized_input(given).strip() for given in (one, other)]
    first, second = (excerpt_from(text, shared_start(texts)) for text in texts)
    return first, second


def excerpt_from(text: str, start: int) -> str:
    """Return a short text, or an excerpt of a longer one from ``start``."""
    return text if len(text) <= _EXCERPT or not text[start:] else "..." + excerpt(text[start:], width=_EXCERPT)
