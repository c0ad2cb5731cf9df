"""Compare two gates: in which keys does the second one ask for less than the first?

One comparison serves a gate today and at the merge base, a marker and its gate in the file, and a gate and the policy
that it extends.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pytest_ftgate.config import model_keys
from pytest_ftgate.config.data import DataKeys
from pytest_ftgate.config.gate_keys import GateKeys, Served
from pytest_ftgate.config.keys import LEFT_OPEN, Keys, Weaker, comparable, words
from pytest_ftgate.config.metrics import CalibrationKeys, MetricSpec
from pytest_ftgate.config.models import BaselineKeys, ModelSpec, Standard
from pytest_ftgate.config.requirements import CHANGEABLE, LEVELS, TokenCost
from pytest_ftgate.errors import ConfigError, Where, combined, shown_path
from pytest_ftgate.text import excerpt, plain_number

_COMPARED = (
    "test_set",
    "training_set",
    "thresholds",
    "guards",
    "slices",
    *comparable(GateKeys),
)
_PLAIN = (str, int, float, list, tuple, Mapping, Path, TokenCost)
_STRICTER = (
    "Remove the key, so that the policy's value applies, or write one that is at least as strict."
)


@dataclass(frozen=True)
class Change:
    """A key whose value asks for less than before, or for something else.

    Attributes:
        key: the path of the key, such as ``guards.refunds.max_drop``.
        before: the value before, as people read it.
        after: the value after.
    """

    key: str
    before: str
    after: str

    @property
    def values(self) -> str:
        """Return both values; of long texts, what is near their first difference."""
        start = 0
        for old, new in zip(self.before, self.after, strict=False):
            if old != new:
                break
            start += 1
        return f"{excerpt(self.before, start)} -> {excerpt(self.after, start)}"

    def __str__(self) -> str:
        return f"{self.key}: {self.values}"


def weakenings(
    before: GateKeys, after: GateKeys, *, of_marker: bool = False
) -> dict[str, Change]:
    """Return the keys in which ``after`` asks for less than ``before``, or for something else.

    Effective values count, defaults included. Keys that ``before`` leaves to markers are not
    compared. Another candidate or training set is no weaker gate, because these are judged.

    Args:
        of_marker: ``after`` is the gate of a marker, which is another gate than that of the file
            if it has another training set.
    """
    changes = {change.key: change for change in _Comparison(before, after).changes()}
    if not of_marker:
        changes.pop("training_set", None)
    return changes


def check_policy(policy: GateKeys, gate: GateKeys, written: Collection[str]) -> None:
    """Check that a gate asks for no less than the policy that it extends.

    Args:
        policy: the gate with the policy's values in place of its own.
        gate: the gate with its own values.
        written: the keys that the policy has.

    Raises:
        ConfigError: with all keys in which the gate asks for less, or for something else.
    """
    places = {}
    changes = weakenings(policy, gate)
    for key in changes:
        places[key] = policy.place_of(key)
    for change in _lower_standards(policy, gate, written):
        changes[change.key] = change
        places[change.key] = policy.place_of(change.key.rpartition(".")[2])

    problems = []
    for key, change in changes.items():
        place = gate.place_of(key) or gate.place_of(key.rpartition(".")[0])
        text = f"weaker than the policy: {change.values} ({places[key]})"
        problems.append(ConfigError(text, where=Where(place or None, key=key), cure=_STRICTER))
    if problems:
        raise combined(problems)


def _lower_standards(
    policy: GateKeys, gate: GateKeys, written: Collection[str]
) -> Iterator[Change]:
    """Yield the margins and drops of single baselines that ask for less than the policy's."""
    for role, standard in gate.standards.items():
        for key, direction in comparable(BaselineKeys).items():
            required = getattr(policy, key) if key in written else None
            value = getattr(standard, key)
            if None not in (required, value) and direction.asks_less(required, value):
                yield Change(f"baselines.{role}.{key}", _shown(required), _shown(value))


class _Comparison:
    """Compare two gates, key by key.

    Attributes:
        before: the gate before.
        after: the gate after.
        open_before: keys that the gate before leaves to markers.
        open_after: keys that the gate after leaves to markers.
        limited: the economics before, if they limit anything.
        limits_cost: whether the gate before limits costs, so that prices count.
        uncounted: keys of models that do not count.
    """

    def __init__(self, before: GateKeys, after: GateKeys) -> None:
        self.before = before
        self.after = after
        self.open_before = _left_open(before)
        self.open_after = _left_open(after)

        economics = before.economics
        self.limited = None
        if economics is not None and economics.max_break_even_days is not None:
            self.limited = economics

        limits = before.thresholds
        is_limited = self.limited is not None
        self.limits_cost = is_limited or before.cheaper_by is not None or "cost_usd" in limits
        limits_latency = before.faster_by is not None
        limits_latency = limits_latency or any(name.startswith("latency_") for name in limits)

        self.uncounted = set(model_keys.OPERATION_KEYS)
        if not self.limits_cost:
            self.uncounted.add("price")
        if not limits_latency:
            self.uncounted.update(model_keys.LATENCY_KEYS)

    def changes(self) -> Iterator[Change]:
        """Yield all changes; a key may come twice."""
        yield from self.baselines()
        yield from self.gate_keys()
        yield from self.compare("economics", self.limited, self.after.economics)
        for name in CHANGEABLE:
            old = self.before.level(name)
            new = self.after.level(name)
            yield from self.compare(f"checks.{name}", old, new, words(*LEVELS))
        yield from self.goal()
        yield from self.metrics()

        # The price of another candidate is judged with that candidate.
        if self.limits_cost and self.before.candidate.spelling == self.after.candidate.spelling:
            old_price = self.before.candidate.options.get("price")
            new_price = self.after.candidate.options.get("price")
            yield from self.compare("candidate.price", old_price, new_price)

    def baselines(self) -> Iterator[Change]:
        """Compare each baseline with the one that is this model now, and what must be reached."""
        for role, model in self.before.baselines.items():
            role_now = self.role_now(role, model)
            if "baselines" not in self.open_before:
                is_open = "baselines" in self.open_after
                model_now = None if is_open else self.after.baselines.get(role_now)
                key = "baseline" if role == "baseline" else f"baselines.{role}"
                yield from self.compare(key, model, model_now)
            yield from self.standard(
                self.before.standard_of(role), self.after.standard_of(role_now)
            )

    def role_now(self, role: str, model: ModelSpec) -> str:
        """Return the role of a model now; of several, the one with the strictest standard."""
        value = self.value_of(model)
        roles = [
            name for name, spec in self.after.baselines.items() if self.value_of(spec) == value
        ]
        return max(roles, key=self.gain_over, default=role)

    def gain_over(self, role: str) -> float:
        """Return the gain over a baseline that is required now."""
        return self.after.standard_of(role).gain

    def standard(self, old: Standard, new: Standard) -> Iterator[Change]:
        """Compare the gain that is required over one baseline."""
        is_open = new.path in self.open_after
        if old.path in self.open_before or not (is_open or new.gain < old.gain):
            return

        before = plain_number(abs(old.gain))
        after = plain_number(abs(new.gain))
        if old.key != new.key:
            before = f"{old.key} {before}"
            after = f"{new.key} {after}"
        yield Change(new.path, before, "removed" if is_open else after)

    def gate_keys(self) -> Iterator[Change]:
        """Compare the keys that have a direction, test sets, limits and guards."""
        apart = {"margin", "max_drop", *self.open_before}  # the gains are compared by baseline
        if self.before.matches != self.after.matches:
            apart.add("evidence")  # max_drop has its own

        directions = comparable(GateKeys)
        for key in _COMPARED:
            if key not in apart:
                old = getattr(self.before, key)
                new = None if key in self.open_after else getattr(self.after, key)
                yield from self.compare(key, old, new, directions.get(key))

    def goal(self) -> Iterator[Change]:
        """Compare the goals: one that training does not serve fails, and "format" excuses form."""
        is_excused = _is_served(self.after.goal) and not _is_served(self.before.goal)
        if is_excused or self.after.goal == "format":
            yield from self.compare("goal", self.before.goal, self.after.goal)

    def metrics(self) -> Iterator[Change]:
        """Compare the metric that decides, those of thresholds, and those that are judged."""
        decisive = self.before.decided_by
        yield from self.compare("metric", decisive, self.after.decided_by)

        names_now = {*self.after.thresholds, *self.after.judged_metrics}
        for name in {**self.before.thresholds, **self.before.judged_metrics}:
            if name != decisive.name and name in names_now:
                old = self.before.metric_named(name)
                yield from self.compare(name, old, self.after.metric_named(name))

    def compare(
        self, key: str, before: Any, after: Any, direction: Weaker | None = None
    ) -> Iterator[Change]:
        """Compare one value, and the values within it where it is still the same thing.

        A value with a direction is compared by it. Another one must stay as it is, but may be
        added where there was none, if it is a mapping of keys, such as a guard.
        """
        old = self.value_of(before)
        new = self.value_of(after)

        if old.identity == new.identity:
            directions = comparable(type(before)) if isinstance(before, Keys) else {}
            for name in {**old.parts, **new.parts}:
                yield from self.compare(
                    f"{key}.{name}",
                    old.parts.get(name),
                    new.parts.get(name),
                    directions.get(name),
                )
            return

        if direction is not None:
            asks_less = direction.asks_less(old.identity, new.identity)
        else:
            asks_less = old.identity is not None or not new.is_mapping
        if asks_less:
            unset = (direction and direction.unwritten) or "not given"
            yield Change(key, _shown(old.identity) or unset, _shown(new.identity) or "removed")

    def value_of(self, value: Any) -> "_Value":
        """Return what a value is, and the values within it that count."""
        if isinstance(value, ModelSpec):
            options = {"provider": value.provider, **value.options}
            parts = {
                key: option
                for key, option in options.items()
                if key not in self.uncounted and option != {}
            }
            return _Value(value.spelling, parts, is_mapping=True)
        if isinstance(value, MetricSpec):
            return _Value(value.name, value.options, is_mapping=True)
        if isinstance(value, Keys):
            names = [name for name in type(value).model_fields if name != "file"]
            parts = {name: getattr(value, name) for name in names}
            if isinstance(value, DataKeys | CalibrationKeys):
                return _Value(value.path, parts, is_mapping=True)
            return _Value("given", parts, is_mapping=True)
        if isinstance(value, Mapping) and all(isinstance(part, Keys) for part in value.values()):
            return _Value("", value, is_mapping=True)
        is_plain = value is None or isinstance(value, _PLAIN)
        return _Value(value if is_plain else "a Python object")


@dataclass(frozen=True)
class _Value:
    """A value as it is compared.

    Attributes:
        identity: what it is; two values of one identity are compared by their parts.
        parts: the values within it by key.
        is_mapping: whether it is a mapping of keys.
    """

    identity: Any
    parts: Mapping[str, Any] = field(default_factory=dict)
    is_mapping: bool = False


def _left_open(gate: GateKeys) -> set[str]:
    """Return the keys that a gate of the file leaves to markers."""
    return {key for key, source in gate.sources.items() if source == LEFT_OPEN}


def _is_served(goal: str | None) -> bool:
    """Return whether training serves this goal, or none is given."""
    return goal is None or goal in get_args(Served)


def _shown(value: Any) -> str:
    """Return a value as people read it; empty for none."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, float):
        return plain_number(value)
    if isinstance(value, Path):
        return shown_path(value)
    return "fail above a limit" if value == "limit" else str(value)
