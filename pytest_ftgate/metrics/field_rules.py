"""Rules for comparing JSON fields: normalization, tolerances and list order."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from typing import Any, Literal

from pytest_ftgate.metrics.normalization import AS_WRITTEN, FULL, STEPS, Normalization
from pytest_ftgate.metrics.options import Options, did_you_mean, json_equal
from pytest_ftgate.text import kind_of

Lists = Literal["match", "sequence", "set"]
LISTS: tuple[Lists, ...] = ("sequence", "set")
"""How lists are compared as a whole; ``match`` compares their items one by one, so it has no such rule."""
ALL_OTHERS = "*"
"""The key for all other fields in a mapping of fields."""


@dataclass(frozen=True)
class FieldRules:
    """Rules that decide whether two values of a field are equal. Fields are dotted names without list positions.

    ``texts`` has the normalization and ``tolerance`` the maximum difference of two numbers, by field ("*" for all
    others). ``lists``: "match": compare items in pairs (:func:`~pytest_ftgate.metrics.json_diff.paired`); "sequence":
    compare by position; "set": ignore the order; a repeated element counts each time.
    """

    texts: Mapping[str, Normalization]
    tolerance: Mapping[str, float]
    lists: Lists

    def same(self, name: str, expected: Any, answered: Any) -> bool:
        """Return whether two values are equal: 1 equals 1.0, true does not equal 1; lists follow ``lists``."""
        if is_number(expected) and is_number(answered):
            allowed = self.allowed(name)
            return json_equal(expected, answered, str) or _within_tolerance(expected, answered, allowed)
        if isinstance(expected, dict) and isinstance(answered, dict):
            return expected.keys() == answered.keys() and all(
                self.same(child_name(name, key), expected[key], answered[key]) for key in expected
            )
        if isinstance(expected, list) and isinstance(answered, list):
            if len(expected) != len(answered):
                return False
            if self.lists == "set":
                return self.count_matches(name, expected, answered) == len(expected)
            return all(self.same(name, one, other) for one, other in zip(expected, answered, strict=True))
        return json_equal(expected, answered, self._text(name))

    def count_matches(self, name: str, expected: list[Any], answered: list[Any]) -> int:
        """Return how many elements of two lists can be matched in pairs of equal elements.

        With a tolerance, numbers are matched in order of size, which finds the most pairs. Objects and lists that
        contain numbers are matched with an identical one, else with the first that is equal within the tolerance.
        """
        allowed = self.allowed(name)
        if allowed:
            (numbers, expected), (others, answered) = _numbers_apart(expected), _numbers_apart(answered)
            paired = _count_near_pairs(numbers, others, allowed)
        else:
            paired = 0
        found = self.equal(name, expected, answered)
        equal, used = len(found), set(found.values())
        if not self.tolerance:
            return paired + equal
        left = [value for place, value in enumerate(expected) if place not in found]
        rest = [value for place, value in enumerate(answered) if place not in used]
        for value in left[:_MOST_PAIRED]:
            near = next((i for i, other in enumerate(rest[:_MOST_PAIRED]) if self.same(name, value, other)), None)
            if near is not None:
                del rest[near]
                equal += 1
        return paired + equal

    def equal(self, name: str, expected: Sequence[Any], answered: Sequence[Any]) -> dict[int, int]:
        """Return the place of an answered element for each expected one that has an equal one without a tolerance."""
        waiting: dict[Any, list[int]] = {}
        for place in reversed(range(len(answered))):
            waiting.setdefault(self.key(name, answered[place]), []).append(place)
        found: dict[int, int] = {}
        for place, value in enumerate(expected):
            if places := waiting.get(self.key(name, value)):
                found[place] = places.pop()
        return found

    def key(self, name: str, value: Any) -> Any:
        """Return a key that is equal for values that are equal without a tolerance."""
        if isinstance(value, dict):
            return "object", frozenset((key, self.key(child_name(name, key), part)) for key, part in value.items())
        if isinstance(value, list):
            parts = [self.key(name, part) for part in value]
            return "list", tuple(sorted(parts, key=repr) if self.lists == "set" else parts)
        if isinstance(value, str):
            return "text", self._text(name)(value)
        return (type(value).__name__, value) if isinstance(value, bool) or value is None else value

    def _text(self, name: str) -> Normalization:
        return _for_field(self.texts, name) or AS_WRITTEN

    def allowed(self, name: str) -> float:
        """Return the largest difference of two equal numbers of a field."""
        return _for_field(self.tolerance, name) or 0.0

    def lenient(self) -> "FieldRules":
        """Return the rules with all texts fully normalized."""
        return replace(self, texts={ALL_OTHERS: FULL})


_MOST_PAIRED = 1000
_LONGEST_NAME = 1000


def child_name(name: str, key: str) -> str:
    """Return the dotted name of a field of an object.

    Names stop growing at a maximum length: a key of an answer may be megabytes long, and every value below it would
    hold a copy.
    """
    if len(name) > _LONGEST_NAME:
        return name
    return f"{name}.{key}" if name else key


def _for_field(by_field: Mapping[str, Any], name: str) -> Any:
    """Return the entry of a field, of the innermost object that contains it, or of all other fields."""
    return by_field.get(innermost_field(by_field, name) or ALL_OTHERS)


def innermost_field(fields: Iterable[str], name: str) -> str | None:
    """Return the innermost field that a name is equal to or inside of; None if there is none.

    The name comes from an answer and may be megabytes of dots, so it is not split.
    """
    return max((field for field in fields if name == field or name.startswith(f"{field}.")), key=len, default=None)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _within_tolerance(a: float, b: float, allowed: float) -> bool:
    """Return whether two numbers are within a tolerance, in decimal arithmetic: 1.1 is within 0.1 of 1.0."""
    if not allowed or not _is_finite(a) or not _is_finite(b):
        return False
    return abs(Fraction(repr(a)) - Fraction(repr(b))) <= Fraction(repr(allowed))


def _is_finite(value: float) -> bool:
    """Return whether a number is finite; an integer is, even if it is too large for a float."""
    return isinstance(value, int) or isfinite(value)


def _numbers_apart(values: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the sorted numbers and all other elements."""
    numbers = sorted(value for value in values if is_number(value) and _is_finite(value))
    return numbers, [value for value in values if not (is_number(value) and _is_finite(value))]


def _count_near_pairs(expected: list[Any], answered: list[Any], allowed: float) -> int:
    """Return the maximum number of pairs within a tolerance, for two sorted lists of numbers."""
    found = i = j = 0
    while i < len(expected) and j < len(answered):
        if expected[i] == answered[j] or _within_tolerance(expected[i], answered[j], allowed):
            found, i, j = found + 1, i + 1, j + 1
        elif expected[i] < answered[j]:
            i += 1
        else:
            j += 1
    return found


def read_rules(options: Options, names: frozenset[str], lists: Sequence[Lists] = LISTS) -> FieldRules:
    """Return the rules in a gate's options; raise :class:`ConfigError` if an option is invalid.

    ``names`` are all fields in the test set and the objects that contain them; the first of ``lists`` is the default.
    """
    asked: Any = options.choice("lists", lists) or lists[0]
    return FieldRules(_texts(options, names), _tolerances(options, names), asked)


def _texts(options: Options, names: frozenset[str]) -> dict[str, Normalization]:
    by_field, known = _by_field(options, "normalize", (), names), ", or a mapping of fields to them"
    return {
        name: Normalization(frozenset(options.steps(steps, STEPS, known)))
        for name, steps in by_field.items()
        if steps != ()
    }


def _tolerances(options: Options, names: frozenset[str]) -> dict[str, float]:
    by_field = _by_field(options, "tolerance", {}, names)
    for amount in by_field.values():
        if not is_number(amount) or not _is_finite(amount) or amount < 0:
            found = f"{amount!r}" if is_number(amount) else kind_of(amount)
            cure = "Write a number of at least 0, or a mapping of fields to numbers."
            raise options.error(f"tolerance is {found}", key="tolerance", cure=cure)
    return {name: amount for name, amount in by_field.items() if amount}


def _by_field(options: Options, key: str, default: Any, names: frozenset[str]) -> Mapping[str, Any]:
    value = options.spec.options.get(key, default)
    by_field = value if isinstance(value, Mapping) else {ALL_OTHERS: value}
    refuse_unknown(options, key, [name for name in by_field if name != ALL_OTHERS], names)
    return by_field


def refuse_unknown(options: Options, key: str, fields: Collection[str], names: Collection[str]) -> None:
    """Refuse a field that is not in the test set, whose fields are ``names``."""
    unknown = next((name for name in fields if name not in names), None)
    if unknown is not None:
        field = repr(unknown) if key == "fields" else f"the field {unknown!r}"
        what = f"{key} contains {field}, which no test example has"
        raise options.error(what, key=key, cure=did_you_mean(str(unknown), names))
