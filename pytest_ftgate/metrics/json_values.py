"""Comparison of JSON values: which two are equal, and what differs between an expected and an answered one."""

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import zip_longest
from math import isfinite
from typing import Any, Literal, TypeAlias

import numpy as np

from pytest_ftgate.metrics.options import (
    AS_WRITTEN,
    STEPS,
    Normalization,
    Options,
    did_you_mean,
    is_number,
)
from pytest_ftgate.statistics.arrays import Codes, Floats
from pytest_ftgate.text import EXCERPT, LONGEST, NAMED, kind_of, shortened

Lists = Literal["match", "sequence", "set"]
Path: TypeAlias = tuple[str | int, ...]
RIGHT, WRONG, MISSING, SPURIOUS = range(4)
ABSENT: Any = object()
"""In place of a value that is not there."""
OTHERS = "*"
"""The key for all other fields in a mapping of fields."""

# items of one list; those beyond it keep their order, or must be equal without a tolerance
_MOST_PAIRED = 500
# of differences, for the choice of pairs; whether two numbers are equal is decided exactly
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True)
class JsonRules:
    """Rules that decide whether two values of a field are equal.

    Fields are dotted names without list positions.

    ``texts`` has the normalization and ``tolerance`` the maximum difference of two numbers, by
    field ("*" for all others). ``lists``: "match": compare items in pairs that have most in common;
    "sequence": compare by position; "set": ignore the order; a repeated element counts each time.
    """

    texts: Mapping[str, Normalization] = field(default_factory=dict)
    tolerance: Mapping[str, float] = field(default_factory=dict)
    lists: Lists = "sequence"

    def key(self, value: Any, name: str = "") -> Any:
        """Return a key that is equal for values that are equal without a tolerance.

        1 equals 1.0, true does not equal 1, and infinities equal nothing. Raise
        :class:`RecursionError` if the value is nested too deeply.
        """
        if isinstance(value, dict):
            return "object", frozenset(
                (key, self.key(part, child_name(name, key))) for key, part in value.items()
            )
        if isinstance(value, list):
            parts = [self.key(part, name) for part in value]
            return "list", frozenset(Counter(parts).items()) if self.lists == "set" else tuple(
                parts
            )
        if isinstance(value, str):
            return "text", (_for_field(self.texts, name) or AS_WRITTEN)(value)
        if is_number(value):
            return value if _is_finite(value) else object()
        return type(value).__name__, value

    def same(self, expected: Any, answered: Any, name: str = "") -> bool:
        """Return whether two values are equal, numbers within the tolerance."""
        if not self.tolerance or type(expected) is str:
            return bool(self.key(expected, name) == self.key(answered, name))
        if is_number(expected) and is_number(answered):
            return expected == answered or _within(expected, answered, self.allowed(name))
        if isinstance(expected, dict) and isinstance(answered, dict):
            inner = ((expected[key], answered.get(key), child_name(name, key)) for key in expected)
            return expected.keys() == answered.keys() and all(self.same(*one) for one in inner)
        if isinstance(expected, list) and isinstance(answered, list):
            if self.lists == "set":
                return (
                    len(expected) == len(answered) == self.count_matches(expected, answered, name)
                )
            pairs = zip(expected, answered, strict=False)
            return len(expected) == len(answered) and all(self.same(*pair, name) for pair in pairs)
        return bool(self.key(expected, name) == self.key(answered, name))

    def count_matches(self, expected: list[Any], answered: list[Any], name: str) -> int:
        """Return how many elements of two lists can be matched in pairs of equal elements.

        With a tolerance, numbers are matched in order of size, which finds the most pairs, and
        others so that most are equal within it; where there are too many of those, only identical
        ones match.
        """
        count = 0
        if allowed := self.allowed(name):
            numbers, others = (sorted(filter(_is_finite, one)) for one in (expected, answered))
            count = _near_pairs(numbers, others, allowed)
            expected, answered = (
                [one for one in values if not _is_finite(one)] for values in (expected, answered)
            )
        if self.tolerance and max(len(expected), len(answered)) <= _MOST_PAIRED:
            return count + most_pairs(
                [[self.same(one, other, name) for other in answered] for one in expected]
            )
        return count + len(self.identical(expected, answered, name))

    def identical(
        self, expected: Sequence[Any], answered: Sequence[Any], name: str
    ) -> dict[int, int]:
        """Return the place of an answered element for each expected one that has an equal one without a tolerance."""
        waiting: dict[Any, list[int]] = {}
        for place in reversed(range(len(answered))):
            waiting.setdefault(self.key(answered[place], name), []).append(place)
        places = (
            (place, waiting.get(self.key(value, name))) for place, value in enumerate(expected)
        )
        return {place: equal.pop() for place, equal in places if equal}

    def allowed(self, name: str) -> float:
        """Return the largest difference of two equal numbers of a field."""
        return _for_field(self.tolerance, name) or 0.0


@dataclass(frozen=True)
class JsonForm:
    """The JSON types of some expected values: what an answer must have to be in their form.

    Attributes:
        types: the types of the values themselves.
        keys: the types under each key of the objects that the values are, or list.
        empty: whether one of the values is an empty object.
    """

    types: frozenset[str]
    keys: Mapping[str, frozenset[str]]
    empty: bool

    @classmethod
    def of(cls, values: Sequence[Any]) -> "JsonForm":
        """Return the form of some values."""
        keys: dict[str, frozenset[str]] = {}
        for value in values:
            for key, part in _pairs(value):
                keys[key] = keys.get(key, frozenset()) | {json_type(part)}
        return cls(frozenset(map(json_type, values)), keys, {} in values)

    def fits(self, value: Any) -> bool:
        """Return whether a value has an expected type, and objects in it one key with a value of an expected type."""
        if json_type(value) not in self.types:
            return False
        if value == {}:
            return self.empty
        pairs = list(_pairs(value))
        return not pairs or any(self.fits_under(key, part) for key, part in pairs)

    def fits_under(self, key: str, part: Any) -> bool:
        """Return whether a value has a type that is expected under a key."""
        return json_type(part) in self.keys.get(key, frozenset())


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of an object, or of the objects in a list."""
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, Mapping):
            yield from part.items()


def json_type(value: Any) -> str:
    """Return the JSON type of a value."""
    return "a boolean" if isinstance(value, bool) else kind_of(value)


def child_name(name: str, key: str) -> str:
    """Return the dotted name of a field of an object.

    Names stop growing at a maximum length: a key of an answer may be megabytes long, and every
    value below it would hold a copy.
    """
    return name if len(name) > LONGEST else f"{name}.{key}" if name else key


def innermost_field(fields: Iterable[str], name: str) -> str | None:
    """Return the innermost field that a name is equal to or inside of; None if there is none.

    The name comes from an answer and may be megabytes of dots, so it is not split.
    """
    return max(
        (field for field in fields if name == field or name.startswith(f"{field}.")),
        key=len,
        default=None,
    )


def _for_field(by_field: Mapping[str, Any], name: str) -> Any:
    """Return the entry of a field, of the innermost object that contains it, or of all other fields."""
    return by_field and by_field.get(innermost_field(by_field, name) or OTHERS)


def _is_finite(value: Any) -> bool:
    """Return whether a value is a finite number; an integer is, even if it is too large for a float."""
    return is_number(value) and (isinstance(value, int) or isfinite(value))


def _within(a: float, b: float, allowed: float) -> bool:
    """Return whether two numbers are within a tolerance, in decimal arithmetic: 1.1 is within 0.1 of 1.0."""
    if not allowed or not _is_finite(a) or not _is_finite(b):
        return False
    return abs(Fraction(repr(a)) - Fraction(repr(b))) <= Fraction(repr(allowed))


def _near_pairs(expected: list[Any], answered: list[Any], allowed: float) -> int:
    """Return the most pairs of numbers within a tolerance, of two sorted lists."""
    found = i = j = 0
    while i < len(expected) and j < len(answered):
        if expected[i] == answered[j] or _within(expected[i], answered[j], allowed):
            found, i, j = found + 1, i + 1, j + 1
        elif expected[i] < answered[j]:
            i += 1
        else:
            j += 1
    return found


def most_pairs(same: Sequence[Sequence[bool]]) -> int:
    """Return the most pairs of a row and a column, each in one pair at most, of which ``same`` is true."""
    if not any(map(any, same)):
        return 0
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    return int((maximum_bipartite_matching(csr_array(same)) >= 0).sum())


# --- differences
# -----------------------------------------------------------------------------------------------------


def leaves(
    value: Any, *, unordered: bool, path: Path = (), name: str = ""
) -> Iterator[tuple[Path, str, int]]:
    """Yield the path, the name of the field and the size of each value that is compared as a unit.

    That is a scalar, or an empty object or list; if lists are ``unordered``, also a list, which
    counts as many values as it has elements, and at least one.
    """
    waiting = [(path, name, value)]
    while waiting:
        path, name, part = waiting.pop()
        if isinstance(part, dict) and part:
            waiting += (
                ((*path, key), child_name(name, key), inner)
                for key, inner in reversed(part.items())
            )
        elif isinstance(part, list) and part and not unordered:
            waiting += (((*path, i), name, part[i]) for i in reversed(range(len(part))))
        else:
            yield path, name, len(part) if isinstance(part, list) and part else 1


def names_in(value: Any) -> Iterator[str]:
    """Yield the names of all fields of a value, including those inside lists and the objects that contain them."""
    waiting = [("", value)]
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
    """The differences between an expected and an answered value, or of several, added up.

    ``field_of`` returns the field under which a value with a name is counted; None if it is
    ignored. ``counts`` are the numbers of right, wrong, missing and spurious values by field;
    ``remarks`` describe what is not right.
    """

    rules: JsonRules
    field_of: Callable[[str], str | None]
    counts: dict[str, list[int]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    more: int = 0

    @property
    def _pairs(self) -> bool:
        return self.rules.lists == "match"

    def add(self, name: str | None, kind: int, count: int = 1) -> None:
        if count and name is not None:
            self.counts.setdefault(name, [0, 0, 0, 0])[kind] += count

    @property
    def note(self) -> str | None:
        """Return one line that describes what is not right; None if everything is."""
        return (
            "; ".join([*self.remarks, *([f"and {self.more:,} more"] if self.more else [])]) or None
        )

    @property
    def total(self) -> list[int]:
        """Return the numbers of right, wrong, missing and spurious values in all fields."""
        return [sum(column) for column in zip(*self.counts.values(), strict=True)] or [0, 0, 0, 0]

    def _remark(self, path: Path, text: str) -> None:
        if len(self.remarks) < NAMED:
            self.remarks.append(f"{shown_place(path)}: {text}")
        else:
            self.more += 1

    def _lacking(self, kind: int, path: Path, name: str, value: Any) -> None:
        """Count the leaves of a value that only one side has."""
        if value is ABSENT:
            return
        for place, inner, size in leaves(
            value, unordered=self.rules.lists == "set", path=path, name=name
        ):
            if (counted := self.field_of(inner)) is not None:
                self.add(counted, kind, size)
                self._remark(place, "missing" if kind == MISSING else "not expected")

    def compare(
        self, expected: Any, answered: Any, path: Path = (), name: str = ""
    ) -> "Differences":
        """Compare two values, leaf by leaf.

        Raise :class:`RecursionError` if both are nested too deeply.
        """
        both, unordered = (expected, answered), self.rules.lists == "set"
        if all(isinstance(one, dict) and one for one in both):
            for key in dict.fromkeys((*expected, *answered)):
                self.compare(
                    expected.get(key, ABSENT),
                    answered.get(key, ABSENT),
                    (*path, key),
                    child_name(name, key),
                )
        elif (
            all(isinstance(one, list) for one in both)
            and not unordered
            and expected
            and (answered or self._pairs)
        ):
            partners = self._partners(expected, answered, name)
            used = set(partners.values())
            others = [
                *(answered[partners[i]] if i in partners else ABSENT for i in range(len(expected)))
            ]
            others += (part for i, part in enumerate(answered) if i not in used)
            for i, (part, other) in enumerate(zip_longest(expected, others, fillvalue=ABSENT)):
                self.compare(part, other, (*path, i), name)
        elif any(
            one is ABSENT or (one and isinstance(one, dict if unordered else dict | list))
            for one in both
        ):
            self._lacking(MISSING, path, name, expected)
            self._lacking(SPURIOUS, path, name, answered)
        elif (counted := self.field_of(name)) is not None:
            self._compare_leaves(counted, path, name, expected, answered)
        return self

    def _compare_leaves(
        self, counted: str, path: Path, name: str, expected: Any, answered: Any
    ) -> None:
        if isinstance(expected, list) and isinstance(answered, list) and (expected or answered):
            right = self.rules.count_matches(expected, answered, name)
            missing, spurious = len(expected) - right, len(answered) - right
            for kind, count in ((RIGHT, right), (MISSING, missing), (SPURIOUS, spurious)):
                self.add(counted, kind, count)
            if missing or spurious:
                self._remark(
                    path, f"{missing:,} of {len(expected):,} missing, {spurious:,} not expected"
                )
        elif isinstance(expected, list) and expected:
            self.add(counted, MISSING, len(expected))
            self.add(counted, SPURIOUS)
            self._remark(path, "not a list")
        elif self.rules.same(expected, answered, name):
            self.add(counted, RIGHT)
        else:
            self.add(counted, WRONG)
            self._remark(path, f"{_quoted(answered)}, expected {_quoted(expected)}")

    # --- pairs of items
    # ----------------------------------------------------------------------------------------------

    def _partners(
        self, expected: Sequence[Any], answered: Sequence[Any], name: str
    ) -> dict[int, int]:
        """Return the place of the partner of each expected item: by position, or an equal one, else by agreement.

        Equal items first loses nothing: no other pairs of the four items have more fields in
        common.
        """
        if not self._pairs:
            return {place: place for place in range(min(len(expected), len(answered)))}
        found = self.rules.identical(expected, answered, name)
        used = set(found.values())
        left = [place for place in range(len(expected)) if place not in found][:_MOST_PAIRED]
        rest = [place for place in range(len(answered)) if place not in used][:_MOST_PAIRED]
        if len(left) > 1 or len(rest) > 1:
            from scipy.optimize import linear_sum_assignment

            agreed = self._agreement([expected[i] for i in left], [answered[i] for i in rest], name)
            rows, columns = linear_sum_assignment(agreed, maximize=True)
            left, rest = [left[row] for row in rows], [rest[column] for column in columns]
        return found | dict(zip(left, rest, strict=False))

    def _agreement(self, expected: Sequence[Any], answered: Sequence[Any], name: str) -> Floats:
        """Return how many values each expected item shares with each answered one, shape ``(expected, answered)``."""
        agreed = np.zeros((len(expected), len(answered)))
        ours, theirs = (
            [list(self._values(item, name)) for item in items] for items in (expected, answered)
        )
        columns: dict[Any, list[tuple[int, int]]] = {}
        for column, values in enumerate(theirs):
            for key, count in Counter(
                (at, self.rules.key(value, at)) for at, value in values
            ).items():
                columns.setdefault(key, []).append((column, count))
        arrays = {key: np.array(found).T for key, found in columns.items()}
        for row, values in enumerate(ours):
            for key, count in Counter(
                (at, self.rules.key(value, at)) for at, value in values
            ).items():
                if key in arrays:
                    agreed[row, arrays[key][0]] += np.minimum(count, arrays[key][1])
        # equal ones are counted above
        for at in {at for values in ours for at, _ in values if self.rules.allowed(at)}:
            (rows, numbers), (others, answers) = (_numbers(values, at) for values in (ours, theirs))
            apart = np.abs(numbers[:, None] - answers)
            near = (apart > 0) & (apart <= self.rules.allowed(at) * _ROUNDING)
            np.add.at(agreed, (rows[:, None], others[None, :]), near)
        return agreed

    def _values(self, item: Any, name: str) -> Iterator[tuple[str, Any]]:
        """Yield the values inside an item with the names of their fields, without positions in lists."""
        if isinstance(item, dict | list) and item:
            for key, part in (
                item.items() if isinstance(item, dict) else ((None, part) for part in item)
            ):
                yield from self._values(part, name if key is None else child_name(name, key))
        elif self.field_of(name) is not None:
            yield name, item


def _numbers(items: Sequence[Sequence[tuple[str, Any]]], name: str) -> tuple[Codes, Floats]:
    """Return the places of the items that have a number under a name, and the numbers, shape ``(numbers,)`` each."""
    found = [
        (i, value)
        for i, values in enumerate(items)
        for at, value in values
        if at == name and is_number(value)
    ]
    found = [(i, float(value)) for i, value in found if abs(value) < sys.float_info.max / 2]
    places, numbers = zip(*found, strict=True) if found else ((), ())
    return np.array(places, np.int64), np.array(numbers, np.float64)


def shown_place(path: Iterable[str | int], *, anywhere: bool = False) -> str:
    """Return a path such as ``$.orders[0].id``; with ``anywhere``, ``$.orders[*].id``."""
    return "$" + "".join(
        f".{part}" if isinstance(part, str) else "[*]" if anywhere else f"[{part}]" for part in path
    )


def _quoted(value: Any) -> str:
    return shortened(repr(value[:EXCERPT] if isinstance(value, str) else value), EXCERPT)


# --- the rules of a gate
# ---------------------------------------------------------------------------------------------


def read_rules(
    options: Options, names: frozenset[str], lists: Sequence[Lists] = ("sequence", "set")
) -> JsonRules:
    """Return the rules in a gate's options; raise :class:`ConfigError` if an option is invalid.

    ``names`` are all fields in the test set and the objects that contain them; the first of
    ``lists`` is the default.
    """
    chosen: Any = options.choice("lists", lists)
    steps, more = _by_field(options, "normalize", (), names), ", or a mapping of fields to them"
    texts = {
        name: Normalization(frozenset(options.steps(of, STEPS, more)))
        for name, of in steps.items()
        if of != ()
    }
    tolerance = _by_field(options, "tolerance", {}, names)
    for amount in tolerance.values():
        if not _is_finite(amount) or amount < 0:
            found = f"{amount!r}" if is_number(amount) else kind_of(amount)
            cure = "Write a number of at least 0, or a mapping of fields to numbers."
            raise options.error(f"tolerance is {found}", key="tolerance", cure=cure)
    return JsonRules(texts, {name: amount for name, amount in tolerance.items() if amount}, chosen)


def _by_field(options: Options, key: str, default: Any, names: frozenset[str]) -> Mapping[str, Any]:
    value = options.spec.options.get(key, default)
    by_field = value if isinstance(value, Mapping) else {OTHERS: value}
    refuse_unknown(options, key, [name for name in by_field if name != OTHERS], names)
    return by_field


def refuse_unknown(
    options: Options, key: str, fields: Collection[str], names: Collection[str]
) -> None:
    """Refuse a field that is not in the test set, whose fields are ``names``."""
    unknown = next((name for name in fields if name not in names), None)
    if unknown is not None:
        named = repr(unknown) if key == "fields" else f"the field {unknown!r}"
        what = f"{key} contains {named}, which no test example has"
        raise options.error(what, key=key, cure=did_you_mean(str(unknown), names))
