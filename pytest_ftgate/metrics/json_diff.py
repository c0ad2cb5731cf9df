"""Differences between an expected and an answered JSON value, leaf by leaf."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_ftgate.metrics.field_rules import FieldRules, child_name, is_number
from pytest_ftgate.metrics.protocol import Codes, Floats
from pytest_ftgate.text import shortened

LeafPath: TypeAlias = tuple[str | int, ...]
RIGHT, WRONG, MISSING, SPURIOUS = range(4)
_NOTED = 3
ABSENT = object()
"""In a list of an answer, the place of an expected item that it lacks."""
_ROUNDING = 1 + 1e-9  # of differences, for the choice of pairs; whether two numbers are equal is decided exactly
_LARGEST = 1e300
_MOST_PAIRED = 2000  # items of one list; those beyond it keep their order


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is compared as a unit: a scalar, an empty object or list, or a list whose order is ignored.

    ``name`` is the name of its field: the keys that lead to it, joined by dots, without list positions. ``unordered``
    marks a list whose elements are counted individually.
    """

    name: str
    value: Any
    unordered: bool = False

    @property
    def size(self) -> int:
        """Return the number of values that it counts as; an empty list is one."""
        return max(len(self.value), 1) if self.unordered else 1


def leaves_by_path(value: Any, *, unordered: bool) -> dict[LeafPath, Leaf]:
    """Return all leaves by path; with ``unordered``, list order is ignored and each list is a leaf."""
    found: dict[LeafPath, Leaf] = {}
    waiting: list[tuple[LeafPath, str, Any]] = [((), "", value)]
    while waiting:
        path, name, part = waiting.pop()
        if isinstance(part, dict) and part:
            waiting += (((*path, key), child_name(name, key), inner) for key, inner in reversed(part.items()))
        elif isinstance(part, list) and part and not unordered:
            waiting += (((*path, i), name, part[i]) for i in reversed(range(len(part))))
        elif part is not ABSENT:
            found[path] = Leaf(name, part, unordered and isinstance(part, list))
    return found


def names_in(value: Any) -> Iterator[str]:
    """Yield the names of all fields of a value, including those inside lists and the objects that contain them."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        name, part = waiting.pop()
        if name:
            yield name
        if isinstance(part, dict):
            waiting += ((child_name(name, key), inner) for key, inner in part.items())
        elif isinstance(part, list):
            waiting += ((name, inner) for inner in part)


@dataclass
class Differences:
    """The result of comparing the fields of one answer.

    ``counts`` are the numbers of right, wrong, missing and spurious values by field; ``remarks`` describe the first
    three paths that are not right, and ``more`` is the number of others.
    """

    counts: dict[str, list[int]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, name: str, kind: int, count: int = 1) -> None:
        if count:
            self.counts.setdefault(name, [0, 0, 0, 0])[kind] += count

    def remark(self, path: LeafPath, text: Callable[[], str]) -> None:
        if len(self.remarks) < _NOTED:
            self.remarks.append(f"{shown_place(path)}: {text()}")
        else:
            self.more += 1

    @property
    def note(self) -> str | None:
        """Return one line that describes what is not right; None if everything is."""
        if not self.remarks:
            return None
        return "; ".join(self.remarks) + (f"; and {self.more:,} more" if self.more else "")

    @property
    def total(self) -> list[int]:
        """Return the numbers of right, wrong, missing and spurious values in all fields."""
        return [sum(column) for column in zip(*self.counts.values(), strict=True)] or [0, 0, 0, 0]


def differences(
    expected: Mapping[LeafPath, Leaf],
    answered: Mapping[LeafPath, Leaf],
    rules: FieldRules,
    field_of: Callable[[str], str | None],
) -> Differences:
    """Compare the leaves of an answer, by path, with the expected ones.

    ``field_of`` returns the field under which a leaf with a name is counted; None if it is ignored.
    """
    found = Differences()
    for path, leaf in expected.items():
        name = field_of(leaf.name)
        if name is not None:
            _compare(found, name, path, leaf, answered.get(path), rules)
    for path, leaf in answered.items():
        name = field_of(leaf.name)
        if name is not None and path not in expected:
            found.add(name, SPURIOUS, leaf.size)
            found.remark(path, lambda: "not expected")
    return found


def _compare(found: Differences, name: str, path: LeafPath, leaf: Leaf, other: Leaf | None, rules: FieldRules) -> None:
    if other is None:
        found.add(name, MISSING, leaf.size)
        found.remark(path, lambda: "missing")
    elif leaf.unordered and other.unordered and (leaf.value or other.value):
        right = rules.count_matches(leaf.name, leaf.value, other.value)
        missing, spurious = len(leaf.value) - right, len(other.value) - right
        for kind, count in ((RIGHT, right), (MISSING, missing), (SPURIOUS, spurious)):
            found.add(name, kind, count)
        if missing or spurious:
            found.remark(path, lambda: f"{missing:,} of {len(leaf.value):,} missing, {spurious:,} not expected")
    elif leaf.unordered and leaf.value:  # the answer has something else than a list
        found.add(name, MISSING, leaf.size)
        found.add(name, SPURIOUS)
        found.remark(path, lambda: "not a list")
    elif rules.same(leaf.name, leaf.value, other.value):
        found.add(name, RIGHT)
    else:
        found.add(name, WRONG)
        found.remark(path, lambda: f"{_quoted(other.value)}, expected {_quoted(leaf.value)}")


def shown_place(path: Iterable[str | int], *, anywhere: bool = False) -> str:
    """Return a path such as ``$.orders[0].id``; with ``anywhere``, ``$.orders[*].id``."""
    return "$" + "".join(f".{part}" if isinstance(part, str) else "[*]" if anywhere else f"[{part}]" for part in path)


def _quoted(value: Any) -> str:
    return shortened(repr(value[:60] if isinstance(value, str) else value), 60)


def paired(expected: Any, answered: Any, rules: FieldRules, counted: Callable[[str], bool], name: str = "") -> Any:
    """Return an answered JSON value with each list, nested ones too, in the order of the expected items that it fits.

    An expected item without a partner is :data:`ABSENT`; answered items without one come last. ``counted`` says
    whether fields of a name count. Raise :class:`RecursionError` if the values are nested too deeply.
    """
    if isinstance(expected, dict) and isinstance(answered, dict):
        return {
            key: paired(expected[key], part, rules, counted, child_name(name, key)) if key in expected else part
            for key, part in answered.items()
        }
    if not (isinstance(expected, list) and isinstance(answered, list)):
        return answered
    partners = _partners(expected, answered, rules, counted, name)
    used = set(partners.values())
    return [
        *(
            paired(item, answered[partners[i]], rules, counted, name) if i in partners else ABSENT
            for i, item in enumerate(expected)
        ),
        *(item for i, item in enumerate(answered) if i not in used),
    ]


def _partners(
    expected: Sequence[Any], answered: Sequence[Any], rules: FieldRules, counted: Callable[[str], bool], name: str
) -> dict[int, int]:
    """Return the place of the partner of each expected item: an equal one, else by the assignment problem.

    Equal items first loses nothing: no other pairs of the four items have more fields in common.
    """
    found = rules.equal(name, expected, answered)
    used = set(found.values())
    left = [place for place in range(len(expected)) if place not in found][:_MOST_PAIRED]
    rest = [place for place in range(len(answered)) if place not in used][:_MOST_PAIRED]
    if len(left) > 1 or len(rest) > 1:
        from scipy.optimize import linear_sum_assignment

        agreed = _agreement([expected[i] for i in left], [answered[i] for i in rest], rules, counted, name)
        rows, columns = linear_sum_assignment(agreed, maximize=True)
        return found | {left[row]: rest[column] for row, column in zip(rows, columns, strict=True)}
    return found | dict(zip(left, rest, strict=False))


def _agreement(
    expected: Sequence[Any], answered: Sequence[Any], rules: FieldRules, counted: Callable[[str], bool], name: str
) -> Floats:
    """Return how many values each expected item shares with each answered one, shape ``(expected, answered)``."""
    import numpy as np

    agreed = np.zeros((len(expected), len(answered)))
    ours, theirs = ([list(_values(item, counted, name)) for item in items] for items in (expected, answered))
    columns: dict[Any, tuple[list[int], list[int]]] = {}
    for column, values in enumerate(theirs):
        for key, count in Counter((at, rules.key(at, value)) for at, value in values).items():
            places, counts = columns.setdefault(key, ([], []))
            places.append(column)
            counts.append(count)
    for row, values in enumerate(ours):
        for key, count in Counter((at, rules.key(at, value)) for at, value in values).items():
            if key in columns:
                agreed[row, columns[key][0]] += np.minimum(count, columns[key][1])
    for at in {at for values in ours for at, _ in values if rules.allowed(at)}:  # equal numbers are counted already
        (rows, numbers), (others, answers) = (_numbers(values, at) for values in (ours, theirs))
        apart = np.abs(numbers[:, None] - answers)
        np.add.at(agreed, (rows[:, None], others[None, :]), (apart > 0) & (apart <= rules.allowed(at) * _ROUNDING))
    return agreed


def _numbers(items: Sequence[Sequence[tuple[str, Any]]], name: str) -> tuple[Codes, Floats]:
    """Return the places of the items that have a number under a name, and the numbers, shape ``(numbers,)`` each."""
    import numpy as np

    found = [
        (i, float(value))
        for i, values in enumerate(items)
        for at, value in values
        if at == name and is_number(value) and abs(value) < _LARGEST
    ]
    places, numbers = zip(*found, strict=True) if found else ((), ())
    return np.array(places, np.int64), np.array(numbers, np.float64)


def _values(item: Any, counted: Callable[[str], bool], name: str) -> Iterator[tuple[str, Any]]:
    """Yield the values inside an item with the names of their fields, without positions in lists."""
    if isinstance(item, dict) and item:
        for key, part in item.items():
            yield from _values(part, counted, child_name(name, key))
    elif isinstance(item, list) and item:
        for part in item:
            yield from _values(part, counted, name)
    elif counted(name):
        yield name, item
