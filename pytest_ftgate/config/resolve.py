"""Merge the places that configure a gate.

The nearest place wins for each key, and each value keeps its source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_ftgate.config import comparing, forms
from pytest_ftgate.config.gate_file import GateFile
from pytest_ftgate.config.gate_keys import GateKeys
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
from pytest_ftgate.errors import ConfigError, FtgateError, Where, combined
from pytest_ftgate.text import KeyPath, listed, suggestion

_FACTORS = ("cheaper_by", "faster_by")
_BY_NAME = ("thresholds", "checks")
"""The mappings of names that are merged: each name is taken from the nearest layer that has it."""

_STAND_INS: Mapping[str, Any] = {
    "test_set": (),
    "training_set": (),
    "baseline": str,
    "candidate": str,
    "margin": 0.0,
}
"""The required keys, and values for those that a gate of the file leaves to markers."""

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
        if self.layer:
            return self.layer.source((self.key, *below))
        return BUILT_IN


def resolve_gate(
    layers: Sequence[Layer],
    *,
    file: GateFile | None,
    gate: str | None,
    default_name: str,
    named_at: Where | None = None,
) -> GateKeys:
    """Merge all places that configure a gate, the nearest first, and validate the result.

    Args:
        layers: the places.
        file: the gate file.
        gate: the gate in the gate file; None if it is not there.
        default_name: its name in that case.
        named_at: where it is written in that case.

    Raises:
        ConfigError: a key is missing or not valid, or contradicts another one.
    """
    values = _nearest(layers, file.models if file else {})
    missing = _missing_keys(values)
    if missing:
        # What is written in a marker alone has no place in the gate file.
        where = named_at
        if file is not None and gate is not None:
            where = file.where(("gates", gate))
        raise _missing(missing, where, file if gate is None else None)

    config = _merged(values, gate, gate or default_name)
    _check_standards(config)
    config = _adopted(config)
    _check_agreement(config)
    _check_gain(config)
    _check_candidate(config)
    _check_half(config)
    _check_data(config)
    # That a loss is at most max_drop must always be proven.
    if config.matches:
        config = config.model_copy(update={"evidence": "proven"})

    if file is not None and file.policy is not None:
        policy = _by_policy(config, file, file.policy, layers)
        comparing.check_policy(policy, config, file.policy.values)
    return config


def as_written(file: GateFile, gate: str) -> GateKeys:
    """Return a gate as the file alone defines it.

    Keys that it leaves to markers have stand-ins, from :data:`LEFT_OPEN`.
    """
    layers = file.layers(gate)
    missing = _missing_keys(_nearest(layers, file.models))
    stand_ins = {key: _STAND_INS[key] for key in missing}
    left_open = Layer(stand_ins, dict.fromkeys(missing, LEFT_OPEN))
    return resolve_gate([*layers, left_open], file=file, gate=gate, default_name=gate)


def _by_policy(
    config: GateKeys,
    file: GateFile,
    policy: Layer,
    layers: Sequence[Layer],
) -> GateKeys:
    """Return a gate with the values of its policy in place of its own."""
    values = _nearest([policy, *layers], file.models)
    strict = _adopted(_merged(values, config.gate, config.name))

    # Only the metric that decides is the policy's: the others are of the gate's thresholds.
    names = [metric.name for metric in strict.metrics]
    secondary = [metric for metric in config.metrics if metric.name not in names]
    return strict.model_copy(update={"metric": (*strict.metrics, *secondary)})


# --- merge the layers -----------------------------------------------------------------------------


def _nearest(layers: Sequence[Layer], models: Mapping[str, ModelSpec]) -> dict[str, _Value]:
    """Return the value of each key from the nearest layer that has it. Raises all problems."""
    built_in = GateKeys.model_validate({}, context=Reading())
    values = {}
    for key in GateKeys.model_fields:
        values[key] = _Value(key, getattr(built_in, key), None)

    problems: list[FtgateError] = []
    # The farthest layer first, so that a nearer one replaces its values.
    for layer in reversed(layers):
        try:
            read = _read(layer, models)
        except ConfigError as error:
            problems += error.problems
            continue

        for key in read.model_fields_set:
            value = _Value(key, getattr(read, key), layer)
            if key in _BY_NAME:
                value = _joined(values[key], value)
            values[key] = value
            # two forms of one key: the nearer layer's counts
            if key in ("baseline", "baselines"):
                values["baseline"] = values["baselines"] = value
    if problems:
        raise combined(problems)
    return values


def _read(layer: Layer, models: Mapping[str, ModelSpec]) -> GateKeys:
    def error_at(path: KeyPath, text: str) -> ConfigError:
        return ConfigError(text, where=layer.source(path).where())

    folder = next((layer.source((key,)).base_dir for key in layer.values), Path())
    reading = Reading(models, layer.takes_objects, folder)
    return read_keys(GateKeys, layer.values, reading, error_at)


def _joined(far: _Value, near: _Value) -> _Value:
    """Return a mapping of names of which the nearer layer's count."""
    names = {**far.names, **{name: near.at(name) for name in near.read}}
    return replace(near, read={**far.read, **place(near.read, near.at)}, names=names)


def _merged(values: Mapping[str, _Value], gate: str | None, name: str) -> GateKeys:
    """Return one gate made of the merged values; each value keeps its source."""
    read = {}
    sources = {}
    for key, value in values.items():
        read[key] = value.read if key in _BY_NAME else place(value.read, value.at)
        sources[key] = value.at()

    standards = {}
    models = {}
    for role, entry in _by_role(values["baselines"].key, read["baselines"]).items():
        if isinstance(entry, ModelSpec):
            models[role] = entry
            continue
        standards[role] = entry
        if entry.model is not None:
            models[role] = entry.model
    read["baseline"] = read["baselines"] = models
    if read["candidate"] is None:
        read["candidate"] = no_candidate(values["candidate"].at())
    read["name"] = read["name"] or name

    for key, value in read.items():
        sources.update(sources_within(value, key))
    for key in _BY_NAME:
        for named, source in values[key].names.items():
            sources[f"{key}.{named}"] = source
    for role, standard in standards.items():
        sources.update(sources_within(standard, f"baselines.{role}"))

    # Each value was validated where it is written, and must not be again.
    written = {key for key, value in values.items() if value.layer}
    merged = GateKeys.model_construct(written, **read)
    merged._sources = sources
    merged._gate = gate
    merged._standards = standards
    return merged


def _adopted(config: GateKeys) -> GateKeys:
    """Return a gate that takes over a standard of its baselines if it has none itself.

    It is the weakest margin, or else the weakest max_drop.
    """
    if config.margin is not None:
        return config
    roles = [role for role in config.baselines if role in config.standards]
    standards = [config.standard_of(role) for role in roles]
    margins = [standard for standard in standards if not standard.drops]
    if not margins and (config.max_drop is not None or not standards):
        return config

    weakest = min(margins or standards, key=lambda standard: standard.gain)
    key = "margin" if margins else "max_drop"
    adopted = config.model_copy(update={key: abs(weakest.gain)})
    adopted._sources = {**config.sources, key: config.sources[weakest.path]}
    return adopted


# --- keys that are missing ------------------------------------------------------------------------


def _by_role(key: str, baselines: Any) -> dict[str, ModelSpec | BaselineKeys]:
    """Return the baselines by role; that of a single one is its key."""
    if isinstance(baselines, ModelSpec):
        return {key: baselines}
    return baselines or {}


def _missing_keys(values: Mapping[str, _Value]) -> list[str]:
    """Return the required keys that no place sets."""
    missing = [key for key in _STAND_INS if values[key].read is None]
    if values["stage"].read == "ready" and "candidate" in missing:
        missing.remove("candidate")
    if not _needs_margin(values) and "margin" in missing:
        missing.remove("margin")
    return missing


def _needs_margin(values: Mapping[str, _Value]) -> bool:
    """Return whether the gate needs a margin.

    It does if a baseline has no standard of its own, and is not to be copied.
    """
    if values["max_drop"].read is not None:
        return False

    agreement = values["agreement"].read
    copied = agreement.with_baseline if agreement is not None else None
    baselines = _by_role(values["baselines"].key, values["baselines"].read)
    bare = {role for role, entry in baselines.items() if not isinstance(entry, BaselineKeys)}
    if not baselines:  # one that a marker or a fixture gives has this name
        bare = {"baseline"}
    return bool(bare - {copied})


def _missing(keys: Sequence[str], where: Where | None, unnamed_in: GateFile | None) -> ConfigError:
    """Return the error about required keys that no place sets.

    ``unnamed_in``: the gate file, where the marker names none of its gates.
    """
    named = [f"{key} (or {_OTHERS[key]})" if key in _OTHERS else key for key in keys]
    forms_of_keys = []
    for key in keys:
        example = GateKeys.example_of(key)
        forms_of_keys.append(forms.form(key, example, in_python=False, is_keyword=False))
    cure = f"Write {', '.join(forms_of_keys)} into the gate of the gate file, or into its marker "
    cure += "or judge(); data and models may also come from fixtures such as ftgate_candidate."
    if unnamed_in is not None and unnamed_in.gate_names:
        mark = f'@pytest.mark.ftgate("{unnamed_in.gate_names[0]}")'
        cure = f"Name a gate of {unnamed_in.shown}, as in {mark}. Or: {cure}"
    if "candidate" in keys:
        cure += " If no candidate is trained yet, write stage: ready."
    return ConfigError(f"required keys are missing: {', '.join(named)}", where=where, cure=cure)


# --- keys that contradict each other --------------------------------------------------------------


def _contradiction(config: GateKeys, key: str, text: str, cure: str) -> ConfigError:
    """Return the error about a key that contradicts another one, where it is written."""
    text = text.removeprefix(f"{key} ")  # the place ends with the key
    return ConfigError(text, where=config.sources[key].where(), cure=cure)


def _check_standards(config: GateKeys) -> None:
    """Refuse a gate without any baseline, and one with both margin and max_drop."""
    if not config.baselines:
        text = "no baseline has a model yet, so there is nothing to compare with"
        cure = "Add the prompt that the candidate must beat: baselines: {prompt: NAME, ...}."
        raise _contradiction(config, "baselines", text, cure)
    if config.margin is not None and config.max_drop is not None:
        text = f"{config.quoted('max_drop', beside='margin')} is set, too"
        cure = "Remove one of them. With max_drop the candidate may be worse, and no gain is "
        cure += "required."
        raise _contradiction(config, "margin", text, cure)


def _check_agreement(config: GateKeys) -> None:
    """Refuse an agreement with what is not a baseline of the gate, or has no model yet."""
    if config.agreement is None:
        return

    if config.stage == "ready" and config.asked_by == "agreement":
        what = "ready judges no candidate, and this gate asks for agreement alone"
        cure = "Remove stage, or write the margin by which the candidate is to beat a baseline."
        raise _contradiction(config, "stage", what, cure)

    name = config.agreement.with_baseline
    where = config.agreement.sources["with"].where()
    # What the gate file leaves to markers is known only with them.
    is_open = config.sources["baselines"] == LEFT_OPEN
    if name in config.baselines or is_open:
        return
    roles = list(config.baselines)
    what = f"{name!r} is no baseline with a model{suggestion(name, roles)}"
    raise ConfigError(what, where=where, cure=f"Name one of its baselines: {listed(roles)}.")


def _check_gain(config: GateKeys) -> None:
    """Refuse a margin that applies to no baseline, and max_drop without its reason."""
    if not config.decisive:
        text = "applies to no baseline, because each has max_drop or agreement"
        cure = "Add the prompt that the candidate must beat to baselines, or remove margin."
        raise _contradiction(config, "margin", text, cure)

    factors = [key for key in _FACTORS if getattr(config, key) is not None]
    if not config.matches:
        for key in factors:
            text = f"needs max_drop, and this gate has {config.asked_by}"
            cure = f"Write max_drop, without a margin, or remove {key}."
            raise _contradiction(config, key, text, cure)
        return

    if not factors and config.agreement is None:
        text = "needs cheaper_by or faster_by: a candidate that is only as good is no improvement"
        cure = "Write cheaper_by: 5 for a fifth of the cost per call, faster_by: 2 for half the "
        cure += "time, or both; or add the prompt to baselines, with a margin."
        raise _contradiction(config, "max_drop", text, cure)
    if config.sources["evidence"].kind != "default" and config.evidence != "proven":
        max_drop = config.quoted("max_drop", beside="evidence")
        text = f"contradicts {max_drop}, which needs evidence: proven"
        cure = "Remove evidence, or write evidence: proven."
        raise _contradiction(config, "evidence", text, cure)


def _check_data(config: GateKeys) -> None:
    """Refuse one file as both sets."""
    files = [data for data in (config.test_set, config.training_set) if data.rows is None]
    if len(files) == 2 and files[0].path == files[1].path:
        cure = "Write both sets with python -m pytest_ftgate split FILE, and train again on the "
        cure += "training set: the model must not have seen the test examples."
        raise _contradiction(config, "test_set", "is the same file as training_set", cure)
    for key in ("test_set", "training_set"):
        if getattr(config, key) is not None and getattr(config, key).labels is not None:
            cure = "Write the labels into its rows, as expected."
            raise _contradiction(config, key, "cannot have labels: they are of unlabeled_set", cure)


def _check_candidate(config: GateKeys) -> None:
    """Refuse a candidate that a gate names and does not judge."""
    if config.stage == "ready" and config.has_candidate:
        stage = config.quoted("stage", beside="candidate")
        what = f"{stage} judges no candidate, and this gate names one: {config.candidate}"
        cure = "Remove stage to judge the candidate, or remove candidate until it is trained."
        raise _contradiction(config, "candidate", what, cure)


def _check_half(config: GateKeys) -> None:
    """Refuse a half of the training set where there is nothing to compare its model with."""
    half = config.candidate_half
    if half is None:
        return

    cure = "Remove candidate_half."
    if config.stage == "ready":
        stage = config.quoted("stage", beside="candidate_half")
        text = f"is for a candidate, and {stage} judges none"
        raise _contradiction(config, "candidate_half", text, cure)
    if config.asked_by == "agreement":
        text = "says whether more data reach a margin, and this gate asks for agreement alone"
        raise _contradiction(config, "candidate_half", text, cure)
    if half.model.identity == config.candidate.identity:
        text = f"is the candidate itself ({half.model.spelling})"
        cure = "Train by the same recipe on the rows of its training_set alone, and write that "
        cure += "model."
        raise _contradiction(config, "candidate_half", text, cure)
