"""Find where one version of a gate is weaker than another; stricter keys are not findings.

Keys with a direction (``Weaker``) are compared by it. Of the others those that a verdict rests on must be the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ftgate.checks.goal import not_served
from pytest_ftgate.config import DataKeys, GateKeys, MetricSpec, ModelSpec, file_of
from pytest_ftgate.config.checks import CHANGEABLE, LEVELS
from pytest_ftgate.config.keys import Keys, Weaker, comparable
from pytest_ftgate.errors import shown_path

_OPERATION = ("concurrency", "timeout_s", "retries", "api_key_env", "price")
"""Keys of a model that do not change its answers, besides its name."""
_LONGEST = 60


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
    """Yield the keys in which ``after`` is weaker: thresholds, data, metric, models and so on.

    Another candidate or training set is not weaker, because these are judged. Reading less of the same training set is.
    """
    to_margin = before.matches and not after.matches
    for one in _keys(before, after):
        own = one.key in ("margin", "max_drop") and (before.standards or after.standards)  # compared by baseline
        if not own and not (to_margin and one.key in ("max_drop", "evidence")):  # a margin asks for more than any drop
            yield one
    for name in CHANGEABLE:
        levels = before.level(name), after.level(name)
        if LEVELS.index(levels[1]) < LEVELS.index(levels[0]):
            yield Weakening(f"checks.{name}", *map(_shown, levels))
    if not_served(before.goal) and not not_served(after.goal):
        yield Weakening("goal", str(before.goal), str(after.goal or "none"))
    yield from _otherwise("metric", before.decided_by, after.decided_by)
    for name in dict.fromkeys((*before.thresholds, *before.judged_metrics)):
        if name != before.decided_by.name and name in (*after.thresholds, *after.judged_metrics):
            yield from _otherwise(name, before.metric_named(name), after.metric_named(name))
    yield from _baselines(before, after)
    if before.cheaper_by is not None or "cost_usd" in before.thresholds or _is_limited(before.economics):
        yield from _prices(before, after)
    if same_file(before.training_set, after.training_set) is not None:
        yield from _otherwise("training_set", before.training_set, after.training_set)


def same_file(before: Any, after: Any) -> DataKeys | None:
    """Return the keys of today if both are the same data file, which may be read in another way."""
    old, new = file_of(before), file_of(after)
    return new if old is not None and new is not None and old.path == new.path else None


def another_training_set(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Compare which training set is judged: another one is not weaker, but it is another gate."""
    old, new = (_described(one.training_set)[0] for one in (before, after))
    if old != new:
        yield Weakening("training_set", old, new)


def _keys(before: Keys, after: Keys, prefix: str = "") -> Iterator[Weakening]:
    """Compare two mappings of keys: those with a direction, and the parts that hold such keys."""
    directions = comparable(type(before))
    for name in type(before).model_fields:
        old, new, key = getattr(before, name), getattr(after, name), prefix + name
        if name in directions:
            if directions[name].asks_less(old, new):
                yield Weakening(key, *(_shown(one, directions[name]) for one in (old, new)))
        elif name == "test_set" or (name == "metric" and prefix):  # the metric of a guard
            yield from _otherwise(key, old, new)
        elif name == "fields" and not set(old) <= set(new):  # of the parts of a test set
            yield Weakening(key, ", ".join(old), ", ".join(new))
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
        limits = ((name, getattr(old, name)) for name in comparable(type(old)))
        yield Weakening(key, ", ".join(f"{name} {_shown(one)}" for name, one in limits if one), "removed")


def _otherwise(key: str, before: Any, after: Any) -> Iterator[Weakening]:
    """Compare data, metrics and models: another one, or one with other options, is a finding.

    Options with a direction are compared by it.
    """
    (old, options), (new, others) = _described(before), _described(after)
    if old != new:
        yield Weakening(key, old, new)
        return
    for name in dict.fromkeys((*options, *others)):
        one, other = options.get(name), others.get(name)
        if isinstance(one, Keys):
            yield from _part(f"{key}.{name}", one, other)
            yield from _otherwise(f"{key}.{name}.path", one, other or one)
        elif isinstance(one, ModelSpec) and isinstance(other, ModelSpec):  # a judge
            yield from _otherwise(f"{key}.{name}", one, other)
        elif not isinstance(other, Keys) and one != other:
            texts, sizes = (
                (_short(one), _short(other)),
                (f"{len(str(one))} characters", f"{len(str(other))} other ones"),
            )
            yield Weakening(f"{key}.{name}", *(texts if texts[0] != texts[1] else sizes))
    if isinstance(before, DataKeys):
        directions = comparable(DataKeys)
        yield from (one for one in _keys(before, after, f"{key}.") if one.key.rpartition(".")[2] in directions)


def _described(value: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return what a value is, and its options that may change answers or scores."""
    if isinstance(value, ModelSpec):
        options = {name: one for name, one in value.options.items() if name not in ("name", *_OPERATION)}
        return value.spelling, {"provider": value.provider, **options}
    if isinstance(value, MetricSpec):
        return value.name, value.options
    if isinstance(value, DataKeys):
        return shown_path(value.path), {"format": value.format, "fields": value.fields or None}
    path = getattr(value, "path", None)  # of a calibration; a frame may have a column of this name
    return (shown_path(path) if isinstance(path, Path) else "an iterable"), {}


def _baselines(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Compare baselines and their own standards; a renamed one must still be beaten and is not a finding."""
    found: list[Weakening] = []
    for name, old in before.baselines.items():
        kept = [after.standard_of(role) for role, new in after.baselines.items() if _described(new) == _described(old)]
        was, now = before.standard_of(name), max(kept, key=lambda one: one.gain, default=None)
        if now is None:
            new = after.baselines.get(name)
            removed = Weakening(_baseline_key(name), old.spelling, "removed")
            found += [removed] if new is None else _otherwise(_baseline_key(name), old, new)
        elif now.gain < was.gain and (before.standards or after.standards):
            key = "" if was.key == now.key else "{0.key} "
            found.append(Weakening(now.path, *(f"{key.format(one)}{_shown(abs(one.gain))}" for one in (was, now))))
    yield from dict.fromkeys(found)


def _baseline_key(name: str) -> str:
    """Return the key of a baseline by its name; the key ``baseline`` gives it that name, too."""
    return name if name == "baseline" else f"baselines.{name}"


def _is_limited(economics: Any) -> bool:
    return getattr(economics, "max_break_even_days", None) is not None


def _prices(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Compare the prices of models that are the same otherwise."""
    pairs = [(_baseline_key(name), old, after.baselines.get(name)) for name, old in before.baselines.items()]
    for key, old, new in (*pairs, ("candidate", before.candidate, after.candidate)):
        if new is not None and _described(old) == _described(new):
            prices = [_short(one.options.get("price")) for one in (old, new)]
            if prices[0] != prices[1]:
                yield Weakening(f"{key}.price", *prices)


def _shown(value: Any, direction: Weaker | None = None) -> str:
    if value is None:
        return (direction and direction.unwritten) or "removed"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value).removesuffix(".0")
    return "fail above a limit" if value == "limit" else str(value)


def _short(value: Any) -> str:
    text = "not given" if value is None else shown_path(value) if isinstance(value, Path) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
