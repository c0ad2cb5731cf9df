"""A pytest plugin that fails unless a fine-tuned model is measurably better than its baseline.

Public names are loaded on first use, so test suites without a gate pay nothing.
"""

from __future__ import annotations

from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context as Context
    from pytest_ftgate.config import ModelSpec as ModelSpec
    from pytest_ftgate.data import Example as Example
    from pytest_ftgate.errors import ConfigError as ConfigError
    from pytest_ftgate.errors import DataError as DataError
    from pytest_ftgate.errors import FtgateError as FtgateError
    from pytest_ftgate.errors import ModelError as ModelError
    from pytest_ftgate.hookspecs import hookimpl as hookimpl
    from pytest_ftgate.judging import judge as judge
    from pytest_ftgate.judging import read_report as read_report
    from pytest_ftgate.metrics import metric as metric
    from pytest_ftgate.models import Completion as Completion
    from pytest_ftgate.reports.json import Report as Report
    from pytest_ftgate.result import Check as Check
    from pytest_ftgate.result import GateResult as GateResult
    from pytest_ftgate.runs.jobs import Run as Run
    from pytest_ftgate.splitting import dedupe as dedupe
    from pytest_ftgate.splitting import split as split

_HOMES = {
    "pytest_ftgate.checks.context": ("Context",),
    "pytest_ftgate.config": ("ModelSpec",),
    "pytest_ftgate.data": ("Example",),
    "pytest_ftgate.errors": ("ConfigError", "DataError", "FtgateError", "ModelError"),
    "pytest_ftgate.judging": ("judge", "read_report"),
    "pytest_ftgate.hookspecs": ("hookimpl",),
    "pytest_ftgate.metrics": ("metric",),
    "pytest_ftgate.models": ("Completion",),
    "pytest_ftgate.reports.json": ("Report",),
    "pytest_ftgate.result": ("Check", "GateResult"),
    "pytest_ftgate.runs.jobs": ("Run",),
    "pytest_ftgate.splitting": ("dedupe", "split"),
}
__all__ = ["__version__", *chain.from_iterable(_HOMES.values())]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("pytest-ftgate")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
