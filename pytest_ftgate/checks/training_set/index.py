"""Find the training rows that share a key with a test row."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Index(Generic[K]):
    """The training rows with each key of the test set, unless rows with this key have different outputs.

    All rows of a key are found once, then only the first of them. So the pairs of test and training rows name every
    row of both sets, but there are no more of them than rows.
    """

    def __init__(self, wanted: Iterable[K]) -> None:
        """Index only the ``wanted`` keys; an empty key is none."""
        self._wanted = frozenset(key for key in wanted if key)
        self._rows: dict[K, tuple[str, list[int]] | None] = {}
        self._found: set[K] = set()

    def add(self, key: K, row: int, output: str = "") -> None:
        if key not in self._wanted:
            return
        known = self._rows.setdefault(key, (output, []))
        if known is not None and known[0] == output:
            known[1].append(row)
        else:
            self._rows[key] = None

    def find(self, key: K, output: str | None = None) -> list[int]:
        """Return the rows with this key, and with this output if one is given."""
        known = self._rows.get(key)
        if known is None or output not in (None, known[0]):
            return []
        rows = known[1][:1] if key in self._found else known[1]
        self._found.add(key)
        return rows


def sharing(training: Iterable[tuple[int, K]], test: Sequence[K]) -> Iterator[tuple[int, int]]:
    """Yield the test rows whose key a training row has, given as (row, key), with that row; see :class:`Index`."""
    index = Index(test)
    for row, key in training:
        index.add(key, row)
    for row, key in enumerate(test):
        yield from ((row, same) for same in index.find(key))
