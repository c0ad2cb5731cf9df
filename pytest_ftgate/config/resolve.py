"""Many places may speak about a gate: key by key the nearest wins, and each value remembers its source."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.config.alternatives import made_baselines
from pytest_ftgate.config.baseline_keys import AlternativesKeys
from pytest_ftgate.config.gate_config import GateConfig, ModelSpec, no_candidate
from pytest_ftgate.config.gate_file import GateFile
from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.config.judge_options import judges, with_judges
from pytest_ftgate.config.objective import check_objective
from pytest_ftgate.config.problems import Reading, read_keys
from pytest_ftgate.config.source import BUILT_IN, Layer, Source
from pytest_ftgate.config.specs import (
    audit_spec,
    bound,
    clock_spec,
    data_spec,
    economics_spec,
    guard_spec,
    hypothesis,
    metric_spec,
    model_spec,
    slice_spec,
)
from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.text import KeyPath, cut

_REQUIRED = ("test_set", "training_set", "baseline", "candidate", "margin")
_AS_READ = (
    "margin",
    "objective",
    "max_drop",
    "cheaper_by",
    "faster_by",
    "evidence",
    "confidence",
    "min_training_examples",
    "min_test_examples",
    "errors",
    "repeats",
    "timeout_s",
    "require_hypothesis",
    "goal",
    "goal_override",
    "stage",
    "allow_weak_baseline",
    "max_age_days",
    "ablate_prompt",
)
_SINGLE = ("baseline", "candidate")
_FIXTURES = ("test_set", "training_set", "baseline", "candidate")


@dataclass(frozen=True)
class _Value:
    """A key's value as read, and the layer that gave it; without a layer it is built in."""

    key: str
    read: Any
    layer: Layer | None

    def at(self, *below: str | int) -> Source:
        """The source of the value, or of a part of it."""
        return self.layer.source((self.key, *below)) if self.layer else BUILT_IN


def resolve_gate(
    layers: Sequence[Layer], *, file: GateFile | None, gate: str | None, default_name: str, root: Path | None = None
) -> GateConfig:
    """Merge all places that speak about a gate, and check the outcome.

    Args:
        layers: the nearest first; those of the file included.
        file: the gate file, whose ``models`` may be named; None where there is none.
        gate: the gate's name in the file, if it stands there.
        default_name: the gate's name where nothing names it.
        root: the project's folder, out of which no relative path of a recording may lead; None: any may.

    Raises:
        ConfigError: an unknown key, a wrong type, an impossible value, or a required key that nothing gives.
    """
    models = file.models if file else {}
    values = _nearest(layers, models)
    matched = values["objective"].read == "match"
    left_out = {"candidate"} if values["stage"].read == "ready" else set()
    left_out |= {"margin"} if matched else set()
    missing = [key for key in _REQUIRED if values[key].read is None and key not in left_out]
    if missing:
        raise _missing(missing, layers, file, gate)
    check_objective({key: value.read for key, value in values.items()}, {k: v.at() for k, v in values.items()})
    config = with_judges(_config(values, models, gate, gate or default_name), models)
    if root is not None:
        for spec in (*config.baselines.values(), config.candidate, *config.candidates.values(), *judges(config)):
            _refuse_outside(spec, root)
    return config


def _refuse_outside(spec: ModelSpec, root: Path) -> None:
    """A relative path that leaves the project finds another file on every machine."""
    if spec.provider != "recorded":
        return
    absolute = Path(spec.spelling.removeprefix("recorded:")).is_absolute()
    homes = (root, spec.source.base_dir)
    if absolute or any(spec.options["path"].is_relative_to(os.path.abspath(home)) for home in homes):
        return
    raise ConfigError(
        f"{cut(spec.spelling)} is outside of the project ({spec.source})",
        evidence=f"the project is {shown_path(root)}",
        cure="keep recorded predictions with the project, or write an absolute path",
    )


def _nearest(layers: Sequence[Layer], models: Mapping[str, ModelSpec]) -> dict[str, _Value]:
    built_in = GateKeys.model_validate({}, context=Reading())
    values = {key: _Value(key, getattr(built_in, key), None) for key in GateKeys.model_fields}
    for layer in reversed(layers):
        read = _read(layer, models)
        given = {key: _Value(key, getattr(read, key), layer) for key in read.model_fields_set}
        values |= _one_form(_one_form(given, "baseline", "baselines"), "candidate", "candidates")
    return values


def _one_form(given: dict[str, _Value], one: str, many: str) -> dict[str, _Value]:
    """``baseline`` and ``baselines`` are two forms of one key: whichever is nearer replaces the other."""
    if one in given:
        return given | {many: _Value(one, {one: given[one].read}, given[one].layer)}
    return given | {one: given[many]} if many in given else given


def _read(layer: Layer, models: Mapping[str, ModelSpec]) -> GateKeys:
    reading = Reading(models=frozenset(models), objects=layer.takes_objects)

    def place(path: KeyPath, text: str) -> tuple[Where, str]:
        source = layer.source(path)
        return Where(source.place or None, key=source.key), f"{text} ({source})"

    return read_keys(GateKeys, layer.values, reading=reading, place=place)


def _missing(keys: Sequence[str], layers: Sequence[Layer], file: GateFile | None, gate: str | None) -> ConfigError:
    marks = (layer.source((key,)).place for layer in layers for key in layer.values)
    shown = ["baseline (or baselines)" if key == "baseline" else key for key in keys]
    fixtures = [f"ftgate_{key}" for key in keys if key in _FIXTURES]
    places = ["in the marker"]
    if fixtures:
        places.append(f"by {'the fixtures' if len(fixtures) > 1 else 'the fixture'} {', '.join(fixtures)}")
    if file:
        places.append(f"under {f'gates.{gate}' if gate else 'defaults'} in {shown_path(file.path)}")
    return ConfigError(
        f"{'required keys are' if len(keys) > 1 else 'a required key is'} missing: {', '.join(shown)}",
        where=file.where(("gates", gate)) if file and gate else Where(next(filter(None, marks), None)),
        cure=f"give {'them' if len(keys) > 1 else 'it'} {' or '.join(places)}",
    )


def _config(values: Mapping[str, _Value], models: Mapping[str, ModelSpec], gate: str | None, name: str) -> GateConfig:
    read = {key: value.read for key, value in values.items()}
    if read["objective"] == "match":
        read["evidence"] = "proven"
    at = {key: value.at for key, value in values.items()}
    metric = metric_spec(read["metric"], at["metric"]())
    baselines, alternatives = _baselines(values["baselines"], models)
    candidates = _candidates(values["candidates"], models)
    return GateConfig(
        name=read["name"] or name,
        gate=gate,
        test_set=data_spec(read["test_set"], at["test_set"]()),
        training_set=data_spec(read["training_set"], at["training_set"]()),
        validation_set=_optional(read["validation_set"], at["validation_set"]()),
        baselines=baselines,
        alternatives=alternatives,
        candidate=next(iter(candidates.values()), no_candidate(at["candidate"]())),
        candidates=candidates if values["candidates"].key == "candidates" else {},
        metric=metric,
        hypothesis=hypothesis(read["hypothesis"], at["hypothesis"](), metric),
        require=tuple(bound(item, partial(at["require"], i)) for i, item in enumerate(read["require"])),
        audit=audit_spec(read["audit"]),
        show=tuple(metric_spec(item, at["show"](i)) for i, item in enumerate(read["show"])),
        economics=read["economics"] and economics_spec(read["economics"], at["economics"]),
        guards={name: guard_spec(keys, partial(at["guards"], name)) for name, keys in read["guards"].items()},
        slices=slice_spec(read["slices"], at["slices"]) if read["slices"] else None,
        clock=clock_spec(read["clock"], at["clock"]),
        sources={key: source() for key, source in at.items()},
        **{key: read[key] for key in _AS_READ},
    )


def _optional(read: Any, source: Source) -> Any:
    return None if read is None else data_spec(read, source)


def _candidates(value: _Value, models: Mapping[str, ModelSpec]) -> dict[str, ModelSpec]:
    """One or several by name; none where nothing was trained yet."""
    return {} if value.read is None else _by_name(value, models)


def _baselines(value: _Value, models: Mapping[str, ModelSpec]) -> tuple[dict[str, ModelSpec], tuple[str, ...]]:
    """The baselines by name, and the names of those that the gate makes."""
    if isinstance(value.read, AlternativesKeys):
        return made_baselines(value.read, value.at, models)
    return _by_name(value, models), ()


def _by_name(value: _Value, models: Mapping[str, ModelSpec]) -> dict[str, ModelSpec]:
    """The models of one key: a single one under the key itself, several each by the name that it has there."""
    if value.key in _SINGLE:
        return {value.key: model_spec(value.read[value.key], value.at(), models)}
    return {name: model_spec(read, value.at(name), models, name=name) for name, read in value.read.items()}
