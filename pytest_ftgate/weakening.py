"""Where one version of a gate asks for less than another. Direction-aware: a stricter gate is no finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_ftgate.config import Bound, GateConfig

_LOWER_IS_WEAKER = ("margin", "confidence", "min_training_examples", "min_test_examples")
_ORDERED: Mapping[str, Sequence[str]] = {
    "evidence": ("observed", "significant", "proven"),
    "errors": ("score_zero", "error"),
}


@dataclass(frozen=True, slots=True)
class Weakening:
    """One key that asks for less, or for something else that cannot be compared."""

    key: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.key}: {self.before} -> {self.after}"


def weakenings(before: GateConfig, after: GateConfig) -> tuple[Weakening, ...]:
    """What ``after`` asks less for than ``before``: thresholds, evidence, bounds, the test set, the metric, a baseline.

    Another candidate or training set is no weakening: they are what is judged.
    """
    return (
        *_thresholds(before, after),
        *_bounds(before.require, after.require),
        *_changed("metric", _metric(before), _metric(after)),
        *_test_set(before.test_set, after.test_set),
        *_baselines(before, after),
    )


def _thresholds(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    for key in _LOWER_IS_WEAKER:
        old, new = getattr(before, key), getattr(after, key)
        if new < old:
            yield Weakening(key, f"{old:g}", f"{new:g}")
    for key, order in _ORDERED.items():
        old, new = getattr(before, key), getattr(after, key)
        if order.index(new) < order.index(old):
            yield Weakening(key, old, new)


def _bounds(before: Sequence[Bound], after: Sequence[Bound]) -> Iterator[Weakening]:
    kept = {(bound.of, bound.metric.name): bound for bound in after}
    for old in before:
        key = f"require.{old.of}.{old.metric.name}"
        new = kept.get((old.of, old.metric.name))
        if new is None:
            yield Weakening(key, _limits(old), "removed")
        elif _lower(new.min, old.min) or _lower(_negated(new.max), _negated(old.max)):
            yield Weakening(key, _limits(old), _limits(new))


def _lower(new: float | None, old: float | None) -> bool:
    return old is not None and (new is None or new < old)


def _negated(value: float | None) -> float | None:
    return None if value is None else -value


def _limits(bound: Bound) -> str:
    limits = [f"{name} {value:g}" for name, value in (("min", bound.min), ("max", bound.max)) if value is not None]
    return ", ".join(limits)


def _metric(config: GateConfig) -> str:
    options = ", ".join(f"{key}={value}" for key, value in sorted(config.metric.options.items()))
    return f"{config.metric.name} ({options})" if options else config.metric.name


def _changed(key: str, before: str, after: str) -> Iterator[Weakening]:
    if before != after:
        yield Weakening(key, before, after)


def _test_set(before: Any, after: Any) -> Iterator[Weakening]:
    old_path, new_path = getattr(before, "path", None), getattr(after, "path", None)
    yield from _changed("test_set", _shown(old_path), _shown(new_path))
    old, new = getattr(before, "limit", None), getattr(after, "limit", None)
    if new is not None and (old is None or new < old):
        yield Weakening("test_set.limit", "all rows" if old is None else str(old), str(new))


def _shown(path: Any) -> str:
    return "an iterable" if path is None else str(path)


def _baselines(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    for name, old in before.baselines.items():
        key = name if name == "baseline" else f"baselines.{name}"
        new = after.baselines.get(name)
        if new is None:
            yield Weakening(key, old.spelling, "removed")
        elif (old.provider, old.options) != (new.provider, new.options):
            yield Weakening(key, old.spelling, new.spelling)
