"""All that can be known about a gate before a model is called, and what has to hold by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from pytest_ftgate import gate, match, prompt_leak, straw_man
from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.foreign import guarded
from pytest_ftgate.result import Check

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig, MetricSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model, Notes
    from pytest_ftgate.training import TrainingAudit


@dataclass(frozen=True)
class Prepared:
    """All that can be known before a model is called."""

    config: GateConfig
    test: DataSet
    training: DataSet
    audit: TrainingAudit
    metrics: Mapping[str, Metric]
    models: Mapping[str, Model]  # by role: the baselines' names, then "candidate"

    @property
    def deciding(self) -> Metric:
        return self.metrics[self.config.metric.name]

    @property
    def groups(self) -> list[str | None]:
        return [example.group for example in self.test.examples]

    @property
    def grouped(self) -> bool:
        """Some examples belong together."""
        from pytest_ftgate.inference import group_codes

        return group_codes(self.groups, len(self.test)) is not None

    @property
    def expected(self) -> list[Any]:
        return [example.expected for example in self.test.examples]


def prepare(
    config: GateConfig,
    load: Callable[[Any, str], DataSet],
    hook: Any | None,
    *,
    notes: Notes | None = None,
    offline: bool = False,
    newer_than: float | None = None,
) -> Prepared:
    """Read the data, build metrics and models. Raises :class:`FtgateError` where something cannot be used."""
    from pytest_ftgate.models import Surroundings, build_model
    from pytest_ftgate.training import audit_training_set, check_test_set

    test = load(config.test_set, str(config.sources["test_set"]))
    training = load(config.training_set, str(config.sources["training_set"]))
    check_test_set(test)
    metrics = build_metrics(config, test, training, hook)
    _check_margin(config, metrics[config.metric.name])
    _check_bounds(config, metrics)
    _check_errors(config)
    audit = audit_training_set(training, test)
    specs = {**config.baselines, "candidate": config.candidate}
    surroundings = Surroundings(training, notes, offline, newer_than)
    models = {role: build_model(spec, surroundings, hook) for role, spec in specs.items()}
    return Prepared(config, test, training, audit, metrics, models)


def build_metrics(config: GateConfig, test: DataSet, training: DataSet | None, hook: Any | None) -> dict[str, Metric]:
    """The deciding metric first, then those of ``require`` and ``show``, and accuracy where answers are labels."""
    from pytest_ftgate.config import MetricSpec
    from pytest_ftgate.data import expected_text
    from pytest_ftgate.metrics import build_metric, check_labels

    labels = sorted({expected_text(example.expected) for example in test.examples})
    known = sorted({expected_text(example.expected) for example in training.examples}) if training else []
    custom = _custom_metrics(hook)

    def build(spec: MetricSpec) -> Metric:
        return build_metric(spec, labels=labels, custom=custom, known=known)

    asked = [
        config.metric,
        *(b.metric for b in config.require if b.metric.name not in gate.RUN_METRICS),
        *config.show,
    ]
    specs = _by_name(asked)
    metrics = {name: build(spec) for name, spec in specs.items()}
    deciding = metrics[config.metric.name]
    if deciding.uses_labels and "accuracy" not in metrics:
        options = {k: v for k, v in config.metric.options.items() if k in ("normalize", "pattern", "json_field")}
        metrics["accuracy"] = build(MetricSpec("accuracy", options, config.metric.source))
    expected = [example.expected for example in test.examples]
    for name, metric in metrics.items():
        if metric.uses_labels:
            check_labels(name, expected)
    return metrics


def _by_name(asked: Sequence[MetricSpec]) -> dict[str, MetricSpec]:
    specs: dict[str, MetricSpec] = {}
    for spec in asked:
        first = specs.setdefault(spec.name, spec)
        if spec.options and spec.options != first.options:
            raise ConfigError(
                f"the metric {spec.name} is asked for twice with different options",
                where=Where(key="metric"),
                evidence=f"{first.options} ({first.source}) and {spec.options} ({spec.source})",
                cure="Give it the same options everywhere in one gate.",
            )
    return specs


def _custom_metrics(hook: Any | None) -> dict[str, Any]:
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
                    f"two hooks pytest_ftgate_metrics give a metric named {name!r}",
                    cure="Rename one of them.",
                )
            custom[name] = metric
    return custom


def _check_margin(config: GateConfig, metric: Metric) -> None:
    """A margin that no model could reach is a slip of the pen: 3 for three points."""
    widest = metric.high - metric.low
    key, asked = config.asked_by, abs(config.asked_gain)
    if asked < widest:
        return
    percent = asked / 100
    raise ConfigError(
        f"{key} {asked:g} ({config.sources[key]}) is impossible: "
        f"{metric.name} lies between {metric.low:g} and {metric.high:g}",
        cure=f"Did you mean {percent:g}?" if percent < widest else f"Give the {key} in the metric's unit.",
    )


def _check_bounds(config: GateConfig, metrics: Mapping[str, Metric]) -> None:
    """A bound outside of a metric's range holds always or never: 5 for an error rate of five percent."""
    for bound in config.require:
        name = bound.metric.name
        low, high = gate.RUN_METRICS.get(name) or (metrics[name].low, metrics[name].high)
        lies = f"lies between {low:g} and {high:g}" if high < inf else f"is never below {low:g}"
        for key, value in (("min", bound.min), ("max", bound.max)):
            if value is not None and not low <= value <= high:
                raise ConfigError(
                    f"{key} {value:g} ({bound.source}) is impossible: {name} {lies}",
                    cure=f"Did you mean {value / 100:g}?" if high == 1 < value <= 100 else None,
                )


def _check_errors(config: GateConfig) -> None:
    """A missing answer counts as wrong. For precision none is no fault: the more are missing, the higher it is."""
    if config.errors != "score_zero":
        return
    asked = [config.metric, *(bound.metric for bound in config.require if bound.of == "candidate")]
    for spec in asked:
        if spec.name.partition("_")[0] == "precision":
            raise ConfigError(
                f"errors: score_zero has no meaning for {spec.name}, which looks only at what was answered",
                where=Where(str(config.sources["errors"]), key="errors"),
                cure="Use f1 or recall, or errors: error.",
            )


def free_checks(prepared: Prepared) -> list[Check]:
    """Training set, test set, and what the baseline is: judged before anything is paid for."""
    from pytest_ftgate.economics_checks import free_economics_checks
    from pytest_ftgate.inference import MIN_GROUPS, fewest_wins, group_codes
    from pytest_ftgate.latency import unsampled_checks

    config, metric, n = prepared.config, prepared.deciding, len(prepared.test)
    checks = gate.training_checks(config, prepared.audit, prepared.training, prepared.test)
    checks += prompt_leak.prompt_leak_checks(config, prepared.models["candidate"], prepared.test)
    checks.append(gate.test_size_check(config, n))
    checks += gate.limit_checks(config)
    groups = group_codes(prepared.groups, n)
    if groups is not None and config.evidence != "observed":
        few = gate.groups_check(config, int(groups.max()) + 1, MIN_GROUPS)
        checks += [few] if few else []
    elif config.objective == "beat" and metric.kind == "right_wrong" and config.repeats == 1 and n:
        wins = fewest_wins(n, margin=config.asked_gain, confidence=config.confidence, evidence=config.evidence)
        checks.append(gate.reach_check(config, n, wins))
    if config.objective == "match":
        checks += match.free_match_checks(config, metric, n, prepared.models, grouped=groups is not None)
    checks += free_economics_checks(config.economics, prepared.models)
    checks += straw_man.same_model_checks(config, prepared.models, prepared.test)
    checks += straw_man.prompt_checks(config, prepared.test)
    checks += straw_man.params_checks(config)
    checks += straw_man.swapped_checks(config)
    checks += unsampled_checks([*config.require, *match.latency_bounds(config)], prepared.models)
    return checks
