"""Build the metrics that a gate names anywhere, and reject thresholds that are always or never met."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from pytest_ftgate.checks.parts import check_possible
from pytest_ftgate.checks.ready import check_prediction
from pytest_ftgate.checks.thresholds import RUN_METRICS
from pytest_ftgate.config import GateKeys, MetricSpec
from pytest_ftgate.config.metrics import JUDGED
from pytest_ftgate.data import DataSet
from pytest_ftgate.errors import ConfigError, Where, guarded
from pytest_ftgate.metrics import Metric, build_metric, reads_expected
from pytest_ftgate.metrics.labels import READING_OPTIONS, distinct_outputs


def build_metrics(config: GateKeys, test: DataSet, training: DataSet | None, hook: Any | None) -> dict[str, Metric]:
    """Return the metrics of ``metric`` and ``thresholds``, and accuracy where answers are labels."""
    labels, known = distinct_outputs(test), distinct_outputs(*([training] if training else []))
    custom = custom_metrics(hook)

    def build(spec: MetricSpec) -> Metric:
        others = RUN_METRICS if spec.name in config.thresholds else ()
        return build_metric(spec, labels=labels, custom=custom, known=known, others=others, examples=test.examples)

    metrics = {name: build(spec) for name, spec in _by_name(_asked(config)).items()}
    if metrics[config.decided_by.name].uses_labels and "accuracy" not in metrics:
        options = {key: value for key, value in config.decided_by.options.items() if key in READING_OPTIONS}
        metrics["accuracy"] = build(MetricSpec("accuracy", options, config.decided_by.source))
    return metrics


def needs_expected(config: GateKeys, hook: Any | None) -> bool:
    """Return whether any metric of a gate needs expected outputs."""
    custom = custom_metrics(hook)
    return any(reads_expected(spec, custom) for spec in _asked(config))


def _asked(config: GateKeys) -> list[MetricSpec]:
    """Return every metric of answers that the gate names, the deciding one first."""
    names = dict.fromkeys((*(one.name for one in config.metrics), *config.thresholds))
    return [config.metric_named(name) for name in names if name not in RUN_METRICS]


def _by_name(asked: Sequence[MetricSpec]) -> dict[str, MetricSpec]:
    """Return one spec per metric. Options may be given where it is first named, or be the same everywhere."""
    specs: dict[str, MetricSpec] = {}
    for spec in asked:
        first = specs.setdefault(spec.name, spec)
        if spec.name in JUDGED and not first.options:  # a judge is named once, wherever that is
            specs[spec.name] = first = spec
        if spec.options and spec.options != first.options:
            raise ConfigError(
                f"the metric {spec.name} is used twice with different options",
                where=Where(key="metric"),
                evidence=f"{first.options} ({first.source}) and {spec.options} ({spec.source})",
                cure="Use the same options everywhere in one gate.",
            )
    return specs


def custom_metrics(hook: Any | None) -> dict[str, Any]:
    """Return the metrics from hooks by name."""
    called, custom = "the hook pytest_ftgate_metrics", dict[str, Any]()
    given = guarded(called, lambda: [dict(one) for one in hook.pytest_ftgate_metrics()]) if hook is not None else []
    for mapping in ({str(name): metric for name, metric in one.items()} for one in given):
        for name in mapping.keys() & custom.keys():
            raise ConfigError(f"two hooks pytest_ftgate_metrics return a metric named {name!r}", cure="Rename one.")
        custom |= mapping
    return custom


def check_keys(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Raise :class:`ConfigError` for an impossible margin, threshold or hypothesis, or a meaningless ``errors``."""
    metric, standards = metrics[config.decided_by.name], map(config.standard_of, config.baselines)
    path, gain = max(standards, key=lambda one: abs(one.gain))
    check_possible(metric, path, abs(gain), config.sources[path])
    _check_thresholds(config, metrics)
    check_prediction(config, metric)
    _check_errors(config)


def _check_thresholds(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Refuse a threshold outside of a metric's range, which always or never holds: 5 for an error rate of 5 %."""
    for name, limits in config.thresholds.items():
        low, high = RUN_METRICS.get(name) or (metrics[name].low, metrics[name].high)
        lies = f"is between {low:g} and {high:g}" if high < inf else f"is never below {low:g}"
        for key, value in (("min", limits.min), ("max", limits.max)):
            if value is not None and not low <= value <= high:
                raise ConfigError(
                    f"{key} {value:g} ({limits.source}) is impossible: {name} {lies}",
                    where=Where(limits.source.place or None),
                    cure=f"Did you mean {value / 100:g}?" if high == 1 < value <= 100 else None,
                )


def _check_errors(config: GateKeys) -> None:
    """Refuse ``missing_answers: wrong`` with precision, which rises when answers are missing."""
    if config.missing_answers != "wrong":
        return
    for spec in config.judged_by:
        if spec.name.partition("_")[0] == "precision":
            raise ConfigError(
                f"missing_answers: wrong cannot be used with {spec.name}, which ignores missing answers",
                where=config.sources["missing_answers"].where("missing_answers"),
                cure="Use f1 or recall, or missing_answers: error.",
            )
