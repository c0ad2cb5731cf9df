"""Read the inputs of a gate without calling a model: data, metrics and models."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.checks import attempts
from pytest_ftgate.checks.audit import (
    TrainingAudit,
    check_test_set,
    grouped,
    row_pairs,
)
from pytest_ftgate.checks.context import Context, Unlabeled
from pytest_ftgate.checks.thresholds import RUN_METRICS
from pytest_ftgate.config import GateKeys, MetricSpec
from pytest_ftgate.data import DataSet
from pytest_ftgate.data.example import checked
from pytest_ftgate.errors import ConfigError, FtgateError
from pytest_ftgate.gate.half import read_half
from pytest_ftgate.gate.judges import read_judging
from pytest_ftgate.gate.names import with_clear_names
from pytest_ftgate.gate.parts import read_parts
from pytest_ftgate.gate.ranges import check_keys
from pytest_ftgate.gate.state import Services
from pytest_ftgate.gate.unlabeled import check_metric, read_unlabeled
from pytest_ftgate.guarded import guarded
from pytest_ftgate.metrics import Metric, build_metric, labels, reads_expected
from pytest_ftgate.models import Model, Surroundings, build_model
from pytest_ftgate.models.prompt import refuse_unsent_media
from pytest_ftgate.result import TestSetResult, TrainingResult
from pytest_ftgate.runs.jobs import Job
from pytest_ftgate.runs.runner import stored_runs


def build_metrics(
    config: GateKeys, test: DataSet, training: DataSet | None, hook: Any | None
) -> dict[str, Metric]:
    """Return the metrics that a gate names, and accuracy where answers are labels."""
    build = _metric_builder(test, training, hook)
    metrics: dict[str, Metric] = {}
    for spec in _metric_specs(config):
        # A misspelt threshold may mean a latency or a cost.
        other_names = RUN_METRICS if spec.name in config.thresholds else ()
        metrics[spec.name] = build(spec, other_names=other_names)

    # People look for accuracy beside any other metric of labels.
    decided_by = config.decided_by
    if metrics[decided_by.name].uses_labels and "accuracy" not in metrics:
        options = {}
        for key in labels.READING_OPTIONS:
            if key in decided_by.options:
                options[key] = decided_by.options[key]
        metrics["accuracy"] = build(MetricSpec("accuracy", options, decided_by.source))
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
    names = dict.fromkeys(metric.name for metric in config.metrics)
    names |= dict.fromkeys(config.thresholds)
    return [config.metric_named(name) for name in names if name not in RUN_METRICS]


def custom_metrics(hook: Any | None) -> dict[str, Any]:
    """Return the metrics from hooks by name."""
    if hook is None:
        return {}

    mappings = guarded(
        "the hook pytest_ftgate_metrics",
        lambda: [dict(metrics) for metrics in hook.pytest_ftgate_metrics()],
    )
    custom: dict[str, Any] = {}
    for mapping in mappings:
        for key, metric in mapping.items():
            name = str(key)
            if name in custom:
                message = f"two hooks pytest_ftgate_metrics return a metric named {name!r}"
                raise ConfigError(message, cure="Rename one.")
            custom[name] = metric
    return custom


def read_inputs(config: GateKeys, services: Services, nodeid: str) -> Context:
    """Read the data, and build metrics and models, at the level of the attempt.

    Raises:
        FtgateError: an input cannot be read or used.
    """
    # Data, and how answers are scored.
    is_labeled = needs_expected(config, services.hook)
    test_place = config.sources["test_set"].at
    whole_test = services.load(config.test_set, test_place, labeled=is_labeled)
    training_place = config.sources["training_set"].at
    training = services.load(config.training_set, training_place, name="training_set")
    check_test_set(whole_test)

    unlabeled = read_unlabeled(config, services)
    whole_set = whole_test
    if unlabeled is not None:
        whole_set = checked(whole_test.and_more(unlabeled))
        check_test_set(whole_set)

    test = whole_test
    shown = None
    if config.max_attempts is not None:
        if unlabeled is not None:
            unlabeled, _ = attempts.divide(config, unlabeled)
        test, shown_test = attempts.divide(config, whole_test)
        # A label may be expected in the shown examples alone.
        build = _metric_builder(whole_set, training, services.hook)
        shown = attempts.Shown(shown_test, build(config.decided_by))

    metrics = build_metrics(config, test, training, services.hook)
    check_metric(config, metrics)
    if unlabeled is not None:
        # The metric of the gain must know the labels of all examples.
        build = _metric_builder(_labeled(test.and_more(unlabeled)), training, services.hook)
        metrics[config.decided_by.name] = build(config.decided_by)
    check_keys(config, metrics)
    deciding = metrics[config.decided_by.name]
    for spec in _metric_specs(config):
        label_set = metrics[spec.name].label_set
        if label_set is not None:
            labels.refuse_unrepeated(label_set, spec, test, training)
    # Near copies become one group before anything counts the examples.
    gain_set = test if unlabeled is None else test.and_more(unlabeled)
    options = {"separator": deciding.separator, "labels": deciding.label_set}
    audit = services.audit(training, gain_set, **options)
    examples = grouped(gain_set, audit.test_near_rows).examples
    if unlabeled is not None:
        unlabeled = replace(unlabeled, examples=examples[len(test) :])
    test = replace(test, examples=examples[: len(test)])
    custom = custom_metrics(services.hook)
    parts = read_parts(config, services.load, test, training, deciding, custom)

    # Models, and which attempt they are.
    models = _models(config, training, whole_set, services)
    config = with_clear_names(config, models)
    half = read_half(config, services, training, whole_test, audit, deciding)

    # Models are asked about all examples, also about those that only may be shown.
    _check_prompts(models.values(), [whole_set, *(guard.test for guard in parts.guards)])
    if half is not None:
        _check_prompts([half.model], [whole_test])
    attempt = None
    if "candidate" in models:
        asked = test if unlabeled is None else test.and_more(_without_labels(unlabeled))
        attempt = _attempt(config, models, asked, services)
        config = attempt.levelled
        parts = parts.at(config.confidence)
    judging = read_judging(config, test, metrics, services.hook, offline=services.offline)

    gate = Context(
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
        unlabeled=None if unlabeled is None else Unlabeled(unlabeled),
        half=half,
    )
    return gate.with_facts(
        nodeid=nodeid,
        training=_training_facts(training, gain_set, audit),
        test_set=TestSetResult(test.path, test.sha256, len(test)),
        unlabeled=gate.unlabeled and gate.unlabeled.facts,
        metric_range=(deciding.low, deciding.high),
        shares=tuple(name for name, metric in metrics.items() if metric.share),
        guards=tuple(guard.facts for guard in parts.guards),
        attempt=attempt and attempt.facts,
    )


def _labeled(data: DataSet) -> DataSet:
    """Return the examples whose label is known."""
    known = tuple(example for example in data if example.expected is not None)
    return replace(data, examples=known)


def _without_labels(data: DataSet) -> DataSet:
    """Return the inputs alone: a label that arrives later makes no other test set."""
    return replace(data, examples=tuple(replace(example, expected=None) for example in data))


def _attempt(
    config: GateKeys, models: Mapping[str, Model], test: DataSet, services: Services
) -> attempts.Attempt:
    """Return which attempt the models are, for certain where all answers are known."""
    attempt = attempts.find_attempt(config, models["candidate"], test)
    if config.max_attempts is None:
        return attempt

    # Stored answers tell for certain what the key of the first one only suggests.
    questions = []
    for role, model in models.items():
        questions.append(Job(model, test, config.repeats, of_candidate=role == "candidate"))
    with suppress(FtgateError):  # what is wrong with the answers is said where they are used
        runs = dict(zip(models, stored_runs(questions, services.stores), strict=True))
        if not any(run.unanswered for run in runs.values()):
            return attempt.answered(runs)

    return attempt


def _training_facts(training: DataSet, test: DataSet, audit: TrainingAudit) -> TrainingResult:
    """Return the facts of the training set that are known before any call."""
    return TrainingResult(
        training.path,
        sha256=training.sha256,
        rows=audit.rows,
        usable=audit.usable,
        duplicates=audit.duplicates,
        conflicts=audit.conflicts,
        leaked=audit.leaked,
        leaked_pairs=row_pairs(test, training, audit.leaked_rows),
        near_pairs=row_pairs(test, training, audit.leaked_near_rows),
    )


def _models(
    config: GateKeys, training: DataSet, test: DataSet, services: Services
) -> dict[str, Model]:
    """Build each model, by role."""
    surroundings = Surroundings(training, services.offline, test)
    models = {}
    for role, spec in config.asked.items():
        models[role] = build_model(spec, surroundings, services.hook)
    return models


def _check_prompts(models: Iterable[Model], test_sets: Iterable[DataSet]) -> None:
    """Render each template for each of its rows, and look for what a model would not be sent.

    Raises:
        ConfigError: a placeholder names no field of a row, which would be sent with the placeholder
            in it.
        DataError: a row has images, audio or video that are not sent.
    """
    for model in models:
        prompt = model.prompt
        if prompt is None and model.function is None:
            continue  # it is a recording, or gets the whole example

        sent_fields = prompt.fields if prompt is not None else ()
        for test in test_sets:
            for example in test:
                refuse_unsent_media(example, sent_fields)
                if prompt is not None and prompt.template is not None:
                    prompt.messages(example)
