"""Compare two versions of a gate as flat mappings of keys to effective values; stricter values are not findings.

Keys with a direction (``Weaker``) are compared by it. All others that a verdict rests on must be the same.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import ne
from pathlib import Path
from typing import Any, NamedTuple

from pytest_ftgate.checks.goal import not_served
from pytest_ftgate.config import (
    DataKeys,
    GateFile,
    GateKeys,
    Layer,
    MetricSpec,
    ModelSpec,
    Source,
    file_of,
    resolve_gate,
)
from pytest_ftgate.config.keys import Keys, Weaker, comparable, words
from pytest_ftgate.config.metrics import CalibrationKeys
from pytest_ftgate.config.models import Standard, has_own_standards
from pytest_ftgate.config.requirements import CHANGEABLE, LEVELS
from pytest_ftgate.errors import shown_path
from pytest_ftgate.text import excerpt, plain_number

_OPERATION = ("name", "concurrency", "timeout_s", "retries", "api_key_env", "price")
"""Keys of a model that do not change its answers."""
_APART = (
    *("name", "hypothesis", "timeout_s"),  # they require nothing
    *("metric", "goal", "checks", "baseline", "baselines", "candidate", "margin", "max_drop"),  # by their effect
)
_LEFT_OPEN = Source("fixture", "not in the gate file", Path())
_STAND_INS: Mapping[str, Any] = {"test_set": (), "training_set": (), "baseline": str, "candidate": str, "margin": 0.0}
_OTHERS = {"baseline": ("baselines",), "margin": ("max_drop",)}

Key = tuple[str, ...]


class Fact(NamedTuple):
    """An effective value of a gate, and whether a later one requires less; None stands for an absent key."""

    value: Any
    is_weaker: Callable[[Any, Any], bool] = ne
    unwritten: str | None = None


@dataclass(frozen=True, slots=True)
class Weakening:
    """A key with a weaker value, or with another one that cannot be compared."""

    key: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.key}: {self.before} -> {self.after}"


def as_written(file: GateFile, gate: str) -> GateKeys:
    """Return a gate as the file alone defines it, with stand-ins for the keys that it leaves to markers."""
    layers = file.layers(gate)
    given = {key for layer in layers for key in layer.values}
    missing = {key: one for key, one in _STAND_INS.items() if given.isdisjoint({key, *_OTHERS.get(key, ())})}
    if any(has_own_standards(layer.values.get("baselines")) for layer in layers):
        missing.pop("margin", None)
    stand_ins = Layer(missing, dict.fromkeys(missing, _LEFT_OPEN))
    return resolve_gate([*layers, stand_ins], file=file, gate=gate, default_name=gate)


def weakenings(before: GateKeys, after: GateKeys, *, of_marker: bool = False) -> Iterator[Weakening]:
    """Yield the keys in which ``after`` is weaker; those that ``before`` leaves to markers are not compared.

    Another candidate or training set is not weaker, because these are judged; ``of_marker``: the gate after is that of
    a marker, for which another training set counts, too. Reading less of the same training set is weaker.
    """
    priced = before.cheaper_by is not None or "cost_usd" in before.thresholds or _is_limited(before)
    old = _flat(before, {name: name for name in before.baselines}, priced=priced)
    new = _flat(after, _same_baselines(before, after), priced=priced)
    judged = {("candidate",), *([] if of_marker else [("training_set",)])}
    judged |= {("standard",)} if before.standards or after.standards else set()  # compared by baseline
    judged |= {("evidence",)} if before.matches and not after.matches else set()  # a margin asks for more than any drop
    absent, others, found = Fact(None), set[Key](), dict[Weakening, None]()
    for key in dict.fromkeys((*old, *new)):
        gone = key[0] == "standards" and ("baselines", *key[1:]) not in new
        if gone or any(key[:end] in others for end in range(1, len(key))):
            continue
        one, other = old.get(key, absent), new.get(key, absent)
        if one.value != other.value:  # what is below belongs to another metric, model or file
            others.add(key)
        if key not in judged and (one if key in old else other).is_weaker(one.value, other.value):
            found[_weakening(key, one, other.value)] = None
    yield from found


def _same_baselines(before: GateKeys, after: GateKeys) -> dict[str, str]:
    """Return the baselines after by the names before: a renamed one must still be beaten."""
    found = {}
    for name, one in before.baselines.items():
        facts = dict(_facts((), one))
        same = (role for role, other in after.baselines.items() if dict(_facts((), other)) == facts)
        found[name] = max(same, key=lambda role: after.standard_of(role).gain, default=name)
    return found


def _flat(gate: GateKeys, baselines: Mapping[str, str], *, priced: bool) -> dict[Key, Fact]:
    """Return the effective values of a gate by key, without those that it leaves to markers.

    Args:
        baselines: the names of its baselines, by those under which they are compared.
        priced: prices decide.
    """
    left_out = (*_APART, *(() if _is_limited(gate) else ("economics",)))
    found: dict[Key, Fact] = {("standard",): Fact(gate.standard_of(""), _is_lower)}
    found |= {key: fact for key, fact in _facts((), gate) if key and key[0] not in left_out}
    found |= {("checks", name): Fact(gate.level(name), words(*LEVELS).asks_less) for name in CHANGEABLE}
    found["goal",] = Fact(gate.goal, lambda old, new: not_served(old) and not not_served(new))
    found |= _facts(("metric",), gate.decided_by)
    for name in {*gate.thresholds, *gate.judged_metrics} - {gate.decided_by.name}:
        found |= _facts(("metrics", name), gate.metric_named(name))
        found["metrics", name] = Fact(name, lambda *_: False)  # one that is gone is told as a threshold
    models = {("baselines", name): gate.baselines[role] for name, role in baselines.items() if role in gate.baselines}
    for key, model in models.items():
        found |= _facts(key, model)
        found["standards", key[1]] = Fact(gate.standard_of(baselines[key[1]]), _is_lower)
    found["candidate",] = Fact(dict(_facts((), gate.candidate)))
    if priced:
        spent = [*models.items(), (("candidate",), gate.candidate)]
        found |= {(*key, "price"): Fact(model.options.get("price")) for key, model in spent}
    return {key: fact for key, fact in found.items() if gate.sources.get(_root(key, fact)) != _LEFT_OPEN}


def _root(key: Key, fact: Fact) -> str:
    """Return the key of a gate that gives a value."""
    return fact.value.path.partition(".")[0] if isinstance(fact.value, Standard) else key[0]


def _facts(key: Key, value: Any) -> Iterator[tuple[Key, Fact]]:
    """Yield a value, and what is within it, by key; what is not given is not yielded."""
    identity: Any = None
    inner, directions = dict[str, Any](), dict[str, Weaker]()
    if isinstance(value, ModelSpec):
        identity, inner = value.spelling, {"provider": value.provider, **value.options}
        inner = {name: one for name, one in inner.items() if name not in _OPERATION}
    elif isinstance(value, MetricSpec):
        identity, inner = value.name, dict(value.options)
    elif isinstance(value, Keys):
        directions, file = comparable(type(value)), value if isinstance(value, CalibrationKeys) else file_of(value)
        identity = "given" if file is None else file.path
        inner = {name: getattr(value, name) for name in type(value).model_fields if name != "file"}
    elif isinstance(value, Mapping) and any(isinstance(one, Keys) for one in value.values()):
        inner = dict(value)
    elif value is not None and not (isinstance(value, Mapping) and not value):
        yield key, Fact(value)
    if identity is not None:
        yield key, Fact(identity, _is_another)
    for name, one in inner.items():
        if name in directions:
            yield (*key, name), Fact(one, directions[name].asks_less, directions[name].unwritten)
        elif name == "fields" and isinstance(one, tuple):  # of examples
            yield (*key, name), Fact(one, lambda old, new: not set(old) <= set(new))
        else:
            objects = name in ("test_set", "training_set") and not isinstance(one, DataKeys)
            yield from _facts((*key, name), "an iterable" if objects else one)


def _is_limited(gate: GateKeys) -> bool:
    """Return whether economics decide."""
    return gate.economics is not None and gate.economics.max_break_even_days is not None


def _is_another(old: Any, new: Any) -> bool:
    return old is not None and old != new


def _is_lower(old: Standard | None, new: Standard | None) -> bool:
    return old is not None and (new is None or new.gain < old.gain)


def _weakening(key: Key, old: Fact, new: Any) -> Weakening:
    """Return a finding as people read it; of long texts what is near the first difference."""
    named_alone = key[0] == "metrics" or key[:2] == ("baselines", "baseline")
    place = ".".join(key[1:] if named_alone else key)
    if isinstance(old.value, Standard):
        place = (new or old.value).path
        named = "{0.key} {1}" if new is not None and new.key != old.value.key else "{1}"
        texts = [named.format(one, plain_number(abs(one.gain))) for one in (old.value, new) if one is not None]
    else:
        texts = [_shown(one) for one in (old.value, new) if one is not None]
    if old.value is None:
        texts.insert(0, old.unwritten or "not given")
    texts += ["removed"] if new is None else []
    at = next((at for at, pair in enumerate(zip(*texts, strict=False)) if len(set(pair)) > 1), 0)
    return Weakening(place, *(excerpt(one, at) for one in texts))


def _shown(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return plain_number(value)
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return "fail above a limit" if value == "limit" else shown_path(value) if isinstance(value, Path) else str(value)
