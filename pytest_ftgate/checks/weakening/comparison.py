"""Find where one version of a gate is weaker than another; stricter keys are not findings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.goal import not_served
from pytest_ftgate.checks.weakening.code import baseline_key
from pytest_ftgate.config import DataKeys, file_of
from pytest_ftgate.config.weaker import comparable
from pytest_ftgate.errors import shown_path

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys, GuardKeys, MetricSpec, ModelSpec, SliceKeys

_OPERATION = ("name", "price", "concurrency", "timeout_s", "retries", "api_key_env")
"""Keys of a model that do not change its answers."""
_JUDGED = ("rubric", "preference", "human_preference")
_OF_JUDGES = ("judge", "rubric", "rubric_file", "calibration", "path")
"""Options of judged metrics that are compared separately."""
_LIMITS = ("max_break_even_days", "min_monthly_saving_usd")
_FACTS = ("calls_per_month", "training_cost_usd", "data_cost_usd", "hosting_usd_per_month", "retrains_per_year")
"""Keys of the economics that decide only together with a limit."""
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


def weakenings(before: GateKeys, after: GateKeys) -> tuple[Weakening, ...]:
    """Return the keys in which ``after`` is weaker: thresholds, data, metric, models, guards and so on.

    Another candidate or training set is not weaker, because these are judged. Reading less of the same training set is
    weaker.
    """
    limited = _limited(before) and _limited(after)
    return (
        *_compared(before, after, leave_out=("max_drop", "evidence") if before.matches and not after.matches else ()),
        *_goal(before, after),
        *_hypothesis(before, after),
        *_compared(before.audit, after.audit, "audit."),
        *_limits(before, after),
        *_compared(before.economics, after.economics, "economics.", leave_out=() if limited else _FACTS),
        *_prices(before, after, same_model=True),
        *_changed("metric", _written_metric(before.decided_by), _written_metric(after.decided_by)),
        *_judges(before, after),
        *_test_set("test_set", before.test_set, after.test_set),
        *_training_set(before.training_set, after.training_set),
        *_baselines(before, after),
        *_guards(before.guards, after.guards),
        *_slices(before.slices, after.slices),
    )


def _compared(before: Any, after: Any, prefix: str = "", leave_out: Collection[str] = ()) -> Iterator[Weakening]:
    """Compare the keys of one mapping, each in its direction (``Weaker``); None stands for an absent mapping."""
    if before is None:
        return
    for key, comparison in comparable(type(before)).items():
        old, new = getattr(before, key, None), getattr(after, key, None)
        if key not in leave_out and comparison.asks_less(old, new):
            absent = comparison.unwritten or "removed"
            yield Weakening(prefix + key, *(absent if value is None else _value(value) for value in (old, new)))


def _limited(config: GateKeys) -> bool:
    return any(getattr(config.economics, key, None) is not None for key in _LIMITS)


def _prices(before: GateKeys, after: GateKeys, *, same_model: bool) -> Iterator[Weakening]:
    """Compare prices where they decide: a dearer baseline or a cheaper candidate is weaker."""
    bounded = "cost_usd" in before.thresholds
    if before.cheaper_by is None and not _limited(before) and not bounded:
        return
    pairs = [(baseline_key(name), before.baselines.get(name), new, 1) for name, new in after.baselines.items()]
    pairs.append(("candidate", before.candidate, after.candidate, -1))
    for key, old, new, dearer in pairs:
        if old is None or (_asked(old) == _asked(new)) is not same_model:
            continue
        then, now = (spec.options.get("price") or {} for spec in (old, new))
        for part in dict.fromkeys((*then, *now)):
            was, be = then.get(part), now.get(part)
            if was != be and (was is None or be is None or (be - was) * dearer > 0):
                shown = (_NOT_GIVEN if usd is None else _value(usd) for usd in (was, be))
                yield Weakening(f"{key}.price.{part}", *shown)


def other_prices(before: GateKeys, after: GateKeys) -> Iterator[str]:
    """Yield the prices of other candidates than before, where prices decide."""
    for one in _prices(before, after, same_model=False):
        if one.key.startswith("candidate."):
            yield f"{one}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value).removesuffix(".0")
    return "fail above a limit" if value == "limit" else str(value)


def _goal(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Compare goals: one that fine-tuning does not serve fails, so replacing or overriding it is weaker."""
    old, new = (not_served(one.goal) for one in (before, after))
    if old and not new:
        yield Weakening("goal", str(before.goal), str(after.goal or "none"))


def _hypothesis(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Compare hypotheses: removed or changed numbers and a smaller gain are weaker."""
    old, new = before.prediction, after.prediction
    if old is None:
        return
    if new is None:
        yield Weakening("hypothesis", str(old), str(after.hypothesis or "none"))
    elif (old.metric.name, old.start) != (new.metric.name, new.start) or abs(new.goal - new.start) < abs(
        old.goal - old.start
    ):
        yield Weakening("hypothesis", str(old), str(new))


def _limits(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Compare thresholds, and the options of their metrics."""
    for name, old in before.thresholds.items():
        new, key = after.thresholds.get(name), f"thresholds.{name}"
        yield from _compared(old, new, f"{key}.")
        if new is not None and name != before.decided_by.name:
            yield from _changed(key, *(_written_metric(one.metric_named(name)) for one in (before, after)))


def _written_metric(metric: MetricSpec) -> str:
    options = _options(metric)
    return f"{metric.name} ({options})" if options else metric.name


def _options(metric: MetricSpec) -> str:
    apart = _OF_JUDGES if metric.name in _JUDGED else ()
    kept = {key: value for key, value in metric.options.items() if key not in apart}
    values = {key: shown_path(value) if isinstance(value, Path) else value for key, value in kept.items()}
    return ", ".join(f"{key}={value}" for key, value in sorted(values.items()))


def _judges(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Compare judges: another judge or rubric is a finding, as it cannot be compared; a calibration can."""
    now = after.judged_metrics
    for name, old in before.judged_metrics.items():
        if name not in now:
            continue  # reported for the metric or its bound
        new, key = now[name], "metric" if name == before.decided_by.name else name
        for option in ("rubric", "rubric_file", "path"):
            yield from _reworded(f"{key}.{option}", old.options.get(option), new.options.get(option))
        if "judge" in old.options and _asked(old.options["judge"]) != _asked(new.options["judge"]):
            yield Weakening(f"{key}.judge", *_distinguished(old.options["judge"], new.options["judge"]))
        earlier, later = old.options.get("calibration"), new.options.get("calibration")
        if earlier is not None:
            yield from _compared(earlier, later, f"{key}.calibration.")
            yield from _changed(f"{key}.calibration.path", _shown(earlier), _shown(later or earlier))


def _reworded(key: str, before: Any, after: Any) -> Iterator[Weakening]:
    if before == after:
        return
    old, new = _short(before), _short(after)
    if old == new:  # they differ beyond the excerpts
        old, new = f"{len(str(before)):,} characters", f"{len(str(after)):,} other characters"
    yield Weakening(key, old, new)


def _changed(key: str, before: str, after: str) -> Iterator[Weakening]:
    if before != after:
        yield Weakening(key, before, after)


def _test_set(key: str, before: Any, after: Any) -> Iterator[Weakening]:
    yield from _changed(key, _shown(before), _shown(after))
    yield from _reading(key, before, after)


def _training_set(before: Any, after: Any) -> Iterator[Weakening]:
    """Compare how the same file is read: rows or columns that are left out may contain the test set."""
    if same_file(before, after) is not None:
        yield from _reading("training_set", before, after)


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
        yield from _changed(f"{data}.fields", _columns(before.fields), _columns(after.fields))
        yield from _compared(before, after, f"{data}.")


def _columns(fields: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {name}" for key, name in sorted(fields.items())) or _NOT_GIVEN


def _shown(data: Any) -> str:
    path = getattr(data, "path", None)  # a frame may have a column of this name
    return shown_path(path) if isinstance(path, Path) else "an iterable"


def _baselines(before: GateKeys, after: GateKeys) -> Iterator[Weakening]:
    """Compare baselines; a renamed one must still be beaten and is not a finding."""
    kept = [_asked(new) for new in after.baselines.values()]
    for name, old in before.baselines.items():
        if _asked(old) in kept:
            continue
        key, new = baseline_key(name), after.baselines.get(name)
        yield Weakening(key, *_distinguished(old, new)) if new else Weakening(key, old.spelling, "removed")


def _guards(before: Mapping[str, GuardKeys], after: Mapping[str, GuardKeys]) -> Iterator[Weakening]:
    for name, old in before.items():
        key, new = f"guards.{name}", after.get(name)
        if new is None:
            yield Weakening(key, f"max_drop {_value(old.max_drop)}", "removed")
            continue
        yield from _compared(old, new, f"{key}.")
        yield from _changed(f"{key}.metric", _written_metric(old.metric), _written_metric(new.metric))
        yield from _test_set(f"{key}.test_set", old.test_set, new.test_set)


def _slices(before: SliceKeys | None, after: SliceKeys | None) -> Iterator[Weakening]:
    if before is None:
        return
    if after is None:
        yield Weakening("slices", ", ".join(before.fields), "removed")
        return
    if not set(before.fields) <= set(after.fields):
        yield Weakening("slices.fields", ", ".join(before.fields), ", ".join(after.fields))
    yield from _compared(before, after, "slices.")


def shared_confidence(before: GateKeys, after: GateKeys) -> Iterator[str]:
    """Yield remarks on added slices, which are not weaker although each slice is judged a little less strictly.

    The chance of one false alarm among all slices stays the same, so a drop in one slice must be larger to fail.
    """
    old, new = before.slices, after.slices
    if old is None or new is None or new.evidence != "significant" or old.evidence != "significant":
        return
    effect = "more slices share the confidence, so a drop in one slice must be larger to fail"
    if set(new.fields) - set(old.fields):
        yield f"slices.fields: {', '.join(old.fields)} -> {', '.join(new.fields)}: {effect}"
    if new.min_examples < old.min_examples:
        yield f"slices.min_examples: {old.min_examples} -> {new.min_examples}: {effect}"


def same_baselines(before: GateKeys, after: GateKeys) -> dict[str, ModelSpec]:
    """Return the baselines of ``after`` whose requests are the same as those of a baseline before, by name."""
    then = [_asked(old) for old in before.baselines.values()]
    return {name: spec for name, spec in after.baselines.items() if _asked(spec) in then}


def _asked(spec: ModelSpec) -> tuple[str, Mapping[str, Any]]:
    """Return everything that may change a model's answers."""
    return spec.provider, {key: value for key, value in spec.options.items() if key not in _OPERATION}


def _distinguished(old: ModelSpec, new: ModelSpec) -> tuple[str, str]:
    """Return both spellings, with the differing keys if the spellings are equal."""
    if old.spelling != new.spelling:
        return old.spelling, new.spelling
    keys = [*old.options, *(key for key in new.options if key not in old.options)]
    differing = [key for key in keys if key not in _OPERATION and old.options.get(key) != new.options.get(key)]
    before, after = (", ".join(f"{key} {_short(spec.options.get(key))}" for key in differing) for spec in (old, new))
    return f"{old.spelling} ({before})", f"{new.spelling} ({after})"


def _short(value: Any) -> str:
    text = _NOT_GIVEN if value is None else shown_path(value) if isinstance(value, Path) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
