"""Comparison of JSON values: which two are equal, and which have the form of the expected ones."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import inf
from typing import Any, Literal

from pytest_ftgate.metrics.options import (
    AS_WRITTEN,
    Normalization,
    Options,
    did_you_mean,
    is_number,
)
from pytest_ftgate.text import kind_of

Lists = Literal["match", "sequence", "set"]
ABSENT: Any = object()
"""In place of a value that is not there."""
OTHERS = "*"
"""The key for all other fields in a mapping of fields."""


@dataclass(frozen=True)
class JsonRules:
    """Rules that decide whether two values of a field are equal.

    Fields are dotted names without list positions.

    Attributes:
        texts: the normalization of texts by field; "*" is for all others.
        tolerance: the largest difference of two equal numbers by field.
        lists: "match": compare items in pairs that have most in common; "sequence": compare by
            position; "set": ignore the order; a repeated element counts each time.
    """

    texts: Mapping[str, Normalization] = field(default_factory=dict)
    tolerance: Mapping[str, float] = field(default_factory=dict)
    lists: Lists = "sequence"

    def key(self, value: Any, name: str = "") -> Any:
        """Return a key that is equal for values that are equal without a tolerance.

        1 equals 1.0, and true does not equal 1.
        """
        if isinstance(value, dict):
            items = [(key, self.key(inner, child_name(name, key))) for key, inner in value.items()]
            return "object", frozenset(items)
        if isinstance(value, list):
            keys = [self.key(element, name) for element in value]
            if self.lists == "set":
                return "list", frozenset(Counter(keys).items())
            return "list", tuple(keys)
        if isinstance(value, str):
            normalize = _of_field(self.texts, name) or AS_WRITTEN
            return "text", normalize(value)
        if is_number(value):
            return value
        return type(value).__name__, value

    def same_leaf(self, expected: Any, answered: Any, name: str) -> bool:
        """Return whether two values without parts are equal, numbers within the tolerance."""
        if self.allowed(name, expected) and is_finite(answered):
            return within(expected, answered, self.allowed(name, expected))
        return bool(self.key(expected, name) == self.key(answered, name))

    def allowed(self, name: str, value: Any) -> float:
        """Return the tolerance of a value of a field; 0 if it is no finite number."""
        return (is_finite(value) and _of_field(self.tolerance, name)) or 0.0

    def identical(
        self, expected: Sequence[Any], answered: Sequence[Any], name: str
    ) -> dict[int, int]:
        """Return pairs of elements that are equal without a tolerance, as places in both lists."""
        places_of: dict[Any, list[int]] = {}
        # from the end, so that the first places are taken first
        for place in reversed(range(len(answered))):
            places_of.setdefault(self.key(answered[place], name), []).append(place)

        pairs = {}
        for place, value in enumerate(expected):
            places = places_of.get(self.key(value, name))
            if places:
                pairs[place] = places.pop()
        return pairs


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
            for key, inner in _items(value):
                keys[key] = keys.get(key, frozenset()) | {json_type(inner)}
        return cls(frozenset(map(json_type, values)), keys, {} in values)

    def fits(self, value: Any) -> bool:
        """Return whether a value has an expected type; an object also needs an expected field."""
        if json_type(value) not in self.types:
            return False
        if value == {}:
            return self.empty
        items = list(_items(value))
        return not items or any(self.fits_under(key, inner) for key, inner in items)

    def fits_under(self, key: str, value: Any) -> bool:
        """Return whether a value has a type that is expected under a key."""
        return json_type(value) in self.keys.get(key, frozenset())


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of an object, or of the objects in a list."""
    for element in value if isinstance(value, list) else [value]:
        if isinstance(element, Mapping):
            yield from element.items()


def json_type(value: Any) -> str:
    """Return the JSON type of a value."""
    return "a boolean" if isinstance(value, bool) else kind_of(value)


def child_name(name: str, key: str) -> str:
    """Return the dotted name of a field of an object."""
    return f"{name}.{key}" if name else key


def is_inside(name: str, field: str) -> bool:
    """Return whether a field is another one, or inside of it.

    The name comes from an answer and may be megabytes of dots, so it is not split.
    """
    return name == field or name.startswith(f"{field}.")


def _of_field(by_field: Mapping[str, Any], name: str) -> Any:
    """Return the entry of a field, of the innermost object that contains it, or of all others."""
    if not by_field:
        return None
    outer = [field for field in by_field if is_inside(name, field)]
    return by_field.get(max(outer, key=len, default=OTHERS))


def is_finite(value: Any) -> bool:
    """Return whether a value is a finite number; an integer may be too large for a float."""
    return is_number(value) and abs(value) < inf


def within(expected: float, answered: float, allowed: float) -> bool:
    """Return whether two numbers are within a tolerance.

    The arithmetic is decimal: 1.1 is within 0.1 of 1.0.
    """
    return abs(_as_written(expected) - _as_written(answered)) <= _as_written(allowed)


@lru_cache(maxsize=1000)
def _as_written(number: float) -> Fraction:
    """Return a number as its digits say, read once for many comparisons."""
    return Fraction(repr(number))


def most_pairs(are_same: Sequence[Sequence[bool]]) -> dict[int, int]:
    """Return the most pairs of a row and a column that are the same, each in one pair at most."""
    if not any(map(any, are_same)):
        return {}
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    columns = maximum_bipartite_matching(csr_array(are_same), perm_type="column")
    return {row: column for row, column in enumerate(columns.tolist()) if column >= 0}


def names_in(value: Any, name: str = "") -> Iterator[str]:
    """Yield the names of all fields of a value, also inside of lists and objects."""
    if name:
        yield name
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from names_in(inner, child_name(name, key))
    elif isinstance(value, list):
        for element in value:
            yield from names_in(element, name)


# --- the rules of a gate --------------------------------------------------------------------------


def read_rules(
    options: Options, names: Collection[str], lists: Sequence[Lists] = ("sequence", "set")
) -> JsonRules:
    """Return the rules in a gate's options; raise :class:`ConfigError` if an option is invalid.

    ``names`` are all fields in the test set and the objects that contain them; the first of
    ``lists`` is the default.
    """
    chosen: Any = options.choice("lists", lists)
    texts = {}
    for name, value in _by_field(options, "normalize", names).items():
        texts[name] = options.steps(value)

    tolerance = _by_field(options, "tolerance", names)
    for amount in tolerance.values():
        if not is_finite(amount) or amount < 0:
            expected = "a number of at least 0, or a mapping of fields to such numbers"
            raise options.wrong("tolerance", amount, expected)

    return JsonRules(texts, tolerance, chosen)


def _by_field(options: Options, key: str, names: Collection[str]) -> Mapping[str, Any]:
    """Return an option that is a mapping of fields, or one value for all of them."""
    if key not in options.spec.options:
        return {}
    value = options.spec.options[key]
    by_field = value if isinstance(value, Mapping) else {OTHERS: value}
    refuse_unknown(options, key, [name for name in by_field if name != OTHERS], names)
    return by_field


def refuse_unknown(
    options: Options, key: str, fields: Collection[str], names: Collection[str]
) -> None:
    """Refuse a field that is not in the test set, whose fields are ``names``."""
    unknown = next((name for name in fields if name not in names), None)
    if unknown is not None:
        raise options.error(
            f"{key} contains {unknown!r}, which no test example has",
            key=key,
            cure=did_you_mean(str(unknown), sorted(names)),
        )
