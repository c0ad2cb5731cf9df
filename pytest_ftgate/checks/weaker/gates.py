"""Compare the effective values of two versions of a gate, defaults included; stricter values are not findings.

Keys with a direction (``Weaker``) are compared by it. All others that a verdict rests on must be the same.
"""

from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from pytest_ftgate.checks.goal import not_served
from pytest_ftgate.config import DataKeys, GateKeys, MetricSpec, ModelSpec
from pytest_ftgate.config.keys import Keys, Weaker, comparable, words
from pytest_ftgate.config.metrics import CalibrationKeys
from pytest_ftgate.config.requirements import CHANGEABLE, LEVELS, TokenCost
from pytest_ftgate.config.resolve import LEFT_OPEN
from pytest_ftgate.errors import shown_path
from pytest_ftgate.text import excerpt, plain_number

_OPERATION = {"name", "concurrency", "timeout_s", "retries", "api_key_env"}
"""Keys of a model that do not change its answers; its price counts where the gate limits costs."""
_COMPARED = ("test_set", "training_set", "thresholds", "guards", "slices", *comparable(GateKeys))
_WRITTEN = (str, int, float, list, tuple, Mapping, Path, TokenCost, NoneType)


def weakenings(before: GateKeys, after: GateKeys, *, of_marker: bool = False) -> dict[str, str]:
    """Return the keys in which ``after`` is weaker, and both values: ``{"margin": "margin: 0.1 -> 0.02"}``.

    What ``before`` leaves to markers is not compared. Another candidate or training set is not weaker, because these
    are judged; ``of_marker``: the gate after is that of a marker, for which another training set counts, too.
    """
    found: dict[str, str] = {}
    spent, spends = (
        one.economics if one.economics is not None and one.economics.max_break_even_days is not None else None
        for one in (before, after)
    )
    priced = before.cheaper_by is not None or "cost_usd" in before.thresholds or spent is not None
    unlike = _OPERATION if priced else {*_OPERATION, "price"}

    def is_open(gate: GateKeys, key: str) -> bool:
        return gate.sources.get(key.partition(".")[0]) == LEFT_OPEN

    def walk(key: str, old: Any, new: Any, direction: Weaker | None = None) -> None:
        (one, inside), (other, within) = _parts(old, unlike), _parts(new, unlike)
        if one == other:
            directions = comparable(type(old)) if isinstance(old, Keys) else {}
            for name in {**(inside or {}), **(within or {})}:
                walk(f"{key}.{name}", (inside or {}).get(name), (within or {}).get(name), directions.get(name))
        elif direction.asks_less(one, other) if direction else one is not None or within is None:
            found[key] = f"{key}: {_change(one, other, direction.unwritten if direction else None)}"

    for name, model in before.baselines.items():
        like = [role for role, one in after.baselines.items() if _parts(one, unlike) == _parts(model, unlike)]
        role = max(like, key=lambda one: after.standard_of(one).gain, default=name)
        if not is_open(before, "baselines"):
            later = None if is_open(after, "baselines") else after.baselines.get(role)
            walk("baseline" if name == "baseline" else f"baselines.{name}", model, later)
        was, now = before.standard_of(name), after.standard_of(role)
        if not is_open(before, was.path):
            if is_open(after, now.path):
                found[was.path] = f"{was.path}: {plain_number(abs(was.gain))} -> removed"
            elif now.gain < was.gain:
                named = "{1}" if was.key == now.key else "{0} {1}"
                texts = [named.format(one.key, plain_number(abs(one.gain))) for one in (was, now)]
                found[now.path] = f"{now.path}: {' -> '.join(texts)}"
    apart = {"margin", "max_drop", *([] if before.matches == after.matches else ["evidence"])}
    for key in (one for one in _COMPARED if one not in apart and not is_open(before, one)):
        old, new = (None if is_open(gate, key) else getattr(gate, key) for gate in (before, after))
        walk(key, old, new, comparable(GateKeys).get(key))
    if not of_marker:
        found.pop("training_set", None)
    walk("economics", spent, spends)
    for name in CHANGEABLE:
        walk(f"checks.{name}", before.level(name), after.level(name), words(*LEVELS))
    if before.goal != after.goal and (after.goal == "format" or not_served(before.goal) > not_served(after.goal)):
        found["goal"] = f"goal: {_change(before.goal, after.goal)}"
    walk("metric", before.decided_by, after.decided_by)
    for name in {**before.thresholds, **before.judged_metrics}:
        if name != before.decided_by.name and name in {**after.thresholds, **after.judged_metrics}:
            walk(name, before.metric_named(name), after.metric_named(name))
    answers = [_parts(gate.candidate, {*_OPERATION, "price"}) for gate in (before, after)]
    if priced and answers[0] == answers[1]:
        walk("candidate", before.candidate, after.candidate)
    return found


def _parts(value: Any, unlike: set[str]) -> tuple[Any, dict[str, Any] | None]:
    """Return what a value is, and the values within it by key; None within what has no keys, and for nothing."""
    if isinstance(value, ModelSpec):
        options = {"provider": value.provider, **value.options}
        return value.spelling, {key: one for key, one in options.items() if key not in unlike}
    if isinstance(value, MetricSpec):
        return value.name, dict(value.options)
    if isinstance(value, Keys):
        inner = {name: getattr(value, name) for name in type(value).model_fields if name != "file"}
        return (value.path if isinstance(value, DataKeys | CalibrationKeys) else "given"), inner
    if isinstance(value, Mapping) and all(isinstance(one, Keys) for one in value.values()):
        return "", dict(value)
    return (value if isinstance(value, _WRITTEN) else "a Python object"), None


def _change(old: Any, new: Any, unwritten: str | None = None) -> str:
    """Return both values as people read them; of long texts what is near the first difference."""
    texts = [_shown(old) or unwritten or "not given", _shown(new) or "removed"]
    at = next((at for at, pair in enumerate(zip(*texts, strict=False)) if len({*pair}) > 1), 0)
    return " -> ".join(excerpt(one, at) for one in texts)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return plain_number(value)
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return "fail above a limit" if value == "limit" else shown_path(value) if isinstance(value, Path) else str(value)
