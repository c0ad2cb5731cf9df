"""Which fields of JSON values are compared, and which differences between two of them do not count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from math import isfinite
from typing import Any, Literal

from pytest_ftgate.metrics.normalization import FULL, STEPS, Normalization, iso_date
from pytest_ftgate.metrics.options import Options, did_you_mean, json_equal
from pytest_ftgate.text import kind_of

Lists = Literal["sequence", "set"]
LISTS: tuple[Lists, ...] = ("sequence", "set")
DATES: Mapping[str, Callable[[str], str]] = {
    "date": iso_date,
    "date_dmy": partial(iso_date, day_first=True),
    "date_mdy": partial(iso_date, day_first=False),
}
ALL_OTHERS = "*"
"""In a mapping of fields: all that have no entry of their own."""


@dataclass(frozen=True)
class TextRule:
    """How a text is brought to the form that is compared: first a date to its one form, then what does not count."""

    normalization: Normalization = field(default_factory=Normalization)
    date: str | None = None

    def __call__(self, text: str) -> str:
        return self.normalization(DATES[self.date](text) if self.date else text)


@dataclass(frozen=True)
class FieldRules:
    """When two values of a field are the same. Fields are dotted names; positions in lists are not part of them.

    Attributes:
        texts: by field, "*" for all others; what is not there is compared exactly.
        tolerance: how far two numbers may lie apart, by field likewise.
        lists: "sequence": position by position; "set": whatever the order, an element given twice counts twice.
    """

    texts: Mapping[str, TextRule]
    tolerance: Mapping[str, float]
    lists: Lists

    def same(self, name: str, expected: Any, answered: Any) -> bool:
        """Return whether two values are the same: 1 is 1.0, true is not 1. Of lists as a set, so are their elements."""
        if _is_number(expected) and _is_number(answered):
            allowed = self._tolerance(name)
            return json_equal(expected, answered, str) or _within_tolerance(expected, answered, allowed)
        if isinstance(expected, dict) and isinstance(answered, dict):
            return expected.keys() == answered.keys() and all(
                self.same(child_name(name, key), expected[key], answered[key]) for key in expected
            )
        if isinstance(expected, list) and isinstance(answered, list):
            return self._same_lists(name, expected, answered)
        return json_equal(expected, answered, self._text(name))

    def _same_lists(self, name: str, expected: list[Any], answered: list[Any]) -> bool:
        if len(expected) != len(answered):
            return False
        if self.lists == "set":
            return self.count_matches(name, expected, answered) == len(expected)
        return all(self.same(name, one, other) for one, other in zip(expected, answered, strict=True))

    def count_matches(self, name: str, expected: list[Any], answered: list[Any]) -> int:
        """Return how many elements of two lists can be paired so that those of a pair are the same.

        With a tolerance numbers are paired in order of size, which pairs as many as can be. Objects and lists that
        hold numbers are paired with an equal one, else with the first that is the same.
        """
        allowed = self._tolerance(name)
        if allowed:
            (numbers, expected), (others, answered) = _numbers_apart(expected), _numbers_apart(answered)
            paired = _count_near_pairs(numbers, others, allowed)
        else:
            paired = 0
        equal, left, rest = self._equal(name, expected, answered)
        if not self.tolerance:
            return paired + equal
        for value in left[:_MOST_PAIRED]:
            near = next((i for i, other in enumerate(rest[:_MOST_PAIRED]) if self.same(name, value, other)), None)
            if near is not None:
                del rest[near]
                equal += 1
        return paired + equal

    def _equal(self, name: str, expected: list[Any], answered: list[Any]) -> tuple[int, list[Any], list[Any]]:
        """Return how many elements are equal without a tolerance, and those of both lists that are left."""
        waiting: dict[Any, list[int]] = {}
        for place, value in enumerate(answered):
            waiting.setdefault(self._key(name, value), []).append(place)
        left, used = [], set()
        for value in expected:
            places = waiting.get(self._key(name, value))
            if places:
                used.add(places.pop())
            else:
                left.append(value)
        return len(used), left, [value for place, value in enumerate(answered) if place not in used]

    def _key(self, name: str, value: Any) -> Any:
        """Return what is equal of values that are the same without a tolerance."""
        if isinstance(value, dict):
            return "object", frozenset((key, self._key(child_name(name, key), part)) for key, part in value.items())
        if isinstance(value, list):
            parts = [self._key(name, part) for part in value]
            return "list", tuple(sorted(parts, key=repr) if self.lists == "set" else parts)
        if isinstance(value, str):
            return "text", self._text(name)(value)
        return (type(value).__name__, value) if isinstance(value, bool) or value is None else value

    def _text(self, name: str) -> TextRule:
        return _for_field(self.texts, name) or _AS_WRITTEN

    def _tolerance(self, name: str) -> float:
        return _for_field(self.tolerance, name) or 0.0

    def lenient(self) -> FieldRules | None:
        """Return the same with all texts fully normalized; None where they are."""
        if ALL_OTHERS in self.texts and all(one.normalization.full for one in self.texts.values()):
            return None
        texts = {name: replace(one, normalization=FULL) for name, one in self.texts.items()}
        return replace(self, texts={ALL_OTHERS: TextRule(FULL), **texts})


_AS_WRITTEN = TextRule()
_MOST_PAIRED = 1000
_LONGEST_NAME = 1000


def child_name(name: str, key: str) -> str:
    """Return the name of a field of an object.

    What lies below a name that is longer than any field's goes by that name: a key of an answer may be megabytes long,
    and each value below would hold a copy of it.
    """
    if len(name) > _LONGEST_NAME:
        return name
    return f"{name}.{key}" if name else key


def _for_field(by_field: Mapping[str, Any], name: str) -> Any:
    """Return what stands for a field, for the nearest object that it is in, or for all others."""
    return by_field.get(innermost_field(by_field, name) or ALL_OTHERS)


def innermost_field(fields: Iterable[str], name: str) -> str | None:
    """Return the innermost of the fields that a value of this name is or is in; None where it is in none.

    A name comes out of an answer, and may be megabytes of dots: it is not taken apart.
    """
    return max((field for field in fields if name == field or name.startswith(f"{field}.")), key=len, default=None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _within_tolerance(a: float, b: float, allowed: float) -> bool:
    """Compare in decimals, as numbers are written: 1.1 is within 0.1 of 1.0."""
    if not allowed or not _is_finite(a) or not _is_finite(b):
        return False
    return abs(Fraction(repr(a)) - Fraction(repr(b))) <= Fraction(repr(allowed))


def _is_finite(value: float) -> bool:
    """Return whether a number is one: not NaN, not infinite. A whole number beyond all floats is."""
    return isinstance(value, int) or isfinite(value)


def _numbers_apart(values: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the numbers, in order of size, and all other elements."""
    numbers = sorted(value for value in values if _is_number(value) and _is_finite(value))
    return numbers, [value for value in values if not (_is_number(value) and _is_finite(value))]


def _count_near_pairs(expected: list[Any], answered: list[Any], allowed: float) -> int:
    """Return the most pairs of numbers that lie within a tolerance, of two lists in order of size."""
    found = i = j = 0
    while i < len(expected) and j < len(answered):
        if expected[i] == answered[j] or _within_tolerance(expected[i], answered[j], allowed):
            found, i, j = found + 1, i + 1, j + 1
        elif expected[i] < answered[j]:
            i += 1
        else:
            j += 1
    return found


# --- options -------------------------------------------------------------------------------------------------


def read_rules(options: Options, names: frozenset[str]) -> FieldRules:
    """Return the rules that a gate's options ask for.

    Args:
        options: as written.
        names: all fields that the test set expects, and the objects they are in.

    Raises:
        ConfigError: an option is wrong, or speaks of a field that no example expects.
    """
    lists: Lists = "set" if options.choice("lists", LISTS) == "set" else "sequence"
    return FieldRules(_texts(options, names), _tolerances(options, names), lists)


def _texts(options: Options, names: frozenset[str]) -> dict[str, TextRule]:
    value = options.spec.options.get("normalize", ())
    by_field = value if isinstance(value, Mapping) else {ALL_OTHERS: value}
    _known_fields(options, "normalize", by_field, names)
    return {name: _text(options, steps) for name, steps in by_field.items() if steps != ()}


def _text(options: Options, value: Any) -> TextRule:
    names = options.steps(value, (*STEPS, *DATES), ", or a mapping of fields to them")
    dates = [name for name in names if name in DATES]
    if len(dates) > 1:
        raise options.error(
            f"normalize reads dates in two ways: {', '.join(dates)}",
            key="normalize",
            cure="Keep the one in which the dates are written; date alone reads no date that could be two.",
        )
    return TextRule(Normalization(frozenset(names) & frozenset(STEPS)), dates[0] if dates else None)


def _tolerances(options: Options, names: frozenset[str]) -> dict[str, float]:
    value = options.spec.options.get("tolerance", {})
    by_field = value if isinstance(value, Mapping) else {ALL_OTHERS: value}
    _known_fields(options, "tolerance", by_field, names)
    for amount in by_field.values():
        if not _is_number(amount) or not _is_finite(amount) or amount < 0:
            found = f"{amount!r}" if _is_number(amount) else kind_of(amount)
            raise options.error(
                f"tolerance is {found}",
                key="tolerance",
                cure="Write a number, 0 or above, or a mapping of fields to numbers.",
            )
    return {name: amount for name, amount in by_field.items() if amount}


def _known_fields(options: Options, key: str, by_field: Mapping[Any, Any], names: frozenset[str]) -> None:
    for name in by_field:
        if name != ALL_OTHERS and name not in names:
            raise options.error(
                f"{key} names the field {name!r}, which no example of the test set expects",
                key=key,
                cure=did_you_mean(str(name), names),
            )
