"""Examples, data sets, and the hashes that identify examples by their content."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pytest_ftgate.data.faults import raise_together
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import excerpt, plural

Messages: TypeAlias = tuple[Mapping[str, Any], ...]
"""A conversation: messages with a ``role``, a ``content`` and perhaps further keys."""

Input: TypeAlias = str | Messages
"""What a model receives."""

_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


@dataclass(frozen=True, slots=True)
class Example:
    """An input and its expected output.

    Attributes:
        id: joins recorded answers to the example; a hash of the input where the data has no ids.
        input: text, or the messages of a conversation up to the answer.
        expected: text, or any other JSON value except null; None in a row of ``unlabeled_set``
            whose label is missing.
        group: name shared by examples that are not independent (one document, one speaker); None:
            independent.
        fields: all other values of the row, as JSON values by name.
        place: file and line, or the row of a Python object; None for an example that was not read
            from anywhere.
    """

    id: str
    input: Input
    expected: Any
    group: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    place: Where | None = field(default=None, compare=False, repr=False)

    @property
    def has_own_id(self) -> bool:
        """Return whether the data gives the id; otherwise it is a hash of the input."""
        return self.id != content_id(self.input)

    @property
    def name(self) -> str:
        """Return what messages call the example: its place (``test.csv:27``), else its own id."""
        if self.place is None or (self.place.line is None and self.has_own_id):
            return self.id
        return str(self.place)


def canonical_json(value: Any) -> str:
    """Return the JSON of a value with sorted keys, no white space and no optional escapes."""
    return _CANONICAL.encode(value)


def input_sha256(input: Input) -> str:  # noqa: A002
    """Return the SHA-256 (hex) of the exact input: its text, or the canonical JSON of messages."""
    return hashlib.sha256(expected_text(input).encode()).hexdigest()


def content_id(input: Input) -> str:  # noqa: A002
    """Return the id of an example without one: the first 16 hex digits of its input's SHA-256."""
    return input_sha256(input)[:16]


def expected_text(expected: Any) -> str:
    """Return the expected output as a model writes it: text, or the compact JSON of a value."""
    return expected if isinstance(expected, str) else canonical_json(expected)


@dataclass(frozen=True)
class DataSet:
    """The examples of a test or training set, in order; at least one.

    Attributes:
        path: the file as messages show it; None for an iterable.
        sha256: hex digest of the whole file, whatever the limit, or of the canonical JSON of an
            iterable's examples.
        origin: the path, or the source of the iterable, such as ``fixture ftgate_test_set``.
        recognized: the format of the rows and of the file, ``chat JSONL``; empty for rows in our
            own words.
        left_out: how many rows hold no output to learn.
        name: what messages call the rows of an iterable: ``test_set``.
        index: the label of each row of a frame of pandas.
        by_turn: each example is a turn of a conversation.
    """

    examples: tuple[Example, ...]
    path: str | None
    sha256: str
    origin: str
    recognized: str = ""
    left_out: int = 0
    name: str = "test_set"
    index: tuple[Any, ...] | None = None
    by_turn: bool = False

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @property
    def expected(self) -> list[Any]:
        """Return the expected output of each example."""
        return [example.expected for example in self.examples]

    @property
    def groups(self) -> list[str | None]:
        """Return the group of each example."""
        return [example.group for example in self.examples]

    @property
    def told_left_out(self) -> str:
        """Return how many rows are left out, and why; nothing if none are."""
        if not self.left_out:
            return ""
        return f"{plural(self.left_out, 'row')} left out, whose answer is not to be learned"

    def where(self, index: int, key: str | None = None) -> Where:
        """Return the place of the example at ``index``: ``test.csv:27``, or ``test_set[14]``."""
        place = self.examples[index].place or row_place(self.name, index)
        return replace(place, key=key or place.key)

    def row_name(self, index: int) -> str:
        """Return the example's place within the set: ``line 7``, or ``test_set[6]``."""
        place = self.where(index)
        is_of_file = place.line is not None and place.path == self.path
        return f"line {place.line}" if is_of_file else str(place)

    def and_more(self, data: "DataSet") -> "DataSet":
        """Return the examples of this set and then those of another one, which no file holds."""
        index = None
        if self.index is not None and data.index is not None:
            index = (*self.index, *data.index)
        return DataSet(
            examples=(*self.examples, *data.examples),
            path=None,
            sha256=f"{self.sha256} {data.sha256}",
            origin=self.origin,
            name=self.name,
            index=index,
            by_turn=self.by_turn or data.by_turn,
        )


def row_place(name: str, index: int) -> Where:
    """Return the place of a row of a Python object, as Python counts: ``test_set[14]``."""
    return Where(path=f"{name}[{index}]")


def checked(data: DataSet, *, repeats: bool = False) -> DataSet:
    """Return the data.

    Raise :class:`DataError` if there are no examples, or for duplicate ids. Ids made from equal
    inputs may repeat: the audit counts these. ``repeats``: a row that repeats another one with all
    its values may stay.
    """
    if not data.examples:
        raise _no_examples(data)
    raise_together(_duplicate_ids(data, repeats=repeats))
    return data


def _no_examples(data: DataSet) -> DataError:
    where = Where(path=data.origin)
    if data.left_out:
        message = "no row holds an output to learn"
        return DataError(message, where=where, evidence=data.told_left_out)
    if data.path is not None:
        return DataError("the file has no rows", where=where)
    cure = "give at least one; a generator can be read only once"
    return DataError("the iterable is empty", where=where, cure=cure)


def _duplicate_ids(data: DataSet, *, repeats: bool) -> Iterator[DataError]:
    first_with: dict[str, int] = {}
    for index, example in enumerate(data.examples):
        first = first_with.setdefault(example.id, index)
        earlier = data.examples[first]
        if first == index or (repeats and earlier == example):
            continue
        # An id that is made from the input repeats with it, which the audit counts.
        if earlier.input == example.input and not example.has_own_id:
            continue

        message = f'duplicate id "{excerpt(example.id)}", first used in {data.row_name(first)}'
        cure = "give each row its own id, or remove the ids: they are then made from the inputs"
        yield DataError(message, where=data.where(index, "id"), cure=cure)
