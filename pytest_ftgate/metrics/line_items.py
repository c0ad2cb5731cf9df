"""Pair the items of two lists so that most of their fields agree, whatever their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pytest_ftgate.metrics.field_rules import FieldRules, child_name, is_number

if TYPE_CHECKING:
    from pytest_ftgate.metrics.protocol import Codes, Floats

ABSENT = object()
"""In a list of an answer, the place of an expected item that it lacks."""
_ROUNDING = 1 + 1e-9  # of differences, for the choice of pairs; whether two numbers are equal is decided exactly
_LARGEST = 1e300
_MOST_PAIRED = 2000  # items of one list; those beyond it keep their order


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
    waiting: dict[Any, list[int]] = {}
    for place in reversed(range(len(answered))):
        waiting.setdefault(rules.key(name, answered[place]), []).append(place)
    found: dict[int, int] = {}
    for place, item in enumerate(expected):
        if places := waiting.get(rules.key(name, item)):
            found[place] = places.pop()
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
