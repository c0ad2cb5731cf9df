"""Metrics by name: scikit-learn's of labels, exact match, and one's own. Each declares its range and direction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_ftgate.metrics import (
    answer_format,
    bleu,
    classification,
    command,
    custom,
    embedding,
    fields,
    judged,
    similarity,
    text,
)
from pytest_ftgate.metrics.custom import CustomMetric, metric
from pytest_ftgate.metrics.labels import check_labels
from pytest_ftgate.metrics.options import Options, did_you_mean
from pytest_ftgate.metrics.protocol import Answers, Breakdown, Metric, Scored

if TYPE_CHECKING:
    from pytest_ftgate.config import MetricSpec

__all__ = [
    "BUILT_IN",
    "Answers",
    "Breakdown",
    "CustomMetric",
    "Metric",
    "Scored",
    "build_metric",
    "check_labels",
    "metric",
]

BUILT_IN = (
    *classification.NAMES,
    text.ExactMatch.name,
    answer_format.Format.name,
    *fields.NAMES,
    *similarity.NAMES,
    *(bleu.NAME, embedding.NAME, command.NAME),
    *judged.NAMES,
)


def build_metric(
    spec: MetricSpec,
    *,
    labels: Sequence[str],
    custom: Mapping[str, Any],
    known: Sequence[str] = (),
    others: Collection[str] = (),
) -> Metric:
    """The metric that a gate asks for, ready to score answers on its test set.

    Args:
        labels: the distinct expected outputs of the test set as texts. Averages over labels run over these, for every
            model, whatever it answers.
        custom: metrics from hooks, by name.
        known: further labels, those of the training set: wrong in an answer, but not counted as unknown.
        others: what else could have been meant there, besides metrics of answers.

    Raises:
        ConfigError: there is no such metric, an option is wrong, or the test set's labels do not suit the metric.
    """
    options, name = Options(spec), spec.name
    function = spec.options.get("function")
    if callable(function):  # a marker holds the metric itself
        return _own(options, function)
    if name in custom:
        return _own(options, custom[name])
    if name in classification.NAMES:
        return classification.build(options, labels, known)
    if name == text.ExactMatch.name:
        return text.build(options, labels)
    if name == answer_format.Format.name:
        return answer_format.build(options)
    if name in fields.NAMES:
        return fields.build(options, labels)
    if name in similarity.NAMES:
        return similarity.build(options, labels)
    if name == bleu.NAME:
        return bleu.build(options, labels)
    if name == embedding.NAME:
        return embedding.build(options, labels)
    if name == command.NAME:
        return command.build(options)
    if name in judged.NAMES:
        return judged.build(options)
    raise options.error(f"there is no metric {name!r}", cure=did_you_mean(name, (*BUILT_IN, *custom, *others)))


def _own(options: Options, declared: Any) -> Metric:
    if options.metric in BUILT_IN:
        raise options.error(
            f"{options.metric} is the name of a metric of pytest-ftgate, and cannot be given to one's own",
            cure="Rename your metric.",
        )
    return custom.build(options, declared)
