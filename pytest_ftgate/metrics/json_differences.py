"""Differences between an expected and an answered JSON value, counted leaf by leaf."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from pytest_ftgate.metrics.json_values import (
    ABSENT,
    JsonRules,
    child_name,
    is_inside,
    most_pairs,
    within,
)
from pytest_ftgate.text import EXCERPT, NAMED, shortened

Path: TypeAlias = tuple[str | int, ...]
RIGHT, WRONG, MISSING, SPURIOUS = range(4)

MOST_PAIRED = 200
"""Items of one list that are paired with similar ones; pairing takes cubic time."""


class _Remark(NamedTuple):
    """A value that is not right."""

    kind: int
    path: Path
    expected: Any
    answered: Any

    def __str__(self) -> str:
        if self.kind == MISSING:
            problem = "missing"
        elif self.kind == SPURIOUS:
            problem = "not expected"
        else:
            problem = f"{_quoted(self.answered)}, expected {_quoted(self.expected)}"
        return f"{shown_place(self.path)}: {problem}"


@dataclass(frozen=True)
class Differences:
    """The numbers of right, wrong, missing and spurious values, and what is not right."""

    counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    remarks: list[_Remark | str] = field(default_factory=list)

    @classmethod
    def total(cls, parts: Iterable["Differences"]) -> "Differences":
        total = cls()
        for part in parts:
            for kind, count in enumerate(part.counts):
                total.counts[kind] += count
            total.remarks.extend(part.remarks)
        return total

    @property
    def note(self) -> str | None:
        """Return one line that describes what is not right; None if everything is."""
        remarks = list(map(str, self.remarks[:NAMED]))
        if len(self.remarks) > NAMED:
            remarks.append(f"and {len(self.remarks) - NAMED:,} more")
        return "; ".join(remarks) or None


@dataclass(frozen=True)
class Comparison:
    """How JSON values are compared. ``fields`` are the names that count; None: all do."""

    rules: JsonRules
    fields: Sequence[str] | None = None

    def compare(self, expected: Any, answered: Any, path: Path = (), name: str = "") -> Differences:
        """Compare two values, leaf by leaf."""
        if _is_object(expected) and _is_object(answered):
            parts = []
            for key in dict.fromkeys((*expected, *answered)):
                values = expected.get(key, ABSENT), answered.get(key, ABSENT)
                parts.append(self.compare(*values, (*path, key), child_name(name, key)))
            return Differences.total(parts)

        if isinstance(expected, list) and isinstance(answered, list) and (expected or answered):
            return Differences.total(self._compare_items(expected, answered, path, name))

        if _has_parts(expected) or _has_parts(answered):
            missing = self.all_leaves(MISSING, expected, path, name)
            return Differences.total([missing, self.all_leaves(SPURIOUS, answered, path, name)])

        kind = RIGHT if self.rules.same_leaf(expected, answered, name) else WRONG
        return self._counted(kind, path, name, expected, answered)

    def same(self, expected: Any, answered: Any, name: str = "") -> bool:
        """Return whether two values are equal, numbers within the tolerance."""
        if _is_object(expected) and _is_object(answered):
            if expected.keys() != answered.keys():
                return False
            names = [(key, child_name(name, key)) for key in expected]
            return all(self.same(expected[key], answered[key], inner) for key, inner in names)

        if _has_parts(expected) or _has_parts(answered):
            return not self.compare(expected, answered, (), name).remarks
        return self.rules.same_leaf(expected, answered, name)

    def all_leaves(self, kind: int, value: Any, path: Path = (), name: str = "") -> Differences:
        """Count all leaves of a value as right, missing and so on."""
        leaves = self.leaves(value, path, name)
        return Differences.total(self._counted(kind, place, inner) for place, inner, _ in leaves)

    def leaves(
        self, value: Any, path: Path = (), name: str = ""
    ) -> Iterator[tuple[Path, str, Any]]:
        """Yield each value that is compared as a unit, after its path and the name of its field.

        That is a scalar, an empty object or list, or an element of a list that is a set.
        """
        if _is_object(value):
            for key, inner in value.items():
                yield from self.leaves(inner, (*path, key), child_name(name, key))
        elif isinstance(value, list) and value:
            for place, element in enumerate(value):
                if self.rules.lists == "set":
                    yield (*path, place), name, element
                else:
                    yield from self.leaves(element, (*path, place), name)
        elif value is not ABSENT:
            yield path, name, value

    def _counts(self, name: str) -> bool:
        return self.fields is None or any(is_inside(name, field) for field in self.fields)

    def _counted(
        self, kind: int, path: Path, name: str, expected: Any = None, answered: Any = None
    ) -> Differences:
        """Return the count of one value; of a field that does not count, none."""
        differences = Differences()
        if self._counts(name):
            differences.counts[kind] = 1
            if kind != RIGHT:
                differences.remarks.append(_Remark(kind, path, expected, answered))
        return differences

    # --- items of lists ---------------------------------------------------------------------------

    def _compare_items(
        self, expected: list[Any], answered: list[Any], path: Path, name: str
    ) -> Iterator[Differences]:
        """Yield the differences of the items that are paired, then all that have no partner."""
        pairs = self._pairs(expected, answered, path, name)
        yield from pairs.values()

        rows = {row for row, _ in pairs}
        for row, item in enumerate(expected):
            if row not in rows:
                yield self._without_partner(MISSING, item, (*path, row), name)

        columns = {column for _, column in pairs}
        for column, item in enumerate(answered):
            if column not in columns:
                yield self._without_partner(SPURIOUS, item, (*path, column), name)

    def _without_partner(self, kind: int, item: Any, path: Path, name: str) -> Differences:
        if self.rules.lists == "set":
            return self._counted(kind, path, name)
        return self.all_leaves(kind, item, path, name)

    def _pairs(
        self, expected: list[Any], answered: list[Any], path: Path, name: str
    ) -> dict[tuple[int, int], Differences]:
        """Return the differences of each pair of items, by their places in both lists."""
        pairs = {}
        if self.rules.lists == "match":
            pairs = self._similar_pairs(expected, answered, path, name)
        elif self.rules.lists == "set":
            for pair in self._equal_pairs(expected, answered, name).items():
                pairs[pair] = self._counted(RIGHT, path, name)
        else:
            for place, items in enumerate(zip(expected, answered, strict=False)):
                pairs[place, place] = self.compare(*items, (*path, place), name)
        return pairs

    def _equal_pairs(self, expected: list[Any], answered: list[Any], name: str) -> dict[int, int]:
        """Return the most pairs of equal items. Among many items the tolerance is ignored."""
        if not self.rules.tolerance or max(len(expected), len(answered)) > MOST_PAIRED:
            return self.rules.identical(expected, answered, name)

        # of an element all fields are compared
        whole = Comparison(self.rules)
        are_same = []
        for item in expected:
            are_same.append([whole.same(item, answer, name) for answer in answered])
        return most_pairs(are_same)

    def _similar_pairs(
        self, expected: list[Any], answered: list[Any], path: Path, name: str
    ) -> dict[tuple[int, int], Differences]:
        """Pair identical items, then those with most values in common.

        Identical ones first loses nothing: no other pairs of the four items have more in common.
        """
        pairs = {}
        partners = self.rules.identical(expected, answered, name)
        for pair in partners.items():
            pairs[pair] = self.all_leaves(RIGHT, expected[pair[0]], path, name)

        used = set(partners.values())
        rows = [row for row in range(len(expected)) if row not in partners][:MOST_PAIRED]
        columns = [column for column in range(len(answered)) if column not in used][:MOST_PAIRED]
        if not rows or not columns:
            return pairs

        # imported late: most lists are equal
        from scipy.optimize import linear_sum_assignment

        answers = [self._contents(answered[column], name) for column in columns]
        agreement = np.zeros((len(rows), len(columns)))
        for i, row in enumerate(rows):
            contents = self._contents(expected[row], name)
            agreement[i] = [contents.count_shared(answer) for answer in answers]

        for i, j in zip(*linear_sum_assignment(agreement, maximize=True), strict=True):
            items = expected[rows[i]], answered[columns[j]]
            pairs[rows[i], columns[j]] = self.compare(*items, (*path, rows[i]), name)
        return pairs

    def _contents(self, item: Any, name: str) -> "_Contents":
        contents = _Contents(Counter(), {})
        for _, inner, value in self.leaves(item, (), name):
            if not self._counts(inner):
                continue
            allowed = self.rules.allowed(inner, value)
            if allowed:
                contents.numbers.setdefault((inner, allowed), []).append(value)
            else:
                contents.values[inner, self.rules.key(value, inner)] += 1
        return contents


class _Contents(NamedTuple):
    """The values in an item, without their places in lists: read once, and compared many times.

    Attributes:
        values: how often each value occurs, by its field and its key.
        numbers: those with a tolerance, by their field and the tolerance.
    """

    values: Counter[Any]
    numbers: dict[tuple[str, float], list[float]]

    def count_shared(self, other: "_Contents") -> int:
        """Return how many values are in both."""
        shared = (self.values & other.values).total()
        for (name, allowed), numbers in self.numbers.items():
            for number in other.numbers.get((name, allowed), ()):
                shared += any(within(number, expected, allowed) for expected in numbers)
        return shared


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def _has_parts(value: Any) -> bool:
    """Return whether a value is no leaf: it is absent, or its parts are compared."""
    return value is ABSENT or (isinstance(value, dict | list) and bool(value))


def shown_place(path: Iterable[str | int]) -> str:
    """Return a path such as ``$.orders[0].id``."""
    shown = "$"
    for step in path:
        shown += f".{step}" if isinstance(step, str) else f"[{step}]"
    return shown


def _quoted(value: Any) -> str:
    return shortened(repr(value[:EXCERPT] if isinstance(value, str) else value), EXCERPT)
