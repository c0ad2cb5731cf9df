"""Metrics by name, built-in and custom. Each declares its range and direction."""

from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from itertools import chain
from typing import Any

from pytest_ftgate.config import MetricSpec
from pytest_ftgate.data import Example
from pytest_ftgate.metrics.custom import CustomMetric, build_custom, metric
from pytest_ftgate.metrics.options import Options, did_you_mean
from pytest_ftgate.metrics.protocol import Answers, Metric, Scored

__all__ = [
    "Answers",
    "CustomMetric",
    "Metric",
    "Scored",
    "build_metric",
    "built_in_names",
    "metric",
    "reads_expected",
]

_FAMILIES = ("classification", "text", "answer_format", "fields", "tool_calls", "numbers", "judged")
"""Modules of this package.

Each has ``NAMES``, the names of its metrics, and ``build(options)``, which builds one of them or
raises :class:`ConfigError`: an option is invalid, a library is missing, or the test set does not
suit the metric. ``READS_EXPECTED = False`` declares that they score examples without an expected
output.
"""

_KNOWN_AS = {
    "f1_score": "f1_macro",
    "em": "exact_match",
    "mae": "absolute_error",
    "mse": "absolute_error",
    "rmse": "absolute_error",
    "bleu": "rouge_l",
    "levenshtein": "edit_similarity",
    "mcc": "matthews_corrcoef",
    "json": "field_f1",
    "json_match": "field_f1",
    "regex": "format",
    "json_schema": "format",
    "llm_judge": "rubric",
    "llm_as_judge": "rubric",
    "g_eval": "rubric",
    "win_rate": "preference",
}
"""What other tools call our metrics."""


def built_in_names() -> list[str]:
    """Return the names of all built-in metrics, which loads every family."""
    return list(chain.from_iterable(_module(family).NAMES for family in _FAMILIES))


def _module(family: str) -> Any:
    return import_module(f"pytest_ftgate.metrics.{family}")


def _family(name: str) -> Any:
    """Return the family that has a metric of this name; None if none has."""
    return next((module for module in map(_module, _FAMILIES) if name in module.NAMES), None)


def reads_expected(spec: MetricSpec, custom: Mapping[str, Any]) -> bool:
    """Return whether a metric reads expected outputs; ``custom`` are those of hooks by name."""
    family = _family(spec.name)
    if family is not None:
        return getattr(family, "READS_EXPECTED", True)
    function = spec.options.get("function", custom.get(spec.name))
    return not getattr(function, "whole_example", False)


def build_metric(
    spec: MetricSpec,
    *,
    labels: Sequence[str],
    custom: Mapping[str, Any],
    known: Sequence[str] = (),
    other_names: Collection[str] = (),
    examples: Sequence[Example] = (),
) -> Metric:
    """Build a gate's metric, ready to score answers on its test set, or raise :class:`ConfigError`.

    ``labels`` are the distinct expected outputs as texts; averages over labels run over all of them
    for every model. ``known`` and ``examples`` are those of :class:`Options`, ``custom`` the
    metrics of hooks by name, and ``other_names`` further valid names, for suggestions.
    """
    options = Options(spec, expected=tuple(labels), known=tuple(known), examples=examples)
    name = spec.name
    function = spec.options.get("function")
    if not callable(function):
        function = custom.get(name)
    family = _family(name)

    if function is not None:
        if family is not None:
            problem = (
                f"{name} is the name of a built-in metric, and a custom metric must not have it"
            )
            raise options.error(problem, cure="Rename your metric.")
        return build_custom(options, function)
    if family is None:
        names = (*built_in_names(), *custom, *other_names)
        cure = did_you_mean(_KNOWN_AS.get(name.lower(), name), names)
        raise options.error(f"unknown metric {name!r}", cure=cure)

    metric: Metric = family.build(options)
    return metric
