"""Compare two gates: in which keys does the second one ask for less than the first?

One comparison serves a gate today and at the merge base, a marker and its gate in the file, and a
gate and the policy that it extends.
"""

from collections.abc import Collection, Mapping
from math import inf
from pathlib import Path
from typing import Any, get_args

from pytest_ftgate.check_names import CHANGEABLE
from pytest_ftgate.config import model_keys
from pytest_ftgate.config.data import DataKeys
from pytest_ftgate.config.gate_keys import GateKeys, Served
from pytest_ftgate.config.keys import LEFT_OPEN, Keys, Weaker, comparable, words
from pytest_ftgate.config.metrics import CalibrationKeys, MetricSpec
from pytest_ftgate.config.models import BaselineKeys, ModelSpec, Standard
from pytest_ftgate.config.requirements import LEVELS, TokenCost
from pytest_ftgate.errors import ConfigError, Where, combined, shown_path
from pytest_ftgate.text import excerpt, plain_number

_COMPARED = (
    "test_set",
    "training_set",
    "thresholds",
    "guards",
    "slices",
    "agreement",
    *comparable(GateKeys),
)
_PLAIN = (str, int, float, list, tuple, Mapping, Path, TokenCost)
_STRICTER = (
    "Remove the key, so that the policy's value applies, or write one that is at least as strict."
)


def weakenings(before: GateKeys, after: GateKeys, *, of_marker: bool = False) -> dict[str, str]:
    """Return the keys in which ``after`` asks for less, with both values: ``0.1 -> 0.02``.

    Keys that cannot be compared must be the same. Effective values count, defaults included. Keys
    that ``before`` leaves to markers are not compared. Another candidate or training set is no
    weaker gate, because these are judged.

    Args:
        before: the gate that asks for enough.
        after: the gate that is compared with it.
        of_marker: ``after`` is the gate of a marker, which is another gate than that of the file
            if it has another training set.
    """
    comparison = _Comparison(before, after)
    comparison.compare_baselines()
    comparison.compare_keys()
    comparison.compare_metrics()
    if not of_marker:
        comparison.changes.pop("training_set", None)
    return comparison.changes


def check_policy(policy: GateKeys, gate: GateKeys, written: Collection[str]) -> None:
    """Check that a gate asks for no less than the policy that it extends.

    Args:
        policy: the gate with the policy's values in place of its own.
        gate: the gate with its own values.
        written: the keys that the policy has.

    Raises:
        ConfigError: with all keys in which the gate asks for less, or for something else.
    """
    changes = weakenings(policy, gate)
    places = {key: policy.place_of(key) for key in changes}

    for role, standard in gate.standards.items():
        for key, direction in comparable(BaselineKeys).items():
            required = getattr(policy, key) if key in written else None
            value = getattr(standard, key)
            if None not in (required, value) and direction.asks_less(required, value):
                path = f"baselines.{role}.{key}"
                changes[path] = f"{_shown(required)} -> {_shown(value)}"
                places[path] = policy.place_of(key)

    problems = []
    for key, values in changes.items():
        place = gate.place_of(key) or gate.place_of(key.rpartition(".")[0])
        text = f"weaker than the policy: {values} ({places[key]})"
        problems.append(ConfigError(text, where=Where(place or None, key=key), cure=_STRICTER))
    if problems:
        raise combined(problems)


class _Comparison:
    """Compare two gates, key by key.

    Attributes:
        changes: both values of each key in which ``after`` asks for less.
        before: the gate that asks for enough.
        after: the gate that is compared with it.
        limits_cost: whether the gate before limits costs, so that prices count.
        uncounted: keys of models that do not count.
    """

    def __init__(self, before: GateKeys, after: GateKeys) -> None:
        self.changes: dict[str, str] = {}
        self.before = before
        self.after = after

        limits = before.thresholds
        is_cheaper = before.cheaper_by is not None
        self.limits_cost = is_cheaper or "cost_usd" in limits or _is_limited(before)
        limits_latency = any(name.startswith("latency_") for name in limits)
        limits_latency = limits_latency or before.faster_by is not None

        self.uncounted = set(model_keys.OPERATION_KEYS)
        if not self.limits_cost:
            self.uncounted.add("price")
        if not limits_latency:
            self.uncounted.update(model_keys.LATENCY_KEYS)

    def compare_baselines(self) -> None:
        """Compare each baseline with the one that is this model now, and the required gain."""
        before = self.before
        after = self.after
        for role, model in before.baselines.items():
            value = self.value_of(model)
            roles = [name for name, spec in after.baselines.items() if self.value_of(spec) == value]
            # Of several roles of one model the one that asks for most counts.
            role_now = max(
                roles, key=lambda name: _required_gain(after.standard_of(name)), default=role
            )

            if not _is_open(before, "baselines"):
                key = "baseline" if role == "baseline" else f"baselines.{role}"
                is_open = _is_open(after, "baselines")
                self.compare(key, model, None if is_open else after.baselines.get(role_now))

            old = before.standard_of(role)
            new = after.standard_of(role_now)
            is_open = _is_open(after, new.path)
            if not _is_open(before, old.path) and (
                is_open or _required_gain(new) < _required_gain(old)
            ):
                self.changes[new.path] = _shown_standards(old, None if is_open else new)

    def compare_keys(self) -> None:
        """Compare test sets, limits, guards, levels of checks, the goal, and all with a direction."""
        before = self.before
        after = self.after
        apart = {"margin", "max_drop"}  # the gains are compared by baseline
        if before.matches != after.matches:
            apart.add("evidence")  # max_drop has its own

        directions = comparable(GateKeys)
        for key in _COMPARED:
            if key not in apart and not _is_open(before, key):
                new = None if _is_open(after, key) else getattr(after, key)
                self.compare(key, getattr(before, key), new, directions.get(key))

        economics = before.economics if _is_limited(before) else None
        self.compare("economics", economics, after.economics)
        for name in CHANGEABLE:
            self.compare(f"checks.{name}", before.level(name), after.level(name), words(*LEVELS))

        # A goal that training does not serve fails, and "format" excuses the form of answers.
        is_excused = _is_served(after.goal) and not _is_served(before.goal)
        if is_excused or after.goal == "format":
            self.compare("goal", before.goal, after.goal)

        # The price of another candidate is judged with that candidate.
        if self.limits_cost and before.candidate.spelling == after.candidate.spelling:
            price = before.candidate.options.get("price")
            self.compare("candidate.price", price, after.candidate.options.get("price"))

    def compare_metrics(self) -> None:
        """Compare the metric that decides, those of thresholds, and those that are judged."""
        before = self.before
        after = self.after
        self.compare("metric", before.decided_by, after.decided_by)
        names_now = {*after.thresholds, *after.judged_metrics}
        for name in {**before.thresholds, **before.judged_metrics}:
            if name != before.decided_by.name and name in names_now:
                self.compare(name, before.metric_named(name), after.metric_named(name))

    def compare(self, key: str, before: Any, after: Any, direction: Weaker | None = None) -> None:
        """Compare one value, and the values within it where it is still the same thing.

        A value with a direction is compared by it. Another one must stay as it is, but may be added
        where there was none, if it is a mapping of keys, such as a guard.
        """
        old, old_parts = self.value_of(before)
        new, new_parts = self.value_of(after)

        if old == new:
            directions = comparable(type(before)) if isinstance(before, Keys) else {}
            old_parts = old_parts or {}
            new_parts = new_parts or {}
            for name in {**old_parts, **new_parts}:
                path = f"{key}.{name}"
                self.compare(path, old_parts.get(name), new_parts.get(name), directions.get(name))
            return

        asks_less = old is not None or new_parts is None
        if direction is not None:
            asks_less = direction.asks_less(old, new)
        if asks_less:
            unset = (direction and direction.unwritten) or "not given"
            self.changes[key] = _shown_pair(_shown(old) or unset, _shown(new) or "removed")

    def value_of(self, value: Any) -> tuple[Any, Mapping[str, Any] | None]:
        """Return what a value is, and the values within it by key; None if it has no keys."""
        if isinstance(value, ModelSpec):
            options = {"provider": value.provider, **value.options}
            for key, option in value.options.items():
                if key in self.uncounted or option == {}:
                    del options[key]
            return value.spelling, options
        if isinstance(value, MetricSpec):
            return value.name, value.options
        if isinstance(value, Keys):
            fields = type(value).model_fields
            parts = {field.alias or name: getattr(value, name) for name, field in fields.items()}
            if isinstance(value, DataKeys | CalibrationKeys):
                del parts["path"]  # it is absolute
                return value.path, parts
            return "given", parts
        if isinstance(value, Mapping) and all(isinstance(part, Keys) for part in value.values()):
            return "", value
        is_plain = value is None or isinstance(value, _PLAIN)
        return value if is_plain else "a Python object", None


def _is_open(gate: GateKeys, path: str) -> bool:
    """Return whether a gate of the file leaves a key to markers."""
    return gate.sources.get(path) == LEFT_OPEN


def _is_limited(gate: GateKeys) -> bool:
    """Return whether the economics of a gate limit anything."""
    return gate.economics is not None and gate.economics.max_break_even_days is not None


def _is_served(goal: str | None) -> bool:
    """Return whether training serves this goal, or none is given."""
    return goal is None or goal in get_args(Served)


def _required_gain(standard: Standard) -> float:
    """Return the required gain; an agreement limits no loss of its baseline."""
    return -inf if standard.key == "agreement" else standard.gain


def _shown_standards(old: Standard, new: Standard | None) -> str:
    """Return two required gains, with their keys if these differ; None: it was removed."""
    before = plain_number(abs(old.gain))
    if new is None:
        return f"{before} -> removed"
    if old.key == new.key:
        return f"{before} -> {plain_number(abs(new.gain))}"
    return f"{_shown_standard(old)} -> {_shown_standard(new)}"


def _shown_standard(standard: Standard) -> str:
    """Return a required gain with its key; an agreement requires none."""
    if standard.key == "agreement":
        return standard.key
    return f"{standard.key} {plain_number(abs(standard.gain))}"


def _shown_pair(before: str, after: str) -> str:
    """Return two texts; of long ones, what is near their first difference."""
    start = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        start += 1
    return f"{excerpt(before, start)} -> {excerpt(after, start)}"


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
