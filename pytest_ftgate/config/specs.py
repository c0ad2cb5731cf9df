"""What was read becomes what the package works with: paths absolute, names and sources settled."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.config.clock_keys import ClockKeys
from pytest_ftgate.config.economics_keys import EconomicsKeys
from pytest_ftgate.config.gate_config import (
    AUDIT_DEFAULTS,
    AuditSpec,
    Bound,
    ClockSpec,
    DataSpec,
    EconomicsSpec,
    GuardSpec,
    MetricSpec,
    ModelSpec,
    Prediction,
    SliceSpec,
)
from pytest_ftgate.config.gate_keys import (
    MAX_TOKENS,
    AuditKeys,
    BoundKeys,
    DataKeys,
    GuardKeys,
    HypothesisKeys,
    MetricKeys,
    SliceKeys,
)
from pytest_ftgate.config.keys import Keys
from pytest_ftgate.config.metric_options import metric_options
from pytest_ftgate.config.model_keys import AnyModel, Given, ModelKeys, Named, OpenAIKeys, PythonKeys, RecordedKeys
from pytest_ftgate.config.source import BUILT_IN, Source


def data_spec(read: DataKeys | Iterable[Any], source: Source) -> DataSpec | Iterable[Any]:
    """The file to read, or the examples that Python code gave, untouched."""
    if not isinstance(read, DataKeys):
        return read
    return DataSpec(_absolute(read.path, source), read.format, read.fields or {}, read.limit, source)


def metric_spec(read: MetricKeys, source: Source) -> MetricSpec:
    """The metric that was written."""
    return MetricSpec(read.name, metric_options(read.name, read.model_extra or {}, source), source)


def bound(read: BoundKeys, at: Callable[..., Source]) -> Bound:
    """The bound that was written; ``at`` gives the source of it and of each of its keys."""
    return Bound(metric_spec(read.metric, at("metric")), read.min, read.max, read.of, at())


def hypothesis(read: HypothesisKeys | str | None, source: Source, deciding: MetricSpec) -> Prediction | str | None:
    """The sentence that was written, or the prediction; without a metric it is about the deciding one."""
    if not isinstance(read, HypothesisKeys):
        return read
    metric = deciding if read.metric is None else metric_spec(read.metric, source)
    return Prediction(metric, read.from_, read.to, read.because, source)


def economics_spec(read: EconomicsKeys, at: Callable[[str], Source]) -> EconomicsSpec:
    """What was written; ``at`` gives the source of each key."""
    keys = EconomicsKeys.model_fields
    return EconomicsSpec(**{key: getattr(read, key) for key in keys}, sources={key: at(key) for key in keys})


def audit_spec(read: AuditKeys | None) -> AuditSpec:
    """What was written about the training audit, and the defaults where nothing was."""
    levels = {name: getattr(read, name, None) or level for name, level in AUDIT_DEFAULTS.items()}
    return AuditSpec(levels, read.max_tokens if read else MAX_TOKENS)


def clock_spec(read: ClockKeys | None, at: Callable[[str], Source]) -> ClockSpec:
    """What was written about the clock, and the defaults where nothing was; ``at`` gives the source of each key."""
    if read is None:
        return ClockSpec()
    return ClockSpec(**{key: getattr(read, key) for key in read.model_fields_set}, sources=_sources(read, at))


def guard_spec(read: GuardKeys, at: Callable[[str], Source]) -> GuardSpec:
    """The guard that was written; ``at`` gives the source of each of its keys."""
    sources = _sources(read, at)
    return GuardSpec(
        data_spec(read.test_set, sources["test_set"]),
        metric_spec(read.metric, sources["metric"]),
        read.max_drop,
        read.evidence,
        sources,
    )


def slice_spec(read: SliceKeys, at: Callable[[str], Source]) -> SliceSpec:
    """The slices that were written; ``at`` gives the source of each of their keys."""
    return SliceSpec(tuple(read.fields), read.max_drop, read.evidence, read.min_examples, _sources(read, at))


def _sources(read: Keys, at: Callable[[str], Source]) -> dict[str, Source]:
    return {key: at(key) if key in read.model_fields_set else BUILT_IN for key in type(read).model_fields}


def model_spec(
    read: AnyModel, source: Source, models: Mapping[str, ModelSpec], *, name: str | None = None
) -> ModelSpec:
    """The model that was written.

    Args:
        read: what stands there.
        source: where it stands.
        models: the models of the gate file, by name.
        name: the name under which it stands there itself, if it does; a ``name`` of its own goes before it.
    """
    if isinstance(read, Named):
        model = models[read.name]
        return replace(model, name=model.options.get("name") or name or model.name)
    if isinstance(read, Given):
        return _given(read.function, source, name)
    spelling, short = _spelling(read)
    options = {key: _option(read, key, source) for key in _written(read) if key != "provider"}
    return ModelSpec(read.provider, options, spelling, read.name or name or short, source)


def _given(function: Any, source: Source, name: str | None) -> ModelSpec:
    named = getattr(function, "func", function)  # functools.partial keeps the function there
    own = _text(function, "name") if hasattr(function, "complete") else None
    short = own or name or _text(named, "__name__") or _text(function, "name") or type(function).__name__
    qualified = _text(named, "__qualname__") or type(function).__qualname__
    module = _text(named, "__module__") or type(function).__module__
    spelling = _text(function, "spelling") or f"{module}.{qualified}"
    return ModelSpec("callable", {"function": function}, spelling, short, source)


def _text(thing: Any, attribute: str) -> str | None:
    value = getattr(thing, attribute, None)
    return value if isinstance(value, str) and value.strip() else None


def _spelling(read: ModelKeys) -> tuple[str, str]:
    """The model's spelling and its own short name."""
    if isinstance(read, OpenAIKeys):
        return (f"openai:{read.model}", read.model) if read.model else (f"openai job {read.job}", read.job)
    if isinstance(read, PythonKeys):
        return f"python:{read.target}", read.target.rpartition(":")[2]
    if isinstance(read, RecordedKeys):
        return f"recorded:{read.path}", os.path.basename(read.path)
    model = (read.model_extra or {}).get("model")
    return (f"{read.provider}:{model}", str(model)) if model else (read.provider, read.provider)


_PATHS = {(OpenAIKeys, "system_file"), (RecordedKeys, "path")}


def _option(read: ModelKeys, key: str, source: Source) -> Any:
    value = getattr(read, key)
    if (type(read), key) in _PATHS:
        return _absolute(value, source)
    if isinstance(value, Keys):
        return {part: getattr(value, part) for part in _written(value)}
    return value


def _written(read: Keys) -> list[str]:
    """The keys that were written, in the order in which they are declared."""
    declared = (*type(read).model_fields, *(read.model_extra or {}))
    return [key for key in declared if key in read.model_fields_set]


def _absolute(path: str, source: Source) -> Path:
    return Path(os.path.abspath(source.base_dir / path))
