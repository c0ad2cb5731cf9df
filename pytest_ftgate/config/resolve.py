"""Merge the places that configure a gate: the nearest place wins for each key, and each value keeps its source."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_ftgate.config import comparing, gate_file, gate_keys
from pytest_ftgate.config.keys import (
    BUILT_IN,
    LEFT_OPEN,
    Layer,
    Reading,
    Source,
    place,
    read_keys,
    sources_within,
)
from pytest_ftgate.config.models import BaselineKeys, ModelSpec, no_candidate
from pytest_ftgate.errors import (
    ConfigError,
    FtgateError,
    MissingKeysError,
    Where,
    combined,
    shown_path,
)
from pytest_ftgate.text import KeyPath, cut, listed, suggestion

_REQUIRED = ("test_set", "training_set", "baseline", "candidate", "margin")
_FACTORS = ("cheaper_by", "faster_by")
_FIXTURES = ("test_set", "training_set", "baseline", "candidate")
_BY_NAME = ("thresholds", "checks")
"""The mappings of names that are merged: each name is taken from the nearest layer that has it."""

_STAND_INS: Mapping[str, Any] = {
    "test_set": (),
    "training_set": (),
    "baseline": str,
    "candidate": str,
    "margin": 0.0,
}
_OTHERS = {"baseline": "baselines", "margin": "max_drop"}


@dataclass(frozen=True)
class _Value:
    """A key's validated value and the layer that it comes from; None for a built-in default."""

    key: str
    read: Any
    layer: Layer | None
    names: Mapping[str, Source] = field(default_factory=dict)  # of a mapping that is merged by name

    def at(self, *below: str | int) -> Source:
        """Return the source of the value, or of a part of it."""
        return self.layer.source((self.key, *below)) if self.layer else BUILT_IN


def resolve_gate(
    layers: Sequence[Layer],
    *,
    file: gate_file.GateFile | None,
    gate: str | None,
    default_name: str,
    root: Path | None = None,
) -> gate_keys.GateKeys:
    """Merge all places that configure a gate, the nearest first, and validate the result.

    Raises :class:`ConfigError`.

    If ``root``, the project's folder, is given, relative paths of recordings must not lead out of
    it.
    """
    values = _nearest(layers, file.models if file else {})
    left_out = {"candidate"} if values["stage"].read == "ready" else set()
    if not _needs_margin(values):
        left_out.add("margin")
    if missing := [key for key in _REQUIRED if values[key].read is None and key not in left_out]:
        raise _missing(missing, layers, file, gate)
    config = _of_one_standard(_merged(values, gate, gate or default_name))
    if file is not None and file.policy is not None:
        policy = _by_policy(config, file, file.policy, layers)
        comparing.check_policy(policy, config, file.policy.values)
    if root is not None:
        _refuse_unjudged(config)
        for spec in (*config.baselines.values(), config.candidate, *config.judges):
            _refuse_outside(spec, root)
    return config


def _by_policy(
    config: gate_keys.GateKeys,
    file: gate_file.GateFile,
    policy: Layer,
    layers: Sequence[Layer],
) -> gate_keys.GateKeys:
    """Return a gate with the values of its policy in place of its own."""
    values = _nearest([policy, *layers], file.models)
    strict = _adopted(_merged(values, config.gate, config.name))

    # Only the metric that decides is the policy's: the others are of the gate's thresholds.
    names = [metric.name for metric in strict.metrics]
    others = [metric for metric in config.metrics if metric.name not in names]
    return strict.model_copy(update={"metric": (*strict.metrics, *others)})


def _needs_margin(values: Mapping[str, _Value]) -> bool:
    """Return whether the gate needs a margin: a baseline has no standard of its own, and is not to be copied."""
    if values["max_drop"].read is not None:
        return False

    agreement = values["agreement"].read
    copied = agreement.with_baseline if agreement is not None else None
    baselines = values["baselines"].read
    if isinstance(baselines, ModelSpec):
        baselines = {values["baselines"].key: baselines}
    if not isinstance(baselines, dict):
        return True

    bare = {role for role, entry in baselines.items() if not isinstance(entry, BaselineKeys)}
    return bool(bare - {copied})


def as_written(file: gate_file.GateFile, gate: str) -> gate_keys.GateKeys:
    """Return a gate as the file alone defines it, with stand-ins, from :data:`LEFT_OPEN`, for keys left to markers."""
    layers = file.layers(gate)
    written = {key for layer in layers for key in layer.values}
    missing = {}
    for key, value in _STAND_INS.items():
        if written.isdisjoint((key, _OTHERS.get(key))):
            missing[key] = value
    stand_ins = Layer(missing, dict.fromkeys(missing, LEFT_OPEN))

    # A gate may need no margin, and then a stand-in for one would contradict it.
    if not _needs_margin(_nearest([*layers, stand_ins], file.models)):
        missing.pop("margin", None)
        stand_ins = Layer(missing, dict.fromkeys(missing, LEFT_OPEN))
    return resolve_gate([*layers, stand_ins], file=file, gate=gate, default_name=gate)


def _refuse_unjudged(config: gate_keys.GateKeys) -> None:
    """Refuse a candidate that a gate names and does not judge."""
    if config.stage == "ready" and config.has_candidate:
        source = config.sources["candidate"]
        what = f"{config.quoted('stage')} judges no candidate, and this gate names one: {config.candidate} ({source})"
        cure = "Remove stage to judge the candidate, or remove candidate until it is trained."
        raise ConfigError(what, where=Where(source.place or None, key="candidate"), cure=cure)


def _refuse_outside(spec: ModelSpec, root: Path) -> None:
    """Refuse a relative path that leaves the project: it would be another file on every machine."""
    key = spec.kind.answers_file
    if key is None:
        return
    absolute = Path(spec.spelling.removeprefix(f"{spec.provider}:")).is_absolute()
    homes = map(os.path.abspath, (root, spec.source.base_dir))
    if not absolute and not any(spec.options[key].is_relative_to(home) for home in homes):
        found = f"The project is the folder {cut(os.path.basename(os.path.abspath(root)))}."
        what = f"{cut(spec.spelling)} is outside the project ({spec.source})"
        cure = "Keep recorded answers in the project, or write an absolute path."
        raise ConfigError(what, evidence=found, cure=cure)


def _nearest(layers: Sequence[Layer], models: Mapping[str, ModelSpec]) -> dict[str, _Value]:
    built_in = gate_keys.GateKeys.model_validate({}, context=Reading())
    values = {
        key: _Value(key, getattr(built_in, key), None) for key in gate_keys.GateKeys.model_fields
    }
    problems: list[FtgateError] = []
    for layer in reversed(layers):
        try:
            read = _read(layer, models)
        except ConfigError as error:
            problems += error.problems
            continue
        given = {key: _Value(key, getattr(read, key), layer) for key in read.model_fields_set}
        for key in given.keys() & set(_BY_NAME):
            far, near = values[key], given[key]
            names = {**far.names, **{name: near.at(name) for name in near.read}}
            given[key] = replace(near, read={**far.read, **place(near.read, near.at)}, names=names)
        for form, other in (("baseline", "baselines"), ("baselines", "baseline")):
            # two forms of one key: the nearer layer's counts
            given |= {other: given[form]} if form in given else {}
        values |= given
    if problems:
        raise combined(problems)
    return values


def _read(layer: Layer, models: Mapping[str, ModelSpec]) -> gate_keys.GateKeys:
    def place(path: KeyPath, text: str) -> tuple[Where, str]:
        source = layer.source(path)
        return (
            (source.where(), text)
            if source.place
            else (Where(key=source.key), f"{text} ({source})")
        )

    return read_keys(gate_keys.GateKeys, layer.values, Reading(models, layer.takes_objects), place)


def _missing(
    keys: Sequence[str], layers: Sequence[Layer], file: gate_file.GateFile | None, gate: str | None
) -> ConfigError:
    marks = (layer.source((key,)).place for layer in layers for key in layer.values)
    named = [f"{key} (or {_OTHERS[key]})" if key in _OTHERS else key for key in keys]
    fixtures = [f"ftgate_{key}" for key in keys if key in _FIXTURES]
    places = ["in the marker"]
    if fixtures:
        places.append(
            f"with {'the fixtures' if len(fixtures) > 1 else 'the fixture'} {', '.join(fixtures)}"
        )
    if file:
        places.append(f"under {f'gates.{gate}' if gate else 'defaults'} in {shown_path(file.path)}")
    what, those = ("required keys are", "them") if len(keys) > 1 else ("a required key is", "it")
    where = file.where(("gates", gate)) if file and gate else Where(next(filter(None, marks), None))
    cure = f"Set {those} {' or '.join(places)}."
    return MissingKeysError(
        f"{what} missing: {', '.join(named)}", keys=keys, where=where, cure=cure
    )


def _merged(values: Mapping[str, _Value], gate: str | None, name: str) -> gate_keys.GateKeys:
    """Return one gate made of the merged values; each value keeps its source."""
    read = {
        key: value.read if key in _BY_NAME else place(value.read, value.at)
        for key, value in values.items()
    }
    if isinstance(read["baselines"], ModelSpec):
        read["baselines"] = {values["baselines"].key: read["baselines"]}
    standards = {
        role: one for role, one in read["baselines"].items() if isinstance(one, BaselineKeys)
    }
    models = {
        role: standards[role].model if role in standards else one
        for role, one in read["baselines"].items()
    }
    read["baseline"] = read["baselines"] = {
        role: model for role, model in models.items() if model is not None
    }
    if read["candidate"] is None:
        read["candidate"] = no_candidate(values["candidate"].at())
    read["name"] = read["name"] or name
    written = {key for key, value in values.items() if value.layer}
    sources = {key: value.at() for key, value in values.items()}
    for key, value in read.items():
        sources.update(sources_within(value, key))
    for key in _BY_NAME:
        sources |= {f"{key}.{name}": source for name, source in values[key].names.items()}
    for role, one in standards.items():
        sources |= {f"baselines.{role}.{key}": source for key, source in one.sources.items()}
    merged = gate_keys.GateKeys.model_construct(written, **read)
    merged._sources, merged._gate, merged._standards = sources, gate, standards
    return merged


def _of_one_standard(config: gate_keys.GateKeys) -> gate_keys.GateKeys:
    """Refuse keys that contradict each other, and ``max_drop`` alone; with it, gains are compared by ``proven``.

    A gate whose baselines all have standards of their own takes over the weakest margin, or else
    the weakest max_drop.
    """

    def refused(key: str, text: str, cure: str) -> ConfigError:
        source = config.sources["max_drop" if getattr(config, key) is None else key]
        return ConfigError(text, where=Where(source.place or None, key=key), cure=cure)

    if not config.baselines:
        text = f"no baseline has a model yet ({config.sources['baselines']}), so there is nothing to compare with"
        raise refused(
            "baselines",
            text,
            "Add the prompt that the candidate must beat: baselines: {prompt: NAME, ...}.",
        )
    if config.margin is not None and config.max_drop is not None:
        moved = config.sources["margin"].kind == "defaults"
        cure = (
            "Move the margin from defaults to the gates that need it"
            if moved
            else "Remove one of them"
        )
        text = f"{config.quoted('margin')} and {config.quoted('max_drop')} are both set: keep one"
        raise refused(
            "margin",
            text,
            f"{cure}. With max_drop the candidate may be worse, and no gain is required.",
        )
    config = _adopted(config)
    _check_agreement(config)
    if not config.decisive:
        text = f"{config.quoted('margin')} applies to no baseline, because each has max_drop or agreement"
        cure = "Add the prompt that the candidate must beat to baselines, or "
        if config.agreement is None:
            cure += "write cheaper_by or faster_by in place of margin."
        else:
            cure += "remove margin: agreement needs none."
        raise refused("margin", text, cure)
    if not config.matches:
        for key in _FACTORS:
            if getattr(config, key) is not None:
                text = f"{config.quoted(key)} needs max_drop, and this gate has {config.asked_by}"
                raise refused(key, text, f"Write max_drop, without a margin, or remove {key}.")
        return config
    if all(getattr(config, key) is None for key in _FACTORS) and config.agreement is None:
        text = f"{config.quoted('max_drop')} needs cheaper_by or faster_by: a candidate that is only as good is no "
        cure = "Write cheaper_by: 5 for a fifth of the cost per call, faster_by: 2 for half the time, or both"
        cure += "; or add the prompt to baselines, with a margin." if config.standards else "."
        raise refused("cheaper_by", f"{text}improvement", cure)
    if config.sources["evidence"].kind != "default" and config.evidence != "proven":
        text = f"{config.quoted('evidence')} contradicts {config.quoted('max_drop')}, which needs evidence: proven"
        raise refused("evidence", text, "Remove evidence, or write evidence: proven.")
    return config.model_copy(update={"evidence": "proven"})


def _check_agreement(config: gate_keys.GateKeys) -> None:
    """Refuse an agreement with what is not a baseline of the gate, or with one that has no model yet."""
    if config.agreement is None:
        return

    if config.stage == "ready" and config.asked_by == "agreement":
        what = (
            f"{config.quoted('stage')} judges no candidate, and this gate asks for agreement alone"
        )
        cure = "Remove stage, or write the margin by which the candidate is to beat a baseline."
        raise ConfigError(what, where=config.sources["stage"].where(), cure=cure)

    name = config.agreement.with_baseline
    where = config.agreement.sources["with"].where()
    if name in config.baselines:
        return
    if name in config.standards:
        what = f"the baseline {name!r} has no model yet, so no candidate can agree with it"
        raise ConfigError(what, where=where, cure="Write its model, or remove agreement.")
    roles = list(config.baselines)
    what = f"{name!r} is not a baseline of this gate{suggestion(name, roles)}"
    raise ConfigError(what, where=where, cure=f"Name one of its baselines: {listed(roles)}.")


def _adopted(config: gate_keys.GateKeys) -> gate_keys.GateKeys:
    """Return a gate with the margin, or else the max_drop, of its baselines' own standards if it has none itself."""
    own = [config.standard_of(role) for role in config.baselines if role in config.standards]
    margins = [one for one in own if not one.drops]
    if config.margin is not None or not own or (config.max_drop is not None and not margins):
        return config
    weakest = min(margins or own, key=lambda one: one.gain)
    key = "margin" if margins else "max_drop"
    adopted = config.model_copy(update={key: abs(weakest.gain)})
    adopted._sources = {**config.sources, key: config.sources[weakest.path]}
    return adopted
