"""Choose few-shot examples for each input: the training examples that are most similar to it.

Similarity is the cosine of TF-IDF weights of character n-grams within words, which needs no model, no network and
no language settings. Source of the method: Liu et al. (2022), What Makes Good In-Context Examples for GPT-3?
(DeeLIO), there with sentence embeddings; the most similar example comes last, next to the question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data.normalize import visible, without_instructions

if TYPE_CHECKING:
    from pytest_ftgate.data import Example

N_GRAMS = (3, 5)
_DECIMALS = 9  # of a similarity: smaller differences are rounding, which differs between machines
_AT_ONCE = 4_000_000  # similarities held in memory, 8 bytes each


class Neighbours:
    """Find the ``k`` examples of a pool that are most similar to a question.

    Args:
        pool: distinct examples, at least ``k``, some of which contain text.
        k: how many to return.
        expected: the questions that will be asked; the first lookup finds the neighbours of all.
    """

    def __init__(self, pool: Sequence[Example], k: int, expected: Sequence[Example] = ()) -> None:
        self._pool = pool
        self._k = k
        self._expected = expected
        self._found: dict[str, tuple[int, ...]] = {}

    def of(self, example: Example) -> tuple[Example, ...]:
        """Return the neighbours, the most similar last; among equals, the earlier in the pool counts as nearer."""
        asked = text_of(example)
        if asked not in self._found:
            waiting = [] if self._found else [text_of(one) for one in self._expected]
            self._look_up(list(dict.fromkeys([*waiting, asked])))
        return tuple(self._pool[row] for row in self._found[asked])

    def _look_up(self, texts: Sequence[str]) -> None:
        vectorizer, transposed = self._index
        step = max(1, _AT_ONCE // len(self._pool))
        for begin in range(0, len(texts), step):
            part = texts[begin : begin + step]
            similarities = (vectorizer.transform(part) @ transposed).toarray().round(_DECIMALS)
            rows = (_nearest_last(line, self._k) for line in similarities)
            self._found.update(zip(part, rows, strict=True))

    @cached_property
    def _index(self) -> tuple[Any, Any]:
        """Return the vectorizer, and the weights of the pool with one column per example."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=N_GRAMS)
        weights = vectorizer.fit_transform([text_of(example) for example in self._pool])
        return vectorizer, weights.T.tocsr()


def _nearest_last(similarities: Any, k: int) -> tuple[int, ...]:
    import numpy as np

    least = np.partition(similarities, -k)[-k]
    (rows,) = np.nonzero(similarities >= least)
    nearest = rows[np.argsort(-similarities[rows], kind="stable")[:k]]
    return tuple(nearest[::-1].tolist())


def text_of(example: Example) -> str:
    """Return the text by which inputs are compared: without instructions and non-text parts."""
    given = without_instructions(example.input)
    if isinstance(given, str):
        return given
    return "\n".join(text for message in given for text in _texts(message.get("content")))


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for part in content or ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def holds_text(example: Example) -> bool:
    return bool(visible(text_of(example)))
