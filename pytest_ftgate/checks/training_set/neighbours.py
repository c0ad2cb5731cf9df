"""Find rows whose nearest neighbours all have one other label, which may be mislabelled.

The method is edited nearest neighbours on the cosine of TF-IDF vectors. All neighbours must agree, not only most of
them, because a person has to look at each row that is found.

Source: D. Wilson, IEEE Transactions on Systems, Man, and Cybernetics 2 (1972) 408-421.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEIGHBOURS = 5
MOST_ROWS = 5_000
"""Rows compared at most; of larger sets every second, third, ... row is compared."""

_NEAREST = 0.4
_MOST_WITH_WORD = 500


@dataclass(frozen=True)
class Doubts:
    """Rows whose neighbours have another label.

    Attributes:
        rows: positions in the sequence that was compared, with the label of the neighbours.
        compared: number of rows compared.
    """

    rows: tuple[tuple[int, str], ...]
    compared: int


def doubtful_rows(words: Sequence[str], labels: Sequence[str]) -> Doubts:
    """Find the rows whose ``NEIGHBOURS`` nearest rows all have the same label, which is not theirs.

    ``words`` of a row are separated by single spaces.
    """
    import numpy as np

    chosen = range(0, len(words), -(-len(words) // MOST_ROWS) or 1)
    names, codes = np.unique([labels[row] for row in chosen], return_inverse=True)
    if len(chosen) <= NEIGHBOURS or len(names) < 2:
        return Doubts((), len(chosen))
    found = []
    for row, cosines in _cosines([words[row].split() for row in chosen]):
        label = _agreed(row, cosines, codes)
        if label is not None and label != codes[row]:
            found.append((chosen[row], str(names[label])))
    return Doubts(tuple(found), len(chosen))


def _agreed(row: int, cosines: NDArray[np.float64], codes: NDArray[np.int64]) -> int | None:
    """Return the common label of the nearest neighbours; None if they differ or are not near enough."""
    import numpy as np

    near = np.flatnonzero(cosines >= _NEAREST)
    near = near[near != row]
    if len(near) < NEIGHBOURS:
        return None
    labels = codes[near[np.argsort(-cosines[near], kind="stable")[:NEIGHBOURS]]]
    return int(labels[0]) if np.all(labels == labels[0]) else None


def _cosines(rows: Sequence[Sequence[str]]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield the index of each row and its cosines with all rows, shape ``(n,)``.

    Words in only one row, or in very many, are left out. numpy does the counting, because importing scikit-learn's
    vectorizer takes longer than judging a gate on recorded answers.
    """
    import numpy as np

    index: dict[str, int] = {}
    words = np.array([index.setdefault(word, len(index)) for row in rows for word in row], np.int64)
    at = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    cells, times = np.unique(at * len(index) + words, return_counts=True)
    at, words = np.divmod(cells, max(len(index), 1))
    rows_with = np.bincount(words, minlength=len(index))
    kept = ((rows_with >= 2) & (rows_with <= min(len(rows) // 2, _MOST_WITH_WORD)))[words]
    at, words, times = at[kept], words[kept], times[kept]
    weights = times * np.log(len(rows) / rows_with[words])
    weights /= np.sqrt(np.bincount(at, weights**2))[at]

    order = np.argsort(words, kind="stable")
    end = np.cumsum(np.bincount(words, minlength=len(index)))
    by_word = [order[first:last] for first, last in zip([0, *end], end, strict=False)]
    for cells in np.split(np.arange(len(at)), np.flatnonzero(np.diff(at)) + 1):
        shared = [by_word[word] for word in words[cells]]
        if shared:
            others = np.concatenate(shared)
            products = np.repeat(weights[cells], [len(one) for one in shared]) * weights[others]
            cosines = np.bincount(at[others], products, minlength=len(rows))
            yield int(at[cells[0]]), cosines.astype(np.float64, copy=False)
