"""The single values inside a JSON value, and how those of an answer differ from those that are expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_ftgate.metrics.field_rules import FieldRules, inside

Place: TypeAlias = tuple[str | int, ...]
RIGHT, WRONG, MISSING, INVENTED = range(4)
_NOTED = 3


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is compared as one: no object or list, unless it is empty or a list whose order does not count.

    Attributes:
        name: of its field: the keys on the way to it with dots between, without positions in lists.
        value: a plain value, an empty object or list, or (``bag``) a list of any elements.
        bag: its elements are counted one by one.
    """

    name: str
    value: Any
    bag: bool = False

    @property
    def size(self) -> int:
        """How many values it counts as: an empty list is one."""
        return max(len(self.value), 1) if self.bag else 1


def all_leaves(value: Any, *, bags: bool) -> dict[Place, Leaf]:
    """All leaves by their place; ``bags``: the order of lists does not count, so that each is a leaf."""
    found: dict[Place, Leaf] = {}
    waiting: list[tuple[Place, str, Any]] = [((), "", value)]
    while waiting:
        place, name, part = waiting.pop()
        if isinstance(part, dict) and part:
            waiting += (((*place, key), inside(name, key), inner) for key, inner in reversed(part.items()))
        elif isinstance(part, list) and part and not bags:
            waiting += (((*place, i), name, part[i]) for i in reversed(range(len(part))))
        else:
            found[place] = Leaf(name, part, bags and isinstance(part, list))
    return found


def names_in(value: Any) -> Iterator[str]:
    """The names of all fields of a value, of those inside of lists too, and of the objects they are in."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        name, part = waiting.pop()
        if name:
            yield name
        if isinstance(part, dict):
            waiting += ((inside(name, key), inner) for key, inner in part.items())
        elif isinstance(part, list):
            waiting += ((name, inner) for inner in part)


@dataclass
class Differences:
    """What became of the fields of one answer.

    Attributes:
        counts: by field: how many values are right, wrong, missing, invented.
        said: what is not right, in words, of the first three.
        more: how many further places are not right.
    """

    counts: dict[str, list[int]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, name: str, kind: int, count: int = 1) -> None:
        if count:
            self.counts.setdefault(name, [0, 0, 0, 0])[kind] += count

    def say(self, text: Callable[[], str]) -> None:
        if len(self.said) < _NOTED:
            self.said.append(text())
        else:
            self.more += 1

    @property
    def note(self) -> str | None:
        """One line on what is not right; None where all is."""
        if not self.said:
            return None
        return "; ".join(self.said) + (f"; and {self.more:,} more" if self.more else "")

    @property
    def total(self) -> list[int]:
        """How many values are right, wrong, missing, invented in all fields together."""
        return [sum(column) for column in zip(*self.counts.values(), strict=True)] or [0, 0, 0, 0]


def differences(
    expected: Mapping[Place, Leaf],
    answered: Mapping[Place, Leaf],
    rules: FieldRules,
    field_of: Callable[[str], str | None],
) -> Differences:
    """Hold the leaves of an answer against those that are expected.

    Args:
        expected: by place.
        answered: likewise, its lists read in the same way.
        rules: when two values are the same.
        field_of: under which field a leaf of this name is counted; None: it is not looked at.
    """
    found = Differences()
    for place, leaf in expected.items():
        name = field_of(leaf.name)
        if name is not None:
            _expected_leaf(found, name, place, leaf, answered.get(place), rules)
    for place, leaf in answered.items():
        name = field_of(leaf.name)
        if name is not None and place not in expected:
            found.add(name, INVENTED, leaf.size)
            found.say(lambda place=place: f"{_shown_place(place)}: not expected")  # type: ignore[misc]
    return found


def _expected_leaf(
    found: Differences, name: str, place: Place, leaf: Leaf, other: Leaf | None, rules: FieldRules
) -> None:
    if other is None:
        found.add(name, MISSING, leaf.size)
        found.say(lambda: f"{_shown_place(place)}: missing")
    elif leaf.bag and other.bag and (leaf.value or other.value):
        _bags(found, name, place, leaf, other, rules)
    elif leaf.bag and leaf.value:  # something that is no list stands in its place
        found.add(name, MISSING, leaf.size)
        found.add(name, INVENTED)
        found.say(lambda: f"{_shown_place(place)}: no list")
    elif rules.same(leaf.name, leaf.value, other.value):
        found.add(name, RIGHT)
    else:
        found.add(name, WRONG)
        found.say(lambda: f"{_shown_place(place)}: {_shown(other.value)} where {_shown(leaf.value)} is expected")


def _bags(found: Differences, name: str, place: Place, leaf: Leaf, other: Leaf, rules: FieldRules) -> None:
    right = rules.matched(leaf.name, leaf.value, other.value)
    missing, invented = len(leaf.value) - right, len(other.value) - right
    found.add(name, RIGHT, right)
    found.add(name, MISSING, missing)
    found.add(name, INVENTED, invented)
    if missing or invented:
        found.say(
            lambda: f"{_shown_place(place)}: {missing:,} of {len(leaf.value):,} missing, {invented:,} not expected"
        )


def _shown_place(place: Place) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


def _shown(value: Any) -> str:
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "..."
