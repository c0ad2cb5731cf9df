"""Where one version of a gate asks for less than another. Direction-aware: a stricter gate is no finding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.goal import not_served
from pytest_ftgate.errors import shown_path

if TYPE_CHECKING:
    from pytest_ftgate.config import Bound, EconomicsSpec, GateConfig, GuardSpec, MetricSpec, ModelSpec, SliceSpec

_LOWER_IS_WEAKER = ("confidence", "min_training_examples", "min_test_examples")
_ORDERED: Mapping[str, Sequence[str]] = {
    "evidence": ("observed", "significant", "proven"),
    "errors": ("score_zero", "error"),
    "stage": ("ready", "accept"),
}
_DROP_EVIDENCE = ("significant", "observed", "proven")
_OPERATION = ("name", "price", "concurrency", "timeout_s", "retries", "api_key_env")
"""Keys of a model that change no answer."""
_METRIC_OPERATION = ("concurrency", "timeout_s")
"""Options of a metric that change no score: a command that takes too long is an error, not a wrong answer."""
_JUDGED = ("rubric", "preference", "human_preference")
_OF_JUDGES = ("judge", "rubric", "rubric_file", "calibration", "path")
"""Options of judged metrics that are compared by themselves."""
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Weakening:
    """One key that asks for less, or for something else that cannot be compared."""

    key: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.key}: {self.before} -> {self.after}"


def weakenings(before: GateConfig, after: GateConfig) -> tuple[Weakening, ...]:
    """What ``after`` asks less for than ``before``: thresholds, evidence, audit, bounds, data, metric, models, guards.

    Another candidate or training set is no weakening: they are what is judged. To read less of one training set is, and
    so is to name fewer candidates, since each of them is then judged less strictly.
    """
    return (
        *_objective(before, after),
        *_thresholds(before, after),
        *_allowance(before, after),
        *_goal(before, after),
        *_hypothesis(before, after),
        *_audit(before, after),
        *_bounds(before.require, after.require),
        *_economics(before.economics, after.economics),
        *_changed("metric", _written_metric(before.metric), _written_metric(after.metric)),
        *_judges(before, after),
        *_changed("test_set", _shown(before.test_set), _shown(after.test_set)),
        *_reading("test_set", before.test_set, after.test_set),
        *_training_set(before.training_set, after.training_set),
        *_baselines(before, after),
        *_candidates(before, after),
        *_guards(before.guards, after.guards),
        *_slices(before.slices, after.slices),
        *_clock(before, after),
    )


def _objective(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    """To match asks for less quality than to beat; what was asked of cost and time counts by itself."""
    if before.objective == "beat" and after.objective == "match":
        yield Weakening("objective", before.objective, after.objective)
    if before.margin is not None and after.margin is not None and after.margin < before.margin:
        yield Weakening("margin", _number(before.margin), _number(after.margin))
    if before.max_drop is not None and after.max_drop is not None and after.max_drop > before.max_drop:
        yield Weakening("max_drop", _number(before.max_drop), _number(after.max_drop))
    for key in ("cheaper_by", "faster_by"):
        yield from _lowered(key, getattr(before, key), getattr(after, key))


def _economics(before: EconomicsSpec | None, after: EconomicsSpec | None) -> Iterator[Weakening]:
    """Limits alone: what a fine-tune costs and how often it is called are facts, and they change."""
    saving, days = "min_monthly_saving_usd", "max_break_even_days"
    yield from _lowered(f"economics.{saving}", getattr(before, saving, None), getattr(after, saving, None))
    yield from _raised(f"economics.{days}", getattr(before, days, None), getattr(after, days, None))


def _raised(key: str, before: float | None, after: float | None) -> Iterator[Weakening]:
    if before is not None and (after is None or after > before):
        yield Weakening(key, _number(before), "removed" if after is None else _number(after))


def _lowered(key: str, before: float | None, after: float | None) -> Iterator[Weakening]:
    if before is not None and (after is None or after < before):
        yield Weakening(key, _number(before), "removed" if after is None else _number(after))


def _thresholds(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    for key in _LOWER_IS_WEAKER:
        old, new = getattr(before, key), getattr(after, key)
        if new < old:
            yield Weakening(key, _number(old), _number(new))
    for key, order in _ORDERED.items():
        old, new = getattr(before, key), getattr(after, key)
        if key == "evidence" and before.objective != after.objective:
            continue  # what is to be proven is another thing
        if order.index(new) < order.index(old):
            yield Weakening(key, old, new)


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _allowance(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    """A reason that was reworded allows no more than it did."""
    if before.allow_weak_baseline is None and after.allow_weak_baseline is not None:
        yield Weakening("allow_weak_baseline", "not allowed", after.allow_weak_baseline)


def _goal(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    """A goal that training does not serve fails, unless it is called another or overridden."""
    old, new = (not_served(one.goal) for one in (before, after))
    if old and not new:
        yield Weakening("goal", str(before.goal), str(after.goal or "none"))
    if before.goal_override is None and after.goal_override is not None:
        yield Weakening("goal_override", "none", after.goal_override)


def _hypothesis(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    """Numbers that are gone, others, or a smaller gain: what was expected is not made to fit what was seen."""
    if before.require_hypothesis and not after.require_hypothesis:
        yield Weakening("require_hypothesis", "true", "false")
    old, new = before.prediction, after.prediction
    if old is None:
        return
    if new is None:
        yield Weakening("hypothesis", str(old), str(after.hypothesis or "none"))
    elif (old.metric.name, old.start) != (new.metric.name, new.start) or abs(new.goal - new.start) < abs(
        old.goal - old.start
    ):
        yield Weakening("hypothesis", str(old), str(new))


def _audit(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    from pytest_ftgate.config.gate_config import AUDIT_LEVELS

    for name, old in before.audit.levels.items():
        new = after.audit.levels[name]
        if AUDIT_LEVELS.index(new) < AUDIT_LEVELS.index(old):
            yield Weakening(f"audit.{name}", _level(old), _level(new))
    if after.audit.max_tokens > before.audit.max_tokens:
        yield Weakening("audit.max_tokens", str(before.audit.max_tokens), str(after.audit.max_tokens))


def _level(level: str) -> str:
    return "fail above a limit" if level == "limit" else level


def _clock(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    from pytest_ftgate.config.gate_config import CLOCK_LEVELS

    yield from _raised("max_age_days", before.max_age_days, after.max_age_days)
    old, new = before.clock, after.clock
    for key in ("alias", "base_changed", "shutdown"):
        was, is_ = getattr(old, key), getattr(new, key)
        if CLOCK_LEVELS.index(is_) < CLOCK_LEVELS.index(was):
            yield Weakening(f"clock.{key}", was, is_)
    yield from _lowered("clock.shutdown_within_days", old.shutdown_within_days, new.shutdown_within_days)


@dataclass(frozen=True, slots=True)
class _Limits:
    """The tightest of all bounds on one value."""

    min: float = -math.inf
    max: float = math.inf
    options: str = ""

    def within(self, bound: Bound) -> _Limits:
        low = self.min if bound.min is None else max(self.min, bound.min)
        high = self.max if bound.max is None else min(self.max, bound.max)
        return _Limits(low, high, _options(bound.metric) or self.options)

    def __str__(self) -> str:
        ends = (("min", self.min), ("max", self.max))
        limits = ", ".join(f"{name} {_number(value)}" for name, value in ends if math.isfinite(value))
        return f"{limits} ({self.options})" if self.options else limits


def _bounds(before: Sequence[Bound], after: Sequence[Bound]) -> Iterator[Weakening]:
    kept = _tightest(after)
    for key, old in _tightest(before).items():
        new = kept.get(key)
        if new is None:
            yield Weakening(key, str(old), "removed")
        elif new.min < old.min or new.max > old.max or new.options != old.options:
            yield Weakening(key, str(old), str(new))


def _tightest(bounds: Sequence[Bound]) -> dict[str, _Limits]:
    found: dict[str, _Limits] = {}
    for bound in bounds:
        key = f"require.{bound.of}.{bound.metric.name}"
        found[key] = found.get(key, _Limits()).within(bound)
    return found


def _written_metric(metric: MetricSpec) -> str:
    options = _options(metric)
    return f"{metric.name} ({options})" if options else metric.name


def _options(metric: MetricSpec) -> str:
    apart = (*_METRIC_OPERATION, *(_OF_JUDGES if metric.name in _JUDGED else ()))
    kept = {key: value for key, value in metric.options.items() if key not in apart}
    shown = {key: shown_path(value) if isinstance(value, Path) else value for key, value in kept.items()}
    return ", ".join(f"{key}={value}" for key, value in sorted(shown.items()))


def _judges(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    """Another judge or another question cannot be compared with what was; a calibration can."""
    from pytest_ftgate.config.judge_options import judged_metrics

    now = judged_metrics(after)
    for name, old in judged_metrics(before).items():
        if name not in now:
            continue  # which the metric, or the bound on it, says
        new, key = now[name], "metric" if name == before.metric.name else name
        for option in ("rubric", "rubric_file", "path"):
            yield from _reworded(f"{key}.{option}", old.options.get(option), new.options.get(option))
        judge, other = old.options.get("judge"), new.options.get("judge")
        if judge is not None and other is not None and _asked(judge) != _asked(other):
            yield Weakening(f"{key}.judge", *_told_apart(judge, other))
        held, kept = old.options.get("calibration"), new.options.get("calibration")
        if held is not None:
            kappa = getattr(kept, "min_kappa", None)
            yield from _lowered(f"{key}.calibration.min_kappa", held.min_kappa, kappa)
            yield from _changed(f"{key}.calibration.path", _shown(held), _shown(kept or held))


def _reworded(key: str, before: Any, after: Any) -> Iterator[Weakening]:
    if before == after:
        return
    old, new = _short(before), _short(after)
    if old == new:  # they differ where neither is shown
        old, new = f"{len(str(before)):,} characters", f"{len(str(after)):,} characters, other ones"
    yield Weakening(key, old, new)


def _changed(key: str, before: str, after: str) -> Iterator[Weakening]:
    if before != after:
        yield Weakening(key, before, after)


def _training_set(before: Any, after: Any) -> Iterator[Weakening]:
    """Of the same file, rows or columns that are not looked at may hold the test set."""
    path = getattr(before, "path", None)
    if path is not None and path == getattr(after, "path", None):
        yield from _reading("training_set", before, after)


def _reading(data: str, before: Any, after: Any) -> Iterator[Weakening]:
    """How a file is read: what its columns are called, and how much of it counts."""
    for key in ("format", "fields"):
        old, new = getattr(before, key, None), getattr(after, key, None)
        yield from _changed(f"{data}.{key}", _written(old), _written(new))
    most, kept = getattr(before, "limit", None), getattr(after, "limit", None)
    if kept is not None and (most is None or kept < most):
        yield Weakening(f"{data}.limit", "all rows" if most is None else str(most), str(kept))


def _shown(data: Any) -> str:
    path = getattr(data, "path", None)
    return "an iterable" if path is None else shown_path(path)


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{key}: {name}" for key, name in sorted(value.items()))
    return str(value or "not given")


def _baselines(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    """A baseline that goes by another name is still to be beaten."""
    kept = [_asked(new) for new in after.baselines.values()]
    for name, old in before.baselines.items():
        if _asked(old) in kept:
            continue
        key = name if name == "baseline" else f"baselines.{name}"
        new = after.baselines.get(name)
        yield Weakening(key, *_told_apart(old, new)) if new else Weakening(key, old.spelling, "removed")


def _candidates(before: GateConfig, after: GateConfig) -> Iterator[Weakening]:
    """The choice of one is paid for with the confidence of each; where nothing has to be sure, there is none to pay."""
    old, new = (max(len(one.candidates), 1) for one in (before, after))
    if new < old and "observed" not in (before.evidence, after.evidence):
        yield Weakening("candidates", *map(_judged_at, (before, after)))


def _judged_at(config: GateConfig) -> str:
    from pytest_ftgate.statistics import corrected_confidence

    count = max(len(config.candidates), 1)
    each = f"{100 * corrected_confidence(config.confidence, count):g} %"
    return f"{count} of which each is judged at {each}" if count > 1 else f"1 that is judged at {each}"


def _guards(before: Mapping[str, GuardSpec], after: Mapping[str, GuardSpec]) -> Iterator[Weakening]:
    for name, old in before.items():
        key, new = f"guards.{name}", after.get(name)
        if new is None:
            yield Weakening(key, f"max_drop {_number(old.max_drop)}", "removed")
            continue
        yield from _drops(key, old, new)
        yield from _changed(f"{key}.metric", _written_metric(old.metric), _written_metric(new.metric))
        yield from _changed(f"{key}.test_set", _shown(old.test_set), _shown(new.test_set))
        yield from _reading(f"{key}.test_set", old.test_set, new.test_set)


def _slices(before: SliceSpec | None, after: SliceSpec | None) -> Iterator[Weakening]:
    if before is None:
        return
    if after is None:
        yield Weakening("slices", ", ".join(before.fields), "removed")
        return
    if not set(before.fields) <= set(after.fields):
        yield Weakening("slices.fields", ", ".join(before.fields), ", ".join(after.fields))
    yield from _drops("slices", before, after)
    if after.min_examples > before.min_examples:
        yield Weakening("slices.min_examples", str(before.min_examples), str(after.min_examples))


def shared_confidence(before: GateConfig, after: GateConfig) -> Iterator[str]:
    """What asks for more slices: no weakening, though it makes each a little less strict, which is said.

    One wrong alarm among all of them stays as rare as it was, so that in each a drop must be clearer to fail.
    """
    old, new = before.slices, after.slices
    if old is None or new is None or new.evidence != "significant" or old.evidence != "significant":
        return
    effect = "more slices share the confidence, so that in each a drop must be clearer to fail"
    if set(new.fields) - set(old.fields):
        yield f"slices.fields: {', '.join(old.fields)} -> {', '.join(new.fields)}: {effect}"
    if new.min_examples < old.min_examples:
        yield f"slices.min_examples: {old.min_examples} -> {new.min_examples}: {effect}"


def _drops(key: str, before: GuardSpec | SliceSpec, after: GuardSpec | SliceSpec) -> Iterator[Weakening]:
    """Of a drop "significant" asks for least: it also lets a drop pass that is too large and may be chance."""
    if after.max_drop > before.max_drop:
        yield Weakening(f"{key}.max_drop", _number(before.max_drop), _number(after.max_drop))
    if _DROP_EVIDENCE.index(after.evidence) < _DROP_EVIDENCE.index(before.evidence):
        yield Weakening(f"{key}.evidence", before.evidence, after.evidence)


def same_baselines(before: GateConfig, after: GateConfig) -> dict[str, ModelSpec]:
    """The baselines of ``after`` that were asked in the same way before, under whatever name."""
    then = [_asked(old) for old in before.baselines.values()]
    return {name: spec for name, spec in after.baselines.items() if _asked(spec) in then}


def _asked(spec: ModelSpec) -> tuple[str, Mapping[str, Any]]:
    """All that may change a model's answers."""
    return spec.provider, {key: value for key, value in spec.options.items() if key not in _OPERATION}


def _told_apart(old: ModelSpec, new: ModelSpec) -> tuple[str, str]:
    """The spellings; where they are one, the keys that differ."""
    if old.spelling != new.spelling:
        return old.spelling, new.spelling
    keys = [*old.options, *(key for key in new.options if key not in old.options)]
    differing = [key for key in keys if key not in _OPERATION and old.options.get(key) != new.options.get(key)]
    before, after = (", ".join(f"{key} {_short(spec.options.get(key))}" for key in differing) for spec in (old, new))
    return f"{old.spelling} ({before})", f"{new.spelling} ({after})"


def _short(value: Any) -> str:
    text = "not given" if value is None else shown_path(value) if isinstance(value, Path) else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
