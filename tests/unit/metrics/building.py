"""A metric as a gate at ``ftgate.yaml:14`` asks for it."""

from pathlib import Path

import pytest

from pytest_ftgate.config import MetricSpec, Source
from pytest_ftgate.data import Example
from pytest_ftgate.errors import ConfigError, MetricError
from pytest_ftgate.metrics import build_metric

SOURCE = Source("file", "ftgate.yaml:14", Path())


def build(name, expected=("a", "b", "c"), /, *, known=(), custom=None, examples=(), **options):
    spec = MetricSpec(name, options, SOURCE)
    if not examples:
        examples = [Example(f"t{i}", f"input {i}", text) for i, text in enumerate(expected)]
    return build_metric(spec, labels=expected, custom=custom or {}, known=known, examples=examples)


def refusal(name, *args, **options):
    """Return the error that building the metric raises."""
    with pytest.raises(ConfigError) as caught:
        build(name, *args, **options)
    return caught.value


def failure(metric, expected, *answers):
    """Return the error that scoring these answers raises."""
    with pytest.raises(MetricError) as caught:
        metric.score(list(expected), [list(repeat) for repeat in answers])
    return caught.value
