"""Read the inputs of a gate without calling a model: data, metrics and models."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

from pytest_ftgate import clock, errors, result
from pytest_ftgate.checks import attempts, context, ready, thresholds
from pytest_ftgate.checks.audit import (
    TrainingAudit,
    audit_training_set,
    check_test_set,
    grouped,
    row_pairs,
)
from pytest_ftgate.checks.judging import prepare_judging
from pytest_ftgate.checks.parts import check_possible, prepare_parts
from pytest_ftgate.config import GateKeys, MetricSpec
from pytest_ftgate.data import DataSet
from pytest_ftgate.gate.state import Services
from pytest_ftgate.metrics import Metric, build_metric, labels, reads_expected
from pytest_ftgate.models import Model, Surroundings, build_model
from pytest_ftgate.models.prompt import refuse_unsent_media
from pytest_ftgate.runs import jobs, runner


def build_metrics(
    config: GateKeys, test: DataSet, training: DataSet | None, hook: Any | None
) -> dict[str, Metric]:
    """Return the metrics of ``metric`` and ``thresholds``, and accuracy where answers are labels."""
    build = _metric_builder(test, training, hook)
    metrics: dict[str, Metric] = {}
    for spec in _metric_specs(config):
        others = thresholds.RUN_METRICS if spec.name in config.thresholds else ()
        metrics[spec.name] = build(spec, other_names=others)

    if metrics[config.decided_by.name].uses_labels and "accuracy" not in metrics:
        written = config.decided_by.options
        options = {key: written[key] for key in labels.READING_OPTIONS if key in written}
        metrics["accuracy"] = build(MetricSpec("accuracy", options, config.decided_by.source))

    return metrics


def _metric_builder(
    test: DataSet, training: DataSet | None, hook: Any | None
) -> Callable[..., Metric]:
    """Return :func:`build_metric` for the labels of a test set and a training set."""
    return partial(
        build_metric,
        labels=labels.distinct_outputs(test),
        known=() if training is None else labels.distinct_outputs(training),
        custom=custom_metrics(hook),
        examples=test.examples,
    )


def needs_expected(config: GateKeys, hook: Any | None) -> bool:
    """Return whether any metric of a gate needs expected outputs."""
    custom = custom_metrics(hook)
    return any(reads_expected(spec, custom) for spec in _metric_specs(config))


def _metric_specs(config: GateKeys) -> list[MetricSpec]:
    """Return every metric of answers that the gate names, the deciding one first."""
    names = dict.fromkeys([*(metric.name for metric in config.metrics), *config.thresholds])
    return [config.metric_named(name) for name in names if name not in thresholds.RUN_METRICS]


def custom_metrics(hook: Any | None) -> dict[str, Any]:
    """Return the metrics from hooks by name."""
    if hook is None:
        return {}

    custom: dict[str, Any] = {}
    mappings = errors.guarded(
        "the hook pytest_ftgate_metrics",
        lambda: [dict(metrics) for metrics in hook.pytest_ftgate_metrics()],
    )
    for name, metric in (pair for mapping in mappings for pair in mapping.items()):
        if str(name) in custom:
            what = f"two hooks pytest_ftgate_metrics return a metric named {name!r}"
            raise errors.ConfigError(what, cure="Rename one.")
        custom[str(name)] = metric

    return custom


def check_keys(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Raise :class:`ConfigError` for a value that is impossible or has no meaning for a metric."""
    metric = metrics[config.decided_by.name]
    standards = map(config.standard_of, config.baselines)
    path, gain = max(standards, key=lambda standard: abs(standard.gain))
    check_possible(metric, path, abs(gain), config.sources[path])
    _check_thresholds(config, metrics)
    ready.check_prediction(config, metric)
    if config.missing_answers != "wrong":
        return

    for spec in config.judged_by:
        if spec.name.partition("_")[0] == "precision":  # it rises when answers are missing
            what = f"missing_answers: wrong cannot be used with {spec.name}, which ignores missing answers"
            where = config.sources["missing_answers"].where("missing_answers")
            raise errors.ConfigError(
                what, where=where, cure="Use f1 or recall, or missing_answers: error."
            )


def _check_thresholds(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Refuse a threshold outside of a metric's range: 5 for an error rate of 5 %."""
    for name, limits in config.thresholds.items():
        low, high = thresholds.RUN_METRICS.get(name) or (metrics[name].low, metrics[name].high)
        for key, value in (("min", limits.min), ("max", limits.max)):
            if value is None or low <= value <= high:
                continue

            lies = f"is between {low:g} and {high:g}" if high < inf else f"is never below {low:g}"
            what = f"{key} {value:g} ({limits.source}) is impossible: {name} {lies}"
            cure = f"Did you mean {value / 100:g}?" if high == 1 < value <= 100 else None
            raise errors.ConfigError(
                what, where=errors.Where(limits.source.place or None), cure=cure
            )


def read_inputs(config: GateKeys, services: Services, nodeid: str) -> context.Context:
    """Read the data, and build metrics and models, at the level of the attempt.

    Raises:
        FtgateError: an input cannot be read or used.
    """
    # Data, and how answers are scored.
    is_labeled = needs_expected(config, services.hook)
    whole = services.load(config.test_set, config.sources["test_set"].at, labeled=is_labeled)
    training = services.load(
        config.training_set, config.sources["training_set"].at, name="training_set"
    )
    check_test_set(whole)
    test = whole
    shown = None
    if config.max_attempts is not None:
        test, shown_test = attempts.divide(config, whole)
        # A label may be expected in the shown examples alone.
        build = _metric_builder(whole, training, services.hook)
        shown = attempts.Shown(shown_test, build(config.decided_by))
    metrics = build_metrics(config, test, training, services.hook)
    check_keys(config, metrics)
    deciding = metrics[config.decided_by.name]
    test, audit = _audited(training, test, services, deciding)

    custom = partial(custom_metrics, services.hook)
    parts = prepare_parts(config, services.load, (test, training), deciding, custom)

    # Models, and which attempt they are.
    models = _models(config, training, whole, services)
    _check_prompts(models, [whole, *(guard.test for guard in parts.others)])
    attempt = None
    if "candidate" in models:
        attempt = _attempt(config, models, test, services)
        config = attempt.config
        parts = parts.at(config.confidence)
    judging = prepare_judging(
        config, test, metrics, models, services.hook, offline=services.offline
    )

    facts = {"nodeid": nodeid, "attempt": attempt and attempt.facts}
    gate = context.Context(
        config=config,
        test=test,
        training=training,
        audit=audit,
        metrics=metrics,
        models=models,
        now=clock.wall(),
        parts=parts,
        judging=judging,
        attempt=attempt,
        shown=shown,
        facts=facts,
    )
    return gate.with_facts(**_input_facts(gate))


def _attempt(
    config: GateKeys, models: Mapping[str, Model], test: DataSet, services: Services
) -> attempts.Attempt:
    """Return which attempt the models are, for certain where all answers are known."""
    attempt = attempts.find_attempt(config, models["candidate"], test)
    if config.max_attempts is None:
        return attempt

    questions = []
    for role, model in models.items():
        questions.append(jobs.Job(model, test, config.repeats, of_candidate=role == "candidate"))
    with suppress(errors.FtgateError):  # what is wrong with the answers is said where they are used
        runs = dict(zip(models, runner.stored_runs(questions, services.stores), strict=True))
        if not any(run.unanswered for run in runs.values()):
            return attempt.answered(runs)

    return attempt


def _audited(
    training: DataSet, test: DataSet, services: Services, deciding: Metric
) -> tuple[DataSet, TrainingAudit]:
    """Return the test set with near copies in one group, and the audit of the training set."""
    audit = (services.audit or audit_training_set)(training, test, separator=deciding.separator)
    return grouped(test, audit.test_near_rows) if audit.test_near_rows else test, audit


def _input_facts(gate: context.Context) -> dict[str, Any]:
    """Return the facts of the data and of the deciding metric that are known before any call."""
    test, training, audit, metric = gate.test, gate.training, gate.audit, gate.deciding
    counts = audit.rows, audit.usable, audit.duplicates, audit.conflicts, audit.leaked
    leaked, near = (
        row_pairs(test, training, rows) for rows in (audit.leaked_rows, audit.leaked_near_rows)
    )
    trained = result.TrainingResult(training.path, training.sha256, *counts, leaked, near)
    test_set = result.TestSetResult(
        test.path, test.sha256, len(test), row_pairs(test, test, audit.test_near_rows)
    )
    facts = {"training": trained, "test_set": test_set}
    guards = tuple(one.facts for one in gate.parts.others)
    shares = tuple(name for name, measured in gate.metrics.items() if measured.share)
    return {**facts, "metric_range": (metric.low, metric.high), "shares": shares, "guards": guards}


def _models(
    config: GateKeys, training: DataSet, test: DataSet, services: Services
) -> dict[str, Model]:
    """Build each model, by role."""
    surroundings = Surroundings(training, services.offline, test)
    return {
        role: build_model(spec, surroundings, services.hook) for role, spec in config.asked.items()
    }


def _check_prompts(models: Mapping[str, Model], test_sets: Iterable[DataSet]) -> None:
    """Render each template for each of its rows, and look for what a model would not be sent.

    Raises:
        ConfigError: a placeholder names no field of a row, which would be sent with the placeholder
            in it.
        DataError: a row has images, audio or video that are not sent.
    """
    for model in models.values():
        prompt = model.prompt
        # it is a recording, or gets the whole example
        if prompt is None and model.function is None:
            continue
        for example in (example for data in test_sets for example in data):
            refuse_unsent_media(example, prompt.fields if prompt is not None else ())
            if prompt is not None and prompt.template is not None:
                prompt.messages(example)
