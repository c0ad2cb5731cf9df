"""Compare two gates: in which keys does the second one ask for less than the first?

One comparison serves a gate today and at the merge base, a marker and its gate in the file, and a
gate and the policy that it extends.
"""

from collections.abc import Callable, Collection, Mapping
from math import inf
from operator import eq
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

SameFile = Callable[[Path, Path], bool]
"""Tell whether a file of one gate and a file of another one are the same."""


def weakenings(
    reference: GateKeys,
    gate: GateKeys,
    *,
    of_marker: bool = False,
    is_same_file: SameFile = eq,
) -> dict[str, str]:
    """Return the keys in which a gate asks for less than another, with both values.

    The values are shown as in ``0.1 -> 0.02``. Keys that cannot be compared must be the same.
    Effective values count, defaults included. Keys that ``reference`` leaves to markers are not
    compared. Another candidate or training set is no weaker gate, because these are judged.

    Args:
        reference: the gate that asks for enough.
        gate: the gate that is compared with it.
        of_marker: ``gate`` is that of a marker, which is another gate than that of the file if it
            has another training set.
        is_same_file: whether a file of ``gate`` is that of ``reference``; by default, if they have
            one path.
    """
    comparison = _Comparison(reference, gate, is_same_file)
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
        changes: both values of each key in which ``gate`` asks for less.
        reference: the gate that asks for enough.
        gate: the gate that is compared with it.
        is_same_file: whether a file of ``gate`` is that of ``reference``.
    """

    def __init__(self, reference: GateKeys, gate: GateKeys, is_same_file: SameFile) -> None:
        self.changes: dict[str, str] = {}
        self.reference = reference
        self.gate = gate
        self.is_same_file = is_same_file

    def compare_baselines(self) -> None:
        """Compare each baseline with that of its name, or with the one that is this model now."""
        gate = self.gate
        for role, model in self.reference.baselines.items():
            value = _value_of(model)
            roles = [name for name, spec in gate.baselines.items() if _value_of(spec) == value]

            # A baseline may have been renamed, as baseline is once there are several.
            role_now = role
            if roles and role not in roles:
                role_now = roles[0]
            self._compare_model(role, gate.baselines.get(role_now))
            self._compare_standard(role, gate.standard_of(role_now))

    def _compare_model(self, role: str, model: ModelSpec | None) -> None:
        """Compare the model of a baseline with that of the gate."""
        if not _is_open(self.reference, "baselines"):
            key = "baseline" if role == "baseline" else f"baselines.{role}"
            is_open = _is_open(self.gate, "baselines")
            self.compare(key, self.reference.baselines[role], None if is_open else model)

    def _compare_standard(self, role: str, standard: Standard) -> None:
        """Compare the gain that a baseline asks for with that of the gate."""
        old = self.reference.standard_of(role)
        if _is_open(self.reference, old.path):
            return
        if _is_open(self.gate, standard.path):
            self.changes[standard.path] = f"{plain_number(abs(old.gain))} -> removed"
        elif _required_gain(standard) < _required_gain(old):
            self.changes[standard.path] = _shown_standards(old, standard)

    def compare_keys(self) -> None:
        """Compare test sets, limits, guards, levels, the goal, and all keys with a direction."""
        reference = self.reference
        gate = self.gate
        apart = {"margin", "max_drop"}  # the gains are compared by baseline
        if reference.matches != gate.matches:
            apart.add("evidence")  # max_drop has its own

        directions = comparable(GateKeys)
        for key in _COMPARED:
            if key not in apart and not _is_open(reference, key):
                new = None if _is_open(gate, key) else getattr(gate, key)
                self.compare(key, getattr(reference, key), new, directions.get(key))

        economics = reference.economics if _is_limited(reference) else None
        self.compare("economics", economics, gate.economics)
        for name in CHANGEABLE:
            self.compare(f"checks.{name}", reference.level(name), gate.level(name), words(*LEVELS))

        # A goal that training does not serve fails, and "format" excuses the form of answers.
        is_excused = _is_served(gate.goal) and not _is_served(reference.goal)
        if is_excused or gate.goal == "format":
            self.compare("goal", reference.goal, gate.goal)

    def compare_metrics(self) -> None:
        """Compare the metric that decides, those of thresholds, and those that are judged."""
        reference = self.reference
        gate = self.gate
        self.compare("metric", reference.decided_by, gate.decided_by)
        names_now = {*gate.thresholds, *gate.judged_metrics}
        for name in {**reference.thresholds, **reference.judged_metrics}:
            if name != reference.decided_by.name and name in names_now:
                self.compare(name, reference.metric_named(name), gate.metric_named(name))

    def compare(self, key: str, old: Any, new: Any, direction: Weaker | None = None) -> None:
        """Compare one value, and the values within it where it is still the same thing.

        A value with a direction is compared by it. Another one must stay as it is, but may be added
        where there was none, if it is a mapping of keys, such as a guard.
        """
        # Two models of one name, for example, are the same value, of which keys may differ.
        old_value, old_entries = _value_of(old)
        new_value, new_entries = _value_of(new)

        if old_value == new_value or self._name_one_file(old, new):
            directions = comparable(type(old)) if isinstance(old, Keys) else {}
            old_entries = old_entries or {}
            new_entries = new_entries or {}
            for name in {**old_entries, **new_entries}:
                entry = old_entries.get(name)
                self.compare(f"{key}.{name}", entry, new_entries.get(name), directions.get(name))
            return

        # A guard may be added, since it asks for more; but not, for example, a goal.
        asks_less = old_value is not None or new_entries is None
        if direction is not None:
            asks_less = direction.asks_less(old_value, new_value)
        if asks_less:
            unset = (direction and direction.unwritten) or "not given"
            old_text = excerpt(_shown(old_value) or unset)
            new_text = excerpt(_shown(new_value) or "removed")
            self.changes[key] = f"{old_text} -> {new_text}"

    def _name_one_file(self, old: Any, new: Any) -> bool:
        """Return whether two values are, or are read from, the same file."""
        old_file = _file_of(old)
        new_file = _file_of(new)
        if old_file is None or new_file is None:
            return False
        return self.is_same_file(old_file, new_file)


def _file_of(value: Any) -> Path | None:
    """Return the file that a value is, or is read from; None if it has none."""
    if isinstance(value, Path):
        return value
    if isinstance(value, ModelSpec) and value.provider == "recorded":
        return Path(value.options["path"])
    if isinstance(value, CalibrationKeys):
        return value.path
    if isinstance(value, DataKeys) and value.rows is None:
        return value.path
    return None


def _value_of(value: Any) -> tuple[Any, Mapping[str, Any] | None]:
    """Return what a value is, and the values within it by key; None if it has no keys."""
    if isinstance(value, ModelSpec):
        options = {"provider": value.provider, **value.options}
        for key, option in value.options.items():
            if key in model_keys.UNCOUNTED or option == {}:
                del options[key]
        return value.spelling, options
    if isinstance(value, MetricSpec):
        return value.name, value.options
    if isinstance(value, Keys):
        fields = type(value).model_fields
        values = {field.alias or name: getattr(value, name) for name, field in fields.items()}
        if isinstance(value, DataKeys | CalibrationKeys):
            del values["path"]  # it is absolute
            is_object = isinstance(value, DataKeys) and value.rows is not None
            return "a Python object" if is_object else value.path, values
        return "given", values
    if isinstance(value, Mapping) and all(isinstance(entry, Keys) for entry in value.values()):
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
    if standard.key == "agreement":
        return -inf
    return standard.gain


def _shown_standards(old: Standard, new: Standard) -> str:
    """Return two required gains, with their keys if these differ."""
    if old.key == new.key:
        return f"{plain_number(abs(old.gain))} -> {plain_number(abs(new.gain))}"
    return f"{_shown_standard(old)} -> {_shown_standard(new)}"


def _shown_standard(standard: Standard) -> str:
    """Return a required gain with its key; an agreement requires none."""
    if standard.key == "agreement":
        return standard.key
    return f"{standard.key} {plain_number(abs(standard.gain))}"


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
    if value == "limit":
        return "fail above a limit"
    return str(value)
