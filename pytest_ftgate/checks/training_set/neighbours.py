"""Rows whose nearest neighbours all carry one other label: the first to look at where labels may be wrong.

Wilson's edited nearest neighbours (1972), on TF-IDF weighted words and their cosine; stricter than his majority, since
a person looks at each row that is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEIGHBOURS = 5
MOST_ROWS = 5_000
"""Larger sets are looked at in every second, third, ... row, so that no more than this many are compared."""

_NEAREST = 0.4
_MOST_WITH_WORD = 500
_ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class Doubts:
    """Rows whose neighbours disagree.

    Args:
        rows: each such position in the sequence that was given, and the label of its neighbours.
        compared: how many rows were looked at.
    """

    rows: tuple[tuple[int, str], ...]
    compared: int


def doubtful_rows(words: Sequence[str], labels: Sequence[str]) -> Doubts:
    """Find the rows of which all of the nearest ``NEIGHBOURS`` rows carry the same label, and not theirs.

    Args:
        words: of each row, with single spaces between them.
        labels: of each row.
    """
    import numpy as np

    chosen = range(0, len(words), -(-len(words) // MOST_ROWS) or 1)
    names, codes = np.unique([labels[row] for row in chosen], return_inverse=True)
    if len(chosen) <= NEIGHBOURS or len(names) < 2:
        return Doubts((), len(chosen))
    try:
        vectors = _vectors([words[row] for row in chosen])
    except ValueError:
        return Doubts((), len(chosen))
    found = []
    for start in range(0, len(chosen), _ROWS_AT_ONCE):
        cosines = (vectors[start : start + _ROWS_AT_ONCE] @ vectors.T).tocsr()
        for offset in np.flatnonzero(np.diff(cosines.indptr) > NEIGHBOURS):
            part = slice(cosines.indptr[offset], cosines.indptr[offset + 1])
            label = _agreed(start + offset, cosines.indices[part], cosines.data[part], codes)
            if label is not None and label != codes[start + offset]:
                found.append((chosen[start + offset], str(names[label])))
    return Doubts(tuple(found), len(chosen))


def _agreed(row: int, others: NDArray[Any], cosines: NDArray[Any], codes: NDArray[Any]) -> int | None:
    """Return the one label of the row's nearest neighbours; None where they differ, or are not near."""
    import numpy as np

    near = (cosines >= _NEAREST) & (others != row)
    if np.count_nonzero(near) < NEIGHBOURS:
        return None
    others, cosines = others[near], cosines[near]
    order = np.lexsort((others, -cosines))[:NEIGHBOURS]
    label: int = codes[others[order[0]]]
    return label if np.all(codes[others[order]] == label) else None


def _vectors(rows: Sequence[str]) -> Any:
    """Return TF-IDF vectors of length 1. Words in one row only, or in very many, tell no neighbours.

    Raises:
        ValueError: no other words are there.
    """
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    most = min(len(rows) // 2, _MOST_WITH_WORD)
    counts = CountVectorizer(analyzer=str.split, min_df=2, max_df=most).fit_transform(rows)
    idf = np.log(len(rows) / np.diff(counts.tocsc().indptr))
    return normalize(counts.multiply(idf).tocsr())
