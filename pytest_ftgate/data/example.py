"""One example of a data set, and the hashes that identify it by its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import excerpt

Messages: TypeAlias = tuple[Mapping[str, Any], ...]
"""A conversation: each message has a ``role`` and a ``content``, perhaps further keys such as ``name``."""

Input: TypeAlias = str | Messages
"""What a model is asked."""


@dataclass(frozen=True, slots=True)
class Example:
    """An input and the output that is expected for it.

    Attributes:
        id: names the example in reports and joins recordings to it.
        input: text, or the messages of a conversation up to the answer.
        expected: text, or any other JSON value but null.
        group: what belongs together (one document, one speaker) and is not independent; None: stands alone.
        fields: all else the row holds, as JSON values by name.
    """

    id: str
    input: Input
    expected: Any
    group: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: keys sorted, no white space, no escapes beyond those that JSON asks for.

    Raise :class:`TypeError` or :class:`ValueError` of what is no JSON value (NaN and infinity are none).
    """
    return _CANONICAL.encode(value)


def input_sha256(input: Input) -> str:  # noqa: A002
    """Return the SHA-256, in hex, of the exact input: its text in UTF-8, or the canonical JSON of messages."""
    text = input if isinstance(input, str) else canonical_json(input)
    return hashlib.sha256(text.encode()).hexdigest()


def content_id(input: Input) -> str:  # noqa: A002
    """Return the id of an example that was given none: the first 16 hex digits of its input's hash."""
    return input_sha256(input)[:16]


def expected_text(expected: Any) -> str:
    """Return the expected output as a model would write it: text as it is, else compact JSON (``1``, ``true``)."""
    return expected if isinstance(expected, str) else canonical_json(expected)


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
    """Refuse an id that was written twice. Ids made from equal inputs may repeat: the audit counts those."""
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
