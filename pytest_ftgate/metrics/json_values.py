"""Comparison of JSON values: which two are equal, and which have the form of the expected ones."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import isfinite
from typing import Any, Literal

from pytest_ftgate.metrics.options import (
    AS_WRITTEN,
    Normalization,
    Options,
    did_you_mean,
    is_number,
)
from pytest_ftgate.text import LONGEST, kind_of

Lists = Literal["match", "sequence", "set"]
ABSENT: Any = object()
"""In place of a value that is not there."""
OTHERS = "*"
"""The key for all other fields in a mapping of fields."""
MOST_PAIRED = 500
"""Items of one list that are paired with similar ones; pairing takes cubic time."""


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

        1 equals 1.0, true does not equal 1, and infinities equal nothing.
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
            return value if is_finite(value) else object()
        return type(value).__name__, value

    def same(self, expected: Any, answered: Any, name: str = "") -> bool:
        """Return whether two values are equal, numbers within the tolerance."""
        # without a tolerance the keys decide alone, which is fast
        if self.tolerance:
            if isinstance(expected, dict) and isinstance(answered, dict):
                return self._same_objects(expected, answered, name)
            if isinstance(expected, list) and isinstance(answered, list):
                return self._same_lists(expected, answered, name)
            if _within(expected, answered, self.allowed(name)):
                return True
        return bool(self.key(expected, name) == self.key(answered, name))

    def _same_objects(
        self, expected: Mapping[str, Any], answered: Mapping[str, Any], name: str
    ) -> bool:
        if expected.keys() != answered.keys():
            return False
        for key, value in expected.items():
            if not self.same(value, answered[key], child_name(name, key)):
                return False
        return True

    def _same_lists(self, expected: list[Any], answered: list[Any], name: str) -> bool:
        if len(expected) != len(answered):
            return False
        if self.lists == "set":
            return self.count_matches(expected, answered, name) == len(expected)
        pairs = zip(expected, answered, strict=True)
        return all(self.same(*pair, name) for pair in pairs)

    def count_matches(self, expected: list[Any], answered: list[Any], name: str) -> int:
        """Return how many elements of two lists can be matched in pairs of equal elements.

        In long lists a tolerance is ignored, but among numbers.
        """
        n_numbers = 0
        allowed = self.allowed(name)
        if allowed:
            numbers = sorted(filter(is_finite, expected))
            answered_numbers = sorted(filter(is_finite, answered))
            n_numbers = _near_pairs(numbers, answered_numbers, allowed)
            expected = [value for value in expected if not is_finite(value)]
            answered = [value for value in answered if not is_finite(value)]

        if not self.tolerance or max(len(expected), len(answered)) > MOST_PAIRED:
            return n_numbers + len(self.identical(expected, answered, name))

        are_same = []
        for value in expected:
            are_same.append([self.same(value, element, name) for element in answered])
        return n_numbers + most_pairs(are_same)

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

    def allowed(self, name: str) -> float:
        """Return the largest difference of two equal numbers of a field."""
        return _of_field(self.tolerance, name) or 0.0


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
    """Return the dotted name of a field of an object.

    Names stop growing at a maximum length: a key of an answer may be megabytes long, and every
    value below it would hold a copy.
    """
    if not name:
        return key
    return name if len(name) > LONGEST else f"{name}.{key}"


def innermost_field(fields: Iterable[str], name: str) -> str | None:
    """Return the innermost field that a name is equal to or inside of; None if there is none.

    The name comes from an answer and may be megabytes of dots, so it is not split.
    """
    outer = [field for field in fields if name == field or name.startswith(f"{field}.")]
    return max(outer, key=len, default=None)


def _of_field(by_field: Mapping[str, Any], name: str) -> Any:
    """Return the entry of a field, of the innermost object that contains it, or of all others."""
    return by_field and by_field.get(innermost_field(by_field, name) or OTHERS)


def is_finite(value: Any) -> bool:
    """Return whether a value is a finite number; an integer may be too large for a float."""
    return is_number(value) and (isinstance(value, int) or isfinite(value))


def _within(expected: Any, answered: Any, allowed: float) -> bool:
    """Return whether two values are numbers within a tolerance.

    The arithmetic is decimal: 1.1 is within 0.1 of 1.0.
    """
    if not allowed or not is_finite(expected) or not is_finite(answered):
        return False
    difference = Fraction(repr(expected)) - Fraction(repr(answered))
    return abs(difference) <= Fraction(repr(allowed))


def _near_pairs(expected: Sequence[Any], answered: Sequence[Any], allowed: float) -> int:
    """Return the most pairs of numbers within a tolerance, of two sorted lists.

    The first pair that fits may be taken: the lists are sorted, and all have one tolerance.
    """
    n_pairs = row = column = 0
    while row < len(expected) and column < len(answered):
        number = expected[row]
        answer = answered[column]
        if number == answer or _within(number, answer, allowed):
            n_pairs += 1
            row += 1
            column += 1
        elif number < answer:
            row += 1
        else:
            column += 1
    return n_pairs


def most_pairs(are_same: Sequence[Sequence[bool]]) -> int:
    """Return the most pairs of a row and a column, each in one pair at most, that are the same."""
    if not any(map(any, are_same)):
        return 0
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    matching = maximum_bipartite_matching(csr_array(are_same))
    return int((matching >= 0).sum())


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
        texts[name] = options.steps(value, "a list of them, or a mapping of fields to them")

    tolerance = _by_field(options, "tolerance", names)
    for amount in tolerance.values():
        if not is_finite(amount) or amount < 0:
            shown = repr(amount) if is_number(amount) else kind_of(amount)
            raise options.error(
                f"tolerance is {shown}",
                key="tolerance",
                cure="Write a number of at least 0, or a mapping of fields to numbers.",
            )

    positive = {name: amount for name, amount in tolerance.items() if amount}
    return JsonRules(texts, positive, chosen)


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
        subject = repr(unknown) if key == "fields" else f"the field {unknown!r}"
        raise options.error(
            f"{key} contains {subject}, which no test example has",
            key=key,
            cure=did_you_mean(str(unknown), sorted(names)),
        )
