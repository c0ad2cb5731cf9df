"""A metric as a gate at ``ftgate.yaml:14`` asks for it."""

from pathlib import Path

import pytest

from pytest_ftgate.config import MetricSpec, Source
from pytest_ftgate.metrics import build_metric

SOURCE = Source("file", "ftgate.yaml:14", Path())


@pytest.fixture(scope="session")
def build():
    def build(name, expected=("a", "b", "c"), /, *, known=(), custom=None, **options):
        return build_metric(MetricSpec(name, options, SOURCE), labels=expected, custom=custom or {}, known=known)

    return build


@pytest.fixture(scope="session")
def refusal(build):
    """The whole text of the error that building the metric raises."""
    from pytest_ftgate.errors import ConfigError

    def refusal(name, *args, **options):
        with pytest.raises(ConfigError) as caught:
            build(name, *args, **options)
        return str(caught.value)

    return refusal
