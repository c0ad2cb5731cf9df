"""The examples of one file or iterable, and where each of them stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_ftgate.data.example import Example, content_id
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import excerpt


@dataclass(frozen=True)
class DataSet:
    """All examples of a test or training set, in their order; at least one.

    Attributes:
        path: the file as messages show it; None where the examples came from an iterable.
        sha256: hex, of the file's bytes (all of them, whatever the limit), or of the canonical JSON of an
            iterable's examples.
        lines: the physical line, from 1, on which each example starts; None for an iterable.
        origin: the path, or what gave the iterable, as in ``fixture ftgate_test_set``.
    """

    examples: tuple[Example, ...]
    path: str | None
    sha256: str
    lines: Sequence[int] | None
    origin: str

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def where(self, index: int, key: str | None = None) -> Where:
        """Return the place of the example with this index, which counts from 0; lines and items count from 1."""
        if self.lines is None:
            return item_place(self.origin, index + 1, key)
        return Where(path=self.path, line=self.lines[index], key=key)

    def row_name(self, index: int) -> str:
        """Return the example's place within the set, in words: ``line 7``, or ``item 7``."""
        return f"item {index + 1}" if self.lines is None else f"line {self.lines[index]}"


def item_place(origin: str, number: int, key: str | None = None) -> Where:
    """Return the place of an iterable's item, counted from 1: ``fixture ftgate_test_set, item 7``."""
    return Where(path=f"{origin}, item {number}", key=key)


def check_ids(data: DataSet) -> None:
    """Refuse an id that was written twice. Ids made from equal inputs may repeat: the audit counts those.

    Raises:
        DataError: names both rows.
    """
    first_with: dict[str, int] = {}
    for index, example in enumerate(data.examples):
        first = first_with.setdefault(example.id, index)
        if first == index or (data.examples[first].input == example.input and example.id == content_id(example.input)):
            continue
        raise DataError(
            f'the id "{excerpt(example.id)}" repeats: {data.row_name(first)} has it too',
            where=data.where(index, "id"),
            cure="correct it, or leave ids out of all rows: they are then made from the inputs",
        )
