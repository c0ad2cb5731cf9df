"""Normalization of texts before they are compared."""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

# Characters that have a meaning at the edge of a text: "C#", "5%", "-1", "@ana".
_MEANT = frozenset("#%‰&@/\\-")


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
    "unicode": partial(unicodedata.normalize, "NFKC"),
    "case": str.casefold,
    "whitespace": lambda text: " ".join(text.split()),
    "punctuation": _punctuation,
}
STEPS = tuple(_STEPS)
"""The names of all steps, in the order in which they run."""


@dataclass(frozen=True)
class Normalization:
    """Steps that remove differences which do not count.

    - ``unicode``: apply NFKC, so that a full-width letter equals the plain one;
    - ``case``: apply Unicode case folding;
    - ``whitespace``: replace each run of white space by one space;
    - ``punctuation``: strip punctuation, quotation marks, brackets and backticks around the text. Those inside it stay,
      and so do ``# % & @ / \\ -`` everywhere, and a text of nothing but punctuation.
    """

    steps: frozenset[str] = frozenset()

    def __call__(self, text: str) -> str:
        for name, step in _STEPS.items():
            if name in self.steps:
                text = step(text)
        return text


AS_WRITTEN = Normalization()
FULL = Normalization(frozenset(STEPS))
OF_LABELS = FULL.steps - {"unicode"}
"""The steps of metrics of labels where the gate names none."""
