"""Find where one version of a gate is weaker than another; stricter keys are not findings.

Keys with a direction (``Weaker``) are compared by it. Of the others those that a verdict rests on must be the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.goal import not_served
from pytest_ftgate.config import DataKeys, MetricSpec, ModelSpec, file_of
from pytest_ftgate.config.checks import CHANGEABLE, LEVELS
from pytest_ftgate.config.keys import Keys
from pytest_ftgate.config.weaker import Weaker, comparable
from pytest_ftgate.errors import shown_path

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys

_OPERATION = ("name", "concurrency", "timeout_s", "retries", "api_key_env", "price")
"""Keys of a model that do not change its answers, and options of a metric that do not change its scores."""
_LONGEST = 60
_NOT_GIVEN = "not given"


@dataclass(frozen=True, slots=True)
class Weakening:
    """A key with a weaker value, or with a value that cannot be compared, and where it is written."""

    key: str
    before: str
    after: str
    where: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.key}: {self.before} -> {self.after}"


def weakenings(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Yield the keys in which ``after`` is weaker: thresholds, data, metric, models, guards and so on.

    Another candidate or training set is not weaker, because these are judged. Reading less of the same training set is.
    """
    to_margin = before.matches and not after.matches
    for one in _keys(before, after):
        if not (to_margin and one.key in ("max_drop", "evidence")):  # a margin asks for more than any drop
            yield one
    for name in CHANGEABLE:
        levels = before.level(name), after.level(name)
        if LEVELS.index(levels[1]) < LEVELS.index(levels[0]):
            yield Weakening(f"checks.{name}", *map(_value, levels))
    if not_served(before.goal) and not not_served(after.goal):
        yield Weakening("goal", str(before.goal), str(after.goal or "none"))
    yield from _metric("metric", before.decided_by, after.decided_by)
    for name in dict.fromkeys((*before.thresholds, *before.judged_metrics)):
        if name != before.decided_by.name and name in (*after.thresholds, *after.judged_metrics):
            yield from _metric(name, before.metric_named(name), after.metric_named(name))
    yield from _baselines(before, after)
    if _costs_decide(before):
        yield from _prices(before, after)
    if same_file(before.training_set, after.training_set) is not None:
        yield from _reading("training_set", before.training_set, after.training_set)


def _keys(before: Keys, after: Keys, prefix: str = "") -> Iterator[Weakening]:
    """Compare two mappings key by key."""
    directions = comparable(type(before))
    for name in type(before).model_fields:
        old, new, key = getattr(before, name), getattr(after, name), prefix + name
        if name in directions:
            direction = directions[name]
            if direction.asks_less(old, new):
                yield Weakening(key, *(_value(one, direction) for one in (old, new)))
        elif name == "test_set":
            yield from _changed(key, _shown(old), _shown(new))
            yield from _reading(key, old, new)
        elif name == "metric" and prefix:  # of a guard
            yield from _metric(key, old, new)
        elif name == "fields" and not set(old) <= set(new):
            yield from _changed(key, ", ".join(old), ", ".join(new))
        elif isinstance(old, Keys) and not isinstance(old, DataKeys):
            yield from _part(key, old, new)
        elif isinstance(old, Mapping):
            for part, inner in old.items():
                if isinstance(inner, Keys):
                    yield from _part(f"{key}.{part}", inner, new.get(part))


def _part(key: str, old: Keys, new: Keys | None) -> Iterator[Weakening]:
    """Compare a part of a gate, such as a guard; economics decide only together with a limit."""
    if key == "economics" and not _is_limited(old):
        return
    if new is not None:
        yield from _keys(old, new, f"{key}.")
    else:
        limits = {name: getattr(old, name) for name in comparable(type(old))}
        yield Weakening(key, ", ".join(f"{name} {_value(one)}" for name, one in limits.items() if one), "removed")


def _value(value: Any, direction: Weaker | None = None) -> str:
    if value is None:
        return (direction and direction.unwritten) or "removed"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value).removesuffix(".0")
    return "fail above a limit" if value == "limit" else str(value)


def _changed(key: str, before: str, after: str) -> Iterator[Weakening]:
    if before != after:
        yield Weakening(key, before, after)


# --- data ----------------------------------------------------------------------------------------------------


def same_file(before: Any, after: Any) -> DataKeys | None:
    """Return the keys of today if both are the same data file, which may be read in another way."""
    old, new = file_of(before), file_of(after)
    return new if old is not None and new is not None and old.path == new.path else None


def another_training_set(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Compare which training set is judged: another one is not weaker, but it is another gate."""
    yield from _changed("training_set", _shown(before.training_set), _shown(after.training_set))


def _reading(data: str, before: Any, after: Any) -> Iterator[Weakening]:
    """Compare how a file is read: format, columns and limit."""
    if isinstance(before, DataKeys) and isinstance(after, DataKeys):
        yield from _changed(f"{data}.format", before.format or _NOT_GIVEN, after.format or _NOT_GIVEN)
        columns = (", ".join(f"{key}: {name}" for key, name in sorted(one.fields.items())) for one in (before, after))
        yield from _changed(f"{data}.fields", *(one or _NOT_GIVEN for one in columns))
        for key, direction in comparable(DataKeys).items():
            old, new = getattr(before, key), getattr(after, key)
            if direction.asks_less(old, new):
                yield Weakening(f"{data}.{key}", _value(old, direction), _value(new, direction))


def _shown(data: Any) -> str:
    path = getattr(data, "path", None)  # a frame may have a column of this name
    return shown_path(path) if isinstance(path, Path) else "an iterable"


# --- metrics and models --------------------------------------------------------------------------------------


def _metric(key: str, before: MetricSpec, after: MetricSpec) -> Iterator[Weakening]:
    """Compare metrics option by option: a calibration by its directions, all else must be the same."""
    if before.name != after.name:
        yield Weakening(key, before.name, after.name)
        return
    for option in dict.fromkeys((*before.options, *after.options)):
        old, new = before.options.get(option), after.options.get(option)
        if isinstance(old, Keys):
            yield from _part(f"{key}.{option}", old, new)
            yield from _changed(f"{key}.{option}.path", _shown(old), _shown(new or old))
        elif option not in _OPERATION and not isinstance(new, Keys) and _asked(old) != _asked(new):
            yield Weakening(f"{key}.{option}", *_distinguished(old, new))


def _baselines(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Compare baselines; a renamed one must still be beaten and is not a finding."""
    kept = [_asked(new) for new in after.baselines.values()]
    for name, old in before.baselines.items():
        if _asked(old) not in kept:
            key, new = _baseline_key(name), after.baselines.get(name)
            yield Weakening(key, *_distinguished(old, new)) if new else Weakening(key, old.spelling, "removed")


def _baseline_key(name: str) -> str:
    """Return the key of a baseline by its name; the key ``baseline`` gives it that name, too."""
    return name if name == "baseline" else f"baselines.{name}"


def _costs_decide(config: GateKeys) -> bool:
    return config.cheaper_by is not None or "cost_usd" in config.thresholds or _is_limited(config.economics)


def _is_limited(economics: Any) -> bool:
    return getattr(economics, "max_break_even_days", None) is not None


def _prices(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Compare the prices of models that are the same otherwise."""
    pairs = [(_baseline_key(name), old, after.baselines.get(name)) for name, old in before.baselines.items()]
    for key, old, new in (*pairs, ("candidate", before.candidate, after.candidate)):
        if new is not None and _asked(old) == _asked(new):
            prices = (_short(one.options.get("price")) for one in (old, new))
            yield from _changed(f"{key}.price", *prices)


def _asked(value: Any) -> Any:
    """Return everything that may change a model's answers; of another value, the value."""
    if not isinstance(value, ModelSpec):
        return value
    return value.provider, {key: one for key, one in value.options.items() if key not in _OPERATION}


def _distinguished(old: Any, new: Any) -> tuple[str, str]:
    """Return both values as text; of models with one spelling, with the keys that differ."""
    if not (isinstance(old, ModelSpec) and isinstance(new, ModelSpec) and old.spelling == new.spelling):
        shown = _short(old), _short(new)
        return shown if shown[0] != shown[1] else (f"{len(str(old)):,} characters", f"{len(str(new)):,} other ones")
    keys = [key for key in dict.fromkeys((*old.options, *new.options)) if key not in _OPERATION]
    differing = [key for key in keys if old.options.get(key) != new.options.get(key)]
    before, after = (", ".join(f"{key} {_short(spec.options.get(key))}" for key in differing) for spec in (old, new))
    return f"{old.spelling} ({before})", f"{new.spelling} ({after})"


def _short(value: Any) -> str:
    text = _NOT_GIVEN if value is None else shown_path(value) if isinstance(value, Path) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
