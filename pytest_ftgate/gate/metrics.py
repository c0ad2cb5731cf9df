"""Build the metrics that a gate names anywhere, each with one set of options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks import bounds, hypothesis
from pytest_ftgate.errors import ConfigError, Where, guarded
from pytest_ftgate.metrics.labels import READING_OPTIONS, distinct_outputs

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys, MetricSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric


def build_metrics(config: GateKeys, test: DataSet, training: DataSet | None, hook: Any | None) -> dict[str, Metric]:
    """Return the deciding metric, those of ``require`` and ``show``, and accuracy where answers are labels."""
    from pytest_ftgate.config import MetricSpec
    from pytest_ftgate.metrics import build_metric, check_labels

    labels, known = distinct_outputs(test), distinct_outputs(*([training] if training else []))
    blank = test.without_output()
    custom = custom_metrics(hook)

    def build(spec: MetricSpec) -> Metric:
        others = bounds.RUN_METRICS if any(spec is bound.metric for bound in config.require) else ()
        return build_metric(spec, labels=labels, custom=custom, known=known, others=others, blank=blank)

    metrics = {name: build(spec) for name, spec in _by_name(_asked(config)).items()}
    if metrics[config.metric.name].uses_labels and "accuracy" not in metrics:
        options = {key: value for key, value in config.metric.options.items() if key in READING_OPTIONS}
        metrics["accuracy"] = build(MetricSpec("accuracy", options, config.metric.source))
    expected = [example.expected for example in test.examples]
    for name, metric in metrics.items():
        if metric.uses_labels:
            check_labels(name, expected, test.where)
    return metrics


def needs_expected(config: GateKeys) -> bool:
    """Return whether any metric needs expected outputs; judges do without."""
    from pytest_ftgate.config.metrics import JUDGED

    return any(spec.name not in JUDGED for spec in _asked(config))


def _asked(config: GateKeys) -> list[MetricSpec]:
    """Return every metric of answers that the gate names, the deciding one first."""
    required = [bound.metric for bound in config.require if bound.metric.name not in bounds.RUN_METRICS]
    asked = [config.metric, *required, *config.show]
    if config.prediction is None:
        return asked
    hypothesis.refuse_run_metric(config.prediction)
    return [*asked, config.prediction.metric]


def _by_name(asked: Sequence[MetricSpec]) -> dict[str, MetricSpec]:
    """Return one spec per metric. Options may be given where it is first named, or be the same everywhere."""
    from pytest_ftgate.config.metrics import JUDGED

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
    custom: dict[str, Any] = {}
    given = guarded("the hook pytest_ftgate_metrics", hook.pytest_ftgate_metrics) if hook is not None else ()
    for mapping in given:
        if not isinstance(mapping, Mapping) or not all(isinstance(name, str) for name in mapping):
            raise ConfigError(
                "the hook pytest_ftgate_metrics must return a mapping of names to metrics",
                evidence=f"it returned a value of type {type(mapping).__name__}",
            )
        for name, metric in mapping.items():
            if name in custom:
                raise ConfigError(
                    f"two hooks pytest_ftgate_metrics return a metric named {name!r}",
                    cure="Rename one of them.",
                )
            custom[name] = metric
    return custom
