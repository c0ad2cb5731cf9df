"""Differences between an expected and an answered JSON value, counted by field."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from pytest_ftgate.metrics.json_values import ABSENT, MOST_PAIRED, JsonRules, child_name
from pytest_ftgate.metrics.options import is_number
from pytest_ftgate.statistics.arrays import Floats
from pytest_ftgate.text import EXCERPT, NAMED, shortened

Path: TypeAlias = tuple[str | int, ...]
RIGHT, WRONG, MISSING, SPURIOUS = range(4)

# of differences, for the choice of pairs; whether two numbers are equal is decided exactly
_ROUNDING = 1e-9


def leaves(
    value: Any, *, unordered: bool, path: Path = (), name: str = ""
) -> Iterator[tuple[Path, str, int]]:
    """Yield the path, the name of the field and the size of each value that is compared as a unit.

    That is a scalar, or an empty object or list; if lists are ``unordered``, also a list, which
    counts as many values as it has elements, and at least one.
    """
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            inner_name = child_name(name, key)
            yield from leaves(inner, unordered=unordered, path=(*path, key), name=inner_name)
    elif isinstance(value, list) and value and not unordered:
        for place, element in enumerate(value):
            yield from leaves(element, unordered=unordered, path=(*path, place), name=name)
    else:
        size = len(value) if isinstance(value, list) else 1
        yield path, name, max(size, 1)


class _Contents(NamedTuple):
    """The values inside of an item, without their positions in lists.

    Attributes:
        values: how often each value occurs, by its field and its key.
        numbers: the numbers of fields that have a tolerance, each with its field.
    """

    values: Counter[Any]
    numbers: list[tuple[str, float]]


@dataclass
class Differences:
    """The differences between an expected and an answered value.

    Attributes:
        is_counted: returns whether a value with a name is counted.
        counts: the numbers of right, wrong, missing and spurious values.
        remarks: descriptions of what is not right; ``more`` is the number of further ones.
    """

    rules: JsonRules
    is_counted: Callable[[str], bool]
    counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    remarks: list[str] = field(default_factory=list)
    more: int = 0

    @property
    def _unordered(self) -> bool:
        return self.rules.lists == "set"

    @property
    def note(self) -> str | None:
        """Return one line that describes what is not right; None if everything is."""
        remarks = list(self.remarks)
        if self.more:
            remarks.append(f"and {self.more:,} more")
        return "; ".join(remarks) or None

    def _remark(self, path: Path, text: str) -> None:
        if len(self.remarks) < NAMED:
            self.remarks.append(f"{shown_place(path)}: {text}")
        else:
            self.more += 1

    def compare(
        self, expected: Any, answered: Any, path: Path = (), name: str = ""
    ) -> "Differences":
        """Compare two values, leaf by leaf."""
        if _is_object(expected) and _is_object(answered):
            for key in dict.fromkeys((*expected, *answered)):
                values = expected.get(key, ABSENT), answered.get(key, ABSENT)
                self.compare(*values, (*path, key), child_name(name, key))
        elif self._has_items(expected, answered):
            for place, values in enumerate(self._paired_items(expected, answered, name)):
                self.compare(*values, (*path, place), name)
        elif self._has_parts(expected) or self._has_parts(answered):
            self._lacking(MISSING, path, name, expected)
            self._lacking(SPURIOUS, path, name, answered)
        else:
            self._compare_leaves(path, name, expected, answered)
        return self

    def _has_items(self, expected: Any, answered: Any) -> bool:
        """Return whether two values are lists that are compared item by item."""
        if not isinstance(expected, list) or not isinstance(answered, list) or self._unordered:
            return False
        return bool(expected) and (bool(answered) or self.rules.lists == "match")

    def _has_parts(self, value: Any) -> bool:
        """Return whether a value is no leaf: it is absent, or its parts are compared."""
        if isinstance(value, list):
            return bool(value) and not self._unordered
        return value is ABSENT or _is_object(value)

    def _lacking(self, kind: int, path: Path, name: str, value: Any) -> None:
        """Count the leaves of a value that only one side has."""
        if value is ABSENT:
            return

        remark = "missing" if kind == MISSING else "not expected"
        for place, inner, size in leaves(value, unordered=self._unordered, path=path, name=name):
            if self.is_counted(inner):
                self.counts[kind] += size
                self._remark(place, remark)

    def _compare_leaves(self, path: Path, name: str, expected: Any, answered: Any) -> None:
        if not self.is_counted(name):
            return

        is_list = isinstance(expected, list)
        if is_list and isinstance(answered, list) and (expected or answered):
            self._compare_elements(path, name, expected, answered)
        elif is_list and expected:
            # any other value in place of a list is one that was not expected
            self.counts[MISSING] += len(expected)
            self.counts[SPURIOUS] += 1
            self._remark(path, "not a list")
        elif self.rules.same(expected, answered, name):
            self.counts[RIGHT] += 1
        else:
            self.counts[WRONG] += 1
            self._remark(path, f"{_quoted(answered)}, expected {_quoted(expected)}")

    def _compare_elements(
        self, path: Path, name: str, expected: list[Any], answered: list[Any]
    ) -> None:
        right = self.rules.count_matches(expected, answered, name)
        missing = len(expected) - right
        spurious = len(answered) - right
        self.counts[RIGHT] += right
        self.counts[MISSING] += missing
        self.counts[SPURIOUS] += spurious
        if missing or spurious:
            counts = f"{missing:,} of {len(expected):,} missing, {spurious:,} not expected"
            self._remark(path, counts)

    # --- pairs of items ---------------------------------------------------------------------------

    def _paired_items(
        self, expected: Sequence[Any], answered: Sequence[Any], name: str
    ) -> Iterator[tuple[Any, Any]]:
        """Yield each expected item with its partner, then the answered items without one."""
        if self.rules.lists == "match":
            partners = self._partners(expected, answered, name)
        else:
            common = range(min(len(expected), len(answered)))
            partners = dict(zip(common, common, strict=True))

        for place, item in enumerate(expected):
            partner = partners.get(place)
            yield item, ABSENT if partner is None else answered[partner]

        used = set(partners.values())
        for place, item in enumerate(answered):
            if place not in used:
                yield ABSENT, item

    def _partners(
        self, expected: Sequence[Any], answered: Sequence[Any], name: str
    ) -> dict[int, int]:
        """Return pairs of items as places: equal ones, then those with most in common.

        Equal items first loses nothing: no other pairs of the four items have more fields in
        common.
        """
        partners = self.rules.identical(expected, answered, name)
        # The assignment takes cubic time, so that a runaway list is paired in part.
        used = set(partners.values())
        rows = [place for place in range(len(expected)) if place not in partners][:MOST_PAIRED]
        columns = [place for place in range(len(answered)) if place not in used][:MOST_PAIRED]
        if len(rows) > 1 or len(columns) > 1:
            # imported late: most lists are equal, or have one item that is not
            from scipy.optimize import linear_sum_assignment

            items = [expected[row] for row in rows]
            agreement = self._agreement(items, [answered[column] for column in columns], name)
            chosen_rows, chosen_columns = linear_sum_assignment(agreement, maximize=True)
            rows = np.array(rows)[chosen_rows].tolist()
            columns = np.array(columns)[chosen_columns].tolist()
        return partners | dict(zip(rows, columns, strict=False))

    def _agreement(self, expected: Sequence[Any], answered: Sequence[Any], name: str) -> Floats:
        """Return how many values each expected item shares with each answered one.

        The shape is ``(expected, answered)``.
        """
        agreement = np.zeros((len(expected), len(answered)))
        answers = [self._contents(item, name) for item in answered]
        for row, item in enumerate(expected):
            contents = self._contents(item, name)
            for column, answer in enumerate(answers):
                agreement[row, column] = self._count_shared(contents, answer)
        return agreement

    def _count_shared(self, expected: _Contents, answered: _Contents) -> int:
        """Return how many values two items share, and how many numbers are near each other."""
        shared = (expected.values & answered.values).total()
        for name, number in expected.numbers:
            allowed = self.rules.allowed(name) * (1 + _ROUNDING)
            for answered_name, answered_number in answered.numbers:
                if answered_name == name and 0 < abs(number - answered_number) <= allowed:
                    shared += 1
        return shared

    def _contents(self, item: Any, name: str) -> _Contents:
        values: Counter[Any] = Counter()
        numbers = []
        # The difference of larger numbers may be infinite.
        largest = sys.float_info.max / 2
        for inner_name, value in self._values(item, name):
            values[inner_name, self.rules.key(value, inner_name)] += 1
            if self.rules.allowed(inner_name) and is_number(value) and abs(value) < largest:
                numbers.append((inner_name, float(value)))
        return _Contents(values, numbers)

    def _values(self, item: Any, name: str) -> Iterator[tuple[str, Any]]:
        """Yield the values inside of an item that count, each after the name of its field."""
        if isinstance(item, dict) and item:
            for key, inner in item.items():
                yield from self._values(inner, child_name(name, key))
        elif isinstance(item, list) and item:
            for element in item:
                yield from self._values(element, name)
        elif self.is_counted(name):
            yield name, item


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def shown_place(path: Iterable[str | int]) -> str:
    """Return a path such as ``$.orders[0].id``."""
    shown = "$"
    for step in path:
        if isinstance(step, str):
            shown += f".{step}"
        else:
            shown += f"[{step}]"
    return shown


def _quoted(value: Any) -> str:
    return shortened(repr(value[:EXCERPT] if isinstance(value, str) else value), EXCERPT)
