"""Read the inputs of a gate without calling a model: data, metrics and models."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

from pytest_ftgate import clock, errors, result
from pytest_ftgate.checks import attempts, context, ready, thresholds
from pytest_ftgate.checks.audit import TrainingAudit, audit_training_set, check_test_set, grouped, row_pairs
from pytest_ftgate.checks.judging import prepare_judging
from pytest_ftgate.checks.parts import check_possible, prepare_parts
from pytest_ftgate.config import GateKeys, MetricSpec
from pytest_ftgate.data import DataSet
from pytest_ftgate.gate.state import Services
from pytest_ftgate.metrics import Metric, build_metric, labels, reads_expected
from pytest_ftgate.models import Model, Surroundings, build_model
from pytest_ftgate.models.prompt import refuse_unsent_media
from pytest_ftgate.runs import jobs, runner


def build_metrics(config: GateKeys, test: DataSet, training: DataSet | None, hook: Any | None) -> dict[str, Metric]:
    """Return the metrics of ``metric`` and ``thresholds``, and accuracy where answers are labels."""
    own, known = labels.distinct_outputs(test), labels.distinct_outputs(*([training] if training else []))
    custom = custom_metrics(hook)

    def build(spec: MetricSpec) -> Metric:
        others = thresholds.RUN_METRICS if spec.name in config.thresholds else ()
        return build_metric(spec, labels=own, custom=custom, known=known, others=others, examples=test.examples)

    metrics = {spec.name: build(spec) for spec in _asked(config)}
    if metrics[config.decided_by.name].uses_labels and "accuracy" not in metrics:
        options = {key: value for key, value in config.decided_by.options.items() if key in labels.READING_OPTIONS}
        metrics["accuracy"] = build(MetricSpec("accuracy", options, config.decided_by.source))
    return metrics


def needs_expected(config: GateKeys, hook: Any | None) -> bool:
    """Return whether any metric of a gate needs expected outputs."""
    custom = custom_metrics(hook)
    return any(reads_expected(spec, custom) for spec in _asked(config))


def _asked(config: GateKeys) -> list[MetricSpec]:
    """Return every metric of answers that the gate names, the deciding one first."""
    names = dict.fromkeys((*(one.name for one in config.metrics), *config.thresholds))
    return [config.metric_named(name) for name in names if name not in thresholds.RUN_METRICS]


def custom_metrics(hook: Any | None) -> dict[str, Any]:
    """Return the metrics from hooks by name."""
    called, custom = "the hook pytest_ftgate_metrics", dict[str, Any]()
    given = (
        errors.guarded(called, lambda: [dict(one) for one in hook.pytest_ftgate_metrics()]) if hook is not None else []
    )
    for mapping in ({str(name): metric for name, metric in one.items()} for one in given):
        for name in mapping.keys() & custom.keys():
            raise errors.ConfigError(
                f"two hooks pytest_ftgate_metrics return a metric named {name!r}", cure="Rename one."
            )
        custom |= mapping
    return custom


def check_keys(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Raise :class:`ConfigError` for an impossible margin, threshold or hypothesis, or a meaningless ``errors``."""
    metric, standards = metrics[config.decided_by.name], map(config.standard_of, config.baselines)
    path, gain = max(standards, key=lambda one: abs(one.gain))
    check_possible(metric, path, abs(gain), config.sources[path])
    _check_thresholds(config, metrics)
    ready.check_prediction(config, metric)
    for name in (spec.name for spec in config.judged_by if config.missing_answers == "wrong"):
        if name.partition("_")[0] == "precision":  # it rises when answers are missing
            what = f"missing_answers: wrong cannot be used with {name}, which ignores missing answers"
            where = config.sources["missing_answers"].where("missing_answers")
            raise errors.ConfigError(what, where=where, cure="Use f1 or recall, or missing_answers: error.")


def _check_thresholds(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Refuse a threshold outside of a metric's range, which always or never holds: 5 for an error rate of 5 %."""
    for name, limits in config.thresholds.items():
        low, high = thresholds.RUN_METRICS.get(name) or (metrics[name].low, metrics[name].high)
        lies = f"is between {low:g} and {high:g}" if high < inf else f"is never below {low:g}"
        for key, value in (("min", limits.min), ("max", limits.max)):
            if value is not None and not low <= value <= high:
                what = f"{key} {value:g} ({limits.source}) is impossible: {name} {lies}"
                cure = f"Did you mean {value / 100:g}?" if high == 1 < value <= 100 else None
                raise errors.ConfigError(what, where=errors.Where(limits.source.place or None), cure=cure)


def read_inputs(
    config: GateKeys, services: Services, nodeid: str, answers: frozenset[str] = frozenset()
) -> context.Context:
    """Read the data, and build metrics and models; with ``max_attempts`` for this attempt, on the examples that count.

    ``answers`` are the hashes of the candidate's, if they are known.

    Raises:
        FtgateError: an input cannot be read or used.
    """
    test = services.load(config.test_set, config.sources["test_set"].at, labeled=needs_expected(config, services.hook))
    training = services.load(config.training_set, config.sources["training_set"].at)
    check_test_set(test)
    metrics = build_metrics(config, test, training, services.hook)
    check_keys(config, metrics)
    test, audit = _audited(training, test, services, metrics[config.decided_by.name])
    models = _models(config, training, test, services)
    _check_prompts(models, [test])
    attempt, custom = None, partial(custom_metrics, services.hook)
    if "candidate" in models:
        asked = models["candidate"], metrics[config.decided_by.name]
        attempt = attempts.find_attempt(config, *asked, test, services.stores.notes, answers)
        if attempt.facts is not None and attempt.number > attempt.facts.most and not answers:
            attempt = _with_known_answers(attempt, models["candidate"], services)
        config = attempt.config
        if (counted := attempt.counted) is not test:
            test, audit = _audited(training, counted, services, metrics[config.decided_by.name])
            metrics = build_metrics(config, test, training, services.hook)
            models = _models(config, training, test, services)
    facts, now = {"nodeid": nodeid, "attempt": attempt and attempt.facts}, clock.wall()
    parts = prepare_parts(config, services.load, (test, training), metrics[config.decided_by.name], custom)
    judging = prepare_judging(config, test, metrics, models, services.hook, offline=services.offline)
    gate = context.Context(config, test, training, audit, metrics, models, now, parts, judging, attempt, facts=facts)
    _check_prompts(gate.models, [data for data in gate.test_sets.values() if data is not gate.test])
    return gate.with_facts(**_input_facts(gate))


def _with_known_answers(attempt: attempts.Attempt, model: Model, services: Services) -> attempts.Attempt:
    """Return an attempt with its answers if all are recorded or stored: under another name they may be known."""
    job = jobs.Job(model, attempt.whole, attempt.asked.repeats, of_candidate=True)
    with suppress(errors.FtgateError):  # what is wrong with them is said where they are used
        (run,) = runner.stored_runs([job], services.stores)
        attempt = attempt if run.unanswered else attempt.answered({"candidate": run}).among(attempt.before)
    return attempt


def _audited(training: DataSet, test: DataSet, services: Services, deciding: Metric) -> tuple[DataSet, TrainingAudit]:
    """Return the test set, whose near copies count as one group, and the audit of the training set for it."""
    audit = (services.audit or audit_training_set)(training, test, separator=deciding.separator)
    return grouped(test, audit.test_near_rows) if audit.test_near_rows else test, audit


def _input_facts(gate: context.Context) -> dict[str, Any]:
    """Return the facts of the data and of the deciding metric that are known before any call."""
    test, training, audit, metric = gate.test, gate.training, gate.audit, gate.deciding
    counts = audit.rows, audit.usable, audit.duplicates, audit.conflicts, audit.leaked
    leaked, near = (row_pairs(test, training, rows) for rows in (audit.leaked_rows, audit.leaked_near_rows))
    trained = result.TrainingResult(training.path, training.sha256, *counts, leaked, near)
    test_set = result.TestSetResult(test.path, test.sha256, len(test), row_pairs(test, test, audit.test_near_rows))
    facts = {"training": trained, "test_set": test_set}
    guards = tuple(one.facts for one in gate.parts.others)
    shares = tuple(name for name, measured in gate.metrics.items() if measured.share)
    return {**facts, "metric_range": (metric.low, metric.high), "shares": shares, "guards": guards}


def _models(config: GateKeys, training: DataSet, test: DataSet, services: Services) -> dict[str, Model]:
    """Build each model, by role."""
    surroundings = Surroundings(training, services.offline, test)
    return {role: build_model(spec, surroundings, services.hook) for role, spec in config.asked.items()}


def _check_prompts(models: Mapping[str, Model], test_sets: Iterable[DataSet]) -> None:
    """Render each template for each row that it is used for, and look for what a model would not be sent.

    Raises:
        ConfigError: a placeholder names no field of a row, which would be sent with the placeholder in it.
        DataError: a row has images, audio or video that are not sent.
    """
    for model in models.values():
        prompt = model.prompt
        if prompt is None and model.function is None:  # it is a recording, or gets the whole example
            continue
        for example in (example for data in test_sets for example in data):
            refuse_unsent_media(example, prompt.fields if prompt is not None else ())
            if prompt is not None and prompt.template is not None:
                prompt.messages(example)
